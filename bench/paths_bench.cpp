// Each step of the path, timed. The argument is the number of points in the table, where there is one.
#include <benchmark/benchmark.h>

#include <chrono>

#include "namespace/path.h"
#include "paths.h"
#include "sinks/recorder/tally.h"

namespace sallyport::bench {
namespace {

void items(benchmark::State& state, std::size_t per_iteration = kBatch) {
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::size_t>(state.iterations()) * per_iteration));
}

void table_sizes(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(10'000)->Arg(100'000)->Arg(1'000'000); }

// What goes before a round is not timed.
template <typename Path>
void after_prepare(benchmark::State& state) {
  Path path(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    path.prepare();
    const auto begun = std::chrono::steady_clock::now();
    path.round();
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  }
  if constexpr (requires { path.arrived(); }) {
    if (path.arrived() < static_cast<std::size_t>(state.iterations()) * kBatch) state.SkipWithError("not all arrived");
  }
  items(state);
}

void apply(benchmark::State& state) {
  Apply path(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) path.round();
  items(state);
}
BENCHMARK(apply)->Apply(table_sizes);

BENCHMARK(after_prepare<Pull>)->Name("pull")->Apply(table_sizes)->UseManualTime();
BENCHMARK(after_prepare<Hop>)->Name("hop")->Apply(table_sizes)->UseManualTime();

void encode(benchmark::State& state) {
  Encode path(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    path.round();
    benchmark::DoNotOptimize(path.frame().data());
  }
  items(state);
  state.counters["bytes_per_change"] = static_cast<double>(path.frame().size()) / static_cast<double>(kBatch);
}
BENCHMARK(encode)->Arg(1)->Arg(3)->Arg(1000);

void journal_write(benchmark::State& state) {
  JournalWrite path;
  for (auto _ : state) benchmark::DoNotOptimize(path.round().data());
  items(state);
}
BENCHMARK(journal_write);

void journal_read(benchmark::State& state) {
  JournalRead path;
  for (auto _ : state) {
    if (!path.round()) state.SkipWithError("not all were decoded");
  }
  items(state);
}
BENCHMARK(journal_read);

void decode(benchmark::State& state) {
  Decode path(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    if (!path.round()) state.SkipWithError("not all were decoded");
  }
  items(state);
}
BENCHMARK(decode)->Arg(1)->Arg(3)->Arg(1000);

void digest(benchmark::State& state) {
  const Digest path;
  for (auto _ : state) benchmark::DoNotOptimize(path.round());
  items(state);
}
BENCHMARK(digest);

void match(benchmark::State& state) {
  const Match path;
  if (path.round() != kBatch / 4 * 3) return state.SkipWithError("three of four should match");
  for (auto _ : state) benchmark::DoNotOptimize(path.round());
  items(state);
}
BENCHMARK(match);

void path_hash(benchmark::State& state) {
  const std::string path = "bench/xxxxxxx/area-500/pump-0042/p500000";
  for (auto _ : state) benchmark::DoNotOptimize(hash_path(path));
  items(state, 1);
}
BENCHMARK(path_hash);

void json(benchmark::State& state) {
  Json path;
  std::size_t bytes = 0;
  for (auto _ : state) bytes += path.round().size();
  items(state);
  state.counters["bytes_per_point"] = static_cast<double>(path.round().size()) / static_cast<double>(kBatch);
  benchmark::DoNotOptimize(bytes);
}
BENCHMARK(json);

void json_string(benchmark::State& state) {
  const std::string text = "acme/berlin/line1/area-500/pump-0042/p500000";
  std::string out;
  for (auto _ : state) {
    out.clear();
    JsonWriter(out).string(text);
    benchmark::DoNotOptimize(out.data());
  }
  items(state, 1);
}
BENCHMARK(json_string);

void json_double(benchmark::State& state) {
  std::string out;
  double value = 0.1;
  for (auto _ : state) {
    out.clear();
    JsonWriter(out).number(value);
    value += 0.37;
    benchmark::DoNotOptimize(out.data());
  }
  items(state, 1);
}
BENCHMARK(json_double);

// The recorder's own work on a batch: to be taken off where a benchmark includes it.
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

}  // namespace
}  // namespace sallyport::bench
