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

struct Links::Impl {
  Impl(net::Loop& loop, Namespace& ns, std::string node, std::shared_ptr<const net::TlsIdentity> identity)
      : context{loop, ns, std::move(node), random_incarnation(), std::move(identity), ns.max_points(), {}, {}}, hops_timer(loop) {
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
    for (const auto& [name, tunnel] : tunnels) {
      std::vector<HopStatus> hops;
      for (const auto& [other_name, other] : tunnels) {
        if (other != tunnel) other->append_hops(hops, tunnel->options().peer);
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
  std::map<std::string, std::unique_ptr<Tunnel>> tunnels;
  std::unique_ptr<net::TlsListener> listener;
  net::Timer hops_timer;
  bool hops_posted = false, takeover_posted = false;
  std::uint64_t unknown_peers = 0;
  std::string last_unknown, last_logged;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

Links::Links(net::Loop& loop, Namespace& ns, std::string node_name, std::shared_ptr<const net::TlsIdentity> identity)
    : impl_(std::make_unique<Impl>(loop, ns, std::move(node_name), std::move(identity))) {}

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
