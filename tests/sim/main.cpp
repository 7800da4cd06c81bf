// Deterministic simulation of whole networks: random faults from a seed, invariants checked while they happen and after.
//   sallyport_sim --schedules N [--first SEED]    run N schedules, stop at the first failure
//   sallyport_sim --seed SEED --trace             replay one, readable
//   sallyport_sim --seconds S                     run until S seconds of real time are over (0: until told to stop)
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/log.h"
#include "schedule.h"

namespace sallyport::sim {
namespace {

struct Options {
  std::uint64_t schedules = 1000, first = 1;
  std::int64_t seconds = -1;
  bool trace = false;
};

int run_all(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  std::uint64_t done = 0;
  Figures figures;
  for (std::uint64_t seed = options.first; options.seconds >= 0 || done < options.schedules; ++seed, ++done) {
    if (options.seconds > 0 && passed() > static_cast<double>(options.seconds)) break;
    if (const auto failure = run_schedule(seed, options.trace, figures)) {
      std::printf("seed %llu FAILED %s\nreplay: sallyport_sim --seed %llu --trace\n", static_cast<unsigned long long>(seed), failure->c_str(),
                  static_cast<unsigned long long>(seed));
      return 1;
    }
  }
  std::printf("%llu schedules, all invariants held, %.1f s; %llu faults, %.0f hours of virtual time; slowest to converge: seed %llu, %.1f s after the last fault\n",
              static_cast<unsigned long long>(done), passed(), static_cast<unsigned long long>(figures.faults),
              std::chrono::duration<double>(figures.virtual_time).count() / 3600, static_cast<unsigned long long>(figures.slowest_seed),
              std::chrono::duration<double>(figures.slowest).count());
  return 0;
}

}  // namespace
}  // namespace sallyport::sim

int main(int argc, char** argv) {
  sallyport::log::set_level(sallyport::log::Level::error);
  sallyport::sim::Options options;
  for (int i = 1; i < argc; ++i) {
    const auto number = [&](auto& into) {
      if (i + 1 >= argc) return;
      ++i;
      std::from_chars(argv[i], argv[i] + std::strlen(argv[i]), into);
    };
    if (std::strcmp(argv[i], "--schedules") == 0) number(options.schedules);
    else if (std::strcmp(argv[i], "--first") == 0) number(options.first);
    else if (std::strcmp(argv[i], "--seconds") == 0) number(options.seconds);
    else if (std::strcmp(argv[i], "--trace") == 0) options.trace = true;
    else if (std::strcmp(argv[i], "--seed") == 0) {
      number(options.first);
      options.schedules = 1;
    } else {
      std::fprintf(stderr, "usage: sallyport_sim [--schedules N] [--first SEED] [--seed SEED] [--seconds S] [--trace]\n");
      return 2;
    }
  }
  if (options.trace) sallyport::log::set_level(sallyport::log::Level::warn);
  return sallyport::sim::run_all(options);
}
