// Log lines for the operator at 3 a.m.: event first, then key=value; text from outside quoted. Any thread.
// A line when a state changes, never per update. What can be counted is a counter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::log {

enum class Level : std::uint8_t { trace, debug, info, warn, error };

void set_level(Level level);
bool enabled(Level level);
void write(Level level, std::string_view line);

// One field of a line; strings are quoted and cut at 200 bytes, control characters escaped.
std::string field(std::string_view key, std::string_view text);
std::string field(std::string_view key, std::int64_t number);

// log::info("link up", field("link", name), field("group", group));
template <typename... Fields>
void line(Level level, std::string_view event, const Fields&... fields) {
  if (!enabled(level)) return;
  std::string text(event);
  ((text += ' ', text += fields), ...);
  write(level, text);
}
template <typename... F> void debug(std::string_view event, const F&... f) { line(Level::debug, event, f...); }
template <typename... F> void info(std::string_view event, const F&... f) { line(Level::info, event, f...); }
template <typename... F> void warn(std::string_view event, const F&... f) { line(Level::warn, event, f...); }
template <typename... F> void error(std::string_view event, const F&... f) { line(Level::error, event, f...); }

}  // namespace sallyport::log
