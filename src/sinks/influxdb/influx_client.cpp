#include "sinks/influxdb/influx_client.h"

#include <curl/curl.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>

namespace sallyport::influxdb {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMaxReply = 64 * 1024;
constexpr std::int64_t kMaxWait = 300;     // seconds; what a server may ask us to wait
constexpr std::size_t kMaxMessage = 400;

// The text of "error" (version 1) or "message" (version 2); the body itself when it is no such JSON.
std::string message_of(const std::string& body) {
  std::string text = body;
  for (const std::string_view key : {"\"error\":\"", "\"message\":\""}) {
    const auto at = body.find(key);
    if (at == std::string::npos) continue;
    text.clear();
    for (std::size_t i = at + key.size(); i < body.size() && body[i] != '"'; ++i) {
      if (body[i] == '\\' && i + 1 < body.size()) ++i;
      text += body[i];
    }
    break;
  }
  std::ranges::replace(text, '\n', ' ');
  text.resize(std::min(text.size(), kMaxMessage));
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

std::uint64_t number_after(const std::string& text, std::string_view key) {
  const auto at = text.rfind(key);
  std::uint64_t number = 0;
  if (at != std::string::npos) std::from_chars(text.data() + at + key.size(), text.data() + text.size(), number);
  return number;
}

Result<std::string> compressed(const std::string& text) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return fail(ErrorCode::limit, "out of memory");
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END) return fail(ErrorCode::internal, "gzip failed");
  return out;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* to) {
  auto& body = *static_cast<std::string*>(to);
  body.append(data, std::min(size, kMaxReply - std::min(kMaxReply, body.size())));
  return size;
}

int look_up(void* give_up, curl_off_t, curl_off_t, curl_off_t, curl_off_t) { return (*static_cast<const Client::GiveUp*>(give_up))() ? 1 : 0; }

}  // namespace

Reply understand(long code, const std::string& body, const std::string& retry_after) {
  Reply reply{.message = message_of(body)};
  const std::string status = "HTTP " + std::to_string(code);
  reply.message = reply.message.empty() ? status : status + ": " + reply.message;
  if (code >= 200 && code < 300) {
    reply.kind = Reply::Kind::stored;
  } else if (code == 413) {
    reply.kind = Reply::Kind::too_large;
  } else if (code == 404) {
    reply.kind = Reply::Kind::missing;
  } else if (code == 400 || code == 422) {
    const bool in_part = body.find("partial write") != std::string::npos;
    reply.dropped = number_after(body, "dropped=");
    reply.kind = in_part && reply.dropped > 0 ? Reply::Kind::in_part : Reply::Kind::refused;
  } else if (code == 401 || code == 403) {
    reply.message += "; check the token, or user and password, and their right to write";
  }
  std::int64_t wait = 0;
  std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), wait);
  reply.wait = seconds(std::clamp<std::int64_t>(wait, 0, kMaxWait));
  return reply;
}

struct Client::Impl {
  CURL* handle = curl_easy_init();
  char error[CURL_ERROR_SIZE] = {};
  ~Impl() { curl_easy_cleanup(handle); }
  std::string escaped(const std::string& text) const {
    char* raw = curl_easy_escape(handle, text.c_str(), static_cast<int>(text.size()));
    std::string out = raw == nullptr ? "" : raw;
    curl_free(raw);
    return out;
  }
};

Client::Client(const Options& options, GiveUp give_up) : options_(options), give_up_(std::move(give_up)), impl_(std::make_unique<Impl>()) {}
Client::~Client() = default;

Reply Client::write(const std::string& lines) {
  std::string path;
  if (options_.version2) {
    path = "/api/v2/write?org=" + impl_->escaped(options_.org) + "&bucket=" + impl_->escaped(options_.bucket) + "&precision=ns";
  } else {
    path = "/write?db=" + impl_->escaped(options_.database) + "&precision=ns";
    if (!options_.retention_policy.empty()) path += "&rp=" + impl_->escaped(options_.retention_policy);
  }
  return post(path, lines, true);
}

Reply Client::create_database() {
  std::string name = "\"";
  for (const char c : options_.database) {
    if (c == '"' || c == '\\') name += '\\';
    name += c;
  }
  return post("/query?q=" + impl_->escaped("CREATE DATABASE " + name + "\""), "", false);
}

Reply Client::post(const std::string& path, const std::string& text, bool lines) {
  CURL* handle = impl_->handle;
  if (handle == nullptr) return {.message = "libcurl cannot be used"};
  std::string body = text;
  curl_slist* headers = curl_slist_append(nullptr, "Content-Type: text/plain; charset=utf-8");
  headers = curl_slist_append(headers, "Expect:");
  if (lines && options_.gzip) {
    auto packed = compressed(text);
    if (packed) {
      body = *std::move(packed);
      headers = curl_slist_append(headers, "Content-Encoding: gzip");
    }
  }
  if (!options_.token.empty()) headers = curl_slist_append(headers, ("Authorization: Token " + options_.token).c_str());
  curl_easy_reset(handle);  // keeps the connection
  const std::string url = options_.url + path;
  std::string answer;
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_POST, 1L);
  curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, 10'000L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(options_.timeout).count()));
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, look_up);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &give_up_);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, impl_->error);
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, options_.ca.c_str());
  if (!options_.user.empty()) {
    curl_easy_setopt(handle, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(handle, CURLOPT_USERNAME, options_.user.c_str());
    curl_easy_setopt(handle, CURLOPT_PASSWORD, options_.password.c_str());
  }
  impl_->error[0] = '\0';
  const CURLcode done = curl_easy_perform(handle);
  curl_slist_free_all(headers);
  if (done != CURLE_OK) return {.message = impl_->error[0] != '\0' ? impl_->error : curl_easy_strerror(done)};
  bytes_ += body.size();
  long code = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &code);
  curl_off_t wait = 0;
  curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &wait);
  return understand(code, answer, std::to_string(wait));
}

}  // namespace sallyport::influxdb
