// The pieces of Boost.Asio that the event loop, sockets and timers stand on, for the few .cpp files that need the context
// of a net::Loop. Heavy: never include it from another header outside net/ and the HTTP server.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace sallyport::net {
namespace asio = boost::asio;
}
