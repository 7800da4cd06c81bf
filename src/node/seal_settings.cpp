#include "node/seal_settings.h"

#include <algorithm>

#include "net/certificate.h"
#include "net/receiver_key.h"
#include "seal/paths.h"

namespace sallyport::node {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool is_exclusion(const std::string& text) { return text.starts_with('!'); }

// A pattern or several; `what` they are for the messages.
std::vector<std::string> read_match(SettingsReader& reader, std::string_view what) {
  std::vector<std::string> texts;
  if (reader.is_array("match")) texts = reader.strings("match", {});
  else if (std::string one = reader.required_string("match"); !one.empty()) texts.push_back(std::move(one));
  else return {};
  if (texts.empty()) reader.problem("match", std::string(what) + " needs the points it is for; write match = [\"acme/berlin/**\"]");
  if (const auto patterns = Patterns::parse(texts); !patterns) {
    reader.problem("match", patterns.error().message);
    return {};
  }
  for (const std::string& text : texts) {
    if (text.starts_with('$') || text.starts_with("!$")) reader.problem("match", "'" + text + "': points below '$' belong to the nodes themselves and are not sealed");
  }
  return texts;
}

bool overlaps(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::any_of(a, [&](const std::string& one) {
    return !is_exclusion(one) && std::ranges::any_of(b, [&](const std::string& other) { return !is_exclusion(other) && seal::may_overlap(one, other); });
  });
}

// --- [[seal]] ----------------------------------------------------------------------------------------------------------

void read_readers(SettingsReader& reader, seal::SealOptions& options, const Settings& table) {
  for (const std::string& name : reader.strings("readers", {})) {
    const std::string file = name.starts_with('/') ? name : table.folder() + "/" + name;
    auto key = net::load_receiver_public(file);
    if (key) options.readers.push_back({file, key->key});
    else reader.problem("readers", key.error().message);
  }
  options.plain = reader.boolean("plain", options.readers.empty());
  if (options.plain && !options.readers.empty())
    reader.problem("plain", "with `readers`, plain = true would send in the clear what is sealed for them; leave `plain` out");
  if (!options.plain && std::ranges::any_of(options.match, is_exclusion))
    reader.problem("match", "points that are not sent in the clear cannot be told by an exclusion; name what is sealed, without '!'");
}

void check_seal(SettingsReader& reader, const Config& config, const seal::SealOptions& options) {
  if (!config.signer) {
    reader.problem("", config.no_signer.empty() ? "[[seal]] needs an [identity] with a pair that signs; `sallyport keys issue` makes it"
                                                : "[[seal]] needs a pair that signs: " + config.no_signer);
  }
  for (const auto& other : config.seals) {
    for (const std::string& text : options.match) {
      const auto same = [&](const std::string& theirs) { return !is_exclusion(theirs) && seal::literal_prefix(theirs) == seal::literal_prefix(text); };
      if (is_exclusion(text) || std::ranges::none_of(other.match, same)) continue;
      reader.problem("match", "another [[seal]] seals points of '" + seal::literal_prefix(text) + "' already; write both patterns into one, or begin them with different levels");
    }
  }
  if (overlaps(options.match, config.every)) {
    reader.warning("match", "some of these points have mode = \"every\" in [[delivery]]: what is kept for them travels by the journal, unsealed; a node that "
                            "verifies them takes the newest values only");
  }
}

void read_seal(const Settings& table, Config& config, Problems& problems) {
  SettingsReader reader(table, problems);
  seal::SealOptions options;
  options.match = read_match(reader, "[[seal]]");
  options.interval = reader.duration("interval", options.interval, milliseconds(10), hours(1));
  options.heartbeat = reader.duration("heartbeat", options.heartbeat, milliseconds(50), hours(1));
  options.checkpoint = reader.duration("checkpoint", options.checkpoint, milliseconds(100), hours(24));
  options.points_per_seal = static_cast<std::uint32_t>(reader.integer("points_per_seal", options.points_per_seal, 1, seal::kMaxPointsPerSeal));
  read_readers(reader, options, table);
  check_seal(reader, config, options);
  for (const LinkConfig& link : config.links) {
    const auto through = Patterns::parse(seal::with_seals(link.send));
    if (!through || !overlaps(options.match, link.send)) continue;
    for (const std::string& text : options.match) {
      const std::string prefix = seal::literal_prefix(text);
      if (is_exclusion(text) || through->matches(seal::container_path(config.name, prefix, seal::Kind::manifest, 0))) continue;
      reader.warning("match", "link '" + link.options.name + "' sends some of these points, but not their seals: `send` must have all of '" +
                                  (prefix.empty() ? "**" : prefix + "/**") + "', without exclusions; or seal a part of it");
    }
  }
  config.seals.push_back(std::move(options));
}

// --- [[verify]] --------------------------------------------------------------------------------------------------------

void check_verify(SettingsReader& reader, const Config& config, const seal::VerifyOptions& options) {
  if (config.identity_files.trust.empty()) reader.problem("", "[[verify]] needs an [identity]: its `trust` says whose certificates count");
  if (options.origin == config.name) reader.problem("origin", "'" + options.origin + "' is this node itself");
  if (!options.origin.empty() && !net::valid_node_name(options.origin))
    reader.problem("origin", "'" + options.origin + "' is no name: a name is 1 to 64 letters, digits, '.', '_' or '-'");
  if (std::ranges::any_of(options.match, is_exclusion)) reader.problem("match", "[[verify]] takes no exclusions; name what is to be verified");
  for (const auto& other : config.verifies) {
    if (other.origin == options.origin) reader.problem("origin", "there is a [[verify]] for '" + options.origin + "' already; write both patterns into its match");
    else if (overlaps(other.match, options.match))
      reader.problem("match", "the [[verify]] of '" + other.origin + "' may have some of these points; each point has one origin");
  }
}

void read_verify(const Settings& table, Config& config, Problems& problems) {
  SettingsReader reader(table, problems);
  seal::VerifyOptions options;
  options.match = read_match(reader, "[[verify]]");
  options.origin = reader.required_string("origin");
  options.timeout = reader.duration("timeout", options.timeout, milliseconds(100), hours(1));
  options.max_age = reader.duration("max_age", options.max_age, milliseconds(100), hours(24));
  options.key_file = reader.file("key");
  if (!options.key_file.empty()) {
    auto key = net::load_receiver_private(options.key_file);
    if (key) options.key = std::make_shared<const crypto::XWingPrivate>(std::move(key->key));
    else reader.problem("key", key.error().message);
  }
  check_verify(reader, config, options);
  const auto receives = [&](const LinkConfig& link) { return overlaps(options.match, link.receive); };
  if (std::ranges::none_of(config.links, receives))
    reader.warning("match", "no link of this node receives any of these points; their seals come where `receive` allows the points");
  config.verifies.push_back(std::move(options));
}

// --- What links carry ----------------------------------------------------------------------------------------------------

bool set_patterns(Patterns& patterns, std::vector<std::string> texts, const std::vector<std::string>& never) {
  if (patterns.empty()) return true;
  for (const std::string& text : never) texts.push_back("!" + text);
  auto with = Patterns::parse(texts);
  if (with) patterns = *std::move(with);
  return with.has_value();
}

}  // namespace

void read_seals(SettingsReader& root, Config& config, Problems& problems) {
  for (const Settings& table : root.tables("seal")) read_seal(table, config, problems);
  for (const Settings& table : root.tables("verify")) read_verify(table, config, problems);
  std::vector<std::string> not_sent, not_received;
  for (const auto& options : config.seals) {
    if (!options.plain) not_sent.insert(not_sent.end(), options.match.begin(), options.match.end());
  }
  for (const auto& options : config.verifies) not_received.insert(not_received.end(), options.match.begin(), options.match.end());
  for (LinkConfig& link : config.links) {
    if (!set_patterns(link.options.send, link.send, not_sent) || !set_patterns(link.options.receive, link.receive, not_received))
      problems.push_back({link.place, "link '" + link.options.name + "' has too many patterns, with those of [[seal]] and [[verify]] that it must leave out", false});
    // With the seals there may be too many: then they are what is left out, and the consumer says that they do not come.
    set_patterns(link.options.send, seal::with_seals(link.send), not_sent);
    set_patterns(link.options.receive, seal::with_seals(link.receive), not_received);
  }
}

}  // namespace sallyport::node
