// What sealing and verifying must remember over a restart: that epochs never come twice, and never go back. Small files,
// replaced as a whole and synced. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "seal/unsealer.h"

namespace sallyport::seal {

// The last epoch this node sealed in; 0 when there is no such file. malformed: damaged.
Result<std::uint64_t> load_epoch(const std::string& file);
Result<void> save_epoch(const std::string& file, std::uint64_t epoch);

// Empty when there is no such file.
Result<std::vector<StreamMemory>> load_memories(const std::string& file);
Result<void> save_memories(const std::string& file, const std::vector<StreamMemory>& memories);

}  // namespace sallyport::seal
