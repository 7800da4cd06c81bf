#include "lying_dmz.h"

#include <gtest/gtest.h>

namespace sallyport::tests {
namespace {

const std::vector<std::string> kAll = {"**", "$seal/**/$*"};

}  // namespace

LyingDmz::Side::Side(const std::string& name, const std::shared_ptr<const net::TlsIdentity>& identity, link::LinkOptions options) {
  links = std::make_unique<link::Links>(loop.loop(), ns, name, identity);
  const auto listening = links->listen({"127.0.0.1", 0});
  EXPECT_TRUE(listening);
  const auto added = links->add(std::move(options));
  EXPECT_TRUE(added);
  loop.start();
  if (const auto status = links->listen_status()) port_ = status->port;
}

LyingDmz::Side::~Side() {
  loop.run([this] { links.reset(); });
  loop.stop();
}

LyingDmz::LyingDmz(Pki& pki, const std::string& name, const std::string& plant, const std::string& office) {
  pki.issue(name);
  const std::string stem = pki.folder() + "/" + name;
  const net::IdentityFiles files = net::with_sign_files({stem + ".crt", stem + ".key", pki.folder() + "/ca.crt"});
  const auto identity = net::TlsIdentity::load(files, name);
  EXPECT_TRUE(identity);
  if (auto signer = net::Signer::load(files, name)) signer_ = *signer;
  EXPECT_TRUE(signer_);
  const Patterns all = *Patterns::parse(kAll);
  in_ = std::make_unique<Side>(name, *identity, link::LinkOptions{.name = plant, .peer = plant, .dial = {}, .send = {}, .receive = all});
  out_ = std::make_unique<Side>(name, *identity, link::LinkOptions{.name = office, .peer = office, .dial = {}, .send = all, .receive = {}});
  // Whatever it says is said to have come from the plant.
  route_ = *out_->ns.add_route({.origin = plant, .source = "sim", .hops = {plant, name}});
  thread_ = std::thread([this] { run(); });
}

LyingDmz::~LyingDmz() {
  stopping_ = true;
  thread_.join();
}

void LyingDmz::set_way(Way way) {
  const std::lock_guard lock(mutex_);
  way_ = std::move(way);
  if (way_) return;
  for (const auto& [path, item] : heard_) put(item);   // honest again: as everything is now
}

void LyingDmz::say(const Item& item) {
  const std::lock_guard lock(mutex_);
  put(item);
}

std::map<std::string, Item> LyingDmz::heard() const {
  const std::lock_guard lock(mutex_);
  return heard_;
}

void LyingDmz::put(const Item& item) {
  const auto known = ids_.find(item.path);
  if (item.removed) {
    if (known == ids_.end()) return;
    out_->ns.remove(route_, std::span(&known->second, 1));
    ids_.erase(known);
  } else if (known == ids_.end()) {
    Meta meta;
    meta.type = item.value.type();
    const Definition definition{item.path, &meta, {kNoPoint, item.status, item.source_time, item.value}, false, true};
    PointId id = kNoPoint;
    out_->ns.define(route_, std::span(&definition, 1), std::span(&id, 1));
    if (id != kNoPoint) ids_[item.path] = id;
  } else {
    Change change{known->second, item.status, item.source_time, item.value};
    out_->ns.apply(route_, std::span(&change, 1));
  }
}

void LyingDmz::run() {
  Subscription subscription(in_->ns, {.patterns = *Patterns::parse(kAll)}, [] {});
  Batch batch;
  while (!stopping_) {
    batch.clear();
    subscription.pull(batch, 1000);
    {
      const std::lock_guard lock(mutex_);
      for (Update& update : batch.updates) {
        Item item{std::string(batch.path(update)), std::move(update.value), update.status, update.source_time, update.kind == UpdateKind::removed};
        heard_[item.path] = item;
        if (!way_) put(item);
        else for (const Item& instead : way_(item)) put(instead);
      }
    }
    if (batch.updates.empty()) std::this_thread::sleep_for(milliseconds(2));
  }
}

}  // namespace sallyport::tests
