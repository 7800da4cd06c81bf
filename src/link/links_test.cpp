// Whole nodes' links on several loops, over TLS on loopback: what threads must not change.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "link/link.h"
#include "net/loop_thread.h"
#include "net/test_support.h"

namespace sallyport::link {
namespace {

using namespace net::testing;

constexpr std::size_t kPeers = 8;
constexpr int kPoints = 20;   // of each peer

bool eventually(const std::function<bool()>& done, Duration limit = 60s) {
  const SystemClock clock;
  for (const MonotonicTime end = clock.monotonic() + limit; clock.monotonic() < end; std::this_thread::sleep_for(5ms)) {
    if (done()) return true;
  }
  return done();
}

// A namespace with a source of its own, and links on loops that others may share.
class Place {
 public:
  Place(std::string name, net::LoopThread& first, std::span<net::Loop* const> more, std::shared_ptr<const net::TlsIdentity> identity)
      : name_(std::move(name)), first_(first), ns(clock_, {.max_points = 1u << 12, .ring_entries = 1u << 10, .max_routes = 64}) {
    first_.run([&] { links = std::make_unique<Links>(first_.loop(), ns, name_, std::move(identity), LinksMemory(), more); });
  }
  ~Place() {
    first_.run([&] { links.reset(); });
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void define_points() {
    route_ = *ns.add_route({name_, "source", {name_}});
    Meta meta;
    meta.type = Type::int64;
    for (int i = 0; i < kPoints; ++i) {
      const std::string path = name_ + "/p" + std::to_string(i);
      const Definition definition{path, &meta, {kNoPoint, status::kGood, 1, Value::from(std::int64_t{0})}};
      PointId id = kNoPoint;
      ns.define(route_, std::span(&definition, 1), std::span(&id, 1));
      ids_.push_back(id);
    }
  }
  void change_all(std::int64_t value) {
    std::vector<Change> changes;
    for (const PointId id : ids_) changes.push_back({id, status::kGood, value + 1, Value::from(value)});
    ns.apply(route_, changes);
  }
  template <typename Task>
  void on_loop(Task task) {
    first_.run([&] { task(*links); });
  }
  Result<void> add(LinkOptions options) {
    Result<void> added;
    on_loop([&](Links& on) { added = on.add(options); });
    return added;
  }
  // path → value, of good points.
  std::map<std::string, std::int64_t> good() const {
    std::map<std::string, std::int64_t> out;
    std::vector<PointView> points;
    ns.list(Patterns::everything(), 0, 1u << 12, points);
    for (const PointView& point : points) {
      double number = -1;
      if (quality_of(point.status) == Quality::good && point.value.to_double(number)) out[point.path] = static_cast<std::int64_t>(number);
    }
    return out;
  }

 private:
  SystemClock clock_;
  std::string name_;
  net::LoopThread& first_;
  RouteId route_ = kNoRoute;
  std::vector<PointId> ids_;

 public:
  Namespace ns;
  std::unique_ptr<Links> links;
};

LinkOptions link_to(const std::string& peer, std::uint16_t dial_port = 0) {
  LinkOptions options;
  options.name = options.peer = peer;
  if (dial_port != 0) options.dial = {{"127.0.0.1", dial_port}};
  options.send = options.receive = Patterns::everything();
  options.timeout = 20s;   // a machine that is slow breaks nothing
  return options;
}

// A hub whose links share four loops, and peers that share one of their own. Half of the peers dial, half are dialled.
class LinksOnFourLoops : public ::testing::Test {
 protected:
  static bool dials(std::size_t i) { return i % 2 == 0; }
  static std::string name_of(std::size_t i) { return "peer-" + std::to_string(i); }

  void SetUp() override {
    for (auto& thread : threads) thread.start();
    peer_thread.start();
    std::vector<net::Loop*> more;
    for (std::size_t i = 1; i < std::size(threads); ++i) more.push_back(&threads[i].loop());
    hub = std::make_unique<Place>("hub", threads[0], more, pki.identity("hub"));
    hub->define_points();
    hub->on_loop([](Links& links) { ASSERT_TRUE(links.listen({"127.0.0.1", 0})); });
    const std::uint16_t hub_port = hub->links->listen_status()->port;
    for (std::size_t i = 0; i < kPeers; ++i) {
      peers.push_back(std::make_unique<Place>(name_of(i), peer_thread, std::span<net::Loop* const>(), pki.identity(name_of(i))));
      Place& peer = *peers.back();
      peer.define_points();
      if (!dials(i)) peer.on_loop([](Links& links) { ASSERT_TRUE(links.listen({"127.0.0.1", 0})); });
      hub_links.push_back(link_to(name_of(i), dials(i) ? 0 : peer.links->listen_status()->port));
      // First the one that is dialled: whoever is refused waits ten seconds.
      const auto add_to_hub = [&] { ASSERT_TRUE(hub->add(hub_links.back())); };
      if (dials(i)) add_to_hub();
      ASSERT_TRUE(peer.add(link_to("hub", dials(i) ? hub_port : 0)));
      if (!dials(i)) add_to_hub();
    }
  }
  void TearDown() override {
    hub.reset();
    peers.clear();
  }

