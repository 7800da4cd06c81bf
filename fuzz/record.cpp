// Writes seeds for the fuzz targets: what two nodes say to each other in the situations of the session's tests, frame by
// frame for the decoders and as a stream for the session, and the test vectors.
//   fuzz_record REPOSITORY FOLDER
#include <unistd.h>

#include <boost/json.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/log.h"
#include "link/change_codec.h"
#include "journal/segment.h"
#include "link/lane.h"
#include "link/test_pair.h"
#include "record_diode.h"
#include "record_seal.h"

namespace sallyport::link {
namespace {

namespace fs = std::filesystem;

// The order of the decoders in codec_fuzz.cpp.
int decoder_of(FrameType type) {
  switch (type) {
    case FrameType::hello: return 0;
    case FrameType::route: return 1;
    case FrameType::define: return 2;
    case FrameType::remove: return 3;
    case FrameType::changes:
    case FrameType::stale_changes: return 4;
    case FrameType::position: return 5;
    case FrameType::heartbeat: return 6;
    case FrameType::hops: return 7;
    case FrameType::close: return 8;
    case FrameType::begin: return 9;
    case FrameType::route_digests: return 10;
    case FrameType::bucket_digests: return 11;
    case FrameType::ask_repair:
    case FrameType::repaired: return 12;
    default: return 13;
  }
}

class Seeds {
 public:
  explicit Seeds(fs::path folder) : folder_(std::move(folder)) {}
  void write(const std::string& target, unsigned first, std::span<const std::byte> bytes) {
    std::string text(1, static_cast<char>(first));
    text += as_text(bytes);
    if (text.size() > 16'000 || !known_.insert(target + text).second) return;
    fs::create_directories(folder_ / target);
    std::ofstream(folder_ / target / (name_ + "-" + std::to_string(known_.size())), std::ios::binary) << text;
  }
  void frames(std::span<const std::byte> stream) {
    while (true) {
      const auto frame = next_frame(stream, kMaxFrame);
      if (!frame || !*frame) return;
      write("codec", static_cast<unsigned>(decoder_of((*frame)->type)), (*frame)->body);
      values(**frame);
      stream = stream.subspan((*frame)->size);
    }
  }
  // As value_fuzz.cpp takes them: type, whether array, contents.
  void values(const Frame& frame) {
    std::vector<Change> changes;
    DefineFrame define;
    if (frame.type == FrameType::changes) static_cast<void>(decode_changes(frame.body, changes));
    if (frame.type == FrameType::define) static_cast<void>(decode_define(frame.body, define));
    for (const DefineRecord& record : define.records) changes.push_back({record.id, record.status, record.source_time, record.value});
    for (const Change& change : changes) {
      if (!change.value.is_blob()) continue;
      Bytes bytes(1, std::byte{change.value.is_array()});
      bytes.insert(bytes.end(), change.value.contents().begin(), change.value.contents().end());
      write("value", static_cast<unsigned>(change.value.type()), bytes);
    }
  }
  void name(std::string text) { name_ = std::move(text); }

 private:
  fs::path folder_;
  std::string name_;
  std::set<std::string> known_;
};

// A plant and a DMZ whose words are kept.
struct Recorded {
  explicit Recorded(Seeds& s) : seeds(s) {}
  ~Recorded() {
    seeds.frames(from_plant);
    seeds.frames(from_dmz);
    // As if they came after the fuzz target's own hello and begin: without the frames that begin a session.
    for (const unsigned role : {0u, 2u}) seeds.write("session", role, without_greeting(from_plant));
    for (const unsigned role : {0u, 1u}) seeds.write("session", role, without_greeting(from_dmz));
    seeds.write("session", 3, from_plant);
  }
  static Bytes without_greeting(std::span<const std::byte> stream) {
    Bytes out;
    for (auto frame = next_frame(stream, kMaxFrame); frame && *frame; frame = next_frame(stream, kMaxFrame)) {
      const auto whole = stream.first((*frame)->size);
      if ((*frame)->type != FrameType::hello && (*frame)->type != FrameType::begin) out.insert(out.end(), whole.begin(), whole.end());
      stream = stream.subspan((*frame)->size);
    }
    return out;
  }
  std::size_t carry(TestEnd& from, TestEnd& to, Bytes& kept) {
    Bytes bytes;
    from.session->fill(bytes, clock.monotonic());
    kept.insert(kept.end(), bytes.begin(), bytes.end());
    for (std::span<const std::byte> rest(bytes); !rest.empty() && to.session->state() != Session::State::closed;) {
      const auto space = to.session->input_space();
      const std::size_t n = std::min(space.size(), rest.size());
      std::copy_n(rest.begin(), n, space.begin());
      to.session->received(n, clock.monotonic());
      rest = rest.subspan(n);
    }
    return bytes.size();
  }
  void run(Duration time) {
    for (Duration t{0}; t < time; t += 50ms) {
      clock.advance(50ms);
      for (TestEnd* end : {&link.a, &link.b}) end->session->tick(clock.monotonic());
      while (carry(link.a, link.b, from_plant) + carry(link.b, link.a, from_dmz) > 0) {}
    }
  }
  void connect() {
    link.connect();
    run(100ms);
  }
  Seeds& seeds;
  ManualClock clock;
  TestNode plant{"plant-1", clock, 11}, dmz{"dmz-1", clock, 22};
  TestLink link{clock, plant, dmz, {"acme/**"}, {"back/**"}};
  RouteId line = plant.source("line1");
  RouteId back = dmz.source("back");
  Bytes from_plant, from_dmz;
};

// A small segment, and each kind of record.
void journal_records(Seeds& seeds) {
  using namespace sallyport::journal;
  seeds.name("journal");
  const StreamRecord stream{0, "plant-1", 7, 41};
  const PointRecord point{3, 0, "acme/a", {}};
  const ChangeRecord change{0, 42, 3, true, 0x80050000, 1'700'000'000'000'000'000, Value::from(1.5)};
  const ChangeRecord text{.stream = 0, .sequence = 43, .point = 3, .value = Value::text("on")};
  const GapRecord gap{0, 44, {"plant-1", "line1", GapCause::source_down, 1, 2, 3, {"acme/**"}, "gone"}, {"sink/a"}};
  BlockBuilder builder;
  builder.begin(1);
  const auto one = [&](RecordKind kind, const auto& record) {
    Bytes body;
    encode(body, record);
    seeds.write("journal", static_cast<unsigned>(kind), body);
    builder.add(kind, record);
  };
  one(RecordKind::stream, stream);
  one(RecordKind::point, point);
  one(RecordKind::change, change);
  one(RecordKind::change, text);
  one(RecordKind::gap, gap);
  const Bytes block = builder.finish(5);
  const fs::path folder = fs::temp_directory_path() / ("fuzz-record-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  {
    auto writer = SegmentWriter::create(folder.string(), {{1, 2}, 1, 5, 0});
    if (writer && writer->append(block) && writer->append(block)) {
      std::ifstream in(writer->path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      seeds.write("journal", 0, as_bytes(bytes));
    }
  }
  fs::remove_all(folder);
  Bytes held;
  encode_journal_held(held, {{"plant-1", 7, 44}});
  seeds.write("journal", 5, std::span(held).subspan(kFrameHeader));
}

void mirror(Seeds& seeds) {
  seeds.name("mirror");
  Recorded r(seeds);
  const PointId a = r.plant.define(r.line, "acme/a", 1);
  r.plant.define(r.line, "acme/b", 2);
  r.dmz.define(r.back, "back/c", 3);
  r.connect();
  r.plant.change(r.line, a, 5, 2000);
  r.run(2s);
  r.plant.ns.remove(r.line, std::span(&a, 1));
  r.run(100ms);
}

void cover(Seeds& seeds) {
  seeds.name("cover");
  Recorded r(seeds);
  const PointId a = r.plant.define(r.line, "acme/a", 1);
  r.connect();
  r.plant.ns.cover(r.line, status::kBadNoCommunication, {"plant-1", "line1", 5, "connection refused"});
  r.run(100ms);
  r.plant.change(r.line, a, 2, 2000);
  r.run(100ms);
  r.plant.ns.uncover(r.line);
  r.plant.ns.remove_route(r.line);
  r.run(100ms);
  r.link.a.session->close(CloseCode::normal, "shutting down");
  r.run(50ms);
}

void resume(Seeds& seeds) {
  seeds.name("resume");
  Recorded r(seeds);
  std::vector<PointId> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(r.plant.define(r.line, "acme/p" + std::to_string(i), i));
  r.connect();
  r.link.a.session->lost("cut");
  r.link.b.session->lost("cut");
  r.plant.change(r.line, ids[7], 77, 5000);
  r.connect();
}

// What the DMZ holds is damaged behind the link's back: digests differ, are compared, and mended.
void repair(Seeds& seeds) {
  seeds.name("repair");
  Recorded r(seeds);
  for (int i = 0; i < 8; ++i) r.plant.define(r.line, "acme/p" + std::to_string(i), i);
  r.connect();
  std::vector<PointView> points;
  r.dmz.ns.list(Patterns::everything(), 0, 100, points);
  for (std::size_t i = 0; i < 2 && i < points.size(); ++i) {
    Change change{points[i].id, status::kGood, 9000, Value::from(-1.0)};
    r.dmz.ns.apply(r.dmz.ns.read(points[i].path)->route, std::span(&change, 1));
  }
  r.run(5s);
}

void vectors(Seeds& seeds, const std::string& repository) {
  std::ostringstream text;
  text << std::ifstream(repository + "/tests/protocol/vectors.json").rdbuf();
  const auto all = boost::json::parse(text.str());
  for (const char* kind : {"messages", "refused", "versions"}) {
    seeds.name(kind);
    for (const auto& vector : all.at(kind).as_array()) {
      Bytes bytes;
      const std::string hex(vector.at("frame").as_string());
      for (std::size_t i = 0; i + 1 < hex.size(); i += 3) bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
      seeds.frames(bytes);
      const bool greets = bytes.size() > 4 && bytes[4] == std::byte{1};
      seeds.write("session", greets ? 3 : 0, bytes);
    }
  }
}

}  // namespace
}  // namespace sallyport::link

int main(int count, char** arguments) {
  using namespace sallyport;
  if (count != 3) {
    std::fputs("usage: fuzz_record REPOSITORY FOLDER\n", stderr);
    return 2;
  }
  log::set_level(log::Level::error);
  link::Seeds seeds(arguments[2]);
  for (auto* scene : {link::journal_records, link::mirror, link::cover, link::resume, link::repair}) scene(seeds);
  link::vectors(seeds, arguments[1]);
  seeds.name("diode");
  link::diode_seeds([&](unsigned first, std::span<const std::byte> bytes) { seeds.write("diode", first, bytes); });
  link::one_way_seeds([&](unsigned first, std::span<const std::byte> bytes) { seeds.write("one_way", first, bytes); });
  seeds.name("seal");
  seal::seal_seeds([&](unsigned first, std::span<const std::byte> bytes) { seeds.write("seal", first, bytes); });
  return 0;
}
