// All links of a node: the listener, and the bundles of links that run on the loops.
#include <algorithm>
#include <future>
#include <iterator>
#include <map>
#include <random>

#include "base/log.h"
#include "link/bundle.h"
#include "link/link.h"

namespace sallyport::link {
namespace {

enum MemoryKind : std::uint32_t { kMemoryHead = kImageKinds, kMemoryLink, kMemoryIds };
constexpr std::size_t kIdsPerChunk = 1u << 18;
constexpr std::size_t kMaxLinkName = 256;
constexpr auto kStatusLimit = std::chrono::seconds(2);

std::uint64_t random_incarnation() {
  std::random_device random;
  const std::uint64_t value = std::uint64_t{random()} << 32 | random();
  return value == 0 ? 1 : value;
}

}  // namespace

std::string_view to_string(OneWay mode) {
  switch (mode) {
    case OneWay::off: return "off";
    case OneWay::acks: return "acks";
    case OneWay::strict: return "strict";
  }
  return "?";
}

std::string_view to_string(LinkState state) {
  switch (state) {
    case LinkState::connecting: return "connecting";
    case LinkState::up: return "up";
    case LinkState::down: return "down";
  }
  return "down";
}

struct LinksMemory::Impl {
  std::uint64_t incarnation = 0;
  std::map<std::string, ReceiverMemory> links;
  std::string last;   // link whose ids follow
};

LinksMemory::LinksMemory() : impl_(std::make_unique<Impl>()) {}
LinksMemory::~LinksMemory() = default;
LinksMemory::LinksMemory(LinksMemory&&) noexcept = default;
LinksMemory& LinksMemory::operator=(LinksMemory&&) noexcept = default;

struct Links::Impl {
  // A link as the first loop knows it; the options are the tunnel's.
  struct Member {
    std::shared_ptr<Bundle> bundle;
    const LinkOptions* options;
  };

  Impl(net::Loop& loop, Namespace& ns, const std::string& node, const std::shared_ptr<const net::TlsIdentity>& with, LinksMemory::Impl& kept, std::span<net::Loop* const> more, journal::Journal* journal)
      : incarnation(kept.incarnation != 0 ? kept.incarnation : random_incarnation()), identity(with), memory(std::move(kept.links)) {
    const auto bundle_on = [&](net::Loop& on) {
      const auto number = static_cast<unsigned>(bundles.size());
      bundles.push_back(std::make_shared<Bundle>(TunnelContext{on, ns, node, incarnation, with, ns.max_points(), {}, {}, journal}, number));
    };
    bundle_on(loop);
    for (net::Loop* const each : more) bundle_on(*each);
    for (const auto& bundle : bundles) bundle->start({bundles.begin(), bundles.end()});
  }

  net::Loop& loop() const { return bundles.front()->loop(); }

  // By number of links: what they will carry is not known.
  const std::shared_ptr<Bundle>& least_loaded() const {
    if (bundles.size() == 1) return bundles.front();
    std::map<const Bundle*, std::size_t> links;
    for (const auto& [name, member] : members) ++links[member.bundle.get()];
    return *std::ranges::min_element(bundles, {}, [&](const auto& bundle) { return links[bundle.get()]; });
  }

  void accepted(std::unique_ptr<net::TlsStream> stream) {
    for (const auto& [name, member] : members) {
      if (member.options->dial.empty() && !member.options->diode && member.options->peer == stream->peer().name) return pass_on(name, *member.bundle, std::move(stream));
    }
    ++unknown_peers;
    last_unknown = stream->peer().name + " from " + stream->remote_address();
    if (last_unknown != last_logged) {
      log::warn("connection refused: no [[listen.peer]] has this name", log::field("name", stream->peer().name), log::field("from", stream->remote_address()));
      last_logged = last_unknown;
    }
    Bytes goodbye;
    encode_close(goodbye, CloseCode::not_allowed, "this node has no [[listen.peer]] named '" + stream->peer().name + "'");
    stream->write(goodbye);
  }

  void pass_on(const std::string& name, Bundle& bundle, std::unique_ptr<net::TlsStream> stream) {
    if (&bundle.loop() != &loop()) stream->move_to(bundle.loop());
    const auto shared = std::make_shared<std::unique_ptr<net::TlsStream>>(std::move(stream));   // a task is copied
    bundle.hand([name, shared](Bundle& on) { on.accept(name, std::move(*shared)); });
  }

