// Two of ours talking to each other: what the stream promises.
#include "net/tls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "net/loop_thread.h"
#include "net/test_support.h"

namespace sallyport::net {
namespace {

using namespace testing;

// A listener, a dialler and the two ends of one connection.
class Tls : public ::testing::Test {
 protected:
  void connect(Pki& pki) {
    server = std::make_unique<Server>(loop, pki.identity("dmz-1"));
    client = std::make_unique<Client>(loop, pki.identity("plant-1"), server->port(), "dmz-1");
    ASSERT_TRUE(run_until(loop, [&] { return client->done() && (!client->stream || !server->streams.empty()); }));
    ASSERT_TRUE(client->stream) << client->error.message;
  }
  TlsStream& near() { return *client->stream; }
  TlsStream& far() { return *server->streams.front(); }

  Loop loop;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
};

// Sends `size` pseudo-random bytes in pieces of odd sizes, and checks what arrives against the same generator.
class Pump {
 public:
  Pump(TlsStream& from, TlsStream& to, std::size_t size, unsigned seed)
      : from_(from), to_(to), size_(size), in_(seed), out_(seed) {
    send();
    receive();
  }
  bool done() const { return received_ == size_ || !problem.empty(); }
  std::string problem;
  std::size_t received() const { return received_; }

 private:
  static constexpr std::size_t kPiece = 100'003;
  void fill() {
    piece_.resize(std::min(kPiece, size_ - generated_) & ~std::size_t{7});
    if (piece_.empty()) piece_.resize(size_ - generated_);
    for (std::size_t at = 0; at < piece_.size(); at += 8) {
      const std::uint64_t word = out_();
      std::memcpy(piece_.data() + at, &word, std::min<std::size_t>(8, piece_.size() - at));
    }
    generated_ += piece_.size();
    sent_ = 0;
  }
  void send() {
    for (;;) {
      if (sent_ == piece_.size()) {
        if (generated_ == size_) return;
        fill();
      }
      const IoResult result = from_.write(std::span(piece_).subspan(sent_));
      if (result.kind == IoResult::Kind::would_block) return from_.when_writable([this] { send(); });
      if (result.kind != IoResult::Kind::bytes) return void(problem = "write: " + result.reason);
      sent_ += result.size;
    }
  }
  void receive() {
    std::array<std::byte, 70'000> buffer;
    const IoResult result = to_.read(buffer);
    if (result.kind == IoResult::Kind::closed || result.kind == IoResult::Kind::failed) {
      return void(problem = "read: " + result.reason);
    }
    check(std::span(buffer).first(result.size));
    to_.when_readable([this] { receive(); });
  }
  void check(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      if (received_ % 8 == 0) word_ = in_();
      if (static_cast<std::uint8_t>(word_ >> (received_ % 8 * 8)) != std::to_integer<std::uint8_t>(byte)) {
        problem = "wrong byte at " + std::to_string(received_);
        return;
      }
      ++received_;
    }
  }
  TlsStream& from_;
  TlsStream& to_;
  std::size_t size_, generated_ = 0, sent_ = 0, received_ = 0;
  std::mt19937_64 in_, out_;
  std::uint64_t word_ = 0;
  std::vector<std::byte> piece_;
};

TEST_F(Tls, ConnectsTwoNodesWithAPostQuantumGroupAndTellsEachTheOther) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  EXPECT_EQ(near().group(), "X25519MLKEM768");
  EXPECT_EQ(far().group(), "X25519MLKEM768");
  EXPECT_EQ(near().peer().name, "dmz-1");
  EXPECT_EQ(far().peer().name, "plant-1");
  EXPECT_EQ(far().peer().algorithm, "ML-DSA-65");
  EXPECT_EQ(far().peer().issuer, "test CA");
  EXPECT_EQ(near().remote_address(), "127.0.0.1:" + std::to_string(server->port()));
  EXPECT_TRUE(far().remote_address().starts_with("127.0.0.1:"));
  EXPECT_EQ(client->calls, 1);
  EXPECT_EQ(server->counters().established, 1u);
  EXPECT_EQ(server->counters().handshaking, 0u);
}

