#include "node/running.h"

#include <algorithm>
#include <thread>

#include "base/log.h"

namespace sallyport::node {
namespace {

// Each may take seconds to stop, and they do not wait for each other.
template <typename List, typename Stop>
void stop_all(const List& list, Stop stop) {
  std::vector<std::jthread> threads;
  for (const auto& one : list) threads.emplace_back([&one, &stop] { stop(*one); });
}

ConnectorStatus failed_status(const Error& error) {
  ConnectorStatus status;
  status.state = ConnectorState::down;
  status.reason = error.message;
  return status;
}

// Takes from `old` those that `wanted` wants unchanged; what remains in both must be stopped or started.
template <typename One, typename Config>
std::vector<std::shared_ptr<One>> keep_unchanged(std::vector<std::shared_ptr<One>>& old, std::vector<Config>& wanted) {
  std::vector<std::shared_ptr<One>> kept;
  std::erase_if(wanted, [&](const Config& config) {
    const auto same =
        std::ranges::find_if(old, [&](const auto& one) { return one->config.text == config.text && !one->failure; });
    if (same == old.end()) return false;
    kept.push_back(std::move(*same));
    old.erase(same);
    return true;
  });
  return kept;
}

}  // namespace

std::shared_ptr<Running::RunningSource> Running::start_source(SourceConfig config, const RunningSource* predecessor) {
  auto running = std::make_shared<RunningSource>();
  running->provider = predecessor ? predecessor->provider : namespace_.add_provider();
  running->publisher = std::make_unique<Publisher>(namespace_, node_, config.common.name, config.common.into,
                                                   config.on_loss, running->provider, config.delivery, every_);
  running->config = std::move(config);
  if (auto started = running->config.source->start(*running->publisher); !started) {
    running->failure = started.error();
    running->publisher->lost(started.error().message);
  }
  return running;
}

std::shared_ptr<Running::RunningSink> Running::start_sink(SinkConfig config) {
  auto running = std::make_shared<RunningSink>();
  running->config = std::move(config);
  if (feeds_ != nullptr) running->config.sink->use_feeds(*feeds_);
  if (auto started = running->config.sink->start(namespace_); !started) running->failure = started.error();
  return running;
}

Result<void> Running::start(std::vector<SourceConfig> sources, std::vector<SinkConfig> sinks) {
  // Sinks first: they subscribe, and see everything that the sources bring.
  for (auto& config : sinks) {
    auto running = start_sink(std::move(config));
    if (running->failure) return within("sink " + running->config.common.name, *running->failure);
    const std::lock_guard lock(mutex_);
    sinks_.push_back(std::move(running));
  }
  for (auto& config : sources) {
    auto running = start_source(std::move(config));
    if (running->failure) return within("source " + running->config.common.name, *running->failure);
    const std::lock_guard lock(mutex_);
    sources_.push_back(std::move(running));
  }
  return {};
}

// The old points go when the new source has said which of them there still are, or at once when there is no new one.
void Running::retire(const RunningSource& old, const std::vector<std::shared_ptr<RunningSource>>& now) {
  const RouteId route = old.publisher->route();
  if (route == kNoRoute) return;
  const auto successor =
      std::ranges::find_if(now, [&](const auto& one) { return one->config.common.name == old.config.common.name; });
  if (successor == now.end()) {
    namespace_.remove_route(route);
    return;
  }
  const std::lock_guard lock(mutex_);
  for (Retired& earlier : retired_) {
    if (earlier.successor == route) earlier.successor = (*successor)->publisher->route();
  }
  retired_.push_back({route, (*successor)->publisher->route()});
}

void Running::change_to(std::vector<SourceConfig> source_configs, std::vector<SinkConfig> sink_configs) {
  std::vector<std::shared_ptr<RunningSource>> old_sources;
  std::vector<std::shared_ptr<RunningSink>> old_sinks;
  {
    const std::lock_guard lock(mutex_);
    old_sources = sources_;
    old_sinks = sinks_;
  }
  auto sources = keep_unchanged(old_sources, source_configs);
  auto sinks = keep_unchanged(old_sinks, sink_configs);
  stop_all(old_sinks, [](RunningSink& one) {
    if (!one.failure) one.config.sink->stop();
  });
  stop_all(old_sources, [](RunningSource& one) {
    if (!one.failure) one.config.source->stop();
    one.publisher->lost("the node's settings changed");
  });
  for (auto& config : sink_configs) {
    auto& sink = sinks.emplace_back(start_sink(std::move(config)));
    const auto& name = sink->config.common.name;
    if (sink->failure)
      log::error("sink not started", log::field("sink", name), log::field("reason", sink->failure->message));
    else
      log::info("sink started", log::field("sink", name));
  }
  for (auto& config : source_configs) {
    const auto before = std::ranges::find_if(
        old_sources, [&](const auto& old) { return old->config.common.name == config.common.name; });
    auto& source =
        sources.emplace_back(start_source(std::move(config), before == old_sources.end() ? nullptr : before->get()));
    const auto& name = source->config.common.name;
    if (source->failure)
      log::error("source not started", log::field("source", name), log::field("reason", source->failure->message));
    else
      log::info("source started", log::field("source", name));
  }
  for (const auto& old : old_sources) retire(*old, sources);
  const std::lock_guard lock(mutex_);
  sources_ = std::move(sources);
  sinks_ = std::move(sinks);
}

void Running::tidy() {
  std::vector<RouteId> done;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(retired_, [&](const Retired& retired) {
      if (namespace_.route_state(retired.successor).covered) return false;
      done.push_back(retired.route);
      return true;
    });
  }
  for (const RouteId route : done) namespace_.remove_route(route);
}

void Running::stop_sources() {
  decltype(sources_) stopping;
  {
    const std::lock_guard lock(mutex_);
    stopping.swap(sources_);
  }
  stop_all(stopping, [](RunningSource& one) {
    if (!one.failure) one.config.source->stop();
    one.publisher->lost("the node was stopped");
  });
}

void Running::stop_sinks() {
  decltype(sinks_) stopping;
  {
    const std::lock_guard lock(mutex_);
    stopping.swap(sinks_);
  }
  stop_all(stopping, [](RunningSink& one) {
    if (!one.failure) one.config.sink->stop();
  });
}

void Running::stop() {
  stop_sources();
  stop_sinks();
}

std::vector<ConnectorInfo> Running::sources() const {
  std::unique_lock lock(mutex_);
  const auto list = sources_;
  lock.unlock();
  std::vector<ConnectorInfo> infos;
  for (const auto& one : list) {
    const auto& config = one->config;
    infos.push_back({config.common.name, config.type, config.common.into,
                     one->failure ? failed_status(*one->failure) : config.source->status()});
  }
  return infos;
}

std::vector<ConnectorInfo> Running::sinks() const {
  std::unique_lock lock(mutex_);
  const auto list = sinks_;
  lock.unlock();
  std::vector<ConnectorInfo> infos;
  for (const auto& one : list) {
    const auto& config = one->config;
    infos.push_back(
        {config.common.name, config.type, {}, one->failure ? failed_status(*one->failure) : config.sink->status()});
  }
  return infos;
}

}  // namespace sallyport::node
