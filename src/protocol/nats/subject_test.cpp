#include "protocol/nats/subject.h"

#include <gtest/gtest.h>

namespace sallyport::nats {
namespace {

std::string subject_of(std::string_view prefix, std::string_view path) {
  std::string out;
  append_subject(out, prefix, path);
  return out;
}

TEST(NatsSubject, EachPathHasASubjectAndComesBackFromIt) {
  const struct {
    const char *prefix, *path, *subject;
  } table[] = {
      {"", "acme", "acme"},
      {"", "acme/berlin/line1/temp", "acme.berlin.line1.temp"},
      {"mirror", "acme/temp", "mirror.acme.temp"},
      {"plant.mirror", "acme/temp", "plant.mirror.acme.temp"},
      {"m", "acme/pump.1", "m.acme.pump%2E1"},
      {"m", "acme/a b", "m.acme.a%20b"},
      {"m", "acme/a>b", "m.acme.a%3Eb"},
      {"m", "acme/>", "m.acme.%3E"},
      {"m", "acme/50%", "m.acme.50%25"},
      {"m", "acme/%2E", "m.acme.%252E"},
      {"m", "acme/%2F%", "m.acme.%252F%25"},
      {"m", "acme/Füllstand", "m.acme.Füllstand"},
      {"m", "$sys/plant-1/links", "m.$sys.plant-1.links"},
  };
  for (const auto& row : table) {
    EXPECT_EQ(subject_of(row.prefix, row.path), row.subject);
    const auto path = path_of(row.prefix, row.subject);
    ASSERT_TRUE(path) << row.subject << ": " << path.error().message;
    EXPECT_EQ(*path, row.path);
  }
}

TEST(NatsSubject, ForeignSubjectsBecomePaths) {
  const struct {
    const char *prefix, *subject, *path;
  } table[] = {
      {"", "factory.line#1", "factory/line%231"},
      {"", "a.b+c", "a/b%2Bc"},
      {"", "a.50%", "a/50%"},
      {"", "a.%zz", "a/%zz"},
      {"", "a.x%2Fy", "a/x%2Fy"},
      {"a", "a.b", "b"},
  };
  for (const auto& row : table) {
    const auto path = path_of(row.prefix, row.subject);
    ASSERT_TRUE(path) << row.subject << ": " << path.error().message;
    EXPECT_EQ(*path, row.path);
  }
}

TEST(NatsSubject, WhatIsNotBehindThePrefixOrTooDeepIsRefused) {
  for (const auto& [prefix, subject] : {std::pair{"a", "b.c"}, {"a", "a"}, {"a", "a."}, {"a", "ab.c"}, {"", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17"}}) {
    EXPECT_FALSE(path_of(prefix, subject)) << prefix << " " << subject;
  }
}

TEST(NatsSubject, SubjectsInSettingsAreChecked) {
  EXPECT_TRUE(check_subject("acme.berlin", false));
  EXPECT_TRUE(check_subject("acme.*.temp", true));
  EXPECT_TRUE(check_subject(">", true));
  for (const char* wrong : {"", ".", "a..b", "a.", ".a", "a b", "a.>.b"}) EXPECT_FALSE(check_subject(wrong, true)) << wrong;
  for (const char* wrong : {"a.*", ">"}) EXPECT_FALSE(check_subject(wrong, false)) << wrong;
}

}  // namespace
}  // namespace sallyport::nats
