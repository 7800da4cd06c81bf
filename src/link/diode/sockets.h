// Addresses of sockets, and the makers of what transport.h opens. For udp.cpp, tcp.cpp and transport.cpp only.
#pragma once

#include <sys/socket.h>

#include "link/diode/transport.h"

namespace sallyport::link::diode {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
Result<SocketAddress> socket_address(const net::Address& address);   // of an IP address
std::uint16_t local_port(int fd);

Result<std::unique_ptr<Outlet>> open_udp_outlet(net::Loop& loop, const SocketAddress& to, std::function<void()> ready);
Result<std::unique_ptr<Inlet>> open_udp_inlet(net::Loop& loop, const SocketAddress& at, std::function<void(std::span<const std::byte>)> take, std::function<void()> taken);
std::unique_ptr<Outlet> open_tcp_outlet(net::Loop& loop, Clock& clock, const SocketAddress& to, std::size_t buffer_bytes, std::function<void()> ready);
Result<std::unique_ptr<Inlet>> open_tcp_inlet(net::Loop& loop, const SocketAddress& at, std::function<void(std::span<const std::byte>)> take, std::function<void()> taken);

}  // namespace sallyport::link::diode
