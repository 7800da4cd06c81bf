// What the OPC UA interop tests stand on: node-opcua's zoo server as a process of its own, and a source with a
// namespace.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "namespace/source.h"
#include "protocol/opcua/certificates.h"

namespace sallyport::opcua {

// Polls until the condition holds or the time is over.
bool eventually(const std::function<bool()>& condition, Duration timeout = std::chrono::seconds(30));
double seconds_since(MonotonicTime begin);

// A folder that is gone with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& content) const;  // returns the file's name

 private:
  std::string path_;
};

std::uint16_t free_port();

// zoo_server.js. Fails the test when it does not start.
class ZooServer {
 public:
  // `settings` is the inside of the JSON object: R"("tags": 10, "secure": true)". Port and folder are added.
  ZooServer(std::uint16_t port, const TemporaryFolder& folder, const std::string& settings = "");
  ~ZooServer();  // kills it
  ZooServer(const ZooServer&) = delete;
  ZooServer& operator=(const ZooServer&) = delete;

  std::string endpoint() const { return "opc.tcp://127.0.0.1:" + std::to_string(port_); }
  bool command(const std::string& line);  // waits until it has been carried out
  void signal(int number);
  void kill();  // SIGKILL, and waited for

 private:
  bool read_line(const std::string& expected, Duration timeout);
  std::uint16_t port_;
  int pid_ = -1, in_ = -1, out_ = -1;
  std::string pending_;
};

// A source with a namespace of its own, `into` = "zoo".
class Mirror {
 public:
  explicit Mirror(const std::string& settings);
  ~Mirror();
  PointView at(const std::string& path) const;  // below `into`; id is kNoPoint when there is none
  NamespaceCounts counts() const;
  ConnectorStatus status() const { return source_->status(); }
  bool up() const { return status().state == ConnectorState::up; }
  // Waits until the source is up; says why not.
  ::testing::AssertionResult comes_up(Duration timeout = std::chrono::seconds(60)) const;
  std::uint64_t counter(std::string_view name) const;
  std::string detail(std::string_view name) const;
  void stop() { source_->stop(); }

 private:
  SystemClock clock_;
  Namespace names_;
  Publisher publisher_;
  std::unique_ptr<Source> source_;
};

// Settings of a source that mirrors the zoo, quickly.
std::string zoo_settings(const ZooServer& zoo, const std::string& more = "");

}  // namespace sallyport::opcua
