// What [[sink.postgres]] says.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "namespace/sink.h"

namespace sallyport::postgres {

struct Options {
  std::vector<std::pair<std::string, std::string>> connection;  // libpq's keywords and what was given for them
  std::string server;          // for people: "db.example:5432/plant"
  std::string password;
  std::string schema;
  std::string reader;          // names the position that is kept in the database: "ai-1/history"
  std::size_t batch = 0;       // rows per transaction, at most
  Duration commit{};           // rows wait at most about this long
  Duration partition{};
  bool timescaledb = true;     // use it where it is there
  Duration timeout{};          // without an answer from the server for this long, the connection is given up
};

// Problems go to the settings' list.
Options read_options(const SinkCommon& common, SettingsReader& settings);

}  // namespace sallyport::postgres
