// Appending, and the thread that writes. Loading is in journal_load.cpp, readers in journal_reader.cpp.
#include "journal/journal.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "namespace/value_codec.h"

namespace sallyport::journal {
namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;
constexpr Duration kSyncEvery = std::chrono::milliseconds(100);
constexpr Duration kRetry = std::chrono::seconds(1);
constexpr Duration kStateEvery = std::chrono::seconds(1);
constexpr Duration kAliveEvery = std::chrono::seconds(5);
constexpr Duration kRateOver = std::chrono::seconds(30);
constexpr std::size_t kMaxGaps = 1000;
constexpr std::size_t kNamedPoints = 256;     // in the gap that a limit makes

std::string key_of(std::uint32_t stream, const std::string& path, const Meta& meta) {
  Bytes key;
  ByteWriter w(key);
  w.number<std::uint32_t>(stream);
  w.text(path);
  encode_meta(w, meta);
  return std::string(as_text(key));
}

}  // namespace

Result<SyncPolicy> parse_sync_policy(std::string_view text) {
  if (text == "batch") return SyncPolicy::batch;
  if (text == "100ms") return SyncPolicy::every_100ms;
  if (text == "os") return SyncPolicy::os;
  return fail(ErrorCode::invalid, "fsync is \"batch\", \"100ms\" or \"os\", not \"" + std::string(text) + "\"");
}

std::string_view to_string(SyncPolicy policy) {
  switch (policy) {
    case SyncPolicy::batch: return "batch";
    case SyncPolicy::every_100ms: return "100ms";
    case SyncPolicy::os: return "os";
  }
  return "batch";
}

std::string stream_label(const std::string& name, std::uint64_t epoch) {
  char text[24];
  std::snprintf(text, sizeof text, "/%016llx", static_cast<unsigned long long>(epoch));
  return name + text;
}

std::pair<std::string, std::uint64_t> parse_stream_label(const std::string& label) {
  const std::size_t slash = label.rfind('/');
  if (slash == std::string::npos) return {label, 0};
  return {label.substr(0, slash), std::strtoull(label.c_str() + slash + 1, nullptr, 16)};
}

Result<std::unique_ptr<Journal>> Journal::open(JournalOptions options, Clock& clock) {
  std::unique_ptr<Journal> journal(new Journal(std::move(options), clock));
  if (auto ok = journal->load(); !ok) return within("journal", ok.error());
  journal->thread_ = std::thread([&j = *journal] { j.write_loop(); });
  return journal;
}

Journal::~Journal() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  to_write_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// --- Names ---------------------------------------------------------------------------------------------------------------

std::uint32_t Journal::intern_stream(const std::string& name, std::uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = stream_ids_.try_emplace({name, epoch}, static_cast<std::uint32_t>(streams_.size()));
  if (fresh) streams_.push_back({.name = name, .label = stream_label(name, epoch), .epoch = epoch});
  return at->second;
}

std::uint32_t Journal::intern_point(std::uint32_t stream, const std::string& path, const Meta& meta) {
  const std::string key = key_of(stream, path, meta);
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = point_ids_.try_emplace(key, static_cast<std::uint32_t>(points_.size()));
  if (fresh) points_.push_back({{path, meta, streams_[stream].name}, stream, 0});
  return at->second;
}

// --- Appending -------------------------------------------------------------------------------------------------------------

void Journal::open_block() {
  if (building_) return;
  building_ = true;
  current_ = {};
  current_.first = next_;
  current_.before = last_before_;
  builder_.begin(next_, std::exchange(spare_, {}));
  if (generation_ != 0 && segment_fill_ < options_.segment_bytes) return;
  ++generation_;
  segment_fill_ = kSegmentHeader;
  current_.new_segment = true;
  // A start of this journal needs no more than the newest segment to know how far it holds each stream.
  for (std::uint32_t id = 0; id < streams_.size(); ++id) tell_stream(id);
}

void Journal::seal_block() {
  if (!building_) return;
  building_ = false;
  next_ = builder_.next();
  last_before_ = next_ - 1;
  current_.last = next_ - 1;
  current_.bytes = builder_.finish(clock_.utc());
  segment_fill_ += current_.bytes.size();
  queued_bytes_ += current_.bytes.size();
  queue_.push_back(std::move(current_));
}

void Journal::tell_stream(std::uint32_t id) {
  Stream& stream = streams_[id];
  if (stream.told == generation_) return;
  stream.told = generation_;
  builder_.add(RecordKind::stream, StreamRecord{id, stream.name, stream.epoch, stream.high});
}

