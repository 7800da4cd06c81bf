// What networks do without being asked: they forget idle connections, give a name two addresses, speak IPv6.
#include <sys/socket.h>
#include <unistd.h>

#include "forgetful.h"
#include "pair.h"

namespace sallyport::tests {
namespace {

struct Networks : Between {
  // A node with its own /etc/hosts.
  std::vector<std::string> with_hosts(const std::string& text) const {
    return {"unshare", "-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"", folder.write("hosts", text)};
  }
  static bool may_mount() { return run({"unshare", "-m", "true"}).code == 0; }
};

TEST_F(Networks, HeartbeatsKeepALinkThroughAMiddleboxThatForgetsAfterTwoSeconds) {
  start_dmz();
  Forgetful middlebox(dmz_port, seconds(2));
  start_plant("127.0.0.1:" + std::to_string(middlebox.port()),
              "heartbeat = \"1s\"\ntimeout = \"3s\"\n[limits]\npoints = 1000\n");
  plant->rewrite("[[link]]\nname = \"dmz\"\npeer = \"dmz-1\"\nsend = [\"**\"]\ndial = \"127.0.0.1:" +
                 std::to_string(middlebox.port()) +
                 "\"\nheartbeat = \"1s\"\ntimeout = \"3s\"\n");  // no source: nothing but heartbeats goes over it
  plant->process().signal(15);
  plant->process().wait(seconds(20));
  const unsigned before = middlebox.connections();
  plant->start();
  ASSERT_TRUE(plant->wait_ready()) << plant->log();
  ASSERT_TRUE(plant->wait_link("dmz", "up", seconds(20))) << plant->log();
  std::this_thread::sleep_for(seconds(8));
  EXPECT_EQ(plant->link_field("dmz", "state"), "up");
  EXPECT_EQ(middlebox.forgotten(), 0u);
  EXPECT_EQ(middlebox.connections(), before + 1);
}

TEST_F(Networks, AForgottenConnectionIsNoticedWithinTheTimeoutAndDialledAnew) {
  start_dmz("", "127.0.0.1", "heartbeat = \"20s\"\ntimeout = \"60s\"\n");
  Forgetful middlebox(dmz_port, milliseconds(500));
  plant = std::make_unique<Node>(folder, pki, "plant-1",
                                 "[[link]]\nname = \"dmz\"\npeer = \"dmz-1\"\nsend = [\"**\"]\ndial = \"127.0.0.1:" +
                                     std::to_string(middlebox.port()) + "\"\nheartbeat = \"4s\"\ntimeout = \"8s\"\n");
  plant->start();
  ASSERT_TRUE(plant->wait_ready()) << plant->log();
  EXPECT_TRUE(eventually([&] { return middlebox.forgotten() > 0; }, seconds(20)));
  EXPECT_TRUE(eventually([&] { return middlebox.connections() > 1; }, seconds(40))) << plant->log();
}

TEST_F(Networks, ANameWithADeadAddressBeforeALivingOneIsDialled) {
  if (!may_mount()) GTEST_SKIP() << "a hosts file of its own for the node needs the right to mount";
  start_dmz();  // on 127.0.0.1 only
  start_plant("dmz.example:" + std::to_string(dmz_port), "",
              with_hosts("127.0.0.1 localhost\n127.0.0.9 dmz.example\n127.0.0.8 dmz.example\n127.0.0.1 dmz.example\n"));
  EXPECT_TRUE(values_arrive());
}

TEST_F(Networks, ANameWithOnlyDeadAddressesIsSaidWithEachOfThem) {
  if (!may_mount()) GTEST_SKIP() << "a hosts file of its own for the node needs the right to mount";
  start_plant("dmz.example:" + std::to_string(dmz_port), "",
              with_hosts("127.0.0.9 dmz.example\n127.0.0.8 dmz.example\n"));
  EXPECT_TRUE(fails_with("127.0.0.9: connection refused"));
  EXPECT_TRUE(fails_with("127.0.0.8: connection refused"));
}

TEST_F(Networks, ALinkOverIpv6) {
  start_dmz("", "::1");
  start_plant("[::1]:" + std::to_string(dmz_port));
  EXPECT_TRUE(values_arrive());
}

}  // namespace
}  // namespace sallyport::tests
