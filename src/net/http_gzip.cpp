// gzip; see http_gzip.h.
#include "net/http_gzip.h"

#include <zlib.h>

#include <cctype>
#include <cstdlib>
#include <optional>

namespace sallyport::net {
namespace {

constexpr int kLevel = 1;             // text of points shrinks to a tenth at any level; the loop's time is dearer
constexpr int kWindowBits = 15 + 16;  // 32 KiB window, gzip framing
constexpr int kMemLevel = 8;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// "q=0", "q=0.000": not acceptable.
bool is_zero_weight(std::string_view parameters) {
  parameters = trim(parameters);
  if (!parameters.starts_with("q=") && !parameters.starts_with("Q=")) return false;
  return parameters.substr(2).find_first_not_of("0.") == std::string_view::npos;
}

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) {
  std::optional<bool> gzip, any;
  while (!accept_encoding.empty()) {
    const std::size_t end = accept_encoding.find(',');
    const std::string_view item = accept_encoding.substr(0, end);
    accept_encoding.remove_prefix(end == std::string_view::npos ? accept_encoding.size() : end + 1);
    const std::size_t semicolon = item.find(';');
    std::string name(trim(item.substr(0, semicolon)));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool wanted = semicolon == std::string_view::npos || !is_zero_weight(item.substr(semicolon + 1));
    if (name == "gzip" || name == "x-gzip") gzip = wanted;
    if (name == "*") any = wanted;
  }
  return gzip.value_or(any.value_or(false));
}

struct Gzip::Impl {
  z_stream stream{};
};

Gzip::Gzip() : impl_(std::make_unique<Impl>()) {
  // Fails only without memory, which is not survived anywhere else either.
  if (deflateInit2(&impl_->stream, kLevel, Z_DEFLATED, kWindowBits, kMemLevel, Z_DEFAULT_STRATEGY) != Z_OK)
    std::abort();
}
Gzip::~Gzip() { deflateEnd(&impl_->stream); }

void Gzip::add(std::string_view bytes, bool last, std::string& out) {
  z_stream& stream = impl_->stream;
  // zlib does not write through next_in; its type predates const.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  char piece[16 * 1024];
  for (;;) {
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    const int result = deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
    out.append(piece, sizeof piece - stream.avail_out);
    if (result == Z_STREAM_END || (stream.avail_out != 0 && stream.avail_in == 0 && !last)) return;
    if (result != Z_OK && result != Z_BUF_ERROR) return;
  }
}

}  // namespace sallyport::net
