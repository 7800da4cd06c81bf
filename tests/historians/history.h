// What the tests of historians are made of: a namespace and a journal with points marked `every`, and a sink that reads both.
#pragma once

#include <memory>
#include <string>

#include "harness.h"
#include "journal/journal.h"
#include "namespace/namespace.h"
#include "namespace/sink.h"
#include "namespace/source.h"

namespace sallyport::tests {

inline constexpr UtcNanoseconds kStart = 1'790'000'000'000'000'000;  // 2026-09-21, a Monday
inline constexpr UtcNanoseconds kStep = 1'000'000;                   // between two changes of a point

class History {
 public:
  // `folder` holds the journal, also of an earlier life.
  explicit History(const std::string& folder);
  ~History();

  // n changes of the point acme/`name`, marked `every`, with values and source times that count up from `from`.
  void put(const std::string& name, std::uint64_t from, std::uint64_t n);
  void put(const std::string& name, const Value& value, UtcNanoseconds time, Status status = status::kGood, const Meta& meta = {});
  void until_durable();
  // A point that is not marked.
  void live(const std::string& name, const Value& value, UtcNanoseconds time);

  // Starts the sink "history"; a problem with its settings is a failure of the test.
  void start(const SinkType& type, const std::string& settings);
  void stop() { sink.reset(); }
  bool up() const { return sink->status().state == ConnectorState::up; }
  std::uint64_t counter(std::string_view name) const;
  // All that is in the journal is in the database and acknowledged.
  bool done() const;

  SystemClock clock;
  Namespace ns{clock};
  Publisher source{ns, "plant-1", "line1", "acme", status::kBadNoCommunication};
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<Sink> sink;
};

}  // namespace sallyport::tests
