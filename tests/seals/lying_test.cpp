// Promise 10: between an honest plant and an honest office, both the real program, stands a DMZ that lies: it has valid
// certificates and speaks the protocol as it should. What the office's HTTP API shows is the witness: good means true, and
// not older than the settings allow.
#include <gtest/gtest.h>

#include <atomic>

#include "lying_dmz.h"
#include "office.h"
#include "rogue.h"
#include "seal/issuer.h"
#include "seal/paths.h"

namespace sallyport::tests {
namespace {

constexpr std::size_t kPoints = 64;
constexpr double kForged = -666666;
constexpr double kOldest = 3 + 1 + 5 + 2;   // timeout, heartbeat, max_age, and a loaded machine

class LyingDmzTest : public testing::Test {
 protected:
  void SetUp() override {
    pki_.emplace(folder_.path() + "/pki");
    dmz_ = std::make_unique<LyingDmz>(*pki_, "dmz-1", "plant-1", "office-1");
    plant_ = std::make_unique<Node>(folder_, *pki_, "plant-1",
                                    "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\npoints = 64\nrate = 640\nseed = 7\nshape = \"ramp\"\n"
                                    "[[seal]]\nmatch = [\"acme/**\"]\npoints_per_seal = 16\n"
                                    "[[link]]\nname = \"dmz\"\npeer = \"dmz-1\"\ndial = \"127.0.0.1:" + std::to_string(dmz_->plant_port()) + "\"\nsend = [\"**\"]\n");
    http_port_ = free_port();
    start_office();
    plant_->start();
    ASSERT_TRUE(plant_->wait_ready()) << plant_->log();
    ASSERT_TRUE(wait_good()) << plant_->log() << office_->log();
  }
  void start_office() {
    if (!office_) {
      office_ = std::make_unique<Node>(folder_, *pki_, "office-1",
                                       "[[verify]]\nmatch = [\"acme/**\"]\norigin = \"plant-1\"\n[http]\naddress = \"127.0.0.1:" + std::to_string(http_port_) + "\"\n"
                                       "[[link]]\nname = \"dmz\"\npeer = \"dmz-1\"\ndial = \"127.0.0.1:" + std::to_string(dmz_->office_port()) + "\"\nreceive = [\"**\"]\n");
    }
    office_->start();
    ASSERT_TRUE(office_->wait_ready()) << office_->log();
  }
  bool wait_good() {
    return eventually([&] { return count_good(look()) == kPoints; }, seconds(30));
  }
  // What the office shows, which must never be a lie.
  std::map<std::string, Shown> look() {
    auto points = shown_at(http_port_);
    for (const auto& [path, point] : points) {
      if (point.quality != "good") continue;
      EXPECT_TRUE(point.verified.starts_with("signed")) << path << ": " << point.verified;
      EXPECT_GE(point.value, 0) << path << " shows a forged value as good";
      EXPECT_LT(point.age, kOldest) << path << " is good, and old";
    }
    return points;
  }
  void look_for(Clock::duration time) {
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
      look();
      std::this_thread::sleep_for(milliseconds(50));
    }
  }
  // The lie is noticed: nothing, or not all, is good. Then the DMZ becomes honest, and all is well.
  void expect_noticed(std::size_t good_at_most, Clock::duration limit = seconds(15)) {
    EXPECT_TRUE(eventually([&] { return count_good(look()) <= good_at_most; }, limit)) << office_->ask({"status"}).output;
    look_for(seconds(3));
  }
  void expect_healed() {
    dmz_->set_way(nullptr);
    EXPECT_TRUE(wait_good()) << office_->ask({"status"}).output << office_->log();
  }
  double refused(const std::string& kind) { return std::atof(stream_field(*office_, "refused." + kind).c_str()); }

