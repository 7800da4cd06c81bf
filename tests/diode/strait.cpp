#include "strait.h"

#include <unistd.h>

#include <cstdlib>

namespace sallyport::tests {
namespace {

std::string network_name(pid_t pid) {
  char target[64] = {};
  const std::string file = "/proc/" + std::to_string(pid) + "/ns/net";
  return ::readlink(file.c_str(), target, sizeof target - 1) > 0 ? target : "";
}

Process hold_network() {
  Process holder({"unshare", "--net", "sleep", "infinity"}, {.network_of = 0, .output_file = "/dev/null", .output_fd = -1});
  const std::string ours = network_name(::getpid());
  eventually([&] { return !holder.running() || network_name(holder.pid()) != ours; }, seconds(5));
  return holder;
}

}  // namespace

void Strait::in(pid_t network, const std::string& words) {
  const Finished finished = run({"sh", "-c", words}, seconds(10), network);
  if (finished.code != 0 && problem_.empty()) problem_ = words + ": " + finished.error;
}

Strait::Strait() {
  if (::geteuid() != 0) {
    problem_ = "needs root for network namespaces";
    return;
  }
  plant_ = hold_network();
  office_ = hold_network();
  const pid_t p = plant_.pid(), o = office_.pid();
  for (const pid_t network : {p, o}) {
    in(network, "ip link set lo up; for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done; for f in all default; do echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter; done");
  }
  in(p, "ip link add in0 address 02:00:00:00:00:01 type veth peer name out0 address 02:00:00:00:00:02 netns " + std::to_string(o));
  in(p, "echo 1 > /proc/sys/net/ipv6/conf/in0/disable_ipv6; ip addr add 10.9.0.1/32 dev in0; ip link set in0 arp off up; ip route add 10.9.0.2/32 dev in0");
  in(p, "ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 nud permanent dev in0");
  in(o, "echo 1 > /proc/sys/net/ipv6/conf/out0/disable_ipv6; echo 0 > /proc/sys/net/ipv4/conf/out0/rp_filter; ip addr add 10.9.0.2/32 dev out0; ip link set out0 arp off up");
}

std::uint64_t Strait::received(pid_t network, const std::string& device) {
  // Not through /sys, which shows the devices of whoever mounted it.
  const Finished finished = run({"sh", "-c", "awk '$1 == \"" + device + ":\" { print $3 }' /proc/net/dev"}, seconds(10), network);
  return std::strtoull(finished.output.c_str(), nullptr, 10);
}

std::uint64_t Strait::came_back() { return received(plant_.pid(), "in0"); }
std::uint64_t Strait::went_over() { return received(office_.pid(), "out0"); }

}  // namespace sallyport::tests
