// A PostgreSQL server of a test's own, on a free port, in a folder that goes with it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness.h"
#include "process.h"

namespace sallyport::tests {

class PostgresServer {
 public:
  // `settings`: more of postgresql.conf, e.g. "shared_preload_libraries=timescaledb".
  explicit PostgresServer(std::vector<std::string> settings = {});
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  void start();                     // returns once it answers
  void kill();                      // SIGKILL to all of it, as in a power cut
  void freeze();
  void thaw();
  std::uint16_t port() const { return port_; }
  std::string version() const { return version_; }   // "17"
  // `connection = "…"` for the sink, as `user`, by `port` (0: its own).
  std::string connection(const std::string& user = "postgres", std::uint16_t port = 0) const;
  // What psql prints for it: columns by '|', rows by lines. A failure is a failure of the test.
  std::string sql(const std::string& statement) const;

 private:
  std::vector<std::string> as_postgres(std::vector<std::string> command) const;
  std::vector<pid_t> processes() const;

  TempFolder folder_;
  std::string programs_, version_, data_;
  std::vector<std::string> settings_;
  std::uint16_t port_;
  std::unique_ptr<Process> process_;
};

}  // namespace sallyport::tests
