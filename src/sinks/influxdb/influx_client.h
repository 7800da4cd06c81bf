// HTTP to an InfluxDB or what understands its line protocol. libcurl inside, which keeps the connection. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "sinks/influxdb/influx_settings.h"

namespace sallyport::influxdb {

struct Reply {
  enum class Kind : std::uint8_t {
    stored,
    in_part,    // the server stored what it could; `message` and `dropped` say what not
    refused,    // it takes none of these, now and for ever, or at least one of them is wrong
    too_large,  // try fewer at once
    missing,    // the database is not there
    later,      // it is busy, away or does not know us; try again, after `wait` if it says so
  };
  Kind kind = Kind::later;
  std::string message{};       // for people
  std::uint64_t dropped = 0;
  Duration wait{0};
};
// What an answer with this code and body means. `retry_after`: the header's value.
Reply understand(long code, const std::string& body, const std::string& retry_after);

class Client {
 public:
  using GiveUp = std::function<bool()>;  // asked while waiting
  Client(const Options& options, GiveUp give_up);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Reply write(const std::string& lines);
  Reply create_database();     // version 1
  std::uint64_t bytes_sent() const { return bytes_; }

 private:
  struct Impl;
  Reply post(const std::string& path, const std::string& body, bool lines);
  const Options options_;
  const GiveUp give_up_;
  std::unique_ptr<Impl> impl_;
  std::uint64_t bytes_ = 0;
};

}  // namespace sallyport::influxdb
