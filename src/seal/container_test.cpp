#include "seal/container.h"

#include <gtest/gtest.h>

#include <functional>

#include "crypto/random.h"
#include "seal/paths.h"
#include "seal/state_file.h"

#include "net/test_support.h"

namespace sallyport::seal {
namespace {

Hash hash_of(std::uint8_t fill) {
  Hash hash;
  hash.fill(std::byte{fill});
  return hash;
}

Bytes sample(Kind kind) {
  Bytes body;
  Meta meta;
  meta.type = Type::float64;
  meta.unit = "bar";
  switch (kind) {
    case Kind::announcement: encode(body, Announcement{17, std::chrono::seconds(1), true, Bytes(40, std::byte{7})}); break;
    case Kind::definitions: encode(body, Definitions{{meta, Meta{}}, {{"acme/a", 0}, {"acme/b", 1}}}); break;
    case Kind::values:
      encode(body, Values{1000, 3, hash_of(9), {{status::kGood, 1000, Value::from(1.5)}, {status::kBadNoData, 990, Value::text("x")}, {status::kBadNoData, 990, Value()}}});
      break;
    case Kind::manifest: encode(body, Manifest{1000, {1, 0, 300}}); break;
    case Kind::checkpoint: encode(body, Checkpoint{1000, hash_of(1), {{5, hash_of(2)}, {6, hash_of(3)}}}); break;
    case Kind::key: {
      KeyBox box;
      box.reader = hash_of(4);
      box.wrapped = Bytes(48, std::byte{5});
      encode(body, box);
      break;
    }
  }
  return body;
}

bool decodes(Kind kind, std::span<const std::byte> body) {
  Values values;
  switch (kind) {
    case Kind::announcement: return decode_announcement(body).has_value();
    case Kind::definitions: return decode_definitions(body).has_value();
    case Kind::values: return decode_values(body, values).has_value();
    case Kind::manifest: return decode_manifest(body).has_value();
    case Kind::checkpoint: return decode_checkpoint(body).has_value();
    case Kind::key: return decode_key_box(body).has_value();
  }
  return false;
}

constexpr std::array kKinds = {Kind::announcement, Kind::definitions, Kind::values, Kind::manifest, Kind::checkpoint, Kind::key};

Bytes container_of(Kind kind, const Bytes& body) {
  Bytes bytes;
  encode_head(bytes, {kind, false, "plant-1", "acme/berlin", 12, 3, 44});
  append_body(bytes, body);
  Proof proof;
  proof.index = 1;
  proof.count = 3;
  proof.path = {hash_of(1), hash_of(2)};
  proof.fast.fill(std::byte{6});
  append_proof(bytes, proof);
  return bytes;
}

TEST(Container, ComesBackAsItWasWritten) {
  const Bytes bytes = container_of(Kind::values, sample(Kind::values));
  const auto container = decode_container(bytes);
  ASSERT_TRUE(container);
  EXPECT_EQ(container->head, (Head{Kind::values, false, "plant-1", "acme/berlin", 12, 3, 44}));
  EXPECT_EQ(container->proof.count, 3u);
  EXPECT_EQ(container->proof.path.size(), 2u);
  Values values;
  ASSERT_TRUE(decode_values(container->body, values));
  ASSERT_EQ(values.values.size(), 3u);
  EXPECT_EQ(values.values[0].value.float64(), 1.5);
  EXPECT_EQ(values.values[1].status, status::kBadNoData);
  EXPECT_EQ(values.values[1].source_time, 990);
  EXPECT_TRUE(values.values[2].value.is_null());
  const auto definitions = decode_definitions(sample(Kind::definitions));
  ASSERT_TRUE(definitions);
  EXPECT_EQ(definitions->metas[definitions->points[0].meta].unit, "bar");
  const auto manifest = decode_manifest(sample(Kind::manifest));
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->versions, (std::vector<std::uint64_t>{1, 0, 300}));
}

TEST(Container, IsRefusedWhenCutOffAnywhereOrFollowedByMore) {
  for (const Kind kind : kKinds) {
    Bytes body = sample(kind);
    EXPECT_TRUE(decodes(kind, body)) << static_cast<char>(kind);
    for (std::size_t size = 0; size < body.size(); ++size) EXPECT_FALSE(decodes(kind, std::span(body).first(size))) << static_cast<char>(kind) << size;
    Bytes whole = container_of(kind, body);
    for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(decode_container(std::span(whole).first(size))) << size;
    body.push_back(std::byte{0});
    EXPECT_FALSE(decodes(kind, body)) << static_cast<char>(kind);
    whole.push_back(std::byte{0});
    EXPECT_FALSE(decode_container(whole));
  }
}

struct Malformed {
  const char* what;
  std::function<void(Bytes&)> spoil;   // of a container of values
};
const Malformed kMalformed[] = {
    {"unknown format", [](Bytes& b) { b[0] = std::byte{2}; }},
    {"unknown kind", [](Bytes& b) { b[1] = std::byte{'x'}; }},
    {"unknown flags", [](Bytes& b) { b[2] = std::byte{4}; }},
    {"origin longer than a name", [](Bytes& b) { b[3] = std::byte{65}; }},
    {"place outside of the tree", [](Bytes& b) { b[b.size() - 132] = std::byte{3}; }},
    {"a tree of none", [](Bytes& b) { b[b.size() - 131] = std::byte{0}; }},
    {"more hashes than a path has", [](Bytes& b) { b[b.size() - 130] = std::byte{18}; }},
    {"a signature that is not there", [](Bytes& b) { b.back() = std::byte{9}; }},
};

TEST(Container, MalformedOnesAreRefused) {
  const Bytes good = container_of(Kind::values, sample(Kind::values));
  ASSERT_EQ(good[good.size() - 132], std::byte{1}) << "the place in the tree";
  for (const Malformed& row : kMalformed) {
    Bytes bytes = good;
    row.spoil(bytes);
    EXPECT_FALSE(decode_container(bytes)) << row.what;
  }
}

// Counts that promise more than is there are refused before anything is made of them.
TEST(Container, CountsAreNotBelieved) {
  Bytes body(8);   // a time
  ByteWriter w(body);
  w.varint(1ull << 40);
  EXPECT_FALSE(decode_manifest(body));
  Bytes definitions;
  ByteWriter(definitions).varint(1ull << 40);
  EXPECT_FALSE(decode_definitions(definitions));
  Bytes no_meta;
  ByteWriter d(no_meta);
  d.varint(0);
  d.varint(1);
  d.text("acme/a");
  d.varint(0);
  EXPECT_FALSE(decode_definitions(no_meta)) << "a point of metadata that is not there";
  Bytes values = sample(Kind::values);
  values[8 + 8 + 32 + 1] = std::byte{0x80};
  EXPECT_FALSE(decodes(Kind::values, values)) << "unknown flags of a value";
}

TEST(Merkle, EachLeafLeadsToTheRootAndNoOtherDoes) {
  Hasher hasher;
  for (std::uint32_t count = 1; count <= 70; ++count) {
    std::vector<Hash> leaves;
    for (std::uint32_t i = 0; i < count; ++i) leaves.push_back(hasher.leaf(std::as_bytes(std::span(&i, 1))));
    const MerkleTree tree(hasher, leaves);
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto path = tree.path(i);
      EXPECT_EQ(root_of(hasher, leaves[i], i, count, path), tree.root()) << i << " of " << count;
      if (count > 1) {
        EXPECT_NE(root_of(hasher, leaves[(i + 1) % count], i, count, path), tree.root());
        EXPECT_FALSE(root_of(hasher, leaves[i], i, count, std::span(path).first(path.size() - 1)));
      }
      EXPECT_FALSE(root_of(hasher, leaves[i], count, count, path));
    }
  }
}

