// What the tests of net/ share: a folder, an authority with identities, a loop that runs until something is true, and
// peers that are not ours (openssl s_client and s_server, bare sockets). Tests only.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "net/pki.h"
#include "net/tls.h"

namespace sallyport::net::testing {

using namespace std::chrono_literals;

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-net-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string read_text(const std::string& file) {
  std::ostringstream out;
  out << std::ifstream(file, std::ios::binary).rdbuf();
  return out.str();
}
inline void write_text(const std::string& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

// An authority and what it issues, each in a folder of its own.
class Pki {
 public:
  explicit Pki(KeyAlgorithm algorithm = KeyAlgorithm::ml_dsa_65) : algorithm_(algorithm) {
    const auto made = make_ca({.folder = folder.path(), .name = "test CA", .algorithm = algorithm});
    if (!made) ADD_FAILURE() << made.error().message;
  }
  IdentityFiles issue(const std::string& name, int days = 60, int not_before_days_ago = 0) {
    return issue(
        IssueRequest{.name = name, .algorithm = algorithm_, .days = days, .not_before_days_ago = not_before_days_ago});
  }
  IdentityFiles issue(IssueRequest request) {
    request.ca_folder = request.folder = folder.path();
    const auto issued = issue_certificate(request);
    if (!issued) ADD_FAILURE() << issued.error().message;
    return {folder / (request.name + ".crt"), folder / (request.name + ".key"), folder / "ca.crt"};
  }
  std::shared_ptr<const TlsIdentity> identity(const std::string& name) { return load(issue(name), name); }
  static std::shared_ptr<const TlsIdentity> load(const IdentityFiles& files, const std::string& name) {
    auto identity = TlsIdentity::load(files, name);
    if (!identity) ADD_FAILURE() << identity.error().message;
    return identity ? *identity : nullptr;
  }
  TempFolder folder;

 private:
  KeyAlgorithm algorithm_;
};

// Runs the loop on this thread until `done()` is true. False after `limit`.
inline bool run_until(Loop& loop, const std::function<bool()>& done, Duration limit = 20s) {
  const SystemClock clock;
  const MonotonicTime end = clock.monotonic() + limit;
  Timer timer(loop);
  std::function<void()> look = [&] {
    if (done() || clock.monotonic() > end) return loop.stop();
    timer.after(2ms, look);
  };
  loop.post([&] { look(); });
  loop.run();
  return done();
}
inline void run_for(Loop& loop, Duration span) {
  Timer timer(loop);
  timer.after(span, [&loop] { loop.stop(); });
  loop.run();
}

// A program that is not ours. What it prints (both streams) goes to a file; it is killed, by its id, with the object.
class Process {
 public:
  explicit Process(std::vector<std::string> arguments) : output_(folder_ / "output") {
    std::array<int, 2> input{};
    if (::pipe2(input.data(), O_CLOEXEC) != 0) ADD_FAILURE() << "pipe2";
    input_ = input[1];
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, input[0], 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, output_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::posix_spawnp(&id_, argv[0], &actions, nullptr, argv.data(), environ) != 0)
      ADD_FAILURE() << "cannot start " << argv[0];
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(input[0]);
  }
  ~Process() {
    ::close(input_);
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  std::string output() const { return read_text(output_); }
  void type(const std::string& text) const {
    if (::write(input_, text.data(), text.size()) < 0) ADD_FAILURE() << "cannot write to the process";
  }
  bool ended() {
    if (id_ > 0 && ::waitpid(id_, nullptr, WNOHANG) == id_) id_ = 0;
    return id_ <= 0;
  }

 private:
  TempFolder folder_;
  std::string output_;
  int input_ = -1;
  pid_t id_ = 0;
};

// A bare, blocking TCP socket to 127.0.0.1.
class RawSocket {
 public:
  explicit RawSocket(int descriptor) : descriptor_(descriptor) {}
  static RawSocket connect_to(std::uint16_t port) {
    RawSocket made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port);
    if (::connect(made.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ADD_FAILURE() << "connect";
    }
    return made;
  }
  static RawSocket listen_on_loopback() {
    RawSocket made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(0);
    if (::bind(made.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(made.descriptor_, 16) != 0) {
      ADD_FAILURE() << "listen";
    }
    return made;
  }
  ~RawSocket() { close(); }
  RawSocket(RawSocket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  RawSocket& operator=(RawSocket&&) = delete;

  std::uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }
  int descriptor() const { return descriptor_; }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  bool send(std::string_view bytes) const {
    return ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // Has the other side closed (or reset)? Discards what has come.
  bool closed() const {
    std::array<char, 4096> rubbish;
    for (;;) {
      const ssize_t got = ::recv(descriptor_, rubbish.data(), rubbish.size(), MSG_DONTWAIT);
      if (got < 0) return errno != EAGAIN;
      if (got == 0) return true;
    }
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  int descriptor_;
};

// A listener that keeps what it accepts.
struct Server {
  Server(Loop& loop, std::shared_ptr<const TlsIdentity> identity, ListenOptions options = {}) {
    if (options.address.host.empty()) options.address = {"127.0.0.1", 0};
    auto made = listen(loop, std::move(identity), std::move(options),
                       [this](std::unique_ptr<TlsStream> stream) { streams.push_back(std::move(stream)); });
    if (!made)
      ADD_FAILURE() << made.error().message;
    else
      listener = std::move(*made);
  }
  std::uint16_t port() const { return listener->port(); }
  ListenerCounters counters() const { return listener->counters(); }
  std::vector<std::unique_ptr<TlsStream>> streams;
  std::unique_ptr<TlsListener> listener;
};

struct Client {
  Client(Loop& loop, std::shared_ptr<const TlsIdentity> identity, std::uint16_t port, std::string peer) {
    start(loop, std::move(identity), {.address = {"127.0.0.1", port}, .peer_name = std::move(peer)});
  }
  Client(Loop& loop, std::shared_ptr<const TlsIdentity> identity, DialOptions options) {
    start(loop, std::move(identity), std::move(options));
  }
  void start(Loop& loop, std::shared_ptr<const TlsIdentity> identity, DialOptions options) {
    attempt = dial(loop, std::move(identity), std::move(options), [this](Result<std::unique_ptr<TlsStream>> result) {
      ++calls;
      if (result)
        stream = std::move(*result);
      else
        error = result.error();
    });
  }
  bool done() const { return calls > 0; }
  std::unique_ptr<TlsStream> stream;
  Error error;
  int calls = 0;
  std::unique_ptr<DialAttempt> attempt;
};

// Reads until the stream ends, and keeps the reason.
struct Ending {
  explicit Ending(TlsStream& from) : stream(from) { look(); }
  void look() {
    std::array<std::byte, 4096> buffer;
    for (;;) {
      const IoResult result = stream.read(buffer);
      if (result.kind == IoResult::Kind::would_block) return stream.when_readable([this] { look(); });
      if (result.kind != IoResult::Kind::bytes) return void(reason = result.reason);
      text.append(reinterpret_cast<const char*>(buffer.data()), result.size);
    }
  }
  bool done() const { return !reason.empty(); }
  TlsStream& stream;
  std::string text;
  std::string reason;
};

}  // namespace sallyport::net::testing
