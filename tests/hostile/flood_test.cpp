// Many at once, and for seconds: what users of the node notice of it. The figures are printed; the bounds are loose, since
// tests share their machine.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "attacked.h"
#include "rogue.h"

namespace sallyport::tests {
namespace {

constexpr auto kMeasured = seconds(6);
constexpr std::size_t kMoreMemory = 96u << 20;

class Floods : public Attacked {
 protected:
  void SetUp() override {
    Attacked::SetUp();
    quiet_ = ages_while([] { std::this_thread::sleep_for(kMeasured); });
    memory_ = resident_bytes(dmz().process().pid());
    report("nobody", quiet_, memory_);
  }
  double bound() const { return 2 * quiet_.p99 + 250; }
  // Nobody waits longer than twice as long, plus what a shared machine may do; and memory stays.
  void expect_little(const std::string& what, const Ages& ages) {
    const std::size_t memory = resident_bytes(dmz().process().pid());
    report(what, ages, memory);
    EXPECT_GE(ages.count, quiet_.count / 3);
    EXPECT_LE(ages.p99, bound());
    EXPECT_LE(memory, memory_ + kMoreMemory);
  }
  // Commits the offence again and again until the time is over; each time the node closes the connection.
  Ages under(const std::function<void(Rogue&)>& offence, unsigned* times = nullptr) {
    chain_.pki().issue("rogue");
    Ages ages;
    // A machine that stood still meanwhile says nothing of the node: three chances.
    for (int chance = 0; chance < 3 && (chance == 0 || ages.p99 > bound()); ++chance) ages = once_under(offence, times);
    return ages;
  }
  Ages once_under(const std::function<void(Rogue&)>& offence, unsigned* times) {
    return ages_while([&] {
      std::atomic<unsigned> count{0};
      std::thread thread([&] {
        Rogue rogue(chain_.pki(), "rogue");
        const auto until = Clock::now() + kMeasured;
        while (Clock::now() < until) {
          if (!rogue.dial(port(), "n-2") || !rogue.greet()) continue;
          offence(rogue);
          ++count;
        }
      });
      thread.join();
      if (times != nullptr) *times += count;
    });
  }
  Ages quiet_;
  std::size_t memory_ = 0;
};

TEST_F(Floods, OfTinyControlFramesOverAndOver) {
  unsigned times = 0;
  const Bytes beat = heartbeat_of(1'000'000'000);
  expect_little("heartbeats", under([&](Rogue& rogue) { rogue.repeat(beat, 1'000'000); }, &times));
  EXPECT_GE(times, 5u);
  EXPECT_GE(closed("limit"), static_cast<long>(times) - 1);
}

TEST_F(Floods, OfTinyChangesToPointsThatAreNone) {
  const Bytes change = changes_of(4999, 1, 1, 1);
  expect_little("a million tiny changes", under([&](Rogue& rogue) {
    rogue.begin_sending();
    rogue.repeat(change, 1'000'000, kMeasured);
  }));
}

TEST_F(Floods, OfChangesToItsOwnPoints) {
  expect_little("changes as fast as it goes", under([&](Rogue& rogue) {
    rogue.begin_sending();
    rogue.say(definitions_of(1, 0, 1000, "rogue/line1"));
    rogue.repeat(changes_of(0, 1000, 1, 1), 1'000'000, kMeasured);
  }));
}

TEST_F(Floods, OfDefinitionsAgainAndAgainWithNewPathsAndMetadata) {
  const auto definitions = [](unsigned round) {
    Bytes out;
    link::DefineEncoder encoder(out);
    for (PointId id = 0; id < 200; ++id) {
      Meta meta;
      meta.description = std::string(1000, 'd') + std::to_string(round * 200 + id);
      encoder.add(id, 1, "rogue/" + std::string(900, 'p') + "/" + std::to_string(round * 200 + id), meta, id, false, 0, 1, Value::text(std::string(1000, 'v')));
    }
    encoder.finish();
    return out;
  };
  expect_little("redefinitions", under([&](Rogue& rogue) {
    rogue.begin_sending();
    const auto until = Clock::now() + kMeasured;
    for (unsigned round = 0; Clock::now() < until && !rogue.ended(); ++round) rogue.say(definitions(round));
  }));
}

TEST_F(Floods, OfConnectionsByAPeerWithAGoodCertificate) {
  unsigned times = 0;
  expect_little("handshakes", under([](Rogue& rogue) { rogue.hang_up(); }, &times));
  EXPECT_GE(times, 5u);
}

TEST_F(Floods, OfKeyUpdates) {
  expect_little("key updates", under([](Rogue& rogue) {
    const auto until = Clock::now() + kMeasured;
    while (!rogue.ended() && Clock::now() < until) {
      rogue.stream()->request_key_update();
      if (!rogue.say(heartbeat_of(static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())))) break;
    }
  }));
}

TEST_F(Floods, OfAConsumerThatAsksForEverythingAndReadsNothing) {
  expect_little("a deaf consumer", under([](Rogue& rogue) {
    rogue.deaf = true;
    const auto until = Clock::now() + kMeasured;
    while (!rogue.ended() && Clock::now() < until) {
      Bytes ask;
      link::encode_refresh(ask, 1);
      rogue.say(std::move(ask) + heartbeat_of(static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())));
      rogue.wait(milliseconds(20));
    }
    rogue.deaf = false;
  }));
}

TEST_F(Floods, OfThousandsOfIdleConnections) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<int> sockets;
  const Ages ages = ages_while([&] {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 3000; ++i) {
      const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (descriptor < 0) break;
      sockets.push_back(descriptor);
      if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && i % 2 == 0) {
        [[maybe_unused]] const auto sent = ::send(descriptor, "\x16\x03\x01", 3, MSG_NOSIGNAL);
      }
    }
    std::this_thread::sleep_for(kMeasured);
  });
  EXPECT_GE(sockets.size(), 1000u);
  expect_little(std::to_string(sockets.size()) + " idle connections", ages);
  EXPECT_TRUE(eventually([&] { return listen_field("handshaking") == "0"; }, seconds(15))) << listen_field("handshaking");
  EXPECT_GE(std::atol(listen_field("refused_limit").c_str()) + std::atol(listen_field("timed_out").c_str()), static_cast<long>(sockets.size()) - 64);
  for (const int descriptor : sockets) ::close(descriptor);
  Rogue honest(chain_.pki(), "rogue");
  EXPECT_TRUE(honest.dial(port(), "n-2") && honest.greet()) << honest.end();
}

}  // namespace
}  // namespace sallyport::tests
