#include <algorithm>

#include "journal/journal.h"

namespace sallyport::journal {
namespace {

constexpr std::uint32_t kUnknown = UINT32_MAX;
constexpr std::uint32_t kMaxIds = 1u << 26;
constexpr std::size_t kLookPerRead = 1u << 18;   // records, of which a reader may want none

}  // namespace

Result<std::unique_ptr<Feed>> Journal::open(const std::string& reader, Patterns match, Waker waker) {
  auto made = open_reader(reader, [match = std::move(match)](std::string_view path) { return match.matches(path); }, std::move(waker));
  if (!made) return std::unexpected(made.error());
  return std::unique_ptr<Feed>(std::move(*made));
}

Result<std::unique_ptr<JournalReader>> Journal::open_reader(const std::string& reader, std::function<bool(std::string_view)> match, Waker waker) {
  const std::lock_guard lock(mutex_);
  ReaderState& state = readers_[reader];
  if (state.open) return fail(ErrorCode::exists, "the journal has a reader named '" + reader + "' already");
  state.open = true;
  state.armed = false;
  state.waker = std::move(waker);
  std::unique_ptr<JournalReader> made(new JournalReader(*this, reader, std::move(match)));
  made->position_ = made->handed_ = made->acknowledged_ = state.acknowledged;
  return made;
}

JournalReader::~JournalReader() {
  const std::lock_guard lock(journal_.mutex_);
  const auto state = journal_.readers_.find(name_);
  if (state == journal_.readers_.end()) return;
  state->second.open = state->second.armed = false;
  state->second.waker = nullptr;
}

void JournalReader::resume(Position position) {
  position_ = handed_ = position;
  segment_.reset();
  in_block_ = false;
  acknowledge(position);
}

// Once all that was handed out is acknowledged, so is what has been passed over since.
void JournalReader::acknowledge(Position position) {
  if (position >= handed_) position = std::max(position, position_);
  acknowledged_ = std::max(acknowledged_, position);
  const std::lock_guard lock(journal_.mutex_);
  auto& state = journal_.readers_[name_];
  if (position <= state.acknowledged) return;
  state.acknowledged = std::min(position, journal_.durable_);
  state.oldest = state.acknowledged >= journal_.durable_ ? 0 : last_written_;
  journal_.state_dirty_ = true;
}

const std::string& JournalReader::stream(std::uint32_t id) const {
  const std::lock_guard lock(journal_.mutex_);
  return journal_.streams_[id].label;   // a deque: it stays where it is
}

bool JournalReader::wants(std::uint32_t point) {
  if (point >= wanted_.size()) wanted_.resize(point + std::size_t{1}, -1);
  if (point >= points_.size()) points_.resize(point + std::size_t{1}, nullptr);
  if (wanted_[point] < 0) {
    {
      const std::lock_guard lock(journal_.mutex_);
      points_[point] = &journal_.points_[point].point;
    }
    wanted_[point] = match_(points_[point]->path) ? 1 : 0;
  }
  return wanted_[point] == 1;
}

Result<void> JournalReader::read(FeedBatch& batch, std::size_t max) {
  batch.clear();
  const Position began = position_;
  bool more = true;
  SegmentReader::Raw raw;
  for (std::size_t looked = 0; batch.entries.size() < max && looked < kLookPerRead; ++looked) {
    if (!in_block_) {
      const auto next = next_block();
      if (!next) return std::unexpected(next.error());
      if (!*next) {
        more = false;
        break;
      }
      in_block_ = true;
    }
    if (segment_->next_record(raw)) {
      take(raw, batch);
      continue;
    }
    in_block_ = false;
    position_ = std::max(position_, segment_->expected() - 1);
    note_damage();
  }
  batch.position = position_;
  batch.more = more;
  if (!batch.entries.empty()) handed_ = batch.entries.back().position;
  if (!batch.gaps.empty()) handed_ = std::max(handed_, batch.gaps.back().position);
  if (position_ > began && acknowledged_ >= handed_) acknowledge(position_);
  return {};
}

void JournalReader::take(const SegmentReader::Raw& raw, FeedBatch& batch) {
  const bool news = raw.position > position_;
  if (news) position_ = raw.position;
  if (static_cast<RecordKind>(raw.kind) == RecordKind::change) {
    if (!news) return;
    ChangeRecord change;
    if (!decode(raw.body, change) || change.point >= ids_.size() || change.stream >= streams_.size()) return;
    const std::uint32_t point = ids_[change.point];
    if (point == kUnknown || streams_[change.stream] == kUnknown || !wants(point)) return;
    batch.entries.push_back({.position = raw.position, .point = point, .stream = streams_[change.stream], .sequence = change.sequence, .status = change.status,
                             .source_time = change.source_time, .backfill = change.backfill, .value = std::move(change.value)});
    return;
  }
  auto record = decode(raw.kind, raw.body);
  if (!record) return;
  if (const auto* stream = std::get_if<StreamRecord>(&*record)) {
    if (stream->id >= kMaxIds) return;
    if (stream->id >= streams_.size()) streams_.resize(stream->id + std::size_t{1}, kUnknown);
    streams_[stream->id] = journal_.intern_stream(stream->name, stream->epoch);
  } else if (const auto* point = std::get_if<PointRecord>(&*record)) {
    if (point->id >= kMaxIds || point->stream >= streams_.size() || streams_[point->stream] == kUnknown) return;
    if (point->id >= ids_.size()) ids_.resize(point->id + std::size_t{1}, kUnknown);
    ids_[point->id] = journal_.intern_point(streams_[point->stream], point->path, point->meta);
  } else if (auto* gap = std::get_if<GapRecord>(&*record)) {
    if (!news || gap->stream >= streams_.size() || streams_[gap->stream] == kUnknown) return;
    if (!gap->readers.empty() && std::ranges::find(gap->readers, name_) == gap->readers.end()) return;
    batch.gaps.push_back({raw.position, streams_[gap->stream], gap->sequence, std::move(gap->gap)});
  }
}

Result<bool> JournalReader::open_segment() {
  Position first = 0;
  {
    const std::lock_guard lock(journal_.mutex_);
    const auto& segments = journal_.segments_;
    auto at = segments.upper_bound(segment_ ? segment_->header().first : position_ + 1);
    if (!segment_ && at != segments.begin()) --at;
    if (at == segments.end()) {
      journal_.readers_[name_].armed = true;
      return false;
    }
    first = at->first;
  }
  auto opened = SegmentReader::open(journal_.options_.folder + "/" + segment_name(first), true);
  if (!opened && opened.error().code == ErrorCode::not_found) {  // a limit took it away in this moment
    const std::lock_guard lock(journal_.mutex_);
    if (journal_.segments_.contains(first)) return std::unexpected(opened.error());
    segment_.reset();
    journal_.readers_[name_].armed = true;
    return !journal_.segments_.empty();
  }
  if (!opened) return std::unexpected(opened.error());
  segment_ = std::make_unique<SegmentReader>(std::move(*opened));
  streams_.clear();
  ids_.clear();
  return true;
}

Result<bool> JournalReader::next_block() {
  for (;;) {
    if (!segment_) {
      const auto opened = open_segment();
      if (!opened || !*opened) return opened;
      continue;
    }
    std::uint64_t limit = 0;
    bool active = false;
    Position last = 0;
    {
      const std::lock_guard lock(journal_.mutex_);
      const auto at = journal_.segments_.find(segment_->header().first);
      const bool kept = at != journal_.segments_.end();
      limit = kept ? at->second.bytes : UINT64_MAX;
      active = kept && at->second.active;
      last = kept ? at->second.last : 0;
      if (active && segment_->offset() >= limit) {
        journal_.readers_[name_].armed = true;
        return false;
      }
    }
    const auto next = segment_->next_block(limit);
    note_damage();
    if (!next) return next;
    if (*next) {
      last_written_ = segment_->block_written();
      return true;
    }
    if (active) {  // damaged at its end, and still being written: go on behind once there is more
      const std::lock_guard lock(journal_.mutex_);
      journal_.readers_[name_].armed = true;
      return false;
    }
    if (last >= segment_->expected()) {  // the end of it is gone
      journal_.append_gap({.node = journal_.options_.node, .where = "journal", .cause = GapCause::damaged, .start = last_written_, .end = last_written_,
                           .lost = last + 1 - segment_->expected(), .match = {"**"}, .detail = segment_name(segment_->header().first)});
    }
    const auto opened = open_segment();
    if (!opened || !*opened) return opened;   // false: nothing written since this start
  }
}

// Said once, whoever comes upon it first.
void JournalReader::note_damage() {
  if (!segment_) return;
  for (const Damage& damage : segment_->take_damage()) {
    {
      const std::lock_guard lock(journal_.mutex_);
      if (!journal_.noted_damage_.insert(damage.first).second) continue;
      journal_.counters_.damaged += damage.records;
    }
    journal_.append_gap({.node = journal_.options_.node, .where = "journal", .cause = GapCause::damaged,
                         .start = last_written_ == 0 ? damage.written : std::min(last_written_, damage.written), .end = segment_->block_written(),
                         .lost = damage.records, .match = {"**"}, .detail = segment_name(segment_->header().first)});
  }
}

// --- Status ----------------------------------------------------------------------------------------------------------------

JournalStatus::Reader Journal::describe(const std::string& name, const ReaderState& reader) const {
  JournalStatus::Reader out{name, reader.acknowledged, durable_ - std::min(durable_, reader.acknowledged), 0, 0};
  if (out.behind == 0) return out;
  for (const auto& [first, segment] : segments_) {
    if (segment.last <= reader.acknowledged) continue;
    const double whole = static_cast<double>(std::max<Position>(1, segment.last - first + 1));
    const double left = static_cast<double>(segment.last - std::max(first - 1, std::min(reader.acknowledged, segment.last)));
    out.behind_bytes += static_cast<std::uint64_t>(static_cast<double>(segment.bytes) * std::min(1.0, left / whole));
    if (out.oldest == 0) out.oldest = first > reader.acknowledged || reader.oldest == 0 ? segment.created : std::max(segment.created, reader.oldest);
  }
  return out;
}

FeedStatus JournalReader::status() const {
  const std::lock_guard lock(journal_.mutex_);
  const auto at = journal_.readers_.find(name_);
  if (at == journal_.readers_.end()) return {};
  const auto reader = journal_.describe(name_, at->second);
  return {reader.behind, reader.behind_bytes, reader.oldest};
}

JournalStatus Journal::status() const {
  const std::lock_guard lock(mutex_);
  JournalStatus status = counters_;
  status.id = id_text_;
  status.sync = options_.sync;
  status.bytes = total_bytes_;
  status.max_bytes = options_.max_bytes;
  status.pending_bytes = queued_bytes_;
  status.head = building_ ? builder_.next() - 1 : next_ - 1;
  status.durable = durable_;
  status.failure = failure_;
  for (const auto& [name, reader] : readers_) {
    if (reader.wanted) status.readers.push_back(describe(name, reader));
  }
  return status;
}

}  // namespace sallyport::journal
