// A known peer with a good certificate breaks the protocol in every way there is: it is closed with the code that
// docs/protocol.md names, counted in `status`, and nobody else notices.
#include <gtest/gtest.h>

#include <map>

#include "attacked.h"
#include "rogue.h"

namespace sallyport::tests {
namespace {

using link::CloseCode;
using link::FrameType;

struct Offence {
  const char* name;
  CloseCode code;
  const char* counter;
  std::function<void(Rogue&)> commit;   // after the hellos
};

Bytes small(FrameType type, std::uint64_t number = 0, std::size_t size = 2) {
  Bytes body(size);
  std::memcpy(body.data(), &number, std::min<std::size_t>(size, 8));
  return frame_of(static_cast<unsigned>(type), body);
}

void define_beyond_the_limit(Rogue& rogue) {
  rogue.begin_sending();
  for (PointId first = 0; first < 100'000 && !rogue.ended(); first += 1000) rogue.say(definitions_of(1, first, 1000, "rogue/line1"));
}

const std::vector<Offence>& offences() {
  static const std::vector<Offence> table{
      {"a second hello", CloseCode::malformed, "malformed", [](Rogue& r) { r.say(encoded(r.hello())); }},
      {"data before begin", CloseCode::malformed, "malformed", [](Rogue& r) { r.say(changes_of(0, 1, 1, 1)); }},
      {"a second begin", CloseCode::malformed, "malformed", [](Rogue& r) { r.begin_sending(); r.say(encoded(link::Begin{false, 7})); }},
      {"a frame of 4 GiB", CloseCode::malformed, "malformed", [](Rogue& r) { r.say(Bytes(4, std::byte{0xff}) + Bytes(1, std::byte{5}) + Bytes(1000)); }},
      {"a type that is none", CloseCode::malformed, "malformed", [](Rogue& r) { r.say(frame_of(99, Bytes(10))); }},
      {"a point whose route was never told", CloseCode::malformed, "malformed",
       [](Rogue& r) { r.say(encoded(link::Begin{false, 7}) + definitions_of(9, 0, 1, "rogue/x")); }},
      {"acknowledging what was never sent", CloseCode::malformed, "malformed", [](Rogue& r) { r.say(small(FrameType::ack, 1ull << 40, 8)); }},
      {"going on where nothing was held", CloseCode::malformed, "malformed", [](Rogue& r) { r.say(encoded(link::Begin{true, 8})); }},
      {"an array of a billion elements", CloseCode::malformed, "malformed",
       [](Rogue& r) {
         r.begin_sending();
         Bytes body{std::byte{0x40}, std::byte{11 | 128}, std::byte{6}, std::byte{1}};
         r.say(frame_of(5, std::move(body) + Bytes(4, std::byte{0xff}) + Bytes(1, std::byte{0x0f})));
       }},
      {"definitions without end", CloseCode::limit, "limit", define_beyond_the_limit},
      {"a flood of heartbeats", CloseCode::limit, "limit", [](Rogue& r) { r.repeat(heartbeat_of(1'000'000'000), 1'000'000); }},
      {"a flood of acknowledgements", CloseCode::limit, "limit", [](Rogue& r) { r.repeat(small(FrameType::ack, 0, 8), 1'000'000); }},
      {"a flood of refreshes", CloseCode::limit, "limit", [](Rogue& r) { r.repeat(small(FrameType::refresh, 1), 1'000'000); }},
      {"a flood of questions", CloseCode::limit, "limit", [](Rogue& r) { r.repeat(small(FrameType::ask_digests, 1), 1'000'000); }},
      {"a flood of repairs", CloseCode::limit, "limit",
       [](Rogue& r) {
         Bytes all(130, std::byte{0xff});
         all[0] = std::byte{1};
         all[1] = std::byte{0};
         r.repeat(frame_of(17, all), 1'000'000);
       }},
      {"a flood of hops", CloseCode::limit, "limit", [](Rogue& r) { r.repeat(small(FrameType::hops, 0, 1), 1'000'000); }},
      {"lists of hops of megabytes", CloseCode::limit, "limit", [](Rogue& r) { r.say(frame_of(8, Bytes(1 << 20, std::byte{1}))); }},
      {"the longest lists of hops", CloseCode::limit, "limit",
       [](Rogue& r) {
         Bytes frame;
         link::encode_hops(frame, std::vector<link::HopStatus>(4096, {std::string(250, 'n'), std::string(250, 'l'), std::string(250, 'p'), link::LinkState::down, 1,
                                                                      std::string(1000, 'r'), Duration(1), true}));
         r.repeat(frame, 1000);
       }},
      {"a flood of renewals", CloseCode::limit, "limit", [](Rogue& r) { r.repeat(frame_of(19, {}), 1'000'000); }},
      {"a flood of positions", CloseCode::limit, "limit",
       [](Rogue& r) {
         r.begin_sending();
         r.repeat(encoded(link::Position{1, 1, true, true, true, 99, 99}), 1'000'000);
       }},
      {"a flood of routes", CloseCode::limit, "limit",
       [](Rogue& r) {
         r.begin_sending();
         r.repeat(encoded(link::RouteMessage{2, {"rogue", "l", {"rogue"}}, {}, true, false}) +
                      encoded(link::RouteMessage{2, {"rogue", "l", {"rogue"}}, {true, status::kBadNoCommunication, {}, false}, true, false}),
                  1'000'000);
       }},
  };
  return table;
}

using Offences = Attacked;

TEST_F(Offences, AreEachClosedWithTheirCodeAndCounted) {
  Rogue rogue(chain_.pki(), "rogue");
  std::map<std::string, long> expected;
  for (const Offence& offence : offences()) {
    SCOPED_TRACE(offence.name);
    ASSERT_TRUE(rogue.dial(port(), "n-2")) << rogue.end();
    ASSERT_TRUE(rogue.greet()) << rogue.end();
    const auto began = Clock::now();
    offence.commit(rogue);
    EXPECT_TRUE(rogue.wait_ended(seconds(5)));
    EXPECT_LT(Clock::now() - began, seconds(10));
    // Behind a flood the node's last word may be lost with the reset; `status` has it all the same.
    EXPECT_TRUE(!rogue.close() || rogue.close()->code == static_cast<unsigned>(offence.code)) << rogue.close()->text;
    ++expected[offence.counter];
    EXPECT_TRUE(eventually([&] { return closed(offence.counter) == expected[offence.counter]; }, seconds(5)))
        << closed(offence.counter) << " instead of " << expected[offence.counter] << ": " << rogue_field("reason");
  }
  EXPECT_TRUE(eventually([&] { return rogue_field("state") == "down"; }, seconds(5)));
}

TEST_F(Offences, OfTheHelloAreClosedWithTheirCode) {
  Rogue rogue(chain_.pki(), "rogue");
  const auto said = [&](const link::Hello& hello) -> unsigned {
    EXPECT_TRUE(rogue.dial(port(), "n-2"));
    rogue.say(encoded(hello));
    EXPECT_TRUE(rogue.wait_ended(seconds(5)));
    return rogue.close() ? rogue.close()->code : 999u;
  };
  link::Hello hello = rogue.hello();
  hello.node = "n-1";
  EXPECT_EQ(said(hello), static_cast<unsigned>(CloseCode::not_allowed));
  hello = rogue.hello();
  hello.version = hello.oldest = 2;
  EXPECT_EQ(said(hello), static_cast<unsigned>(CloseCode::version));
  hello.version = hello.oldest = 0;
  EXPECT_EQ(said(hello), static_cast<unsigned>(CloseCode::version));
  hello = rogue.hello();
  hello.receive = {"a//b"};
  EXPECT_EQ(said(hello), static_cast<unsigned>(CloseCode::malformed));
  EXPECT_EQ(closed("not_allowed"), 1);
  EXPECT_EQ(closed("version"), 2);
  EXPECT_EQ(closed("malformed"), 1);
}

TEST_F(Offences, ANodeOfALaterVersionThatStillSpeaksOursIsServed) {
  Rogue rogue(chain_.pki(), "rogue");
  link::Hello hello = rogue.hello();
  hello.version = 2;
  Bytes said = encoded(hello);
  said = frame_of(1, Bytes(said.begin() + 5, said.end()) + Bytes(40, std::byte{0x5a}));  // fields of the future
  ASSERT_TRUE(rogue.dial(port(), "n-2"));
  ASSERT_TRUE(rogue.say(said));
  EXPECT_TRUE(rogue.wait_for([&] { return rogue.heard(FrameType::changes) > 0; }, seconds(10))) << rogue.end();
  EXPECT_EQ(rogue.heard_hello()->version, link::kVersion);
  EXPECT_EQ(rogue_field("state"), "up");
}

TEST_F(Offences, OfSlownessEndAtTheirTimeout) {
  // Half a hello and then a byte a second; a whole hello and then half a frame; and nothing at all.
  Rogue half(chain_.pki(), "rogue");
  ASSERT_TRUE(half.dial(port(), "n-2"));
  const Bytes hello = encoded(half.hello());
  auto began = Clock::now();
  half.say(Bytes(hello.begin(), hello.begin() + 20));
  for (std::size_t at = 20; at < 40 && !half.ended(); ++at) {
    half.say(Bytes(1, hello[at]));
    half.wait_for([&] { return half.ended(); }, seconds(1));
  }
  EXPECT_TRUE(half.ended());
  EXPECT_LT(Clock::now() - began, seconds(12));

  ASSERT_TRUE(half.dial(port(), "n-2"));
  link::Hello impatient = half.hello();
  impatient.timeout = std::chrono::seconds(3);
  ASSERT_TRUE(half.greet(impatient));
  began = Clock::now();
  half.say(Bytes{std::byte{0}, std::byte{16}, std::byte{0}, std::byte{0}, std::byte{5}});
  for (int i = 0; i < 20 && !half.ended(); ++i) {
    half.say(Bytes(1));
    half.wait_for([&] { return half.ended(); }, seconds(1));
  }
  EXPECT_TRUE(half.ended());
  EXPECT_LT(Clock::now() - began, seconds(12));
  EXPECT_TRUE(eventually([&] { return closed("timeout") == 2; }, seconds(5))) << closed("timeout");
}

TEST_F(Offences, PointsOutsideItsPatternsAreRefusedAndCountedAndItStaysUp) {
  Rogue rogue(chain_.pki(), "rogue");
  ASSERT_TRUE(rogue.dial(port(), "n-2"));
  ASSERT_TRUE(rogue.greet());
  ASSERT_TRUE(rogue.begin_sending());
  rogue.say(definitions_of(1, 0, 20, "acme/line1") + definitions_of(1, 20, 20, "other") + definitions_of(1, 40, 20, "rogue/line1"));
  rogue.say(changes_of(0, 60, -1.0, 1'900'000'000'000'000'000) + changes_of(4000, 500, -1.0, 1));  // ids never defined, too
  EXPECT_TRUE(eventually([&] { return rogue_field("refused") == "40"; }, seconds(5))) << rogue_field("refused");
  EXPECT_EQ(rogue_field("state"), "up");
  EXPECT_TRUE(eventually([&] { return rogue_field("receive.dropped") == "540"; }, seconds(5))) << rogue_field("receive.dropped");
  const Finished dump = dmz().ask({"dump"});
  EXPECT_EQ(dump.output.find("other/"), std::string::npos);
  for (std::size_t at = dump.output.find("acme/line1"); at != std::string::npos; at = dump.output.find("acme/line1", at + 1)) {
    const std::string line = dump.output.substr(at, dump.output.find('\n', at) - at);
    EXPECT_NE(line.find("\"origin\":\"n-1\""), std::string::npos) << line;
  }
}

TEST_F(Offences, DigestsThatLieAreComparedLessAndLessOften) {
  Rogue rogue(chain_.pki(), "rogue");
  ASSERT_TRUE(rogue.dial(port(), "n-2"));
  ASSERT_TRUE(rogue.greet());
  ASSERT_TRUE(rogue.begin_sending());
  unsigned repairs = 0;
  Bytes answer;
  rogue.on_frame = [&](const link::Frame& frame) {
    if (frame.type == FrameType::ask_digests) {
      const auto route = link::decode_ask_digests(frame.body);
      const std::vector<RouteDigest> lie{{1, 1000, 1}};
      if (*route == 0) link::encode(answer, lie);
      else link::encode_bucket_digests(answer, *route, std::vector<std::uint64_t>(1024, 5));
    }
    if (frame.type == FrameType::ask_repair) {
      ++repairs;
      link::encode(answer, FrameType::repaired, *link::decode_route_buckets(frame.body));
    }
  };
  rogue.say(definitions_of(1, 0, 10, "rogue/line1"));
  const auto until = Clock::now() + seconds(8);
  for (std::uint64_t n = 1; Clock::now() < until && !rogue.ended(); ++n) {
    Bytes bytes = changes_of(0, 1, static_cast<double>(n), 1);
    if (n % 20 == 0) bytes = std::move(bytes) + heartbeat_of(static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()));
    rogue.say(std::move(bytes) + encoded(link::Position{n, n, true, true, true, n, n}) + std::exchange(answer, {}));
    rogue.wait(milliseconds(20));
  }
  EXPECT_FALSE(rogue.ended()) << rogue.end();
  EXPECT_GE(repairs, 2u);
  EXPECT_LE(repairs, 8u);   // 250 ms, doubling: after 0.25, 0.75, 1.75, 3.75 and 7.75 s
  EXPECT_GE(std::atol(rogue_field("digest_mismatches").c_str()), 2);
}

TEST_F(Offences, PositionsThatJumpAndHeldTablesThatNeverWereDoNoHarm) {
  Rogue rogue(chain_.pki(), "rogue");
  ASSERT_TRUE(rogue.dial(port(), "n-2"));
  ASSERT_TRUE(rogue.greet());
  const auto of_the_dmz = rogue.heard_hello()->incarnation;
  ASSERT_TRUE(rogue.begin_sending());
  rogue.say(definitions_of(1, 0, 10, "rogue/line1"));
  for (const std::uint64_t seen : {std::uint64_t{1}, UINT64_MAX, std::uint64_t{0}, std::uint64_t{1} << 63}) rogue.say(encoded(link::Position{seen, seen, true, false, true}));
  ASSERT_TRUE(rogue.wait_for([&] { return rogue.heard(FrameType::define) > 0; }, seconds(10)));
  // What view the node keeps is told in its begin frame; claim to have seen the future of it.
  std::uint64_t view = 0;
  rogue.on_frame = [&](const link::Frame& frame) {
    if (frame.type == FrameType::begin) view = link::decode_begin(frame.body)->view;
  };
  for (const std::uint64_t seen : {UINT64_MAX, std::uint64_t{1} << 62, std::uint64_t{1'000'000'000}}) {
    for (int again = 0; again < 2; ++again) {
      ASSERT_TRUE(rogue.dial(port(), "n-2"));
      link::Hello hello = rogue.hello();
      hello.held = {of_the_dmz, seen, seen, view};
      ASSERT_TRUE(rogue.greet(hello));
      EXPECT_TRUE(rogue.wait_for([&] { return rogue.heard(FrameType::changes) > 3; }, seconds(10))) << "held up to " << seen << ": " << rogue.end();
    }
  }
  // And an honest beginning still gets everything.
  ASSERT_TRUE(rogue.dial(port(), "n-2"));
  ASSERT_TRUE(rogue.greet());
  EXPECT_TRUE(rogue.wait_for([&] { return rogue.heard(FrameType::define) > 0; }, seconds(10)));
}

}  // namespace
}  // namespace sallyport::tests
