// Store and forward on disk: the changes of `every` points that entered here or came by links, in segments, until every
// reader (link or sink) has acknowledged them. See docs/decisions/journal.md; the files are in segment.h and record.h.
//
// What is appended is encoded at once and written by a thread of its own. Readers see only what is durable by the policy, so
// that nothing is told on that could be forgotten here. Any thread unless said otherwise.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "journal/record.h"
#include "journal/segment.h"
#include "namespace/feed.h"

namespace sallyport::journal {

enum class SyncPolicy : std::uint8_t {
  batch,         // durable = on the disk: a power cut loses nothing that was acknowledged
  every_100ms,   // the same, with at most ten calls a second; a change is acknowledged up to 100 ms later
  os,            // durable = given to the operating system: kill -9 loses nothing, a power cut what was not yet written back
};
Result<SyncPolicy> parse_sync_policy(std::string_view text);   // "batch", "100ms", "os"
std::string_view to_string(SyncPolicy policy);

enum class AtLimit : std::uint8_t {
  drop_oldest,   // room for the new; readers that lag are told of the gap
  stop,          // what is there is kept; the new is lost, and told as a gap
};

struct JournalOptions {
  std::string folder;
  std::string node;
  SyncPolicy sync = SyncPolicy::batch;
  std::uint64_t max_bytes = 10ull << 30;
  Duration max_age{0};                          // 0: no limit
  AtLimit at_limit = AtLimit::drop_oldest;
  std::uint64_t segment_bytes = 64u << 20;
  std::size_t max_pending = 64u << 20;          // encoded and not yet written
  std::vector<std::string> own{};               // patterns of the points that enter here, for the gap of a restart
};

// How far this journal holds a stream.
struct Held {
  std::string name;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
};

// "plant-1/00c0ffee12345678": how a stream is called.
std::string stream_label(const std::string& name, std::uint64_t epoch);
std::pair<std::string, std::uint64_t> parse_stream_label(const std::string& label);

struct JournalStatus {
  std::string id;
  SyncPolicy sync = SyncPolicy::batch;
  std::uint64_t bytes = 0, max_bytes = 0;       // of all segments
  std::uint64_t pending_bytes = 0;
  std::uint64_t appended = 0, written_bytes = 0, syncs = 0, duplicates = 0;
  std::uint64_t dropped = 0;                    // records that a limit forced out or kept from coming in
  std::uint64_t damaged = 0;                    // records that could not be read
  std::uint64_t gaps = 0;
  Position head = 0, durable = 0;
  double bytes_per_second = 0;                  // written, over the last minute or so
  std::string failure;                          // why nothing can be written now; "" otherwise
  struct Reader {
    std::string name;
    Position acknowledged = 0;
    std::uint64_t behind = 0, behind_bytes = 0;
    UtcNanoseconds oldest = 0;
  };
  std::vector<Reader> readers;
};

class JournalReader;

class Journal final : public Feeds {
 public:
  // Reads the last segment; a restart is noted as a gap. io: the folder cannot be used.
  static Result<std::unique_ptr<Journal>> open(JournalOptions options, Clock& clock);
  ~Journal() override;                          // writes what is pending
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Those whose acknowledgement is waited for. Others, known from before, are forgotten.
  void set_readers(std::vector<std::string> names);
  bool has_readers() const;

  // --- Writing. Ids are of this journal and stay while it is open. ---
  std::uint32_t own_stream() const { return own_stream_; }
  std::uint32_t intern_stream(const std::string& name, std::uint64_t epoch);
  std::uint32_t intern_point(std::uint32_t stream, const std::string& path, const Meta& meta);
  // Changes that entered here: numbered here (`stream` and `sequence` are filled in). Never waits: false when they cannot be
  // kept (the disk is full or too slow, at_limit = stop, closing), and the caller says so in a gap.
  bool append_own(std::span<ChangeRecord> changes);
  // From another node's journal; what is held already is passed over. Returns the position after which all of them are
  // durable.
  Position append_foreign(std::span<const ChangeRecord> changes);
  // sequence 0: noticed here.
  Position append_gap(Gap gap, std::uint32_t stream, std::uint64_t sequence, std::vector<std::string> readers = {});
  Position append_gap(Gap gap) { return append_gap(std::move(gap), own_stream_, 0); }

  Position durable() const;
  std::vector<Held> held() const;               // durably
  // Called when durable() has grown, until removed. Must return at once.
  std::uint64_t on_durable(Waker waker);
  void remove_waker(std::uint64_t id);

  // --- Reading ---
  Result<std::unique_ptr<Feed>> open(const std::string& reader, Patterns match, Waker waker) override;
  Result<std::unique_ptr<JournalReader>> open_reader(const std::string& reader, std::function<bool(std::string_view)> match, Waker waker);
  std::vector<Gap> recent_gaps() const;         // oldest first, bounded; also those of other nodes
  JournalStatus status() const;
  const std::string& id_text() const { return id_text_; }
  const JournalOptions& options() const { return options_; }

