#include "stage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

namespace sallyport::tests {

namespace fs = std::filesystem;

Stage::Stage(SinkType type, std::string settings, std::string publish)
    : type_(std::move(type)), settings_(std::move(settings)), publish_(std::move(publish)) {
  open_journal();
  live = std::make_unique<Publisher>(ns, "plant-1", "line2", "live", status::kBadNoCommunication);
}

Stage::~Stage() { stop(); }

void Stage::open_journal() {
  journal::JournalOptions options;
  options.folder = folder.path() + "/journal";
  options.node = "plant-1";
  options.sync = journal::SyncPolicy::os;
  auto opened = journal::Journal::open(options, clock);
  EXPECT_TRUE(opened) << opened.error().message;
  journal = std::move(*opened);
  journal->set_readers({reader_name("stream")});
}

void Stage::save_journal() {
  ASSERT_TRUE(eventually([&] { return journal->durable() >= journal->status().head; }, seconds(20)));
  journal.reset();
  fs::copy(folder.path() + "/journal", folder.path() + "/saved", fs::copy_options::recursive);
  open_journal();
}

void Stage::restore_journal() {
  journal.reset();
  fs::remove_all(folder.path() + "/journal");
  fs::copy(folder.path() + "/saved", folder.path() + "/journal", fs::copy_options::recursive);
  open_journal();
}

void Stage::start() {
  Problems problems;
  const auto settings = Settings::parse(settings_, folder.path() + "/sink.toml", problems);
  ASSERT_TRUE(settings && problems.empty()) << (problems.empty() ? "" : to_string(problems.front()));
  SettingsReader reader(*settings, problems);
  Problems more;
  const auto patterns = Settings::parse("publish = " + publish_, "publish", more);
  SettingsReader publish(*patterns, more);
  sink_ = type_.make({.name = "stream", .node = "plant-1", .publish = *Patterns::parse(publish.strings("publish", {}))}, reader);
  reader.finish();
  for (const Problem& problem : problems) ASSERT_TRUE(problem.warning) << to_string(problem);
  sink_->use_feeds(*journal);
  const auto started = sink_->start(ns);
  ASSERT_TRUE(started) << started.error().message;
}

void Stage::stop() {
  if (sink_) sink_->stop();
  sink_.reset();
}

std::uint64_t Stage::counter(std::string_view name) const {
  for (const auto& [key, value] : status().counters) {
    if (key == name) return value;
  }
  return 0;
}

std::string Stage::detail(std::string_view name) const {
  for (const auto& [key, value] : status().details) {
    if (key == name) return value;
  }
  return {};
}

void Stage::put(std::size_t point, std::size_t n) {
  if (point >= next_.size()) next_.resize(point + 1);
  Meta meta;
  meta.type = Type::float64;
  meta.unit = "bar";
  meta.every = true;
  const std::uint32_t id = journal->intern_point(journal->own_stream(), "acme/p" + std::to_string(point), meta);
  std::vector<journal::ChangeRecord> changes(n);
  for (auto& change : changes) {
    change.point = id;
    change.source_time = clock.utc();
    change.value = Value::from(static_cast<double>(next_[point]++));
  }
  ASSERT_TRUE(journal->append_own(changes));
}

void Stage::put(std::size_t point, Value value) {
  Meta meta;
  meta.every = true;
  journal::ChangeRecord change;
  change.point = journal->intern_point(journal->own_stream(), "acme/p" + std::to_string(point), meta);
  change.source_time = clock.utc();
  change.value = std::move(value);
  ASSERT_TRUE(journal->append_own({&change, 1}));
}

std::uint64_t Stage::behind() const {
  for (const auto& reader : journal->status().readers) {
    if (reader.name == reader_name("stream")) return reader.behind;
  }
  return UINT64_MAX;
}

bool Stage::drained(Clock::duration limit) {
  return eventually(
      [&] {
        const auto status = journal->status();
        if (status.durable < status.head) return false;
        return std::ranges::all_of(status.readers, [&](const auto& reader) { return reader.acknowledged >= status.head; });
      },
      limit);
}

std::string what_is_wrong(const std::vector<Found>& found, std::uint64_t expected) {
  std::map<std::string, std::pair<std::string, std::uint64_t>> last;  // by key
  std::set<std::pair<std::string, std::uint64_t>> seen;
  std::string wrong;
  std::size_t repeats = 0, backwards = 0;
  for (const Found& one : found) {
    if (!seen.emplace(one.stream, one.sequence).second) {
      if (repeats++ == 0) wrong += "again: " + one.stream + ":" + std::to_string(one.sequence) + "; ";
      continue;
    }
    auto& [stream, sequence] = last[one.key];
    if (stream == one.stream && one.sequence < sequence && backwards++ == 0) {
      wrong += "after " + std::to_string(sequence) + " of " + one.key + " came " + std::to_string(one.sequence) + "; ";
    }
    stream = one.stream;
    sequence = one.sequence;
  }
  if (repeats != 0) wrong += std::to_string(repeats) + " repeats; ";
  if (backwards != 0) wrong += std::to_string(backwards) + " backwards; ";
  if (seen.size() != expected) wrong += std::to_string(seen.size()) + " of " + std::to_string(expected) + " are there; ";
  return wrong;
}

}  // namespace sallyport::tests
