#include "namespace/quality.h"

#include <algorithm>
#include <iterator>

namespace sallyport {
namespace {

struct StatusName {
  Status code;
  std::string_view name;
};
constexpr StatusName kStatusNames[] = {
#include "namespace/status_names.inc"
};
static_assert(std::ranges::is_sorted(kStatusNames, {}, &StatusName::code) &&
              std::ranges::adjacent_find(kStatusNames, {}, &StatusName::code) == std::ranges::end(kStatusNames));

// Severity, reserved bits and sub-code; the low half holds flags and limit bits. (OPC 10000-4 §7.39)
constexpr Status kCodeMask = 0xFFFF0000;

}  // namespace

std::string_view to_string(Quality quality) {
  switch (quality) {
    case Quality::good:
      return "good";
    case Quality::uncertain:
      return "uncertain";
    case Quality::bad:
      return "bad";
  }
  return "bad";
}

std::string_view status_name(Status code) {
  code &= kCodeMask;
  const auto* found = std::ranges::lower_bound(kStatusNames, code, {}, &StatusName::code);
  return found != std::end(kStatusNames) && found->code == code ? found->name : std::string_view();
}

}  // namespace sallyport
