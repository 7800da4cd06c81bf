#include <gtest/gtest.h>

#include "sinks/nats/nats_settings.h"
#include "sinks/nats/nats_sink.h"
#include "sinks/nats/session.h"

namespace sallyport::nats {
namespace {

std::string problem_of(const std::string& text) {
  Problems problems;
  const auto settings = Settings::parse(text, "node.toml", problems);
  if (!settings) return "syntax";
  {
    SettingsReader reader(*settings, problems);
    sink_type().make({.name = "stream", .node = "ai-1", .publish = *Patterns::parse({"**"})}, reader);
  }
  for (const Problem& problem : problems) {
    if (!problem.warning) return problem.message;
  }
  return {};
}

TEST(NatsSettings, MistakesAreAnsweredWithWhatToDo) {
  const std::string server = "servers = [\"nats://127.0.0.1:4222\"]\n";
  const struct {
    std::string text, message;
  } table[] = {
      {server, ""},
      {"servers = \"nats://127.0.0.1\"", ""},
      {server + "stream = \"S\"\ncreate = true\nduplicate_window = \"1m\"\nmax_age = \"30d\"\nmax_bytes = \"1GiB\"\nreplicas = 3", ""},
      {"", "servers = [\"nats://host:4222\"]"},
      {"servers = [\"127.0.0.1\"]", "write \"nats://host:4222\""},
      {"servers = [\"nats://a:b@host\"]", "`password_file`"},
      {server + "stream = \"a.b\"", "no blanks, dots"},
      {server + "create = true", "needs a `stream`"},
      {server + "stream = \"S\"\nmax_age = \"1h\"", "create = true"},
      {server + "subject_prefix = \"a..b\"", "a token is empty"},
      {server + "subject_prefix = \"a.>\"", "wildcards"},
      {server + "subject_prefix = \"$JS\"", "the server's own"},
      {server + "stream = \"S\"\nlatest_prefix = \"sallyport.live\"", "must not lie below"},
      {server + "stream = \"S\"\nlatest = \"kv\"", "core"},
      {server + "user = \"a\"", "`password_file`"},
      {server + "ca = \"ca.crt\"", "is for TLS"},
      {server + "strem = \"S\"", "did you mean 'stream'"},
  };
  for (const auto& row : table) {
    const std::string problem = problem_of(row.text);
    if (row.message.empty()) EXPECT_EQ(problem, "") << row.text;
    else EXPECT_NE(problem.find(row.message), std::string::npos) << row.text << "\n" << problem;
  }
}

TEST(NatsAnswer, IsReadForWhatItSays) {
  EXPECT_EQ(parse_answer(R"({"stream":"S","seq":7})").kind, Answer::Kind::stored);
  EXPECT_EQ(parse_answer(R"({"stream":"S","seq":7,"duplicate":true})").kind, Answer::Kind::duplicate);
  EXPECT_EQ(parse_answer(R"({"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"},"stream":"S","seq":0})").kind,
            Answer::Kind::too_large);
  EXPECT_EQ(parse_answer(R"({"error":{"code":400,"err_code":10070,"description":"wrong last msg ID: x"},"stream":"S","seq":0})").kind, Answer::Kind::order);
  const Answer full = parse_answer(R"({"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"S","seq":0})");
  EXPECT_EQ(full.kind, Answer::Kind::failed);
  EXPECT_EQ(full.reason, "maximum messages exceeded");
  for (const char* malformed : {"", "{", "[]", "7", "{}", R"({"stream":"S"})", R"({"error":7})", R"({"error":{}})", R"({"error":{"err_code":"x"}})"}) {
    EXPECT_EQ(parse_answer(malformed).kind, Answer::Kind::failed) << malformed;
    EXPECT_FALSE(parse_answer(malformed).reason.empty()) << malformed;
  }
}

}  // namespace
}  // namespace sallyport::nats
