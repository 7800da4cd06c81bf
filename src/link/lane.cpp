#include "link/lane.h"

#include <algorithm>

#include "base/log.h"

namespace sallyport::link {
namespace {

using journal::RecordKind;

constexpr std::size_t kMaxUnacknowledged = 32'768;   // records
constexpr std::size_t kPull = 1024;
constexpr std::size_t kMaxStreams = 65'536;

template <typename R>
void put(Bytes& out, RecordKind kind, const R& record) {
  out.push_back(static_cast<std::byte>(kind));
  Bytes body;
  journal::encode(body, record);
  ByteWriter w(out);
  w.varint(body.size());
  w.bytes(body);
}

}  // namespace

void encode_journal_held(Bytes& out, const std::vector<journal::Held>& held) {
  FrameWriter w(out, FrameType::journal_held);
  const std::size_t count = std::min(held.size(), kMaxHeldStreams);
  w.varint(count);
  for (const auto& stream : std::span(held).last(count)) {
    w.text(stream.name);
    w.number<std::uint64_t>(stream.epoch);
    w.varint(stream.sequence);
  }
}

Result<std::vector<journal::Held>> decode_journal_held(std::span<const std::byte> body) {
  ByteReader in(body);
  std::vector<journal::Held> held;
  const std::uint64_t count = in.varint();
  if (count > kMaxHeldStreams) return fail(ErrorCode::limit, "too many streams in a journal_held frame");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    journal::Held one;
    one.name = in.text(journal::kMaxName);
    one.epoch = in.number<std::uint64_t>();
    one.sequence = in.varint();
    held.push_back(std::move(one));
  }
  if (!in.done()) return fail(ErrorCode::malformed, "bad journal_held frame");
  return held;
}

void encode_journal_ack(Bytes& out, std::uint64_t records) {
  FrameWriter w(out, FrameType::journal_ack);
  w.number<std::uint64_t>(records);
}

Result<std::uint64_t> decode_journal_ack(std::span<const std::byte> body) {
  ByteReader in(body);
  const auto records = in.number<std::uint64_t>();
  if (!in.done()) return fail(ErrorCode::malformed, "bad journal_ack frame");
  return records;
}

// --- Sending ---------------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<LaneSender>> LaneSender::open(journal::Journal& journal, const std::string& reader, const std::string& peer,
                                                     const std::vector<journal::Held>& held, std::function<bool(std::string_view)> allowed, Waker waker) {
  std::unique_ptr<LaneSender> lane(new LaneSender(peer));
  auto opened = journal.open_reader(reader, std::move(allowed), std::move(waker));
  if (!opened) return std::unexpected(opened.error());
  lane->reader_ = std::move(*opened);
  for (const auto& stream : held) lane->held_[journal::stream_label(stream.name, stream.epoch)] = stream.sequence;
  return lane;
}

// A stream of the peer itself need not go back to it.
bool LaneSender::tell_stream(Bytes& out, std::uint32_t stream) {
  if (stream >= streams_.size()) streams_.resize(stream + std::size_t{1});
  Told& told = streams_[stream];
  if (!std::exchange(told.told, true)) {
    const std::string& label = reader_->stream(stream);
    const auto [name, epoch] = journal::parse_stream_label(label);
    told.skip = name == peer_;
    if (const auto known = held_.find(label); known != held_.end()) told.held = known->second;
    if (!told.skip) put(out, RecordKind::stream, journal::StreamRecord{stream, name, epoch, 0});
  }
  return !told.skip;
}

void LaneSender::put_entry(Bytes& out, FeedEntry& entry) {
  if (!tell_stream(out, entry.stream) || entry.sequence <= streams_[entry.stream].held) return;
  if (entry.point >= points_.size()) points_.resize(entry.point + std::size_t{1});
  if (!points_[entry.point]) {
    points_[entry.point] = true;
    const FeedPoint& point = reader_->point(entry.point);
    put(out, RecordKind::point, journal::PointRecord{entry.point, entry.stream, point.path, point.meta});
  }
  put(out, RecordKind::change, journal::ChangeRecord{entry.stream, entry.sequence, entry.point, entry.backfill || behind_, entry.status, entry.source_time, std::move(entry.value)});
  ++sent_;
}

void LaneSender::put_gap(Bytes& out, FeedGap& gap) {
  if (!tell_stream(out, gap.stream) || gap.sequence <= streams_[gap.stream].held) return;
  put(out, RecordKind::gap, journal::GapRecord{gap.stream, gap.sequence, std::move(gap.gap), {}});
  ++sent_;
}

bool LaneSender::refill() {
  if (next_entry_ < batch_.entries.size() || next_gap_ < batch_.gaps.size()) return true;
  if (unacknowledged() >= kMaxUnacknowledged) return false;
  next_entry_ = next_gap_ = 0;
  if (auto ok = reader_->read(batch_, kPull); !ok) {
    log::error("journal: cannot be read for a link", log::field("peer", peer_), log::field("reason", ok.error().message));
    batch_.clear();
    return false;
  }
  if (!batch_.more && batch_.entries.empty()) behind_ = false;
  return !batch_.entries.empty() || !batch_.gaps.empty();
}

