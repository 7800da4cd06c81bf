// Responses as text: problem documents, status lines, header fields.
#include <array>
#include <ctime>

#include "base/json_writer.h"
#include "net/http_hub.h"

namespace sallyport::net {
namespace {

struct Reason {
  int status;
  std::string_view text;
};
constexpr std::array kReasons = {
    Reason{200, "OK"},
    Reason{204, "No Content"},
    Reason{304, "Not Modified"},
    Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"},
    Reason{403, "Forbidden"},
    Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"},
    Reason{408, "Request Timeout"},
    Reason{413, "Content Too Large"},
    Reason{414, "URI Too Long"},
    Reason{421, "Misdirected Request"},
    Reason{431, "Request Header Fields Too Large"},
    Reason{500, "Internal Server Error"},
    Reason{501, "Not Implemented"},
    Reason{503, "Service Unavailable"},
    Reason{505, "HTTP Version Not Supported"},
};

// IMF-fixdate (RFC 9110 §5.6.7); strftime would use the locale's names.
void append_date(std::string& out) {
  constexpr std::array<const char*, 7> days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  const int size = std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                 days[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                                 months[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour,
                                 utc.tm_min, utc.tm_sec);
  out.append(text, static_cast<std::size_t>(size));
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  // A line end in a value would be another header: none gets out, wherever the text came from.
  for (const char c : value) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  out += "\r\n";
}

bool has_field(const HttpResponse& response, std::string_view name) {
  for (const auto& field : response.headers) {
    if (field.first == name) return true;
  }
  return false;
}

}  // namespace

std::string_view http_reason(int status) {
  for (const Reason& reason : kReasons) {
    if (reason.status == status) return reason.text;
  }
  return "Unknown";
}

HttpResponse HttpResponse::json(std::string body, int status) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

HttpResponse http_problem(int status, std::string_view detail, std::string_view hint) {
  HttpResponse response;
  response.status = status;
  response.content_type = "application/problem+json";
  JsonWriter json(response.body);
  json.begin_object();
  json.field("type", "about:blank");
  json.field("title", http_reason(status));
  json.field("status", status);
  json.field("detail", detail);
  if (!hint.empty()) json.field("hint", hint);
  json.end_object();
  response.body += '\n';
  return response;
}

std::string http_head(const HttpResponse& response, const HttpFraming& framing) {
  std::string out;
  out.reserve(512);
  out += "HTTP/1.1 ";
  out += std::to_string(response.status);
  out += ' ';
  out += http_reason(response.status);
  out += "\r\nDate: ";
  append_date(out);
  out += "\r\n";
  if (response.status != 204 && response.status != 304) append_field(out, "Content-Type", response.content_type);
  if (framing.length) append_field(out, "Content-Length", std::to_string(*framing.length));
  if (framing.chunked) append_field(out, "Transfer-Encoding", "chunked");
  if (framing.gzip) append_field(out, "Content-Encoding", "gzip");
  if (response.compress) append_field(out, "Vary", "Accept-Encoding");
  if (framing.close) append_field(out, "Connection", "close");
  for (const auto& [name, value] : response.headers) append_field(out, name, value);
  // Values are live and may be confidential; nothing here is meant to be framed, sniffed or kept.
  if (!has_field(response, "Cache-Control")) append_field(out, "Cache-Control", "no-store");
  if (!has_field(response, "Content-Security-Policy")) {
    append_field(out, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  }
  append_field(out, "X-Content-Type-Options", "nosniff");
  append_field(out, "Cross-Origin-Resource-Policy", "same-origin");
  append_field(out, "Referrer-Policy", "no-referrer");
  out += "\r\n";
  return out;
}

}  // namespace sallyport::net
