// A plant, a DMZ and an office on one machine, made of the real program: keys, configurations, nodes, a broker, an OPC UA
// plant; and questions to them by the command line, as a user would ask.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gate.h"
#include "network.h"
#include "process.h"
#include "watcher.h"

namespace sallyport::tests {

// The program under test; the environment variable SALLYPORT_PROGRAM names another one.
std::string sallyport_program();

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();  // removes it, unless SALLYPORT_KEEP is set
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const;  // returns the file's name

 private:
  std::string path_;
};

// `sallyport keys` in a folder; certificates are made once.
class Pki {
 public:
  explicit Pki(const std::string& folder, const std::string& algorithm = {});
  void issue(const std::string& name, const std::vector<std::string>& more = {});
  std::string identity_of(const std::string& name) const;  // the [identity] table
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_, algorithm_;
};

// One `sallyport run`.
class Node {
 public:
  // `config` follows [node] and [identity].
  Node(const TempFolder& folder, Pki& pki, const std::string& name, const std::string& config, pid_t network_of = 0, int threads = 1);

  void start(const std::vector<std::string>& before = {});  // before: {"strace", "-o", …}
  bool wait_ready(Clock::duration limit = seconds(20));      // its `ready` line
  void rewrite(const std::string& config);
  Process& process() { return process_; }
  const std::string& name() const { return name_; }
  const std::string& config_file() const { return config_file_; }
  std::string log() const;

  Finished ask(std::vector<std::string> words, Clock::duration limit = seconds(20));  // sallyport WORDS… -c FILE
  boost::json::value status();                              // null when it does not answer
  std::string digest();                                     // `dump --digest`; empty when it does not answer
  bool wait_link(const std::string& link, const std::string& state, Clock::duration limit);
  std::string link_field(const std::string& link, const std::string& field);
  std::string points(const std::string& quality);           // status: points.good, …

 private:
  std::string name_, config_file_, log_file_, head_;
  pid_t network_of_;
  Process process_;
};

// Mosquitto on a free loopback port.
class Broker {
 public:
  explicit Broker(const TempFolder& folder);
  std::uint16_t port() const { return port_; }
  Process& process() { return process_; }
  void start();

 private:
  std::string config_file_, log_file_;
  std::uint16_t port_;
  Process process_;
};

// `sallyport simulate`: an OPC UA server with a plant behind it.
class Plant {
 public:
  Plant(const TempFolder& folder, const std::vector<std::string>& arguments, const std::string& address = "127.0.0.1", pid_t network_of = 0);
  void start();
  std::string endpoint() const { return "opc.tcp://" + address_ + ":" + std::to_string(port_); }
  Process& process() { return process_; }

 private:
  std::string address_, log_file_;
  std::vector<std::string> arguments_;
  std::uint16_t port_;
  pid_t network_of_;
  Process process_;
};

struct HttpReply {
  int code = 0;
  std::string body;
};
HttpReply http_get(std::uint16_t port, const std::string& target, pid_t network_of = 0);

// A chain of nodes n-1 → n-2 → … → n-K. Each but the last dials the next, and the last dials back: so both ends dial out,
// and whatever lies between listens. The last serves MQTT (by a broker of its own) and HTTP.
struct ChainOptions {
  int nodes = 3;
  std::string source;             // [[source.…]] tables of the first node; default: a simulator
  std::string heartbeat = "1s", timeout = "3s";
  bool gated = false;             // a Gate in front of each listening node's port
  bool cable = false;             // one node lives behind a Cable:
  bool cable_to_last = false;     // not the first but the last one
  bool broker = true;
  int threads = 1;                // [node] threads of each
  std::string listen_extra;       // more [[listen.peer]] tables of the second node
  std::string last_extra;         // more tables of the last node
};

class Chain {
 public:
  explicit Chain(ChainOptions options = {});
  ~Chain();
  void start();                   // everything, and waits for `ready`
  void start_node(std::size_t index);
  std::size_t size() const { return nodes_.size(); }
  Node& node(std::size_t index) { return *nodes_[index]; }
  Node& first() { return *nodes_.front(); }
  Node& last() { return *nodes_.back(); }
  Gate& gate(std::size_t link) { return *gates_[link]; }  // of the connection between node `link` and `link` + 1
  Cable& cable() { return *cable_; }
  Broker& broker() { return *broker_; }
  Pki& pki() { return *pki_; }
  const TempFolder& folder() const { return folder_; }
  std::uint16_t http_port() const { return http_port_; }
  pid_t last_network() const { return options_.cable_to_last ? cable_->plant() : 0; }  // where the last node's HTTP listens
  std::uint16_t port(std::size_t index) const { return ports_[index]; }  // where node `index` listens
  std::string problem() const;    // why it cannot be here (no privilege)
  bool wait_points(std::size_t points, Clock::duration limit = seconds(30));  // good at the last node
  // `dump --digest` of each node, the first one's first.
  std::vector<std::string> digests();
  std::string logs();

 private:
  std::string config_of(std::size_t index);
  std::string dial_address(std::size_t link) const;
  bool behind_cable(std::size_t index) const;
  ChainOptions options_;
  TempFolder folder_;
  std::unique_ptr<Pki> pki_;
  std::unique_ptr<Cable> cable_;
  std::unique_ptr<Broker> broker_;
  std::vector<std::uint16_t> ports_;
  std::uint16_t http_port_ = 0;
  std::vector<std::unique_ptr<Gate>> gates_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace sallyport::tests
