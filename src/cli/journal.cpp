// sallyport journal inspect|verify|export: looks into the files themselves, whether their node runs or not, and changes nothing.
#include <dirent.h>

#include <algorithm>
#include <map>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "journal/journal.h"
#include "namespace/point_json.h"
#include "node/config.h"

namespace sallyport::cli {
namespace {

using journal::RecordKind;
using journal::SegmentReader;

struct Arguments {
  std::string config;
  std::vector<std::string> patterns;
  bool json = false;
};

struct Segments {
  std::string folder;
  std::vector<Position> firsts;
};

Result<Segments> find_segments(const std::string& config) {
  const auto place = node::read_node_place(config);
  if (!place) return std::unexpected(place.error());
  Segments found{place->data_dir + "/journal", {}};
  DIR* dir = ::opendir(found.folder.c_str());
  if (dir == nullptr) return fail(ErrorCode::not_found, found.folder + " cannot be opened; has this node had a journal, and may you read it?");
  while (const dirent* entry = ::readdir(dir)) {
    if (const auto first = journal::parse_segment_name(entry->d_name)) found.firsts.push_back(*first);
  }
  ::closedir(dir);
  std::ranges::sort(found.firsts);
  return found;
}

// Calls visit(reader, record position, decoded record) for all; whatever cannot be read is counted.
struct Walk {
  std::uint64_t records = 0, changes = 0, gaps = 0, damaged = 0, bytes = 0;
  Position first = 0, last = 0;
  UtcNanoseconds from = 0, to = 0;
};

template <typename Visit>
Result<Walk> walk(const std::string& path, Visit visit) {
  auto reader = SegmentReader::open(path, true);
  if (!reader) return std::unexpected(reader.error());
  Walk walked;
  walked.first = reader->header().first;
  walked.last = walked.first - 1;
  SegmentReader::Raw raw;
  for (;;) {
    const auto next = reader->next_block();
    if (!next) return std::unexpected(next.error());
    if (!*next) break;
    if (walked.from == 0) walked.from = reader->block_written();
    walked.to = reader->block_written();
    while (reader->next_record(raw)) {
      ++walked.records;
      walked.last = raw.position;
      auto record = journal::decode(raw.kind, raw.body);
      if (!record) {
        ++walked.damaged;
        continue;
      }
      if (std::holds_alternative<journal::ChangeRecord>(*record)) ++walked.changes;
      if (std::holds_alternative<journal::GapRecord>(*record)) ++walked.gaps;
      visit(raw.position, *record);
    }
  }
  walked.bytes = reader->offset();
  for (const auto& damage : reader->take_damage()) walked.damaged += damage.records;
  return walked;
}

int inspect(const Arguments& arguments, bool verify) {
  const auto segments = find_segments(arguments.config);
  if (!segments) return failed(segments.error());
  Table table({"SEGMENT", "POSITIONS", "CHANGES", "GAPS", "DAMAGED", "BYTES", "FROM", "TO"});
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.key("segments");
  json.begin_array();
  std::uint64_t damaged = 0, unreadable = 0;
  const auto now = SystemClock().utc();
  for (const Position first : segments->firsts) {
    const std::string name = journal::segment_name(first);
    const auto walked = walk(segments->folder + "/" + name, [](Position, const journal::Record&) {});
    if (!walked) {
      ++unreadable;
      print_error(walked.error().message);
      continue;
    }
    damaged += walked->damaged;
    table.row({name, std::to_string(walked->first) + " to " + std::to_string(walked->last), friendly_count(walked->changes), friendly_count(walked->gaps),
               friendly_count(walked->damaged), friendly_bytes(walked->bytes), friendly_time(walked->from, now), friendly_time(walked->to, now)});
    json.begin_object();
    json.field("segment", name);
    json.field("first", walked->first);
    json.field("last", walked->last);
    json.field("changes", walked->changes);
    json.field("gaps", walked->gaps);
    json.field("damaged", walked->damaged);
    json.field("bytes", walked->bytes);
    json.end_object();
  }
  json.end_array();
  json.field("damaged", damaged);
  json.end_object();
  if (arguments.json) print(out + "\n");
  else if (segments->firsts.empty()) print("no segments in " + segments->folder + ": nothing is kept for anyone\n");
  else table.print();
  if (!verify) return kSuccess;
  if (damaged == 0 && unreadable == 0) {
    if (!arguments.json) print("every record is as it was written\n");
    return kSuccess;
  }
  return failed({ErrorCode::malformed, std::to_string(damaged) + " records are damaged, " + std::to_string(unreadable) +
                                           " segments cannot be read; the rest is sound. Readers are told of the gap; check the disk"});
}

// One line of NDJSON per change, as everywhere (docs/json.md), with where it stands in its stream.
int export_changes(const Arguments& arguments) {
  const auto segments = find_segments(arguments.config);
  if (!segments) return failed(segments.error());
  const auto patterns = Patterns::parse(arguments.patterns.empty() ? std::vector<std::string>{"**"} : arguments.patterns);
  if (!patterns) return failed(patterns.error());
  for (const Position first : segments->firsts) {
    std::map<std::uint32_t, journal::StreamRecord> streams;
    std::map<std::uint32_t, journal::PointRecord> points;
    const auto walked = walk(segments->folder + "/" + journal::segment_name(first), [&](Position position, journal::Record& record) {
      if (auto* stream = std::get_if<journal::StreamRecord>(&record)) streams[stream->id] = std::move(*stream);
      if (auto* point = std::get_if<journal::PointRecord>(&record)) points[point->id] = std::move(*point);
      const auto* change = std::get_if<journal::ChangeRecord>(&record);
      if (change == nullptr || !points.contains(change->point) || !streams.contains(change->stream)) return;
      const auto& path = points[change->point].path;
      if (!patterns->matches(path)) return;
      const auto& stream = streams[change->stream];
      std::string line;
      append_point_json(line, path, change->value, change->status, change->source_time, stream.name, nullptr);
      line.pop_back();   // the closing brace
      line += ",\"stream\":\"" + journal::stream_label(stream.name, stream.epoch) + "\",\"sequence\":" + std::to_string(change->sequence) +
              ",\"position\":" + std::to_string(position) + (change->backfill ? ",\"backfill\":true}\n" : "}\n");
      print(line);
    });
    if (!walked) print_error(walked.error().message);
  }
  return kSuccess;
}

}  // namespace

Command journal_command() {
  return {"journal", "Looks into the journal's files: what is kept, whether it is sound, what it says", [](Options& options) -> Action {
            options.command("inspect", "The segments that are kept", [](Options& below) -> Action {
              const auto arguments = std::make_shared<Arguments>();
              below.config(arguments->config);
              below.json(arguments->json);
              return [arguments] { return inspect(*arguments, false); };
            });
            options.command("verify", "Reads every record; fails when one is damaged", [](Options& below) -> Action {
              const auto arguments = std::make_shared<Arguments>();
              below.config(arguments->config);
              below.json(arguments->json);
              return [arguments] { return inspect(*arguments, true); };
            });
            options.command("export", "The changes that are kept, as NDJSON", [](Options& below) -> Action {
              const auto arguments = std::make_shared<Arguments>();
              below.config(arguments->config);
              below.texts("pattern", arguments->patterns, "only points that match");
              return [arguments] { return export_changes(*arguments); };
            });
            return {};
          }};
}

}  // namespace sallyport::cli
