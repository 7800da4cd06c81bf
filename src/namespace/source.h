// What brings points in, and how it hands them to the node. A source is one object with all its state; its type is one
// entry in node/connectors.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "base/settings.h"
#include "namespace/delivery.h"
#include "namespace/every.h"
#include "namespace/namespace.h"

namespace sallyport {

// A source's own door into the namespace: one route, covered until the source first says live(). Any thread, but one at a
// time; outlives the source.
class Publisher {
 public:
  // `provider`: of the publisher that this one succeeds, so that it may take over its points (Namespace::add_provider).
  // `delivery`: what the node's settings say of its points; null: nothing. `every`: takes the changes of `every` points;
  // null: this node keeps none.
  Publisher(Namespace& ns, std::string node, std::string source_name, std::string into, Status on_loss,
            std::uint32_t provider = 0, std::shared_ptr<const DeliveryRules> delivery = nullptr, EveryLog* every = nullptr);

  // Paths are relative to `into`. Points of a source that is not live stay covered.
  Namespace::Refused define(std::span<const Definition> definitions, std::span<PointId> ids);
  void remove(std::span<const PointId> points);
  void publish(std::span<Change> changes);
  // The source is gone: every point keeps its value and turns not-good, with this reason ("connection refused", …). Said
  // again at each failed retry it costs nothing, and `since` stays at the first.
  void lost(std::string what);
  // The source is here and every point has been read again.
  void live();
  // Changes are known to be missing: those of one point, or of all.
  void missed(GapCause cause, std::string_view path, UtcNanoseconds start, UtcNanoseconds end, std::uint64_t lost, std::string detail);
  bool is_live() const { return live_; }
  std::uint64_t lag() const { return namespace_.lag(); }  // of the slowest reader, in changes; for sources that can wait
  RouteId route() const { return route_; }
  const std::string& into() const { return into_; }
  Clock& clock() const { return namespace_.clock(); }

 private:
  void apply_rules(std::vector<Definition>& definitions, std::map<std::pair<const Meta*, const DeliveryRule*>, Meta>& metas) const;
  void record_definitions(std::span<const Definition> definitions, std::span<const PointId> ids);
  void record(std::span<const Change> changes);
  void record_one(PointId id, const Change& change);
  void record_gap(UtcNanoseconds end, std::string_view what);

  Namespace& namespace_;
  std::shared_ptr<const DeliveryRules> delivery_;
  std::string node_, name_, into_;
  Status on_loss_;
  RouteId route_ = kNoRoute;
  bool live_ = false;
  bool sweep_ = false;      // the route was restored: what is not defined again until live() is gone
  std::vector<bool> named_;
  // Of `every` points: their number in the log, and what was recorded last, which reading all again need not repeat.
  struct Recorded {
    std::uint32_t point = UINT32_MAX;
    Status status = 0;
    UtcNanoseconds source_time = INT64_MIN;
  };
  EveryLog* every_;
  std::vector<Recorded> recorded_;
  std::vector<EveryChange> to_record_;
  UtcNanoseconds away_since_ = 0;   // 0: not away
  bool away_told_ = false, records_ = false;
  bool published_ = false;  // something came while not live: it lies bare of the cover
};

enum class ConnectorState : std::uint8_t { starting, up, connecting, down, stopped };
std::string_view to_string(ConnectorState state);

// For `status`, $sys and /metrics. Counters only grow.
struct ConnectorStatus {
  ConnectorState state = ConnectorState::starting;
  UtcNanoseconds since = 0;
  std::string reason;                  // why it is not up
  std::uint64_t points = 0;
  std::uint64_t changes = 0;
  std::uint64_t dropped = 0;
  std::vector<std::pair<std::string, std::string>> details;      // shown as text
  std::vector<std::pair<std::string, std::uint64_t>> counters;   // shown and exported
};

class Source {
 public:
  virtual ~Source() = default;  // after stop(); leaves nothing running
  // Returns at once; connecting goes on in the background and shows as quality. Fails only for what can never work.
  // Main thread.
  virtual Result<void> start(Publisher& out) = 0;
  // Bounded: a few seconds at most. Main thread.
  virtual void stop() = 0;
  virtual ConnectorStatus status() const = 0;  // Any thread.
};

// `settings` is the [[source.<type>]] table; problems are collected, and null is returned when there were any. The common
// keys (name, into, on_loss) are read by the node and must be asked for through `common` only.
struct SourceCommon {
  std::string name;
  std::string node;   // this node's name
  std::string into;
};
struct SourceType {
  std::string name;
  std::function<std::unique_ptr<Source>(const SourceCommon& common, SettingsReader& settings)> make;
};

}  // namespace sallyport
