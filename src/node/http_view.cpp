#include "node/http_view.h"

#include "node/diode_status.h"
#include "node/version.h"

namespace sallyport::node {
namespace {

using http::MetricsText;

void add_points(MetricsText& out, const NamespaceCounts& points) {
  const auto add = [&](std::string_view quality, std::uint64_t count) {
    out.gauge("sallyport_points", "Points by the quality that consumers see", {{"quality", quality}}, count);
  };
  add("good", points.good);
  add("uncertain", points.uncertain);
  add("bad", points.bad);
}

void add_lane(MetricsText& out, const link::LinkStatus& link, std::string_view direction,
              const link::LaneStatus& lane) {
  const MetricsText::Labels labels = {{"link", link.name}, {"direction", direction}};
  out.counter("sallyport_link_changes_total", "Changes that a link carried", labels, lane.changes);
  out.counter("sallyport_link_bytes_total", "Bytes that a link carried", labels, lane.bytes);
  out.counter("sallyport_link_dropped_total", "Changes that newer ones replaced or a limit forced out", labels,
              lane.dropped);
}

void add_link(MetricsText& out, const link::LinkStatus& link) {
  const MetricsText::Labels labels = {{"link", link.name}, {"peer", link.peer}};
  out.gauge("sallyport_link_up", "1 while data or heartbeats arrive", labels,
            std::uint64_t{link.state == link::LinkState::up});
  out.gauge("sallyport_link_delay_seconds", "One way, measured", labels,
            std::chrono::duration<double>(link.delay).count());
  out.counter("sallyport_link_connects_total", "How often the link came up", labels, link.connects);
  out.counter("sallyport_link_refused_total", "Frames or points of the peer that were not allowed", labels,
              link.refused);
  add_lane(out, link, "send", link.send);
  add_lane(out, link, "receive", link.receive);
  if (link.diode) {
    for (const DiodeFigure& figure : diode_figures(*link.diode)) {
      const MetricsText::Labels labelled = {{"link", link.name}, {"figure", figure.name}};
      if (figure.grows) out.counter("sallyport_diode_total", "What a diode link counts", labelled, figure.value);
      else out.gauge("sallyport_diode", "What a diode link measures", labelled, figure.value);
    }
  }
  for (const auto& hop : link.hops) {
    out.gauge("sallyport_hop_up", "1 while a link behind this node is up, as its node says",
              {{"link", link.name}, {"node", hop.node}, {"hop", hop.link}},
              std::uint64_t{hop.heard && hop.state == link::LinkState::up});
  }
}

void add_connector(MetricsText& out, std::string_view kind, const ConnectorInfo& info) {
  const std::string prefix = "sallyport_" + std::string(kind) + "_";
  const MetricsText::Labels labels = {{kind, info.name}, {"type", info.type}};
  out.gauge(prefix + "up", "1 while it is connected", labels, std::uint64_t{info.status.state == ConnectorState::up});
  out.gauge(prefix + "points", "Points it brings or takes", labels, info.status.points);
  out.counter(prefix + "changes_total", "Changes it brought or took", labels, info.status.changes);
  out.counter(prefix + "dropped_total", "Changes a limit forced out", labels, info.status.dropped);
  for (const auto& [name, count] : info.status.counters) {
    out.counter(prefix + "events_total", "What else it counts",
                {{kind, info.name}, {"type", info.type}, {"event", name}}, count);
  }
}

void add_journal(MetricsText& out, const journal::JournalStatus& journal, UtcNanoseconds now) {
  out.gauge("sallyport_journal_bytes", "What the journal has on disk", {}, journal.bytes);
  out.gauge("sallyport_journal_max_bytes", "What it may have", {}, journal.max_bytes);
  out.gauge("sallyport_journal_pending_bytes", "Appended and not yet durable", {}, journal.pending_bytes);
  out.gauge("sallyport_journal_failed", "1 while nothing can be written", {}, std::uint64_t{!journal.failure.empty()});
  out.counter("sallyport_journal_changes_total", "Changes appended", {}, journal.appended);
  out.counter("sallyport_journal_dropped_total", "Changes that a limit forced out or kept from coming in", {}, journal.dropped);
  out.counter("sallyport_journal_damaged_total", "Records that could not be read", {}, journal.damaged);
  out.counter("sallyport_journal_gaps_total", "Gaps that this node learned of", {}, journal.gaps);
  for (const auto& reader : journal.readers) {
    out.gauge("sallyport_journal_behind", "Records that a reader has not acknowledged", {{"reader", reader.name}}, reader.behind);
    out.gauge("sallyport_journal_oldest_seconds", "Age of the oldest of them", {{"reader", reader.name}},
              reader.oldest == 0 ? 0.0 : static_cast<double>(std::max<UtcNanoseconds>(0, now - reader.oldest)) / 1e9);
  }
}

void add_seals(MetricsText& out, const NodeStatus& status) {
  for (const auto& sealing : status.sealing) {
    const MetricsText::Labels labels = {{"prefix", sealing.prefix}};
    out.gauge("sallyport_seal_points", "Points that this node seals", labels, sealing.counters.points);
    out.counter("sallyport_seal_containers_total", "Sealed containers issued", labels, sealing.counters.issued.containers);
    out.counter("sallyport_seal_bytes_total", "Their bytes", labels, sealing.counters.issued.bytes);
    out.counter("sallyport_seal_too_large_total", "Values larger than a seal takes", labels, sealing.counters.too_large);
  }
  for (const auto& stream : status.verifying) {
    const MetricsText::Labels labels = {{"origin", stream.origin}, {"prefix", stream.prefix}};
    out.gauge("sallyport_verify_live", "1 while what this origin seals comes, verified and fresh", labels,
              std::uint64_t{stream.state == seal::StreamState::live});
    out.gauge("sallyport_verify_points", "Points verified", labels, stream.points);
    out.gauge("sallyport_verify_failed_buckets", "Buckets whose points are not good because their seal is wrong or old", labels, stream.failed_buckets);
    out.gauge("sallyport_verify_pq_buckets", "Buckets that a post-quantum checkpoint confirms as they are", labels, stream.pq_buckets);
    out.gauge("sallyport_verify_manifest_time_seconds", "Time of the newest manifest", labels, static_cast<double>(stream.manifest) / 1e9);
    for (const auto& [kind, count] : seal::refusals_by_name(stream.refused)) {
      out.counter("sallyport_verify_refused_total", "Containers and points that were refused", {{"origin", stream.origin}, {"prefix", stream.prefix}, {"reason", kind}}, count);
    }
  }
}

}  // namespace

std::string HttpView::status_json() { return node::status_json(status_()); }
std::string HttpView::links_json() { return node::links_json(status_()); }

void HttpView::metrics(MetricsText& out) {
  const auto status = status_();
  out.gauge("sallyport_info", "1, with the version as a label", {{"node", status.node}, {"version", version()}},
            std::uint64_t{1});
  out.gauge("sallyport_start_time_seconds", "When the node started", {}, static_cast<double>(status.started) / 1e9);
  add_points(out, status.points);
  for (const auto& link : status.links) add_link(out, link);
  for (const auto& source : status.sources) add_connector(out, "source", source);
  for (const auto& sink : status.sinks) add_connector(out, "sink", sink);
  if (status.journal) add_journal(out, *status.journal, status.now);
  add_seals(out, status);
  if (status.certificate) {
    out.gauge("sallyport_certificate_expiry_time_seconds", "When the node's certificate expires", {},
              static_cast<double>(status.certificate->not_after) / 1e9);
  }
}

bool HttpView::ready(std::string& why) {
  const auto status = status_();
  const auto miss = [&](const std::string& what, const std::string& reason) {
    why += (why.empty() ? "" : "; ") + what + " is not up" + (reason.empty() ? "" : ": " + reason);
  };
  for (const auto& link : status.links) {
    if (link.state != link::LinkState::up) miss("link " + link.name, link.reason);
  }
  for (const auto& source : status.sources) {
    if (source.status.state != ConnectorState::up) miss("source " + source.name, source.status.reason);
  }
  for (const auto& sink : status.sinks) {
    if (sink.status.state != ConnectorState::up) miss("sink " + sink.name, sink.status.reason);
  }
  for (const auto& stream : status.verifying) {
    if (stream.state != seal::StreamState::live) miss("what " + stream.origin + " seals", stream.reason);
  }
  return why.empty();
}

}  // namespace sallyport::node
