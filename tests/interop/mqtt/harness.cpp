#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sinks/mqtt/mqtt_sink.h"

namespace sallyport::interop {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// %x-escaped payloads would be safer, but our payloads have no line breaks; a tab parts the fields.
constexpr const char* kFormat = "%r\t%q\t%t\t%p";

Received parse(const std::string& line) {
  std::istringstream in(line);
  Received message;
  std::string field;
  std::getline(in, field, '\t');
  message.retain = field == "1";
  std::getline(in, field, '\t');
  message.qos = field == "1" ? 1 : 0;
  std::getline(in, message.topic, '\t');
  std::getline(in, message.payload);
  return message;
}

bool can_connect(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool ok = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return ok;
}

}  // namespace

TempFolder::TempFolder() {
  char name[] = "/tmp/sallyport-mqtt-XXXXXX";
  path_ = mkdtemp(name);
}
TempFolder::~TempFolder() { std::filesystem::remove_all(path_); }
void TempFolder::write(std::string_view name, std::string_view text) const { std::ofstream(*this / name) << text; }

Process::Process(std::vector<std::string> arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(ends[1], STDOUT_FILENO);
    if (std::getenv("SALLYPORT_TEST_VERBOSE") == nullptr) dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  reader_ = std::thread([this, fd = ends[0]] { read_output(fd); });
}

Process::~Process() { kill(); }

void Process::read_output(int fd) {
  std::string rest;
  char buffer[65536];
  for (ssize_t size; (size = read(fd, buffer, sizeof buffer)) > 0;) {
    rest.append(buffer, static_cast<std::size_t>(size));
    std::size_t begin = 0;
    const std::lock_guard lock(mutex_);
    for (std::size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1)
      lines_.push_back(rest.substr(begin, end - begin));
    rest.erase(0, begin);
  }
  close(fd);
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}
void Process::kill() {
  signal(SIGKILL);
  wait();
}
int Process::wait() {
  int status = 0;
  if (pid_ > 0) waitpid(pid_, &status, 0);
  pid_ = -1;
  if (reader_.joinable()) reader_.join();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
std::vector<std::string> Process::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

std::string run(std::vector<std::string> arguments) {
  const std::string name = arguments[0];
  Process process(std::move(arguments));
  EXPECT_EQ(process.wait(), 0) << name << " failed";
  std::string all;
  for (const std::string& line : process.lines()) all += line + "\n";
  return all;
}

bool eventually(const std::function<bool()>& condition, std::chrono::seconds at_most) {
  const auto deadline = steady_clock::now() + at_most;
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return true;
}

std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

Broker::Broker(std::string configuration, std::string openssl_conf)
    : configuration_(std::move(configuration)), openssl_conf_(std::move(openssl_conf)), port_(free_port()) {}

void Broker::start() {
  folder_.write("mosquitto.conf", "listener " + std::to_string(port_) +
                                      " 127.0.0.1\nuser root\nmax_queued_messages 0\n" + configuration_);
  process_ = std::make_unique<Process>(
      std::vector<std::string>{"env", "OPENSSL_CONF=" + openssl_conf_, "mosquitto", "-c", folder_ / "mosquitto.conf"});
  ASSERT_TRUE(eventually([&] { return can_connect(port_); })) << "mosquitto does not listen";
}

std::string Broker::url(std::string_view scheme) const {
  return std::string(scheme) + "://127.0.0.1:" + std::to_string(port_);
}

namespace {
std::vector<std::string> subscribe_command(const Broker& broker, const std::string& pattern,
                                           std::vector<std::string> more) {
  std::vector<std::string> command = {
      "stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", std::to_string(broker.port()), "-q", "1", "-t",
      pattern,  "-t",  "test/marker",   "-F", kFormat};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}
}  // namespace

Subscriber::Subscriber(const Broker& broker, const std::string& pattern, std::vector<std::string> more)
    : process_(subscribe_command(broker, pattern, more)) {
  // It says nothing when it has subscribed: send marks until one comes back.
  std::vector<std::string> mark = {
      "mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(broker.port()), "-t", "test/marker", "-q", "1", "-m",
      "here"};
  mark.insert(mark.end(), more.begin(), more.end());
  EXPECT_TRUE(eventually([&] {
    run(mark);
    std::this_thread::sleep_for(milliseconds(50));
    return !last("test/marker").empty();
  }));
}

std::vector<Received> Subscriber::received() const {
  std::vector<Received> all;
  for (const std::string& line : process_.lines()) all.push_back(parse(line));
  return all;
}

std::map<std::string, Received> Subscriber::latest() const {
  std::map<std::string, Received> latest;
  for (Received& message : received()) latest[message.topic] = message;
  return latest;
}

std::string Subscriber::last(const std::string& topic) const {
  const auto all = latest();
  const auto found = all.find(topic);
  return found == all.end() ? "" : found->second.payload;
}

std::map<std::string, std::string> retained(const Broker& broker, const std::string& pattern) {
  // Retained messages come before anything that is published later, so the marker ends them.
  std::map<std::string, std::string> values;
  for (const auto& [topic, message] : Subscriber(broker, pattern).latest()) {
    if (message.retain) values[topic] = message.payload;
  }
  return values;
}

Mirror::Mirror(const std::string& url, std::string_view more_settings, std::size_t points) : ids(points) {
  std::vector<Definition> definitions(points);
  std::vector<std::string> paths(points);
  meta.type = Type::float64;
  for (std::size_t i = 0; i < points; ++i) {
    paths[i] = "t" + std::to_string(i);
    definitions[i] = {.path = paths[i], .meta = &meta, .first = {}, .covered = false};
    definitions[i].first.value = Value::from(0.0);
    definitions[i].first.source_time = clock.utc();
  }
  source.define(definitions, ids);
  source.live();

  Problems problems;
  const std::string text = "broker = \"" + url + "\"\n" + std::string(more_settings);
  auto settings = Settings::parse(text, "node.toml", problems);
  if (settings) {
    SettingsReader reader(*settings, problems);
    sink = mqtt::sink_type().make({.name = "broker", .node = "ai-1", .publish = *Patterns::parse({"acme/**"})}, reader);
    reader.finish();
  }
  for (const Problem& problem : problems) EXPECT_TRUE(problem.warning) << to_string(problem);
  EXPECT_TRUE(sink->start(ns));
}

Mirror::~Mirror() { sink->stop(); }

void Mirror::set(std::size_t point, double value) {
  Change change{.point = ids[point], .status = status::kGood, .source_time = clock.utc(), .value = Value::from(value)};
  source.publish({&change, 1});
}

std::uint64_t Mirror::counter(std::string_view name) const {
  for (const auto& [key, value] : status().counters) {
    if (key == name) return value;
  }
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

std::string Mirror::detail(std::string_view name) const {
  for (const auto& [key, value] : status().details) {
    if (key == name) return value;
  }
  return "";
}

}  // namespace sallyport::interop
