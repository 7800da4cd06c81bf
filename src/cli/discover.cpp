// sallyport discover opc.tcp://…: what an OPC UA server offers, and the [[source.opcua]] table to begin with.
#include "protocol/opcua/discovery.h"

#include <cstdlib>
#include <fstream>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string endpoint;
  std::string security = "none";
  std::string certificate, private_key, server_certificate;
  std::string user, password_file;
  std::string save;
  bool json = false;
};

Result<void> add_security(const Arguments& arguments, opcua::ClientOptions& options) {
  auto security = opcua::parse_security(arguments.security);
  if (!security) return std::unexpected(security.error());
  options.security = *security;
  if (options.security.none()) return {};
  if (arguments.certificate.empty() || arguments.private_key.empty() || arguments.server_certificate.empty()) {
    return fail(ErrorCode::invalid,
                "with security, give --certificate, --private-key and --server-certificate too (without, `discover` "
                "shows the server's certificates, and --save writes them)");
  }
  auto identity = opcua::load_identity(arguments.certificate, arguments.private_key);
  if (!identity) return std::unexpected(identity.error());
  options.identity = std::make_shared<const opcua::Identity>(*std::move(identity));
  auto trust = std::make_shared<opcua::ServerTrust>();
  if (auto pinned = trust->pin(arguments.server_certificate); !pinned) return pinned;
  options.trust = std::move(trust);
  return {};
}

Result<opcua::ClientOptions> options_of(const Arguments& arguments) {
  opcua::ClientOptions options;
  options.endpoint = arguments.endpoint;
  options.name = "sallyport discover";
  if (auto added = add_security(arguments, options); !added) return std::unexpected(added.error());
  if (!arguments.user.empty()) {
    std::ifstream in(arguments.password_file);
    std::string password;
    if (!std::getline(in, password))
      return fail(ErrorCode::invalid, "--user needs --password-file with the password in its first line");
    options.login = opcua::Login{arguments.user, password};
  }
  return options;
}

void write_node(JsonWriter& json, const opcua::DiscoveredNode& node) {
  json.begin_object();
  json.field("id", node.id);
  json.field("name", node.name);
  json.field("class", node.node_class);
  if (!node.type.empty()) json.field("type", node.type);
  json.field("children", std::uint64_t{node.children});
  json.key("nodes");
  json.begin_array();
  for (const auto& below : node.nodes) write_node(json, below);
  json.end_array();
  json.end_object();
}

void write_endpoint(JsonWriter& json, const opcua::DiscoveredEndpoint& endpoint) {
  json.begin_object();
  json.field("url", endpoint.url);
  json.field("security", endpoint.security);
  json.field("supported", endpoint.supported);
  json.field("anonymous", endpoint.anonymous);
  json.field("user_name", endpoint.user_name);
  json.field("certificate_user", endpoint.certificate_user);
  json.field("certificate_sha256", endpoint.certificate_sha256);
  json.end_object();
}

std::string as_json(const opcua::Discovered& found) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("application_name", found.application_name);
  json.field("application_uri", found.application_uri);
  json.field("product_uri", found.product_uri);
  json.key("endpoints");
  json.begin_array();
  for (const auto& endpoint : found.endpoints) write_endpoint(json, endpoint);
  json.end_array();
  json.key("namespaces");
  json.begin_array();
  for (const auto& uri : found.namespaces) json.string(uri);
  json.end_array();
  json.key("limits");
  json.begin_object();
  json.field("nodes_per_read", found.limits.nodes_per_read);
  json.field("nodes_per_browse", found.limits.nodes_per_browse);
  json.field("items_per_call", found.limits.items_per_call);
  json.end_object();
  json.key("nodes");
  json.begin_array();
  for (const auto& node : found.nodes) write_node(json, node);
  json.end_array();
  json.field("browse_error", found.browse_error);
  json.end_object();
  return out + "\n";
}

