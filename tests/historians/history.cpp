#include "history.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sallyport::tests {

History::History(const std::string& folder) {
  journal::JournalOptions options;
  options.folder = folder + "/journal";
  options.node = "plant-1";
  options.sync = journal::SyncPolicy::os;
  auto opened = journal::Journal::open(options, clock);
  EXPECT_TRUE(opened) << opened.error().message;
  journal = *std::move(opened);
  journal->set_readers({reader_name("history")});
}

History::~History() { stop(); }

void History::put(const std::string& name, std::uint64_t from, std::uint64_t n) {
  Meta meta;
  meta.type = Type::float64;
  meta.every = true;
  const std::uint32_t point = journal->intern_point(journal->own_stream(), "acme/" + name, meta);
  std::vector<journal::ChangeRecord> changes(n);
  for (std::uint64_t i = 0; i < n; ++i) {
    changes[i].point = point;
    changes[i].source_time = kStart + static_cast<UtcNanoseconds>(from + i) * kStep;
    changes[i].value = Value::from(static_cast<double>(from + i));
  }
  ASSERT_TRUE(journal->append_own(changes));
}

void History::put(const std::string& name, const Value& value, UtcNanoseconds time, Status status, const Meta& meta) {
  Meta marked = meta;
  marked.every = true;
  journal::ChangeRecord change;
  change.point = journal->intern_point(journal->own_stream(), "acme/" + name, marked);
  change.status = status;
  change.source_time = time;
  change.value = value;
  ASSERT_TRUE(journal->append_own({&change, 1}));
}

void History::until_durable() {
  const Position head = journal->status().head;
  EXPECT_TRUE(eventually([&] { return journal->durable() >= head; }, seconds(20)));
}

void History::live(const std::string& name, const Value& value, UtcNanoseconds time) {
  Meta meta;
  meta.type = value.type();
  meta.unit = "rpm";
  const Definition definition{.path = name, .meta = &meta, .first = {.status = status::kGood, .source_time = time, .value = value}};
  PointId id = kNoPoint;
  source.define({&definition, 1}, {&id, 1});
  EXPECT_NE(id, kNoPoint);
  source.live();
}

void History::start(const SinkType& type, const std::string& settings) {
  Problems problems;
  auto parsed = Settings::parse(settings, "history.toml", problems);
  ASSERT_TRUE(parsed);
  {
    SettingsReader reader(*parsed, problems);
    sink = type.make({.name = "history", .node = "ai-1", .publish = *Patterns::parse({"acme/**"})}, reader);
    reader.finish();
  }
  for (const Problem& problem : problems) ADD_FAILURE() << to_string(problem);
  sink->use_feeds(*journal);
  const auto started = sink->start(ns);
  ASSERT_TRUE(started) << started.error().message;
}

std::uint64_t History::counter(std::string_view name) const {
  const ConnectorStatus status = sink->status();
  const auto at = std::ranges::find(status.counters, name, [](const auto& pair) { return pair.first; });
  return at == status.counters.end() ? UINT64_MAX : at->second;
}

bool History::done() const {
  return journal->durable() >= journal->status().head && counter("behind") == 0;
}

}  // namespace sallyport::tests
