// The command line's end of a node's admin socket. Blocking; one request per connection.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "node/file_descriptor.h"

namespace sallyport::cli {

class AdminClient {
 public:
  // unavailable: no node runs with this config. The message says how to start it.
  static Result<AdminClient> connect(const std::string& config_file);

  Result<void> send(std::string_view request_json);
  // The next line of the answer, without newline, valid until the next call; empty optional at its end ({"end":true}).
  // An {"error":…} line comes back as that Error. No timeout given: waits for ever.
  Result<std::optional<std::string_view>> next(std::optional<Duration> timeout = kPatience);
  // Whether next() would return at once.
  bool has_line() const { return buffer_.find('\n', at_) != buffer_.npos; }
  // The {"end":true,…} line, once next() has met it.
  const std::string& end_line() const { return end_line_; }

  static constexpr Duration kPatience = std::chrono::seconds(5);

 private:
  explicit AdminClient(node::FileDescriptor fd, std::string place) : fd_(std::move(fd)), place_(std::move(place)) {}
  Result<void> fill(std::optional<Duration> timeout);

  node::FileDescriptor fd_;
  std::string place_;  // "plant.toml", for messages
  std::string buffer_;
  std::size_t at_ = 0;  // start of what has not been handed out
  std::string end_line_;
};

// {"command":"read","patterns":[…]}
std::string pattern_request(std::string_view command, const std::vector<std::string>& patterns);
// A request whose answer is one line.
Result<std::string> ask(const std::string& config_file, std::string_view request_json);

}  // namespace sallyport::cli
