// The routes of the HTTP API and what each answers; see http_api.h and docs/http.md.
#include "sinks/http/http_api.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "namespace/point_json.h"
#include "sinks/http/history_answer.h"
#include "sinks/http/points_list.h"
#include "sinks/http/points_query.h"
#include "sinks/http/process_metrics.h"
#include "sinks/http/stream.h"
#include "sinks/http/web_files.h"

namespace sallyport::http {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr std::size_t kLookPerTurn = 8192;  // places of the table looked at in one turn of the loop
constexpr std::size_t kMaxEntries = 10'000;
constexpr std::string_view kPageSecurity =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri "
    "'none'; "
    "form-action 'none'; frame-ancestors 'none'";

// What the handlers stand on; shared by all of them.
struct Context {
  Context(net::Loop& the_loop, Namespace& the_namespace, NodeView& the_view, const net::HttpCounters*& the_counters)
      : loop(the_loop), ns(the_namespace), view(the_view), counters(the_counters) {}
  net::Loop& loop;
  Namespace& ns;
  NodeView& view;
  const net::HttpCounters*& counters;  // null until the server runs
  Cursors cursors;
};
using Shared = std::shared_ptr<Context>;

HttpResponse list_points(const Shared& context, const HttpRequest& request) {
  auto patterns = match_of(request);
  if (!patterns) return bad_query(patterns.error());
  const auto limit = limit_of(request);
  if (!limit) return bad_query(limit.error());
  const auto from = context->cursors.cursor_of(request);
  if (!from) return bad_query(from.error());
  HttpResponse response;
  response.producer = std::make_unique<PointsList>(context->ns, std::move(*patterns), *from, *limit, context->cursors);
  return response;
}

void append_meta(std::string& out, const Meta& meta) {
  JsonWriter json(out);
  json.begin_object();
  if (meta.type != Type::null) json.field("type", to_string(meta.type));
  if (!meta.description.empty()) json.field("description", meta.description);
  if (!meta.unit.empty()) json.field("unit", meta.unit);
  if (meta.range_low) json.field("range_low", *meta.range_low);
  if (meta.range_high) json.field("range_high", *meta.range_high);
  if (!meta.enum_strings.empty()) {
    json.key("enum_strings");
    json.begin_array();
    for (const std::string& text : meta.enum_strings) json.string(text);
    json.end_array();
  }
  json.end_object();
}

HttpResponse no_such_point(const Context& context, const std::string& path) {
  const auto near = context.ns.similar(path, 1);
  return net::http_problem(
      404, "there is no point '" + path + "'",
      near.empty() ? std::string("see /api/v1/browse for what there is") : "did you mean '" + near.front() + "'?");
}

HttpResponse one_point(const Shared& context, const HttpRequest& request) {
  const auto point = context->ns.read(request.tail);
  if (!point) return no_such_point(*context, request.tail);
  HttpResponse response;
  append_point_json(response.body, *point);
  if (point->meta && *point->meta != Meta{}) {  // as one more member of the object
    response.body.pop_back();
    response.body += ",\"meta\":";
    append_meta(response.body, *point->meta);
    response.body += '}';
  }
  response.body += '\n';
  return response;
}

HttpResponse browse_result(const Context& context, const std::string& path, const BrowseEntries& found) {
  if (found.empty() && !path.empty() && !context.ns.find(path)) return no_such_point(context, path);
  HttpResponse response;
  JsonWriter json(response.body);
  json.begin_object();
  json.field("path", path);
  json.key("entries");
  json.begin_array();
  std::size_t count = 0;
  for (const auto& [name, entry] : found) {
    if (count++ == kMaxEntries) break;
    json.begin_object();
    json.field("name", name);
    json.field("path", path.empty() ? name : path + "/" + name);
    json.field("is_point", entry.is_point);
    json.field("points_below", static_cast<std::uint64_t>(entry.points_below));
    json.end_object();
  }
  json.end_array();
  json.field("truncated", found.size() > kMaxEntries);
  json.end_object();
  response.body += '\n';
  return response;
}

HttpResponse browse(const Shared& context, const HttpRequest& request) {
  std::string path(request.parameter("path").value_or(""));
  if (auto good = path.empty() ? Result<void>() : check_path(path); !good) {
    return net::http_problem(400, "path: " + good.error().message, "a path looks like acme/berlin/line1");
  }
  HttpResponse response;
  response.work = [context, path = std::move(path), found = BrowseEntries(),
                   next = PointId{0}]() mutable -> std::optional<HttpResponse> {
    const auto rest = context->ns.browse(path, next, kMaxEntries + 1, kLookPerTurn, found);
    if (!rest) return browse_result(*context, path, found);
    next = *rest;
    return std::nullopt;
  };
  return response;
}

HttpResponse stream(const Shared& context, const HttpRequest& request) {
  auto patterns = match_of(request);
  if (!patterns) return bad_query(patterns.error());
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.compress = false;
  // A reverse proxy that collects the stream before it passes it on would make old values of new ones.
  response.headers.emplace_back("X-Accel-Buffering", "no");
  response.producer = std::make_unique<Stream>(context->loop, context->ns, std::move(*patterns));
  return response;
}

void add_server_metrics(MetricsText& out, const net::HttpCounters& counters) {
  out.gauge("sallyport_http_connections", "Open HTTP connections", {}, std::uint64_t{counters.open});
  out.gauge("sallyport_http_streams", "Responses that are still being made, live streams among them", {},
            std::uint64_t{counters.producing});
  out.counter("sallyport_http_accepted_total", "HTTP connections accepted", {}, counters.accepted);
  constexpr std::string_view refused = "HTTP connections closed by the node, by reason";
  out.counter("sallyport_http_refused_total", refused, {{"reason", "limit"}}, counters.refused_limit);
  out.counter("sallyport_http_refused_total", refused, {{"reason", "timeout"}}, counters.timed_out);
  out.counter("sallyport_http_refused_total", refused, {{"reason", "handshake"}}, counters.failed_handshakes);
  out.counter("sallyport_http_malformed_total", "Requests that are no HTTP", {}, counters.malformed);
  out.counter("sallyport_http_unauthorized_total", "Requests without a known token", {}, counters.unauthorized);
  constexpr std::string_view codes[] = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 2; i < std::size(codes); ++i) {
    out.counter("sallyport_http_responses_total", "HTTP responses, by status", {{"code", codes[i]}},
                counters.responses[i]);
  }
  out.counter("sallyport_http_sent_bytes_total", "Bytes of responses given to the network", {}, counters.bytes_sent);
}

