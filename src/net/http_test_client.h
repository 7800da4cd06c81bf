// For tests of HTTP: raw sockets that send whatever bytes they are told to, curl as a foreign client, and a loop on a
// thread of its own.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "net/loop.h"

namespace sallyport::net {

// Runs the loop; `on` runs something on it and waits.
class LoopThread {
 public:
  LoopThread() : thread_([this] { loop_.run(); }) {}
  ~LoopThread() {
    loop_.stop();
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;
  Loop& loop() { return loop_; }
  template <typename Task>
  auto on(Task task) {
    std::packaged_task<decltype(task())()> packaged(std::move(task));
    auto result = packaged.get_future();
    loop_.post([&packaged] { packaged(); });
    return result.get();
  }

 private:
  Loop loop_;
  std::thread thread_;
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port, int receive_buffer = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  ~RawClient() { ::close(socket_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void finish_sending() { ::shutdown(socket_, SHUT_WR); }

  // Reads at most `max` bytes more; false when the peer has closed, or nothing came in time.
  bool read_some(std::size_t max = 65536, std::chrono::milliseconds within = std::chrono::seconds(10)) {
    pollfd wait{socket_, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(within.count())) <= 0) return false;
    std::string piece(max, '\0');
    const auto size = ::recv(socket_, piece.data(), piece.size(), 0);
    if (size <= 0) {
      closed_ = true;
      return false;
    }
    received_.append(piece, 0, static_cast<std::size_t>(size));
    return true;
  }
  // All that comes until this text is among it (and where), or npos.
  std::size_t read_until(std::string_view text, std::chrono::milliseconds within = std::chrono::seconds(10)) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    for (std::size_t from = 0;;) {
      if (const std::size_t at = received_.find(text, from); at != std::string::npos) return at;
      from = received_.size() < text.size() ? 0 : received_.size() - text.size();
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0 || !read_some(65536, left)) return std::string::npos;
    }
  }
  std::string read_all(std::chrono::milliseconds within = std::chrono::seconds(10)) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0 || !read_some(65536, left)) return received_;
    }
  }
  bool closed() const { return closed_; }  // seen by a read
  std::string& received() { return received_; }
  int descriptor() const { return socket_; }

 private:
  int socket_;
  bool connected_ = false;
  bool closed_ = false;
  std::string received_;
};

// What one raw exchange brings back; the server closes.
inline std::string exchange(std::uint16_t port, std::string_view request) {
  RawClient client(port);
  client.send(request);
  return client.read_all();
}

struct CommandResult {
  int status = -1;
  std::string output;
};
inline CommandResult run_command(const std::string& command) {
  CommandResult result;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) return result;
  std::array<char, 4096> piece;
  for (std::size_t size; (size = std::fread(piece.data(), 1, piece.size(), pipe)) > 0;)
    result.output.append(piece.data(), size);
  const int status = ::pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}
inline CommandResult curl(const std::string& arguments) { return run_command("curl -sS --max-time 20 " + arguments); }

}  // namespace sallyport::net
