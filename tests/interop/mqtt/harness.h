// What the MQTT tests are made of: a Mosquitto broker of our own, foreign consumers, and a namespace with a sink.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "namespace/namespace.h"
#include "namespace/sink.h"
#include "namespace/source.h"

namespace sallyport::interop {

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  void write(std::string_view name, std::string_view text) const;

 private:
  std::string path_;
};

// A child process that ends with us. Its standard output is collected line by line.
class Process {
 public:
  explicit Process(std::vector<std::string> arguments);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void signal(int number) const;
  void kill();  // SIGKILL, and waits for it
  int wait();   // for its end; exit status
  std::vector<std::string> lines() const;
  pid_t pid() const { return pid_; }

 private:
  void read_output(int fd);
  pid_t pid_ = -1;
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  std::thread reader_;
};
// Runs a program to its end; a failure is a test failure. Returns its output.
std::string run(std::vector<std::string> arguments);

// Until the condition holds; false after a generous time.
bool eventually(const std::function<bool()>& condition, std::chrono::seconds at_most = std::chrono::seconds(30));
std::uint16_t free_port();

class Broker {
 public:
  // More lines of mosquitto.conf; `listener` and its port come first.
  // Optionally with an OpenSSL configuration file of its own.
  explicit Broker(std::string configuration = "allow_anonymous true\n", std::string openssl_conf = "/dev/null");
  void start();  // returns once it listens
  void kill() { process_->kill(); }
  void freeze() { process_->signal(19); }
  void thaw() { process_->signal(18); }
  std::uint16_t port() const { return port_; }
  const TempFolder& folder() const { return folder_; }
  std::string url(std::string_view scheme = "mqtt") const;

 private:
  TempFolder folder_;
  std::string configuration_, openssl_conf_;
  std::uint16_t port_;
  std::unique_ptr<Process> process_;
};

struct Received {
  std::string topic, payload;
  int qos = 0;
  bool retain = false;
};

// mosquitto_sub: connected when the constructor returns; keeps all it receives.
class Subscriber {
 public:
  explicit Subscriber(const Broker& broker, const std::string& pattern = "#", std::vector<std::string> more = {});
  std::vector<Received> received() const;
  std::map<std::string, Received> latest() const;  // by topic
  // The last payload of a topic, empty when there was none.
  std::string last(const std::string& topic) const;

 private:
  Process process_;
};
// All retained values under a pattern that a new subscriber gets now.
std::map<std::string, std::string> retained(const Broker& broker, const std::string& pattern = "acme/#");

// A namespace with a source "line1" of points acme/t0, acme/t1 …, all 0, and an MQTT sink "broker" that publishes
// acme/**.
class Mirror {
 public:
  Mirror(const std::string& url, std::string_view more_settings = "", std::size_t points = 4);
  ~Mirror();
  void set(std::size_t point, double value);
  ConnectorStatus status() const { return sink->status(); }
  bool up() const { return status().state == ConnectorState::up; }
  std::uint64_t counter(std::string_view name) const;
  std::string detail(std::string_view name) const;

  SystemClock clock;
  Meta meta;
  Namespace ns{clock};
  Publisher source{ns, "plant-1", "line1", "acme", status::kBadNoCommunication};
  std::vector<PointId> ids;
  std::unique_ptr<Sink> sink;
};

}  // namespace sallyport::interop
