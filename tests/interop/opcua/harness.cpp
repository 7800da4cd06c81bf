#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "sources/opcua/opcua_source.h"

namespace sallyport::opcua {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool eventually(const std::function<bool()>& condition, Duration timeout) {
  const MonotonicTime deadline = SystemClock().monotonic() + timeout;
  while (SystemClock().monotonic() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return condition();
}

double seconds_since(MonotonicTime begin) {
  return std::chrono::duration<double>(SystemClock().monotonic() - begin).count();
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "sallyport-opcua-XXXXXX").string();
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  path_ = name;
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}
std::string TemporaryFolder::write(const std::string& name, const std::string& content) const {
  std::ofstream(file(name), std::ios::binary) << content;
  return file(name);
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

ZooServer::ZooServer(std::uint16_t port, const TemporaryFolder& folder, const std::string& settings) : port_(port) {
  const std::string interop = SALLYPORT_SOURCE_DIR "/tests/interop";
  if (!std::filesystem::exists(interop + "/node_modules/node-opcua")) {
    ADD_FAILURE() << "node-opcua is not installed: run scripts/setup";
    return;
  }
  const std::string script = interop + "/opcua/zoo_server.js";
  const std::string json = "{\"port\": " + std::to_string(port) + ", \"folder\": \"" + folder.path() + "\"" +
                           (settings.empty() ? "" : ", " + settings) + "}";
  int in[2], out[2];
  EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
  EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
  const std::string log = folder.file("zoo.log");
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    const int error = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (error >= 0) ::dup2(error, STDERR_FILENO);
    ::execlp("node", "node", script.c_str(), json.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  in_ = in[1];
  out_ = out[0];
  if (read_line("ready", seconds(90))) return;
  std::ifstream said(log);
  ADD_FAILURE() << "the zoo did not open (is node installed? scripts/setup): "
                << std::string(std::istreambuf_iterator<char>(said), {});
}

ZooServer::~ZooServer() {
  kill();
  if (in_ >= 0) ::close(in_);
  if (out_ >= 0) ::close(out_);
}

bool ZooServer::read_line(const std::string& expected, Duration timeout) {
  const MonotonicTime deadline = SystemClock().monotonic() + timeout;
  while (SystemClock().monotonic() < deadline) {
    const std::size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      const bool found = pending_.substr(0, end) == expected;
      pending_.erase(0, end + 1);
      if (found) return true;
      continue;
    }
    pollfd wait{out_, POLLIN, 0};
    if (::poll(&wait, 1, 100) <= 0) continue;
    char buffer[4096];
    const ssize_t size = ::read(out_, buffer, sizeof buffer);
    if (size <= 0) return false;
    pending_.append(buffer, static_cast<std::size_t>(size));
  }
  return false;
}

bool ZooServer::command(const std::string& line) {
  const std::string text = line + "\n";
  return ::write(in_, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && read_line("done", seconds(30));
}

void ZooServer::signal(int number) {
  if (pid_ > 0) ::kill(pid_, number);
}

void ZooServer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

Mirror::Mirror(const std::string& settings)
    : names_(clock_), publisher_(names_, "node", "zoo", "zoo", status::kBadNoCommunication) {
  Problems problems;
  const auto table = Settings::parse(settings, "test.toml", problems);
  if (table) {
    SettingsReader reader(*table, problems);
    source_ = source_type().make({"zoo", "node", "zoo"}, reader);
    reader.finish();
  }
  for (const Problem& problem : problems) {
    if (!problem.warning) ADD_FAILURE() << to_string(problem);
  }
  EXPECT_TRUE(source_->start(publisher_));
}

Mirror::~Mirror() { source_->stop(); }

PointView Mirror::at(const std::string& path) const { return names_.read("zoo/" + path).value_or(PointView{}); }
NamespaceCounts Mirror::counts() const { return names_.counts(*Patterns::parse({"zoo/**"})); }

::testing::AssertionResult Mirror::comes_up(Duration timeout) const {
  if (eventually([this] { return up(); }, timeout)) return ::testing::AssertionSuccess();
  const ConnectorStatus now = status();
  return ::testing::AssertionFailure() << to_string(now.state) << ": " << now.reason;
}

std::uint64_t Mirror::counter(std::string_view name) const {
  for (const auto& [key, value] : status().counters) {
    if (key == name) return value;
  }
  return 0;
}

std::string Mirror::detail(std::string_view name) const {
  for (const auto& [key, value] : status().details) {
    if (key == name) return value;
  }
  return {};
}

std::string zoo_settings(const ZooServer& zoo, const std::string& more) {
  const std::string browse = more.starts_with("browse = ") ? "" : "browse = ['nsu=urn:sallyport:zoo;s=Zoo']\n";
  const std::string interval = more.contains("publishing_interval") ? "" : "publishing_interval = '100ms'\n";
  return "endpoint = '" + zoo.endpoint() + "'\n" + interval + browse + more;
}

}  // namespace sallyport::opcua
