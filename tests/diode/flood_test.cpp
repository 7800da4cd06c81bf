// Whoever can reach the receiver's port can send it anything: nothing is disturbed.
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "json.h"
#include "pair.h"

namespace sallyport::tests {
namespace {

// Garbage of all sizes, and now and then what begins like a datagram of ours.
void flood(std::uint16_t port, const std::atomic<bool>& stop, std::atomic<std::uint64_t>& sent) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::mt19937 random(99);
  std::vector<unsigned char> bytes(1500);
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random());
  while (!stop) {
    for (int i = 0; i < 20; ++i) {
      bytes[0] = static_cast<unsigned char>(random() % 8);
      bytes[random() % bytes.size()] = static_cast<unsigned char>(random());
      if (::sendto(fd, bytes.data(), random() % bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) >= 0) ++sent;
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
  ::close(fd);
}

TEST(DiodeFlood, DisturbsNothing) {
  DiodePair pair({});
  ASSERT_TRUE(pair.start()) << pair.logs();
  ASSERT_TRUE(pair.complete()) << pair.logs();
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> sent = 0;
  std::thread hostile([&] { flood(pair.port(), stop, sent); });
  for (int i = 0; i < 8; ++i) {
    std::this_thread::sleep_for(milliseconds(500));
    EXPECT_EQ(pair.office().points("bad"), "0");
  }
  // Also one that starts in the middle of it.
  pair.office().process().kill();
  pair.office().process().wait(seconds(5));
  EXPECT_TRUE(pair.start_office());
  EXPECT_TRUE(pair.complete(seconds(12))) << pair.logs();
  pair.rest();
  EXPECT_TRUE(pair.equal()) << pair.logs();
  const std::uint64_t refused = pair.count("refused_total");
  stop = true;
  hostile.join();
  EXPECT_GT(sent, 10'000u);
  EXPECT_GT(refused, 100u);
  EXPECT_EQ(pair.count("losses"), 0u) << pair.logs();
}

}  // namespace
}  // namespace sallyport::tests
