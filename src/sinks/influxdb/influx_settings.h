// What [[sink.influxdb]] says.
#pragma once

#include <string>

#include "base/clock.h"
#include "namespace/sink.h"

namespace sallyport::influxdb {

struct Options {
  std::string url;                 // "http://host:8086", without a slash at the end
  bool version2 = false;
  std::string database, retention_policy, user, password;  // version 1
  std::string org, bucket, token;                          // version 2; a token works with 1 too
  std::string measurement;
  std::string ca;                  // PEM; empty: the system's
  bool gzip = true;
  std::size_t batch = 0;           // points in one request, at most
  Duration commit{};               // points wait at most about this long
  Duration timeout{};              // for one request
  std::string dead_letters;        // file; empty: they are only counted
};

// Problems go to the settings' list.
Options read_options(SettingsReader& settings);

}  // namespace sallyport::influxdb
