#include "node/status.h"

#include "base/json_writer.h"
#include "node/diode_status.h"
#include "node/version.h"

namespace sallyport::node {
namespace {

// While something is kept for a reader that does not come: how long it goes on like this.
std::optional<double> seconds_to_full(const journal::JournalStatus& journal) {
  if (journal.bytes_per_second < 1 || journal.bytes >= journal.max_bytes) return std::nullopt;
  return static_cast<double>(journal.max_bytes - journal.bytes) / journal.bytes_per_second;
}

constexpr std::int64_t kDay = 86'400'000'000'000;

std::int64_t microseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

void time_field(JsonWriter& json, std::string_view key, UtcNanoseconds time) {
  json.key(key);
  if (time == 0) {
    json.null();
  } else {
    json.string(format_utc(time));
  }
}

void write_lane(JsonWriter& json, std::string_view key, const link::LaneStatus& lane) {
  json.key(key);
  json.begin_object();
  json.field("changes", lane.changes);
  json.field("bytes", lane.bytes);
  json.field("dropped", lane.dropped);
  json.field("definitions", lane.definitions);
  json.end_object();
}

void write_hop(JsonWriter& json, const link::HopStatus& hop) {
  json.begin_object();
  json.field("node", hop.node);
  json.field("link", hop.link);
  json.field("peer", hop.peer);
  json.field("state", link::to_string(hop.state));
  time_field(json, "since", hop.since);
  json.field("reason", hop.reason);
  json.field("delay_us", microseconds(hop.delay));
  json.field("heard", hop.heard);
  json.end_object();
}

void write_link(JsonWriter& json, const link::LinkStatus& link) {
  json.begin_object();
  json.field("name", link.name);
  json.field("peer", link.peer);
  json.field("state", link::to_string(link.state));
  time_field(json, "since", link.since);
  json.field("reason", link.reason);
  json.field("group", link.group);
  json.field("address", link.address);
  json.field("dials", link.dials);
  json.field("loop", link.loop);
  write_lane(json, "send", link.send);
  write_lane(json, "receive", link.receive);
  json.field("delay_us", microseconds(link.delay));
  json.field("connects", link.connects);
  json.field("refused", link.refused);
  json.field("one_way", link::to_string(link.one_way));
  json.field("discarded_bytes", link.discarded_bytes);
  json.key("closed");
  json.begin_object();
  json.field("malformed", link.closed.malformed);
  json.field("version", link.closed.version);
  json.field("not_allowed", link.closed.not_allowed);
  json.field("timeout", link.closed.timeout);
  json.field("limit", link.closed.limit);
  json.end_object();
  json.field("synchronized", link.synchronized);
  json.field("secondary", link.secondary);
  json.field("renewals", link.renewals);
  json.field("key_updates", link.key_updates);
  json.field("resumes", link.resumes);
  json.field("full_resends", link.full_resends);
  json.field("digest_mismatches", link.digest_mismatches);
  json.field("repaired_points", link.repaired_points);
  write_diode(json, link);
  json.key("hops");
  json.begin_array();
  for (const auto& hop : link.hops) write_hop(json, hop);
  json.end_array();
  json.end_object();
}

void write_loop(JsonWriter& json, const LoopStatus& loop) {
  json.begin_object();
  json.field("name", loop.name);
  json.field("links", std::uint64_t{loop.links});
  json.field("cpu_us", microseconds(loop.cpu));
  json.end_object();
}

void write_connector(JsonWriter& json, const ConnectorInfo& info) {
  const auto& status = info.status;
  json.begin_object();
  json.field("name", info.name);
  json.field("type", info.type);
  if (!info.into.empty()) json.field("into", info.into);
  json.field("state", to_string(status.state));
  time_field(json, "since", status.since);
  json.field("reason", status.reason);
  json.field("points", status.points);
  json.field("changes", status.changes);
  json.field("dropped", status.dropped);
  json.key("details");
  json.begin_object();
  for (const auto& [key, text] : status.details) json.field(key, text);
  json.end_object();
  json.key("counters");
  json.begin_object();
  for (const auto& [key, count] : status.counters) json.field(key, count);
  json.end_object();
  json.end_object();
}

void write_journal(JsonWriter& json, const std::optional<journal::JournalStatus>& journal, UtcNanoseconds now) {
  json.key("journal");
  if (!journal) {
    json.null();
    return;
  }
  json.begin_object();
  json.field("id", journal->id);
  json.field("fsync", to_string(journal->sync));
  json.field("bytes", journal->bytes);
  json.field("max_bytes", journal->max_bytes);
  json.field("pending_bytes", journal->pending_bytes);
  json.field("appended", journal->appended);
  json.field("duplicates", journal->duplicates);
  json.field("dropped", journal->dropped);
  json.field("damaged", journal->damaged);
  json.field("gaps", journal->gaps);
  json.field("syncs", journal->syncs);
  json.field("bytes_per_second", journal->bytes_per_second);
  json.key("seconds_to_full");
  if (const auto left = seconds_to_full(*journal)) json.number(*left);
  else json.null();
  json.field("failure", journal->failure);
  json.key("readers");
  json.begin_array();
  for (const auto& reader : journal->readers) {
    json.begin_object();
    json.field("name", reader.name);
    json.field("acknowledged", reader.acknowledged);
    json.field("behind", reader.behind);
    json.field("behind_bytes", reader.behind_bytes);
    json.field("oldest_seconds", reader.oldest == 0 ? 0.0 : static_cast<double>(std::max<UtcNanoseconds>(0, now - reader.oldest)) / 1e9);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

void write_sealing(JsonWriter& json, const seal::SealingStatus& sealing) {
  const auto& counters = sealing.counters;
  json.begin_object();
  json.field("prefix", sealing.prefix);
  json.field("confidential", sealing.confidential);
  json.field("plain", sealing.plain);
  json.field("epoch", counters.epoch);
  json.field("points", counters.points);
  json.field("buckets", counters.buckets);
  json.field("changes", counters.changes);
  json.field("containers", counters.issued.containers);
  json.field("bytes", counters.issued.bytes);
  json.field("signatures", counters.issued.fast_signatures);
  json.field("pq_signatures", counters.issued.pq_signatures);
  json.field("too_large", counters.too_large);
  json.field("foreign", sealing.foreign);
  json.field("refused", counters.refused);
  json.field("failure", sealing.failure);
  json.end_object();
}

void write_verifying(JsonWriter& json, const seal::StreamStatus& stream) {
  json.begin_object();
  json.field("origin", stream.origin);
  json.field("prefix", stream.prefix);
  json.field("state", seal::to_string(stream.state));
  time_field(json, "since", stream.since);
  json.field("reason", stream.reason);
  json.field("confidential", stream.confidential);
  json.field("epoch", stream.epoch);
  json.field("points", stream.points);
  json.field("buckets", stream.buckets);
  json.field("failed_buckets", stream.failed_buckets);
  json.field("pq_buckets", stream.pq_buckets);
  time_field(json, "manifest", stream.manifest);
  time_field(json, "certificate_not_after", stream.certificate_not_after);
  json.field("containers", stream.containers);
  json.field("signatures", stream.signatures);
  json.field("pq_signatures", stream.pq_signatures);
  json.field("stale", stream.stale);
  json.key("refused");
  json.begin_object();
  for (const auto& [kind, count] : seal::refusals_by_name(stream.refused)) json.field(kind, count);
  json.end_object();
  json.field("last_refusal", stream.last_refusal);
  json.end_object();
}

void write_listen(JsonWriter& json, const std::optional<link::ListenStatus>& listen) {
  json.key("listen");
  if (!listen) {
    json.null();
    return;
  }
  const auto& counters = listen->counters;
  json.begin_object();
  json.field("port", unsigned{listen->port});
  json.field("accepted", counters.accepted);
  json.field("established", counters.established);
  json.field("handshaking", counters.handshaking);
  json.field("refused_limit", counters.refused_limit);
  json.field("failed_handshake", counters.failed_handshake);
  json.field("timed_out", counters.timed_out);
  json.field("last_failure", counters.last_failure);
  json.end_object();
}

void write_certificate(JsonWriter& json, const std::optional<net::CertificateInfo>& certificate) {
  json.key("certificate");
  if (!certificate) {
    json.null();
    return;
  }
  json.begin_object();
  json.field("name", certificate->name);
  json.field("algorithm", certificate->algorithm);
  json.field("issuer", certificate->issuer);
  json.field("sha256", certificate->sha256);
  time_field(json, "not_before", certificate->not_before);
  time_field(json, "not_after", certificate->not_after);
  json.end_object();
}

template <typename Items, typename Write>
void write_list(JsonWriter& json, std::string_view key, const Items& items, Write write) {
  json.key(key);
  json.begin_array();
  for (const auto& item : items) write(json, item);
  json.end_array();
}

}  // namespace

std::string status_json(const NodeStatus& status) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("node", status.node);
  json.field("version", version());
  json.field("pid", status.pid);
  time_field(json, "started", status.started);
  time_field(json, "now", status.now);
  json.field("config", status.config_file);
  json.field("data_dir", status.data_dir);
  json.key("points");
  json.begin_object();
  json.field("total", status.points.points);
  json.field("good", status.points.good);
  json.field("uncertain", status.points.uncertain);
  json.field("bad", status.points.bad);
  json.end_object();
  write_list(json, "loops", status.loops, write_loop);
  write_list(json, "links", status.links, write_link);
  write_listen(json, status.listen);
  json.key("seals");
  json.begin_object();
  write_list(json, "sealing", status.sealing, write_sealing);
  write_list(json, "verifying", status.verifying, write_verifying);
  json.end_object();
  write_journal(json, status.journal, status.now);
  write_list(json, "sources", status.sources, write_connector);
  write_list(json, "sinks", status.sinks, write_connector);
  json.field("http", status.http);
  write_certificate(json, status.certificate);
  write_list(json, "hints", status.hints, [](JsonWriter& to, const std::string& hint) { to.string(hint); });
  json.end_object();
  return out;
}

std::string links_json(const NodeStatus& status) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_list(json, "links", status.links, write_link);
  json.end_object();
  return out;
}

std::vector<std::string> hints_of(const NodeStatus& status) {
  std::vector<std::string> hints;
  for (const auto& link : status.links) {
    if (link.state != link::LinkState::up && !link.reason.empty())
      hints.push_back("link " + link.name + " is not up: " + link.reason);
    if (link.refused > 0)
      hints.push_back("link " + link.name + ": " + std::to_string(link.refused) + " frames or points of " + link.peer +
                      " were refused; compare its `send` with our `receive`" +
                      (status.verifying.empty() ? "" : " (of points that are verified here, what comes in the clear is refused on purpose: plain = false in [[seal]] saves it)"));
    if (link.discarded_bytes > 0)
      hints.push_back("link " + link.name + " only sends, and " + link.peer + " sent " + std::to_string(link.discarded_bytes) +
                      " bytes that are no acknowledgements; they were not read: look at that node");
    if (link.secondary) hints.push_back("link " + link.name + " uses a secondary address: " + link.address);
    if (link.digest_mismatches > 0)
      hints.push_back("link " + link.name + ": the mirror differed from " + link.peer + " " + std::to_string(link.digest_mismatches) +
                      " times and was repaired (" + std::to_string(link.repaired_points) + " points); please report this");
    const auto of_diode = diode_hints(link);
    hints.insert(hints.end(), of_diode.begin(), of_diode.end());
    for (const auto& hop : link.hops) {
      if (hop.state != link::LinkState::up)
        hints.push_back("behind link " + link.name + ": " + hop.node + " says that its " + hop.link +
                        " is not up: " + hop.reason);
    }
  }
  for (const auto* list : {&status.sources, &status.sinks}) {
    for (const auto& one : *list) {
      const char* kind = list == &status.sources ? "source " : "sink ";
      if (one.status.state != ConnectorState::up && !one.status.reason.empty())
        hints.push_back(kind + one.name + " is not up: " + one.status.reason);
      if (one.status.dropped > 0)
        hints.push_back(kind + one.name + " dropped " + std::to_string(one.status.dropped) + " changes");
    }
  }
  if (status.journal) {
    const auto& journal = *status.journal;
    if (!journal.failure.empty()) hints.push_back("the journal cannot write, and acknowledges nothing: " + journal.failure);
    if (journal.dropped > 0) hints.push_back("the journal lost " + std::to_string(journal.dropped) + " changes to its limits; see `sallyport gaps`");
    if (journal.damaged > 0) hints.push_back(std::to_string(journal.damaged) + " records of the journal are damaged; see `sallyport gaps`, and check the disk");
    if (journal.bytes > journal.max_bytes / 10 * 8) hints.push_back("the journal has used " + std::to_string(journal.bytes / (journal.max_bytes / 100)) + " % of its max_size; a reader is away, or too slow");
  }
  for (const auto& sealing : status.sealing) {
    if (!sealing.failure.empty()) hints.push_back("points of '" + sealing.prefix + "' are not sealed: " + sealing.failure);
    if (sealing.counters.too_large > 0)
      hints.push_back(std::to_string(sealing.counters.too_large) + " values of '" + sealing.prefix + "' were larger than a seal takes; their points were sealed as bad");
  }
  for (const auto& stream : status.verifying) {
    const std::string what = "seals of " + stream.origin + (stream.prefix.empty() ? "" : " (" + stream.prefix + ")");
    if (stream.state != seal::StreamState::live) hints.push_back(what + ": " + std::string(seal::to_string(stream.state)) + ": " + stream.reason);
    if (stream.failed_buckets > 0)
      hints.push_back(what + ": the points of " + std::to_string(stream.failed_buckets) + " of " + std::to_string(stream.buckets) + " buckets are not good: " + stream.reason);
    if (stream.refused.total() > 0)
      hints.push_back(what + ": " + std::to_string(stream.refused.total()) + " containers were refused, the last one because: " + stream.last_refusal + "; see docs/seals.md");
    if (stream.certificate_not_after != 0 && stream.certificate_not_after - status.now < 30 * kDay)
      hints.push_back(what + ": the certificate of " + stream.origin + " expires at " + format_utc(stream.certificate_not_after));
  }
  if (status.sign_certificate_not_after && *status.sign_certificate_not_after - status.now < 30 * kDay) {
    hints.push_back("the pair that signs expires at " + format_utc(*status.sign_certificate_not_after) +
                    ", and then nothing that is sealed here is good anywhere; issue a new one with `sallyport keys issue` and reload");
  }
  if (status.certificate && status.certificate->not_after - status.now < 30 * kDay) {
    hints.push_back("the certificate expires at " + format_utc(status.certificate->not_after) +
                    "; issue a new one with `sallyport keys issue` and reload");
  }
  return hints;
}

}  // namespace sallyport::node
