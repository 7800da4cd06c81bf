#include "harness.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "json.h"

namespace sallyport::tests {

namespace fs = std::filesystem;

std::string sallyport_program() {
  const char* other = std::getenv("SALLYPORT_PROGRAM");
  return other != nullptr ? other : SALLYPORT_PROGRAM;
}

// --- TempFolder --------------------------------------------------------------------------------------------------------

TempFolder::TempFolder() {
  std::string name = (fs::temp_directory_path() / "sallyport-test-XXXXXX").string();
  path_ = ::mkdtemp(name.data()) != nullptr ? name : std::string();
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  if (!path_.empty() && std::getenv("SALLYPORT_KEEP") == nullptr) fs::remove_all(path_, ignored);
}

std::string TempFolder::write(const std::string& name, const std::string& text) const {
  const std::string file = path_ + "/" + name;
  fs::create_directories(fs::path(file).parent_path());
  std::ofstream(file, std::ios::trunc) << text;
  return file;
}

namespace {

bool has_line(const std::string& file, const std::string& wanted) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line == wanted) return true;
  }
  return false;
}

}  // namespace

// --- Pki ---------------------------------------------------------------------------------------------------------------

Pki::Pki(const std::string& folder, const std::string& algorithm) : folder_(folder), algorithm_(algorithm) {
  std::vector<std::string> command{sallyport_program(), "keys", "ca", "--out", folder_};
  if (!algorithm_.empty()) command.insert(command.end(), {"--algorithm", algorithm_});
  run(command);
}

void Pki::issue(const std::string& name, const std::vector<std::string>& more) {
  if (fs::exists(folder_ + "/" + name + ".crt")) return;
  std::vector<std::string> command{sallyport_program(), "keys", "issue", "--ca", folder_, "--name", name, "--out", folder_};
  if (!algorithm_.empty()) command.insert(command.end(), {"--algorithm", algorithm_});
  command.insert(command.end(), more.begin(), more.end());
  run(command);
}

std::string Pki::identity_of(const std::string& name) const {
  const std::string stem = folder_ + "/" + name;
  return "[identity]\ncertificate = \"" + stem + ".crt\"\nprivate_key = \"" + stem + ".key\"\ntrust = \"" + folder_ + "/ca.crt\"\n";
}

// --- Node --------------------------------------------------------------------------------------------------------------

Node::Node(const TempFolder& folder, Pki& pki, const std::string& name, const std::string& config, pid_t network_of, int threads)
    : name_(name), config_file_(folder.path() + "/" + name + ".toml"), log_file_(folder.path() + "/" + name + ".log"),
      network_of_(network_of) {
  pki.issue(name);
  head_ = "[node]\nname = \"" + name + "\"\ndata_dir = \"" + folder.path() + "/" + name + "-data\"\nthreads = " + std::to_string(threads) + "\n" + pki.identity_of(name);
  rewrite(config);
}

void Node::rewrite(const std::string& config) { std::ofstream(config_file_, std::ios::trunc) << head_ << config; }

void Node::start(const std::vector<std::string>& before) {
  std::error_code ignored;
  fs::remove(log_file_, ignored);
  std::vector<std::string> command = before;
  command.insert(command.end(), {sallyport_program(), "run", "-c", config_file_});
  process_ = Process(command, {.network_of = network_of_, .output_file = log_file_, .output_fd = -1});
}

bool Node::wait_ready(Clock::duration limit) {
  eventually([this] { return has_line(log_file_, "ready") || !process_.running(); }, limit);
  return has_line(log_file_, "ready");
}

std::string Node::log() const {
  std::ostringstream text;
  text << std::ifstream(log_file_).rdbuf();
  return text.str();
}

Finished Node::ask(std::vector<std::string> words, Clock::duration limit) {
  words.insert(words.begin(), sallyport_program());
  words.insert(words.end(), {"-c", config_file_});
  return run(words, limit);
}

