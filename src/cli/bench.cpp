// sallyport bench: measures real deployments of this program on this machine. The list of what it can measure.
#include "cli/bench.h"

#include <charconv>

#include "cli/commands.h"

namespace sallyport::cli {
namespace bench {

Result<std::optional<std::uint64_t>> parse_rate(const std::string& text) {
  if (text == "max") return std::nullopt;
  std::uint64_t rate = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rate);
  if (error != std::errc() || end != text.data() + text.size() || rate == 0 || rate > 1'000'000'000)
    return fail(ErrorCode::invalid, "--rate '" + text + "' is neither \"max\" nor changes per second, 1 to 1000000000");
  return rate;
}

}  // namespace bench

Command bench_command() {
  return {"bench", "Measure real deployments of this program on this machine", [](Options& options) -> Action {
            options.footer(
                "Each starts nodes as processes of their own, with certificates, TLS links and settings files in a\n"
                "temporary folder, on loopback only, and removes it all at the end. Close other programs first.");
            bench::add_chain(options);
            bench::add_latency(options);
            bench::add_memory(options);
            bench::add_snapshot(options);
            bench::add_resume(options);
            bench::add_slow_link(options);
            bench::add_fan_out(options);
            bench::add_idle_links(options);
            bench::add_opcua(options);
            bench::add_journal(options);
            bench::add_history(options);
            bench::add_sessions(options);
            bench::add_diode(options);
            bench::add_seal(options);
            return {};
          }};
}

}  // namespace sallyport::cli
