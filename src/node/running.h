// The sources and sinks of a running node: started, stopped and, on a reload, changed one by one. Main thread, except
// where noted.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "node/config.h"
#include "node/status.h"

namespace sallyport::node {

class Running {
 public:
  Running(Namespace& ns, std::string node) : namespace_(ns), node_(std::move(node)) {}
  // Before start(), on a node with a journal; both outlive this.
  void use_journal(Feeds& feeds, EveryLog& every) {
    feeds_ = &feeds;
    every_ = &every;
  }
  ~Running() { stop(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  // Fails for the first that can never work. What was started before it goes on until stop().
  Result<void> start(std::vector<SourceConfig> sources, std::vector<SinkConfig> sinks);
  // Reload: those whose table is unchanged go on undisturbed; one that cannot start is logged and shown as down.
  void change_to(std::vector<SourceConfig> sources, std::vector<SinkConfig> sinks);
  void stop_sources();  // points keep their value and turn bad
  void stop_sinks();    // they flush what they can
  void stop();

  std::vector<ConnectorInfo> sources() const;  // Any thread.
  std::vector<ConnectorInfo> sinks() const;    // Any thread.
  // Points of a source that was replaced vanish once its successor is live. Any thread, now and then.
  void tidy();

 private:
  struct RunningSource {
    SourceConfig config;
    std::uint32_t provider = 0;  // shared with the sources it succeeded
    std::unique_ptr<Publisher> publisher;
    std::optional<Error> failure;
    ~RunningSource() { config.source.reset(); }  // before its publisher
  };
  struct RunningSink {
    SinkConfig config;
    std::optional<Error> failure;
  };
  struct Retired {
    RouteId route;
    RouteId successor;
  };

  // `predecessor`: the source of that name that it replaces, or null.
  std::shared_ptr<RunningSource> start_source(SourceConfig config, const RunningSource* predecessor = nullptr);
  std::shared_ptr<RunningSink> start_sink(SinkConfig config);
  void retire(const RunningSource& old, const std::vector<std::shared_ptr<RunningSource>>& now);

  Namespace& namespace_;
  std::string node_;
  Feeds* feeds_ = nullptr;
  EveryLog* every_ = nullptr;
  mutable std::mutex mutex_;  // over the lists, not over what they point to
  std::vector<std::shared_ptr<RunningSource>> sources_;
  std::vector<std::shared_ptr<RunningSink>> sinks_;
  std::vector<Retired> retired_;
};

}  // namespace sallyport::node