void print_endpoints(const opcua::Discovered& found) {
  Table table({"SECURITY", "USERS", "USABLE", "CERTIFICATE (SHA-256)", "ADVERTISED AS"});
  for (const auto& endpoint : found.endpoints) {
    std::string users;
    for (const auto& [allowed, name] : {std::pair{endpoint.anonymous, "anonymous"},
                                        {endpoint.user_name, "user/password"},
                                        {endpoint.certificate_user, "certificate"}}) {
      if (allowed) users += (users.empty() ? "" : ", ") + std::string(name);
    }
    table.row({endpoint.security, users, endpoint.supported ? "yes" : "no", endpoint.certificate_sha256.substr(0, 16),
               printable(endpoint.url)});
  }
  table.print();
}

void print_nodes(const std::vector<opcua::DiscoveredNode>& nodes) {
  Table table({"NODE", "KIND", "BELOW", "ID"});
  for (const auto& node : nodes) {
    table.row({printable(node.name), node.type.empty() ? node.node_class : node.type,
               friendly_count(std::max(node.children, node.nodes.size())), printable(node.id)});
    for (const auto& below : node.nodes) {
      table.row({"  " + printable(below.name), below.type.empty() ? below.node_class : below.type,
                 friendly_count(below.children), printable(below.id)});
    }
  }
  if (!table.empty()) print("\n" + table.text());
}

// The node most likely to be wanted: the first that is not the server's own description of itself.
std::string start_node(const opcua::Discovered& found) {
  for (const auto& node : found.nodes) {
    if (node.id.starts_with("nsu=")) return node.id;
  }
  return "i=85";  // the Objects folder
}

void print_proposal(const Arguments& arguments, const opcua::Discovered& found) {
  print(
      "\nTo begin with:\n\n"
      "[[source.opcua]]\n"
      "name     = \"line1\"\n"
      "endpoint = \"" +
      arguments.endpoint +
      "\"\n"
      "into     = \"enterprise/site/line1\"\n"
      "browse   = [\"" +
      printable(start_node(found)) +
      "\"]\n"
      "security = \"" +
      arguments.security + "\"\n");
}

Result<void> save_certificates(const std::string& folder, const opcua::Discovered& found) {
  for (const auto& certificate : found.certificates) {
    const std::string file = folder + "/server-" + certificate.sha256.substr(0, 16) + ".der";
    std::ofstream out(file, std::ios::binary);
    out << certificate.der;
    if (!out.flush()) return fail(ErrorCode::io, file + ": cannot write");
    print("wrote " + file + " (" + printable(certificate.subject) +
          "); compare its fingerprint with the server's before trusting it\n");
  }
  return {};
}

int discover(const Arguments& arguments) {
  const auto options = options_of(arguments);
  if (!options) return failed(options.error());
  const auto found = opcua::discover(*options);
  if (!found) return failed(found.error());
  if (arguments.json) {
    print(as_json(*found));
    return kSuccess;
  }
  print(bold(printable(found->application_name)) + "  " + printable(found->application_uri) + "\n\n");
  print_endpoints(*found);
  if (!arguments.save.empty()) {
    if (auto saved = save_certificates(arguments.save, *found); !saved) return failed(saved.error());
  }
  if (!found->browse_error.empty()) {
    print("\nIts nodes cannot be shown: " + printable(found->browse_error) + "\n");
    return kSuccess;
  }
  print_nodes(found->nodes);
  print_proposal(arguments, *found);
  return kSuccess;
}

}  // namespace

Command discover_command() {
  return {"discover", "What an OPC UA server offers", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.text("endpoint", arguments->endpoint, "opc.tcp://host:port", Options::Need::required);
            options.text("--security", arguments->security,
                         "\"none\", or policy/mode as in [[source.opcua]], to browse with");
            options.text("--certificate", arguments->certificate, "our certificate, for --security");
            options.text("--private-key", arguments->private_key, "its key");
            options.text("--server-certificate", arguments->server_certificate, "the server certificate to trust");
            options.text("--user", arguments->user, "log in as this user");
            options.text("--password-file", arguments->password_file, "the password, in the first line of a file");
            options.text("--save", arguments->save, "write the server's certificates to this folder");
            options.json(arguments->json);
            return [arguments] { return discover(*arguments); };
          }};
}

}  // namespace sallyport::cli
