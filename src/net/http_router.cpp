// From a request's head to its route: target, Host, method and path, token, query.
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>

#include "net/http_hub.h"
#include "net/http_parser.h"
#include "net/http_target.h"

namespace sallyport::net {
namespace {

bool iequals(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// Whether the path is this route's; `tail` receives what the braces take.
bool path_matches(std::string_view pattern, std::string_view path, std::string& tail) {
  const std::size_t brace = pattern.find('{');
  if (brace == std::string_view::npos) return pattern == path;
  if (!path.starts_with(pattern.substr(0, brace)) || path.size() == brace) return false;
  tail = std::string(path.substr(brace));
  return true;
}

std::string join_names(const std::vector<HttpParameter>& parameters) {
  std::string out;
  for (const HttpParameter& parameter : parameters) {
    if (!out.empty()) out += ", ";
    out += parameter.name;
  }
  return out;
}

std::optional<HttpResponse> check_query(const HttpRoute& route, const HttpRequest& request) {
  for (auto item = request.query.begin(); item != request.query.end(); ++item) {
    const auto known = std::ranges::find(route.parameters, item->first, &HttpParameter::name);
    if (known == route.parameters.end()) {
      return http_problem(400, "unknown query parameter '" + item->first + "'",
                          route.parameters.empty() ? "this resource takes none"
                                                   : "this resource takes: " + join_names(route.parameters));
    }
    const auto same = [&](const auto& other) { return other.first == item->first; };
    if (!known->repeated && std::any_of(request.query.begin(), item, same)) {
      return http_problem(400, "query parameter '" + item->first + "' appears more than once", "give it once");
    }
  }
  return std::nullopt;
}

bool host_allowed(const HttpHub& hub, std::string_view authority) {
  const std::string host = host_of_authority(authority);
  if (host.empty()) return false;
  if (is_loopback_host(host).value_or(false)) return true;
  return std::ranges::any_of(hub.options.host_names, [&](const std::string& name) { return iequals(name, host); });
}

// A web page of elsewhere can point its own name at 127.0.0.1 and then read what this node serves, unless the name is
// looked at (DNS rebinding).
std::optional<HttpResponse> check_host(const HttpHub& hub, const HttpRequest& request, const std::string& authority) {
  if (!hub.check_host) return std::nullopt;
  const std::string_view host = authority.empty() ? request.header("host") : std::string_view(authority);
  if (host.empty() || host_allowed(hub, host)) return std::nullopt;
  return http_problem(421, "this node does not answer for the host '" + std::string(host.substr(0, 200)) + "'",
                      "use localhost, 127.0.0.1 or [::1], or add the name to host_names under [http]");
}

std::optional<HttpResponse> check_token(HttpHub& hub, const HttpRoute& route, HttpRequest& request) {
  const HttpTokens& tokens = hub.options.tokens;
  request.authorized = tokens.empty();
  if (tokens.empty()) return std::nullopt;
  std::string_view given = request.header("authorization");
  constexpr std::string_view scheme = "bearer ";
  const bool bearer = given.size() > scheme.size() && iequals(given.substr(0, scheme.size()), scheme);
  if (bearer) {
    given.remove_prefix(scheme.size());
    while (given.starts_with(' ')) given.remove_prefix(1);
    if (auto name = tokens.name_of(given)) {
      request.user = std::move(*name);
      request.authorized = true;
      return std::nullopt;
    }
  }
  if (route.open) return std::nullopt;
  ++hub.counters.unauthorized;
  HttpResponse response = http_problem(401, bearer ? "this token is not known" : "a bearer token is required",
                                       "send the header `Authorization: Bearer TOKEN` with a token of tokens_file");
  response.headers.emplace_back("WWW-Authenticate", bearer ? "Bearer error=\"invalid_token\"" : "Bearer");
  return response;
}

HttpResponse not_routed(const HttpRouter::Match& match, const HttpRequest& request) {
  if (match.allowed.empty()) {
    return http_problem(404, "there is nothing at " + request.path, "see /api/v1/openapi.json for what there is");
  }
  if (request.method == "OPTIONS") {
    HttpResponse response;
    response.status = 204;
    response.compress = false;
    response.headers.emplace_back("Allow", match.allowed);
    return response;
  }
  HttpResponse response =
      http_problem(405, request.path + " does not take " + request.method, "it takes: " + match.allowed);
  response.headers.emplace_back("Allow", match.allowed);
  return response;
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (iequals(key, name)) return value;
  }
  return {};
}

std::optional<std::string_view> HttpRequest::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::vector<std::string> HttpRequest::parameters(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : query) {
    if (key == name) values.push_back(value);
  }
  return values;
}

HttpRouter::Match HttpRouter::find(std::string_view method, std::string_view path) const {
  Match match;
  std::string tail;
  for (const HttpRoute& route : routes_) {
    if (!path_matches(route.path, path, tail)) continue;
    if (route.method == method || (route.method == "GET" && method == "HEAD")) {
      match.route = &route;
      match.tail = std::move(tail);
      return match;
    }
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  if (!match.allowed.empty()) match.allowed += ", OPTIONS";
  return match;
}

std::optional<HttpResponse> admit(HttpHub& hub, const HttpParser& head, HttpRequest& request, const HttpRoute*& route) {
  route = nullptr;
  request.method = head.method();
  request.headers = head.headers();
  auto target = parse_http_target(head.target());
  if (!target) {
    ++hub.counters.malformed;
    return http_problem(400, target.error().message, "percent-encode what is not a letter, digit or one of -._~/");
  }
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  if (auto refusal = check_host(hub, request, target->authority)) return refusal;
  HttpRouter::Match match = hub.router.find(request.method, request.path);
  if (match.route == nullptr) return not_routed(match, request);
  if (auto refusal = check_token(hub, *match.route, request)) return refusal;
  if (auto refusal = check_query(*match.route, request)) return refusal;
  request.tail = std::move(match.tail);
  route = match.route;
  return std::nullopt;
}

Result<bool> is_loopback_host(std::string_view host) {
  if (iequals(host, "localhost")) return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  if (error) return fail(ErrorCode::invalid, "'" + std::string(host) + "' is neither an IP address nor localhost");
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6()).is_loopback();
  }
  return address.is_loopback();
}

}  // namespace sallyport::net
