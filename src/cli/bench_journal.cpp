// sallyport bench journal: how fast changes are made durable and read again, beside the disk's own speed.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "cli/bench.h"
#include "cli/bench_report.h"
#include "cli/terminal.h"
#include "journal/journal.h"

namespace sallyport::cli::bench {
namespace {

struct Arguments {
  std::int64_t changes = 5'000'000;
  std::int64_t points = 1000;
  std::int64_t batch = 1000;
  std::string fsync = "batch";
  std::string folder = ".";
  bool json = false;
};

struct Figures {
  double written_per_second = 0, write_cpu_ns = 0, bytes_per_change = 0, bytes_per_second = 0;
  double replayed_per_second = 0, replay_cpu_ns = 0;
  double raw_bytes_per_second = 0, open_seconds = 0;
  std::uint64_t syncs = 0, wrong = 0;
};

double seconds_since(MonotonicTime begin) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// As many bytes, in writes of the same size, brought to the disk at the end.
Result<double> raw_speed(const std::string& file, std::uint64_t bytes) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected(system_error("cannot create " + file, errno));
  const std::vector<char> block(256 * 1024, 'x');
  const MonotonicTime begin = std::chrono::steady_clock::now();
  bool ok = true;
  for (std::uint64_t done = 0; done < bytes && ok; done += block.size()) ok = ::write(fd, block.data(), block.size()) == static_cast<ssize_t>(block.size());
  ok = ok && ::fdatasync(fd) == 0;
  const double seconds = seconds_since(begin);
  const int error = errno;
  ::close(fd);
  ::unlink(file.c_str());
  if (!ok) return std::unexpected(system_error("cannot write " + file, error));
  return static_cast<double>(bytes) / seconds;
}

Result<void> write(journal::Journal& journal, const Arguments& arguments, Figures& figures) {
  std::vector<std::uint32_t> points;
  for (std::int64_t i = 0; i < arguments.points; ++i) {
    points.push_back(journal.intern_point(journal.own_stream(), "bench/area/line" + std::to_string(i % 10) + "/cell/point" + std::to_string(i), {}));
  }
  const auto changes = static_cast<std::uint64_t>(arguments.changes);
  std::vector<journal::ChangeRecord> batch(static_cast<std::size_t>(arguments.batch));
  const MonotonicTime begin = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  const UtcNanoseconds utc = SystemClock().utc();
  for (std::uint64_t made = 0; made < changes; made += batch.size()) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::uint64_t n = made + i;
      batch[i].point = points[n % points.size()];
      batch[i].source_time = utc + static_cast<std::int64_t>(n) * 1000;
      batch[i].value = Value::from(static_cast<double>(n));
    }
    while (!journal.append_own(batch)) std::this_thread::sleep_for(std::chrono::milliseconds(1));   // the disk is behind
  }
  const Position head = journal.status().head;
  while (journal.durable() < head) {
    if (const auto status = journal.status(); !status.failure.empty()) return fail(ErrorCode::io, status.failure);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  const double seconds = seconds_since(begin);
  const auto status = journal.status();
  figures.written_per_second = static_cast<double>(status.appended) / seconds;
  figures.write_cpu_ns = (cpu_seconds() - cpu) * 1e9 / static_cast<double>(status.appended);
  figures.bytes_per_change = static_cast<double>(status.written_bytes) / static_cast<double>(status.appended);
  figures.bytes_per_second = static_cast<double>(status.written_bytes) / seconds;
  figures.syncs = status.syncs;
  return {};
}

Result<void> replay(journal::Journal& journal, Figures& figures) {
  auto feed = journal.open("bench", Patterns::everything(), [] {});
  if (!feed) return std::unexpected(feed.error());
  FeedBatch batch;
  std::uint64_t read = 0;
  const MonotonicTime begin = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  do {
    if (auto ok = (*feed)->read(batch, 4096); !ok) return ok;
    for (const FeedEntry& entry : batch.entries) {
      if (entry.sequence != ++read || entry.value.float64() != static_cast<double>(read - 1)) ++figures.wrong;
    }
  } while (batch.more);
  figures.replayed_per_second = static_cast<double>(read) / seconds_since(begin);
  figures.replay_cpu_ns = (cpu_seconds() - cpu) * 1e9 / static_cast<double>(std::max<std::uint64_t>(1, read));
  return {};
}