boost::json::value Node::status() { return parse_json(ask({"status", "--json"}).output).value_or(nullptr); }

std::string Node::digest() {
  const Finished finished = ask({"dump", "--digest"});
  return finished.code == 0 ? finished.output.substr(0, finished.output.find('\n')) : std::string();
}

std::string Node::link_field(const std::string& link, const std::string& field) {
  const auto json = status();
  const auto* links = find_json(json, "links");
  if (links == nullptr || !links->is_array()) return {};
  for (const auto& entry : links->as_array()) {
    if (text_at(entry, "name") == link) return text_at(entry, field);
  }
  return {};
}

bool Node::wait_link(const std::string& link, const std::string& state, Clock::duration limit) {
  return eventually([&] { return link_field(link, "state") == state; }, limit);
}

std::string Node::points(const std::string& quality) { return text_at(status(), "points." + quality); }

// --- Broker ------------------------------------------------------------------------------------------------------------

Broker::Broker(const TempFolder& folder) : log_file_(folder.path() + "/mosquitto.log"), port_(free_port()) {
  config_file_ = folder.write("mosquitto.conf", "listener " + std::to_string(port_) +
                                                    " 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n");
  start();
}

void Broker::start() {
  process_ = Process({"mosquitto", "-c", config_file_}, {.network_of = 0, .output_file = log_file_, .output_fd = -1});
  eventually([this] { return send_raw(port_, "", 1).connected; }, seconds(10));
}

// --- Plant -------------------------------------------------------------------------------------------------------------

Plant::Plant(const TempFolder& folder, const std::vector<std::string>& arguments, const std::string& address, pid_t network_of)
    : address_(address), log_file_(folder.path() + "/plant.log"), arguments_(arguments), port_(free_port()), network_of_(network_of) {
  start();
}

void Plant::start() {
  std::error_code ignored;
  fs::remove(log_file_, ignored);
  std::vector<std::string> command{sallyport_program(), "simulate", "--listen", address_ + ":" + std::to_string(port_)};
  command.insert(command.end(), arguments_.begin(), arguments_.end());
  process_ = Process(command, {.network_of = network_of_, .output_file = log_file_, .output_fd = -1});
  eventually([this] { return !process_.running() || has_line(log_file_, "ready"); }, seconds(15));
}

// --- HTTP --------------------------------------------------------------------------------------------------------------

HttpReply http_get(std::uint16_t port, const std::string& target, pid_t network_of) {
  const std::string url = "http://127.0.0.1:" + std::to_string(port) + target;
  const Finished finished = run({"curl", "-s", "-m", "10", "-w", "\n%{http_code}", url}, seconds(20), network_of);
  const auto line = finished.output.rfind('\n');
  if (line == std::string::npos) return {};
  return {std::atoi(finished.output.c_str() + line + 1), finished.output.substr(0, line)};
}

// --- Chain -------------------------------------------------------------------------------------------------------------

namespace {

std::string name_of(std::size_t index) { return "n-" + std::to_string(index + 1); }

}  // namespace

Chain::Chain(ChainOptions options) : options_(std::move(options)) {
  if (options_.source.empty()) {
    options_.source = "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\npoints = 20\nrate = 100\nseed = 7\nshape = \"ramp\"\n";
  }
  pki_ = std::make_unique<Pki>(folder_.path() + "/pki");
  if (options_.cable) cable_ = std::make_unique<Cable>();
  if (!problem().empty()) return;
  if (options_.broker) broker_ = std::make_unique<Broker>(folder_);
  const auto count = static_cast<std::size_t>(options_.nodes);
  http_port_ = free_port();
  for (std::size_t i = 0; i < count; ++i) ports_.push_back(free_port());
  for (std::size_t link = 0; options_.gated && link + 1 < count; ++link) {
    gates_.push_back(std::make_unique<Gate>(ports_[link + 2 < count || count == 2 ? link + 1 : link]));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const pid_t network = behind_cable(i) ? cable_->plant() : 0;
    nodes_.push_back(std::make_unique<Node>(folder_, *pki_, name_of(i), config_of(i), network, options_.threads));
  }
}