 private:
  friend class JournalReader;
  struct Stream {
    std::string name, label;
    std::uint64_t epoch = 0;
    std::uint64_t high = 0, durable_high = 0;
    std::uint32_t told = 0;                     // generation of the dictionary in which it was told last
  };
  struct Point {
    FeedPoint point;
    std::uint32_t stream = 0;
    std::uint32_t told = 0;
  };
  struct Block {
    Bytes bytes;
    Position last = 0;
    bool new_segment = false;
    Position first = 0, before = 0;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> highs;
  };
  struct Segment {
    Position first = 0, last = 0;
    std::uint64_t bytes = 0;                    // that may be read
    UtcNanoseconds created = 0;
    bool active = false;
  };
  struct ReaderState {
    Position acknowledged = 0;
    bool wanted = false;
    UtcNanoseconds oldest = 0;
    Waker waker;
    bool armed = false;
    bool open = false;
  };

  Journal(JournalOptions options, Clock& clock) : options_(std::move(options)), clock_(clock) {}
  Result<void> load();
  Result<void> list_segments();
  void scan_newest();
  bool load_state();                            // whether the last stop was a clean one
  void load_gaps();
  void save_state(bool clean);
  void save_gaps();
  void note_gap(const Gap& gap);

  // Lock held.
  void open_block();
  void seal_block();
  void tell_stream(std::uint32_t id);
  void tell_point(std::uint32_t id);
  void put_change(const ChangeRecord& change);
  bool over_limit() const { return total_bytes_ + queued_bytes_ >= options_.max_bytes; }
  Position acknowledged_by_all() const;
  void delete_segment(Position first);
  void delete_acknowledged();
  void enforce_limits(std::unique_lock<std::mutex>& lock);
  void drop_oldest(std::unique_lock<std::mutex>& lock, const std::string& why);
  JournalStatus::Reader describe(const std::string& name, const ReaderState& reader) const;

  // The writing thread.
  void write_loop();
  Result<void> write_blocks(std::deque<Block>& blocks);   // takes out what it has written
  Result<void> write_block(const Block& block);
  Result<void> roll(const Block& block);
  Result<void> sync_if_due(bool now);
  void publish();
  void report(const Result<void>& written);
  void housekeeping(std::unique_lock<std::mutex>& lock);

  const JournalOptions options_;
  Clock& clock_;
  JournalId id_;
  std::string id_text_;
  std::uint32_t own_stream_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable to_write_;
  std::deque<Stream> streams_;
  std::map<std::pair<std::string, std::uint64_t>, std::uint32_t> stream_ids_;
  std::deque<Point> points_;
  std::unordered_map<std::string, std::uint32_t> point_ids_;   // by stream, path and metadata
  BlockBuilder builder_;
  bool building_ = false;
  Block current_;
  std::uint32_t generation_ = 0;
  std::uint64_t segment_fill_ = 0;              // encoded for the segment being filled
  Position next_ = 1, last_before_ = 0;
  std::deque<Block> queue_;
  std::size_t queued_bytes_ = 0;
  Bytes spare_;
  std::map<Position, Segment> segments_;
  std::uint64_t total_bytes_ = 0;
  Position durable_ = 0;
  std::map<std::string, ReaderState> readers_;
  std::map<std::uint64_t, Waker> wakers_;
  std::uint64_t next_waker_ = 1;
  std::deque<Gap> gaps_;
  std::set<Position> noted_damage_;
  JournalStatus counters_;
  std::string failure_;
  UtcNanoseconds alive_ = 0;
  std::uint64_t rate_bytes_ = 0;
  MonotonicTime rate_since_{};
  bool stopping_ = false, state_dirty_ = false, gaps_dirty_ = false, readers_known_ = false;

  // Only the writing thread.
  std::unique_ptr<SegmentWriter> writer_;
  std::deque<Block> unsynced_;                  // written, to be written again should syncing fail
  std::uint64_t synced_size_ = 0;               // of the file being written
  MonotonicTime last_sync_{}, last_state_{};
  std::thread thread_;
};

// A reader's own place. One thread at a time.
class JournalReader final : public Feed {
 public:
  ~JournalReader() override;
  const std::string& journal() const override { return journal_.id_text_; }
  void resume(Position position) override;
  Result<void> read(FeedBatch& batch, std::size_t max) override;
  void acknowledge(Position position) override;
  const FeedPoint& point(std::uint32_t id) const override { return *points_[id]; }
  const std::string& stream(std::uint32_t id) const override;
  FeedStatus status() const override;

 private:
  friend class Journal;
  JournalReader(Journal& journal, std::string name, std::function<bool(std::string_view)> match)
      : journal_(journal), name_(std::move(name)), match_(std::move(match)) {}
  Result<bool> next_block();                    // false: nothing more for now
  Result<bool> open_segment();                  // the next one; false: there is none yet
  void take(const SegmentReader::Raw& raw, FeedBatch& batch);
  void note_damage();
  bool wants(std::uint32_t point);

  Journal& journal_;
  const std::string name_;
  const std::function<bool(std::string_view)> match_;
  Position position_ = 0;
  Position handed_ = 0, acknowledged_ = 0;   // the last entry or gap handed out; what whoever reads has said
  std::unique_ptr<SegmentReader> segment_;
  bool in_block_ = false;
  UtcNanoseconds last_written_ = 0;
  std::vector<std::uint32_t> streams_, ids_;    // numbers in the segment → ids of the journal
  std::vector<const FeedPoint*> points_;        // by id of the journal
  std::vector<std::int8_t> wanted_;
};

}  // namespace sallyport::journal
