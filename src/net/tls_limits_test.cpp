// Strangers and accidents: what a listener spends on peers that do not finish their handshake, and what a stream says
// when it is cut.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "net/test_support.h"
#include "net/tls.h"

namespace sallyport::net {
namespace {

using namespace testing;

std::size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Strangers : public ::testing::Test {
 protected:
  void listen_with(ListenOptions options) {
    server = std::make_unique<Server>(loop, pki.identity("dmz-1"), std::move(options));
  }
  bool honest_peer_gets_in() {
    Client client(loop, plant, server->port(), "dmz-1");
    run_until(loop, [&] { return client.done(); });
    return client.stream != nullptr;
  }
  Loop loop;
  Pki pki;
  std::shared_ptr<const TlsIdentity> plant = pki.identity("plant-1");
  std::unique_ptr<Server> server;
};

TEST_F(Strangers, AreDroppedAtTheDeadlineWhenTheySayNothing) {
  listen_with({.handshake_timeout = 100ms});
  const RawSocket silent = RawSocket::connect_to(server->port());
  EXPECT_TRUE(run_until(loop, [&] { return silent.closed(); }));
  EXPECT_EQ(server->counters().timed_out, 1u);
  EXPECT_EQ(server->counters().handshaking, 0u);
  EXPECT_TRUE(contains(server->counters().last_failure, "peer said nothing within 100 ms"));
}

TEST_F(Strangers, AreDroppedAtTheDeadlineHoweverBusilyTheyDrip) {
  listen_with({.handshake_timeout = 300ms});
  const RawSocket slow = RawSocket::connect_to(server->port());
  // The head of a true hello, a byte every few milliseconds: progress at each look, and never an end.
  const std::string hello = std::string("\x16\x03\x01\x05\x6c\x01\x00\x05\x68\x03\x03", 11) + std::string(2000, 'x');
  std::size_t at = 0;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(run_until(loop, [&] {
    slow.send(hello.substr(at++, 1));
    return slow.closed();
  }));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  EXPECT_EQ(server->counters().timed_out, 1u);
  EXPECT_TRUE(contains(server->counters().last_failure, "TLS handshake not finished within 300 ms ("));
}

TEST_F(Strangers, AreLimitedInNumberAndMemoryAndDoNotKeepAnHonestPeerOut) {
  listen_with({.handshake_timeout = 60s, .max_handshakes = 256, .max_handshakes_per_address = 32});
  ASSERT_TRUE(honest_peer_gets_in());
  const std::size_t before = resident_bytes();
  std::vector<RawSocket> idle;
  for (int i = 0; i < 500; ++i) {
    idle.push_back(RawSocket::connect_to(server->port()));
    idle.back().send(std::string("\x16\x03\x01\x05", 4));
    if (i % 50 == 0) run_for(loop, 1ms);
  }
  ASSERT_TRUE(run_until(loop, [&] { return server->counters().accepted == 501; }));
  EXPECT_LE(server->counters().handshaking, 32u);
  EXPECT_GE(server->counters().refused_limit, 468u);
  EXPECT_LT(resident_bytes() - before, 16u << 20);
  // All places are taken by hoarders, and their timeout is far. A newcomer takes the place of the oldest.
  run_for(loop, 1100ms);
  EXPECT_EQ(server->counters().handshaking, 32u);
  EXPECT_TRUE(honest_peer_gets_in());
}

TEST_F(Strangers, AreLimitedInTotalToo) {
  listen_with({.handshake_timeout = 60s, .max_handshakes = 5, .max_handshakes_per_address = 32});
  std::vector<RawSocket> idle;
  for (int i = 0; i < 20; ++i) idle.push_back(RawSocket::connect_to(server->port()));
  EXPECT_TRUE(run_until(loop, [&] { return server->counters().accepted == 20; }));
  EXPECT_EQ(server->counters().handshaking, 5u);
  EXPECT_EQ(server->counters().refused_limit, 15u);
  EXPECT_TRUE(contains(server->counters().last_failure, "too many unfinished handshakes"));
}

TEST_F(Strangers, LeaveNothingBehindWhenTheListenerGoes) {
  listen_with({});
  std::vector<RawSocket> idle;
  for (int i = 0; i < 5; ++i) idle.push_back(RawSocket::connect_to(server->port()));
  ASSERT_TRUE(run_until(loop, [&] { return server->counters().handshaking == 5; }));
  server.reset();
  for (const RawSocket& each : idle) EXPECT_TRUE(each.closed());
  run_for(loop, 10ms);
}

TEST_F(Strangers, MayDestroyTheListenerFromItsOwnCallback) {
  std::unique_ptr<TlsListener> listener;
  std::unique_ptr<TlsStream> kept;
  auto made =
      listen(loop, pki.identity("dmz-1"), {.address = {"127.0.0.1", 0}}, [&](std::unique_ptr<TlsStream> stream) {
        kept = std::move(stream);
        listener.reset();
      });
  ASSERT_TRUE(made);
  listener = std::move(*made);
  Client client(loop, plant, listener->port(), "dmz-1");
  EXPECT_TRUE(run_until(loop, [&] { return kept && client.done(); }));
  EXPECT_FALSE(listener);
}

TEST_F(Strangers, CannotMakeItSpinWhenDescriptorsRunOut) {
  listen_with({});
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  RawSocket knocking = RawSocket::connect_to(server->port());
  const int next = ::dup(0);
  ::close(next);
  const rlimit low{static_cast<rlim_t>(next), limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const double before = processor_seconds();
  run_for(loop, 700ms);
  const double used = processor_seconds() - before;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_LT(used, 0.3);
  EXPECT_EQ(server->counters().accepted, 0u);
  EXPECT_TRUE(contains(server->counters().last_failure, "cannot accept: Too many open files"));
  EXPECT_TRUE(run_until(loop, [&] { return server->counters().accepted == 1; })) << "accepts again when there are some";
}

// --- A connection through a relay that can be cut. -------------------------------------------------------------------

// Carries bytes between a dialler and a listener, in the test's own thread.
class Relay {
 public:
  explicit Relay(std::uint16_t to) : listening_(RawSocket::listen_on_loopback()), to_(to), near_(-1), far_(-1) {}
  std::uint16_t port() const { return listening_.port(); }
  // True while something moved.
  void pump() {
    if (near_.descriptor() < 0) {
      pollfd poll_for{listening_.descriptor(), POLLIN, 0};
      if (::poll(&poll_for, 1, 0) != 1) return;
      std::destroy_at(&near_);
      std::construct_at(&near_, ::accept(listening_.descriptor(), nullptr, nullptr));
      std::destroy_at(&far_);
      std::construct_at(&far_, RawSocket::connect_to(to_));
    }
    move(near_, far_);
    move(far_, near_);
  }
  RawSocket& near() { return near_; }
  RawSocket& far() { return far_; }
  bool flip_next_from_near = false;
  std::size_t may_pass_from_near = SIZE_MAX;

 private:
  void move(const RawSocket& from, const RawSocket& to) {
    std::array<char, 65536> buffer;
    const bool from_near = &from == &near_;
    const std::size_t wanted = from_near ? std::min(buffer.size(), may_pass_from_near) : buffer.size();
    if (wanted == 0) return;
    const ssize_t got = ::recv(from.descriptor(), buffer.data(), wanted, MSG_DONTWAIT);
    if (got <= 0) return;
    if (from_near && may_pass_from_near != SIZE_MAX) may_pass_from_near -= static_cast<std::size_t>(got);
    if (flip_next_from_near && from_near) buffer[static_cast<std::size_t>(got / 2)] ^= 1;
    to.send({buffer.data(), static_cast<std::size_t>(got)});
  }
  RawSocket listening_;
  std::uint16_t to_;
  RawSocket near_, far_;
};

class CutStream : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(run_until(loop, [&] {
      relay.pump();
      return client.done() && !server.streams.empty();
    }));
    ASSERT_TRUE(client.stream) << client.error.message;
    ending.emplace(*client.stream);
    far_ending.emplace(*server.streams[0]);
  }
  bool both_end() {
    return run_until(loop, [&] {
      relay.pump();
      return ending->done() && far_ending->done();
    });
  }
  Loop loop;
  Pki pki;
  Server server{loop, pki.identity("dmz-1")};
  Relay relay{server.port()};
  Client client{loop, pki.identity("plant-1"), relay.port(), "dmz-1"};
  std::optional<Ending> ending, far_ending;
};

TEST_F(CutStream, SaysThatItWasReset) {
  relay.near().reset();
  relay.far().reset();
  ASSERT_TRUE(run_until(loop, [&] { return ending->done() && far_ending->done(); }));
  EXPECT_EQ(ending->reason, "connection reset by peer");
  EXPECT_EQ(far_ending->reason, "connection reset by peer");
  EXPECT_EQ(client.stream->write(as_bytes("x")).kind, IoResult::Kind::failed);
}

TEST_F(CutStream, TellsAnEndWithoutGoodbyeFromAProperOne) {
  relay.near().close();
  relay.far().close();
  ASSERT_TRUE(run_until(loop, [&] { return ending->done() && far_ending->done(); }));
  EXPECT_TRUE(contains(ending->reason, "closed by peer without a TLS goodbye"));
  std::array<std::byte, 1> byte{};
  EXPECT_EQ(client.stream->read(byte).kind, IoResult::Kind::failed);
}

TEST_F(CutStream, IsNeverKilledBySigpipe) {
  ASSERT_EQ(::signal(SIGPIPE, SIG_DFL), SIG_DFL) << "the test runs as a program does that does not care";
  relay.near().reset();
  ASSERT_TRUE(run_until(loop, [&] { return ending->done(); }));
  const std::vector<std::byte> block(1000);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.stream->write(block).kind, IoResult::Kind::failed);
  client.stream.reset();
}

