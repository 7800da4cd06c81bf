#include "tail.h"

#include <algorithm>

namespace sallyport::tests {

Tail::Tail(std::uint16_t http_port) : port_(http_port) { connect(); }

void Tail::connect() {
  reader_.reset();
  const std::string url = "http://127.0.0.1:" + std::to_string(port_) + "/api/v1/stream";
  reader_ = std::make_unique<LineReader>(std::vector<std::string>{"curl", "-sN", "--retry", "100", "--retry-connrefused", "--retry-delay", "1", url},
                                         [this](Clock::time_point when, const std::string& line) { take(when, line); });
}

void Tail::take(Clock::time_point when, const std::string& line) {
  if (!line.starts_with("data:")) return;
  const auto seen = parse_point(line.substr(line.find_first_not_of(' ', 5)));
  if (!seen || seen->quality.empty()) return;
  ++updates_;
  const std::lock_guard lock(mutex_);
  State& state = points_[seen->path];
  const bool good = seen->quality == "good";
  if (seen->timestamp < state.timestamp && backwards_++ == 0) first_backwards_ = "after " + state.timestamp + " came " + line;
  if (good != state.good || state.timestamp.empty()) state.turned = when;
  state.good = good;
  state.timestamp = seen->timestamp;
}

std::string Tail::first_backwards() const {
  const std::lock_guard lock(mutex_);
  return first_backwards_;
}

std::size_t Tail::good() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(points_, [](const auto& point) { return point.second.good; }));
}

std::string Tail::some_good() const {
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find_if(points_, [](const auto& point) { return point.second.good; });
  return at == points_.end() ? std::string() : at->first;
}

std::optional<Clock::time_point> Tail::none_good_since() const {
  const std::lock_guard lock(mutex_);
  Clock::time_point last{};
  for (const auto& [path, state] : points_) {
    if (state.good) return std::nullopt;
    last = std::max(last, state.turned);
  }
  return last;
}

}  // namespace sallyport::tests
