// The ways to a peer, on real sockets: WebSocket frames and raw TLS on one port, the small first hello, hellos in
// pieces, IPv6, proxies that do not answer.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "net/socket_bio.h"
#include "net/test_support.h"

namespace sallyport::net {
namespace {

using namespace testing;

struct Via_ : ::testing::Test {
  Loop loop;
  Pki pki;
  std::shared_ptr<const TlsIdentity> plant = pki.identity("plant-1"), dmz = pki.identity("dmz-1");

  Client dial_to(std::uint16_t port, Via via, std::string host = "127.0.0.1") {
    return {loop, plant, DialOptions{.address = {std::move(host), port}, .via = std::move(via), .peer_name = "dmz-1"}};
  }
  std::string refusal(std::uint16_t port, Via via) {
    DialOptions options{.address = {"dmz.invalid", 4433}, .via = std::move(via), .peer_name = "dmz-1"};
    if (options.via.proxy) options.via.proxy->address = {"127.0.0.1", port};
    options.handshake_timeout = 500ms;
    Client client(loop, plant, options);
    EXPECT_TRUE(run_until(loop, [&] { return client.done(); }));
    EXPECT_FALSE(client.stream);
    return client.error.message;
  }
};
using Networks = Via_;

const Via kWebSocket{.proxy = {}, .websocket = "/sallyport", .hello = ClientHello::normal};

ListenOptions with_websocket() {
  ListenOptions options;
  options.websocket = true;
  return options;
}

// Sends `size` bytes one way and back, at once, and says whether they came unharmed.
bool echo(Loop& loop, TlsStream& near, TlsStream& far, std::size_t size) {
  struct Pump {
    TlsStream& stream;
    std::string out, in;
    std::size_t sent = 0, wanted;
    void go() {
      while (sent < out.size()) {
        const auto put = stream.write(std::as_bytes(std::span(out)).subspan(sent));
        if (put.kind == IoResult::Kind::would_block) {
          stream.when_writable([this] { go(); });
          break;
        }
        if (put.kind != IoResult::Kind::bytes) return;
        sent += put.size;
      }
    }
    void listen() {
      std::array<std::byte, 65536> buffer;
      for (;;) {
        const auto got = stream.read(buffer);
        if (got.kind == IoResult::Kind::would_block) return stream.when_readable([this] { listen(); });
        if (got.kind != IoResult::Kind::bytes) return;
        in.append(reinterpret_cast<const char*>(buffer.data()), got.size);
      }
    }
  };
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  Pump a{near, text, {}, 0, size}, b{far, text, {}, 0, size};
  for (Pump* pump : {&a, &b}) {
    pump->listen();
    pump->go();
  }
  const bool arrived = run_until(loop, [&] { return a.in.size() >= size && b.in.size() >= size; }, 60s);
  return arrived && a.in == text && b.in == text;
}

TEST_F(Networks, OnePortTakesTlsAndTlsInWebSocketFrames) {
  Server server(loop, dmz, with_websocket());
  Client raw = dial_to(server.port(), {});
  ASSERT_TRUE(run_until(loop, [&] { return raw.done() && server.streams.size() == 1; }));
  Client framed = dial_to(server.port(), kWebSocket);
  ASSERT_TRUE(run_until(loop, [&] { return framed.done() && server.streams.size() == 2; }));
  ASSERT_TRUE(raw.stream) << raw.error.message;
  ASSERT_TRUE(framed.stream) << framed.error.message;
  EXPECT_EQ(framed.stream->group(), "X25519MLKEM768");
  EXPECT_EQ(framed.stream->peer().name, "dmz-1");
  EXPECT_EQ(server.streams[1]->peer().name, "plant-1");
  EXPECT_TRUE(echo(loop, *raw.stream, *server.streams[0], 3'000'000));
  EXPECT_TRUE(echo(loop, *framed.stream, *server.streams[1], 30'000'000))
      << "more than all buffers hold, both ways at once";
}

TEST_F(Networks, AFramedStreamUpdatesKeysAndEndsWithAGoodbye) {
  Server server(loop, dmz, with_websocket());
  Client client = dial_to(server.port(), kWebSocket);
  ASSERT_TRUE(run_until(loop, [&] { return client.done() && !server.streams.empty(); }));
  ASSERT_TRUE(client.stream) << client.error.message;
  client.stream->request_key_update();
  EXPECT_TRUE(echo(loop, *client.stream, *server.streams[0], 100'000));
  Ending ending(*server.streams[0]);
  client.stream.reset();
  EXPECT_TRUE(run_until(loop, [&] { return ending.done(); }));
  EXPECT_EQ(ending.reason, "connection closed by peer");
}

TEST_F(Networks, AFrameThatBreaksTheRulesEndsTheStreamAndSaysWhy) {
  Server server(loop, dmz, with_websocket());
  RawSocket rogue = RawSocket::connect_to(server.port());
  ASSERT_TRUE(
      rogue.send("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x82\x01x"));
  EXPECT_TRUE(run_until(loop, [&] { return server.counters().failed_handshake == 1; }));
  EXPECT_TRUE(contains(server.counters().last_failure, "WebSocket frame of a client without a mask"));
}

TEST_F(Networks, WithoutTheSettingAnUpgradeIsRefused) {
  Server server(loop, dmz);
  Client client = dial_to(server.port(), kWebSocket);
  ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
  EXPECT_FALSE(client.stream);
  EXPECT_TRUE(contains(client.error.message, "has the peer's [listen] websocket = true"));
}

TEST_F(Networks, APortThatSpeaksNoTlsIsToldSoAlsoWhereWebSocketIsAllowed) {
  Server server(loop, dmz, with_websocket());
  RawSocket rogue = RawSocket::connect_to(server.port());
  ASSERT_TRUE(rogue.send("HELO there, this is not what you expect\r\n"));
  EXPECT_TRUE(run_until(loop, [&] { return server.counters().failed_handshake == 1; }));
  EXPECT_TRUE(contains(server.counters().last_failure, "does not speak TLS"));
}

TEST_F(Networks, HalfOfAnUpgradeCountsAsAHalfOpenHandshake) {
  ListenOptions options = with_websocket();
  options.handshake_timeout = 300ms;
  options.max_handshakes_per_address = 4;
  Server server(loop, dmz, options);
  std::vector<RawSocket> idle;
  for (const std::string_view said : {"", "G", "GET / HTTP/1.1\r\nHost: x\r\n", "GET /"}) {
    idle.push_back(RawSocket::connect_to(server.port()));
    if (!said.empty()) {
      ASSERT_TRUE(idle.back().send(said));
    }
  }
  ASSERT_TRUE(run_until(loop, [&] { return server.counters().handshaking == 4; }));
  const RawSocket fifth = RawSocket::connect_to(server.port());
  EXPECT_TRUE(run_until(loop, [&] { return server.counters().refused_limit == 1 && fifth.closed(); }));
  EXPECT_TRUE(run_until(loop, [&] { return server.counters().timed_out == 4; }));
  EXPECT_EQ(server.counters().handshaking, 0u);
  for (const RawSocket& each : idle) EXPECT_TRUE(run_until(loop, [&] { return each.closed(); }));
}

TEST_F(Networks, AnUpgradeWithoutEndIsCutOffAndGetsAnAnswer) {
  Server server(loop, dmz, with_websocket());
  RawSocket rogue = RawSocket::connect_to(server.port());
  ASSERT_TRUE(rogue.send("GET /" + std::string(20'000, 'x')));
  EXPECT_TRUE(run_until(loop, [&] { return server.counters().failed_handshake == 1; }));
  std::array<char, 12> answer{};
  EXPECT_EQ(::recv(rogue.descriptor(), answer.data(), answer.size(), 0), 12);
  EXPECT_EQ(std::string(answer.data(), 12), "HTTP/1.1 431");
}

// --- The first flight ----------------------------------------------------------------------------------------------

// What a dialler says before it hears anything.
std::string first_flight(Loop& loop, const std::shared_ptr<const TlsIdentity>& identity, ClientHello hello) {
  const RawSocket listener = RawSocket::listen_on_loopback();
  Client client(loop, identity,
                {.address = {"127.0.0.1", listener.port()},
                 .via = {.proxy = {}, .websocket = {}, .hello = hello},
                 .peer_name = "dmz-1"});
  run_for(loop, 200ms);
  const RawSocket peer(::accept(listener.descriptor(), nullptr, nullptr));
  run_for(loop, 100ms);
  std::string flight(10'000, '\0');
  const ssize_t got = ::recv(peer.descriptor(), flight.data(), flight.size(), MSG_DONTWAIT);
  flight.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return flight;
}

TEST_F(Networks, TheSmallHelloFitsASegmentOfAnyNetwork) {
  const std::string normal = first_flight(loop, plant, ClientHello::normal),
                    small = first_flight(loop, plant, ClientHello::hrr);
  RecordProperty("normal_bytes", static_cast<int>(normal.size()));
  RecordProperty("small_bytes", static_cast<int>(small.size()));
  EXPECT_GT(normal.size(), 1300u);
  EXPECT_LT(small.size(), 1100u) << "IPv6 guarantees 1,280 bytes a packet, 1,220 of them for TCP";
  EXPECT_GT(small.size(), 800u);
  for (const std::string& each : {normal, small}) EXPECT_EQ(each[0], 0x16);
}

TEST_F(Networks, TheSmallHelloOffersNoClassicalGroup) {
  const std::string hello = first_flight(loop, plant, ClientHello::hrr);
  // supported_groups (RFC 8446 §4.2.7): MLKEM512, X25519MLKEM768, SecP256r1MLKEM768, and nothing else.
  EXPECT_NE(hello.find(std::string("\x00\x0a\x00\x08\x00\x06\x02\x00\x11\xec\x11\xeb", 12)), std::string::npos);
}

TEST_F(Networks, TheSmallHelloEndsInTheSameGroup) {
  Server server(loop, dmz, with_websocket());
  for (const auto& websocket : {std::optional<std::string>(), std::optional<std::string>("/")}) {
    Client client = dial_to(server.port(), {.proxy = {}, .websocket = websocket, .hello = ClientHello::hrr});
    ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
    ASSERT_TRUE(client.stream) << client.error.message;
    EXPECT_EQ(client.stream->group(), "X25519MLKEM768");
  }
}

// A foreign server with one group each: what it may end in, and what is refused.
struct ForeignServer {
  ForeignServer(const Pki& pki, const std::string& groups) {
    const IdentityFiles files{pki.folder / "dmz-1.crt", pki.folder / "dmz-1.key", pki.folder / "ca.crt"};
    for (int attempt = 0; attempt < 20 && !process; ++attempt) {
      port = RawSocket::listen_on_loopback().port();
      process.emplace(std::vector<std::string>{"openssl", "s_server", "-accept", "127.0.0.1:" + std::to_string(port),
                                               "-cert", files.certificate, "-key", files.private_key, "-CAfile",
                                               files.trust, "-Verify", "3", "-tls1_3", "-groups", groups});
      for (int wait = 0; wait < 500 && !process->ended() && !contains(process->output(), "ACCEPT"); ++wait)
        ::usleep(10'000);
      if (process->ended()) process.reset();
    }
  }
  std::uint16_t port = 0;
  std::optional<Process> process;
};

TEST_F(Networks, TheSmallHelloWorksWithForeignServersAndOnlyInTheHybridGroups) {
  for (const std::string group : {"X25519MLKEM768", "SecP256r1MLKEM768"}) {
    ForeignServer server(pki, group);
    ASSERT_TRUE(server.process);
    Client client = dial_to(server.port, {.proxy = {}, .websocket = {}, .hello = ClientHello::hrr});
    ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
    ASSERT_TRUE(client.stream) << client.error.message;
    EXPECT_EQ(client.stream->group(), group);
  }
  for (const std::string group : {"X25519", "P-256", "MLKEM512"}) {
    ForeignServer server(pki, group);
    ASSERT_TRUE(server.process);
    Client client = dial_to(server.port, {.proxy = {}, .websocket = {}, .hello = ClientHello::hrr});
    ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
    EXPECT_FALSE(client.stream) << group;
    EXPECT_TRUE(contains(client.error.message, "post-quantum")) << group;
  }
}

// Between a dialler and a listener: passes the dialler's bytes on in the pieces it is told to, each in a segment of its
// own, and the answers as they come.
class Splitter {
 public:
  Splitter(std::uint16_t to, std::size_t piece, std::size_t pieces)
      : listener_(RawSocket::listen_on_loopback()), thread_([this, to, piece, pieces] { run(to, piece, pieces); }) {}
  ~Splitter() {
    stop_ = true;
    thread_.join();
  }
  std::uint16_t port() const { return listener_.port(); }

 private:
  void run(std::uint16_t to, std::size_t piece, std::size_t pieces) {
    pollfd waiting{listener_.descriptor(), POLLIN, 0};
    while (!stop_ && ::poll(&waiting, 1, 10) == 0) {
    }
    if (stop_) return;
    const RawSocket in(::accept(listener_.descriptor(), nullptr, nullptr));
    const RawSocket out = RawSocket::connect_to(to);
    const int on = 1;
    ::setsockopt(out.descriptor(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    while (!stop_) {
      std::array<pollfd, 2> both{{{in.descriptor(), POLLIN, 0}, {out.descriptor(), POLLIN, 0}}};
      ::poll(both.data(), 2, 10);
      std::array<char, 16384> buffer;
      ssize_t got = ::recv(out.descriptor(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got == 0) return;
      if (got > 0 && !in.send({buffer.data(), static_cast<std::size_t>(got)})) return;
      const bool split = pieces > 0;
      got = ::recv(in.descriptor(), buffer.data(), split ? piece : buffer.size(), MSG_DONTWAIT);
      if (got == 0) return;
      if (got > 0 && !out.send({buffer.data(), static_cast<std::size_t>(got)})) return;
      if (got > 0 && split) {
        --pieces;
        ::usleep(piece > 1 ? 50'000 : 200);
      }
    }
  }
  std::atomic<bool> stop_{false};
  RawSocket listener_;
  std::thread thread_;
};

TEST_F(Networks, AHelloInTwoSegmentsOrByteByByteIsUnderstood) {
  Server server(loop, dmz, with_websocket());
  struct Case {
    std::size_t piece, pieces;
    bool websocket;
  };
  for (const Case& each : {Case{700, 1, false}, Case{1, 1500, false}, Case{100, 4, true}, Case{1, 1600, true}}) {
    const Splitter splitter(server.port(), each.piece, each.pieces);
    Client client = dial_to(splitter.port(), each.websocket ? kWebSocket : Via{});
    ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
    EXPECT_TRUE(client.stream) << each.piece << ": " << client.error.message;
  }
}

// --- IPv6 and names --------------------------------------------------------------------------------------------------

bool has_ipv6() {
  const RawSocket probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  return probe.descriptor() >= 0 &&
         ::bind(probe.descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

TEST_F(Networks, DialsAndListensOnIpv6) {
  if (!has_ipv6()) GTEST_SKIP() << "this machine has no ::1";
  ListenOptions options;
  options.address = {"::1", 0};
  Server server(loop, dmz, options);
  Client client = dial_to(server.port(), {}, "::1");
  ASSERT_TRUE(run_until(loop, [&] { return client.done() && !server.streams.empty(); }));
  ASSERT_TRUE(client.stream) << client.error.message;
  EXPECT_EQ(client.stream->remote_address(), "[::1]:" + std::to_string(server.port()));
  EXPECT_TRUE(server.streams[0]->remote_address().starts_with("[::1]:"));
}

TEST_F(Networks, EveryAddressMeansBothFamilies) {
  if (!has_ipv6()) GTEST_SKIP() << "this machine has no ::1";
  ListenOptions options;
  options.address = {"::", 0};
  Server server(loop, dmz, options);
  for (const char* host : {"::1", "127.0.0.1"}) {
    Client client = dial_to(server.port(), {}, host);
    ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
    EXPECT_TRUE(client.stream) << client.error.message;
  }
  ASSERT_TRUE(run_until(loop, [&] { return server.streams.size() == 2; }));
  EXPECT_TRUE(server.streams[1]->remote_address().starts_with("127.0.0.1:")) << server.streams[1]->remote_address();
}

// --- Proxies that are none -------------------------------------------------------------------------------------------

// Says something to whoever comes, and closes.
class OneAnswer {
 public:
  OneAnswer(std::string answer, bool silent = false)
      : listener_(RawSocket::listen_on_loopback()), thread_([this, answer = std::move(answer), silent] {
          pollfd waiting{listener_.descriptor(), POLLIN, 0};
          while (!stop_ && ::poll(&waiting, 1, 10) == 0) {
          }
          if (stop_) return;
          const RawSocket peer(::accept(listener_.descriptor(), nullptr, nullptr));
          std::array<char, 4096> request{};
          ::recv(peer.descriptor(), request.data(), request.size(), 0);
          peer.send(answer);
          while (silent && !stop_) ::usleep(5000);
          ::shutdown(peer.descriptor(), SHUT_WR);
          while (!stop_ && ::recv(peer.descriptor(), request.data(), request.size(), MSG_DONTWAIT) != 0) ::usleep(1000);
        }) {}
  ~OneAnswer() {
    stop_ = true;
    thread_.join();
  }
  std::uint16_t port() const { return listener_.port(); }

 private:
  std::atomic<bool> stop_{false};
  RawSocket listener_;
  std::thread thread_;
};

TEST_F(Networks, EachFailureOfAProxyNamesThePeerTheProxyAndWhatToDo) {
  const Via http{.proxy = Proxy{}, .websocket = {}, .hello = ClientHello::normal};
  const Via socks{.proxy = Proxy{ProxyKind::socks5, {}, "", ""}, .websocket = {}, .hello = ClientHello::normal};
  const auto refusal_of = [&](const Via& via, std::string answer, bool silent = false) {
    const OneAnswer proxy(std::move(answer), silent);
    return refusal(proxy.port(), via);
  };
  const std::string denied = refusal_of(http, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  EXPECT_TRUE(contains(denied, "dmz.invalid:4433 by proxy http://127.0.0.1:"));
  EXPECT_TRUE(contains(denied, "it wants a user"));
  EXPECT_TRUE(contains(refusal_of(http, ""), "connection closed instead of the proxy's answer to CONNECT"));
  EXPECT_TRUE(contains(refusal_of(http, "", true), "the proxy's answer to CONNECT did not come in time"));
  EXPECT_TRUE(contains(refusal_of(http, "HTTP/1.1 200 OK\r\n\r\nHello!"), "bytes of its own behind its answer"));
  EXPECT_TRUE(contains(refusal_of(http, "HTTP/1.1 200 OK\r\n\r\n"), "without a word"));
  EXPECT_TRUE(contains(refusal_of(http, "HTTP/1.1 200 OK\r\nA: " + std::string(60'000, 'x')), "larger than 8 KiB"));
  EXPECT_TRUE(contains(refusal_of(socks, "\x05\xff"), "the SOCKS proxy wants a user"));
  EXPECT_TRUE(contains(refusal_of(socks, "\x05"), "connection closed instead of the SOCKS proxy's answer"));
  EXPECT_TRUE(contains(refusal_of(socks, std::string("\x05\x00\x05", 3), true), "did not come in time"));
}

TEST_F(Networks, AProxyThatIsAwayIsNamed) {
  const std::uint16_t port = RawSocket::listen_on_loopback().port();
  const std::string said = refusal(port, {.proxy = Proxy{}, .websocket = {}, .hello = ClientHello::normal});
  EXPECT_TRUE(contains(said, "dmz.invalid:4433 by proxy http://127.0.0.1:"));
  EXPECT_TRUE(contains(said, "nothing listens there"));
}

TEST(Proxy, IsReadFromAUrlWithoutAPassword) {
  struct Case {
    const char *url, *says;
  };
  for (const Case& each :
       {Case{"http://joe:secret@proxy:3128",
             "no password in the URL; put it into a file and name that with proxy_password_file"},
        Case{"proxy:3128", "write \"http://proxy.example:3128\""}, Case{"https://proxy:3128", "write \"http://"},
        Case{"socks4://proxy:1080", "or \"socks5://"},
        Case{"socks5h://proxy:1080", "resolved by the proxy in any case"}, Case{"http://proxy", "the port is missing"},
        Case{"http://proxy:0", "port 0"}, Case{"http://@proxy:1", "user name"},
        Case{"http://a\nb@proxy:1", "user name"}, Case{"http://proxy:3128/path", "port must be a number"},
        Case{"http://", "the port is missing"}}) {
    const auto parsed = parse_proxy(each.url);
    ASSERT_FALSE(parsed) << each.url;
    EXPECT_TRUE(contains(parsed.error().message, each.says));
    EXPECT_FALSE(contains(parsed.error().message, "secret")) << "a password does not go into a log";
  }
  EXPECT_EQ(parse_proxy("http://joe@proxy.example:3128/").value(),
            (Proxy{ProxyKind::http, {"proxy.example", 3128}, "joe", ""}));
  EXPECT_EQ(parse_proxy("socks5://[::1]:1080").value(), (Proxy{ProxyKind::socks5, {"::1", 1080}, "", ""}));
  EXPECT_EQ(parse_proxy("http://corp\\joe@proxy:1").value().user, "corp\\joe");
}

TEST(WebSocketPath, IsWhatARequestLineCanCarry) {
  for (const char* good : {"/", "/sallyport", "/a/b?x=1&y=%20"}) EXPECT_TRUE(check_websocket_path(good)) << good;
  for (const char* bad : {"", "sallyport", "/a b", "/a\r\nX: y", "/\xc3\xa4", "/a#b"})
    EXPECT_FALSE(check_websocket_path(bad)) << bad;
  EXPECT_FALSE(check_websocket_path("/" + std::string(1024, 'x')));
}

}  // namespace
}  // namespace sallyport::net