TEST_F(Tls, Carries50MegabytesBothWaysUnchanged) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  Pump up(near(), far(), 50'000'001, 1);
  Pump down(far(), near(), 50'000'003, 2);
  EXPECT_TRUE(run_until(loop, [&] { return up.done() && down.done(); }, 50s));
  EXPECT_EQ(up.problem + down.problem, "");
}

TEST_F(Tls, UpdatesItsKeysInBothDirectionsWhileBothStream) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  Pump up(near(), far(), 20'000'000, 3);
  Pump down(far(), near(), 20'000'000, 4);
  std::size_t last = 0;
  int updates = 0;
  EXPECT_TRUE(run_until(
      loop,
      [&] {
        if (up.received() - last > 500'000) {
          last = up.received();
          ++updates;
          near().request_key_update();
          far().request_key_update();
        }
        return up.done() && down.done();
      },
      50s));
  EXPECT_EQ(up.problem + down.problem, "");
  EXPECT_GT(updates, 5);
}

// Both send until the kernel takes no more and nobody reads; then both ask for new keys and read.
TEST_F(Tls, DoesNotDeadlockWhenBothUpdateKeysWithFullBuffers) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  const std::vector<std::byte> block(16'000);
  const auto fill = [&](TlsStream& stream) {
    while (stream.write(block).kind == IoResult::Kind::bytes) {
    }
    stream.request_key_update();
    stream.write(block);
  };
  fill(near());
  fill(far());
  std::size_t near_bytes = 0, far_bytes = 0;
  const auto drain = [](TlsStream& stream, std::size_t& total) {
    std::array<std::byte, 50'000> buffer;
    for (;;) {
      const IoResult result = stream.read(buffer);
      if (result.kind != IoResult::Kind::bytes) return;
      total += result.size;
    }
  };
  EXPECT_TRUE(run_until(loop, [&] {
    near().write(block);
    far().write(block);
    drain(near(), near_bytes);
    drain(far(), far_bytes);
    return near_bytes > 10'000'000 && far_bytes > 10'000'000;
  }));
}

TEST_F(Tls, TellsAReaderAtOnceWhatOpensslHasAlreadyBuffered) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  const std::string text(30'000, 'x');
  ASSERT_EQ(near().write(as_bytes(text)).size, text.size());
  std::size_t total = 0;
  std::function<void()> look = [&] {
    std::array<std::byte, 10> little;
    const IoResult result = far().read(little);
    total += result.size;
    far().when_readable(look);
  };
  far().when_readable(look);
  EXPECT_TRUE(run_until(loop, [&] { return total == text.size(); }));
}

TEST_F(Tls, SaysGoodbyeWhenDestroyedAndThePeerKnowsItFromACut) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  ASSERT_EQ(near().write(as_bytes("last words")).size, 10u);
  client->stream.reset();
  Ending ending(far());
  EXPECT_TRUE(run_until(loop, [&] { return ending.done(); }));
  EXPECT_EQ(ending.text, "last words");
  EXPECT_EQ(ending.reason, "connection closed by peer");
  std::array<std::byte, 10> buffer;
  EXPECT_EQ(far().read(buffer).kind, IoResult::Kind::closed) << "and says so for ever";
}

TEST_F(Tls, DropsItsCallbacksWhenDestroyedAlsoInsideOne) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  int calls = 0;
  near().when_writable([&] {
    ++calls;
    client->stream.reset();
  });
  near().when_readable([&] { ++calls; });
  run_until(loop, [&] { return calls > 0; });
  run_for(loop, 20ms);
  EXPECT_EQ(calls, 1);
}

TEST_F(Tls, TellsBothDirectionsWhenItHasFailed) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  server->streams.clear();
  Ending ending(near());
  ASSERT_TRUE(run_until(loop, [&] { return ending.done(); }));
  int calls = 0;
  near().when_readable([&] { ++calls; });
  near().when_writable([&] { ++calls; });
  EXPECT_TRUE(run_until(loop, [&] { return calls == 2; }));
  EXPECT_EQ(near().write(as_bytes("x")).kind, IoResult::Kind::closed);
}

