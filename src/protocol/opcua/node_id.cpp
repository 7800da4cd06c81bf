#include "protocol/opcua/node_id.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>

namespace sallyport::opcua {
namespace {

constexpr std::string_view kNamespaceZero = "http://opcfoundation.org/UA/";
constexpr std::string_view kUnknownNamespace = "urn:sallyport:unknown-namespace:";

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void append_uri(std::string& out, std::string_view uri) {
  out += "nsu=";
  for (const char c : uri) {
    if (c == '%')
      out += "%25";
    else if (c == ';')
      out += "%3B";
    else
      out += c;
  }
  out += ';';
}

std::string unescape_uri(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::string_view escape = text.substr(at, 3);
    if (escape == "%25" || escape == "%3B" || escape == "%3b") {
      out += escape == "%25" ? '%' : ';';
      at += 2;
    } else {
      out += text[at];
    }
  }
  return out;
}

std::string format_guid(const UA_Guid& guid) {
  char text[37];
  std::snprintf(text, sizeof text, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", guid.data1, guid.data2,
                guid.data3, guid.data4[0], guid.data4[1], guid.data4[2], guid.data4[3], guid.data4[4], guid.data4[5],
                guid.data4[6], guid.data4[7]);
  return text;
}

void append_identifier(std::string& out, const UA_NodeId& id) {
  switch (id.identifierType) {
    case UA_NODEIDTYPE_NUMERIC:
      out += "i=" + std::to_string(id.identifier.numeric);
      return;
    case UA_NODEIDTYPE_STRING:
      (out += "s=") += view(id.identifier.string);
      return;
    case UA_NODEIDTYPE_GUID:
      out += "g=" + format_guid(id.identifier.guid);
      return;
    case UA_NODEIDTYPE_BYTESTRING:
      break;
  }
  out += "b=";
  UA_String base64{};
  if (UA_ByteString_toBase64(&id.identifier.byteString, &base64) == UA_STATUSCODE_GOOD) out += view(base64);
  UA_String_clear(&base64);
}

std::unexpected<Error> bad_node_id(std::string_view text, std::string_view what) {
  return fail(ErrorCode::invalid, "'" + std::string(text.substr(0, 200)) + "' is no node id: " + std::string(what) +
                                      "; write 'nsu=<namespace URI>;s=<name>' or 'i=85'");
}

// "nsu=urn:x;rest" → URI and rest; without it namespace 0.
struct Prefixed {
  std::string uri;
  std::string_view rest;
};
Result<Prefixed> split_uri(std::string_view text) {
  if (!text.starts_with("nsu=")) return Prefixed{std::string(kNamespaceZero), text};
  const std::size_t end = text.find(';');
  if (end == std::string_view::npos) return bad_node_id(text, "nothing follows the namespace URI");
  if (end == 4) return bad_node_id(text, "its namespace URI is empty");
  return Prefixed{unescape_uri(text.substr(4, end - 4)), text.substr(end + 1)};
}

Result<std::uint16_t> find_namespace(std::string_view uri, const NamespaceTable& namespaces) {
  if (const auto index = namespaces.index(uri)) return *index;
  std::string known;
  for (std::size_t i = 1; i < std::min<std::size_t>(namespaces.uris().size(), 12); ++i) {
    (known += known.empty() ? "" : ", ") += printable(namespaces.uris()[i]);
  }
  return fail(ErrorCode::not_found, "the server has no namespace '" + std::string(uri) + "'; it has " +
                                        (known.empty() ? "none besides namespace 0" : known));
}

Result<UA_NodeId> parse_identifier(std::string_view whole, std::string_view text) {
  UA_NodeId id{};
  if (text.starts_with("ns=")) {
    return bad_node_id(whole,
                       "namespace indexes change when a server restarts, so the namespace must be given by URI "
                       "(`sallyport discover` shows it)");
  }
  if (text.size() < 2 || text[1] != '=') return bad_node_id(whole, "expected i=, s=, g= or b=");
  const std::string_view value = text.substr(2);
  switch (text[0]) {
    case 'i': {
      const auto number = parse_number<std::uint32_t>(value);
      if (!number) return bad_node_id(whole, "i= needs a number from 0 to 4294967295");
      return UA_NODEID_NUMERIC(0, *number);
    }
    case 's':
      id.identifierType = UA_NODEIDTYPE_STRING;
      id.identifier.string = copy_string(value);
      return id;
    case 'g':
      id.identifierType = UA_NODEIDTYPE_GUID;
      if (value.size() != 36 || UA_Guid_parse(&id.identifier.guid, borrow(value)) != UA_STATUSCODE_GOOD) {
        return bad_node_id(whole, "g= needs a GUID like 09087e75-8e5e-499b-954f-f2a9603db28a");
      }
      return id;
    case 'b': {
      id.identifierType = UA_NODEIDTYPE_BYTESTRING;
      const UA_String base64 = borrow(value);
      if (UA_ByteString_fromBase64(&id.identifier.byteString, &base64) != UA_STATUSCODE_GOOD) {
        return bad_node_id(whole, "b= needs base64");
      }
      return id;
    }
    default:
      return bad_node_id(whole, "expected i=, s=, g= or b=");
  }
}

}  // namespace