  bool all_hold(std::int64_t value) {
    const auto holds = [value](const Place& place) {
      const auto good = place.good();
      return good.size() == (kPeers + 1) * kPoints && std::ranges::all_of(good, [value](const auto& point) { return point.second == value; });
    };
    return holds(*hub) && std::ranges::all_of(peers, [&](const auto& peer) { return holds(*peer); });
  }
  void change_everything(std::int64_t value) {
    hub->change_all(value);
    for (const auto& peer : peers) peer->change_all(value);
  }
  std::shared_ptr<const net::TlsIdentity> another_identity() {
    for (const char* file : {"hub.crt", "hub.key"}) std::filesystem::remove(pki.folder / file);
    return pki.identity("hub");
  }
  bool all_up() {
    return std::ranges::all_of(hub->links->status(), [](const LinkStatus& link) { return link.state == LinkState::up && link.synchronized; });
  }

  Pki pki{net::KeyAlgorithm::ed25519};
  net::LoopThread threads[4] = {net::LoopThread("hub-0"), net::LoopThread("hub-1"), net::LoopThread("hub-2"), net::LoopThread("hub-3")};
  net::LoopThread peer_thread{"peers"};
  std::unique_ptr<Place> hub;
  std::vector<std::unique_ptr<Place>> peers;
  std::vector<LinkOptions> hub_links;
};

TEST_F(LinksOnFourLoops, AreSpreadEvenlyAndNamedInOrder) {
  ASSERT_TRUE(eventually([&] { return all_up(); }));
  std::map<unsigned, int> by_loop;
  std::vector<std::string> names;
  for (const LinkStatus& link : hub->links->status()) {
    ++by_loop[link.loop];
    names.push_back(link.name);
  }
  EXPECT_EQ(by_loop, (std::map<unsigned, int>{{0, 2}, {1, 2}, {2, 2}, {3, 2}}));
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_EQ(names.size(), kPeers);
}

TEST_F(LinksOnFourLoops, CarryEverythingEverywhereWhileLinksAndKeysChange) {
  ASSERT_TRUE(eventually([&] { return all_hold(0); }));
  std::atomic<bool> done = false;
  std::atomic<std::int64_t> value = 0;
  std::thread traffic([&] {
    while (!done) {
      change_everything(++value);
      std::this_thread::sleep_for(1ms);
    }
  });
  std::thread asking([&] {
    while (!done) {
      hub->links->status();
      hub->links->listen_status();
      std::this_thread::sleep_for(1ms);
    }
  });
  for (int round = 0; round < 3; ++round) {
    auto wanted = hub_links;
    wanted[2].rank = static_cast<unsigned>(round + 1);   // dialled by its peer, made anew
    wanted[5].rank = static_cast<unsigned>(round + 1);   // dials, made anew
    wanted.pop_back();
    hub->on_loop([&](Links& links) { EXPECT_TRUE(links.reconfigure(wanted)); });
    std::this_thread::sleep_for(100ms);
    hub->on_loop([&](Links& links) {
      links.set_identity(another_identity());
      links.remove("peer-4");
      EXPECT_TRUE(links.add(hub_links[4]));
      EXPECT_TRUE(links.add(hub_links[kPeers - 1]));
      EXPECT_EQ(links.add(hub_links[1]).error().code, ErrorCode::exists);
    });
    EXPECT_TRUE(eventually([&] { return all_up(); }));
  }
  done = true;
  traffic.join();
  asking.join();
  change_everything(++value);
  EXPECT_TRUE(eventually([&] { return all_hold(value); })) << hub->good().size();
  std::uint64_t renewals = 0;
  for (const LinkStatus& link : hub->links->status()) renewals += link.renewals;
  EXPECT_GT(renewals, 0u);
}

TEST_F(LinksOnFourLoops, TellEachPeerOfTheHopsBehindAllOthers) {
  const auto told = [&](const Place& peer) {
    std::set<std::string> links;
    for (const LinkStatus& link : peer.links->status()) {
      for (const HopStatus& hop : link.hops) {
        if (hop.node == "hub" && hop.state == LinkState::up) links.insert(hop.link);
      }
    }
    return links;
  };
  for (std::size_t i = 0; i < kPeers; ++i) {
    std::set<std::string> others;
    for (std::size_t j = 0; j < kPeers; ++j) {
      if (j != i) others.insert(name_of(j));
    }
    EXPECT_TRUE(eventually([&] { return told(*peers[i]) == others; })) << i << ": " << told(*peers[i]).size();
  }
}

TEST_F(LinksOnFourLoops, SayGoodbyeOnAllLoopsAndAreRemembered) {
  ASSERT_TRUE(eventually([&] { return all_hold(0); }));
  change_everything(1);
  hub->on_loop([](Links& links) { links.stop(); });
  for (const auto& peer : peers) {
    EXPECT_TRUE(eventually([&] { return peer->links->status().front().reason.find("timeout") == std::string::npos && peer->links->status().front().state != LinkState::up; }));
  }
  LinksMemory memory;
  std::size_t chunks = 0;
  ASSERT_TRUE(hub->links->save([&](std::uint32_t kind, std::span<const std::byte> bytes) {
    ++chunks;
    return memory.take({kind, Bytes(bytes.begin(), bytes.end())});
  }));
  EXPECT_EQ(chunks, 1 + 2 * kPeers);
}

}  // namespace
}  // namespace sallyport::link