TEST_F(CutStream, NoticesADamagedRecord) {
  relay.flip_next_from_near = true;
  ASSERT_EQ(client.stream->write(as_bytes("a value from the plant")).size, 22u);
  ASSERT_TRUE(both_end());
  EXPECT_TRUE(contains(far_ending->reason, "bad record MAC"));
  EXPECT_EQ(far_ending->text, "");
  EXPECT_TRUE(contains(ending->reason, "TLS alert 'bad record mac'"));
}

TEST_F(CutStream, DoesNotSpinOnHalfARecord) {
  int calls = 0;
  std::size_t total = 0;
  std::function<void()> look = [&] {
    ++calls;
    std::array<std::byte, 100> buffer;
    total += server.streams[0]->read(buffer).size;
    server.streams[0]->when_readable(look);
  };
  server.streams[0]->when_readable(look);
  relay.may_pass_from_near = 50;
  const std::string text(1000, 'x');
  ASSERT_EQ(client.stream->write(as_bytes(text)).size, text.size());
  run_until(loop, [&] {
    relay.pump();
    return relay.may_pass_from_near == 0;
  });
  run_for(loop, 100ms);
  EXPECT_LE(calls, 3);
  EXPECT_EQ(total, 0u);
  relay.may_pass_from_near = SIZE_MAX;
  EXPECT_TRUE(run_until(loop, [&] {
    relay.pump();
    return total == text.size();
  }));
}

