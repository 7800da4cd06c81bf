#include "net/websocket.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sallyport::net {
namespace {

using Side = WebSocket::Side;

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

struct Decoded {
  std::string payload, error;
  Bytes answers;
  bool closed = false;
};

// In pieces of `cut` bytes, as a socket might bring them.
Decoded decode(WebSocket& socket, const Bytes& wire, std::size_t cut = 1'000'000) {
  Decoded result;
  for (std::size_t at = 0; at < wire.size(); at += cut) {
    Bytes piece(wire.begin() + static_cast<std::ptrdiff_t>(at),
                wire.begin() + static_cast<std::ptrdiff_t>(std::min(at + cut, wire.size())));
    const auto size = socket.decode(piece, result.answers);
    if (!size) {
      result.error = size.error();
      break;
    }
    result.payload.append(reinterpret_cast<const char*>(piece.data()), *size);
  }
  result.closed = socket.closed();
  return result;
}
Decoded decode(Side side, std::string_view wire, std::size_t cut = 1'000'000) {
  WebSocket socket(side);
  return decode(socket, bytes_of(wire), cut);
}

using namespace std::string_view_literals;

TEST(WebSocket, CarriesBytesBothWaysWhateverTheCut) {
  for (const Side sender : {Side::client, Side::server}) {
    WebSocket out(sender);
    Bytes wire;
    std::string text;
    for (const std::size_t size : {0u, 1u, 125u, 126u, 127u, 65535u, 65536u, 70000u}) {
      std::string payload;
      for (std::size_t i = 0; i < size; ++i) payload += static_cast<char>(i * 7 + size);
      out.encode(bytes_of(payload), wire);
      text += payload;
    }
    for (const std::size_t cut : {1u, 2u, 3u, 13u, 4096u, 1'000'000u}) {
      WebSocket in(sender == Side::client ? Side::server : Side::client);
      const Decoded decoded = decode(in, wire, cut);
      EXPECT_EQ(decoded.error, "");
      EXPECT_TRUE(decoded.payload == text) << "cut " << cut;
    }
  }
}

TEST(WebSocket, AClientMasksWhatItSendsAndAServerDoesNot) {
  Bytes from_server;
  WebSocket(Side::server).encode(bytes_of("abc"), from_server);
  EXPECT_EQ(from_server, bytes_of("\x82\x03"
                                  "abc"));
  Bytes one, two;
  WebSocket client(Side::client);
  client.encode(bytes_of("abcdefgh"), one);
  client.encode(bytes_of("abcdefgh"), two);
  EXPECT_EQ(one[1], std::byte{0x88});
  EXPECT_NE(one, two) << "each frame has a mask of its own";
}

TEST(WebSocket, UnderstandsTheMaskedExampleOfTheStandard) {  // RFC 6455 §5.7, as a binary frame
  EXPECT_EQ(decode(Side::server, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv).payload, "Hello");
}

TEST(WebSocket, JoinsFragmentsAndAnswersPingsBetweenThem) {
  for (const std::size_t cut : {1u, 100u}) {
    const Decoded decoded = decode(Side::client,
                                   "\x02\x03"
                                   "abc"
                                   "\x89\x02"
                                   "hi"
                                   "\x00\x00"
                                   "\x80\x02"
                                   "de"sv,
                                   cut);
    EXPECT_EQ(decoded.error, "");
    EXPECT_EQ(decoded.payload, "abcde");
    const Bytes& copy = decoded.answers;
    ASSERT_EQ(copy.size(), 2u + 4u + 2u);
    EXPECT_EQ(copy[0], std::byte{0x8a}) << "a pong";
    EXPECT_EQ(copy[1], std::byte{0x82}) << "of two bytes, masked";
    EXPECT_EQ(copy[6] ^ copy[2], std::byte{'h'});
    EXPECT_EQ(copy[7] ^ copy[3], std::byte{'i'});
  }
}

TEST(WebSocket, PongsAreIgnored) {
  const Decoded decoded = decode(Side::client, "\x8a\x01x\x82\x01y"sv);
  EXPECT_EQ(decoded.payload, "y");
  EXPECT_TRUE(decoded.answers.empty());
}

TEST(WebSocket, AFloodOfPingsIsNotAnsweredWithoutBound) {
  WebSocket socket(Side::client);
  std::string flood;
  for (int i = 0; i < 10'000; ++i) flood += "\x89\x7d" + std::string(125, 'p');
  const Decoded decoded = decode(socket, bytes_of(flood));
  EXPECT_EQ(decoded.error, "");
  EXPECT_LE(decoded.answers.size(), WebSocket::kMaxUnsentAnswers + 200);
}

TEST(WebSocket, ACloseIsAnsweredOnceAndNothingCountsBehindIt) {
  const Decoded decoded = decode(Side::client, "\x82\x01z\x88\x02\x03\xe8\x82\x01y"sv);
  EXPECT_EQ(decoded.payload, "z");
  EXPECT_TRUE(decoded.closed);
  ASSERT_EQ(decoded.answers.size(), 8u);
  EXPECT_EQ(decoded.answers[0], std::byte{0x88});
}

TEST(WebSocket, RefusesWhatTheStandardForbids) {
  struct Case {
    const char* name;
    Side side;
    std::string_view wire;
    const char* says;
  };
  const Case cases[] = {
      {"reserved bit 1", Side::client, "\xc2\x01x"sv, "reserved"},
      {"reserved bit 3", Side::client, "\x92\x01x"sv, "reserved"},
      {"unmasked to a server", Side::server, "\x82\x01x"sv, "without a mask"},
      {"masked to a client", Side::client, "\x82\x81\x00\x00\x00\x00x"sv, "with a mask"},
      {"text", Side::client, "\x81\x01x"sv, "not binary"},
      {"opcode 3", Side::client, "\x83\x01x"sv, "not binary"},
      {"opcode 11", Side::client, "\x8b\x01x"sv, "unknown kind"},
      {"opcode 15", Side::client, "\x8f\x00"sv, "unknown kind"},
      {"ping in fragments", Side::client, "\x09\x01x"sv, "fragments"},
      {"ping of 126 bytes", Side::client, "\x89\x7e\x00\x7e"sv, "125 bytes"},
      {"ping of a 64 bit length", Side::client, "\x89\x7f\0\0\0\0\0\0\0\x01"sv, "125 bytes"},
      {"continuation of nothing", Side::client, "\x80\x01x"sv, "continuation of nothing"},
      {"continuation after the end", Side::client, "\x02\x01x\x80\x01y\x80\x01z"sv, "continuation of nothing"},
      {"message in a message", Side::client, "\x02\x01x\x82\x01y"sv, "inside a fragmented"},
      {"125 in 16 bits", Side::client, "\x82\x7e\x00\x7d"sv, "shortest"},
      {"65535 in 64 bits", Side::client, "\x82\x7f\0\0\0\0\0\0\xff\xff"sv, "shortest"},
      {"more than 1 MiB", Side::client, "\x82\x7f\0\0\0\0\0\x10\0\x01"sv, "1 MiB"},
      {"highest bit of a length", Side::client, "\x82\x7f\x80\0\0\0\0\0\0\0"sv, "1 MiB"},
      {"largest length", Side::server, "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"sv, "1 MiB"},
      {"an HTTP answer", Side::client, "HTTP/1.1 502 Bad Gateway\r\n\r\n"sv, "reserved"},
      {"TLS without frames", Side::server, "\x16\x03\x01\x02\x00"sv, "reserved"},
  };
  for (const Case& each : cases) {
    for (const std::size_t cut : {1u, 100u}) {
      const Decoded decoded = decode(each.side, each.wire, cut);
      EXPECT_NE(decoded.error.find(each.says), std::string::npos) << each.name << ": " << decoded.error;
    }
  }
}

TEST(WebSocket, AFrameOfOneMebibyteIsTheLargest) {
  WebSocket in(Side::client);
  const Decoded decoded =
      decode(in, bytes_of(std::string("\x82\x7f\0\0\0\0\0\x10\0\0"sv) + std::string(1024 * 1024, 'x')), 4096);
  EXPECT_EQ(decoded.error, "");
  EXPECT_EQ(decoded.payload.size(), 1024u * 1024u);
}

}  // namespace
}  // namespace sallyport::net