NamespaceTable::NamespaceTable() : uris_{std::string(kNamespaceZero)} {}

NamespaceTable::NamespaceTable(std::vector<std::string> uris) : uris_(std::move(uris)) {
  if (uris_.empty()) uris_.emplace_back();
  uris_[0] = kNamespaceZero;
}

std::optional<std::uint16_t> NamespaceTable::index(std::string_view uri) const {
  if (uri.starts_with(kUnknownNamespace)) return parse_number<std::uint16_t>(uri.substr(kUnknownNamespace.size()));
  const auto at = std::ranges::find(uris_, uri);
  if (at == uris_.end()) return std::nullopt;
  return static_cast<std::uint16_t>(at - uris_.begin());
}

std::string NamespaceTable::uri(std::uint16_t index) const {
  if (index < uris_.size() && !uris_[index].empty()) return uris_[index];
  return std::string(kUnknownNamespace) + std::to_string(index);
}

std::uint16_t NamespaceTable::add(std::string_view uri) {
  if (const auto known = index(uri)) return *known;
  uris_.emplace_back(uri);
  return static_cast<std::uint16_t>(uris_.size() - 1);
}

std::string format_node_id(const UA_NodeId& id, const NamespaceTable& namespaces) {
  std::string out;
  if (id.namespaceIndex != 0) append_uri(out, namespaces.uri(id.namespaceIndex));
  append_identifier(out, id);
  return out;
}

std::string format_expanded_node_id(const UA_ExpandedNodeId& id, const NamespaceTable& namespaces) {
  std::string out;
  if (id.serverIndex != 0) out += "svr=" + std::to_string(id.serverIndex) + ";";
  if (id.namespaceUri.length != 0) {
    append_uri(out, view(id.namespaceUri));
    append_identifier(out, id.nodeId);
    return out;
  }
  return out + format_node_id(id.nodeId, namespaces);
}

std::string format_qualified_name(const UA_QualifiedName& name, const NamespaceTable& namespaces) {
  std::string out;
  // A name of namespace 0 that looks like a prefix needs one of its own.
  if (name.namespaceIndex != 0 || view(name.name).starts_with("nsu="))
    append_uri(out, namespaces.uri(name.namespaceIndex));
  return out += view(name.name);
}

Result<NodeId> parse_node_id(std::string_view text, const NamespaceTable& namespaces) {
  const auto prefixed = split_uri(text);
  if (!prefixed) return std::unexpected(prefixed.error());
  auto id = parse_identifier(text, prefixed->rest);
  if (!id) return std::unexpected(id.error());
  NodeId out(*id);
  const auto index = find_namespace(prefixed->uri, namespaces);
  if (!index) return std::unexpected(index.error());
  out->namespaceIndex = *index;
  return out;
}

Result<UA_ExpandedNodeId> parse_expanded_node_id(std::string_view text, const NamespaceTable& namespaces) {
  UA_ExpandedNodeId out{};
  std::string_view rest = text;
  if (rest.starts_with("svr=")) {
    const std::size_t end = std::min(rest.find(';'), rest.size());
    const auto server = parse_number<std::uint32_t>(rest.substr(4, end - 4));
    if (!server || end == rest.size()) return bad_node_id(text, "svr= needs a number and ';'");
    out.serverIndex = *server;
    rest = rest.substr(end + 1);
  }
  const auto prefixed = split_uri(rest);
  if (!prefixed) return std::unexpected(prefixed.error());
  auto id = parse_identifier(text, prefixed->rest);
  if (!id) return std::unexpected(id.error());
  out.nodeId = *id;
  const auto index = namespaces.index(prefixed->uri);
  if (index && out.serverIndex == 0)
    out.nodeId.namespaceIndex = *index;
  else
    out.namespaceUri = copy_string(prefixed->uri);  // another server's, or unknown here: by URI
  return out;
}

Result<UA_QualifiedName> parse_qualified_name(std::string_view text, const NamespaceTable& namespaces) {
  const std::size_t end = text.find(';');
  if (!text.starts_with("nsu=") || end == std::string_view::npos) return UA_QualifiedName{0, copy_string(text)};
  const auto index = find_namespace(unescape_uri(text.substr(4, end - 4)), namespaces);
  if (!index) return std::unexpected(index.error());
  return UA_QualifiedName{*index, copy_string(text.substr(end + 1))};
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out.size() < text.size() ? out + "…" : out;
}

Result<void> check_node_id_text(std::string_view text) {
  const auto prefixed = split_uri(text);
  if (!prefixed) return std::unexpected(prefixed.error());
  auto id = parse_identifier(text, prefixed->rest);
  if (!id) return std::unexpected(id.error());
  UA_NodeId_clear(&*id);
  return {};
}

}  // namespace sallyport::opcua
