// What the simulator itself costs, to be taken off where a benchmark includes it.
#include <benchmark/benchmark.h>

#include <numeric>

#include "sources/simulator/generator.h"

namespace sallyport::bench {
namespace {

void generate_ramp(benchmark::State& state) {
  simulator::Plan plan;
  plan.points = static_cast<std::uint32_t>(state.range(0));
  plan.shape = simulator::Shape::ramp;
  simulator::Generator generator(plan);
  std::vector<PointId> ids(plan.points);
  std::iota(ids.begin(), ids.end(), 0u);
  std::vector<Change> changes(1024);
  UtcNanoseconds now = 0;
  for (auto _ : state) {
    generator.fill(changes, ids, ++now);
    benchmark::DoNotOptimize(changes.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::size_t>(state.iterations()) * changes.size()));
}
BENCHMARK(generate_ramp)->Arg(10'000)->Arg(1'000'000);

}  // namespace
}  // namespace sallyport::bench