bool LaneSender::fill(Bytes& out, std::size_t room) {
  const std::size_t start = out.size();
  const std::uint64_t before = sent_;
  JournalPosition position = 0;
  while (refill()) {
    FrameWriter frame(out, FrameType::journal);
    while (out.size() - start < room && (next_entry_ < batch_.entries.size() || next_gap_ < batch_.gaps.size())) {
      const bool gap = next_gap_ < batch_.gaps.size() &&
                       (next_entry_ >= batch_.entries.size() || batch_.gaps[next_gap_].position < batch_.entries[next_entry_].position);
      position = gap ? batch_.gaps[next_gap_].position : batch_.entries[next_entry_].position;
      if (gap) put_gap(out, batch_.gaps[next_gap_++]);
      else put_entry(out, batch_.entries[next_entry_++]);
    }
    if (next_entry_ == batch_.entries.size() && next_gap_ == batch_.gaps.size()) position = batch_.position;
    break;
  }
  if (out.size() == start + kFrameHeader) out.resize(start);   // all of it is held there
  if (position == 0) return false;
  if (sent_ == before && marks_.empty()) reader_->acknowledge(position);
  else marks_.push_back({sent_, position});
  return true;
}

Result<void> LaneSender::on_ack(std::uint64_t records) {
  if (records > sent_ || records < acknowledged_) return fail(ErrorCode::malformed, "acknowledges journal records that were never sent");
  acknowledged_ = records;
  JournalPosition position = 0;
  while (!marks_.empty() && marks_.front().records <= records) {
    position = marks_.front().position;
    marks_.pop_front();
  }
  if (position > 0) reader_->acknowledge(position);
  return {};
}

// --- Receiving -------------------------------------------------------------------------------------------------------------

LaneReceiver::LaneReceiver(journal::Journal& journal, std::string node, std::function<bool(std::string_view)> allowed, std::uint32_t max_points, Waker waker)
    : journal_(journal), node_(std::move(node)), allowed_(std::move(allowed)), max_points_(max_points), waker_(journal.on_durable(std::move(waker))) {}

LaneReceiver::~LaneReceiver() { journal_.remove_waker(waker_); }

Result<void> LaneReceiver::on_records(std::span<const std::byte> body) {
  const auto bad = [](std::string_view what) { return fail(ErrorCode::malformed, "journal frame: " + std::string(what)); };
  ByteReader in(body);
  JournalPosition position = 0;
  const auto append = [&] {
    if (!changes_.empty()) position = journal_.append_foreign(changes_);
    changes_.clear();
  };
  changes_.clear();
  while (in.ok() && in.remaining() > 0) {
    const auto kind = in.number<std::uint8_t>();
    const std::uint64_t size = in.varint();
    if (!in.ok() || size > in.remaining()) return bad("cut short");
    auto record = journal::decode(kind, in.bytes(static_cast<std::size_t>(size)));
    if (!record) return bad(record.error().message);
    if (auto* stream = std::get_if<journal::StreamRecord>(&*record)) {
      if (stream->id >= kMaxStreams) return fail(ErrorCode::limit, "too many streams");
      if (stream->id >= streams_.size()) streams_.resize(stream->id + std::size_t{1});
      streams_[stream->id] = {journal_.intern_stream(stream->name, stream->epoch), stream->name == node_};
    } else if (auto* point = std::get_if<journal::PointRecord>(&*record)) {
      if (point->id >= 4 * std::size_t{max_points_}) return fail(ErrorCode::limit, "too many points in the journal of the peer");
      if (point->stream >= streams_.size() || streams_[point->stream].id == UINT32_MAX) return bad("a point of an unknown stream");
      if (point->id >= points_.size()) points_.resize(point->id + std::size_t{1});
      const bool allowed = allowed_(point->path);
      points_[point->id] = {allowed ? journal_.intern_point(streams_[point->stream].id, point->path, point->meta) : 0, allowed};
    } else if (auto* change = std::get_if<journal::ChangeRecord>(&*record)) {
      if (change->stream >= streams_.size() || streams_[change->stream].id == UINT32_MAX || change->point >= points_.size() ||
          (points_[change->point].allowed && points_[change->point].id == UINT32_MAX)) {
        return bad("a change of what was not told");
      }
      ++received_;
      if (streams_[change->stream].ours) continue;
      if (!points_[change->point].allowed) {
        ++refused_;
        continue;
      }
      change->stream = streams_[change->stream].id;
      change->point = points_[change->point].id;
      changes_.push_back(std::move(*change));
    } else if (auto* gap = std::get_if<journal::GapRecord>(&*record)) {
      if (gap->stream >= streams_.size() || streams_[gap->stream].id == UINT32_MAX || gap->sequence == 0) return bad("a gap of an unknown stream");
      ++received_;
      if (streams_[gap->stream].ours) continue;
      append();   // in order
      position = journal_.append_gap(std::move(gap->gap), streams_[gap->stream].id, gap->sequence);
    }
  }
  if (!in.done()) return bad("cut short");
  append();
  if (position == 0) position = marks_.empty() ? 0 : marks_.back().position;
  marks_.push_back({received_, position});
  return {};
}

bool LaneReceiver::take_ack(std::uint64_t& records) {
  if (marks_.empty()) return false;
  const JournalPosition durable = journal_.durable();
  bool news = false;
  while (!marks_.empty() && marks_.front().position <= durable) {
    news = news || marks_.front().records > acknowledged_;
    acknowledged_ = marks_.front().records;
    marks_.pop_front();
  }
  records = acknowledged_;
  return news;
}

}  // namespace sallyport::link
