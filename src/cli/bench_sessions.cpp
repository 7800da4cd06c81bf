// sallyport bench sessions: many downstream nodes in one process, as far as the node they dial can tell: each has its
// own name, certificate, namespace and link. The helper of fan-out and idle-links; not for people.
#include <pthread.h>

#include <chrono>
#include <csignal>
#include <deque>
#include <thread>

#include "cli/bench.h"
#include "cli/terminal.h"
#include "link/link.h"
#include "net/loop.h"

namespace sallyport::cli::bench {
namespace {

constexpr unsigned kDialling = 16;  // at once; a listener takes no more than so many handshakes from one address

struct Arguments {
  std::string folder, peer;
  std::int64_t port = 0, links = 1, points = 1000;
};

// One downstream node.
struct Session {
  Session(Clock& clock, const NamespaceLimits& limits) : ns(clock, limits) {}
  Namespace ns;
  std::unique_ptr<link::Links> links;
  bool up() const {
    const auto status = links->status();
    return !status.empty() && status.front().state == link::LinkState::up;
  }
};

class Sessions {
 public:
  Sessions(net::Loop& loop, const Arguments& arguments) : loop_(loop), arguments_(arguments), timer_(loop) {
    // The hub's own points, a dozen for each link, may have come first and have the lower ids.
    limits_.max_points = static_cast<std::uint32_t>(arguments.points + 1000 + 16 * arguments.links);
    limits_.ring_entries = 1u << 10;
    while (limits_.ring_entries < 2 * limits_.max_points && limits_.ring_entries < 1u << 20) limits_.ring_entries *= 2;
  }

  void dial_more() {
    std::size_t up = 0;
    for (const auto& session : sessions_) up += session->up();
    while (sessions_.size() < static_cast<std::size_t>(arguments_.links) && sessions_.size() - up < kDialling) {
      if (auto ok = add(); !ok) return give_up(ok.error());
    }
    if (up == static_cast<std::size_t>(arguments_.links)) {
      print("connected\n");
      std::fflush(stdout);
      return;
    }
    timer_.after(std::chrono::milliseconds(20), [this] { dial_more(); });
  }
  bool failed_to_start() const { return failed_; }

 private:
  Result<void> add() {
    const std::string name = "session-" + std::to_string(sessions_.size());
    const std::string base = arguments_.folder + "/" + name;
    auto identity = net::TlsIdentity::load({base + ".crt", base + ".key", arguments_.folder + "/ca.crt"}, name);
    if (!identity) return std::unexpected(identity.error());
    auto session = std::make_unique<Session>(clock_, limits_);
    session->links = std::make_unique<link::Links>(loop_, session->ns, name, *std::move(identity));
    link::LinkOptions options;
    options.name = options.peer = arguments_.peer;
    options.dial = {net::Address{.host = "127.0.0.1", .port = static_cast<std::uint16_t>(arguments_.port)}};
    options.receive = Patterns::everything();
    if (auto ok = session->links->add(std::move(options)); !ok) return ok;
    sessions_.push_back(std::move(session));
    return {};
  }
  void give_up(const Error& error) {
    failed(error);
    failed_ = true;
    loop_.stop();
  }

  net::Loop& loop_;
  const Arguments& arguments_;
  SystemClock clock_;
  NamespaceLimits limits_;
  std::deque<std::unique_ptr<Session>> sessions_;
  net::Timer timer_;
  bool failed_ = false;
};

int run(const Arguments& arguments) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  net::Loop loop;
  std::jthread waiter([&] {
    int number = 0;
    sigwait(&signals, &number);
    loop.stop();
  });
  Sessions sessions(loop, arguments);
  loop.post([&] { sessions.dial_more(); });
  loop.run();
  if (sessions.failed_to_start()) pthread_kill(waiter.native_handle(), SIGTERM);
  return sessions.failed_to_start() ? kFailure : kSuccess;
}

}  // namespace

void add_sessions(Options& bench) {
  bench.command("sessions", "Helper of fan-out and idle-links: many downstream nodes in one process",
                [](Options& options) -> Action {
                  const auto arguments = std::make_shared<Arguments>();
                  options.text("--folder", arguments->folder, "holds ca.crt, session-N.crt and session-N.key",
                               Options::Need::required);
                  options.text("--peer", arguments->peer, "the node to dial", Options::Need::required);
                  options.number("--port", arguments->port, "where it listens on this machine", 1, 65535);
                  options.number("--links", arguments->links, "how many", 1, 10'000);
                  options.number("--points", arguments->points, "how many points each must hold", 1, 10'000'000);
                  return [arguments] { return run(*arguments); };
                });
}

}  // namespace sallyport::cli::bench
