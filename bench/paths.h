// The steps that every change goes through, each alone: what the micro-benchmarks time and the instruction guard
// counts. A path is made once; round() does kBatch of its items.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "journal/segment.h"
#include "link/change_codec.h"
#include "link/session.h"
#include "namespace/point_json.h"
#include "table_fixture.h"

namespace sallyport::bench {

// A batch of doubles from a source's buffer into the table, nobody reading.
class Apply {
 public:
  explicit Apply(std::size_t points) : table_(points) {}
  void round() { table_.publish(); }

 private:
  Table table_;
};

// A consumer reads a batch that was applied before.
class Pull {
 public:
  explicit Pull(std::size_t points)
      : table_(points), subscription_(table_.ns(), {.patterns = Patterns::everything(), .paths = false}, {}) {
    round();
  }
  void prepare() { table_.publish(); }
  void round() {
    do {
      batch_.clear();
      subscription_.pull(batch_, 2 * kBatch);
    } while (batch_.more || !batch_.updates.empty());
  }

 private:
  Table table_;
  Subscription subscription_;
  Batch batch_;
};

// Two nodes and a link between them, without a wire: read from the one's table, encode, decode, apply to the other's.
class Hop {
 public:
  explicit Hop(std::size_t points);
  void prepare() { sender_.publish(); }
  void round();
  std::uint64_t arrived() const { return receiver_.counters().changes; }

 private:
  void carry(link::Session& from, link::Session& to);

  ManualClock clock_;
  Table sender_;
  Namespace mirror_{clock_};
  link::Receiver receiver_, nothing_;
  std::unique_ptr<link::Session> from_, to_;
  Bytes wire_;
};

// Changes as a frame. `step` is the distance from one point to the next: 1 costs no byte for the id, more one or three.
class Encode {
 public:
  explicit Encode(std::size_t step);
  void round() {
    out_.clear();
    link::ChangeEncoder encoder(out_);
    for (std::size_t i = 0; i < slots_.size(); ++i) encoder.add(static_cast<PointId>(i * step_), slots_[i], false);
    encoder.finish();
  }
  const Bytes& frame() const { return out_; }

 private:
  std::size_t step_;
  std::vector<Slot> slots_;
  Bytes out_;
};

class Decode {
 public:
  explicit Decode(std::size_t step);
  bool round() {
    changes_.clear();
    return link::decode_changes(std::span(frame_).subspan(kHeader), changes_) && changes_.size() == kBatch;
  }

 private:
  static constexpr std::size_t kHeader = 5;
  Bytes frame_;
  std::vector<Change> changes_;
};

class Digest {
 public:
  Digest();
  std::uint64_t round() const {
    std::uint64_t sum = 0;
    for (const Slot& slot : slots_) sum += digest_of(slot);
    return sum;
  }

 private:
  std::vector<Slot> slots_;
};

// Changes of `every` points as a block of the journal, checksums included.
class JournalWrite {
 public:
  JournalWrite();
  const Bytes& round() {
    builder_.begin(1, std::move(block_));
    for (const auto& change : changes_) builder_.add(journal::RecordKind::change, change);
    block_ = builder_.finish(0);
    return block_;
  }

 private:
  std::vector<journal::ChangeRecord> changes_;
  journal::BlockBuilder builder_;
  Bytes block_;
};

// And back; what is read from a file, its block's checksum and the page cache are in `sallyport bench journal`.
class JournalRead {
 public:
  JournalRead();
  bool round() {
    journal::ChangeRecord change;
    std::size_t read = 0;
    for (const Bytes& body : bodies_) read += journal::decode(body, change);
    return read == kBatch;
  }

 private:
  std::vector<Bytes> bodies_;
};

// Points as JSON, as HTTP, MQTT and files show them.
class Json {
 public:
  Json();
  const std::string& round() {
    out_.clear();
    for (const PointView& point : points_) append_point_json(out_, point);
    return out_;
  }

 private:
  Table table_{kBatch};
  std::vector<PointView> points_;
  std::string out_;
};

// Paths against three patterns: when points are defined, for each view.
class Match {
 public:
  Match();
  std::size_t round() const {
    std::size_t matched = 0;
    for (std::size_t i = 0; i < kBatch; ++i) matched += patterns_.matches(paths_[i % paths_.size()]);
    return matched;
  }

 private:
  Patterns patterns_;
  std::array<std::string, 4> paths_{"acme/berlin/line1/pump-0042/p000411", "acme/berlin/line2/tank-7/temperature",
                                    "acme/berlin/line3/area-9/pump-0001/speed", "acme/munich/line1/pump-0042/p000411"};
};

}  // namespace sallyport::bench
