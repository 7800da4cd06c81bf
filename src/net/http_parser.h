// Requests out of bytes: no I/O. Boost.Beast parses; what it lets pass and RFC 9112 or prudence does not is refused
// here.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::net {

class HttpParser {
 public:
  explicit HttpParser(std::size_t header_limit);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  enum class State : unsigned char {
    header,  // more bytes needed
    head,    // the header is complete (once): look at it, call accept_body(), feed on
    body,    // more bytes needed
    done,    // the request is complete; what is left of the input belongs to the next one
    failed,  // see status() and reason(); the connection is of no further use
  };
  // Takes bytes off the front of `input`; what stays there must be offered again with more behind it.
  State feed(std::string& input);
  void accept_body(std::size_t limit);  // after `head`
  void reset();                         // after `done`

  int status() const { return status_; }  // 400, 413, 414, 431, 501, 505
  const std::string& reason() const { return reason_; }

  // After `head`:
  const std::string& method() const { return method_; }
  const std::string& target() const { return target_; }
  const std::vector<std::pair<std::string, std::string>>& headers() const { return headers_; }
  bool http_1_0() const { return http_1_0_; }
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }
  bool has_body() const { return has_body_; }
  // After `done`:
  std::string take_body();

 private:
  struct Impl;
  State fail(int status, std::string reason);
  State take_head();
  const char* check_head();

  std::size_t header_limit_;
  std::unique_ptr<Impl> impl_;
  State state_ = State::header;
  int status_ = 0;
  std::string reason_;
  std::string method_, target_;
  std::vector<std::pair<std::string, std::string>> headers_;
  bool http_1_0_ = false, keep_alive_ = false, expects_continue_ = false, has_body_ = false;
};

}  // namespace sallyport::net