  Result<void> check(const LinkOptions& options) const {
    if (members.contains(options.name)) return fail(ErrorCode::exists, "two links are named '" + options.name + "'");
    for (const auto& [name, member] : members) {
      if (options.dial.empty() && !options.diode && member.options->dial.empty() && !member.options->diode && member.options->peer == options.peer) {
        return fail(ErrorCode::exists, "two listening links for the peer '" + options.peer + "'");
      }
    }
    return {};
  }

  Result<void> add(LinkOptions options) {
    if (auto ok = check(options); !ok) return ok;
    const std::string name = options.name;
    std::optional<ReceiverMemory> known;
    if (auto kept = memory.extract(name); !kept.empty() && kept.mapped().peer == options.peer) known = std::move(kept.mapped());
    const auto bundle = least_loaded();
    Member member{bundle, nullptr};
    bundle->run([&](Bundle& on) { member.options = &on.add(std::move(options), std::move(known)); });
    members.emplace(name, std::move(member));
    return {};
  }

  void remove(const std::string& name, CloseCode code, const std::string& text) {
    const auto gone = members.extract(name);
    if (!gone.empty()) gone.mapped().bundle->run([&](Bundle& on) { on.remove(name, code, text); });
  }

  void on_all(const std::function<void(Bundle&)>& task) const {
    for (const auto& bundle : bundles) bundle->hand(task);
    for (const auto& bundle : bundles) bundle->run([](Bundle&) {});
  }