void Journal::tell_point(std::uint32_t id) {
  Point& point = points_[id];
  if (point.told == generation_) return;
  point.told = generation_;
  tell_stream(point.stream);
  builder_.add(RecordKind::point, PointRecord{id, point.stream, point.point.path, point.point.meta});
}

void Journal::put_change(const ChangeRecord& change) {
  open_block();
  tell_stream(change.stream);
  tell_point(change.point);
  builder_.add(RecordKind::change, change);
  streams_[change.stream].high = change.sequence;
  const auto high = std::ranges::find(current_.highs, change.stream, &std::pair<std::uint32_t, std::uint64_t>::first);
  if (high == current_.highs.end()) current_.highs.emplace_back(change.stream, change.sequence);
  else high->second = change.sequence;
  ++counters_.appended;
  if (builder_.size() >= kBlockBytes) seal_block();
}

bool Journal::append_own(std::span<ChangeRecord> changes) {
  {
    const std::lock_guard lock(mutex_);
    const bool full = queued_bytes_ >= options_.max_pending || (options_.at_limit == AtLimit::stop && over_limit());
    if (stopping_ || full) {
      counters_.dropped += changes.size();
      return false;
    }
    for (ChangeRecord& change : changes) {
      change.stream = own_stream_;
      change.sequence = streams_[own_stream_].high + 1;
      put_change(change);
    }
  }
  to_write_.notify_one();
  return true;
}

Position Journal::append_foreign(std::span<const ChangeRecord> changes) {
  Position last = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const ChangeRecord& change : changes) {
      if (change.sequence > streams_[change.stream].high) put_change(change);
      else ++counters_.duplicates;
    }
    last = building_ ? builder_.next() - 1 : next_ - 1;
  }
  to_write_.notify_one();
  return last;
}

Position Journal::append_gap(Gap gap, std::uint32_t stream, std::uint64_t sequence, std::vector<std::string> readers) {
  Position last = 0;
  {
    const std::lock_guard lock(mutex_);
    std::uint64_t& high = streams_[stream].high;
    if (sequence == 0) sequence = high + 1;
    if (sequence > high) {
      open_block();
      tell_stream(stream);
      high = sequence;
      note_gap(gap);
      builder_.add(RecordKind::gap, GapRecord{stream, sequence, std::move(gap), std::move(readers)});
      current_.highs.emplace_back(stream, sequence);
    }
    last = building_ ? builder_.next() - 1 : next_ - 1;
  }
  to_write_.notify_one();
  return last;
}

// The end of a gap that was said to last takes its place.
void Journal::note_gap(const Gap& gap) {
  if (std::ranges::find(gaps_, gap) != gaps_.end()) return;   // told again in another place
  ++counters_.gaps;
  gaps_dirty_ = true;
  const auto lasting = std::ranges::find_if(gaps_, [&](const Gap& g) {
    return g.end == 0 && g.node == gap.node && g.where == gap.where && g.cause == gap.cause && g.start == gap.start;
  });
  if (lasting != gaps_.end()) {
    *lasting = gap;
    return;
  }
  gaps_.push_back(gap);
  if (gaps_.size() > kMaxGaps) gaps_.pop_front();
}

std::vector<Gap> Journal::recent_gaps() const {
  const std::lock_guard lock(mutex_);
  return {gaps_.begin(), gaps_.end()};
}

Position Journal::durable() const {
  const std::lock_guard lock(mutex_);
  return durable_;
}

std::vector<Held> Journal::held() const {
  const std::lock_guard lock(mutex_);
  std::vector<Held> held;
  for (const Stream& stream : streams_) {
    if (stream.durable_high > 0) held.push_back({stream.name, stream.epoch, stream.durable_high});
  }
  return held;
}

std::uint64_t Journal::on_durable(Waker waker) {
  const std::lock_guard lock(mutex_);
  wakers_.emplace(next_waker_, std::move(waker));
  return next_waker_++;
}

void Journal::remove_waker(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  wakers_.erase(id);
}

// --- Writing ---------------------------------------------------------------------------------------------------------------

void Journal::write_loop() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  prctl(PR_SET_NAME, "journal");
  std::deque<Block> blocks;
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto something = [this] { return stopping_ || building_ || !queue_.empty(); };
    to_write_.wait_for(lock, unsynced_.empty() ? kStateEvery : kSyncEvery, something);
    seal_block();
    std::move(queue_.begin(), queue_.end(), std::back_inserter(blocks));
    queue_.clear();
    const bool stop = stopping_;
    lock.unlock();
    auto written = write_blocks(blocks);
    if (written) written = sync_if_due(stop);
    lock.lock();
    report(written);
    if (!written) {
      if (stop) break;
      to_write_.wait_for(lock, kRetry, [this] { return stopping_; });
      if (stopping_ && !write_blocks(blocks)) break;
      continue;
    }
    housekeeping(lock);
    if (stop && blocks.empty() && queue_.empty() && !building_) break;
  }
  const bool clean = blocks.empty() && queue_.empty() && failure_.empty();
  if (!clean) log::error("journal: what could not be written is lost", log::field("bytes", static_cast<std::int64_t>(queued_bytes_)), log::field("reason", failure_));
  save_state(clean);
  save_gaps();
}

