#include "network.h"

#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

namespace sallyport::tests {
namespace {

std::string network_of(pid_t pid) {
  char target[64] = {};
  const std::string file = "/proc/" + std::to_string(pid) + "/ns/net";
  return ::readlink(file.c_str(), target, sizeof target - 1) > 0 ? target : "";
}

// A process that holds a network namespace of its own, until it dies.
Process hold_network() {
  Process holder({"unshare", "--net", "sleep", "infinity"}, {.network_of = 0, .output_file = "/dev/null", .output_fd = -1});
  const std::string ours = network_of(::getpid());
  eventually([&] { return !holder.running() || network_of(holder.pid()) != ours; }, seconds(5));
  return holder;
}

}  // namespace

Cable::Cable() : id_(std::to_string(::getpid())) {
  // 198.18.0.0/15 is set aside for benchmarks: one /30 for each test process.
  const unsigned slot = (static_cast<unsigned>(::getpid()) % 32768u) * 4;
  const std::string prefix = "198." + std::to_string(18 + slot / 65536) + "." + std::to_string(slot / 256 % 256) + ".";
  here_ = prefix + std::to_string(slot % 256 + 1);
  there_ = prefix + std::to_string(slot % 256 + 2);
  if (::geteuid() != 0) {
    problem_ = "needs root for network namespaces";
    return;
  }
  plant_ = hold_network();
  switch_ = hold_network();
  build();
}

Cable::~Cable() {
  if (problem_.empty()) run({"ip", "link", "del", "sph" + id_});
}

bool Cable::ip(pid_t network, const std::string& words) {
  std::vector<std::string> command{"ip"};
  std::istringstream in(words);
  for (std::string word; in >> word;) command.push_back(word);
  const Finished finished = run(command, seconds(10), network);
  if (finished.code != 0 && problem_.empty()) problem_ = "ip " + words + ": " + finished.error;
  return finished.code == 0;
}

void Cable::build() {
  const std::string home = "sph" + id_;
  const std::string at_switch = std::to_string(switch_.pid());
  ip(0, "link add " + home + " type veth peer name home netns " + at_switch);
  ip(switch_.pid(), "link add plant type veth peer name eth0 netns " + std::to_string(plant_.pid()));
  ip(switch_.pid(), "link add name br0 type bridge");
  for (const char* port : {"home", "plant"}) {
    ip(switch_.pid(), std::string("link set ") + port + " master br0");
    ip(switch_.pid(), std::string("link set ") + port + " up");
  }
  ip(switch_.pid(), "link set br0 up");
  ip(0, "addr add " + here_ + "/30 dev " + home);
  ip(0, "link set " + home + " up");
  ip(plant_.pid(), "addr add " + there_ + "/30 dev eth0");
  ip(plant_.pid(), "link set eth0 up");
  ip(plant_.pid(), "link set lo up");
}

void Cable::pull() { ip(switch_.pid(), "link set plant down"); }
void Cable::plug() { ip(switch_.pid(), "link set plant up"); }

}  // namespace sallyport::tests