  TempFolder folder_;
  std::optional<Pki> pki_;
  std::unique_ptr<LyingDmz> dmz_;
  std::unique_ptr<Node> plant_, office_;
  std::uint16_t http_port_ = 0;
};

TEST_F(LyingDmzTest, AlteredContainersTurnTheirPointsNotGood) {
  std::atomic<unsigned> at = 0;
  dmz_->set_way([&](const Item& item) -> std::vector<Item> {
    if (!item.is_values()) return {item};
    Bytes bytes(item.value.contents().begin(), item.value.contents().end());
    bytes[at++ * 37 % bytes.size()] ^= std::byte{0x20};
    Item altered = item;
    altered.value = Value::contents(Type::byte_string, false, bytes);
    return {altered};
  });
  expect_noticed(0);
  EXPECT_GT(refused("signature"), 0);
  expect_healed();
  EXPECT_NE(office_->ask({"doctor"}).output.find("containers were refused"), std::string::npos);
}

TEST_F(LyingDmzTest, ADroppedBucketTurnsNotGoodAndTheRestStays) {
  dmz_->set_way([&](const Item& item) -> std::vector<Item> {
    if (item.path.ends_with("/$v1")) return {};
    return {item};
  });
  expect_noticed(kPoints - 16);
  EXPECT_EQ(count_good(look()), kPoints - 16);
  EXPECT_EQ(stream_field(*office_, "failed_buckets"), "1");
  expect_healed();
}

TEST_F(LyingDmzTest, AFrozenStreamTurnsNotGood) {
  dmz_->set_way([](const Item&) { return std::vector<Item>(); });
  expect_noticed(0);
  EXPECT_NE(look().begin()->second.cause.find("no fresh manifest"), std::string::npos) << look().begin()->second.cause;
  expect_healed();
}

TEST_F(LyingDmzTest, AStreamThatIsAlwaysLateTurnsNotGood) {
  std::deque<std::pair<Clock::time_point, Item>> kept;
  dmz_->set_way([&](const Item& item) {
    kept.emplace_back(Clock::now() + seconds(8), item);
    std::vector<Item> due;
    for (; !kept.empty() && kept.front().first <= Clock::now(); kept.pop_front()) due.push_back(kept.front().second);
    return due;
  });
  expect_noticed(0);
  look_for(seconds(8));
  EXPECT_EQ(count_good(look()), 0u);
  EXPECT_GT(refused("late"), 0);
  expect_healed();
}

TEST_F(LyingDmzTest, EarlierStatesAndSwappedOnesAreRefused) {
  const auto before = dmz_->heard();
  look_for(seconds(2));
  dmz_->set_way([&](const Item& item) -> std::vector<Item> {
    const auto old = before.find(item.path);
    if (!item.is_values() || old == before.end()) return {item};
    return {old->second};
  });
  expect_noticed(0);
  EXPECT_GT(refused("rollback"), 0);
  dmz_->set_way([&](const Item& item) -> std::vector<Item> {
    Item swapped = item;
    if (item.path.ends_with("/$v1")) swapped.path.back() = '2';
    else if (item.path.ends_with("/$v2")) swapped.path.back() = '1';
    return {swapped};
  });
  EXPECT_TRUE(eventually([&] { return refused("misplaced") > 0; }, seconds(10)));
  expect_healed();
}

// Signed by the DMZ's own keys, whose certificates the same authority issued.
TEST_F(LyingDmzTest, ItsOwnSignaturesCountForNothing) {
  const auto utc = SystemClock().utc();
  seal::Issuer forger("plant-1", "acme");
  ASSERT_TRUE(forger.begin(static_cast<std::uint64_t>(utc), nullptr));
  Bytes announcement, definitions, values, manifest;
  encode(announcement, seal::Announcement{utc, std::chrono::seconds(1), false, dmz_->signer()->credential()});
  encode(definitions, seal::Definitions{{Meta{}}, {{"acme/line1/forged", 0}}});
  ASSERT_TRUE(forger.add(seal::Kind::announcement, 0, 1, announcement));
  const auto hash = forger.add(seal::Kind::definitions, 0, 1, definitions);
  ASSERT_TRUE(hash);
  encode(values, seal::Values{utc, 1, *hash, {{status::kGood, utc, Value::from(kForged)}}});
  ASSERT_TRUE(forger.add(seal::Kind::values, 0, 1, values));
  encode(manifest, seal::Manifest{utc, {1}});
  ASSERT_TRUE(forger.add(seal::Kind::manifest, 0, 1, manifest));
  dmz_->set_way([](const Item& item) { return item.is_seal() ? std::vector<Item>() : std::vector<Item>{item}; });
  forger.issue(*dmz_->signer(), true, [&](const std::string& path, const Bytes& bytes) {
    dmz_->say({path, Value::contents(Type::byte_string, false, bytes), status::kGood, utc, false});
  });
  expect_noticed(0);
  EXPECT_GT(refused("certificate"), 0);
  EXPECT_FALSE(look().contains("acme/line1/forged"));
  expect_healed();
}

TEST_F(LyingDmzTest, ContainersThatAreTakenAwayOrReplacedByRubbishDoNoMore) {
  dmz_->set_way([](const Item& item) {
    Item gone = item;
    gone.removed = item.is_values();
    return std::vector<Item>{gone};
  });
  expect_noticed(0);
  dmz_->set_way([](const Item& item) {
    Item rubbish = item;
    if (item.is_seal()) rubbish.value = Value::from(kForged);
    return std::vector<Item>{rubbish};
  });
  look_for(seconds(2));
  EXPECT_EQ(count_good(look()), 0u);
  EXPECT_GT(refused("malformed"), 0);
  expect_healed();
}

TEST_F(LyingDmzTest, ARecordingIsRefusedByAnOfficeThatWasRestarted) {
  const auto yesterday = dmz_->heard();
  std::this_thread::sleep_for(seconds(6));   // older than max_age
  plant_->process().signal(15);
  plant_->process().wait(seconds(10));
  plant_->start();                           // another epoch
  ASSERT_TRUE(plant_->wait_ready());
  ASSERT_TRUE(wait_good());
  dmz_->set_way([](const Item&) { return std::vector<Item>(); });
  office_->process().kill();
  office_->process().wait(seconds(10));
  for (const auto& [path, item] : yesterday) dmz_->say(item);
  start_office();
  ASSERT_TRUE(eventually([&] { return refused("old_epoch") > 0; }, seconds(15))) << office_->ask({"status"}).output;
  look_for(seconds(5));
  EXPECT_EQ(count_good(look()), 0u);
  expect_healed();
}

// The points themselves, in the clear, at the paths that are verified: a peer that does not ask what it may send.
TEST_F(LyingDmzTest, PointsInTheClearAreRefusedWhereTheyAreVerified) {
  dmz_->set_way([](const Item&) { return std::vector<Item>(); });
  Rogue rogue(*pki_, "dmz-1");
  const std::uint16_t port = rogue.listen();
  office_->rewrite("[[verify]]\nmatch = [\"acme/**\"]\norigin = \"plant-1\"\n[http]\naddress = \"127.0.0.1:" + std::to_string(http_port_) + "\"\n"
                   "[[link]]\nname = \"dmz\"\npeer = \"dmz-1\"\ndial = \"127.0.0.1:" + std::to_string(port) + "\"\nreceive = [\"**\"]\n");
  office_->process().signal(1);
  ASSERT_TRUE(rogue.accept(seconds(15)));
  ASSERT_TRUE(rogue.greet());
  ASSERT_TRUE(rogue.begin_sending());
  ASSERT_TRUE(rogue.say(definitions_of(1, 1, 10, "acme/line1/forged") + definitions_of(1, 100, 10, "other") + changes_of(1, 10, kForged, SystemClock().utc())));
  ASSERT_TRUE(rogue.wait_for([&] { return shown_at(http_port_, "other/**").size() == 10; }, seconds(10))) << office_->log();
  for (const auto& [path, point] : look()) EXPECT_FALSE(path.contains("forged")) << path;
  EXPECT_EQ(shown_at(http_port_, "other/**").begin()->second.verified, "unverified");
  EXPECT_GE(std::atoi(office_->link_field("dmz", "refused").c_str()), 10);
}

}  // namespace
}  // namespace sallyport::tests
