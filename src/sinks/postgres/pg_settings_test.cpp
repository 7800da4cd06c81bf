#include "sinks/postgres/pg_settings.h"

#include <gtest/gtest.h>

namespace sallyport::postgres {
namespace {

struct Read {
  Options options;
  std::string problems;
};

Read read(const std::string& text) {
  Problems problems;
  Read read;
  auto settings = Settings::parse(text, "sink.toml", problems);
  if (settings) {
    SettingsReader reader(*settings, problems);
    read.options = read_options({.name = "history", .node = "ai-1", .publish = Patterns::everything()}, reader);
    reader.finish();
  }
  for (const Problem& problem : problems) read.problems += to_string(problem) + "\n";
  return read;
}

TEST(PostgresSettings, DefaultsSuitAnyServer) {
  const Read r = read("connection = \"host=localhost dbname=plant user=me\"");
  EXPECT_EQ(r.problems, "");
  EXPECT_EQ(r.options.schema, "sallyport");
  EXPECT_EQ(r.options.reader, "ai-1/history");
  EXPECT_EQ(r.options.batch, 10'000u);
  EXPECT_EQ(r.options.server, "localhost/plant");
  EXPECT_TRUE(r.options.timescaledb);
}

TEST(PostgresSettings, AddressesOfBothFormsAreRead) {
  EXPECT_EQ(read("connection = \"postgresql://me@127.0.0.1:5433/plant\"").problems, "");
  EXPECT_EQ(read("connection = \"postgresql://me@127.0.0.1:5433/plant\"").options.server, "127.0.0.1:5433/plant");
  EXPECT_EQ(read("connection = \"host=/run/postgresql dbname=plant\"").problems, "");
  EXPECT_EQ(read("connection = \"host=db.example sslmode=verify-full sslrootcert=/etc/ca.crt\"").problems, "");
}

TEST(PostgresSettings, WrongOnesSayWhatIsWrong) {
  struct Case {
    const char* text;
    const char* says;
  };
  for (const Case& c : {
           Case{"", "connection"},
           Case{"connection = \"hst=db\"", "hst"},
           Case{"connection = \"host=\"db\"", "sink.toml:1"},
           Case{"connection = \"host=localhost password=secret\"", "password_file"},
           Case{"connection = \"postgresql://me:secret@localhost/plant\"", "password_file"},
           Case{"connection = \"host=localhost replication=database\"", "replication"},
           Case{"connection = \"host=db.example\"", "sslmode"},
           Case{"connection = \"host=localhost\"\nschema = \"Plant\"", "lower-case"},
           Case{"connection = \"host=localhost\"\nschema = \"pg_toast\"", "belongs to the server"},
           Case{"connection = \"host=localhost\"\nschema = \"a\\\"; drop\"", "lower-case"},
           Case{"connection = \"host=localhost\"\npartition = \"90m\"", "whole hours"},
           Case{"connection = \"host=localhost\"\nbatch = 0", "batch"},
           Case{"connection = \"host=localhost\"\ncomit = \"1s\"", "did you mean 'commit'"},
       }) {
    const Read r = read(c.text);
    EXPECT_NE(r.problems.find(c.says), std::string::npos) << c.text << "\n" << r.problems;
    EXPECT_EQ(r.problems.find("secret"), std::string::npos) << "a password in a message: " << r.problems;
  }
}

}  // namespace
}  // namespace sallyport::postgres
