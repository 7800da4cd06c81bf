#include "sources/opcua/opcua_session.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "protocol/opcua/value_codec.h"

namespace sallyport::opcua {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kFlush = 1000;  // changes handed over at once
constexpr std::size_t kDefine = 1000;
constexpr Duration kWait = milliseconds(50);
constexpr Duration kFirstValues = seconds(5);  // without any first value for so long: read what is missing
constexpr Duration kRereadPause = seconds(10);
constexpr Duration kReport = milliseconds(500);
constexpr Duration kRetryMissing = seconds(5);
constexpr Duration kMaxRetryMissing = seconds(60);
constexpr std::uint32_t kOverflow = 0x480;  // InfoType DataValue with Overflow (OPC 10000-4 §7.39.1)

std::uint64_t hash_of(const Meta& meta) {
  const std::hash<std::string_view> text;
  const std::hash<double> number;
  std::uint64_t out = static_cast<std::uint64_t>(meta.type) * 2 + (meta.array ? 1 : 0);
  const auto mix = [&out](std::uint64_t value) { out = (out ^ value) * 0x9E3779B97F4A7C15u + (out >> 29); };
  mix(text(meta.description));
  mix(text(meta.unit));
  mix(meta.range_low ? number(*meta.range_low) + 1 : 0);
  mix(meta.range_high ? number(*meta.range_high) + 1 : 0);
  for (const std::string& entry : meta.enum_strings) mix(text(entry));
  return out;
}

std::string_view server_state_name(int state) {
  constexpr std::string_view names[] = {"running",       "failed", "no configuration",    "suspended",
                                        "shutting down", "test",   "communication fault", "unknown"};
  return state >= 0 && state < 8 ? names[state] : "unknown";
}

double milliseconds_of(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

std::string milliseconds_text(double ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10gms", ms);
  return text;
}

ClientOptions client_options(const std::string& name, const SourceSettings& settings, const std::atomic<bool>& stop) {
  ClientOptions out;
  out.endpoint = settings.endpoint;
  out.name = name;
  out.security = settings.security;
  out.identity = settings.identity;
  out.trust = settings.trust;
  out.server_uri = settings.server_uri;
  out.login = settings.login;
  out.allow_plaintext_password = settings.allow_plaintext_password;
  out.request_timeout = settings.request_timeout;
  // A lost connection leaves its session behind: let it die soon, devices have few.
  out.session_timeout = std::max<Duration>(seconds(20), 4 * settings.keepalive);
  out.stop = &stop;
  return out;
}

}  // namespace

Session::Session(const std::string& name, const SourceSettings& settings, Publisher& out, Points& points,
                 Counters& counters, const std::atomic<bool>& stop, Reporter report)
    : name_(name),
      settings_(settings),
      out_(out),
      points_(points),
      counters_(counters),
      stop_(stop),
      report_(std::move(report)) {
  for (auto& [path, known] : points_.by_path) known.handle = kNoHandle;
}

Session::~Session() {
  subscriptions_.reset();  // before the client, whose pending requests it then no longer hears of
}

Result<void> Session::run() {
  const MonotonicTime begun = out_.clock().monotonic();
  if (auto connected = connect(); !connected) return connected;
  start_.connect = out_.clock().monotonic() - begun;
  if (auto synchronized = synchronize(); !synchronized) return synchronized;
  last_step_ = out_.clock().monotonic();
  while (!stop_.load(std::memory_order_relaxed)) {
    if (auto done = step(); !done) {
      flush();
      count_subscriptions();
      return done;
    }
  }
  return {};
}

Result<void> Session::connect() {
  auto client = Client::connect(client_options(name_, settings_, stop_));
  if (!client) return std::unexpected(client.error());
  client_ = std::move(*client);
  log::debug("opcua: connected", log::field("source", name_), log::field("endpoint", settings_.endpoint));
  for (const std::string& warning : client_->warnings()) log::warn("opcua: " + warning, log::field("source", name_));
  SubscriptionSettings wanted{settings_.publishing_interval, settings_.sampling_interval, settings_.queue,
                              settings_.keepalive};
  subscriptions_ = std::make_unique<Subscriptions>(
      *client_, wanted, [this](std::uint32_t handle, const UA_DataValue& data) { on_value(handle, data, false); },
      [this](std::uint32_t handle, UA_StatusCode status) { on_failure(handle, status); });
  return {};
}

// --- Points
// ------------------------------------------------------------------------------------------------------------

Result<void> Session::synchronize() {
  if (auto refreshed = client_->refresh_namespaces(); !refreshed) return std::unexpected(refreshed.error());
  auto model =
      read_model(*client_, {settings_.browse, settings_.include, settings_.exclude, out_.into(), settings_.max_points});
  if (!model) return within("browsing", model.error());
  log::debug("opcua: browsed", log::field("source", name_),
             log::field("points", static_cast<std::int64_t>(model->points.size())));
  for (const std::string& missing : model->missing) {
    if (std::ranges::contains(model_.missing, missing)) continue;
    log::error("opcua: " + missing, log::field("source", name_));
  }
  for (const std::string& note : model->notes) {
    if (noted_.contains(note)) continue;
    noted_ += note + "\n";
    log::warn("opcua: " + note, log::field("source", name_));
  }
  const MonotonicTime browsed = out_.clock().monotonic();
  ++points_.generation;
  const auto handles = define(model->points);
  model->points.clear();
  const bool had_missing = !model_.missing.empty();
  model_ = std::move(*model);
  forget_vanished();
  flush();
  const MonotonicTime defined = out_.clock().monotonic();
  if (auto subscribed = subscribe(handles); !subscribed) return subscribed;
  log::debug("opcua: subscribed", log::field("source", name_),
             log::field("items", static_cast<std::int64_t>(handles.size())),
             log::field("without_value", static_cast<std::int64_t>(waiting_)));
  const MonotonicTime now = out_.clock().monotonic();
  if (!live_) {
    start_.browse = model_.browsing;
    start_.metadata = model_.metadata;
    start_.define = defined - browsed;
    start_.subscribe = now - defined;
    subscribed_ = now;
  }
  progress_ = now;
  next_full_browse_ = settings_.rebrowse > Duration::zero() ? now + settings_.rebrowse : MonotonicTime::max();
  plan_browse(now, had_missing);
  report();
  return {};
}

// A start node that is not there is looked for again, less and less often.
void Session::plan_browse(MonotonicTime now, bool still_missing) {
  next_browse_ = next_full_browse_;
  if (model_.missing.empty()) return;
  retry_missing_ = still_missing ? std::min<Duration>(2 * retry_missing_, kMaxRetryMissing) : kRetryMissing;
  next_browse_ = std::min(next_browse_, now + retry_missing_);
}

Result<void> Session::browse_again(MonotonicTime now) {
  if (now < next_full_browse_) {  // only a start node was missing: spare the server a full browse while it still is
    if (auto refreshed = client_->refresh_namespaces(); !refreshed) return std::unexpected(refreshed.error());
    const auto missing = missing_starts(*client_, settings_.browse);
    if (!missing) return within("looking for start nodes", missing.error());
    if (missing->size() == model_.missing.size()) {
      plan_browse(now, true);
      return {};
    }
  }
  return synchronize();
}

// Handles of the items that are to be monitored from now on.
std::vector<std::uint32_t> Session::define(std::vector<ModelPoint>& points) {
  points_.by_path.reserve(points.size());
  items_.reserve(items_.size() + points.size());
  std::vector<ModelPoint*> fresh;
  for (ModelPoint& point : points) {
    if (!points_.by_path.contains(point.path)) fresh.push_back(&point);
  }
  for (std::size_t at = 0; at < fresh.size(); at += kDefine) {
    define_new(std::span(fresh).subspan(at, std::min(kDefine, fresh.size() - at)));
  }
  std::vector<std::uint32_t> handles, replaced;
  for (ModelPoint& point : points) {
    const auto found = points_.by_path.find(point.path);
    if (found == points_.by_path.end()) continue;  // refused
    KnownPoint& known = found->second;
    known.generation = points_.generation;
    const std::uint64_t hash = hash_of(point.meta);
    if (known.handle != kNoHandle && !UA_NodeId_equal(items_[known.handle].node.get(), point.node.get())) {
      items_[known.handle].gone = true;
      replaced.push_back(known.handle);
      known.handle = kNoHandle;
    }
    if (known.handle == kNoHandle) {
      known.handle = static_cast<std::uint32_t>(items_.size());
      handles.push_back(known.handle);
      Item item;
      item.path = point.path;
      item.node = std::move(point.node);
      item.point = known.id;
      items_.push_back(std::move(item));
      ++waiting_;
    }
    if (known.meta_hash != hash) items_[known.handle].redefine = std::make_unique<Meta>(std::move(point.meta));
    known.meta_hash = hash;
  }
  // A failure here shows as a lost connection soon enough.
  if (!replaced.empty()) (void)subscriptions_->remove(replaced);
  return handles;
}

void Session::define_new(std::span<ModelPoint*> points) {
  std::vector<Definition> definitions;
  for (const ModelPoint* point : points) {
    Definition definition;
    definition.path = point->path;
    definition.meta = &point->meta;
    definition.first.status = status::kBadWaitingForInitialData;
    // No source time either: with one of ours, what the server says next would step back, and a node further on would
    // replace the value it still shows by nothing.
    definition.first.source_time = 0;
    definitions.push_back(std::move(definition));
  }
  std::vector<PointId> ids(points.size(), kNoPoint);
  const auto refused = out_.define(definitions, ids);
  if (refused.count != 0) {
    if (counters_.points_refused == 0)
      log::error("opcua: points refused", log::field("source", name_), log::field("reason", refused.first_reason));
    counters_.points_refused += refused.count;
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (ids[i] == kNoPoint) continue;
    points_.by_path[points[i]->path] = {ids[i], hash_of(points[i]->meta), points_.generation, kNoHandle};
  }
}

void Session::forget_vanished() {
  std::vector<PointId> ids;
  std::vector<std::uint32_t> handles;
  for (auto at = points_.by_path.begin(); at != points_.by_path.end();) {
    const KnownPoint& known = at->second;
    if (known.generation == points_.generation) {
      ++at;
      continue;
    }
    ids.push_back(known.id);
    if (known.handle != kNoHandle) {
      Item& item = items_[known.handle];
      see(item);
      item.gone = true;
      handles.push_back(known.handle);
    }
    at = points_.by_path.erase(at);
  }
  if (ids.empty()) return;
  flush();  // what is on its way belongs before the removal
  out_.remove(ids);
  if (!handles.empty()) (void)subscriptions_->remove(handles);
  log::info("opcua: points vanished", log::field("source", name_),
            log::field("count", static_cast<std::int64_t>(ids.size())));
}

Result<void> Session::subscribe(std::span<const std::uint32_t> handles) {
  std::vector<Subscriptions::Item> items;
  items.reserve(handles.size());
  for (const std::uint32_t handle : handles) items.push_back({handle, *items_[handle].node});
  auto added = subscriptions_->add(items);
  count_subscriptions();
  return added;
}

// --- Values
// ------------------------------------------------------------------------------------------------------------

void Session::see(Item& item) {
  if (item.seen) return;
  item.seen = true;
  --waiting_;
  progress_ = out_.clock().monotonic();
}

void Session::on_value(std::uint32_t handle, const UA_DataValue& data, bool read) {
  if (handle >= items_.size() || items_[handle].gone) return;
  Item& item = items_[handle];
  Change change;
  change.point = item.point;
  if (changes_.empty()) received_ = out_.clock().utc();  // once per batch: it costs as much as the rest of this
  to_change(data, client_->namespaces(), received_, change);
  if (read) {
    item.floor = change.source_time;
  } else if (item.floor != 0) {
    if (change.source_time < item.floor) {
      ++counters_.stale_dropped;
      return;
    }
    item.floor = 0;
  }
  if ((change.status & kOverflow) == kOverflow) ++counters_.overflows;
  see(item);
  if (item.redefine) {
    flush();
    Definition definition;
    definition.path = item.path;
    definition.meta = item.redefine.get();
    definition.first = std::move(change);
    out_.define(std::span(&definition, 1), std::span(&item.point, 1));
    item.redefine.reset();
    ++counters_.changes;
    return;
  }
  changes_.push_back(std::move(change));
  if (changes_.size() >= kFlush) flush();
}

void Session::on_failure(std::uint32_t handle, UA_StatusCode status) {
  UA_DataValue data{};
  data.hasStatus = true;
  data.status = status;
  on_value(handle, data, false);
}

void Session::flush() {
  if (changes_.empty()) return;
  // open62541 tells of the item made last first: on every link that would cost a longer id for each change. Each point
  // is in there once, or they would not all fall.
  if (std::ranges::adjacent_find(changes_, std::ranges::less_equal{}, &Change::point) == changes_.end())
    std::ranges::reverse(changes_);
  counters_.changes += changes_.size();
  out_.publish(changes_);
  changes_.clear();
}

// After lost messages (all values), or for items that the server never told a first value of.
Result<void> Session::read_again(bool only_missing) {
  std::vector<UA_ReadValueId> what;
  std::vector<std::uint32_t> handles;
  for (std::uint32_t handle = 0; handle < items_.size(); ++handle) {
    const Item& item = items_[handle];
    if (item.gone || (only_missing && item.seen)) continue;
    UA_ReadValueId id{};
    id.nodeId = *item.node;
    id.attributeId = UA_ATTRIBUTEID_VALUE;
    what.push_back(id);
    handles.push_back(handle);
  }
  for (std::size_t at = 0; at < what.size(); at += kFlush) {
    const std::size_t count = std::min(kFlush, what.size() - at);
    const auto values = client_->read(std::span(what).subspan(at, count), UA_TIMESTAMPSTORETURN_BOTH);
    if (!values) return within("reading values", values.error());
    for (std::size_t i = 0; i < count; ++i) on_value(handles[at + i], *(*values)[i], true);
    flush();
  }
  return {};
}

// --- The loop
// ----------------------------------------------------------------------------------------------------------

Result<void> Session::step() {
  auto here = client_->iterate(kWait);
  const MonotonicTime now = out_.clock().monotonic();
  if (now - last_step_ > seconds(2)) {  // this process stood still, not the server
    subscriptions_->forgive(now - last_step_);
    probe_deadline_ += now - last_step_;
  }
  last_step_ = now;
  auto worked = subscriptions_->work(now);
  flush();
  if (!here) return here;
  if (!worked) return worked;
  if (subscriptions_->take_gap()) {
    log::error("opcua: messages lost for good, all values are read again", log::field("source", name_));
    const UtcNanoseconds to = out_.clock().utc();
    out_.missed(GapCause::sequence, "", to - settings_.publishing_interval.count(), to, 0, "numbered messages of the server are missing");
    reread_due_ = true;
  }
  if (reread_due_ && now >= next_reread_) {
    reread_due_ = false;
    next_reread_ = now + kRereadPause;
    if (auto read = read_again(false); !read) return read;
  }
  count_subscriptions();
  if (auto checked = check_live(now); !checked) return checked;
  if (auto probed = probe(now); !probed) return probed;
  if (now >= next_report_) report();
  return now < next_browse_ ? Result<void>() : browse_again(now);
}

Result<void> Session::check_live(MonotonicTime now) {
  if (waiting_ != 0 && now - progress_ > std::max<Duration>(kFirstValues, 3 * settings_.publishing_interval)) {
    if (auto read = read_again(true); !read) return read;
  }
  if (live_ || waiting_ != 0) return {};
  live_ = true;
  out_.live();
  start_.first_values = out_.clock().monotonic() - subscribed_;
  log::info("opcua: live", log::field("source", name_), log::field("endpoint", settings_.endpoint),
            log::field("points", static_cast<std::int64_t>(points_.by_path.size())),
            log::field("security", client_->security_text()));
  report();
  return {};
}

// A server that answers nothing is gone, whatever keep-alive it had promised.
Result<void> Session::probe(MonotonicTime now) {
  if (probe_state_ && *probe_state_ != -2) {
    if (*probe_state_ >= 0 && *probe_state_ != server_state_) {
      server_state_ = *probe_state_;
      if (server_state_ != 0)
        log::warn("opcua: server state", log::field("source", name_),
                  log::field("state", server_state_name(server_state_)));
      report();
    }
    probe_state_.reset();
    next_probe_ = now + settings_.keepalive;
  }
  if (probe_state_)
    return now < probe_deadline_ ? Result<void>() : fail(ErrorCode::timeout, "the server does not answer");
  if (now < next_probe_) return {};
  Owned<UA_ReadRequest, UA_TYPES_READREQUEST> request;
  UA_ReadValueId id{};
  id.nodeId = UA_NODEID_NUMERIC(0, UA_NS0ID_SERVER_SERVERSTATUS_STATE);
  id.attributeId = UA_ATTRIBUTEID_VALUE;
  request->nodesToRead = &id;
  request->nodesToReadSize = 1;
  probe_state_ = std::make_shared<int>(-2);
  probe_deadline_ = now + settings_.keepalive + seconds(2);
  const auto answered = [state = probe_state_](void* from) {
    const auto& response = *static_cast<const UA_ReadResponse*>(from);
    *state = -1;
    if (response.resultsSize != 1 || !UA_Variant_isScalar(&response.results[0].value)) return;
    const UA_Variant& value = response.results[0].value;
    if (value.type->memSize == sizeof(UA_Int32)) *state = *static_cast<const UA_Int32*>(value.data);
  };
  auto sent = client_->send(request.get(), request.type(), &UA_TYPES[UA_TYPES_READRESPONSE],
                            2 * settings_.keepalive + seconds(10), answered);
  *request = UA_ReadRequest{};
  return sent;
}

void Session::count_subscriptions() {
  const SubscriptionCounters& now = subscriptions_->counters();
  counters_.sequence_gaps += now.sequence_gaps - counted_.sequence_gaps;
  counters_.republished += now.republished - counted_.republished;
  counters_.items_failed += now.items_failed - counted_.items_failed;
  counted_ = now;
}

void Session::report() {
  next_report_ = out_.clock().monotonic() + kReport;
  const Revised& revised = subscriptions_->revised();
  Report out;
  out.live = live_;
  for (const std::string& missing : model_.missing) (out.missing += out.missing.empty() ? "" : "; ") += missing;
  out.details = {{"endpoint", settings_.endpoint},
                 {"server", client_->server_name()},
                 {"server_uri", client_->server_uri()},
                 {"server_state", std::string(server_state_name(server_state_))},
                 {"security", client_->security_text()},
                 {"publishing_interval", milliseconds_text(revised.publishing_interval_ms)},
                 {"sampling_interval", milliseconds_text(revised.sampling_interval_ms)},
                 {"queue", std::to_string(revised.queue)},
                 {"keepalive", milliseconds_text(revised.keepalive_ms)},
                 {"subscriptions", std::to_string(revised.subscriptions)}};
  for (const auto& [key, took] : {std::pair{"start_connect", start_.connect},
                                  {"start_browse", start_.browse},
                                  {"start_metadata", start_.metadata},
                                  {"start_define", start_.define},
                                  {"start_subscribe", start_.subscribe},
                                  {"start_first_values", start_.first_values}})
    out.details.emplace_back(key, milliseconds_text(std::round(milliseconds_of(took))));
  report_(out);
}

}  // namespace sallyport::opcua
