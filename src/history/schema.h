// The tables of the history and how they came to be what they are (docs/history.md, "The file"). Each version is made of
// the one before it, in one transaction.
#pragma once

#include <cstdint>

#include "history/sqlite.h"

namespace sallyport::history {

inline constexpr std::int64_t kSchemaVersion = 2;
inline constexpr std::int64_t kApplicationId = 0x53505948;  // "SPYH", in the file's header

// Makes the tables, or brings them to `to`. invalid: another program's database, or one of a newer version.
Result<void> migrate(Database& database, std::int64_t to = kSchemaVersion);
// For readers: whether it is a history of this version. unavailable: not yet, its writer will make it so.
Result<void> check_schema(Database& database);

}  // namespace sallyport::history
