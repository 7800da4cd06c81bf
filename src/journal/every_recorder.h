// The changes of `every` points that enter at this node, into its journal; what cannot be kept, as gaps. Any thread.
#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "journal/journal.h"
#include "namespace/every.h"

namespace sallyport::journal {

class EveryRecorder final : public EveryLog {
 public:
  EveryRecorder(Journal& journal, Clock& clock) : journal_(journal), clock_(clock) {}
  std::uint32_t point(const std::string& path, const Meta& meta) override;
  void append(std::span<const EveryChange> changes) override;
  void gap(Gap gap) override;

 private:
  void lose(std::size_t changes);
  void note_overflows();

  Journal& journal_;
  Clock& clock_;
  std::mutex mutex_;                 // also keeps the order of batches
  std::vector<ChangeRecord> batch_;
  struct Known {
    std::string path;
    std::optional<UtcNanoseconds> last;            // source time
    std::optional<UtcNanoseconds> overflow_since;  // not told yet
    UtcNanoseconds overflow_told = INT64_MIN / 2;
  };
  std::vector<Known> points_;        // by number
  std::uint64_t lost_ = 0;           // since lost_since_
  UtcNanoseconds lost_since_ = 0;
  bool at_limit_ = false;            // that is why
};

}  // namespace sallyport::journal
