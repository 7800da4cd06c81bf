// The small notations inside settings: durations, sizes, and the guess at what a mistyped key was meant to be.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "base/settings.h"

namespace sallyport {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr Unit kDurationUnits[] = {{"ns", 1},
                                   {"us", 1'000},
                                   {"µs", 1'000},
                                   {"ms", 1'000'000},
                                   {"s", 1'000'000'000},
                                   {"m", 60'000'000'000},
                                   {"min", 60'000'000'000},
                                   {"h", 3'600'000'000'000},
                                   {"d", 86'400'000'000'000}};
constexpr Unit kSizeUnits[] = {{"B", 1},
                               {"kB", 1'000},
                               {"KB", 1'000},
                               {"KiB", 1u << 10},
                               {"MB", 1'000'000},
                               {"MiB", 1u << 20},
                               {"GB", 1'000'000'000},
                               {"GiB", 1u << 30},
                               {"TB", 1'000'000'000'000},
                               {"TiB", std::uint64_t{1} << 40}};
constexpr Unit kRateUnits[] = {{"bit/s", 1}, {"kbit/s", 1'000}, {"Mbit/s", 1'000'000}, {"Gbit/s", 1'000'000'000}};

// Digits with an optional fraction, then a unit; nullopt when it is not that, or does not fit into 63 bits.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  if (text.empty() || text.size() > 40 || text.front() < '0' || text.front() > '9') return {};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return {};
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto found = std::ranges::find(units, unit, &Unit::name);
  if (found == units.end()) return {};
  // Whole numbers exactly, beyond what a double holds.
  std::uint64_t whole = 0;
  const auto exact = std::from_chars(text.data(), end, whole);
  constexpr auto max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (exact.ptr == end && exact.ec == std::errc()) {
    if (whole > max / found->factor) return {};
    return whole * found->factor;
  }
  const double scaled = std::round(number * static_cast<double>(found->factor));
  if (!(scaled < 9.2e18)) return {};
  return static_cast<std::uint64_t>(scaled);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return out;
}

// Edit distance where two neighbours swapped count once.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto nanoseconds = parse_with_unit(text, kDurationUnits);
  if (!nanoseconds) {
    return fail(ErrorCode::invalid,
                "'" + std::string(text.substr(0, 40)) +
                    "' is no duration; expected a number with ns, us, ms, s, m, h or d, such as \"250ms\"");
  }
  return Duration(static_cast<std::int64_t>(*nanoseconds));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto bytes = parse_with_unit(text, kSizeUnits);
  if (!bytes) {
    return fail(ErrorCode::invalid,
                "'" + std::string(text.substr(0, 40)) +
                    "' is no size; expected a number with B, KB, KiB, MB, MiB, GB or GiB, such as \"64MiB\"");
  }
  return *bytes;
}

Result<std::uint64_t> parse_bit_rate(std::string_view text) {
  const auto bits = parse_with_unit(text, kRateUnits);
  if (!bits) {
    return fail(ErrorCode::invalid, "'" + std::string(text.substr(0, 40)) +
                                        "' is no rate; expected a number with bit/s, kbit/s, Mbit/s or Gbit/s, such as \"100 Mbit/s\"");
  }
  return *bits;
}

std::string bit_rate_text(std::uint64_t bits_per_second) {
  const Unit* unit = kRateUnits;
  for (const Unit& larger : kRateUnits) {
    if (bits_per_second != 0 && bits_per_second % larger.factor == 0) unit = &larger;
  }
  return std::to_string(bits_per_second / unit->factor) + ' ' + std::string(unit->name);
}

std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 200;
  if (text.empty() || text.size() > kLongest) return {};
  const std::string wanted = lower(text);
  const std::string* best = nullptr;
  std::size_t best_distance = std::max<std::size_t>(1, text.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::size_t length_difference =
        candidate.size() > text.size() ? candidate.size() - text.size() : text.size() - candidate.size();
    if (length_difference >= best_distance) continue;
    const std::size_t d = distance(wanted, lower(candidate));
    if (d < best_distance && d < candidate.size()) {
      best_distance = d;
      best = &candidate;
    }
  }
  if (best == nullptr) return {};
  return *best;
}

}  // namespace sallyport
