#include "link/diode/one_way_lane.h"

#include <algorithm>

#include "base/log.h"

namespace sallyport::link::diode {
namespace {

using journal::RecordKind;

constexpr std::size_t kPull = 1024;
constexpr std::size_t kMaxFlying = 16u << 20;     // bytes between the first and the last time they are said
constexpr std::size_t kMaxWaiting = 64u << 20;    // bytes held back for a frame before them
constexpr std::size_t kMaxMarks = 65'536;
constexpr std::size_t kMaxLabel = journal::kMaxName + 17;
constexpr Duration kGather = std::chrono::milliseconds(20);   // so that a trickle makes no frame for each record

template <typename R>
void put_record(Bytes& out, RecordKind kind, const R& record) {
  Bytes body;
  journal::encode(body, record);
  ByteWriter w(out);
  w.number<std::uint8_t>(static_cast<std::uint8_t>(kind));
  w.varint(body.size());
  w.bytes(body);
}

std::unexpected<Error> bad(std::string_view what) { return fail(ErrorCode::malformed, "records: " + std::string(what)); }

}  // namespace

void encode(Bytes& out, const StreamMarks& marks) {
  ByteWriter w(out);
  w.varint(marks.size());
  for (const auto& [label, mark] : marks) {
    w.text(label);
    w.varint(mark.sequence);
    w.varint(mark.count);
  }
}

Result<StreamMarks> decode_marks(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  StreamMarks marks;
  const std::uint64_t count = in.varint();
  if (count > kMaxMarks) return bad("too many streams in what was kept");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const std::string label(in.text(kMaxLabel));
    marks[label].sequence = in.varint();
    marks[label].count = in.varint();
  }
  if (!in.done()) return bad("what was kept is damaged");
  return marks;
}

// --- Sending ---------------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<OneWayLaneSender>> OneWayLaneSender::open(journal::Journal& journal, OneWayLaneOptions options,
                                                                 std::function<bool(std::string_view)> allowed, Waker waker) {
  auto opened = journal.open_reader(options.reader, std::move(allowed), std::move(waker));
  if (!opened) return std::unexpected(opened.error());
  std::unique_ptr<OneWayLaneSender> lane(new OneWayLaneSender(std::move(options)));
  lane->options_.repeat = std::clamp(lane->options_.repeat, 1u, kMaxRepeat);
  lane->told_ = lane->done_ = lane->options_.marks;
  lane->reader_ = std::move(*opened);
  return lane;
}

bool OneWayLaneSender::refill() {
  if (next_entry_ < batch_.entries.size() || next_gap_ < batch_.gaps.size()) return true;
  if (flying_bytes_ >= kMaxFlying) return false;
  next_entry_ = next_gap_ = 0;
  if (auto ok = reader_->read(batch_, kPull); !ok) {
    log::error("journal: cannot be read for a one-way link", log::field("reader", options_.reader), log::field("reason", ok.error().message));
    batch_.clear();
    return false;
  }
  if (!batch_.more && batch_.entries.empty()) behind_ = false;
  if (!batch_.entries.empty() || !batch_.gaps.empty()) return true;
  idle_ = !batch_.more;
  return false;
}

namespace {

// One frame under construction: its streams, its points, its records.
struct FrameBuilder {
  explicit FrameBuilder(StreamMarks& told_marks) : told(told_marks) {}

  std::uint32_t stream(const std::string& label) {
    const auto [at, fresh] = stream_ids.try_emplace(label, static_cast<std::uint32_t>(stream_ids.size()));
    if (fresh) {
      const auto [name, epoch] = journal::parse_stream_label(label);
      const StreamMark& before = told[label];
      ByteWriter w(streams);
      w.text(name);
      w.number<std::uint64_t>(epoch);
      w.varint(before.sequence);
      w.varint(before.count);
    }
    return at->second;
  }
  void said(const std::string& label, std::uint64_t sequence) {
    StreamMark& mark = told[label];
    mark = {sequence, mark.count + 1};
  }

  StreamMarks& told;
  std::map<std::string, std::uint32_t> stream_ids;
  std::map<std::uint32_t, std::uint32_t> point_ids;
  Bytes streams, records;
};

}  // namespace

