#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "namespace/source.h"
#include "sinks/file/append_file.h"
#include "sinks/file/file_sink.h"
#include "sinks/file/record.h"

namespace sallyport::file {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
namespace fs = std::filesystem;

class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/sallyport-file-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TempFolder() { fs::remove_all(path_); }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
std::vector<std::string> lines(const std::string& path) {
  std::vector<std::string> all;
  std::istringstream in(contents(path));
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

// No file of this process may grow beyond so many bytes: a full disk without one. SIGXFSZ would end the process.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST(AppendFile, AppendsToWhatIsThereAndMakesTheFile) {
  TempFolder folder;
  AppendFile file(folder / "a", "");
  ASSERT_TRUE(file.open());
  ASSERT_TRUE(file.append("one\n"));
  ASSERT_TRUE(file.open());
  ASSERT_TRUE(file.append("two\n"));
  EXPECT_EQ(contents(folder / "a"), "one\ntwo\n");
}

TEST(AppendFile, EndsALineThatACrashLeftTorn) {
  TempFolder folder;
  std::ofstream(folder / "a") << "{\"path\":\"x";
  AppendFile file(folder / "a", "");
  ASSERT_TRUE(file.open());
  ASSERT_TRUE(file.append("two\n"));
  EXPECT_EQ(contents(folder / "a"), "{\"path\":\"x\ntwo\n");
}

TEST(AppendFile, TakesBackWhatCouldNotBeWrittenWhole) {
  TempFolder folder;
  AppendFile file(folder / "a", "");
  ASSERT_TRUE(file.open());
  ASSERT_TRUE(file.append(std::string(599, 'a') + "\n"));
  {
    FileSizeLimit full(1000);
    const auto written = file.append(std::string(599, 'b') + "\n");
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().message.find(folder / "a"), std::string::npos);
  }
  EXPECT_EQ(contents(folder / "a").size(), 600u);
  ASSERT_TRUE(file.append("c\n"));
  EXPECT_TRUE(contents(folder / "a").ends_with("a\nc\n"));
}

TEST(AppendFile, WritesTheHeaderOnceOrAfterTheFileWasCut) {
  TempFolder folder;
  AppendFile file(folder / "a", "head\n");
  ASSERT_TRUE(file.open());
  ASSERT_TRUE(file.append("one\n"));
  ASSERT_TRUE(file.open());
  EXPECT_EQ(contents(folder / "a"), "head\none\n");
  ASSERT_EQ(truncate((folder / "a").c_str(), 0), 0);
  ASSERT_TRUE(file.check_header());
  ASSERT_TRUE(file.append("two\n"));
  EXPECT_EQ(contents(folder / "a"), "head\ntwo\n");
}

TEST(AppendFile, SaysWhatIsWrongAndWhatToDo) {
  TempFolder folder;
  const auto error = [](const std::string& path) {
    AppendFile file(path, "");
    const auto ok = file.open();
    return ok ? "" : ok.error().message;
  };
  EXPECT_NE(error(folder / "no/such").find("create the folder"), std::string::npos);
  EXPECT_NE(error(folder / "").find("not a folder"), std::string::npos);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  AppendFile full("/dev/full", "");
  ASSERT_TRUE(full.open());
  const auto written = full.append("x\n");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("make room on the disk"), std::string::npos);
}

TEST(AppendFile, APipeIsWrittenToAndALostReaderIsAnErrorAndNotADeath) {
  TempFolder folder;
  const std::string path = folder / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  AppendFile file(path, "");
  ASSERT_TRUE(file.open());
  ASSERT_TRUE(file.append("one\n"));
  char text[16];
  EXPECT_EQ(::read(reader, text, sizeof text), 4);
  ::close(reader);
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  EXPECT_FALSE(file.append("two\n"));
}

