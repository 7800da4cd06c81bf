#include "node/run.h"

#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "node/config.h"
#include "node/connectors.h"
#include "node/node.h"
#include "node/notify.h"
#include "node/version.h"

namespace sallyport::node {
namespace {

sigset_t watched_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

void report(const Problems& problems) {
  for (const Problem& problem : problems) std::fprintf(stderr, "%s\n", to_string(problem).c_str());
}

// Ends the process when a stop takes longer than promised: a connector's library may hang.
class StopGuard {
 public:
  StopGuard()
      : thread_([this](std::stop_token token) {
          std::unique_lock lock(mutex_);
          if (done_.wait_for(lock, token, kStopLimit, [] { return false; }) || token.stop_requested()) return;
          log::error("a source or sink does not stop; ending without it");
          ::_exit(EXIT_FAILURE);
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any done_;
  std::jthread thread_;
};

void reload(Node& node, const std::string& config_file) {
  notify_reloading();
  Problems problems;
  auto config = read_config(config_file, connector_types(), problems);
  report(problems);
  if (has_errors(problems)) {
    log::error("not reloaded: the settings have errors; the node goes on with the old ones",
               log::field("config", config_file));
  } else if (const auto reloaded = node.reload(std::move(config)); !reloaded) {
    log::warn("reloaded, but not everything", log::field("reason", reloaded.error().message));
  } else {
    log::info("reloaded", log::field("config", config_file));
  }
  notify_ready("running");
}

int wait_for_the_end(Node& node, const std::string& config_file, const sigset_t& signals) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) {
      reload(node, config_file);
      continue;
    }
    log::info("stopping", log::field("signal", signal == SIGINT ? "SIGINT" : "SIGTERM"));
    notify_stopping();
    // Whoever asks again means now.
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    const StopGuard guard;
    node.stop();
    return EXIT_SUCCESS;
  }
}

}  // namespace

int run(const std::string& config_file) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto signals = watched_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Problems problems;
  auto config = read_config(config_file, connector_types(), problems);
  report(problems);
  if (has_errors(problems)) return EXIT_FAILURE;
  log::set_level(config.log_level);
  const std::string name = config.name;
  auto node = Node::start(std::move(config));
  if (!node) {
    std::fprintf(stderr, "error: %s\n", node.error().message.c_str());
    return EXIT_FAILURE;
  }
  log::info("started", log::field("node", name), log::field("version", version()), log::field("config", config_file));
  std::fputs("ready\n", stderr);
  std::fflush(stderr);
  notify_ready("running");
  const int code = wait_for_the_end(**node, config_file, signals);
  node->reset();
  log::info("stopped", log::field("node", name));
  return code;
}

}  // namespace sallyport::node
