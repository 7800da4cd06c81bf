#include <gtest/gtest.h>

#include "sinks/kafka/kafka_settings.h"
#include "sinks/kafka/kafka_sink.h"

namespace sallyport::kafka {
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

TEST(KafkaSettings, MistakesAreAnsweredWithWhatToDo) {
  const std::string brokers = "brokers = [\"127.0.0.1:9092\"]\n";
  const struct {
    std::string text, message;
  } table[] = {
      {brokers, ""},
      {"brokers = \"a:9092\"\ntls = true\nsasl = \"plain\"\nuser = \"u\"\npassword = \"p\"\ncompression = \"gzip\"", ""},
      {brokers + "options = [\"client.rack=eu-1\"]\ntopic = \"plant.{2}\"", ""},
      {"", "brokers"},
      {"brokers = []", "brokers"},
      {"brokers = [\"kafka://a:9092\"]", "write \"host:9092\""},
      {brokers + "topic = \"a/b\"", "letters, digits"},
      {brokers + "topic = \"a{0}\"", "{1} to {16}"},
      {brokers + "topic = \"a{\"", "{1} to {16}"},
      {brokers + "gaps_topic = \"a{1}\"", "letters, digits"},
      {brokers + "ca = \"ca.crt\"", "tls = true"},
      {brokers + "user = \"u\"", "`sasl`"},
      {brokers + "sasl = \"plain\"", "`password_file`"},
      {brokers + "options = [\"acks=0\"]", "not to be set here"},
      {brokers + "options = [\"rack\"]", "name=value"},
      {brokers + "options = [\"nonsense=1\"]", "nonsense"},
      {brokers + "compression = \"rar\"", "zstd"},
      {brokers + "topik = \"a\"", "did you mean 'topic'"},
  };
  for (const auto& row : table) {
    const std::string problem = problem_of(row.text);
    if (row.message.empty()) EXPECT_EQ(problem, "") << row.text;
    else EXPECT_NE(problem.find(row.message), std::string::npos) << row.text << "\n" << problem;
  }
}

TEST(KafkaTopic, IsMadeOfThePathsLevels) {
  const struct {
    const char *pattern, *path, *topic;
  } table[] = {
      {"sallyport", "acme/berlin/temp", "sallyport"},
      {"plant.{2}", "acme/berlin/temp", "plant.berlin"},
      {"{1}.{2}.{3}", "acme/berlin/line 1", "acme.berlin.line_1"},
      {"{1}-{9}", "acme/berlin", "acme-"},
      {"{9}", "acme/berlin", "_"},
      {"{1}", "Füllstand", "F__llstand"},
  };
  for (const auto& row : table) {
    std::string topic;
    append_topic(topic, row.pattern, row.path);
    EXPECT_EQ(topic, row.topic);
  }
  std::string topic;
  append_topic(topic, "{1}", std::string(500, 'x'));
  EXPECT_EQ(topic.size(), 249u);
}

}  // namespace
}  // namespace sallyport::kafka
