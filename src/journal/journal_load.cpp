// What a start finds: segments, how far streams go, readers, gaps.
#include <dirent.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

#include "base/chunk_file.h"
#include "base/log.h"
#include "journal/journal.h"

namespace sallyport::journal {
namespace {

// Positions that may have been told although the disk has forgotten them must not be given out twice.
constexpr Position kLeftOut = 1u << 20;
constexpr std::size_t kEpochsKept = 16;       // of one origin
constexpr std::uint32_t kGapFormat = 1, kGapChunk = 1;

std::uint64_t random_number() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) number = static_cast<std::uint64_t>(::getpid()) << 32 ^ static_cast<std::uint64_t>(::time(nullptr));
  return number;
}

}  // namespace

Result<void> Journal::load() {
  if (::mkdir(options_.folder.c_str(), 0700) != 0 && errno != EEXIST) return std::unexpected(system_error("cannot create " + options_.folder, errno));
  if (::access(options_.folder.c_str(), W_OK | X_OK) != 0) return std::unexpected(system_error("cannot write in " + options_.folder, errno));
  if (auto ok = list_segments(); !ok) return ok;
  const bool clean = load_state();
  load_gaps();
  const bool before = !segments_.empty();
  scan_newest();
  if (id_ == JournalId{}) id_ = {random_number(), random_number()};
  id_text_ = to_string(id_);
  for (const auto& [name, reader] : readers_) next_ = std::max(next_, reader.acknowledged + 1);
  if (before && !clean) next_ += kLeftOut;
  durable_ = next_ - 1;
  for (Stream& stream : streams_) stream.durable_high = stream.high;
  own_stream_ = intern_stream(options_.node, static_cast<std::uint64_t>(clock_.utc()));
  if (before && !options_.own.empty()) {
    const UtcNanoseconds now = clock_.utc();
    append_gap({.node = options_.node, .where = "", .cause = GapCause::restart, .start = alive_ == 0 || alive_ > now ? now : alive_, .end = now, .match = options_.own,
                .detail = clean ? "stopped" : "it ended without stopping"});
  }
  return {};
}

Result<void> Journal::list_segments() {
  DIR* dir = ::opendir(options_.folder.c_str());
  if (dir == nullptr) return std::unexpected(system_error("cannot list " + options_.folder, errno));
  while (const dirent* entry = ::readdir(dir)) {
    const auto first = parse_segment_name(entry->d_name);
    if (!first) continue;
    struct stat file {};
    if (::stat((options_.folder + "/" + entry->d_name).c_str(), &file) != 0 || !S_ISREG(file.st_mode)) continue;
    segments_[*first] = {.first = *first, .last = 0, .bytes = static_cast<std::uint64_t>(file.st_size)};
    total_bytes_ += static_cast<std::uint64_t>(file.st_size);
  }
  ::closedir(dir);
  return {};
}