TEST(SealPaths, LinksCarryTheContainersOfWhatTheyMayCarryWhole) {
  const auto carries = [](std::vector<std::string> texts, const char* prefix) {
    const auto patterns = Patterns::parse(with_seals(texts));
    return patterns && patterns->matches(container_path("plant-1", prefix, Kind::values, 3)) && patterns->matches(container_path("plant-1", prefix, Kind::manifest, 0));
  };
  EXPECT_TRUE(carries({"**"}, ""));
  EXPECT_TRUE(carries({"**"}, "acme/berlin"));
  EXPECT_TRUE(carries({"acme/**"}, "acme"));
  EXPECT_TRUE(carries({"acme/**"}, "acme/berlin"));
  EXPECT_TRUE(carries({"acme/*/line1/**"}, "acme/berlin/line1"));
  EXPECT_FALSE(carries({"acme/berlin/**"}, "acme")) << "they may hold points of another place";
  EXPECT_FALSE(carries({"acme/berlin/**"}, ""));
  EXPECT_FALSE(carries({"acme/berlin/*"}, "acme/berlin")) << "not all that is below";
  EXPECT_FALSE(carries({"plant-1/**"}, "acme")) << "a path that is called like the node";
  EXPECT_FALSE(carries({"acme/*7/**"}, "acme"));
  EXPECT_FALSE(carries({"acme/**", "!acme/berlin/secret/**"}, "acme/berlin"));
  EXPECT_FALSE(carries({"acme/**", "!acme/berlin/secret/**"}, "acme"));
  EXPECT_FALSE(carries({"acme/**", "!acme/berlin/secret/**"}, "acme/berlin/secret/deep"));
  EXPECT_TRUE(carries({"acme/**", "!acme/berlin/secret/**"}, "acme/berlin/line1"));
  EXPECT_FALSE(carries({"acme/**", "!**/secret"}, "acme/berlin"));
  EXPECT_EQ(with_seals({"acme/**", "$seal/plant-1/acme/$*"}).size(), 2u) << "who names seals decides himself";
  EXPECT_TRUE(with_seals({}).empty());
}