bool OneWayLaneSender::make_frame(std::size_t room, Flying& frame) {
  FrameBuilder builder(told_);
  while (builder.records.size() + builder.streams.size() < room && builder.stream_ids.size() < kMaxRecordStreams && refill()) {
    const bool gap = next_gap_ < batch_.gaps.size() && (next_entry_ >= batch_.entries.size() || batch_.gaps[next_gap_].position < batch_.entries[next_entry_].position);
    const std::uint32_t stream_id = gap ? batch_.gaps[next_gap_].stream : batch_.entries[next_entry_].stream;
    const std::uint64_t sequence = gap ? batch_.gaps[next_gap_].sequence : batch_.entries[next_entry_].sequence;
    const JournalPosition position = gap ? batch_.gaps[next_gap_].position : batch_.entries[next_entry_].position;
    const std::string& label = reader_->stream(stream_id);
    const bool known = sequence <= told_[label].sequence || journal::parse_stream_label(label).first == options_.peer;
    const bool too_large = !gap && batch_.entries[next_entry_].value.contents().size() > kLargestValue;
    if (!known && too_large) {
      if (!builder.records.empty()) break;   // between two frames its absence is seen
      builder.said(label, sequence);
      ++too_large_;
    } else if (!known && gap) {
      put_record(builder.records, RecordKind::gap, journal::GapRecord{builder.stream(label), sequence, std::move(batch_.gaps[next_gap_].gap), {}});
    } else if (!known) {
      FeedEntry& entry = batch_.entries[next_entry_];
      const std::uint32_t stream = builder.stream(label);
      const auto [point, fresh] = builder.point_ids.try_emplace(entry.point, static_cast<std::uint32_t>(builder.point_ids.size()));
      if (fresh) {
        const FeedPoint& of = reader_->point(entry.point);
        put_record(builder.records, RecordKind::point, journal::PointRecord{point->second, stream, of.path, of.meta});
      }
      put_record(builder.records, RecordKind::change,
                 journal::ChangeRecord{stream, sequence, point->second, entry.backfill || behind_, entry.status, entry.source_time, std::move(entry.value)});
    }
    if (!known && !too_large) {
      builder.said(label, sequence);
      ++sent_;
    }
    gap ? ++next_gap_ : ++next_entry_;
    frame.position = position;
  }
  if (next_entry_ == batch_.entries.size() && next_gap_ == batch_.gaps.size()) frame.position = std::max(frame.position, batch_.position);
  if (builder.records.empty()) return false;
  for (const auto& [label, id] : builder.stream_ids) frame.marks.emplace_back(label, told_[label]);
  ByteWriter w(frame.records);
  w.varint(builder.stream_ids.size());
  w.bytes(builder.streams);
  w.bytes(builder.records);
  return true;
}

void OneWayLaneSender::put(Bytes& out, const Flying& frame, unsigned repeat) {
  FrameWriter w(out, frame_type(Kind::records));
  w.varint(frame.number);
  w.number<std::uint8_t>(static_cast<std::uint8_t>(repeat));
  w.varint(over_);
  w.bytes(frame.records);
}

void OneWayLaneSender::sent_often_enough(Flying frame) {
  for (const auto& [label, mark] : frame.marks) done_[label] = mark;
  done_position_ = std::max(done_position_, frame.position);
  over_ = frame.number + 1;
}

MonotonicTime OneWayLaneSender::next_tick() const {
  MonotonicTime next = idle_ || flying_bytes_ >= kMaxFlying ? MonotonicTime::max() : next_new_;
  for (const auto& queue : waiting_) {
    if (!queue.empty()) next = std::min(next, queue.front().due);
  }
  return next;
}