TEST_F(Tls, KeepsUnsentBytesInTheKernelBounded) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  const std::vector<std::byte> block(64'000);
  std::size_t written = 0;
  for (IoResult result; (result = near().write(block)).kind == IoResult::Kind::bytes;) written += result.size;
  EXPECT_GT(near().unsent_bytes(), 0u);
  EXPECT_LT(written, 32u << 20);
}

class TlsIdentities : public ::testing::TestWithParam<std::pair<KeyAlgorithm, const char*>> {};

TEST_P(TlsIdentities, ConnectWithPostQuantumKeyExchange) {
  Loop loop;
  Pki pki(GetParam().first);
  Server server(loop, pki.identity("dmz-1"));
  Client client(loop, pki.identity("plant-1"), server.port(), "dmz-1");
  ASSERT_TRUE(run_until(loop, [&] { return client.done() && (!client.stream || !server.streams.empty()); }));
  ASSERT_TRUE(client.stream) << client.error.message;
  EXPECT_EQ(client.stream->group(), "X25519MLKEM768");
  EXPECT_EQ(client.stream->peer().algorithm, GetParam().second);
  EXPECT_EQ(server.streams.front()->peer().algorithm, GetParam().second);
}

INSTANTIATE_TEST_SUITE_P(OfEachAlgorithm, TlsIdentities,
                         ::testing::Values(std::pair{KeyAlgorithm::ml_dsa_65, "ML-DSA-65"},
                                           std::pair{KeyAlgorithm::ed25519, "ED25519"},
                                           std::pair{KeyAlgorithm::ecdsa_p256, "EC P-256"}));

TEST_F(Tls, ConnectsAnEd25519NodeToAnMlDsaNodeOfTheSameAuthority) {
  Pki pki;
  const auto files = pki.issue(IssueRequest{.name = "plant-1", .algorithm = KeyAlgorithm::ed25519});
  Server server2(loop, pki.identity("dmz-1"));
  Client client2(loop, Pki::load(files, "plant-1"), server2.port(), "dmz-1");
  ASSERT_TRUE(run_until(loop, [&] { return client2.done(); }));
  EXPECT_TRUE(client2.stream) << client2.error.message;
}

TEST_F(Tls, ListensOnBothFamiliesWhenToldSo) {
  Pki pki;
  Server both(loop, pki.identity("dmz-1"), {.address = {"::", 0}});
  const auto identity = pki.identity("plant-1");
  Client v4(loop, identity, {.address = {"127.0.0.1", both.port()}, .peer_name = "dmz-1"});
  Client v6(loop, identity, {.address = {"::1", both.port()}, .peer_name = "dmz-1"});
  Client name(loop, identity, {.address = {"localhost", both.port()}, .peer_name = "dmz-1"});
  ASSERT_TRUE(run_until(loop, [&] { return v4.done() && v6.done() && name.done() && both.streams.size() == 3; }));
  EXPECT_TRUE(v4.stream) << v4.error.message;
  EXPECT_TRUE(v6.stream) << v6.error.message;
  EXPECT_TRUE(name.stream) << name.error.message;
  for (const auto& stream : both.streams) {
    EXPECT_TRUE(stream->remote_address().starts_with("127.0.0.1:") || stream->remote_address().starts_with("[::1]:"))
        << stream->remote_address();
  }
}

