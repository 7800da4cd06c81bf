#include "node/sys_points.h"

#include <array>

#include "node/diode_status.h"
#include "node/version.h"

namespace sallyport::node {
namespace {

Value count(std::uint64_t number) { return Value::from(number); }
Value microseconds(Duration duration) {
  return Value::from(std::int64_t{std::chrono::duration_cast<std::chrono::microseconds>(duration).count()});
}

// So many links tell their counters each second; with more of them each has its turn. What changes is read by everyone who
// has a cursor, and a thousand idle links must not keep a thousand links busy. Changes of state are told at once.
constexpr std::size_t kCountersPerRound = 50;

// OPC UA counts 100 ns since 1601.
Value date_time(UtcNanoseconds time) { return Value::date_time(time / 100 + 116'444'736'000'000'000); }

}  // namespace

SysPoints::SysPoints(Namespace& ns, const std::string& node)
    : publisher_(ns, node, "$sys", "$sys/" + node, status::kBadNoCommunication) {}

void SysPoints::define(const std::string& path, Point& point, std::string_view unit) {
  Meta meta;
  meta.type = point.value.type();
  meta.unit = unit;
  Definition definition;
  definition.path = path;
  definition.meta = &meta;
  definition.first.source_time = now_;
  definition.first.value = point.value;
  std::array<PointId, 1> ids{kNoPoint};
  publisher_.define({&definition, 1}, ids);
  point.id = ids[0];
}

void SysPoints::set(const std::string& path, Value value, std::string_view unit) {
  Point& point = points_[path];
  const bool fresh = point.seen == 0;
  point.seen = round_;
  if (!fresh && point.value == value) return;
  point.value = std::move(value);
  if (fresh) return define(path, point, unit);
  if (point.id == kNoPoint) return;  // refused: the table is full
  Change change;
  change.point = point.id;
  change.source_time = now_;
  change.value = point.value;
  changes_.push_back(std::move(change));
}

void SysPoints::set_connector(const std::string& prefix, const ConnectorInfo& info) {
  set(prefix + "/state", Value::text(to_string(info.status.state)));
  set(prefix + "/reason", Value::text(info.status.reason));
  set(prefix + "/points", count(info.status.points));
  set(prefix + "/changes", count(info.status.changes));
  set(prefix + "/dropped", count(info.status.dropped));
}

void SysPoints::set_link(const link::LinkStatus& link) {
  const std::string prefix = "links/" + link.name;
  set(prefix + "/state", Value::text(link::to_string(link.state)));
  set(prefix + "/reason", Value::text(link.reason));
  set(prefix + "/peer", Value::text(link.peer));
  set(prefix + "/group", Value::text(link.group));
  set(prefix + "/delay_us", microseconds(link.delay), "µs");
  set(prefix + "/connects", count(link.connects));
  set(prefix + "/refused", count(link.refused));
  set(prefix + "/changes_sent", count(link.send.changes));
  set(prefix + "/bytes_sent", count(link.send.bytes), "B");
  set(prefix + "/dropped", count(link.send.dropped));
  set(prefix + "/changes_received", count(link.receive.changes));
  set(prefix + "/bytes_received", count(link.receive.bytes), "B");
  if (!link.diode) return;
  for (const DiodeFigure& figure : diode_figures(*link.diode)) set(prefix + "/diode/" + figure.name, count(figure.value));
  if (!link.diode->sends) set(prefix + "/diode/in_doubt", Value::from(link.diode->in_doubt));
}

// Those whose turn it is, and those of which there is more to tell than counters.
void SysPoints::set_links(const std::vector<link::LinkStatus>& links) {
  turns_ = links.size() / kCountersPerRound + 1;
  if (link_marks_.size() > 2 * links.size() + 16) link_marks_.clear();
  for (std::size_t i = 0; i < links.size(); ++i) {
    const link::LinkStatus& link = links[i];
    const std::uint64_t mark = (link.connects << 8 | static_cast<std::uint64_t>(link.state) | 0x80) ^ std::hash<std::string>()(link.reason) ^ link.refused << 40;
    std::uint64_t& told = link_marks_[link.name];
    if ((i + round_) % turns_ == 0 || told != mark) set_link(link);
    told = mark;
  }
}

void SysPoints::remove_unseen() {
  std::vector<PointId> gone;
  std::erase_if(points_, [&](const auto& entry) {
    if (entry.second.seen + turns_ > round_) return false;
    if (entry.second.id != kNoPoint) gone.push_back(entry.second.id);
    return true;
  });
  if (!gone.empty()) publisher_.remove(gone);
}

void SysPoints::update(const NodeStatus& status) {
  ++round_;
  now_ = status.now;
  set("version", Value::text(version()));
  set("started", date_time(status.started));
  set("clock", date_time(status.now / 1'000'000'000 * 1'000'000'000));
  set("points/total", count(status.points.points));
  set("points/good", count(status.points.good));
  set("points/uncertain", count(status.points.uncertain));
  set("points/bad", count(status.points.bad));
  set_links(status.links);
  for (const auto& source : status.sources) set_connector("sources/" + source.name, source);
  for (const auto& sink : status.sinks) set_connector("sinks/" + sink.name, sink);
  if (status.journal) {
    set("journal/failure", Value::text(status.journal->failure));
    set("journal/bytes", count(status.journal->bytes), "B");
    set("journal/gaps", count(status.journal->gaps));
    set("journal/dropped", count(status.journal->dropped));
    for (const auto& reader : status.journal->readers) set("journal/readers/" + reader.name + "/behind", count(reader.behind));
  }
  if (!changes_.empty()) publisher_.publish(changes_);
  changes_.clear();
  remove_unseen();
  if (!publisher_.is_live()) publisher_.live();  // all are told again, also after a restart with what was kept
}

}  // namespace sallyport::node
