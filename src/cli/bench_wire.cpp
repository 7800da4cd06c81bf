#include "cli/bench_wire.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "net/tls.h"

namespace sallyport::cli::bench {
namespace {

struct Request {
  nlmsghdr header{};
  inet_diag_req_v2 diag{};
};

Request request_for(std::uint16_t listening, const net::Address& remote) {
  Request request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.diag.sdiag_family = AF_INET;
  request.diag.sdiag_protocol = IPPROTO_TCP;
  request.diag.idiag_states = ~0u;
  request.diag.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  request.diag.id.idiag_sport = htons(listening);
  request.diag.id.idiag_dport = htons(remote.port);
  inet_pton(AF_INET, "127.0.0.1", request.diag.id.idiag_src);
  inet_pton(AF_INET, remote.host.c_str(), request.diag.id.idiag_dst);
  request.diag.id.idiag_cookie[0] = request.diag.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return request;
}

Result<WireBytes> read_answer(std::span<const char> answer) {
  nlmsghdr header{};
  inet_diag_msg message{};
  if (answer.size() < sizeof header + sizeof message)
    return fail(ErrorCode::malformed, "the kernel's answer is too short");
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
    return fail(ErrorCode::not_found, "the kernel knows no such connection");
  const std::size_t end = std::min<std::size_t>(header.nlmsg_len, answer.size());
  for (std::size_t at = NLMSG_ALIGN(sizeof header) + NLMSG_ALIGN(sizeof message); at + sizeof(rtattr) <= end;) {
    rtattr attribute{};
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || at + attribute.rta_len > end) break;
    if (attribute.rta_type == INET_DIAG_INFO) {
      tcp_info info{};
      std::memcpy(&info, answer.data() + at + sizeof attribute,
                  std::min(sizeof info, attribute.rta_len - sizeof attribute));
      return WireBytes{.sent = info.tcpi_bytes_acked, .received = info.tcpi_bytes_received};
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return fail(ErrorCode::malformed, "the kernel's answer has no figures");
}

}  // namespace

Result<WireBytes> wire_bytes(std::uint16_t listening, const std::string& remote) {
  const auto address = net::parse_address(remote);
  if (!address) return std::unexpected(address.error());
  const int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return std::unexpected(system_error("asking the kernel for a connection's figures", errno));
  const Request request = request_for(listening, *address);
  std::array<char, 8192> answer{};
  const bool sent = send(fd, &request, sizeof request, 0) == static_cast<ssize_t>(sizeof request);
  const ssize_t size = sent ? recv(fd, answer.data(), answer.size(), 0) : -1;
  const int error = errno;
  close(fd);
  if (size < 0) return std::unexpected(system_error("asking the kernel for a connection's figures", error));
  return read_answer(std::span(answer).first(static_cast<std::size_t>(size)));
}

}  // namespace sallyport::cli::bench