HttpResponse metrics(const Context& context) {
  MetricsText out;
  context.view.metrics(out);
  out.counter("sallyport_revision_total", "Changes applied to the namespace", {}, context.ns.revision());
  if (context.counters != nullptr) add_server_metrics(out, *context.counters);
  add_process_metrics(out);
  HttpResponse response;
  response.content_type = MetricsText::kContentType;
  response.body = out.text();
  return response;
}

HttpResponse ready(const Context& context, const HttpRequest& request) {
  std::string why;
  HttpResponse response;
  const bool is_ready = context.view.ready(why);
  response.status = is_ready ? 200 : 503;
  JsonWriter json(response.body);
  json.begin_object();
  json.field("status", is_ready ? "ready" : "not ready");
  if (!is_ready && request.authorized) json.field("why", why);  // names of links are not for everyone
  json.end_object();
  response.body += '\n';
  return response;
}

HttpResponse file(std::string_view name, std::string_view content_type) {
  HttpResponse response;
  response.content_type = content_type;
  response.body = web_file(name);
  response.headers.emplace_back("Cache-Control", "no-cache");
  response.headers.emplace_back("Content-Security-Policy", kPageSecurity);
  return response;
}

void add_pages(net::HttpRouter& router) {
  struct Page {
    const char *path, *name, *type;
  };
  constexpr Page pages[] = {{"/", "index.html", "text/html; charset=utf-8"},
                            {"/app.js", "app.js", "text/javascript; charset=utf-8"},
                            {"/style.css", "style.css", "text/css; charset=utf-8"},
                            {"/api/v1/openapi.json", "openapi.json", "application/json"}};
  for (const Page& page : pages) {
    // Nothing in them tells of this node; the page asks for a token itself.
    router.add({.method = "GET",
                .path = page.path,
                .handler = [page](const HttpRequest&) { return file(page.name, page.type); },
                .open = true});
  }
}

}  // namespace

