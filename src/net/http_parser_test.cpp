// The request parser and the parts around it, from tables.
#include "net/http_parser.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <iterator>
#include <random>

#include "net/http_gzip.h"
#include "net/http_target.h"
#include "net/http_tokens.h"

namespace sallyport::net {
namespace {

// Feeds `size` bytes at a time; bodies up to 1,000 bytes.
HttpParser::State parse(HttpParser& parser, std::string_view text, std::size_t size, std::string* rest = nullptr) {
  std::string input;
  auto state = HttpParser::State::header;
  while (!text.empty()) {
    input += text.substr(0, size);
    text.remove_prefix(std::min(size, text.size()));
    state = parser.feed(input);
    if (state == HttpParser::State::head) {
      parser.accept_body(1000);
      state = parser.feed(input);
    }
    if (state == HttpParser::State::failed || state == HttpParser::State::done) break;
  }
  if (rest != nullptr) *rest = input + std::string(text);
  return state;
}

TEST(HttpParser, ReadsARequestInPiecesOfAnySize) {
  const std::string text = "POST /a/b?c=d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-One: 1\r\n\r\nhello";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    HttpParser parser(16384);
    ASSERT_EQ(parse(parser, text, size), HttpParser::State::done) << parser.reason();
    EXPECT_EQ(parser.method(), "POST");
    EXPECT_EQ(parser.target(), "/a/b?c=d");
    EXPECT_EQ(parser.headers().size(), 3u);
    EXPECT_TRUE(parser.keep_alive());
    EXPECT_TRUE(parser.has_body());
    EXPECT_EQ(parser.take_body(), "hello");
  }
}

TEST(HttpParser, ReadsChunkedBodies) {
  for (const std::size_t size : {1u, 7u, 500u}) {
    HttpParser parser(16384);
    ASSERT_EQ(
        parse(parser,
              "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n wo\r\n0\r\n\r\n",
              size),
        HttpParser::State::done)
        << parser.reason();
    EXPECT_EQ(parser.take_body(), "hello wo");
  }
}

TEST(HttpParser, LeavesTheNextRequestInTheInput) {
  HttpParser parser(16384);
  std::string rest;
  ASSERT_EQ(parse(parser, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n", 1000, &rest),
            HttpParser::State::done);
  EXPECT_EQ(parser.target(), "/1");
  parser.reset();
  ASSERT_EQ(parse(parser, rest, 1000, &rest), HttpParser::State::done);
  EXPECT_EQ(parser.target(), "/2");
  EXPECT_EQ(rest, "");
}

struct Malformed {
  const char* name;
  std::string text;
  int status;
};

TEST(HttpParser, RefusesEveryEntryOfTheMalformedTable) {
  using namespace std::string_literals;
  const std::string get = "GET / HTTP/1.1\r\n", post = "POST / HTTP/1.1\r\nHost: h\r\n";
  const Malformed table[] = {
      {"tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},
      {"nul in the method", "GE\0T / HTTP/1.1\r\nHost: h\r\n\r\n"s, 400},
      {"nul in a value", get + "Host: h\0i\r\n\r\n"s, 400},
      {"escape in a value", get + "Host: h\r\nX: \x1b[2J\r\n\r\n", 400},
      {"no version", "GET /\r\nHost: h\r\n\r\n", 400},
      {"version 2", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"version 0.9", "GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505},
      {"version garbled", "GET / HTPT/1.1\r\nHost: h\r\n\r\n", 400},
      {"no method", " / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"bare line feeds", "GET / HTTP/1.1\nHost: h\n\r\n\r\n", 400},
      {"one bare line feed", get + "Host: h\nX: y\r\n\r\n", 400},
      {"stray carriage return", get + "Host: h\rX: y\r\n\r\n", 400},
      {"folded line", get + "Host: h\r\nX: a\r\n b\r\n\r\n", 400},
      {"space before the colon", get + "Host : h\r\n\r\n", 400},
      {"no colon", get + "Host: h\r\nnonsense\r\n\r\n", 400},
      {"empty name", get + "Host: h\r\n: x\r\n\r\n", 400},
      {"no host", get + "X: y\r\n\r\n", 400},
      {"two hosts", get + "Host: a\r\nHost: b\r\n\r\n", 400},
      {"length and chunks", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunks and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
      {"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
      {"the same length twice", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
      {"a list of lengths", post + "Content-Length: 5, 5\r\n\r\nhello", 400},
      {"signed length", post + "Content-Length: +5\r\n\r\nhello", 400},
      {"negative length", post + "Content-Length: -1\r\n\r\n", 400},
      {"hex length", post + "Content-Length: 0x5\r\n\r\nhello", 400},
      {"empty length", post + "Content-Length:\r\n\r\n", 400},
      {"length beyond 64 bits", post + "Content-Length: 99999999999999999999999\r\n\r\n", 400},
      {"body too large", post + "Content-Length: 1001\r\n\r\n", 413},
      {"length of 4 EiB", post + "Content-Length: 4611686018427387904\r\n\r\n", 413},
      {"chunk too large", post + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413},
      {"chunk size beyond 64 bits", post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},
      {"chunk size of no digits", post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n", 400},
      {"chunk without its line end", post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n", 400},
      {"unknown coding", post + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"chunked in disguise", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
      {"chunked then identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
      {"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunked twice in a list", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501},
      {"chunked with a tab",
       post + "Transfer-Encoding:\x0b"
              "chunked\r\n\r\n0\r\n\r\n",
       400},
      {"chunked in 1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"header of 20,000 bytes", get + "Host: h\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", 431},
      {"header without end", get + "Host: h\r\nX: " + std::string(20'000, 'x'), 431},
      {"200 header lines",
       get + "Host: h\r\n" +
           [] {
             std::string s;
             for (int i = 0; i < 200; ++i) s += "X: y\r\n";
             return s;
           }() +
           "\r\n",
       431},
      {"target of 9,000 bytes", "GET /" + std::string(9000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
      {"chunk extension without end", post + "Transfer-Encoding: chunked\r\n\r\n5;" + std::string(40'000, 'x'), 400},
      {"trailer without end", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(40'000, 'x'), 400},
  };
  for (const Malformed& entry : table) {
    for (const std::size_t size : {1u, 100'000u}) {
      HttpParser parser(16384);
      EXPECT_EQ(parse(parser, entry.text, size), HttpParser::State::failed) << entry.name << " by " << size;
      EXPECT_EQ(parser.status(), entry.status) << entry.name << ": " << parser.reason();
      EXPECT_FALSE(parser.reason().empty()) << entry.name;
    }
  }
}

TEST(HttpParser, SurvivesRandomlyDamagedRequests) {
  const std::string seeds[] = {
      "GET /api/v1/points?match=a/**&limit=5 HTTP/1.1\r\nHost: localhost:8080\r\nAccept-Encoding: gzip, "
      "br\r\nConnection: keep-alive\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n wo\r\n0\r\nT: u\r\n\r\n",
      "POST / HTTP/1.0\r\nContent-Length: 12\r\nConnection: close\r\n\r\nhello world!"};
  const std::string_view spice = "\r\n\t :;,\"0123456789abcdefx%\\/?=*\0\x7f\xff";
  std::mt19937 random(20261123);
  for (int i = 0; i < 30'000; ++i) {
    std::string text = seeds[random() % std::size(seeds)];
    for (auto damage = random() % 6; damage > 0; --damage) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = spice[random() % spice.size()];
          break;
        case 1:
          text.erase(at, random() % 8);
          break;
        case 2:
          text.insert(at, 1 + random() % 3, spice[random() % spice.size()]);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
      }
      if (text.empty()) text = "x";
    }
    HttpParser parser(4096);
    parse(parser, text, 1 + random() % text.size());
  }
}

TEST(HttpTarget, TakesPathAndQueryApart) {
  const auto target = parse_http_target("/api/v1/points/acme/%C3%BCber%20all?match=a%2F**&x&y=1+2&match=b");
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->path, "/api/v1/points/acme/über all");
  const std::vector<std::pair<std::string, std::string>> query = {
      {"match", "a/**"}, {"x", ""}, {"y", "1 2"}, {"match", "b"}};
  EXPECT_EQ(target->query, query);
  EXPECT_EQ(parse_http_target("http://Example.org:80/x")->authority, "Example.org:80");
  EXPECT_EQ(parse_http_target("http://example.org")->path, "/");
}

TEST(HttpTarget, RefusesWhatIsNoTarget) {
  for (const std::string_view bad :
       {"", "x", "example.org:80", "/%", "/%2", "/%zz", "/%00", "/%0a", "/%7f", "/%ff", "/%c0%80", "/%ed%a0%80",
        "/a?b=%", "/a?%=b", "/a?b=%80", "/a#b", "http://", "http://a b/", "http://[::1/"}) {
    EXPECT_FALSE(parse_http_target(bad)) << bad;
  }
  std::string many = "/?";
  for (int i = 0; i < 200; ++i) many += "a=b&";
  EXPECT_FALSE(parse_http_target(many));
}

TEST(HttpTarget, FindsTheHostOfAnAuthority) {
  EXPECT_EQ(host_of_authority("LOCALHOST:8080"), "localhost");
  EXPECT_EQ(host_of_authority("example.org."), "example.org");
  EXPECT_EQ(host_of_authority("[::1]:80"), "::1");
  EXPECT_EQ(host_of_authority("127.0.0.1"), "127.0.0.1");
  for (const std::string_view bad :
       {"", "a b", "a:b", "a:123456", "[::1", "[x]", "a/b", "user@host", "a:80:90", "::1"}) {
    EXPECT_EQ(host_of_authority(bad), "") << bad;
  }
}

TEST(HttpTokens, KnowsItsTokensAndHashesByName) {
  const auto tokens = HttpTokens::parse(
      "# who may read\n\nalice correct-horse-battery\nbob sha256:"
      "6278245426b630b0a68abd152763dc29c7120ffb680d5d3a3589a1ce4bd48be5\r\n",
      "t");
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(tokens->size(), 2u);
  EXPECT_EQ(tokens->name_of("correct-horse-battery"), "alice");
  EXPECT_EQ(tokens->name_of("the-token-of-bob-1"), "bob");
  EXPECT_EQ(tokens->name_of("0123456789abcdef"), std::nullopt);
  EXPECT_EQ(tokens->name_of(""), std::nullopt);
  EXPECT_EQ(tokens->name_of("6278245426b630b0a68abd152763dc29c7120ffb680d5d3a3589a1ce4bd48be5"), std::nullopt);
}

TEST(HttpTokens, SaysWhichLineIsWrong) {
  const std::pair<const char*, const char*> table[] = {
      {"", "no token in it"},
      {"\n\nalice\n", "t:3: "},
      {"alice short\n", "shorter than 16"},
      {"alice 0123456789abcdef more\n", "t:1: "},
      {"a 0123456789abcdef\na 0123456789abcdeg\n", "t:2: the name 'a' appears twice"},
      {"a sha256:12\n", "64 hex digits"},
      {"a sha256:"
       "zz78245426b630b0a68abd152763dc29c7120ffb680d5d3a3589a1ce4bd48be5",
       "64 hex digits"}};
  for (const auto& [text, message] : table) {
    const auto tokens = HttpTokens::parse(text, "t");
    ASSERT_FALSE(tokens) << text;
    EXPECT_NE(tokens.error().message.find(message), std::string::npos) << tokens.error().message;
  }
}

std::string gunzip(std::string_view bytes) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string out(1 << 22, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  inflateEnd(&stream);
  return out;
}

TEST(HttpGzip, GivesBackWhatWentInPieceByPiece) {
  std::string text, compressed;
  Gzip gzip;
  for (int i = 0; i < 50; ++i) {
    std::string piece;
    for (int k = 0; k < 500; ++k) piece += std::to_string(i * 7919 + k * k) + (k % 3 == 0 ? "," : "\n");
    text += piece;
    gzip.add(piece, false, compressed);
    gzip.add("", false, compressed);
  }
  gzip.add("", true, compressed);
  EXPECT_LT(compressed.size(), text.size() / 2);
  EXPECT_EQ(gunzip(compressed), text);
}

TEST(HttpGzip, ReadsAcceptEncoding) {
  for (const std::string_view yes :
       {"gzip", "deflate, gzip;q=1.0, *;q=0.5", "br,GZIP", "*", "x-gzip", "gzip; q=0.001"}) {
    EXPECT_TRUE(accepts_gzip(yes)) << yes;
  }
  for (const std::string_view no : {"", "identity", "gzip;q=0", "gzip;q=0.000, *", "br", "*;q=0", "gzippy"}) {
    EXPECT_FALSE(accepts_gzip(no)) << no;
  }
}

}  // namespace
}  // namespace sallyport::net