// --- Key updates asked for by a foreign peer. ------------------------------------------------------------------------

TEST(KeyUpdate, AskedForByAForeignPeerGoesUnnoticed) {
  Loop loop;
  Pki pki;
  Server server(loop, pki.identity("dmz-1"));
  const auto files = pki.issue("plant-1");
  Process peer({"openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(server.port()), "-cert",
                files.certificate, "-key", files.private_key, "-CAfile", files.trust});
  ASSERT_TRUE(run_until(loop, [&] { return !server.streams.empty(); })) << peer.output();
  Ending ending(*server.streams[0]);
  peer.type("K\n");  // s_client's word for: key update, and the same from you
  ASSERT_TRUE(run_until(loop, [&] { return peer.output().find("KEYUPDATE") != std::string::npos; }));
  peer.type("after the update\n");
  EXPECT_TRUE(run_until(loop, [&] { return ending.text == "after the update\n"; })) << ending.reason;
  ASSERT_EQ(server.streams[0]->write(as_bytes("answer under new keys\n")).size, 22u);
  EXPECT_TRUE(run_until(loop, [&] { return peer.output().find("answer under new keys") != std::string::npos; }));
  server.streams[0]->request_key_update();
  ASSERT_EQ(server.streams[0]->write(as_bytes("and under ours\n")).size, 15u);
  EXPECT_TRUE(run_until(loop, [&] { return peer.output().find("and under ours") != std::string::npos; }));
}

TEST(KeyUpdate, FloodsEndTheConnection) {
  Loop loop;
  Pki pki;
  Server server(loop, pki.identity("dmz-1"));
  const auto files = pki.issue("plant-1");
  Process peer({"openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(server.port()), "-cert",
                files.certificate, "-key", files.private_key, "-CAfile", files.trust});
  ASSERT_TRUE(run_until(loop, [&] { return !server.streams.empty(); })) << peer.output();
  Ending ending(*server.streams[0]);
  EXPECT_TRUE(run_until(loop, [&] {
    if (!peer.ended() && !ending.done()) peer.type("K\n");
    return ending.done();
  }));
  EXPECT_TRUE(contains(ending.reason, "floods with TLS key updates"));
}

}  // namespace
}  // namespace sallyport::net