// Only headers are read of all but the newest: each tells how far the one before it goes.
void Journal::scan_newest() {
  Position before_next = 0;
  bool streams_known = false;
  for (auto at = segments_.rbegin(); at != segments_.rend(); ++at) {
    Segment& segment = at->second;
    const std::string path = options_.folder + "/" + segment_name(segment.first);
    auto reader = SegmentReader::open(path, true);
    if (!reader) {
      log::warn("journal: a segment cannot be opened", log::field("file", path), log::field("reason", reader.error().message));
      segment.last = before_next == 0 ? segment.first : before_next;
      continue;
    }
    segment.created = reader->header().created;
    if (reader->header().journal != JournalId{}) id_ = reader->header().journal;
    if (before_next != 0) segment.last = before_next;
    before_next = reader->header().before == 0 ? segment.first - 1 : reader->header().before;
    if (streams_known) continue;
    Position last = segment.first - 1;
    SegmentReader::Raw raw;
    std::vector<std::uint32_t> ids;
    const auto rise = [&](std::uint32_t stream, std::uint64_t sequence) {
      if (stream < ids.size() && ids[stream] != UINT32_MAX) streams_[ids[stream]].high = std::max(streams_[ids[stream]].high, sequence);
    };
    while (reader->next_block().value_or(false)) {
      while (reader->next_record(raw)) {
        const auto record = decode(raw.kind, raw.body);
        if (!record) continue;
        if (const auto* stream = std::get_if<StreamRecord>(&*record)) {
          if (stream->id >= ids.size()) ids.resize(std::min<std::size_t>(stream->id, 1u << 20) + 1, UINT32_MAX);
          if (stream->id >= ids.size()) continue;
          ids[stream->id] = intern_stream(stream->name, stream->epoch);
          rise(stream->id, stream->high);
          streams_known = true;
        } else if (const auto* change = std::get_if<ChangeRecord>(&*record)) {
          rise(change->stream, change->sequence);
        } else if (const auto* gap = std::get_if<GapRecord>(&*record)) {
          rise(gap->stream, gap->sequence);
        }
      }
      last = reader->expected() - 1;
    }
    if (segment.last == 0) segment.last = last;
    next_ = std::max(next_, last + 1);
    if (last_before_ == 0) last_before_ = last;
    segment.bytes = std::min(segment.bytes, reader->offset());
  }
  // Streams of lives long gone: their journals have nothing left to send.
  std::map<std::string, std::vector<std::uint32_t>> of_name;
  for (std::uint32_t id = 0; id < streams_.size(); ++id) of_name[streams_[id].name].push_back(id);
  std::vector<bool> keep(streams_.size(), true);
  for (auto& [name, ids] : of_name) {
    std::ranges::sort(ids, std::greater{}, [this](std::uint32_t id) { return streams_[id].epoch; });
    for (std::size_t i = kEpochsKept; i < ids.size(); ++i) keep[ids[i]] = false;
  }
  const std::deque<Stream> all = std::move(streams_);
  streams_.clear();
  stream_ids_.clear();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (keep[i]) streams_[intern_stream(all[i].name, all[i].epoch)].high = all[i].high;
  }
}

// --- Readers ---------------------------------------------------------------------------------------------------------------

bool Journal::load_state() {
  std::ifstream in(options_.folder + "/state");
  bool clean = false;
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string what, name;
    words >> what;
    if (what == "clean") words >> clean;
    else if (what == "alive") words >> alive_;
    else if (what == "reader") {
      Position position = 0;
      if (words >> position >> name) readers_[name].acknowledged = position;
    }
  }
  return clean;
}

// Not synced: what is lost of it is read, and passed over by whoever has it, again.
void Journal::save_state(bool clean) {
  state_dirty_ = false;
  const std::string path = options_.folder + "/state";
  std::ofstream out(path + ".new", std::ios::trunc);
  out << "clean " << (clean ? 1 : 0) << "\nalive " << clock_.utc() << "\n";
  for (const auto& [name, reader] : readers_) {
    if (reader.wanted || !readers_known_) out << "reader " << reader.acknowledged << " " << name << "\n";
  }
  out.close();
  if (out) ::rename((path + ".new").c_str(), path.c_str());
}

void Journal::set_readers(std::vector<std::string> names) {
  const std::lock_guard lock(mutex_);
  readers_known_ = true;
  for (auto& [name, reader] : readers_) reader.wanted = false;
  for (const std::string& name : names) {
    ReaderState& reader = readers_[name];
    reader.wanted = true;
  }
  std::erase_if(readers_, [](const auto& entry) { return !entry.second.wanted && !entry.second.open; });
  state_dirty_ = true;
}

bool Journal::has_readers() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(readers_, [](const auto& entry) { return entry.second.wanted; });
}

// --- Gaps ------------------------------------------------------------------------------------------------------------------

void Journal::load_gaps() {
  auto reader = ChunkReader::open(options_.folder + "/gaps", kGapFormat);
  if (!reader) {
    if (reader.error().code != ErrorCode::not_found) log::warn("journal: the list of gaps cannot be read and begins anew", log::field("reason", reader.error().message));
    return;
  }
  Chunk chunk;
  while (reader->next(chunk).value_or(false)) {
    auto record = decode(static_cast<std::uint8_t>(RecordKind::gap), chunk.bytes);
    if (record) gaps_.push_back(std::move(std::get<GapRecord>(*record).gap));
  }
}

void Journal::save_gaps() {
  gaps_dirty_ = false;
  auto writer = ChunkWriter::create(options_.folder + "/gaps", kGapFormat);
  if (!writer) return;
  for (const Gap& gap : gaps_) {
    Bytes bytes;
    encode(bytes, GapRecord{0, 1, gap, {}});
    if (!writer->add(kGapChunk, bytes)) return;
  }
  if (auto ok = writer->commit(); !ok) log::warn("journal: the list of gaps is not saved", log::field("reason", ok.error().message));
}

}  // namespace sallyport::journal
