#include "link/diode/transport.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "link/diode/sockets.h"

namespace sallyport::link::diode {

std::string to_string(const DiodeAddress& address) { return (address.carrier == Carrier::udp ? "udp://" : "tcp://") + net::to_string(address.address); }

Result<SocketAddress> socket_address(const net::Address& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0 || found == nullptr) {
    return fail(ErrorCode::invalid, "'" + address.host + "' is no IP address; a name would have to be asked for, and nothing comes back over a diode");
  }
  SocketAddress out;
  std::memcpy(&out.storage, found->ai_addr, std::min<std::size_t>(found->ai_addrlen, sizeof out.storage));
  out.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return out;
}

std::uint16_t local_port(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;
  if (bound.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

Result<DiodeAddress> parse_diode_address(std::string_view text) {
  DiodeAddress out;
  const auto bad = [&](std::string_view why) { return fail(ErrorCode::invalid, "'" + std::string(text) + "': " + std::string(why)); };
  if (text.starts_with("tcp://")) out.carrier = Carrier::tcp;
  else if (!text.starts_with("udp://")) return bad("write udp://ADDRESS:PORT, or tcp://ADDRESS:PORT for a diode that emulates TCP");
  auto address = net::parse_address(text.substr(6));
  if (!address) return std::unexpected(address.error());
  if (auto ip = socket_address(*address); !ip) return std::unexpected(ip.error());
  out.address = *std::move(address);
  return out;
}

std::uint64_t least_rate(std::size_t datagram_bytes, Duration heartbeat) {
  const double bits = 4.0 * 3.0 * 8.0 * static_cast<double>(datagram_bytes + kHeaders);
  return static_cast<std::uint64_t>(bits / std::chrono::duration<double>(heartbeat).count());
}

Result<std::unique_ptr<Outlet>> open_outlet(net::Loop& loop, Clock& clock, const DiodeAddress& to, std::uint64_t bits_per_second, std::function<void()> ready) {
  const auto address = socket_address(to.address);
  if (!address) return std::unexpected(address.error());
  if (to.carrier == Carrier::udp) return open_udp_outlet(loop, *address, std::move(ready));
  // What waits in buffers grows old: a tenth of a second of it.
  const auto buffer = std::clamp<std::uint64_t>(bits_per_second / 80, 64u << 10, 4u << 20);
  return open_tcp_outlet(loop, clock, *address, static_cast<std::size_t>(buffer), std::move(ready));
}

Result<std::unique_ptr<Inlet>> open_inlet(net::Loop& loop, const DiodeAddress& at, std::function<void(std::span<const std::byte>)> take, std::function<void()> taken) {
  const auto address = socket_address(at.address);
  if (!address) return std::unexpected(address.error());
  auto inlet = at.carrier == Carrier::udp ? open_udp_inlet(loop, *address, std::move(take), std::move(taken)) : open_tcp_inlet(loop, *address, std::move(take), std::move(taken));
  return inlet ? std::move(inlet) : within(to_string(at), inlet.error());
}

}  // namespace sallyport::link::diode
