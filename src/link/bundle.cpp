#include "link/bundle.h"

#include <algorithm>
#include <utility>

namespace sallyport::link {
namespace {

constexpr Duration kHopsEvery = std::chrono::seconds(1);   // delays; changes of state are told at once

}  // namespace

Bundle::Bundle(TunnelContext context, unsigned number) : context_(std::move(context)), number_(number), hops_timer_(std::in_place, context_.loop) {
  context_.hops_changed = [this] { hops_changed(); };
  context_.routes_changed = [this] { for_all([](Bundle& bundle) { bundle.ask_to_check_takeover(); }); };
}

void Bundle::start(std::vector<std::weak_ptr<Bundle>> all) {
  all_ = std::move(all);
  tick();
}

template <typename Task>
void Bundle::for_all(Task task) const {
  for (const auto& weak : all_) {
    if (const auto bundle = weak.lock()) task(*bundle);
  }
}

// --- Links -------------------------------------------------------------------------------------------------------------

const LinkOptions& Bundle::add(LinkOptions options, std::optional<ReceiverMemory> memory) {
  if (options.diode) return add_diode(std::move(options), std::move(memory));
  auto tunnel = std::make_unique<Tunnel>(context_, std::move(options));
  Tunnel& added = *tunnel;
  if (memory) added.recall(*std::move(memory));
  tunnels_.emplace(added.options().name, std::move(tunnel));
  added.start();
  return added.options();
}

const LinkOptions& Bundle::add_diode(LinkOptions options, std::optional<ReceiverMemory> memory) {
  auto link = diode::make_diode_link(context_, std::move(options));
  diode::DiodeLink& added = *link;
  if (memory) added.recall(*std::move(memory));
  diodes_.emplace(added.options().name, std::move(link));
  added.start();
  return added.options();
}

ReceiverMemory Bundle::memory(const std::string& name) const {
  if (const auto diode = diodes_.find(name); diode != diodes_.end()) return diode->second->memory();
  return tunnels_.at(name)->memory();
}

void Bundle::remove(const std::string& name, CloseCode code, const std::string& text) {
  if (const auto diode = diodes_.find(name); diode != diodes_.end()) {
    diode->second->stop(text);
    diodes_.erase(diode);
    return hops_changed();
  }
  const auto it = tunnels_.find(name);
  if (it == tunnels_.end()) return;
  const std::unique_ptr<Tunnel> gone = std::move(it->second);
  tunnels_.erase(it);
  gone->stop(code, text);
  hops_changed();
}

// A link that was removed meanwhile: its peer dials again.
void Bundle::accept(const std::string& name, std::unique_ptr<net::TlsStream> stream) {
  const auto it = tunnels_.find(name);
  if (it != tunnels_.end()) it->second->accept(std::move(stream));
}

void Bundle::set_identity(const std::shared_ptr<const net::TlsIdentity>& identity, bool renew) {
  context_.identity = identity;
  for (const auto& [name, tunnel] : tunnels_) {
    if (renew) tunnel->renew();
  }
}

void Bundle::set_keys(const std::shared_ptr<const net::Signer>& signer, const std::shared_ptr<const net::Trust>& trust) {
  for (const auto& [name, diode] : diodes_) diode->set_keys(signer, trust);
}

void Bundle::stop(CloseCode code, const std::string& text) {
  context_.hops_changed = nullptr;
  context_.routes_changed = nullptr;
  for (const auto& [name, tunnel] : tunnels_) tunnel->stop(code, text);
  for (const auto& [name, diode] : diodes_) diode->stop(text);
}

void Bundle::close() {
  context_.hops_changed = nullptr;
  context_.routes_changed = nullptr;
  tunnels_.clear();
  diodes_.clear();
  hops_timer_.reset();
}

std::vector<LinkStatus> Bundle::status() const {
  std::vector<LinkStatus> all;
  for (const auto& [name, tunnel] : tunnels_) {
    all.push_back(tunnel->status());
    all.back().loop = number_;
  }
  for (const auto& [name, diode] : diodes_) {
    all.push_back(diode->status());
    all.back().loop = number_;
  }
  std::ranges::sort(all, {}, &LinkStatus::name);
  return all;
}

// --- Hops --------------------------------------------------------------------------------------------------------------

void Bundle::tick() {
  hops_timer_->after(kHopsEvery, [this] {
    publish();
    tell();
    tick();
  });
}

// Once for all that changed in this turn of the loop.
void Bundle::hops_changed() {
  if (std::exchange(hops_posted_, true)) return;
  context_.loop.post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->hops_posted_ = false;
    self->publish();
    self->tell();
    self->for_all([&self](Bundle& bundle) {
      if (&bundle != self.get()) bundle.ask_to_tell();
    });
  });
}

void Bundle::publish() {
  auto fresh = std::make_shared<KnownHops>();   // few: a thousand consumers have no hops behind them
  for (const auto& [name, tunnel] : tunnels_) {
    if (!tunnel->options().receive.empty()) fresh->push_back({name, tunnel->options().peer, tunnel->hops()});
  }
  for (const auto& [name, diode] : diodes_) {
    if (!diode->options().diode->sends) fresh->push_back({name, diode->options().peer, diode->hops()});
  }
  const std::lock_guard lock(mutex_);
  known_ = std::move(fresh);
}

std::shared_ptr<const Bundle::KnownHops> Bundle::known() const {
  const std::lock_guard lock(mutex_);
  return known_;
}

void Bundle::ask_to_tell() {
  if (tell_posted_.exchange(true)) return;
  context_.loop.post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->tell_posted_ = false;
    self->tell();
  });
}

void Bundle::tell() {
  std::vector<std::shared_ptr<const KnownHops>> all;
  for_all([&all](const Bundle& bundle) { all.push_back(bundle.known()); });
  for (const auto& [name, tunnel] : tunnels_) {
    if (tunnel->tells_hops()) tunnel->send_hops(hops_for(tunnel->options(), all));
  }
  for (const auto& [name, diode] : diodes_) {
    if (diode->tells_hops()) diode->send_hops(hops_for(diode->options(), all));
  }
}

// All but what came from that peer or is about it.
std::vector<HopStatus> Bundle::hops_for(const LinkOptions& link, const std::vector<std::shared_ptr<const KnownHops>>& all) const {
  const std::string& peer = link.peer;
  std::vector<HopStatus> hops;
  for (const auto& known_hops : all) {
    for (const Known& known : *known_hops) {
      if (known.link == link.name || known.peer == peer) continue;
      for (std::size_t i = 0; i < known.hops.size(); ++i) {
        if (i > 0 && (known.hops[i].node == peer || hops.size() >= kMaxHopEntries)) continue;
        hops.push_back(known.hops[i]);
      }
    }
  }
  // What others told must not push out what is known here.
  std::ranges::stable_partition(hops, [this](const HopStatus& hop) { return hop.node == context_.node; });
  return hops;
}

// --- Routes ------------------------------------------------------------------------------------------------------------

void Bundle::ask_to_check_takeover() {
  if (takeover_posted_.exchange(true)) return;
  context_.loop.post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->takeover_posted_ = false;
    for (const auto& [name, tunnel] : self->tunnels_) tunnel->check_takeover();
    for (const auto& [name, diode] : self->diodes_) diode->check_takeover();
  });
}

}  // namespace sallyport::link
