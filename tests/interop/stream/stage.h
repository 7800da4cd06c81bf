// A node's inside without the node: a namespace with a source, a journal, and one sink that reads both.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness.h"
#include "journal/journal.h"
#include "namespace/every.h"
#include "namespace/sink.h"
#include "namespace/source.h"

namespace sallyport::tests {

class Stage {
 public:
  // `type` of the sink; `settings`: its table's content but name and publish.
  Stage(SinkType type, std::string settings, std::string publish = R"(["acme/**"])");
  ~Stage();

  void start();             // a new sink object, as after a restart of the node
  void stop();
  // The journal as it was when it was saved: what was acknowledged since is forgotten. Not while the sink runs.
  void save_journal();
  void restore_journal();
  ConnectorStatus status() const { return sink_ ? sink_->status() : ConnectorStatus{}; }
  std::uint64_t counter(std::string_view name) const;
  std::string detail(std::string_view name) const;

  // n changes of acme/<point>, values counting up for each point from 0.
  void put(std::size_t point, std::size_t n);
  void put(std::size_t point, Value value);
  void put_gap(Gap gap) { journal->append_gap(std::move(gap)); }
  std::uint64_t behind() const;  // records that the sink has not acknowledged
  bool drained(Clock::duration limit);

  TempFolder folder;
  SystemClock clock;
  Namespace ns{clock};
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<Publisher> live;  // source "line2" into live/, of points that are not kept

 private:
  void open_journal();

  SinkType type_;
  std::string settings_, publish_;
  std::unique_ptr<Sink> sink_;
  std::vector<std::uint64_t> next_;
};

// What a consumer found of one change.
struct Found {
  std::string key;  // subject or path
  std::string stream;
  std::uint64_t sequence = 0;
};
// Each (stream, sequence) from 1 to `expected` once, ascending per key; "" when it is so.
std::string what_is_wrong(const std::vector<Found>& found, std::uint64_t expected);

}  // namespace sallyport::tests