Result<Figures> measure(const Arguments& arguments) {
  std::string folder = (std::filesystem::path(arguments.folder) / "sallyport-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return std::unexpected(system_error("cannot create a folder in " + arguments.folder, errno));
  struct Cleanup {
    std::string folder;
    ~Cleanup() { std::filesystem::remove_all(folder); }
  } const cleanup{folder};
  SystemClock clock;
  const journal::JournalOptions options{.folder = folder + "/journal", .node = "bench", .sync = *journal::parse_sync_policy(arguments.fsync), .max_bytes = 1ull << 40};
  Figures figures;
  {
    auto opened = journal::Journal::open(options, clock);
    if (!opened) return std::unexpected(opened.error());
    (*opened)->set_readers({"bench"});
    if (auto ok = write(**opened, arguments, figures); !ok) return std::unexpected(ok.error());
    if (auto ok = replay(**opened, figures); !ok) return std::unexpected(ok.error());
  }
  const MonotonicTime begin = std::chrono::steady_clock::now();
  if (const auto again = journal::Journal::open(options, clock); !again) return std::unexpected(again.error());
  figures.open_seconds = seconds_since(begin);
  const auto raw = raw_speed(folder + "/raw", static_cast<std::uint64_t>(figures.bytes_per_change * static_cast<double>(arguments.changes)));
  if (!raw) return std::unexpected(raw.error());
  figures.raw_bytes_per_second = *raw;
  return figures;
}

int run(const Arguments& arguments) {
  const Machine machine = this_machine();
  const auto figures = measure(arguments);
  if (!figures) return failed(figures.error());
  const double ratio = figures->bytes_per_second / figures->raw_bytes_per_second;
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.field("changes", arguments.changes);
    json.field("points", arguments.points);
    json.field("fsync", arguments.fsync);
    json.field("written_per_second", round_to(figures->written_per_second, 0));
    json.field("replayed_per_second", round_to(figures->replayed_per_second, 0));
    json.field("write_cpu_ns_per_change", round_to(figures->write_cpu_ns, 1));
    json.field("replay_cpu_ns_per_change", round_to(figures->replay_cpu_ns, 1));
    json.field("bytes_per_change", round_to(figures->bytes_per_change, 1));
    json.field("bytes_per_second", round_to(figures->bytes_per_second, 0));
    json.field("raw_bytes_per_second", round_to(figures->raw_bytes_per_second, 0));
    json.field("syncs", figures->syncs);
    json.field("open_seconds", round_to(figures->open_seconds, 4));
    json.field("wrong", figures->wrong);
    write_machine(json, machine);
    json.end_object();
    print(out + "\n");
  } else {
    Sheet sheet("journal: " + friendly_count(static_cast<std::uint64_t>(arguments.changes)) + " changes of " + friendly_count(static_cast<std::uint64_t>(arguments.points)) +
                " points, fsync = \"" + arguments.fsync + "\"");
    sheet.line("written", in_millions(figures->written_per_second) + "/s", rounded(figures->write_cpu_ns, 0) + " ns of processor a change, until durable");
    sheet.line("read again", in_millions(figures->replayed_per_second) + "/s", rounded(figures->replay_cpu_ns, 0) + " ns of processor a change, from the page cache");
    sheet.line("on disk", rounded(figures->bytes_per_change, 1) + " B", "a change, names and checksums included");
    sheet.line("of the disk's own speed", rounded(ratio * 100, 0) + " %", friendly_bytes(static_cast<std::uint64_t>(figures->bytes_per_second)) + "/s of " +
               friendly_bytes(static_cast<std::uint64_t>(figures->raw_bytes_per_second)) + "/s for as many bytes in one file");
    sheet.line("fsyncs", friendly_count(figures->syncs), "");
    sheet.line("opened again in", rounded(figures->open_seconds * 1000, 1) + " ms", "");
    sheet.line("wrong or out of order", friendly_count(figures->wrong), "");
    sheet.print(machine);
  }
  return figures->wrong == 0 ? kSuccess : kFailure;
}

}  // namespace

void add_journal(Options& bench) {
  bench.command("journal", "Changes of `every` points to disk and back, in one process", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.number("--changes", arguments->changes, "how many", 1000, 1'000'000'000);
    options.number("--points", arguments->points, "of how many points", 1, 10'000'000);
    options.number("--batch", arguments->batch, "handed over at once", 1, 1'000'000);
    options.choice("--fsync", arguments->fsync, "as in [journal]", {"batch", "100ms", "os"});
    options.text("--folder", arguments->folder, "on the disk that is to be measured");
    options.json(arguments->json);
    return [arguments] { return run(*arguments); };
  });
}

}  // namespace sallyport::cli::bench