void Journal::report(const Result<void>& written) {
  const std::string failure = written ? "" : written.error().message;
  if (failure == failure_) return;
  if (failure.empty()) log::info("journal writes again");
  else log::error("journal cannot write; it tries again every second, and nothing is acknowledged until then", log::field("reason", failure));
  failure_ = failure;
}

Result<void> Journal::roll(const Block& block) {
  if (writer_) {
    if (auto ok = sync_if_due(true); !ok) return ok;
  }
  auto next = SegmentWriter::create(options_.folder, {id_, block.first, clock_.utc(), block.before});
  if (!next) return std::unexpected(next.error());
  const std::lock_guard lock(mutex_);
  if (writer_) segments_.rbegin()->second.active = false;
  writer_ = std::make_unique<SegmentWriter>(std::move(*next));
  synced_size_ = kSegmentHeader;
  segments_[block.first] = {.first = block.first, .last = block.first - 1, .bytes = kSegmentHeader, .created = clock_.utc(), .active = true};
  total_bytes_ += kSegmentHeader;
  return {};
}

Result<void> Journal::write_block(const Block& block) {
  if (block.new_segment && (!writer_ || !writer_->path().ends_with(segment_name(block.first)))) {
    if (auto ok = roll(block); !ok) return ok;
  }
  return writer_->append(block.bytes);
}

Result<void> Journal::write_blocks(std::deque<Block>& blocks) {
  // Written once already, but the disk said that it may not have them.
  if (!unsynced_.empty() && writer_->size() == synced_size_) {
    for (const Block& block : unsynced_) {
      if (auto ok = writer_->append(block.bytes); !ok) return ok;
    }
  }
  while (!blocks.empty()) {
    if (auto ok = write_block(blocks.front()); !ok) return ok;
    unsynced_.push_back(std::move(blocks.front()));
    blocks.pop_front();
  }
  return {};
}

Result<void> Journal::sync_if_due(bool now) {
  if (unsynced_.empty()) return {};
  if (options_.sync != SyncPolicy::os) {
    const MonotonicTime at = clock_.monotonic();
    if (options_.sync == SyncPolicy::every_100ms && !now && at - last_sync_ < kSyncEvery) return {};
    if (auto ok = writer_->sync(); !ok) {
      writer_->rewind(synced_size_);   // after a failed fsync the kernel takes dirty pages for clean: they are made anew
      return ok;
    }
    last_sync_ = clock_.monotonic();
  }
  publish();
  return {};
}

void Journal::publish() {
  std::vector<Waker> wake;
  {
    const std::lock_guard lock(mutex_);
    Segment& segment = segments_.rbegin()->second;
    if (options_.sync != SyncPolicy::os) ++counters_.syncs;
    for (Block& block : unsynced_) {
      durable_ = segment.last = block.last;
      for (const auto& [stream, high] : block.highs) streams_[stream].durable_high = std::max(streams_[stream].durable_high, high);
      counters_.written_bytes += block.bytes.size();
      queued_bytes_ -= std::min(queued_bytes_, block.bytes.size());
      if (spare_.capacity() < block.bytes.capacity() && block.bytes.capacity() <= 2 * kBlockBytes) spare_ = std::move(block.bytes);
    }
    total_bytes_ += writer_->size() - segment.bytes;
    segment.bytes = synced_size_ = writer_->size();
    for (auto& [name, reader] : readers_) {
      if (std::exchange(reader.armed, false) && reader.waker) wake.push_back(reader.waker);
    }
    for (const auto& [id, waker] : wakers_) wake.push_back(waker);
  }
  unsynced_.clear();
  for (const Waker& waker : wake) waker();
}

void Journal::housekeeping(std::unique_lock<std::mutex>& lock) {
  delete_acknowledged();
  enforce_limits(lock);
  const MonotonicTime now = clock_.monotonic();
  if (now - rate_since_ > kRateOver) {
    const double seconds = std::chrono::duration<double>(now - rate_since_).count();
    counters_.bytes_per_second = rate_since_ == MonotonicTime{} ? 0 : static_cast<double>(counters_.written_bytes - rate_bytes_) / seconds;
    rate_bytes_ = counters_.written_bytes;
    rate_since_ = now;
  }
  if (now - last_state_ < (state_dirty_ ? kStateEvery : kAliveEvery)) return;
  last_state_ = now;
  save_state(false);
  if (gaps_dirty_) save_gaps();
}

