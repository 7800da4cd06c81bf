// Settings files: whatever is in them, reading ends with values or with problems.
#include <cstddef>
#include <cstdint>

#include "base/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  Problems problems;
  const auto settings = Settings::parse(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.toml", problems);
  if (!settings) return 0;
  SettingsReader reader(*settings, problems);
  static_cast<void>(reader.string("name", "x"));
  static_cast<void>(reader.duration("heartbeat", std::chrono::seconds(1), Duration(0), std::chrono::hours(1)));
  static_cast<void>(reader.size_bytes("limit", 1, 0, 1u << 30));
  static_cast<void>(reader.integer("points", 1, 0, 100));
  static_cast<void>(reader.strings("send", {}));
  for (const Settings& table : reader.tables("link")) {
    SettingsReader link(table, problems);
    static_cast<void>(link.required_string("name"));
  }
  reader.finish();
  for (const Problem& problem : problems) static_cast<void>(to_string(problem));
  return 0;
}
