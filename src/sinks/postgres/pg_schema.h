// The tables in the database: made, brought up to date by version, and cut into parts by time. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "sinks/postgres/pg_connection.h"

namespace sallyport::postgres {

inline constexpr int kSchemaVersion = 2;

class Schema {
 public:
  // `to_version`: only tests ask for an older one.
  Schema(Connection& connection, const Options& options, int to_version = kSchemaVersion);

  // refused: a privilege is missing, and the message is the GRANT. invalid: a newer program has been here.
  Result<void> prepare();
  bool hypertable() const { return hypertable_; }
  const std::string& quoted() const { return quoted_; }  // "sallyport", in quotes

  // A part for each of these times; times that no part is made for (more than ten years ago, tomorrow or later) have a common
  // one. Outside of a transaction.
  Result<void> make_room(UtcNanoseconds time);
  std::uint64_t parts_made() const { return parts_made_; }

  // What is missing when the server said no: the GRANT that helps.
  Error explain(const Error& error);

 private:
  Result<int> version();                          // 0: there is nothing yet
  Result<void> read_layout();
  Result<bool> find_timescaledb();
  Result<void> upgrade(int from);
  Result<void> first_tables();
  Result<void> make_part(std::int64_t part);
  std::string missing_privilege();

  Connection& connection_;
  const std::string schema_, quoted_;
  const Duration wanted_partition_;
  const bool may_use_timescaledb_;
  const int to_version_;
  bool hypertable_ = false;
  std::int64_t seconds_ = 0;                      // of one part
  std::set<std::int64_t> parts_;                  // known to be there
  std::uint64_t parts_made_ = 0;
};

}  // namespace sallyport::postgres
