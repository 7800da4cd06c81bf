#include "namespace/image.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

constexpr NamespaceLimits kLimits{.max_points = 1000, .ring_entries = 256, .max_routes = 16};

std::vector<Chunk> saved(const Namespace& ns) {
  std::vector<Chunk> chunks;
  const auto done = save_image(ns, [&](std::uint32_t kind, std::span<const std::byte> bytes) -> Result<void> {
    chunks.push_back({kind, Bytes(bytes.begin(), bytes.end())});
    return {};
  });
  EXPECT_TRUE(done);
  return chunks;
}

Result<void> restore(Namespace& ns, const std::vector<Chunk>& chunks) {
  ImageRestorer restorer(ns, "n-1");
  for (const Chunk& chunk : chunks) {
    if (auto taken = restorer.take(chunk); !taken) return taken;
  }
  return restorer.finish();
}

struct Image : ::testing::Test {
  ManualClock clock;
  Namespace before{clock, kLimits}, after{clock, kLimits};
  RouteId route = *before.add_route({"n-0", "line1", {"n-0", "n-1"}});

  PointId define(const std::string& path, Value value, std::uint8_t burst = 0) {
    Meta meta;
    meta.unit = "bar";
    meta.burst = burst;
    const Definition d{path, &meta, {kNoPoint, status::kGood, 1000, std::move(value)}};
    PointId id = kNoPoint;
    before.define(route, std::span(&d, 1), std::span(&id, 1));
    return id;
  }
};

TEST_F(Image, HoldsEveryPointWithItsIdRevisionAndMetadataAndCoversIt) {
  const PointId a = define("acme/a", Value::from(1.5));
  const PointId b = define("acme/b", Value::text("ja"));
  const PointId gone = define("acme/gone", Value::from(true));
  before.remove(route, std::span(&gone, 1));
  Change change{a, status::kUncertainInitialValue, 7000, Value::from(2.5)};
  before.apply(route, std::span(&change, 1));
  ASSERT_TRUE(restore(after, saved(before)));

  EXPECT_EQ(after.find("acme/a"), a);
  EXPECT_EQ(after.find("acme/b"), b);
  EXPECT_FALSE(after.find("acme/gone"));
  EXPECT_EQ(after.revision(), before.revision());
  EXPECT_EQ(after.route_holding(route).digest, before.route_holding(route).digest);
  const auto view = *after.read("acme/a");
  EXPECT_EQ(view.value, Value::from(2.5));
  EXPECT_EQ(view.underlying, status::kUncertainInitialValue);
  EXPECT_EQ(view.source_time, 7000);
  EXPECT_EQ(view.revision, before.read("acme/a")->revision);
  EXPECT_EQ(view.meta->unit, "bar");
  EXPECT_EQ(view.origin, "n-0");
  EXPECT_EQ(quality_of(view.status), Quality::bad);
  EXPECT_EQ(view.cause->what, "this node was restarted");
  EXPECT_EQ(after.read("acme/b")->value, Value::text("ja"));
}

TEST_F(Image, IsClaimedByWhatBringsThePointsAndDroppedOtherwise) {
  define("acme/a", Value::from(1.0));
  const RouteId other = *before.add_route({"n-0", "line2", {"n-0", "n-1"}});
  const Definition d{"acme/other", nullptr, {kNoPoint, status::kGood, 1000, Value::from(1.0)}};
  PointId id = kNoPoint;
  before.define(other, std::span(&d, 1), std::span(&id, 1));
  ASSERT_TRUE(restore(after, saved(before)));
  EXPECT_EQ(*after.add_route({"n-0", "line1", {"n-0", "n-1"}}), route);
  EXPECT_TRUE(after.route_state(route).covered) << "nothing looks good before it was heard of again";
  after.drop_restored();
  EXPECT_TRUE(after.find("acme/a"));
  EXPECT_FALSE(after.find("acme/other"));
}

TEST_F(Image, RefusesWhatDoesNotFit) {
  for (int i = 0; i < 20; ++i) define("acme/p" + std::to_string(i), Value::from(i));
  const auto chunks = saved(before);
  Namespace small(clock, {.max_points = 10, .ring_entries = 256, .max_routes = 16});
  EXPECT_EQ(restore(small, chunks).error().code, ErrorCode::limit);
  small.clear();
  EXPECT_EQ(small.counts(Patterns::everything()).points, 0u);
  auto fewer = chunks;
  fewer.pop_back();
  Namespace cut(clock, kLimits);
  EXPECT_FALSE(restore(cut, fewer));
}

// The file is checked before it is believed; this is for what a later version might get wrong.
TEST_F(Image, SurvivesAnyDamage) {
  define("acme/a", Value::from(1.5), 3);
  define("acme/b", Value::text("long enough to be kept apart"));
  const auto chunks = saved(before);
  for (std::size_t c = 0; c < chunks.size(); ++c) {
    for (std::size_t at = 0; at < chunks[c].bytes.size(); ++at) {
      for (const int flip : {1, 0x80, 0xff}) {
        auto damaged = chunks;
        damaged[c].bytes[at] ^= static_cast<std::byte>(flip);
        Namespace ns(clock, kLimits);
        static_cast<void>(restore(ns, damaged));
      }
      auto cut = chunks;
      cut[c].bytes.resize(at);
      Namespace ns(clock, kLimits);
      EXPECT_FALSE(restore(ns, cut)) << c << " cut at " << at;
    }
  }
}

}  // namespace
}  // namespace sallyport
