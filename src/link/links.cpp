// All links of a node: the listener, the tunnels, and the hop trace that goes from one to the others.
#include <algorithm>
#include <future>
#include <map>
#include <random>

#include "base/log.h"
#include "link/link.h"
#include "link/tunnel.h"

namespace sallyport::link {
namespace {

enum MemoryKind : std::uint32_t { kMemoryHead = kImageKinds, kMemoryLink, kMemoryIds };
constexpr std::size_t kIdsPerChunk = 1u << 18;
constexpr std::size_t kMaxLinkName = 256;
constexpr Duration kHopsEvery = std::chrono::seconds(1);   // delays; changes of state are told at once

std::uint64_t random_incarnation() {
  std::random_device random;
  const std::uint64_t value = std::uint64_t{random()} << 32 | random();
  return value == 0 ? 1 : value;
}

}  // namespace

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
  Impl(net::Loop& loop, Namespace& ns, std::string node, std::shared_ptr<const net::TlsIdentity> identity, LinksMemory::Impl& kept)
      : context{loop, ns, std::move(node), kept.incarnation != 0 ? kept.incarnation : random_incarnation(), std::move(identity), ns.max_points(), {}, {}}, memory(std::move(kept.links)), hops_timer(loop) {
    context.hops_changed = [this] { hops_changed(); };
    context.routes_changed = [this] { routes_changed(); };
    tick_hops();
  }

  void tick_hops() {
    hops_timer.after(kHopsEvery, [this] {
      tell_hops();
      tick_hops();
    });
  }
  void hops_changed() {
    if (hops_posted) return;
    hops_posted = true;
    context.loop.post([this, weak = std::weak_ptr<bool>(alive)] {
      if (weak.expired()) return;
      hops_posted = false;
      tell_hops();
    });
  }
  // Once for all that changed in this turn of the loop.
  void routes_changed() {
    if (std::exchange(takeover_posted, true)) return;
    context.loop.post([this, weak = std::weak_ptr<bool>(alive)] {
      if (weak.expired()) return;
      takeover_posted = false;
      for (const auto& [name, tunnel] : tunnels) tunnel->check_takeover();
    });
  }
  void tell_hops() {
    std::vector<const Tunnel*> telling;   // few: a thousand consumers have no hops behind them
    for (const auto& [name, tunnel] : tunnels) {
      if (!tunnel->options().receive.empty()) telling.push_back(tunnel.get());
    }
    for (const auto& [name, tunnel] : tunnels) {
      if (!tunnel->tells_hops()) continue;
      std::vector<HopStatus> hops;
      for (const Tunnel* other : telling) {
        if (other != tunnel.get()) other->append_hops(hops, tunnel->options().peer);
      }
      // What others told must not push out what is known here.
      std::ranges::stable_partition(hops, [this](const HopStatus& hop) { return hop.node == context.node; });
      tunnel->send_hops(std::move(hops));
    }
  }