bool OneWayLaneSender::fill(Bytes& out, std::size_t room, MonotonicTime now) {
  // The oldest first: what is said for the last time may then be forgotten.
  for (unsigned repeat = options_.repeat - 1; repeat >= 1; --repeat) {
    auto& queue = waiting_[repeat - 1];
    if (queue.empty() || queue.front().due > now) continue;
    Flying frame = std::move(queue.front());
    queue.pop_front();
    put(out, frame, repeat);
    if (repeat + 1 == options_.repeat) {
      flying_bytes_ -= frame.records.size();
      sent_often_enough(std::move(frame));
    } else {
      frame.due = now + options_.spacing;
      waiting_[repeat].push_back(std::move(frame));
    }
    return true;
  }
  if (idle_ || now < next_new_) return false;
  Flying frame;
  const std::size_t enough = room - room / 8;
  if (!make_frame(enough, frame)) {
    // Nothing of it is for this link.
    if (frame.position > 0 && flying_bytes_ == 0) done_position_ = std::max(done_position_, frame.position);
    if (!idle_) next_new_ = now + std::chrono::milliseconds(1);
    return false;
  }
  next_new_ = frame.records.size() >= enough ? now : now + kGather;
  frame.number = ++last_number_;
  put(out, frame, 0);
  if (options_.repeat == 1) {
    sent_often_enough(std::move(frame));
  } else {
    frame.due = now + options_.spacing;
    flying_bytes_ += frame.records.size();
    waiting_[0].push_back(std::move(frame));
  }
  return true;
}

std::optional<Bytes> OneWayLaneSender::take_state() {
  if (done_position_ <= state_position_) return std::nullopt;
  state_position_ = done_position_;
  Bytes state;
  encode(state, done_);
  return state;
}

void OneWayLaneSender::saved() { reader_->acknowledge(state_position_); }

// --- Receiving -------------------------------------------------------------------------------------------------------------

OneWayLaneReceiver::OneWayLaneReceiver(journal::Journal& journal, std::string node, std::string link, std::vector<std::string> patterns,
                                       std::function<bool(std::string_view)> allowed)
    : journal_(journal), node_(std::move(node)), link_(std::move(link)), patterns_(std::move(patterns)), allowed_(std::move(allowed)) {
  for (const journal::Held& held : journal.held()) held_[journal::stream_label(held.name, held.epoch)] = held.sequence;
}

void OneWayLaneReceiver::begin_life() {
  deliver_up_to(UINT64_MAX, last_time_);
  expected_ = 0;
}

void OneWayLaneReceiver::deliver_up_to(std::uint64_t number, UtcNanoseconds now) {
  while (!waiting_.empty() && waiting_.begin()->first < number) {
    const Bytes records = std::move(waiting_.begin()->second);
    expected_ = waiting_.begin()->first + 1;
    waiting_.erase(waiting_.begin());
    waiting_bytes_ -= records.size();
    if (auto ok = deliver(records, now); !ok) log::warn("records of a one-way link refused", log::field("link", link_), log::field("reason", ok.error().message));
  }
}

void OneWayLaneReceiver::on_over(std::uint64_t number, UtcNanoseconds now) {
  if (expected_ != 0) deliver_up_to(number, now);
  expected_ = std::max({expected_, number, std::uint64_t{1}});
  while (waiting_.contains(expected_)) deliver_up_to(expected_ + 1, now);
}

Result<void> OneWayLaneReceiver::on_records(std::span<const std::byte> body, UtcNanoseconds now) {
  ByteReader in(body);
  const std::uint64_t number = in.varint();
  const auto repeat = in.number<std::uint8_t>();
  const std::uint64_t over = in.varint();
  if (!in.ok() || repeat >= kMaxRepeat || number == 0 || over > number + 1 || number == UINT64_MAX) return bad("bad head");
  on_over(over, now);
  if (number < expected_ || waiting_.contains(number)) return {};
  const auto records = in.bytes(in.remaining());
  if (number == expected_) {
    ++expected_;
    auto ok = deliver(records, now);
    while (waiting_.contains(expected_)) deliver_up_to(expected_ + 1, now);
    return ok;
  }
  waiting_bytes_ += records.size();
  waiting_.emplace(number, Bytes(records.begin(), records.end()));
  while (waiting_bytes_ > kMaxWaiting) deliver_up_to(waiting_.begin()->first + 1, now);
  return {};
}

void OneWayLaneReceiver::mark_gap(const std::string& label, std::uint64_t held, const StreamMark& before, bool heard, UtcNanoseconds now) {
  std::uint64_t lost = 0;
  if (heard) lost = before.count - std::min(before.count, counts_[label]);
  else if (before.count == before.sequence) lost = before.sequence - held;
  else if (held == 0) lost = before.count;
  ++gaps_;
  lost_ += lost;
  const bool first = held == 0 && !heard;
  journal_.append_gap({.node = node_, .where = link_, .cause = GapCause::sequence, .start = last_time_ == 0 ? now : last_time_, .end = now, .lost = lost, .match = patterns_,
                       .detail = label + (first ? ": records from before this node listened" : ": records that came by none of their repeats")});
  log::error("records of a one-way link are lost, and marked as a gap; raise `repeat` or `redundancy` at the sender", log::field("link", link_),
             log::field("stream", label), log::field("lost", static_cast<std::int64_t>(lost)));
}