TEST(SealPaths, ALiteralPrefixLeavesRoomForTheContainersOwnLevels) {
  EXPECT_EQ(literal_prefix("acme/berlin/**"), "acme/berlin");
  EXPECT_EQ(literal_prefix("acme/pump-*/speed"), "acme");
  EXPECT_EQ(literal_prefix("**"), "");
  EXPECT_EQ(literal_prefix("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"), "1/2/3/4/5/6/7/8/9/10/11/12/13");
  EXPECT_TRUE(may_overlap("acme/**", "acme/berlin/speed"));
  EXPECT_TRUE(may_overlap("acme/*/speed", "acme/berlin/s*"));
  EXPECT_FALSE(may_overlap("acme/berlin/**", "acme/paris/**"));
  EXPECT_FALSE(may_overlap("acme/*", "acme"));
}

TEST(SealState, IsKeptAndADamagedFileIsNotTakenForANewOne) {
  net::testing::TempFolder folder;
  EXPECT_EQ(load_epoch(folder / "sealing").value_or(9), 0u);
  ASSERT_TRUE(save_epoch(folder / "sealing", 77));
  EXPECT_EQ(load_epoch(folder / "sealing").value_or(9), 77u);
  ASSERT_TRUE(save_memories(folder / "verified", {{"plant-1", "acme", 5, 6, {"plant-1", "dmz"}}}));
  const auto memories = load_memories(folder / "verified");
  ASSERT_TRUE(memories);
  ASSERT_EQ(memories->size(), 1u);
  EXPECT_EQ(memories->front().epoch, 5u);
  EXPECT_EQ(memories->front().hops.size(), 2u);
  net::testing::write_text(folder / "verified", net::testing::read_text(folder / "verified").substr(0, 30));
  EXPECT_FALSE(load_memories(folder / "verified"));
}

}  // namespace
}  // namespace sallyport::seal
