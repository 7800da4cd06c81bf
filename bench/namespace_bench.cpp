// Into the table and out of it again.
#include <benchmark/benchmark.h>

#include "namespace/link_cursor.h"
#include "sinks/recorder/tally.h"
#include "table_fixture.h"

namespace sallyport::bench {
namespace {

void items(benchmark::State& state, std::size_t per_iteration) {
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::size_t>(state.iterations()) * per_iteration));
}

// A batch of doubles from the source's buffer into the table, nobody reading.
void apply(benchmark::State& state) {
  Table table(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) table.publish();
  items(state, kBatch);
}
BENCHMARK(apply)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

// The same, and a consumer pulls each batch. The difference to `apply` is the pull.
void apply_and_pull(benchmark::State& state) {
  Table table(static_cast<std::size_t>(state.range(0)));
  Subscription subscription(table.ns(), {.patterns = Patterns::everything(), .paths = false}, {});
  Batch batch;
  const auto drain = [&] {
    do {
      batch.clear();
      subscription.pull(batch, 2 * kBatch);
    } while (batch.more || !batch.updates.empty());
  };
  drain();
  for (auto _ : state) {
    table.publish();
    drain();
  }
  items(state, kBatch);
}
BENCHMARK(apply_and_pull)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

// The recorder's own work on a batch.
void tally(benchmark::State& state) {
  const auto points = static_cast<PointId>(state.range(0));
  recorder::Tally tally(recorder::Check::ramp, Type::float64);
  Batch batch;
  batch.updates.resize(2 * kBatch);
  PointId next = 0;
  double count = 1;
  UtcNanoseconds now = 1'700'000'000'000'000'000;
  for (auto _ : state) {
    now += 1000;
    for (Update& update : batch.updates) {
      update.point = next;
      update.value = Value::from(count);
      update.source_time = now - 100'000;
      if (++next == points) {
        next = 0;
        ++count;
      }
    }
    tally.take(batch, now);
  }
  if (tally.totals().wrong != 0) state.SkipWithError("the ramp was taken for wrong");
  items(state, 2 * kBatch);
}
BENCHMARK(tally)->Arg(10'000)->Arg(1'000'000);

void match(benchmark::State& state) {
  const auto patterns = Patterns::parse({"acme/berlin/line1/**", "acme/*/line2/*/temperature", "acme/berlin/**/speed"});
  if (!patterns) return state.SkipWithError("the patterns are wrong");
  const std::string paths[] = {"acme/berlin/line1/pump-0042/p000411", "acme/berlin/line2/tank-7/temperature",
                               "acme/berlin/line3/area-9/pump-0001/speed", "acme/munich/line1/pump-0042/p000411"};
  std::size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(patterns->matches(paths[next++ % 4]));
  items(state, 1);
}
BENCHMARK(match);

void digest(benchmark::State& state) {
  std::vector<Slot> slots(1024);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    slots[i].bits = i;
    slots[i].path_hash = i * 0x9E3779B97F4A7C15u;
    slots[i].source_time = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(i);
    slots[i].type = Type::float64;
  }
  for (auto _ : state) {
    std::uint64_t sum = 0;
    for (const Slot& slot : slots) sum += digest_of(slot);
    benchmark::DoNotOptimize(sum);
  }
  items(state, slots.size());
}
BENCHMARK(digest);

void path_hash(benchmark::State& state) {
  const std::string path = "bench/xxxxxxx/area-500/pump-0042/p500000";
  for (auto _ : state) benchmark::DoNotOptimize(hash_path(path));
  items(state, 1);
}
BENCHMARK(path_hash);

}  // namespace
}  // namespace sallyport::bench