// --- Making room -----------------------------------------------------------------------------------------------------------

Position Journal::acknowledged_by_all() const {
  Position least = durable_;
  for (const auto& [name, reader] : readers_) {
    if (reader.wanted) least = std::min(least, reader.acknowledged);
  }
  return least;
}

void Journal::delete_segment(Position first) {
  const auto segment = segments_.find(first);
  total_bytes_ -= std::min(total_bytes_, segment->second.bytes);
  segments_.erase(segment);
  ::unlink((options_.folder + "/" + segment_name(first)).c_str());
}

void Journal::delete_acknowledged() {
  if (!readers_known_) return;   // after a start the writing thread may be here before anyone has said who reads
  const Position done = acknowledged_by_all();
  while (segments_.size() > 1 && segments_.begin()->second.last <= done) delete_segment(segments_.begin()->first);
}

void Journal::enforce_limits(std::unique_lock<std::mutex>& lock) {
  if (!readers_known_) return;
  while (options_.at_limit == AtLimit::drop_oldest && segments_.size() > 1 && total_bytes_ > options_.max_bytes) {
    drop_oldest(lock, "the journal may have " + std::to_string(options_.max_bytes >> 20) + " MiB");
  }
  while (options_.max_age.count() > 0 && segments_.size() > 1 && std::next(segments_.begin())->second.created < clock_.utc() - options_.max_age.count()) {
    drop_oldest(lock, "older than the journal keeps");
  }
}

// Counted per point, as the readers that have not had it will want to know.
void Journal::drop_oldest(std::unique_lock<std::mutex>& lock, const std::string& why) {
  const Segment segment = segments_.begin()->second;
  std::vector<std::string> lagging;
  Position from = segment.last;
  for (const auto& [name, reader] : readers_) {
    if (!reader.wanted || reader.acknowledged >= segment.last) continue;
    lagging.push_back(name);
    from = std::min(from, reader.acknowledged);
  }
  if (!lagging.empty()) {
    lock.unlock();
    Gap gap{.node = options_.node, .where = "journal", .cause = GapCause::limit, .detail = why};
    std::map<std::string, std::uint64_t> counts;
    std::vector<GapRecord> carried;   // a gap must not be lost to a gap
    if (auto reader = SegmentReader::open(options_.folder + "/" + segment_name(segment.first), true)) {
      std::unordered_map<std::uint32_t, std::pair<std::string, std::uint64_t>> points;
      SegmentReader::Raw raw;
      while (reader->next_block(segment.bytes).value_or(false)) {
        while (reader->next_record(raw)) {
          const auto record = decode(raw.kind, raw.body);
          if (!record) continue;
          if (const auto* point = std::get_if<PointRecord>(&*record)) points[point->id].first = point->path;
          if (const auto* told = std::get_if<GapRecord>(&*record); told != nullptr && raw.position > from) carried.push_back(*told);
          const auto* change = std::get_if<ChangeRecord>(&*record);
          if (change == nullptr || raw.position <= from) continue;
          ++points[change->point].second;
          ++gap.lost;
          if (gap.start == 0) gap.start = reader->block_written();
          gap.end = reader->block_written();
        }
      }
      for (const auto& [id, point] : points) counts[point.first] += point.second;
    }
    std::erase_if(counts, [](const auto& entry) { return entry.second == 0; });
    for (const auto& [path, lost] : counts) {
      if (gap.match.size() < kNamedPoints) {
        gap.match.push_back(path);
        gap.detail += "; " + path + ": " + std::to_string(lost);
      }
    }
    if (counts.size() > kNamedPoints) {
      gap.match = {"**"};
      gap.detail += "; and " + std::to_string(counts.size() - kNamedPoints) + " more points";
    }
    const std::uint64_t lost = gap.lost;
    if (lost > 0) {
      log::warn("journal: a limit forced out changes that were not read by all", log::field("why", why), log::field("changes", static_cast<std::int64_t>(lost)),
                log::field("readers", static_cast<std::int64_t>(lagging.size())));
      append_gap(std::move(gap), own_stream_, 0, lagging);
    }
    for (GapRecord& told : carried) append_gap(std::move(told.gap), own_stream_, 0, told.readers.empty() ? lagging : told.readers);
    lock.lock();
    counters_.dropped += lost;
  }
  if (segments_.contains(segment.first) && segments_.size() > 1) delete_segment(segment.first);
}

}  // namespace sallyport::journal
