#include "history/aggregate_value.h"

#include <cmath>
#include <limits>
#include <utility>

namespace sallyport::history {
namespace {

template <typename T>
bool fits(double number) {
  return number >= static_cast<double>(std::numeric_limits<T>::min()) &&
         number < static_cast<double>(std::numeric_limits<T>::max());
}
template <typename T>
Value integer(double number) {
  const double whole = std::nearbyint(number);
  return fits<T>(whole) ? Value::from(static_cast<T>(whole)) : Value::from(number);
}

}  // namespace

double to_number(const Value& value) {
  double number = 0;
  return value.to_double(number) ? number : 0;
}

bool is_number(const Value& value) {
  double number = 0;
  return value.to_double(number) && std::isfinite(number);
}

Value like(const Value& model, double number) {
  switch (model.type()) {
    case Type::sbyte: return integer<std::int8_t>(number);
    case Type::byte: return integer<std::uint8_t>(number);
    case Type::int16: return integer<std::int16_t>(number);
    case Type::uint16: return integer<std::uint16_t>(number);
    case Type::int32: return integer<std::int32_t>(number);
    case Type::uint32: return integer<std::uint32_t>(number);
    case Type::int64: return integer<std::int64_t>(number);
    case Type::uint64: return integer<std::uint64_t>(number);
    case Type::float32: return Value::from(static_cast<float>(number));
    default: return Value::from(number);
  }
}

double on_line(const Sample& from, const Sample& to, UtcNanoseconds time) {
  const double a = to_number(from.value), b = to_number(to.value);
  if (to.time == from.time) return b;
  return a + (b - a) * (static_cast<double>(time - from.time) / static_cast<double>(to.time - from.time));
}

void keep_extreme(std::optional<Sample>& kept, bool& many, const Sample& sample, double number, int sign) {
  if (kept) {
    const double best = to_number(kept->value);
    if (number == best) many = true;
    if (sign * (number - best) <= 0) return;
  }
  kept = sample;
  many = false;
}

}  // namespace sallyport::history
