// The wire format: what goes out comes back, byte for byte as docs/protocol.md says, and nothing malformed gets in.
#include "link/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "link/change_codec.h"

namespace sallyport::link {
namespace {

Bytes bytes_of(std::initializer_list<int> list) {
  Bytes out;
  for (const int b : list) out.push_back(static_cast<std::byte>(b));
  return out;
}

std::span<const std::byte> body_of(const Bytes& frame) { return std::span(frame).subspan(kFrameHeader); }

// A slot that borrows the value it is given; the codec reads from slots.
struct LentSlot {
  explicit LentSlot(Value v, Status status, UtcNanoseconds time) : raw(std::move(v).release_raw()) {
    slot = {};
    slot.bits = raw.bits;
    slot.type = raw.type;
    slot.array = raw.array;
    slot.blob = raw.blob;
    slot.status = status;
    slot.source_time = time;
  }
  ~LentSlot() { static_cast<void>(Value::adopt_raw(raw)); }
  Value::Raw raw;
  Slot slot;
};

struct Sent {
  PointId id;
  Value value;
  Status status;
  UtcNanoseconds time;
};

Bytes encode_all(const std::vector<Sent>& sent) {
  Bytes out;
  ChangeEncoder encoder(out);
  for (const Sent& s : sent) encoder.add(s.id, LentSlot(s.value, s.status, s.time).slot, false);
  EXPECT_EQ(encoder.finish(), sent.size());
  return out;
}

TEST(ChangeCodec, WritesTheBytesOfTheProtocolsExample) {
  EXPECT_EQ(encode_all({{7, Value::from(1.5), 0, 0}}), bytes_of({0x0b, 0, 0, 0, 5, 1, 6, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f}));
}

TEST(ChangeCodec, BringsBackEveryKindOfChange) {
  const Value elements[] = {Value::from(1.0), Value::from(2.0)};
  const std::vector<Sent> sent{
      {0, Value::from(1.0), 0, 1'700'000'000'000'000'000},
      {1, Value::from(2.0), 0, 1'700'000'000'000'000'000},
      {2, Value::from(true), 0x80310000, 1'700'000'000'000'000'007},
      {300, Value::from(false), 0x80310000, 1'700'000'000'000'100'000},
      {40'000, Value(), 0x40920000, 1'699'999'999'000'000'000},
      {39'999, Value::text("grün"), 0, 5},
      {20'000'000, Value::text(""), 0, -5},
      {20'000'001, make_array(Type::float64, elements), 0, INT64_MIN},
      {3, Value::from(std::int16_t{-4}), 0, INT64_MAX},
  };
  const Bytes frame = encode_all(sent);
  std::vector<Change> back;
  ASSERT_TRUE(decode_changes(body_of(frame), back));
  ASSERT_EQ(back.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(back[i].point, sent[i].id) << i;
    EXPECT_EQ(back[i].status, sent[i].status) << i;
    EXPECT_EQ(back[i].source_time, sent[i].time) << i;
    EXPECT_EQ(back[i].value, sent[i].value) << i;
  }
}

TEST(ChangeCodec, SpendsNoMoreThanTwentyBytesOnAChangingDoubleAnywhereInAMillionPoints) {
  std::mt19937 random(1);
  std::vector<Sent> sent;
  for (int i = 0; i < 10'000; ++i) sent.push_back({static_cast<PointId>(random() % 1'000'000), Value::from(1.0 / i), 0, 1'700'000'000'000'000'000 + std::int64_t{i} * 1'000'000});
  EXPECT_LE(encode_all(sent).size(), sent.size() * 20);
}

TEST(ChangeCodec, RejectsEveryTruncationOrReadsFewerChanges) {
  const Bytes frame = encode_all({{5, Value::from(1.0), 0x80310000, 99}, {900, Value::text("text"), 0, 100'000'000}, {1 << 25, Value::from(true), 0, 7}});
  for (std::size_t size = 1; size + kFrameHeader < frame.size(); ++size) {
    std::vector<Change> back;
    const auto ok = decode_changes(body_of(frame).first(size), back);
    EXPECT_TRUE(!ok || back.size() < 3) << size;
  }
}

TEST(ChangeCodec, RejectsWhatTheProtocolReserves) {
  for (const Bytes& body : {bytes_of({0x20}), bytes_of({0xc0}), bytes_of({0x40, 0}), bytes_of({0x40, 99}), bytes_of({0x40, 1, 2}), bytes_of({0x40, 12, 0xff, 0xff, 0xff, 0xff, 0x7f})}) {
    std::vector<Change> back;
    EXPECT_FALSE(decode_changes(body, back));
  }
}

TEST(LinkCodec, BringsBackControlMessages) {
  Hello hello;
  hello.node = "plant-1";
  hello.incarnation = 77;
  hello.heartbeat = std::chrono::seconds(1);
  hello.timeout = std::chrono::seconds(3);
  hello.send = {"acme/**", "!acme/x"};
  hello.held = {5, 6, 7, 8};
  Bytes frame;
  encode(frame, hello);
  const auto back = decode_hello(body_of(frame));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->node, "plant-1");
  EXPECT_EQ(back->send, hello.send);
  EXPECT_EQ(back->held.view, 8u);

  frame.clear();
  encode(frame, RouteMessage{9, {"plant-1", "line1", {"plant-1", "dmz-1"}}, {true, status::kBadNoCommunication, {"dmz-1", "plant-1", 5, "timeout"}, false}, true, false});
  const auto route = decode_route(body_of(frame));
  ASSERT_TRUE(route);
  EXPECT_EQ(route->info.hops.size(), 2u);
  EXPECT_TRUE(route->renew);
  EXPECT_FALSE(route->state.complete);
  EXPECT_EQ(route->state.cause.what, "timeout");

  frame.clear();
  encode_remove(frame, std::vector<PointId>{5, 3, 4'000'000'000});
  EXPECT_THAT(*decode_remove(body_of(frame)), ::testing::ElementsAre(5u, 3u, 4'000'000'000u));

  frame.clear();
  encode_hops(frame, std::vector<HopStatus>{{"dmz-1", "plant-1", "plant-1", LinkState::down, 9, "timeout", Duration(70), false}});
  EXPECT_EQ(decode_hops(body_of(frame))->at(0).reason, "timeout");
  EXPECT_FALSE(decode_hops(body_of(frame))->at(0).heard);
}

TEST(LinkCodec, BringsBackDefinitions) {
  Bytes frame;
  Meta meta;
  meta.unit = "bar";
  meta.range_low = -1;
  meta.enum_strings = {"off", "on"};
  DefineEncoder encoder(frame);
  encoder.add(7, 1, "acme/a/temp", meta, 4, false, 0, 99, Value::from(1.0));
  encoder.add(3, 2, "acme/a/tempo", Meta{}, 0, true, 0x80310000, 98, Value());
  encoder.add(9, 1, "b", meta, 4, false, 0, 98, Value::text("x"), true);
  encoder.finish();
  DefineFrame back;
  ASSERT_TRUE(decode_define(body_of(frame), back));
  ASSERT_EQ(back.records.size(), 3u);
  EXPECT_EQ(back.paths, "acme/a/tempacme/a/tempob");
  EXPECT_EQ(back.metas[back.records[2].meta], meta);
  EXPECT_TRUE(back.records[1].covered);
  EXPECT_TRUE(back.records[2].forced);
  EXPECT_EQ(back.records[2].source_time, 98);
}

// Every decoder, fed with noise and with damaged frames, says no or comes back with something; it never reads past the end.
TEST(LinkCodec, SurvivesNoiseInEveryDecoder) {
  Bytes good;
  DefineEncoder encoder(good);
  encoder.add(7, 1, "acme/a/temp", Meta{}, 4, false, 0, 99, Value::text("some text"));
  encoder.finish();
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    Bytes body(body_of(good).begin(), body_of(good).end());
    if (round % 2 == 0) {
      body.resize(random() % 64);
      for (auto& b : body) b = static_cast<std::byte>(random());
    } else {
      body[random() % body.size()] = static_cast<std::byte>(random());
      body.resize(body.size() - random() % 3);
    }
    DefineFrame define;
    std::vector<Change> changes;
    static_cast<void>(decode_define(body, define));
    static_cast<void>(decode_changes(body, changes));
    static_cast<void>(decode_hello(body));
    static_cast<void>(decode_route(body));
    static_cast<void>(decode_position(body));
    static_cast<void>(decode_heartbeat(body));
    static_cast<void>(decode_hops(body));
    static_cast<void>(decode_close(body));
    static_cast<void>(decode_remove(body));
    static_cast<void>(decode_route_digests(body));
    static_cast<void>(decode_bucket_digests(body));
    static_cast<void>(decode_route_buckets(body));
    static_cast<void>(next_frame(body, 1000));
  }
}

}  // namespace
}  // namespace sallyport::link
