// Query parameters; see points_query.h.
#include "sinks/http/points_query.h"

#include <array>
#include <charconv>
#include <random>

namespace sallyport::http {
namespace {

template <typename Number>
bool parse_number(std::string_view text, Number& out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::string hex(std::uint32_t number) {
  std::array<char, 8> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, 16).ptr;
  const std::string digits(text.data(), end);
  return std::string(text.size() - digits.size(), '0') + digits;
}

}  // namespace

Query<Patterns> match_of(const net::HttpRequest& request) {
  std::vector<std::string> texts = request.parameters("match");
  if (texts.empty()) texts.emplace_back("**");
  if (texts.size() > kMaxPatterns) {
    return std::unexpected(BadQuery{"more than " + std::to_string(kMaxPatterns) + " patterns",
                                    "use fewer, wider ones: * is one level, ** any number"});
  }
  auto patterns = Patterns::parse(texts);
  if (!patterns) {
    return std::unexpected(
        BadQuery{"match: " + patterns.error().message,
                 "a pattern is a path in which * stands for one level and ** for any number: match=acme/**"});
  }
  if (patterns->empty()) {
    return std::unexpected(
        BadQuery{"match: only exclusions", "say what to include too: match=**&match=!acme/secret/**"});
  }
  return std::move(*patterns);
}

Query<std::size_t> limit_of(const net::HttpRequest& request) {
  const auto text = request.parameter("limit");
  if (!text) return kDefaultLimit;
  std::size_t limit = 0;
  if (!parse_number(*text, limit) || limit < 1 || limit > kMaxLimit) {
    return std::unexpected(BadQuery{
        "limit: '" + std::string(text->substr(0, 40)) + "' is not a number from 1 to " + std::to_string(kMaxLimit),
        "ask for more with the cursor of the answer"});
  }
  return limit;
}

Cursors::Cursors() : run_(hex(std::random_device()())) {}

std::string Cursors::text(PointId next) const { return run_ + hex(next); }

Query<PointId> Cursors::cursor_of(const net::HttpRequest& request) const {
  const auto text = request.parameter("cursor");
  if (!text) return PointId{0};
  PointId next = 0;
  if (text->size() != 16 || !parse_number(text->substr(8), next, 16)) {
    return std::unexpected(BadQuery{"cursor: '" + std::string(text->substr(0, 40)) + "' is no cursor",
                                    "take it unchanged from the last answer, or leave it out to begin"});
  }
  if (text->substr(0, 8) != run_) {
    return std::unexpected(BadQuery{"cursor: from before this node's last start", "begin again without a cursor"});
  }
  return next;
}

net::HttpResponse bad_query(const BadQuery& bad) { return net::http_problem(400, bad.detail, bad.hint); }

}  // namespace sallyport::http
