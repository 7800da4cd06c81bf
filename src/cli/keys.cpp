// sallyport keys: a small certificate authority for the nodes of one network.
#include <optional>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/point_row.h"
#include "cli/terminal.h"
#include "net/pki.h"
#include "net/receiver_key.h"
#include "net/tls.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string out = ".";
  std::string ca = ".";
  std::string name;
  std::string algorithm = "ml-dsa-65";
  std::int64_t days = 0;
  std::int64_t not_before_days_ago = 0;
  std::vector<std::string> files;
  bool json = false;
};

int make_ca(const Arguments& arguments) {
  const auto algorithm = net::parse_key_algorithm(arguments.algorithm);
  if (!algorithm) return failed(algorithm.error());
  net::CaRequest request;
  request.folder = arguments.out;
  request.name = arguments.name;
  request.algorithm = *algorithm;
  request.days = static_cast<int>(arguments.days);
  if (const auto made = net::make_ca(request); !made) return failed(made.error());
  print("wrote " + arguments.out + "/ca.crt and " + arguments.out +
        "/ca.key\n"
        "Keep ca.key off the nodes: only `sallyport keys issue` needs it. Every node gets ca.crt as its `trust`.\n");
  return kSuccess;
}

int issue(const Arguments& arguments, bool sign_only) {
  const auto algorithm = net::parse_key_algorithm(arguments.algorithm);
  if (!algorithm) return failed(algorithm.error());
  net::IssueRequest request;
  request.ca_folder = arguments.ca;
  request.name = arguments.name;
  request.folder = arguments.out;
  request.algorithm = *algorithm;
  request.days = static_cast<int>(arguments.days);
  request.not_before_days_ago = static_cast<int>(arguments.not_before_days_ago);
  const std::string stem = arguments.out + "/" + arguments.name;
  if (sign_only) {
    if (const auto issued = net::issue_sign_certificate(request); !issued) return failed(issued.error());
    print("wrote " + stem + ".sign.crt and " + stem + ".sign.key: a node finds them beside its " + arguments.name + ".crt\n");
    return kSuccess;
  }
  const bool kept = net::has_sign_pair(arguments.out, arguments.name);
  if (const auto issued = net::issue_certificate(request); !issued) return failed(issued.error());
  print("wrote " + stem + ".crt and " + stem + ".key\n");
  if (kept) {
    print("kept " + stem + ".sign.crt and " + stem + ".sign.key as they are\n");
  } else if (request.algorithm == net::KeyAlgorithm::ml_dsa_65) {
    print("wrote " + stem + ".sign.crt and " + stem + ".sign.key, for origin seals and diodes: keep them beside the others\n");
  }
  return kSuccess;
}

int receiver(const Arguments& arguments) {
  if (const auto made = net::make_receiver_key(arguments.name, arguments.out); !made) return failed(made.error());
  const std::string stem = arguments.out + "/" + arguments.name + ".receiver";
  print("wrote " + stem + ".key and " + stem + ".pub\n" +
        "Carry " + arguments.name + ".receiver.pub to the senders; the other file stays here, and nothing can be read without it.\n");
  return kSuccess;
}

std::string as_json(const std::string& file, const net::CertificateInfo& certificate) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("file", file);
  json.field("name", certificate.name);
  json.field("algorithm", certificate.algorithm);
  json.field("issuer", certificate.issuer);
  json.field("sha256", certificate.sha256);
  json.field("not_before", format_utc(certificate.not_before));
  json.field("not_after", format_utc(certificate.not_after));
  json.end_object();
  return out + "\n";
}

// nullopt: no key of a receiver.
std::optional<Result<net::ReceiverPublic>> read_receiver(const std::string& file, std::string& algorithm) {
  switch (net::receiver_file_kind(file)) {
    case net::ReceiverFile::none: return std::nullopt;
    case net::ReceiverFile::public_key: algorithm = "X-Wing"; return net::load_receiver_public(file);
    case net::ReceiverFile::private_key: break;
  }
  algorithm = "X-Wing private";
  const auto key = net::load_receiver_private(file);
  if (!key) return std::unexpected(key.error());
  return net::ReceiverPublic{key->name, key->key.public_key()};
}

std::string as_json(const std::string& file, const net::ReceiverPublic& key, const std::string& algorithm) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("file", file);
  json.field("name", key.name);
  json.field("algorithm", algorithm);
  json.field("sha256", net::receiver_fingerprint(key.key));
  json.end_object();
  return out + "\n";
}