Result<void> OneWayLaneReceiver::deliver(std::span<const std::byte> records, UtcNanoseconds now) {
  struct Stream {
    std::string label;
    std::uint32_t id = 0;
    bool ours = false;
    StreamMark before;
    std::uint64_t last = 0;
  };
  struct Point {
    std::uint32_t id = 0;
    bool known = false, allowed = false;
  };
  ByteReader in(records);
  std::vector<Stream> streams;
  std::vector<Point> points;
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > kMaxRecordStreams) return bad("too many streams");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const std::string name(in.text(journal::kMaxName));
    const auto epoch = in.number<std::uint64_t>();
    Stream& stream = streams.emplace_back();
    stream.label = journal::stream_label(name, epoch);
    stream.before.sequence = in.varint();
    stream.before.count = in.varint();
    stream.ours = name == node_;
    if (in.ok() && !stream.ours) stream.id = journal_.intern_stream(name, epoch);
  }
  if (!in.ok()) return bad("cut short in the streams");
  for (const Stream& stream : streams) {
    const auto held = held_.find(stream.label);
    const std::uint64_t has = held == held_.end() ? 0 : held->second;
    if (!stream.ours && stream.before.sequence > has) mark_gap(stream.label, has, stream.before, counts_.contains(stream.label), now);
  }
  std::vector<journal::ChangeRecord> changes;
  const auto append = [&] {
    if (!changes.empty()) journal_.append_foreign(changes);
    changes.clear();
  };
  const auto heard = [&](Stream& stream, std::uint64_t sequence) {
    ++stream.before.count;
    stream.last = std::max(stream.last, sequence);
    ++received_;
  };
  Result<void> result;
  while (in.ok() && in.remaining() > 0) {
    const auto kind = in.number<std::uint8_t>();
    const std::uint64_t size = in.varint();
    if (!in.ok() || size > in.remaining()) {
      result = bad("cut short");
      break;
    }
    auto record = journal::decode(kind, in.bytes(static_cast<std::size_t>(size)));
    if (!record) {
      result = bad(record.error().message);
      break;
    }
    if (auto* point = std::get_if<journal::PointRecord>(&*record)) {
      if (point->stream >= streams.size() || point->id > points.size()) {
        result = bad("a point of an unknown stream");
        break;
      }
      if (point->id == points.size()) points.emplace_back();
      const bool wanted = !streams[point->stream].ours && allowed_(point->path);
      points[point->id] = {wanted ? journal_.intern_point(streams[point->stream].id, point->path, point->meta) : 0, true, wanted};
    } else if (auto* change = std::get_if<journal::ChangeRecord>(&*record)) {
      if (change->stream >= streams.size() || change->point >= points.size()) {
        result = bad("a change of what was not told");
        break;
      }
      Stream& stream = streams[change->stream];
      heard(stream, change->sequence);
      if (stream.ours) continue;
      if (!points[change->point].allowed) {
        ++refused_;
        continue;
      }
      change->stream = stream.id;
      change->point = points[change->point].id;
      changes.push_back(std::move(*change));
    } else if (auto* gap = std::get_if<journal::GapRecord>(&*record)) {
      if (gap->stream >= streams.size() || gap->sequence == 0) {
        result = bad("a gap of an unknown stream");
        break;
      }
      Stream& stream = streams[gap->stream];
      heard(stream, gap->sequence);
      if (stream.ours) continue;
      append();   // in order
      journal_.append_gap(std::move(gap->gap), stream.id, gap->sequence);
    } else {
      result = bad("a record of another kind");
      break;
    }
  }
  append();
  for (const Stream& stream : streams) {
    if (stream.ours) continue;
    std::uint64_t& held = held_[stream.label];
    held = std::max({held, stream.last, stream.before.sequence});
    counts_[stream.label] = std::max(counts_[stream.label], stream.before.count);
  }
  last_time_ = now;
  return result;
}

}  // namespace sallyport::link::diode
