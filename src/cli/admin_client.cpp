#include "cli/admin_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>

#include "base/json_writer.h"
#include "node/config.h"
#include "node/data_dir.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t kReadSize = 256 * 1024;
constexpr std::size_t kMaxLine = 64 * 1024 * 1024;  // a value of 16 MiB as base64 and more

Error error_of(std::string_view line) {
  boost::system::error_code failure;
  const auto parsed = boost::json::parse(line, failure);
  if (failure || !parsed.is_object()) return {ErrorCode::malformed, "the node's answer is no JSON"};
  const auto* error = parsed.get_object().if_contains("error");
  const auto* message = error && error->is_object() ? error->get_object().if_contains("message") : nullptr;
  if (!message || !message->is_string())
    return {ErrorCode::malformed, "the node's answer is no error that this program knows"};
  return {ErrorCode::refused, std::string(message->get_string())};
}

}  // namespace

Result<AdminClient> AdminClient::connect(const std::string& config_file) {
  const auto place = node::read_node_place(config_file);
  if (!place) return std::unexpected(place.error());
  auto fd = node::connect_admin(place->data_dir);
  if (fd) return AdminClient(*std::move(fd), config_file);
  if (fd.error().code != ErrorCode::unavailable) return std::unexpected(fd.error());
  return fail(ErrorCode::unavailable,
              "no node is running with " + config_file + ": start it with `sallyport run -c " + config_file + "`");
}

Result<void> AdminClient::send(std::string_view request_json) {
  std::string line(request_json);
  line += '\n';
  for (std::size_t sent = 0; sent < line.size();) {
    const auto n = ::send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) return {};  // it has answered without hearing us out: next() reads why
    if (n < 0) return std::unexpected(system_error("asking the node of " + place_, errno));
    sent += static_cast<std::size_t>(n);
  }
  return {};
}

Result<void> AdminClient::fill(std::optional<Duration> timeout) {
  buffer_.erase(0, at_);
  at_ = 0;
  if (buffer_.size() > kMaxLine) return fail(ErrorCode::limit, "the node's answer has a line that is too long");
  pollfd waiting{fd_.get(), POLLIN, 0};
  const int milliseconds =
      timeout ? static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(*timeout).count()) : -1;
  const int ready = ::poll(&waiting, 1, milliseconds);
  if (ready < 0 && errno == EINTR) return {};
  if (ready == 0)
    return fail(ErrorCode::timeout, "the node of " + place_ + " does not answer; is it frozen or overloaded?");
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kReadSize);
  const auto n = ::recv(fd_.get(), buffer_.data() + before, kReadSize, 0);
  const int error_number = errno;
  buffer_.resize(before + (n > 0 ? static_cast<std::size_t>(n) : 0));
  if (n < 0 && error_number == EINTR) return {};
  if (n <= 0) return fail(ErrorCode::closed, "the node of " + place_ + " stopped while answering");
  return {};
}

Result<std::optional<std::string_view>> AdminClient::next(std::optional<Duration> timeout) {
  std::size_t searched = at_;
  for (;;) {
    const std::size_t newline = buffer_.find('\n', searched);
    if (newline != buffer_.npos) {
      const auto line = std::string_view(buffer_).substr(at_, newline - at_);
      at_ = newline + 1;
      if (line.starts_with("{\"error\":")) return std::unexpected(error_of(line));
      if (!line.starts_with("{\"end\":true")) return line;
      end_line_ = line;
      return std::nullopt;
    }
    const std::size_t rest = buffer_.size() - at_;
    if (auto filled = fill(timeout); !filled) return std::unexpected(filled.error());
    searched = rest;
  }
}

std::string pattern_request(std::string_view command, const std::vector<std::string>& patterns) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("command", command);
  json.key("patterns");
  json.begin_array();
  for (const auto& pattern : patterns) json.string(pattern);
  json.end_array();
  json.end_object();
  return out;
}

Result<std::string> ask(const std::string& config_file, std::string_view request_json) {
  auto client = AdminClient::connect(config_file);
  if (!client) return std::unexpected(client.error());
  if (auto sent = client->send(request_json); !sent) return std::unexpected(sent.error());
  auto line = client->next();
  if (!line) return std::unexpected(line.error());
  if (!*line) return fail(ErrorCode::malformed, "the node's answer is empty");
  return std::string(**line);
}

}  // namespace sallyport::cli