TEST_F(Tls, ShowsANewIdentityToNewConnections) {
  Pki pki;
  ASSERT_NO_FATAL_FAILURE(connect(pki));
  const std::string before = near().peer().sha256;
  for (const char* file : {"dmz-1.crt", "dmz-1.key", "dmz-1.sign.crt", "dmz-1.sign.key"}) std::filesystem::remove(pki.folder / file);
  server->listener->set_identity(pki.identity("dmz-1"));
  const auto files = IdentityFiles{pki.folder / "plant-1.crt", pki.folder / "plant-1.key", pki.folder / "ca.crt"};
  Client second(loop, Pki::load(files, "plant-1"), server->port(), "dmz-1");
  ASSERT_TRUE(run_until(loop, [&] { return second.done() && server->streams.size() == 2; }));
  ASSERT_TRUE(second.stream);
  EXPECT_NE(second.stream->peer().sha256, before);
  EXPECT_EQ(near().peer().sha256, before);
}

// Half of the connections are handed over with bytes that came right behind the handshake already in OpenSSL's buffer.
TEST(TlsMoved, ToAnotherLoopAStreamKeepsWhatHasComeAndGoesOnThere) {
  Pki pki(KeyAlgorithm::ed25519);
  LoopThread accepting("accepting"), other("other"), dialling("dialling");
  struct End {
    std::unique_ptr<TlsStream> stream;
    std::unique_ptr<Ending> ending;
  };
  std::vector<End> ends;   // on `other`
  constexpr std::size_t kConnections = 20;
  ListenOptions options;
  options.address = {"127.0.0.1", 0};
  auto listener = listen(accepting.loop(), pki.identity("dmz-1"), options, [&](std::unique_ptr<TlsStream> stream) {
    stream->move_to(other.loop());
    const auto shared = std::make_shared<std::unique_ptr<TlsStream>>(std::move(stream));
    other.loop().post([&, shared] {
      ends.push_back({std::move(*shared), nullptr});
      TlsStream& to = *ends.back().stream;
      const std::string greeting = "hello";
      to.write(std::as_bytes(std::span(greeting)));
      ends.back().ending = std::make_unique<Ending>(to);
    });
  });
  ASSERT_TRUE(listener) << listener.error().message;
  accepting.start();
  other.start();
  const std::uint16_t port = (*listener)->port();
  const auto identity = pki.identity("plant-1");
  std::vector<std::unique_ptr<TlsStream>> said;  // on `dialling`, as what follows
  std::vector<std::unique_ptr<DialAttempt>> attempts;
  std::vector<std::unique_ptr<Ending>> heard;
  const std::string words(3000, 'x');
  for (std::size_t i = 0; i < kConnections; ++i) {
    attempts.push_back(dial(dialling.loop(), identity, {.address = {"127.0.0.1", port}, .peer_name = "dmz-1"}, [&, i](Result<std::unique_ptr<TlsStream>> stream) {
      if (!stream) return;
      if (i % 2 == 0) (*stream)->write(std::as_bytes(std::span(words)));   // with the end of the handshake, most likely
      said.push_back(std::move(*stream));
      TlsStream& to = *said.back();
      if (i % 2 == 1) to.write(std::as_bytes(std::span(words)));
      heard.push_back(std::make_unique<Ending>(to));
    }));
  }
  dialling.start();
  const auto all = [&](auto&& on, auto&& done) {
    const SystemClock clock;
    for (const MonotonicTime end = clock.monotonic() + 20s; clock.monotonic() < end; std::this_thread::sleep_for(2ms)) {
      bool yes = false;
      on.run([&] { yes = done(); });
      if (yes) return true;
    }
    return false;
  };
  EXPECT_TRUE(all(other, [&] {
    return ends.size() == kConnections && std::ranges::all_of(ends, [&](const End& end) { return end.ending && end.ending->text == words; });
  }));
  EXPECT_TRUE(all(dialling, [&] {
    return heard.size() == kConnections && std::ranges::all_of(heard, [](const auto& ending) { return ending->text == "hello"; });
  }));
  accepting.run([&] { listener->reset(); });
  other.run([&] { ends.clear(); });
  EXPECT_TRUE(all(dialling, [&] { return std::ranges::all_of(heard, [](const auto& ending) { return ending->done(); }); }));
  dialling.run([&] {
    heard.clear();
    said.clear();
    attempts.clear();
  });
}

}  // namespace
}  // namespace sallyport::net
