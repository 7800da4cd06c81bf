#include "base/clock.h"

#include <array>
#include <cstring>
#include <ctime>

namespace sallyport {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDay = 86'400;

void put_digits(char* at, std::uint64_t number, int width) {
  for (int i = width - 1; i >= 0; --i, number /= 10) at[i] = static_cast<char>('0' + number % 10);
}

}  // namespace

MonotonicTime SystemClock::monotonic() const { return MonotonicTime(std::chrono::steady_clock::now().time_since_epoch()); }

UtcNanoseconds SystemClock::utc() const {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * kSecond + now.tv_nsec;
}

void append_utc(std::string& out, UtcNanoseconds time) {
  using namespace std::chrono;
  std::int64_t seconds = time / kSecond;
  std::int64_t fraction = time % kSecond;
  if (fraction < 0) {
    fraction += kSecond;
    --seconds;
  }
  std::int64_t day = seconds / kDay;
  std::int64_t second_of_day = seconds % kDay;
  if (second_of_day < 0) {
    second_of_day += kDay;
    --day;
  }
  const year_month_day date{sys_days(days(day))};
  std::array<char, 30> text;
  std::memcpy(text.data(), "0000-00-00T00:00:00.000000000Z", 30);
  put_digits(&text[0], static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);  // int64 ns spans 1677 to 2262
  put_digits(&text[5], static_cast<unsigned>(date.month()), 2);
  put_digits(&text[8], static_cast<unsigned>(date.day()), 2);
  put_digits(&text[11], static_cast<std::uint64_t>(second_of_day / 3600), 2);
  put_digits(&text[14], static_cast<std::uint64_t>(second_of_day / 60 % 60), 2);
  put_digits(&text[17], static_cast<std::uint64_t>(second_of_day % 60), 2);
  put_digits(&text[20], static_cast<std::uint64_t>(fraction), 9);
  out.append(text.data(), text.size());
}

std::string format_utc(UtcNanoseconds time) {
  std::string out;
  append_utc(out, time);
  return out;
}

Result<UtcNanoseconds> parse_utc(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::invalid, "not a UTC time like 2026-11-23T02:40:17.5Z: '" + std::string(text.substr(0, 40)) + "'");
  };
  constexpr std::string_view shape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() < shape.size() + 1 || text.back() != 'Z') return bad();
  std::array<int, 6> field{};
  std::size_t index = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 'd') {
      if (text[i] < '0' || text[i] > '9') return bad();
      field[index] = field[index] * 10 + (text[i] - '0');
    } else {
      if (text[i] != shape[i]) return bad();
      ++index;
    }
  }
  std::int64_t fraction = 0;
  const std::string_view rest = text.substr(shape.size(), text.size() - shape.size() - 1);
  if (!rest.empty()) {
    if (rest[0] != '.' || rest.size() < 2 || rest.size() > 10) return bad();
    for (std::size_t i = 1; i < 10; ++i) {
      const char c = i < rest.size() ? rest[i] : '0';
      if (c < '0' || c > '9') return bad();
      fraction = fraction * 10 + (c - '0');
    }
  }
  using namespace std::chrono;
  const year_month_day date{year(field[0]), month(static_cast<unsigned>(field[1])), day(static_cast<unsigned>(field[2]))};
  if (!date.ok() || field[0] < 1678 || field[0] > 2261 || field[3] > 23 || field[4] > 59 || field[5] > 59) return bad();
  const std::int64_t seconds =
      sys_days(date).time_since_epoch().count() * kDay + field[3] * 3600 + field[4] * 60 + field[5];
  return seconds * kSecond + fraction;
}

}  // namespace sallyport