// A namespace with a source of four points, and a sink that writes it.
struct Writing {
  explicit Writing(const std::string& path, std::string_view more = "", std::size_t points = 4) : ids(points) {
    std::vector<Definition> definitions(points);
    std::vector<std::string> paths(points);
    for (std::size_t i = 0; i < points; ++i) {
      paths[i] = "t" + std::to_string(i);
      definitions[i] = {.path = paths[i], .meta = &meta, .first = {}, .covered = false};
      definitions[i].first.value = Value::from(0.0);
    }
    source.define(definitions, ids);
    source.live();
    Problems problems;
    auto settings = Settings::parse("path = \"" + path + "\"\n" + std::string(more), "node.toml", problems);
    SettingsReader reader(*settings, problems);
    sink = sink_type().make({.name = "log", .node = "n", .publish = *Patterns::parse({"acme/**"})}, reader);
    reader.finish();
    EXPECT_TRUE(problems.empty());
    EXPECT_TRUE(sink->start(ns));
  }
  ~Writing() { sink->stop(); }

  void set(std::size_t point, double value) {
    Change change{
        .point = ids[point], .status = status::kGood, .source_time = clock.utc(), .value = Value::from(value)};
    source.publish({&change, 1});
  }
  template <typename Condition>
  static bool wait_for(Condition condition) {
    const auto deadline = steady_clock::now() + seconds(20);
    while (!condition()) {
      if (steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return true;
  }
  bool wait_for_lines(const std::string& path, std::size_t count) const {
    return wait_for([&] { return lines(path).size() >= count; });
  }

  Meta meta;
  SystemClock clock;
  Namespace ns{clock};
  Publisher source{ns, "plant-1", "line1", "acme", status::kBadNoCommunication};
  std::vector<PointId> ids;
  std::unique_ptr<Sink> sink;
};

TEST(FileSink, WritesTheStateFirstAndThenEveryChange) {
  TempFolder folder;
  const std::string path = folder / "v.ndjson";
  Writing w(path);
  ASSERT_TRUE(w.wait_for_lines(path, 4));
  w.set(2, 7.5);
  ASSERT_TRUE(w.wait_for_lines(path, 5));
  EXPECT_NE(lines(path)[4].find(R"("path":"acme/t2","value":7.5)"), std::string::npos);
  w.source.remove({&w.ids[1], 1});
  ASSERT_TRUE(w.wait_for_lines(path, 6));
  EXPECT_EQ(lines(path)[5], R"({"path":"acme/t1","removed":true})");
  EXPECT_EQ(w.sink->status().state, ConnectorState::up);
  EXPECT_EQ(w.sink->status().changes, 6u);
}

TEST(FileSink, ALostSourceIsWrittenAsBadWithItsCause) {
  TempFolder folder;
  const std::string path = folder / "v.ndjson";
  Writing w(path);
  ASSERT_TRUE(w.wait_for_lines(path, 4));
  w.source.lost("connection refused");
  ASSERT_TRUE(w.wait_for_lines(path, 8));
  for (std::size_t i = 4; i < 8; ++i) {
    EXPECT_NE(lines(path)[i].find("\"quality\":\"bad\""), std::string::npos);
    EXPECT_NE(lines(path)[i].find("connection refused"), std::string::npos);
  }
}

TEST(FileSink, StopWritesWhatIsStillToBeWritten) {
  TempFolder folder;
  const std::string path = folder / "v.csv";
  Writing w(path, "format = \"csv\"", 20'000);
  w.sink->stop();
  const auto all = lines(path);
  ASSERT_EQ(all.size(), 20'001u);
  EXPECT_EQ(all[0] + "\n", kCsvHeader);
  EXPECT_EQ(w.sink->status().state, ConnectorState::stopped);
}

TEST(FileSink, OpensANewFileAfterLogrotateMovedIt) {
  TempFolder folder;
  const std::string path = folder / "v.csv";
  Writing w(path, "format = \"csv\"");
  ASSERT_TRUE(w.wait_for_lines(path, 5));
  fs::rename(path, path + ".1");
  ASSERT_TRUE(Writing::wait_for([&] { return fs::exists(path); }));
  w.set(0, 1);
  ASSERT_TRUE(w.wait_for_lines(path, 2));
  EXPECT_EQ(lines(path)[0] + "\n", kCsvHeader);
  EXPECT_EQ(lines(path + ".1").size(), 5u);
}

TEST(FileSink, WaitsForItsFolderAndBeginsWithTheStateOfThen) {
  TempFolder folder;
  const std::string path = folder / "later/v.ndjson";
  Writing w(path);
  ASSERT_TRUE(Writing::wait_for([&] { return w.sink->status().state == ConnectorState::down; }));
  EXPECT_NE(w.sink->status().reason.find("create the folder"), std::string::npos);
  for (int i = 1; i <= 10; ++i) {
    w.set(0, i);
    std::this_thread::sleep_for(milliseconds(10));
  }
  ASSERT_TRUE(Writing::wait_for([&] { return w.sink->status().dropped > 0; }));
  fs::create_directory(folder / "later");
  ASSERT_TRUE(w.wait_for_lines(path, 4));
  EXPECT_EQ(w.sink->status().state, ConnectorState::up);
  EXPECT_TRUE(std::ranges::any_of(
      lines(path), [](const std::string& line) { return line.find("\"value\":10,") != std::string::npos; }));
}

TEST(FileSink, AFullDiskIsReportedCountedAndGotOver) {
  TempFolder folder;
  const std::string path = folder / "v.ndjson";
  Writing w(path);
  ASSERT_TRUE(w.wait_for_lines(path, 4));
  {
    FileSizeLimit full(fs::file_size(path) + 300);  // one record and a half
    for (int i = 1; i <= 20; ++i) {
      w.set(1, i);
      std::this_thread::sleep_for(milliseconds(5));
    }
    w.source.remove({&w.ids[3], 1});
    ASSERT_TRUE(Writing::wait_for(
        [&] { return w.sink->status().state == ConnectorState::down && w.sink->status().dropped >= 5; }));
  }
  ASSERT_TRUE(Writing::wait_for([&] { return w.sink->status().state == ConnectorState::up; }));
  ASSERT_TRUE(Writing::wait_for([&] { return contents(path).find("\"value\":20,") != std::string::npos; }));
  for (const std::string& line : lines(path)) EXPECT_TRUE(line.starts_with('{') && line.ends_with('}')) << line;
  EXPECT_NE(contents(path).find(R"({"path":"acme/t3","removed":true})"), std::string::npos);
}

TEST(FileSink, EachMistakeInTheSettingsIsReported) {
  for (const auto& [text, expected] :
       {std::pair{"", "path"}, std::pair{"path = \"x\"\nformat = \"xml\"", "ndjson"}, std::pair{"path = 5", "path"}}) {
    Problems problems;
    auto settings = Settings::parse(text, "node.toml", problems);
    SettingsReader reader(*settings, problems);
    sink_type().make({.name = "log", .node = "n", .publish = {}}, reader);
    reader.finish();
    ASSERT_FALSE(problems.empty()) << text;
    EXPECT_NE(to_string(problems[0]).find(expected), std::string::npos) << to_string(problems[0]);
  }
}

TEST(FileSink, TheSampleIsValid) {
  Problems problems;
  const auto settings = Settings::load(SALLYPORT_SOURCE_DIR "/src/sinks/file/sample.toml", problems);
  ASSERT_TRUE(settings);
  SettingsReader file(*settings, problems);
  SettingsReader sinks(*file.table("sink"), problems);
  const auto tables = sinks.tables("file");
  ASSERT_EQ(tables.size(), 1u);
  SettingsReader reader(tables[0], problems);
  const SinkCommon common{
      .name = reader.required_string("name"), .node = "n", .publish = *Patterns::parse(reader.strings("publish", {}))};
  EXPECT_NE(sink_type().make(common, reader), nullptr);
  reader.finish();
  for (const Problem& problem : problems) ADD_FAILURE() << to_string(problem);
}

}  // namespace
}  // namespace sallyport::file
