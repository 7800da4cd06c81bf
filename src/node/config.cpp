// Reads a node's TOML. Each table has its own small function; connectors read their own tables.
#include "node/config.h"

#include <algorithm>
#include <map>

#include "namespace/path.h"
#include "node/diode_settings.h"
#include "node/seal_settings.h"
#include "node/via_settings.h"

namespace sallyport::node {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxAddresses = 8;
constexpr std::uint64_t kLeastJournal = 128u << 20;   // two segments
constexpr std::string_view kNameRule = "a name is 1 to 64 letters, digits, '.', '_' or '-'";

bool is_name(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !text.empty() && text.size() <= 64 && text != "." && text != ".." && std::ranges::all_of(text, allowed);
}

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

// Names that must differ, and where each was seen first.
class Names {
 public:
  explicit Names(std::string what) : what_(std::move(what)) {}
  void add(const std::string& name, SettingsReader& reader) {
    const auto [at, fresh] = first_.emplace(name, reader.place("name"));
    if (fresh) return;
    reader.problem("name", "there is already a " + what_ + " named " + in_quotes(name) + " in line " +
                               std::to_string(at->second.line) + "; give each its own name");
  }

 private:
  std::string what_;
  std::map<std::string, Place> first_;
};

// A required key `name`, checked. Empty when it is missing or wrong, which has then been said.
std::string read_name(SettingsReader& reader, std::string_view key = "name") {
  std::string name = reader.required_string(key);
  if (name.empty() || is_name(name)) return name;
  reader.problem(key, in_quotes(name) + " is no name: " + std::string(kNameRule));
  return {};
}

Patterns read_patterns(SettingsReader& reader, std::string_view key, std::vector<std::string>& texts) {
  texts = reader.strings(key, {});
  auto patterns = Patterns::parse(texts);
  if (patterns) return *std::move(patterns);
  reader.problem(key, patterns.error().message);
  return {};
}

Status read_on_loss(SettingsReader& reader) {
  return reader.choice("on_loss", "bad", {"bad", "uncertain"}) == "uncertain"
             ? status::kUncertainNoCommunicationLastUsableValue
             : status::kBadNoCommunication;
}

// Everything that is read, and what must be unique across tables.
struct Reading {
  const ConnectorTypes& types;
  Problems& problems;
  Config& config;
  std::shared_ptr<const DeliveryRules> delivery{};
  std::string delivery_text{};
  Names link_names{"link"};
  Names peer_names{"listen.peer"};
  Names source_names{"source"};
  Names sink_names{"sink"};
};

void read_node(Reading& r, SettingsReader& root) {
  const auto table = root.table("node");
  if (!table) {
    root.problem("", "the [node] table is missing; add [node] with name = \"…\" and data_dir = \"…\"");
    return;
  }
  SettingsReader reader(*table, r.problems);
  r.config.name = read_name(reader);
  r.config.data_dir = reader.file("data_dir");
  if (r.config.data_dir.empty()) {
    reader.problem(
        "data_dir",
        "data_dir is missing: the folder where the node keeps its state, e.g. data_dir = \"/var/lib/sallyport\"");
  }
  r.config.threads = static_cast<unsigned>(reader.integer("threads", 1, 1, kMaxThreads));
}

// The pair that signs data is needed by some nodes only: what is wrong with one that was found is said to those who need it
// (check_signer_present), what is wrong with one that was named is a problem at once.
void read_signer(Reading& r, SettingsReader& reader) {
  auto& files = r.config.identity_files;
  const bool named = !files.sign_certificate.empty() || !files.sign_key.empty();
  if (files.sign_certificate.empty() != files.sign_key.empty()) {
    reader.problem(files.sign_key.empty() ? "sign_certificate" : "sign_key",
                   "sign_certificate and sign_key belong together; name both, or neither: X.sign.crt and X.sign.key are then "
                   "looked for beside the certificate X.crt");
    return;
  }
  files = net::with_sign_files(std::move(files));
  auto signer = net::Signer::load(files, r.config.name);
  if (signer) {
    r.config.signer = *std::move(signer);
    return;
  }
  r.config.no_signer = signer.error().message;
  if (named) reader.problem(r.config.no_signer.starts_with(files.sign_key) ? "sign_key" : "sign_certificate", r.config.no_signer);
}

void read_identity(Reading& r, SettingsReader& root) {
  const auto table = root.table("identity");
  if (!table) return;
  SettingsReader reader(*table, r.problems);
  const std::size_t before = r.problems.size();
  auto& files = r.config.identity_files;
  files = {reader.file("certificate"), reader.file("private_key"), reader.file("trust"), reader.file("key_log"),
           reader.file("sign_certificate"), reader.file("sign_key")};
  for (const auto& [key, file] : {std::pair<std::string_view, std::string&>{"certificate", files.certificate},
                                  {"private_key", files.private_key},
                                  {"trust", files.trust}}) {
    if (file.empty())
      reader.problem(key, std::string(key) + " is missing; `sallyport keys ca` and `keys issue` make all three files");
  }
  if (r.problems.size() > before || r.config.name.empty()) return;
  if (!files.key_log.empty()) reader.warning("key_log", net::kKeyLogWarning);
  auto identity = net::TlsIdentity::load(files, r.config.name);
  if (identity) {
    r.config.identity = *std::move(identity);
    read_signer(r, reader);
    return;
  }
  // The message names the file; point at the key that names it.
  const std::string& message = identity.error().message;
  const std::string_view key = message.starts_with(files.private_key) ? "private_key"
                               : message.starts_with(files.trust)     ? "trust"
                               : !files.key_log.empty() && message.starts_with(files.key_log) ? "key_log"
                                                                      : "certificate";
  reader.problem(key, message);
}

void check_identity_present(const Reading& r, SettingsReader& reader, std::string_view what) {
  if (!r.config.identity_files.certificate.empty()) return;
  reader.problem("", std::string(what) + " needs an [identity] with certificate, private_key and trust");
}

// A link that receives nothing reads nothing but acknowledgements, unless told otherwise.
void read_one_way(SettingsReader& reader, LinkConfig& link) {
  auto& options = link.options;
  const bool only_sends = link.receive.empty() && !link.send.empty();
  const std::string mode = reader.choice("one_way", only_sends ? "acks" : "off", {"off", "acks", "strict"});
  options.one_way = mode == "strict" ? link::OneWay::strict : mode == "acks" ? link::OneWay::acks : link::OneWay::off;
  if (options.one_way != link::OneWay::off && !link.receive.empty()) {
    reader.problem("one_way", "one_way = \"" + mode + "\" is for a link that only sends, and this one has `receive`; leave one of the two out");
    options.one_way = link::OneWay::off;
  }
  options.rate = reader.bit_rate("rate", options.rate, 64'000, 100'000'000'000);
  if (reader.has("rate") && options.one_way != link::OneWay::strict)
    reader.problem("rate", "`rate` is for one_way = \"strict\": otherwise the peer's acknowledgements tell how fast the way is");
}

// What [[link]] and [[listen.peer]] have in common.
void read_traffic(Reading& r, SettingsReader& reader, LinkConfig& link, bool connects = true) {
  auto& options = link.options;
  options.send = read_patterns(reader, "send", link.send);
  options.receive = read_patterns(reader, "receive", link.receive);
  if (link.send.empty() && link.receive.empty()) {
    reader.warning(
        "", "link " + in_quotes(options.name) + " carries nothing; add send = [\"…/**\"] or receive = [\"…/**\"]");
  }
  options.heartbeat = reader.duration("heartbeat", std::chrono::seconds(1), milliseconds(20), std::chrono::hours(1));
  // A longer heartbeat alone should just work: the default timeout follows it.
  const Duration usual = std::max<Duration>(std::chrono::seconds(3), 3 * options.heartbeat);
  const Duration default_timeout = reader.has("heartbeat") && !reader.has("timeout") ? 3 * options.heartbeat : usual;
  options.timeout = reader.duration("timeout", default_timeout, milliseconds(40), std::chrono::hours(4));
  if (options.timeout < 2 * options.heartbeat) {
    reader.problem(
        "timeout",
        "timeout must be at least twice the heartbeat, or one late heartbeat cuts the link; three times is usual");
  }
  options.on_loss = read_on_loss(reader);
  options.rank = static_cast<unsigned>(reader.integer("rank", 0, 0, 255));
  if (connects) read_one_way(reader, link);
  if (connects) options.key_update = reader.duration("key_update", options.key_update, std::chrono::seconds(1), std::chrono::hours(24));
  if (!options.dial.empty()) {
    options.reconnect = reader.duration("reconnect", options.reconnect, std::chrono::seconds(1), std::chrono::hours(24 * 365));
  }
  if (!options.peer.empty() && options.peer == r.config.name) {
    reader.problem(options.dial.empty() ? "name" : "peer", in_quotes(options.peer) + " is this node itself");
  }
}

// One address, or several in order of preference.
void read_dial(SettingsReader& reader, link::LinkOptions& options) {
  std::vector<std::string> addresses;
  if (reader.is_array("dial")) {
    addresses = reader.strings("dial", {});
    if (addresses.empty()) reader.problem("dial", "dial = [] names no address; write where the peer listens, e.g. [\"dmz.example:4433\"]");
    if (addresses.size() > kMaxAddresses) reader.problem("dial", "at most " + std::to_string(kMaxAddresses) + " addresses");
  } else if (const std::string one = reader.required_string("dial"); !one.empty()) {
    addresses.push_back(one);
  }
  for (const std::string& address : addresses) {
    auto parsed = net::parse_address(address);
    if (parsed && parsed->port == 0) {
      reader.problem("dial", "cannot dial port 0; write the port that the peer listens on, e.g. \"dmz.example:4433\"");
    } else if (parsed) {
      options.dial.push_back(*std::move(parsed));
    } else {
      reader.problem("dial", parsed.error().message);
    }
  }
}

void read_link(Reading& r, const Settings& table) {
  SettingsReader reader(table, r.problems);
  LinkConfig link;
  link.place = table.place();
  link.options.name = read_name(reader);
  if (!link.options.name.empty()) r.link_names.add(link.options.name, reader);
  link.options.peer = read_name(reader, "peer");
  check_identity_present(r, reader, "a [[link]]");
  const auto diode = reader.table("diode");
  if (!diode) {
    read_dial(reader, link.options);
    link.options.via = read_via(reader);
  }
  read_traffic(r, reader, link, !diode);
  if (diode) {
    for (const std::string_view key : {"dial", "proxy", "websocket", "client_hello", "one_way", "rate", "key_update", "reconnect"}) {
      if (reader.has(key)) reader.problem(key, std::string(key) + " is for a connection, and over a diode there is none" + (key == "rate" ? "; it goes into diode = { … }" : ""));
    }
    link.options.diode = read_diode(*diode, r.problems, r.config, link);
    if (!link.options.diode) return;
  }
  r.config.links.push_back(std::move(link));
}

void read_peer(Reading& r, const Settings& table) {
  SettingsReader reader(table, r.problems);
  LinkConfig link;
  link.place = table.place();
  link.options.name = link.options.peer = read_name(reader);
  if (!link.options.name.empty()) {
    r.peer_names.add(link.options.name, reader);
    const auto clash = std::ranges::find_if(r.config.links, [&](const LinkConfig& other) {
      return !other.options.dial.empty() && other.options.name == link.options.name;
    });
    if (clash != r.config.links.end()) {
      reader.problem("name", "a [[link]] in line " + std::to_string(clash->place.line) + " is named " +
                                 in_quotes(link.options.name) + " too; rename that link");
    }
  }
  read_traffic(r, reader, link);
  r.config.links.push_back(std::move(link));
}

void read_listen(Reading& r, SettingsReader& root) {
  const auto table = root.table("listen");
  if (!table) return;
  SettingsReader reader(*table, r.problems);
  r.config.listen_place = reader.place("address");
  const std::string address = reader.required_string("address");
  if (!address.empty()) {
    auto parsed = net::parse_address(address);
    if (parsed) {
      r.config.listen = *std::move(parsed);
    } else {
      reader.problem("address", parsed.error().message);
    }
  }
  r.config.listen_websocket = reader.boolean("websocket", false);
  check_identity_present(r, reader, "[listen]");
  const auto peers = reader.tables("peer");
  if (peers.empty()) {
    reader.problem("",
                   "[listen] without a [[listen.peer]] would refuse everybody; add one for each node that may connect");
  }
  for (const Settings& peer : peers) read_peer(r, peer);
}

// The type named by a key of [source] or [sink], or a problem that lists those there are.
template <typename Types>
auto find_type(const Types& types, std::string_view kind, const std::string& name, SettingsReader& reader)
    -> decltype(types.data()) {
  const auto found = std::ranges::find(types, name, [](const auto& type) { return type.name; });
  if (found != types.end()) return &*found;
  std::vector<std::string> names;
  for (const auto& type : types) names.push_back(type.name);
  std::string list;
  for (const auto& known : names) list += (list.empty() ? "" : ", ") + known;
  const auto hint = nearest(name, names);
  reader.problem(name, "there is no " + std::string(kind) + " type " + in_quotes(name) +
                           (hint ? "; did you mean " + in_quotes(*hint) + "?" : "") + " Known: " + list);
  return nullptr;
}

void read_source(Reading& r, const SourceType& type, const Settings& table) {
  SettingsReader reader(table, r.problems);
  SourceConfig source;
  source.type = type.name;
  source.common.node = r.config.name;
  source.common.name = read_name(reader);
  if (!source.common.name.empty()) r.source_names.add(source.common.name, reader);
  source.common.into = reader.required_string("into");
  if (!source.common.into.empty()) {
    if (const auto ok = check_path(source.common.into); !ok) {
      reader.problem("into", ok.error().message);
    } else if (source.common.into.starts_with('$')) {
      reader.problem("into", "paths that begin with '$' belong to the node itself");
    }
  }
  source.on_loss = read_on_loss(reader);
  source.delivery = r.delivery;
  source.text = type.name + "\n" + table.text() + "\n" + r.delivery_text;
  source.source = type.make(source.common, reader);
  r.config.sources.push_back(std::move(source));
}

void read_sink(Reading& r, const SinkType& type, const Settings& table) {
  SettingsReader reader(table, r.problems);
  SinkConfig sink;
  sink.type = type.name;
  sink.common.node = r.config.name;
  sink.common.name = read_name(reader);
  if (!sink.common.name.empty()) r.sink_names.add(sink.common.name, reader);
  sink.common.publish = read_patterns(reader, "publish", sink.publish);
  if (sink.publish.empty())
    reader.warning("publish", "sink " + in_quotes(sink.common.name) + " publishes nothing; add publish = [\"…/**\"]");
  sink.text = type.name + "\n" + table.text();
  sink.sink = type.make(sink.common, reader);
  r.config.sinks.push_back(std::move(sink));
}

template <typename Types, typename ReadOne>
void read_connectors(Reading& r, SettingsReader& root, std::string_view kind, const Types& types, ReadOne read_one) {
  const auto table = root.table(kind);
  if (!table) return;
  SettingsReader reader(*table, r.problems);
  for (const std::string& name : reader.keys()) {
    const auto* type = find_type(types, kind, name, reader);
    if (!type) continue;
    for (const Settings& one : reader.tables(name)) read_one(r, *type, one);
  }
}

void read_journal(Reading& r, SettingsReader& root) {
  const auto table = root.table("journal");
  if (!table) return;
  SettingsReader reader(*table, r.problems);
  JournalConfig& journal = r.config.journal;
  journal.enabled = reader.boolean("enabled", true);
  if (const auto sync = journal::parse_sync_policy(reader.choice("fsync", "batch", {"batch", "100ms", "os"}))) journal.sync = *sync;
  journal.max_size = reader.size_bytes("max_size", journal.max_size, kLeastJournal, 1ull << 50);
  journal.max_age = reader.duration("max_age", Duration(0), Duration(0), std::chrono::hours(24 * 3660));
  if (reader.choice("at_limit", "drop_oldest", {"drop_oldest", "stop"}) == "stop") journal.at_limit = journal::AtLimit::stop;
}

constexpr std::uint64_t kLeastHistory = 1u << 20;

void read_history(Reading& r, SettingsReader& root) {
  const auto table = root.table("history");
  if (!table) return;
  SettingsReader reader(*table, r.problems);
  HistoryConfig& history = r.config.history.emplace();
  history::HistoryOptions& options = history.options;
  history.text = table->text();
  history.place = table->place();
  options.node = r.config.name;
  options.match = read_patterns(reader, "match", options.texts);
  if (options.texts.empty()) reader.problem("match", "[history] keeps nothing; add match = [\"…/**\"]");
  options.path = reader.file("path");
  if (options.path.empty() && !r.config.data_dir.empty()) options.path = r.config.data_dir + "/history.db";
  options.max_age = reader.duration("max_age", options.max_age, std::chrono::seconds(1), std::chrono::hours(24 * 36525));
  options.max_size = reader.size_bytes("max_size", 0, kLeastHistory, 1ull << 50);
  options.commit = reader.duration("commit", options.commit, milliseconds(10), std::chrono::hours(1));
  options.sync_each = reader.choice("fsync", "batch", {"batch", "os"}) == "batch";
  options.tidy = std::clamp<Duration>(options.max_age / 100, milliseconds(100), options.tidy);
  const auto clash = std::ranges::find_if(r.config.sinks, [](const SinkConfig& sink) { return sink.common.name == history::kReaderName; });
  if (clash != r.config.sinks.end()) reader.problem("", "a sink is named 'history' too, so that status could not tell them apart; rename the sink");
}

void read_deliveries(Reading& r, SettingsReader& root) {
  std::vector<DeliveryRule> rules;
  for (const Settings& table : root.tables("delivery")) {
    SettingsReader reader(table, r.problems);
    DeliveryRule rule;
    std::vector<std::string> texts;
    if (reader.is_array("match")) {
      rule.match = read_patterns(reader, "match", texts);
    } else if (const std::string one = reader.required_string("match"); !one.empty()) {
      auto patterns = Patterns::parse({one});
      texts = {one};
      if (patterns) rule.match = *std::move(patterns);
      else reader.problem("match", patterns.error().message);
    }
    rule.burst = static_cast<std::uint8_t>(reader.integer("burst", 0, 0, kMaxBurst));
    rule.every = reader.choice("mode", "latest", {"latest", "every"}) == "every";
    if (rule.every && !r.config.journal.enabled) {
      reader.problem("mode", "`every` needs the journal; leave out `enabled = false` in [journal]");
    }
    if (rule.every) r.config.every.insert(r.config.every.end(), texts.begin(), texts.end());
    r.config.delivery.insert(r.config.delivery.end(), texts.begin(), texts.end());
    r.delivery_text += table.text() + "\n";
    rules.push_back(std::move(rule));
  }
  r.delivery = std::make_shared<const DeliveryRules>(std::move(rules));
}

void read_limits(Reading& r, SettingsReader& root) {
  const auto table = root.table("limits");
  if (!table) return;
  SettingsReader reader(*table, r.problems);
  r.config.limits.max_points =
      static_cast<std::uint32_t>(reader.integer("points", r.config.limits.max_points, 1, 100'000'000));
  r.config.limits.max_routes =
      static_cast<std::uint16_t>(reader.integer("routes", r.config.limits.max_routes, 1, 65'000));
}

void read_log(Reading& r, SettingsReader& root) {
  const auto table = root.table("log");
  if (!table) return;
  SettingsReader reader(*table, r.problems);
  const std::string level = reader.choice("level", "info", {"trace", "debug", "info", "warn", "error"});
  const std::map<std::string, log::Level> levels = {{"trace", log::Level::trace},
                                                    {"debug", log::Level::debug},
                                                    {"info", log::Level::info},
                                                    {"warn", log::Level::warn},
                                                    {"error", log::Level::error}};
  if (const auto found = levels.find(level); found != levels.end()) r.config.log_level = found->second;
}

void read_http(Reading& r, SettingsReader& root) {
  const auto table = root.table("http");
  if (!table) return;
  SettingsReader reader(*table, r.problems);
  r.config.http_place = reader.place("address");
  r.config.http = http::read_http_settings(reader);
}

// Custody cannot be passed on where nobody hears that it was taken.
void warn_of_strict(Reading& r) {
  for (const LinkConfig& link : r.config.links) {
    if (link.options.one_way != link::OneWay::strict || r.config.every.empty()) continue;
    r.problems.push_back({link.place, "link '" + link.options.name + "' is one_way = \"strict\": points with mode = \"every\" go over it as live values only; "
                                      "use \"acks\" to have each change arrive", true});
  }
}

void read_all(Reading& r, const Settings& file) {
  SettingsReader root(file, r.problems);
  read_node(r, root);
  read_identity(r, root);
  read_limits(r, root);
  read_log(r, root);
  for (const Settings& link : root.tables("link")) read_link(r, link);
  read_listen(r, root);
  read_http(r, root);
  read_journal(r, root);
  read_deliveries(r, root);
  read_connectors(r, root, "source", r.types.sources, read_source);
  read_connectors(r, root, "sink", r.types.sinks, read_sink);
  read_history(r, root);
  read_seals(root, r.config, r.problems);
  warn_of_strict(r);
}

void sort_by_line(Problems& problems) {
  std::ranges::stable_sort(problems, {}, [](const Problem& p) { return std::pair(p.place.line, p.place.column); });
}

}  // namespace

Config read_config(const std::string& file, const ConnectorTypes& types, Problems& problems) {
  Config config;
  config.file = file;
  const auto settings = Settings::load(file, problems);
  if (!settings) {
    if (!has_errors(problems)) problems.push_back({{file, 0, 0}, settings.error().message, false});
    return config;
  }
  Reading reading{types, problems, config};
  read_all(reading, *settings);
  sort_by_line(problems);
  return config;
}

bool has_errors(const Problems& problems) {
  return std::ranges::any_of(problems, [](const Problem& p) { return !p.warning; });
}

Result<NodePlace> read_node_place(const std::string& file) {
  Problems problems;
  const auto settings = Settings::load(file, problems);
  if (!settings) {
    return problems.empty() ? std::unexpected(settings.error()) : fail(ErrorCode::invalid, to_string(problems.front()));
  }
  NodePlace place;
  Problems ignored;
  SettingsReader root(*settings, ignored);
  if (const auto table = root.table("node")) {
    SettingsReader reader(*table, ignored);
    place.name = reader.string("name", "");
    place.data_dir = reader.file("data_dir");
  }
  if (place.data_dir.empty())
    return fail(ErrorCode::invalid, file + ": [node] has no data_dir, so its node cannot be found");
  return place;
}

}  // namespace sallyport::node