Chain::~Chain() {
  for (auto& node : nodes_) node->process().thaw();
}

std::string Chain::problem() const { return cable_ ? cable_->problem() : std::string(); }

bool Chain::behind_cable(std::size_t index) const { return cable_ && index == (options_.cable_to_last ? ports_.size() - 1 : 0); }

// Link i joins node i and i + 1. The last node dials back, except in a chain of two.
std::string Chain::dial_address(std::size_t link) const {
  const bool back = ports_.size() > 2 && link + 2 == ports_.size();
  const std::uint16_t port = options_.gated ? gates_[link]->port() : ports_[back ? link : link + 1];
  const bool over_cable = behind_cable(link) || behind_cable(link + 1);
  return (over_cable ? cable_->here_address() : "127.0.0.1") + ":" + std::to_string(port);
}

std::string Chain::config_of(std::size_t index) {
  const std::size_t count = ports_.size();
  const bool last = index + 1 == count;
  const std::string times = "heartbeat = \"" + options_.heartbeat + "\"\ntimeout = \"" + options_.timeout + "\"\n";
  std::string text = index == 0 ? options_.source : "";
  const bool dials_next = !last && (count == 2 || index + 2 < count);
  if (dials_next) {
    text += "[[link]]\nname = \"" + name_of(index + 1) + "\"\ndial = \"" + dial_address(index) + "\"\npeer = \"" + name_of(index + 1) +
            "\"\nsend = [\"**\"]\n" + times;
  }
  if (last && count > 2) {
    text += "[[link]]\nname = \"" + name_of(index - 1) + "\"\ndial = \"" + dial_address(index - 1) + "\"\npeer = \"" + name_of(index - 1) +
            "\"\nreceive = [\"**\"]\n" + times;
  }
  const bool listens = index > 0 && (!last || count == 2);
  if (listens) {
    text += "[listen]\naddress = \"" + std::string(cable_ && index == 1 ? "0.0.0.0" : "127.0.0.1") + ":" + std::to_string(ports_[index]) + "\"\n";
    text += "[[listen.peer]]\nname = \"" + name_of(index - 1) + "\"\nreceive = [\"**\"]\n" + times;
    if (index == 1) text += options_.listen_extra;
    if (!last && index + 2 == count) text += "[[listen.peer]]\nname = \"" + name_of(index + 1) + "\"\nsend = [\"**\"]\n" + times;
  }
  if (last) {
    text += options_.last_extra + "[http]\naddress = \"127.0.0.1:" + std::to_string(http_port_) + "\"\n";
    if (broker_) {
      text += "[[sink.mqtt]]\nname = \"broker\"\nbroker = \"mqtt://127.0.0.1:" + std::to_string(broker_->port()) +
              "\"\npublish = [\"**\"]\nqos = 1\nretain = true\nformat = \"json\"\n";
    }
  }
  return text;
}

void Chain::start_node(std::size_t index) {
  nodes_[index]->start();
  nodes_[index]->wait_ready();
}

void Chain::start() {
  for (auto& node : nodes_) node->start();
  for (auto& node : nodes_) node->wait_ready();
}

bool Chain::wait_points(std::size_t points, Clock::duration limit) {
  return eventually([&] { return last().points("good") == std::to_string(points); }, limit);
}

std::vector<std::string> Chain::digests() {
  std::vector<std::string> digests;
  for (auto& node : nodes_) digests.push_back(node->digest());
  return digests;
}

std::string Chain::logs() {
  std::string text;
  for (auto& node : nodes_) text += "--- " + node->name() + "\n" + node->log();
  return text;
}

}  // namespace sallyport::tests