  void accepted(std::unique_ptr<net::TlsStream> stream) {
    for (const auto& [name, tunnel] : tunnels) {
      if (tunnel->options().dial.empty() && tunnel->options().peer == stream->peer().name) return tunnel->accept(std::move(stream));
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

  Result<void> check(const LinkOptions& options) const {
    if (tunnels.contains(options.name)) return fail(ErrorCode::exists, "two links are named '" + options.name + "'");
    for (const auto& [name, tunnel] : tunnels) {
      if (options.dial.empty() && tunnel->options().dial.empty() && tunnel->options().peer == options.peer) {
        return fail(ErrorCode::exists, "two listening links for the peer '" + options.peer + "'");
      }
    }
    return {};
  }

  Result<void> add(LinkOptions options) {
    if (auto ok = check(options); !ok) return ok;
    const std::string name = options.name;
    auto tunnel = std::make_unique<Tunnel>(context, std::move(options));
    Tunnel& added = *tunnel;
    if (auto known = memory.extract(name); !known.empty() && known.mapped().peer == added.options().peer) added.recall(std::move(known.mapped()));
    tunnels.emplace(name, std::move(tunnel));
    added.start();
    return {};
  }

  void remove(const std::string& name, CloseCode code, const std::string& text) {
    const auto it = tunnels.find(name);
    if (it == tunnels.end()) return;
    const std::unique_ptr<Tunnel> gone = std::move(it->second);
    tunnels.erase(it);
    gone->stop(code, text);
    hops_changed();
  }

  // Runs on the loop thread and waits for it, or right here when this is the loop thread.
  template <typename T>
  T on_loop(std::function<T()> get) const {
    if (context.loop.on_loop_thread()) return get();
    auto promise = std::make_shared<std::promise<T>>();
    auto answer = promise->get_future();
    context.loop.post([promise, get, weak = std::weak_ptr<bool>(alive)] {
      promise->set_value(weak.expired() ? T{} : get());
    });
    if (answer.wait_for(std::chrono::seconds(2)) != std::future_status::ready) return T{};
    return answer.get();
  }

  TunnelContext context;
  std::map<std::string, ReceiverMemory> memory;   // of links not added yet
  std::map<std::string, std::unique_ptr<Tunnel>> tunnels;
  std::unique_ptr<net::TlsListener> listener;
  net::Timer hops_timer;
  bool hops_posted = false, takeover_posted = false;
  std::uint64_t unknown_peers = 0;
  std::string last_unknown, last_logged;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

Links::Links(net::Loop& loop, Namespace& ns, std::string node_name, std::shared_ptr<const net::TlsIdentity> identity, LinksMemory memory)
    : impl_(std::make_unique<Impl>(loop, ns, std::move(node_name), std::move(identity), *memory.impl_)) {}

// --- Kept over a restart -------------------------------------------------------------------------------------------------

Result<void> Links::save(const ChunkSink& out) const {
  Bytes bytes;
  ByteWriter w(bytes);
  w.number<std::uint64_t>(impl_->context.incarnation);
  if (auto ok = out(kMemoryHead, bytes); !ok) return ok;
  for (const auto& [name, tunnel] : impl_->tunnels) {
    const ReceiverMemory memory = tunnel->memory();
    bytes.clear();
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
  impl_->context.hops_changed = nullptr;
  impl_->context.routes_changed = nullptr;
  impl_->tunnels.clear();
}

Result<void> Links::listen(const net::Address& address, bool websocket) {
  net::ListenOptions options;
  options.address = address;
  options.websocket = websocket;
  auto listener = net::listen(impl_->context.loop, impl_->context.identity, options,
                              [this](std::unique_ptr<net::TlsStream> stream) { impl_->accepted(std::move(stream)); });
  if (!listener) return std::unexpected(listener.error());
  impl_->listener = std::move(*listener);
  return {};
}

Result<void> Links::add(LinkOptions options) { return impl_->add(std::move(options)); }

void Links::remove(const std::string& name) { impl_->remove(name, CloseCode::reconfigured, "link removed from the peer's configuration"); }

Result<void> Links::reconfigure(std::vector<LinkOptions> wanted) {
  std::vector<std::string> gone;
  for (const auto& [name, tunnel] : impl_->tunnels) {
    const auto same = std::find(wanted.begin(), wanted.end(), tunnel->options());
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
  const bool other = identity->certificate().sha256 != impl_->context.identity->certificate().sha256;
  impl_->context.identity = identity;
  if (impl_->listener) impl_->listener->set_identity(std::move(identity));
  for (const auto& [name, tunnel] : impl_->tunnels) {
    if (other) tunnel->renew();
  }
}

void Links::stop() {
  impl_->listener.reset();
  impl_->context.hops_changed = nullptr;
  impl_->context.routes_changed = nullptr;
  for (const auto& [name, tunnel] : impl_->tunnels) tunnel->stop(CloseCode::normal, "shutting down");
}

std::vector<LinkStatus> Links::status() const {
  return impl_->on_loop<std::vector<LinkStatus>>([this] {
    std::vector<LinkStatus> all;
    for (const auto& [name, tunnel] : impl_->tunnels) all.push_back(tunnel->status());
    return all;
  });
}

std::optional<ListenStatus> Links::listen_status() const {
  return impl_->on_loop<std::optional<ListenStatus>>([this]() -> std::optional<ListenStatus> {
    if (!impl_->listener) return std::nullopt;
    return ListenStatus{impl_->listener->port(), impl_->listener->counters()};
  });
}

}  // namespace sallyport::link
