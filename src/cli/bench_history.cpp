// sallyport bench history: how fast samples go into the history's database, how large it gets, and how long a window of
// one point takes to be read out of it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "cli/bench.h"
#include "cli/bench_report.h"
#include "cli/terminal.h"
#include "history/reader.h"
#include "history/store.h"

namespace sallyport::cli::bench {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr UtcNanoseconds kBegin = 1'767'225'600 * kSecond;  // 2026-01-01
constexpr int kQuestions = 20;                              // of each kind, each of another point

struct Arguments {
  std::int64_t points = 100, seconds = 86'400, commit = 60;
  std::string folder = ".";
  bool json = false;
};

struct Times {
  double warm_ms = 0, cold_ms = 0;  // medians; cold: the file was dropped from the page cache
};
struct Figures {
  std::uint64_t rows = 0, bytes = 0, wrong = 0;
  double rows_per_second = 0;
  Times average, page, day, as_of;
};

double ms_since(MonotonicTime begin) { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count(); }

std::string path_of(std::size_t point) { return "bench/line" + std::to_string(point % 10) + "/point" + std::to_string(point); }

// Every second one sample of each point, in the order of time, as a plant brings them.
Result<void> fill(history::Store& store, const Arguments& arguments, Figures& figures) {
  std::vector<FeedPoint> points;
  for (std::int64_t i = 0; i < arguments.points; ++i) {
    points.push_back({path_of(static_cast<std::size_t>(i)), {}, "bench"});
    points.back().meta.type = Type::float64;
  }
  const std::string stream = "bench/0000000000000001";
  const history::RowNames names{[&](std::uint32_t id) -> const FeedPoint& { return points[id]; },
                                [&](std::uint32_t) -> const std::string& { return stream; }};
  std::mt19937_64 random(1);
  history::StoreBatch batch;
  std::uint64_t sequence = 0;
  const MonotonicTime begin = std::chrono::steady_clock::now();
  for (std::int64_t second = 0; second < arguments.seconds;) {
    batch.clear();
    for (const std::int64_t until = std::min(second + arguments.commit, arguments.seconds); second < until; ++second) {
      for (std::uint32_t point = 0; point < points.size(); ++point) {
        const double value = static_cast<double>(random() % 100'000) / 1000;
        batch.rows.push_back({.point = point, .source_time = kBegin + second * kSecond, .every = true, .sequence = ++sequence, .value = Value::from(value)});
      }
    }
    batch.progress = {"bench", sequence, kBegin + second * kSecond};
    if (auto ok = store.write(batch, names); !ok) return ok;
    if (auto ok = store.checkpoint(); !ok) return ok;
  }
  figures.rows = sequence;
  figures.rows_per_second = static_cast<double>(sequence) / (ms_since(begin) / 1000);
  return {};
}

void drop_from_cache(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ::fdatasync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

double median(std::vector<double>& all) {
  std::ranges::sort(all);
  return all.empty() ? 0 : all[all.size() / 2];
}

// How long the answer takes, all of its pages; `wanted`: so many samples are right.
Result<double> ask(const std::string& file, const history::Parameters& parameters, std::size_t wanted, Figures& figures) {
  auto query = history::parse_query(parameters, kBegin);
  if (!query) return std::unexpected(query.error());
  const MonotonicTime begin = std::chrono::steady_clock::now();
  auto reader = history::HistoryReader::open(file);
  if (!reader) return std::unexpected(reader.error());
  std::size_t count = 0;
  for (;;) {
    const auto answer = (*reader)->read(*query);
    if (!answer) return std::unexpected(answer.error());
    count += answer->count;
    if (!answer->cursor || count >= wanted) break;
    query->cursor = *history::parse_cursor(*answer->cursor);
  }
  if (count != wanted) ++figures.wrong;
  return ms_since(begin);
}

Result<Times> time_of(const std::string& file, const Arguments& arguments, history::Parameters parameters, std::size_t wanted, Figures& figures) {
  std::vector<double> warm, cold;
  std::mt19937 random(2);
  const bool one = parameters.front().first == "path";
  for (int i = 0; i < kQuestions; ++i) {
    if (one) parameters.front().second = path_of(random() % static_cast<std::size_t>(arguments.points));
    drop_from_cache(file);
    for (auto* times : {&cold, &warm}) {
      const auto took = ask(file, parameters, wanted, figures);
      if (!took) return std::unexpected(took.error());
      times->push_back(*took);
    }
  }
  return Times{median(warm), median(cold)};
}

Result<void> question(const std::string& file, const Arguments& arguments, Figures& figures) {
  const std::int64_t span = std::min<std::int64_t>(arguments.seconds, 86'400);
  const std::int64_t from = (arguments.seconds - span) / 2;  // in the middle of what there is
  const std::string begin = format_utc(kBegin + from * kSecond), end = format_utc(kBegin + (from + span) * kSecond);
  const auto samples = static_cast<std::size_t>(span);
  const auto put = [](Times& into, Result<Times> times) -> Result<void> {
    if (!times) return std::unexpected(times.error());
    into = *times;
    return {};
  };
  const history::Parameters window = {{"path", ""}, {"from", begin}, {"to", end}, {"limit", "10000"}};
  auto average = window;
  average.insert(average.end(), {{"aggregate", "Average"}, {"interval", "1m"}});
  if (auto ok = put(figures.average, time_of(file, arguments, average, (samples + 59) / 60, figures)); !ok) return ok;
  if (auto ok = put(figures.day, time_of(file, arguments, window, samples, figures)); !ok) return ok;
  auto page = window;
  page.back().second = "1000";
  if (auto ok = put(figures.page, time_of(file, arguments, page, std::min<std::size_t>(samples, 1000), figures)); !ok) return ok;
  return put(figures.as_of, time_of(file, arguments, {{"match", "**"}, {"at", end}}, 1, figures));
}

Result<Figures> measure(const Arguments& arguments) {
  std::string folder = (std::filesystem::path(arguments.folder) / "sallyport-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return std::unexpected(system_error("cannot create a folder in " + arguments.folder, errno));
  struct Cleanup {
    std::string folder;
    ~Cleanup() { std::filesystem::remove_all(folder); }
  } const cleanup{folder};
  const std::string file = folder + "/history.db";
  Figures figures;
  {
    auto store = history::Store::open({file, true});
    if (!store) return std::unexpected(store.error());
    if (auto ok = fill(**store, arguments, figures); !ok) return std::unexpected(ok.error());
  }
  figures.bytes = std::filesystem::file_size(file);
  if (auto ok = question(file, arguments, figures); !ok) return std::unexpected(ok.error());
  return figures;
}

int run(const Arguments& arguments) {
  const Machine machine = this_machine();
  const auto figures = measure(arguments);
  if (!figures) return failed(figures.error());
  const std::pair<const char*, const Times*> times[] = {
      {"day_average", &figures->average}, {"day_raw", &figures->day}, {"page_of_1000", &figures->page}, {"as_of_all_points", &figures->as_of}};
  const double bytes_per_row = static_cast<double>(figures->bytes) / static_cast<double>(figures->rows);
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.field("points", arguments.points);
    json.field("seconds", arguments.seconds);
    json.field("rows", figures->rows);
    json.field("rows_per_second", round_to(figures->rows_per_second, 0));
    json.field("bytes", figures->bytes);
    json.field("bytes_per_row", round_to(bytes_per_row, 1));
    for (const auto& [name, time] : times) {
      json.key(name);
      json.begin_object();
      json.field("warm_ms", round_to(time->warm_ms, 2));
      json.field("cold_ms", round_to(time->cold_ms, 2));
      json.end_object();
    }
    json.field("wrong", figures->wrong);
    write_machine(json, machine);
    json.end_object();
    print(out + "\n");
  } else {
    Sheet sheet("history: " + friendly_count(static_cast<std::uint64_t>(arguments.points)) + " points at 1 Hz for " + friendly_age(Duration(arguments.seconds * kSecond)) + ", " +
                friendly_count(figures->rows) + " samples");
    sheet.line("written", friendly_count(static_cast<std::uint64_t>(figures->rows_per_second)) + "/s", "in the order of time, " + std::to_string(arguments.commit) + " s of it in one transaction");
    sheet.line("on disk", rounded(bytes_per_row, 1) + " B", "a sample; " + friendly_bytes(figures->bytes) + " in all");
    const char* names[] = {"a day of one point, Average 1m", "a day of one point, raw", "1,000 samples of one point", "as-of join of all points"};
    for (std::size_t i = 0; i < std::size(times); ++i)
      sheet.line(names[i], rounded(times[i].second->warm_ms, 1) + " ms", "from the page cache; " + rounded(times[i].second->cold_ms, 1) + " ms when it was dropped from there");
    sheet.line("wrong answers", friendly_count(figures->wrong), "");
    sheet.print(machine);
  }
  return figures->wrong == 0 ? kSuccess : kFailure;
}

}  // namespace

void add_history(Options& bench) {
  bench.command("history", "Samples into the history's database and out of it, in one process", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.number("--points", arguments->points, "how many, one sample a second each", 1, 1'000'000);
    options.number("--seconds", arguments->seconds, "of data: 86400 is a day", 1, 1'000'000'000);
    options.number("--commit", arguments->commit, "seconds of data in one transaction", 1, 86'400);
    options.text("--folder", arguments->folder, "on the disk that is to be measured");
    options.json(arguments->json);
    return [arguments] { return run(*arguments); };
  });
}

}  // namespace sallyport::cli::bench
