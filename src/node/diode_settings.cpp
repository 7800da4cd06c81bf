#include "node/diode_settings.h"

#include <fstream>
#include <sstream>

#include "net/signer.h"

namespace sallyport::node {
namespace {

using link::diode::DiodeOptions;

constexpr std::size_t kLeastDatagram = 256, kMostDatagram = 9'000;

std::string mark_of(std::string_view bytes) { return std::to_string(std::hash<std::string_view>()(bytes)); }

void read_address(SettingsReader& reader, DiodeOptions& options) {
  const std::string_view key = options.sends ? "send" : "receive";
  const std::string text = reader.required_string(key);
  if (text.empty()) return;
  auto address = link::diode::parse_diode_address(text);
  if (!address) return reader.problem(key, address.error().message);
  if (options.sends && address->address.port == 0) reader.problem(key, "cannot send to port 0; write the port that the other side receives on");
  options.address = *std::move(address);
}

// Keys that belong to the other end are no typing errors.
void refuse_other_end(SettingsReader& reader, bool sends) {
  for (const std::string_view key : {"rate", "receiver", "redundancy", "repeat", "datagram_bytes"}) {
    if (!sends && reader.has(key)) reader.problem(key, std::string(key) + " belongs to the end that sends");
  }
  if (sends && reader.has("key")) reader.problem("key", "the receiver's private key stays where it receives; here goes receiver = \"….receiver.pub\"");
}

void read_rate(SettingsReader& reader, const LinkConfig& link, DiodeOptions& options) {
  if (!reader.has("rate")) return reader.problem("rate", "rate is missing: what the diode carries, e.g. rate = \"100 Mbit/s\"; nothing tells the sender when it is too fast");
  options.bits_per_second = reader.bit_rate("rate", 0, 8'000, 100'000'000'000);
  const std::uint64_t least = link::diode::least_rate(options.datagram_bytes, std::min(link.options.heartbeat, link.options.timeout / 4));
  if (options.bits_per_second != 0 && options.bits_per_second < least) {
    reader.problem("rate", "heartbeats alone need " + bit_rate_text(least) + "; raise the rate, lengthen the heartbeat, or lower datagram_bytes");
  }
}

void load_receiver(SettingsReader& reader, const LinkConfig& link, DiodeOptions& options) {
  const std::string file = reader.file("receiver");
  const std::string& peer = link.options.peer;
  const std::string name = peer.empty() ? "NAME" : peer;
  if (file.empty()) {
    return reader.problem("receiver", "receiver is missing: the public key of the other side; `sallyport keys receiver --name " + name + " --out DIR` makes it there, and " + name +
                                          ".receiver.pub is carried here");
  }
  auto key = net::load_receiver_public(file);
  if (!key) return reader.problem("receiver", key.error().message);
  if (!peer.empty() && key->name != peer) return reader.problem("receiver", file + " is the key of '" + key->name + "', and peer is '" + peer + "'");
  options.key_mark += net::receiver_fingerprint(key->key);
  options.keys.receiver = std::make_shared<const net::ReceiverPublic>(*std::move(key));
}

void load_signer(SettingsReader& reader, const Config& config, DiodeOptions& options) {
  if (config.identity_files.certificate.empty() || config.name.empty()) return;
  auto signer = net::Signer::load(net::with_sign_files(config.identity_files), config.name);
  if (!signer) return reader.problem("", "a diode that sends signs what it announces: " + signer.error().message);
  options.key_mark += "/" + mark_of(as_text((*signer)->credential()));
  options.keys.signer = *std::move(signer);
}

void load_key(SettingsReader& reader, const Config& config, DiodeOptions& options) {
  const std::string file = reader.file("key");
  const std::string name = config.name.empty() ? "NAME" : config.name;
  if (file.empty()) return reader.problem("key", "key is missing: this node's own; `sallyport keys receiver --name " + name + " --out DIR` makes it");
  auto key = net::load_receiver_private(file);
  if (!key) return reader.problem("key", key.error().message);
  if (!config.name.empty() && key->name != config.name) return reader.problem("key", file + " is the key of '" + key->name + "', and this node is '" + config.name + "'");
  options.key_mark += net::receiver_fingerprint(key->key.public_key());
  options.keys.key = std::make_shared<const net::ReceiverPrivate>(std::move(*key));
}

void load_trust(SettingsReader& reader, const Config& config, DiodeOptions& options) {
  const std::string& file = config.identity_files.trust;
  if (file.empty()) return;
  auto trust = net::Trust::load(file);
  if (!trust) return reader.problem("", trust.error().message);
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  options.key_mark += "/" + mark_of(text.str());
  options.keys.trust = *std::move(trust);
}

bool check_patterns(SettingsReader& reader, const LinkConfig& link, bool sends) {
  const auto& mine = sends ? link.send : link.receive;
  const auto& other = sends ? link.receive : link.send;
  if (!other.empty()) {
    reader.problem("", std::string("a diode goes one way, and this end ") + (sends ? "sends" : "receives") + ": leave out `" + (sends ? "receive" : "send") + "` of the link");
  } else if (mine.empty()) {
    reader.problem("", std::string("this link carries nothing; add ") + (sends ? "send" : "receive") + " = [\"…/**\"] to the link");
  }
  return other.empty() && !mine.empty();
}

}  // namespace

std::optional<DiodeOptions> read_diode(const Settings& table, Problems& problems, const Config& config, const LinkConfig& link) {
  SettingsReader reader(table, problems);
  DiodeOptions options;
  if (reader.has("send") == reader.has("receive")) {
    reader.problem("", reader.has("send") ? "a diode goes one way: leave out `send` or `receive` of the two"
                                          : "write send = \"udp://ADDRESS:PORT\" where data goes in, receive = \"udp://ADDRESS:PORT\" where it comes out");
    return std::nullopt;
  }
  options.sends = reader.has("send");
  if (!config.data_dir.empty()) options.state_folder = config.data_dir + "/diode";
  read_address(reader, options);
  refuse_other_end(reader, options.sends);
  options.max_staleness = reader.duration("max_staleness", options.max_staleness, std::chrono::milliseconds(100), std::chrono::hours(24));
  if (options.max_staleness < 4 * link.options.heartbeat) {
    reader.problem("max_staleness", "max_staleness must be at least four times the heartbeat, which is what tells of a loss");
  }
  check_patterns(reader, link, options.sends);
  if (options.sends) {
    options.datagram_bytes = static_cast<std::size_t>(reader.integer("datagram_bytes", 1400, kLeastDatagram, kMostDatagram));
    options.redundancy = reader.number("redundancy", options.redundancy, 0, 4);
    options.repeat = static_cast<unsigned>(reader.integer("repeat", options.repeat, 1, 16));
    read_rate(reader, link, options);
    load_receiver(reader, link, options);
    load_signer(reader, config, options);
  } else {
    load_key(reader, config, options);
    load_trust(reader, config, options);
  }
  return options;
}

}  // namespace sallyport::node