  const std::uint64_t incarnation;
  std::shared_ptr<const net::TlsIdentity> identity;
  std::map<std::string, ReceiverMemory> memory;   // of links not added yet
  std::vector<std::shared_ptr<Bundle>> bundles;   // the first on the first loop; the same ones for ever
  std::map<std::string, Member> members;
  std::unique_ptr<net::TlsListener> listener;
  std::uint64_t unknown_peers = 0;
  std::string last_unknown, last_logged;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

Links::Links(net::Loop& loop, Namespace& ns, std::string node_name, std::shared_ptr<const net::TlsIdentity> identity, LinksMemory memory,
             std::span<net::Loop* const> more, journal::Journal* journal)
    : impl_(std::make_unique<Impl>(loop, ns, node_name, identity, *memory.impl_, more, journal)) {}

// --- Kept over a restart -------------------------------------------------------------------------------------------------

static Result<void> save_link(const std::string& name, const ReceiverMemory& memory, const ChunkSink& out) {
  Bytes bytes;
  ByteWriter w(bytes);
  w.text(name);
  w.text(memory.peer);
  for (const std::uint64_t n : {memory.held.incarnation, memory.held.seen, memory.held.defined, memory.held.view}) w.number<std::uint64_t>(n);
  w.varint(memory.routes.size());
  for (const auto& route : memory.routes) {
    w.number<std::uint16_t>(route.local);
    w.number<std::uint8_t>(static_cast<std::uint8_t>((route.named ? 1 : 0) | (route.swept ? 2 : 0) | (route.complete ? 4 : 0)));
  }
  w.varint(memory.local_routes.size());
  for (const RouteId route : memory.local_routes) w.number<std::uint16_t>(route);
  if (auto ok = out(kMemoryLink, bytes); !ok) return ok;
  for (std::size_t at = 0; at < memory.ids.size(); at += kIdsPerChunk) {
    const auto part = std::span(memory.ids).subspan(at, std::min(kIdsPerChunk, memory.ids.size() - at));
    if (auto ok = out(kMemoryIds, std::as_bytes(part)); !ok) return ok;
  }
  return {};
}

Result<void> Links::save(const ChunkSink& out) const {
  Bytes bytes;
  ByteWriter w(bytes);
  w.number<std::uint64_t>(impl_->incarnation);
  if (auto ok = out(kMemoryHead, bytes); !ok) return ok;
  for (const auto& [name, member] : impl_->members) {
    ReceiverMemory memory;
    member.bundle->run([&](const Bundle& on) { memory = on.memory(name); });
    if (auto ok = save_link(name, memory, out); !ok) return ok;
  }
  return {};
}

Result<void> LinksMemory::take(const Chunk& chunk) {
  ByteReader in(chunk.bytes);
  const auto bad = [] { return fail(ErrorCode::malformed, "bad memory of links"); };
  if (chunk.kind == kMemoryHead) {
    impl_->incarnation = in.number<std::uint64_t>();
  } else if (chunk.kind == kMemoryLink) {
    impl_->last = in.text(kMaxLinkName);
    ReceiverMemory& link = impl_->links[impl_->last];
    link.peer = in.text(kMaxLinkName);
    for (std::uint64_t* n : {&link.held.incarnation, &link.held.seen, &link.held.defined, &link.held.view}) *n = in.number<std::uint64_t>();
    const std::uint64_t routes = in.varint();
    for (std::uint64_t i = 0; i < routes && in.ok(); ++i) {
      const auto local = in.number<std::uint16_t>();
      const auto flags = in.number<std::uint8_t>();
      link.routes.push_back({local, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0});
    }
    const std::uint64_t local_routes = in.varint();
    for (std::uint64_t i = 0; i < local_routes && in.ok(); ++i) link.local_routes.push_back(in.number<std::uint16_t>());
  } else if (chunk.kind == kMemoryIds && impl_->links.contains(impl_->last)) {
    auto& ids = impl_->links[impl_->last].ids;
    while (in.ok() && in.remaining() > 0) ids.push_back(in.number<PointId>());
  } else {
    return bad();
  }
  return in.done() ? Result<void>() : bad();
}

Links::~Links() {
  impl_->listener.reset();
  impl_->on_all([](Bundle& bundle) { bundle.close(); });
}

Result<void> Links::listen(const net::Address& address, bool websocket) {
  net::ListenOptions options;
  options.address = address;
  options.websocket = websocket;
  auto listener = net::listen(impl_->loop(), impl_->identity, options,
                              [this](std::unique_ptr<net::TlsStream> stream) { impl_->accepted(std::move(stream)); });
  if (!listener) return std::unexpected(listener.error());
  impl_->listener = std::move(*listener);
  return {};
}

Result<void> Links::add(LinkOptions options) { return impl_->add(std::move(options)); }

void Links::remove(const std::string& name) { impl_->remove(name, CloseCode::reconfigured, "link removed from the peer's configuration"); }

Result<void> Links::reconfigure(std::vector<LinkOptions> wanted) {
  std::vector<std::string> gone;
  for (const auto& [name, member] : impl_->members) {
    const auto same = std::find(wanted.begin(), wanted.end(), *member.options);
    if (same == wanted.end()) gone.push_back(name);
    else wanted.erase(same);
  }
  for (const auto& name : gone) impl_->remove(name, CloseCode::reconfigured, "configuration changed");
  for (auto& options : wanted) {
    if (auto ok = impl_->add(std::move(options)); !ok) return ok;
  }
  return {};
}

void Links::set_identity(std::shared_ptr<const net::TlsIdentity> identity) {
  const bool other = identity->certificate().sha256 != impl_->identity->certificate().sha256;
  impl_->identity = identity;
  if (impl_->listener) impl_->listener->set_identity(identity);
  for (const auto& bundle : impl_->bundles) bundle->hand([identity, other](Bundle& on) { on.set_identity(identity, other); });
}

void Links::set_keys(std::shared_ptr<const net::Signer> signer, std::shared_ptr<const net::Trust> trust) {
  for (const auto& bundle : impl_->bundles) bundle->hand([signer, trust](Bundle& on) { on.set_keys(signer, trust); });
}

void Links::stop() {
  impl_->listener.reset();
  impl_->on_all([](Bundle& bundle) { bundle.stop(CloseCode::normal, "shutting down"); });
}

// --- Status --------------------------------------------------------------------------------------------------------------

// What `get` says on the loop of the bundle; it is there already when this is that loop's thread.
template <typename Get>
static auto ask(Bundle& bundle, Get get) {
  const auto answer = std::make_shared<std::promise<decltype(get(bundle))>>();
  bundle.hand([answer, get](Bundle& on) { answer->set_value(get(on)); });
  return answer->get_future();
}

std::vector<LinkStatus> Links::status() const {
  const auto limit = std::chrono::steady_clock::now() + kStatusLimit;
  std::vector<std::future<std::vector<LinkStatus>>> asked;
  for (const auto& bundle : impl_->bundles) asked.push_back(ask(*bundle, [](const Bundle& on) { return on.status(); }));
  std::vector<LinkStatus> all;
  for (auto& answer : asked) {
    if (answer.wait_until(limit) != std::future_status::ready) continue;
    std::ranges::move(answer.get(), std::back_inserter(all));
  }
  if (asked.size() > 1) std::ranges::sort(all, {}, &LinkStatus::name);
  return all;
}

std::optional<ListenStatus> Links::listen_status() const {
  auto answer = ask(*impl_->bundles.front(), [impl = impl_.get(), weak = std::weak_ptr(impl_->alive)](const Bundle&) -> std::optional<ListenStatus> {
    if (weak.expired() || !impl->listener) return std::nullopt;
    return ListenStatus{impl->listener->port(), impl->listener->counters()};
  });
  return answer.wait_for(kStatusLimit) == std::future_status::ready ? answer.get() : std::nullopt;
}

}  // namespace sallyport::link
