// Writes rows into the database: one transaction for the rows, the gaps, what is refused, and the position that says how far
// the journal has been stored. So each change is there exactly once, whatever is killed when. One thread; a new object for
// each connection.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "namespace/collector.h"
#include "sinks/postgres/copy_rows.h"
#include "sinks/postgres/pg_connection.h"
#include "sinks/postgres/pg_schema.h"

namespace sallyport::postgres {

inline constexpr std::uint64_t kMaxDeadLetters = 10'000;

struct Written {
  std::uint64_t rows = 0;      // new ones
  std::uint64_t repeated = 0;  // that were there already
  std::uint64_t gaps = 0;
  std::uint64_t refused = 0;   // that the server will never take: in dead_letters
  std::string reason;          // of the last of them
};

class Store {
 public:
  Store(Connection& connection, Schema& schema, const Collector& collector, const Options& options);

  // How far the journal is stored; 0: nothing of it.
  Result<Position> position();
  // All or nothing. `from`: where the database was found last. exists: it is elsewhere now; ask position() again.
  Result<Written> write(const Rows& rows, Position from);

 private:
  struct Letter {
    std::uint32_t row;
    std::string reason;
  };
  Result<void> name_points(const Rows& rows);
  Result<void> upsert_points(std::span<const std::uint32_t> points);
  Result<void> name_streams(const Rows& rows);
  Result<void> name_stream(std::uint32_t stream);
  Result<void> move_position(Position from, Position to);
  Result<void> transact(const Rows& rows, Position from);
  Result<void> put_range(const Rows& rows, std::span<const std::uint32_t> which, bool staged);
  Result<void> try_range(const Rows& rows, std::span<const std::uint32_t> which, bool staged);
  Result<void> copy(const Rows& rows, std::span<const std::uint32_t> which, const std::string& table);
  Result<void> put_gaps(const Rows& rows);
  Result<void> put_letters(const Rows& rows);

  Connection& connection_;
  Schema& schema_;
  const Collector& collector_;
  const std::string reader_, quoted_;
  CopyRows copy_;
  struct Known {
    std::int32_t id = 0;       // in the database; 0: not asked yet
    Meta meta;
    std::string origin;
    std::uint64_t looked = 0;  // in this batch
  };
  std::vector<Known> points_;  // by the collector's ids
  std::vector<std::int32_t> streams_;
  std::uint64_t batches_ = 0;
  std::vector<std::uint32_t> every_, live_;  // rows of this batch
  std::vector<Letter> letters_;
  Written written_;
};

}  // namespace sallyport::postgres
