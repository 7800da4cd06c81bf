#include "cli/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <cwchar>

#include "cli/command.h"

namespace sallyport::cli {
namespace {

std::string_view escape_of(Colour colour) {
  switch (colour) {
    case Colour::none:
      return "";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
    case Colour::red:
      return "\x1b[31m";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::bold:
      return "\x1b[1m";
  }
  return "";
}

template <typename... Arguments>
std::string formatted(const char* format, Arguments... arguments) {
  std::array<char, 64> text{};
  const int size = std::snprintf(text.data(), text.size(), format, arguments...);
  return {text.data(), static_cast<std::size_t>(std::clamp(size, 0, static_cast<int>(text.size()) - 1))};
}

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == ',' || c == '.' || c == '-'; });
}

std::tm local(std::time_t seconds) {
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  return parts;
}

}  // namespace

bool use_colour() {
  static const bool wanted = ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  return wanted;
}

std::string coloured(std::string_view text, Colour colour) {
  if (colour == Colour::none || !use_colour()) return std::string(text);
  return std::string(escape_of(colour)) + std::string(text) + "\x1b[0m";
}
std::string bold(std::string_view text) { return coloured(text, Colour::bold); }

Colour colour_of(Quality quality) {
  return quality == Quality::good ? Colour::green : quality == Quality::uncertain ? Colour::yellow : Colour::red;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = std::min(text.find('m', i), text.size());
    } else if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
      ++width;
    }
  }
  return width;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += formatted("\\x%02x", unsigned{byte});
    } else {
      out += c;
    }
  }
  return out;
}

std::string Table::text() const {
  std::vector<std::size_t> widths(header_.size());
  std::vector<bool> numeric(header_.size(), !rows_.empty());
  for (std::size_t column = 0; column < header_.size(); ++column) {
    widths[column] = display_width(header_[column]);
    for (const auto& row : rows_) {
      widths[column] = std::max(widths[column], display_width(row[column]));
      if (!row[column].empty() && !is_number(row[column])) numeric[column] = false;
    }
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells, bool header) {
    for (std::size_t column = 0; column < cells.size(); ++column) {
      const std::string padding(widths[column] - display_width(cells[column]), ' ');
      const std::string cell = header ? bold(cells[column]) : cells[column];
      if (column) out += "  ";
      out += numeric[column] ? padding + cell : cell + padding;
    }
    while (out.ends_with(' ')) out.pop_back();
    out += '\n';
  };
  line(header_, true);
  for (const auto& row : rows_) line(row, false);
  return out;
}

void Table::print() const { cli::print(text()); }

std::string friendly_age(Duration age) {
  const double seconds = std::chrono::duration<double>(age).count();
  if (seconds < 0) return "-" + friendly_age(-age);
  if (seconds < 1) return formatted("%.0f ms", seconds * 1e3);
  if (seconds < 10) return formatted("%.1f s", seconds);
  if (seconds < 120) return formatted("%.0f s", seconds);
  if (seconds < 7200) return formatted("%.0f min", seconds / 60);
  if (seconds < 172'800) return formatted("%.0f h", seconds / 3600);
  return formatted("%.0f days", seconds / 86'400);
}

std::string friendly_time(UtcNanoseconds time, UtcNanoseconds now) {
  if (time == 0) return "never";
  const auto seconds = static_cast<std::time_t>(std::floor(static_cast<double>(time) / 1e9));
  const auto parts = local(seconds);
  const auto today = local(static_cast<std::time_t>(now / 1'000'000'000));
  const bool same_day = parts.tm_yday == today.tm_yday && parts.tm_year == today.tm_year;
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &parts);
  const auto milliseconds = ((time % 1'000'000'000) + 1'000'000'000) % 1'000'000'000 / 1'000'000;
  std::string out = text.data() + formatted(".%03d", static_cast<int>(milliseconds));
  const Duration age(now - time);
  return out + (age < Duration(0) ? " (in " + friendly_age(-age) + ")" : " (" + friendly_age(age) + " ago)");
}

std::string friendly_count(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string friendly_bytes(std::uint64_t number) {
  constexpr std::array<const char*, 5> units = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(number);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  return formatted(unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void print_error(std::string_view text) {
  const std::string line = "error: " + std::string(text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int failed(const Error& error) {
  print_error(error.message);
  return kFailure;
}

}  // namespace sallyport::cli
