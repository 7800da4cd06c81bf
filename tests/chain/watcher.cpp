#include "watcher.h"

#include "json.h"

namespace sallyport::tests {

std::optional<Seen> parse_point(const std::string& text) {
  const auto json = parse_json(text);
  if (!json || !json->is_object() || !json->as_object().contains("path")) return std::nullopt;
  Seen seen;
  seen.path = text_at(*json, "path");
  seen.value = text_at(*json, "value");
  seen.quality = text_at(*json, "quality");
  seen.status = text_at(*json, "status");
  seen.status_name = text_at(*json, "status_name");
  seen.timestamp = text_at(*json, "timestamp");
  seen.origin = text_at(*json, "origin");
  seen.cause_node = text_at(*json, "cause.node");
  seen.cause_link = text_at(*json, "cause.link");
  seen.cause_what = text_at(*json, "cause.what");
  return seen;
}

Watcher::Watcher(const std::vector<std::string>& command, pid_t network_of)
    : reader_(std::make_unique<LineReader>(
          command, [this](Clock::time_point when, const std::string& line) { take(when, line); }, network_of)) {}

std::unique_ptr<Watcher> Watcher::mqtt(std::uint16_t port, const std::string& topic) {
  return std::unique_ptr<Watcher>(new Watcher(
      {"mosquitto_sub", "-h", "127.0.0.1", "-p", std::to_string(port), "-q", "1", "-t", topic, "-F", "mqtt\t%t\t%p"}));
}

std::unique_ptr<Watcher> Watcher::sse(std::uint16_t port, const std::string& match, pid_t network_of) {
  return std::unique_ptr<Watcher>(new Watcher({"curl", "-sN", "--get", "--data-urlencode", "match=" + match,
                                               "http://127.0.0.1:" + std::to_string(port) + "/api/v1/stream"},
                                              network_of));
}

// mqtt<TAB>topic<TAB>payload, or a line of an event stream.
void Watcher::take(Clock::time_point when, const std::string& line) {
  std::string body;
  bool gone = false;
  if (line.starts_with("mqtt\t")) {
    const auto tab = line.find('\t', 5);
    body = line.substr(tab + 1);
    gone = body.empty() || body == "(null)";
    if (gone) body = line.substr(5, tab - 5);
  } else if (line.starts_with("event:")) {
    event_ = line.substr(line.find_first_not_of(' ', 6));
    return;
  } else if (line.starts_with("data:")) {
    body = line.substr(line.find_first_not_of(' ', 5));
    gone = event_.starts_with("remove");
  } else {
    if (line.empty()) event_.clear();
    return;
  }
  auto seen = parse_point(body);
  const std::lock_guard lock(mutex_);
  if (gone) {
    const std::string path = seen ? seen->path : body;
    removed_.push_back(path);
    latest_.erase(path);
    return;
  }
  if (!seen) return;
  seen->when = when;
  latest_[seen->path] = *seen;
  seen_.push_back(std::move(*seen));
}

std::map<std::string, Seen> Watcher::latest() const {
  const std::lock_guard lock(mutex_);
  return latest_;
}

std::vector<Seen> Watcher::all() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::vector<std::string> Watcher::removed() const {
  const std::lock_guard lock(mutex_);
  return removed_;
}

bool Watcher::wait_for_all(const std::string& quality, std::size_t points, Clock::duration limit) const {
  const bool inverted = quality.starts_with("!");
  const std::string wanted = inverted ? quality.substr(1) : quality;
  return eventually(
      [&] {
        const std::lock_guard lock(mutex_);
        if (latest_.size() < points) return false;
        for (const auto& [path, seen] : latest_) {
          if ((seen.quality == wanted) == inverted) return false;
        }
        return true;
      },
      limit);
}

namespace {

// When each point last changed between good and not good, if it ends as wanted.
std::optional<Clock::duration> until(const std::vector<Seen>& all, Clock::time_point since, bool good) {
  struct State {
    bool good;
    Clock::time_point at;
  };
  std::map<std::string, State> states;
  for (const auto& seen : all) {
    const bool is_good = seen.quality == "good";
    const auto [it, fresh] = states.try_emplace(seen.path, State{is_good, seen.when});
    if (!fresh && it->second.good != is_good) it->second = {is_good, seen.when};
  }
  Clock::duration last{0};
  for (const auto& [path, state] : states) {
    if (state.good != good) return std::nullopt;
    last = std::max(last, state.at - since);
  }
  return last;
}

}  // namespace

std::optional<Clock::duration> Watcher::until_none_good(Clock::time_point since) const { return until(all(), since, false); }
std::optional<Clock::duration> Watcher::until_all_good(Clock::time_point since) const { return until(all(), since, true); }

}  // namespace sallyport::tests
