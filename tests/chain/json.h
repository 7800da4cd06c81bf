// Reading JSON in tests, by dotted name.
#pragma once

#include <boost/json.hpp>

#include <optional>
#include <string>

namespace sallyport::tests {

inline std::optional<boost::json::value> parse_json(const std::string& text) {
  boost::system::error_code error;
  auto value = boost::json::parse(text, error);
  if (error) return std::nullopt;
  return value;
}

// The value at "links.0.state", or null when there is none.
inline const boost::json::value* find_json(const boost::json::value& json, const std::string& name) {
  const boost::json::value* at = &json;
  for (std::size_t from = 0; at != nullptr && from <= name.size();) {
    const std::size_t end = std::min(name.find('.', from), name.size());
    const std::string level = name.substr(from, end - from);
    if (at->is_object()) {
      at = at->as_object().if_contains(level);
    } else if (at->is_array()) {
      const auto index = static_cast<std::size_t>(std::stoul(level));
      at = index < at->as_array().size() ? &at->as_array()[index] : nullptr;
    } else {
      at = nullptr;
    }
    from = end + 1;
  }
  return at;
}

// Strings as they are, everything else as JSON; empty when there is none.
inline std::string text_at(const boost::json::value& json, const std::string& name) {
  const auto* at = find_json(json, name);
  if (at == nullptr) return {};
  return at->is_string() ? std::string(at->as_string()) : boost::json::serialize(*at);
}

}  // namespace sallyport::tests
