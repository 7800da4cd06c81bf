// docs/protocol.md against the program: vectors.json holds every message as fields and as bytes, frames that must be refused
// with the code of the close frame that answers them, and hellos of other versions.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/log.h"
#include "describe.h"
#include "link/test_pair.h"

namespace sallyport::link {
namespace {

namespace json = boost::json;

std::string file_text(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(std::string(SALLYPORT_SOURCE_DIR) + "/" + name).rdbuf();
  return text.str();
}

const json::array& vectors(std::string_view of) {
  static const json::value all = json::parse(file_text("tests/protocol/vectors.json"));
  return all.at(of).as_array();
}
std::string text(const json::value& vector, std::string_view key) { return std::string(vector.at(key).as_string()); }

TEST(ProtocolVectors, SayTheSameInFieldsAndInBytesAndAreEncodedAgainToTheSameBytes) {
  std::set<std::string> types;
  for (const json::value& vector : vectors("messages")) {
    SCOPED_TRACE(text(vector, "name"));
    const Bytes bytes = from_hex(text(vector, "frame"));
    const auto frame = next_frame(bytes, kMaxFrame);
    ASSERT_TRUE(frame && *frame) << (frame ? "not all there" : frame.error().message);
    EXPECT_EQ((*frame)->size, bytes.size());
    EXPECT_EQ(name_of((*frame)->type), text(vector, "type"));
    types.insert(text(vector, "type"));
    const auto described = describe(**frame);
    ASSERT_TRUE(described) << described.error().message;
    EXPECT_EQ(described->fields, vector.at("fields").as_object()) << json::serialize(described->fields) << "\n" << json::serialize(vector.at("fields"));
    EXPECT_EQ(to_hex(described->again), text(vector, "frame"));
  }
  EXPECT_EQ(types.size(), 22u) << "a message has no vector";
}

TEST(ProtocolVectors, NoTruncationOfAMessageIsTakenForTheMessage) {
  for (const json::value& vector : vectors("messages")) {
    SCOPED_TRACE(text(vector, "name"));
    const Bytes bytes = from_hex(text(vector, "frame"));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto frame = next_frame(std::span(bytes).first(size), kMaxFrame);
      ASSERT_TRUE(frame);
      ASSERT_FALSE(*frame) << size;
      if (size < kFrameHeader) continue;
      const Frame cut{static_cast<FrameType>(bytes[4]), std::span(bytes).subspan(kFrameHeader, size - kFrameHeader), size};
      const auto described = describe(cut);
      EXPECT_FALSE(described && described->fields == vector.at("fields").as_object()) << size;
    }
  }
}

TEST(ProtocolVectors, AreTheExamplesOfThePage) {
  const std::string page = file_text("docs/protocol.md");
  std::set<std::string> known;
  for (const json::value& vector : vectors("messages")) known.insert(text(vector, "frame"));
  unsigned examples = 0;
  for (std::size_t at = page.find('`'); at != std::string::npos; at = page.find('`', at)) {
    const std::size_t end = page.find('`', at + 1);
    if (end == std::string::npos) break;
    const std::string quoted = page.substr(at + 1, end - at - 1);
    at = end + 1;
    if (quoted.size() < 14 || quoted.find_first_not_of("0123456789abcdef ") != std::string::npos || quoted[2] != ' ') continue;
    ++examples;
    EXPECT_TRUE(known.contains(quoted)) << quoted << " is in docs/protocol.md and not in vectors.json";
  }
  EXPECT_GE(examples, 5u);
}

// A node that both sends and receives, and what a hand-made peer says to it.
struct Listener {
  Listener() {
    plant.define(plant.source("own"), "own/point", 42);
    end.connect(clock.monotonic());
  }
  void hear(std::span<const std::byte> bytes) {
    while (!bytes.empty() && session().state() != Session::State::closed) {
      const auto space = session().input_space();
      const std::size_t n = std::min(space.size(), bytes.size());
      std::copy_n(bytes.begin(), n, space.begin());
      session().received(n, clock.monotonic());
      bytes = bytes.subspan(n);
    }
  }
  void bring_to(const std::string& state) {
    if (state == "greeting") return;
    Hello hello;
    hello.node = "plant-1";
    hello.incarnation = 5;
    hello.heartbeat = std::chrono::seconds(1);
    hello.timeout = std::chrono::seconds(3);
    hello.send = hello.receive = {"**"};
    Bytes bytes;
    encode(bytes, hello);
    if (state == "receiving") {
      encode(bytes, Begin{false, 7});
      encode(bytes, RouteMessage{1, {"plant-1", "line1", {"plant-1"}}, {}, true, false});
    }
    hear(bytes);
    ASSERT_TRUE(session().up()) << session().reason();
  }
  // The code of the close frame it says; nothing when it says none.
  std::optional<unsigned> closes_with() {
    Bytes said;
    for (int i = 0; i < 4; ++i) session().fill(said, clock.monotonic());
    std::optional<unsigned> code;
    for (std::span<const std::byte> rest(said); !rest.empty();) {
      const auto frame = next_frame(rest, kMaxFrame);
      if (!frame || !*frame) break;
      rest = rest.subspan((*frame)->size);
      if ((*frame)->type != FrameType::close) continue;
      EXPECT_TRUE(rest.empty()) << "something follows the close frame";
      code = decode_close((*frame)->body)->code;
    }
    return code;
  }
  Session& session() { return *end.session; }

  ManualClock clock;
  TestNode plant{"dmz-1", clock, 22}, peer{"plant-1", clock, 5};
  TestEnd end{plant, peer, {"**"}, {"**"}};
};

TEST(ProtocolVectors, WhatMustBeRefusedIsAnsweredWithItsCloseCodeAndTouchesNothing) {
  log::set_level(log::Level::error);
  for (const json::value& vector : vectors("refused")) {
    SCOPED_TRACE(text(vector, "name"));
    Listener node;
    node.bring_to(text(vector, "state"));
    node.hear(from_hex(text(vector, "frame")));
    EXPECT_EQ(node.session().state(), Session::State::closed);
    EXPECT_EQ(node.closes_with(), vector.at("close").to_number<unsigned>()) << node.session().reason();
    EXPECT_FALSE(node.session().reason().empty());
    EXPECT_EQ(node.plant.dump(), (std::map<std::string, std::string>{{"own/point", "42.000000/good@1000"}}));
  }
}

TEST(ProtocolVersions, TheSmallerOfBothIsSpokenUnlessItIsOlderThanEitherUnderstands) {
  for (const json::value& vector : vectors("versions")) {
    SCOPED_TRACE(text(vector, "name"));
    Listener node;
    node.hear(from_hex(text(vector, "frame")));
    if (!vector.at("close").is_null()) {
      EXPECT_EQ(node.closes_with(), vector.at("close").to_number<unsigned>());
      EXPECT_NE(node.session().reason().find("protocol"), std::string::npos) << node.session().reason();
      continue;
    }
    ASSERT_TRUE(node.session().up()) << node.session().reason();
    EXPECT_EQ(node.closes_with(), std::nullopt);
    Bytes data;
    encode(data, Begin{false, 7});
    node.hear(data);
    EXPECT_TRUE(node.session().up()) << node.session().reason();
  }
}

}  // namespace
}  // namespace sallyport::link
