#include "journal/every_recorder.h"

#include "base/log.h"

namespace sallyport::journal {
namespace {

constexpr std::int64_t kOverflowEvery = 10'000'000'000;  // nanoseconds of source time

// OPC 10000-4 §7.39.1: InfoType = DataValue (bits 10 and 11 = 01) and the Overflow bit.
constexpr bool overflowed(Status status) { return (status & 0x0C00) == 0x0400 && (status & 0x0080) != 0; }

}  // namespace

std::uint32_t EveryRecorder::point(const std::string& path, const Meta& meta) {
  const std::uint32_t id = journal_.intern_point(journal_.own_stream(), path, meta);
  const std::lock_guard lock(mutex_);
  if (id >= points_.size()) points_.resize(id + std::size_t{1});
  points_[id].path = path;
  return id;
}

void EveryRecorder::append(std::span<const EveryChange> changes) {
  if (changes.empty()) return;
  const std::lock_guard lock(mutex_);
  batch_.clear();
  for (const EveryChange& change : changes) {
    batch_.push_back({.stream = 0, .sequence = 0, .point = change.point, .status = change.status, .source_time = change.source_time, .value = change.value});
  }
  if (!journal_.append_own(batch_)) return lose(changes.size());
  if (lost_ > 0) {
    const UtcNanoseconds now = clock_.utc();
    log::warn("journal: takes changes again", log::field("lost", static_cast<std::int64_t>(lost_)));
    journal_.append_gap({.node = journal_.options().node, .where = "journal", .cause = at_limit_ ? GapCause::limit : GapCause::too_slow, .start = lost_since_, .end = now,
                         .lost = lost_, .match = journal_.options().own, .detail = at_limit_ ? "max_size was reached" : "the disk was full or too slow"});
    lost_ = 0;
  }
  note_overflows();
}

void EveryRecorder::lose(std::size_t changes) {
  if (lost_ == 0) {
    lost_since_ = clock_.utc();
    const JournalStatus status = journal_.status();
    at_limit_ = status.failure.empty() && status.bytes + status.pending_bytes >= status.max_bytes;
    log::error("journal: cannot keep changes of `every` points; they are lost, and told as a gap",
               log::field("reason", at_limit_ ? "max_size is reached" : status.failure.empty() ? "the disk does not keep up" : status.failure));
  }
  lost_ += changes;
}

// A queue that runs over again and again is one gap every ten seconds, not one for each change.
void EveryRecorder::note_overflows() {
  for (const ChangeRecord& change : batch_) {
    Known& known = points_[change.point];
    const bool over = overflowed(change.status);
    if (over && !known.overflow_since) known.overflow_since = known.last.value_or(change.source_time);
    if (known.overflow_since && (!over || change.source_time - known.overflow_told >= kOverflowEvery)) {
      journal_.append_gap({.node = journal_.options().node, .where = "", .cause = GapCause::overflow, .start = *known.overflow_since,
                           .end = over ? change.source_time : known.last.value_or(change.source_time), .match = {known.path}, .detail = "the source's queue ran over"});
      known.overflow_told = change.source_time;
      known.overflow_since.reset();
    }
    known.last = change.source_time;
  }
}

void EveryRecorder::gap(Gap gap) { journal_.append_gap(std::move(gap)); }

}  // namespace sallyport::journal
