#include "cli/bench_meter.h"

namespace sallyport::cli::bench {
namespace {

constexpr Duration kReadingLimit = std::chrono::seconds(20);
constexpr Duration kQuiet = std::chrono::milliseconds(500);

}  // namespace

Result<Reading> fresh_reading(const Deployment& deployment, const std::string& file) {
  const UtcNanoseconds now = SystemClock().utc();
  std::optional<Reading> reading;
  const auto waited = deployment.wait("the recorder writes its totals", kReadingLimit, [&]() -> Result<bool> {
    reading = read_meter(file);
    return reading && reading->at >= now;
  });
  if (!waited) return std::unexpected(waited.error());
  return *reading;
}

Result<Reading> wait_until_quiet(const Deployment& deployment, const std::string& file, Duration limit) {
  Reading reading;
  const auto waited = deployment.wait("the last node is quiet", limit, [&]() -> Result<bool> {
    auto now = fresh_reading(deployment, file);
    if (!now) return std::unexpected(now.error());
    reading = *std::move(now);
    const UtcNanoseconds last = std::max(reading.totals.last, reading.totals.last_definition);
    return reading.at - last > Duration(kQuiet).count();
  });
  if (!waited) return std::unexpected(waited.error());
  return reading;
}

}  // namespace sallyport::cli::bench