int show(const Arguments& arguments) {
  Table table({"FILE", "NAME", "ALGORITHM", "ISSUER", "EXPIRES", "SHA-256"});
  int code = kSuccess;
  const auto now = now_utc();
  for (const std::string& file : arguments.files) {
    std::string algorithm;
    if (const auto key = read_receiver(file, algorithm)) {
      if (!*key) {
        code = failed(key->error());
        continue;
      }
      if (arguments.json) print(as_json(file, **key, algorithm));
      table.row({printable(file), (*key)->name, algorithm, "", "", net::receiver_fingerprint((*key)->key)});
      continue;
    }
    const auto certificate = net::read_certificate(file);
    if (!certificate) {
      code = failed(certificate.error());
      continue;
    }
    if (arguments.json) print(as_json(file, *certificate));
    const bool expired = certificate->not_after < now;
    table.row({printable(file), printable(certificate->name), certificate->algorithm, printable(certificate->issuer),
               coloured(friendly_time(certificate->not_after, now), expired ? Colour::red : Colour::none),
               certificate->sha256});
  }
  if (!arguments.json && !table.empty()) table.print();
  return code;
}

constexpr const char* kAlgorithmHelp = "the kind of key; all but ml-dsa-65 can be forged by a quantum computer one day";

void add_ca(Options& keys) {
  keys.command("ca", "Make a certificate authority: ca.crt and ca.key", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    arguments->name = "sallyport CA";
    arguments->days = 3650;
    options.text("--out", arguments->out, "the folder to write to", Options::Need::required);
    options.text("--name", arguments->name, "what it calls itself");
    options.choice("--algorithm", arguments->algorithm, kAlgorithmHelp, {"ml-dsa-65", "ed25519", "ecdsa-p256"});
    options.number("--days", arguments->days, "how long it is valid", 1, 36'500);
    return [arguments] { return make_ca(*arguments); };
  });
}

std::shared_ptr<Arguments> issue_options(Options& options) {
  const auto arguments = std::make_shared<Arguments>();
  arguments->days = 825;
  options.text("--ca", arguments->ca, "the folder of ca.crt and ca.key", Options::Need::required);
  options.text("--name", arguments->name, "the node's name, as in its [node] table", Options::Need::required);
  options.text("--out", arguments->out, "the folder to write to", Options::Need::required);
  options.number("--days", arguments->days, "how long it is valid", 1, 36'500);
  options.number("--not-before-days-ago", arguments->not_before_days_ago,
                 "valid since this many days ago; for tests of expiry", 0, 36'500);
  return arguments;
}

void add_issue(Options& keys) {
  keys.command("issue", "Issue a node's certificates: NODE.crt and NODE.key, NODE.sign.crt and NODE.sign.key", [](Options& options) -> Action {
    const auto arguments = issue_options(options);
    options.choice("--algorithm", arguments->algorithm, kAlgorithmHelp, {"ml-dsa-65", "ed25519", "ecdsa-p256"});
    return [arguments] { return issue(*arguments, false); };
  });
}

void add_sign(Options& keys) {
  keys.command("sign", "Issue NODE.sign.crt and NODE.sign.key alone, for a node that has its certificate", [](Options& options) -> Action {
    const auto arguments = issue_options(options);
    return [arguments] { return issue(*arguments, true); };
  });
}

void add_receiver(Options& keys) {
  keys.command("receiver", "Make a receiver's key: NAME.receiver.key, and NAME.receiver.pub for its senders", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.text("--name", arguments->name, "the receiving node's name", Options::Need::required);
    options.text("--out", arguments->out, "the folder to write to", Options::Need::required);
    return [arguments] { return receiver(*arguments); };
  });
}

void add_show(Options& keys) {
  keys.command("show", "What certificates and receivers' keys say", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.texts("file", arguments->files, "PEM files", Options::Need::required);
    options.json(arguments->json);
    return [arguments] { return show(*arguments); };
  });
}

}  // namespace

Command keys_command() {
  return {"keys", "Make and show keys and certificates", [](Options& options) -> Action {
            add_ca(options);
            add_issue(options);
            add_sign(options);
            add_receiver(options);
            add_show(options);
            return {};
          }};
}

}  // namespace sallyport::cli