net::HttpRouter make_router(net::Loop& loop, Namespace& ns, NodeView& view, const net::HttpCounters*& counters) {
  const Shared c = std::make_shared<Context>(loop, ns, view, counters);
  const auto get = [](std::string path, std::vector<net::HttpParameter> parameters, auto handler, bool open = false) {
    return net::HttpRoute{.method = "GET",
                          .path = std::move(path),
                          .parameters = std::move(parameters),
                          .handler = std::move(handler),
                          .open = open};
  };
  net::HttpRouter router;
  router.add(get("/api/v1/points", {{"match", true}, {"limit"}, {"cursor"}},
                 [c](const HttpRequest& r) { return list_points(c, r); }));
  router.add(get("/api/v1/points/{path...}", {}, [c](const HttpRequest& r) { return one_point(c, r); }));
  router.add(get("/api/v1/browse", {{"path"}}, [c](const HttpRequest& r) { return browse(c, r); }));
  router.add(get("/api/v1/stream", {{"match", true}}, [c](const HttpRequest& r) { return stream(c, r); }));
  router.add(get("/api/v1/history", history_parameters(), [c](const HttpRequest& r) { return history_answer(c->view, c->ns.clock().utc(), r); }));
  router.add(get("/api/v1/links", {}, [c](const HttpRequest&) { return HttpResponse::json(c->view.links_json()); }));
  router.add(get("/api/v1/gaps", {}, [c](const HttpRequest&) { return HttpResponse::json(c->view.gaps_json()); }));
  router.add(get("/api/v1/status", {}, [c](const HttpRequest&) { return HttpResponse::json(c->view.status_json()); }));
  router.add(get("/metrics", {}, [c](const HttpRequest&) { return metrics(*c); }));
  router.add(get("/healthz", {}, [](const HttpRequest&) { return HttpResponse::json("{\"status\":\"ok\"}\n"); }, true));
  router.add(get("/readyz", {}, [c](const HttpRequest& r) { return ready(*c, r); }, true));
  add_pages(router);
  return router;
}

struct HttpApi::Impl {
  net::Loop& loop;
  Namespace& ns;
  NodeView& view;
  HttpSettings settings;
  const net::HttpCounters* counters = nullptr;
  std::unique_ptr<net::HttpServer> server;
};

HttpApi::HttpApi(net::Loop& loop, Namespace& ns, NodeView& view, HttpSettings settings)
    : impl_(new Impl{loop, ns, view, std::move(settings), nullptr, nullptr}) {}
HttpApi::~HttpApi() { stop(); }

Result<void> HttpApi::start() {
  auto server = net::HttpServer::start(impl_->loop, impl_->settings.server,
                                       make_router(impl_->loop, impl_->ns, impl_->view, impl_->counters));
  if (!server) return within("[http] address", server.error());
  impl_->server = std::move(*server);
  impl_->counters = &impl_->server->counters();
  return {};
}

void HttpApi::stop() {
  impl_->counters = nullptr;
  impl_->server.reset();
}

std::uint16_t HttpApi::port() const { return impl_->server ? impl_->server->port() : 0; }

std::string HttpApi::url() const {
  const net::HttpServerOptions& server = impl_->settings.server;
  const std::string host = server.host.contains(':') ? "[" + server.host + "]" : server.host;
  return std::string(server.tls ? "https" : "http") + "://" + host + ":" + std::to_string(port()) + "/";
}

Result<void> HttpApi::reload(const HttpSettings& settings) {
  if (settings.address != impl_->settings.address) {
    log::warn("http address changed; restart the node to listen there", log::field("address", settings.address));
  }
  if (!impl_->server) return {};
  if (settings.server.tls.has_value() != impl_->settings.server.tls.has_value()) {
    return fail(ErrorCode::invalid, "[http]: turning TLS on or off needs a restart of the node");
  }
  if (settings.server.tokens.empty() && !impl_->settings.server.tokens.empty()) {
    return fail(ErrorCode::invalid, "[http]: doing without tokens needs a restart of the node");
  }
  return impl_->server->reload(settings.server.tls, settings.server.tokens);
}

}  // namespace sallyport::http
