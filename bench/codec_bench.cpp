// Onto the wire and off it: changes as frames, points as JSON.
#include <benchmark/benchmark.h>

#include "base/json_writer.h"
#include "link/change_codec.h"
#include "namespace/point_json.h"
#include "table_fixture.h"

namespace sallyport::bench {
namespace {

void items(benchmark::State& state, std::size_t per_iteration) {
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::size_t>(state.iterations()) * per_iteration));
}

std::vector<Slot> slots_in_order(std::size_t count) {
  std::vector<Slot> slots(count);
  for (std::size_t i = 0; i < count; ++i) {
    slots[i].bits = std::bit_cast<std::uint64_t>(static_cast<double>(i));
    slots[i].source_time = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(i / 100 * 2000);
    slots[i].type = Type::float64;
  }
  return slots;
}

// The argument is the distance from one point to the next: 1 costs no byte for the id, more costs one or three.
void encode(benchmark::State& state) {
  const auto step = static_cast<PointId>(state.range(0));
  const std::vector<Slot> slots = slots_in_order(kBatch);
  Bytes out;
  out.reserve(64 * 1024);
  for (auto _ : state) {
    out.clear();
    link::ChangeEncoder encoder(out);
    for (std::size_t i = 0; i < slots.size(); ++i) encoder.add(static_cast<PointId>(i) * step, slots[i], false);
    benchmark::DoNotOptimize(encoder.finish());
  }
  items(state, kBatch);
  state.counters["bytes_per_change"] = static_cast<double>(out.size()) / static_cast<double>(kBatch);
}
BENCHMARK(encode)->Arg(1)->Arg(3)->Arg(1000);

void decode(benchmark::State& state) {
  const auto step = static_cast<PointId>(state.range(0));
  const std::vector<Slot> slots = slots_in_order(kBatch);
  Bytes frame;
  link::ChangeEncoder encoder(frame);
  for (std::size_t i = 0; i < slots.size(); ++i) encoder.add(static_cast<PointId>(i) * step, slots[i], false);
  encoder.finish();
  std::vector<Change> changes;
  for (auto _ : state) {
    changes.clear();
    if (!link::decode_changes(std::span(frame).subspan(5), changes)) state.SkipWithError("cannot be decoded");
    benchmark::DoNotOptimize(changes.data());
  }
  if (changes.size() != kBatch) state.SkipWithError("not all were decoded");
  items(state, kBatch);
}
BENCHMARK(decode)->Arg(1)->Arg(3)->Arg(1000);

void point_json(benchmark::State& state) {
  Table table(1000);
  std::vector<PointView> points;
  table.ns().list(Patterns::everything(), 0, 1000, points);
  std::string out;
  for (auto _ : state) {
    out.clear();
    for (const PointView& point : points) append_point_json(out, point);
    benchmark::DoNotOptimize(out.data());
  }
  items(state, points.size());
}
BENCHMARK(point_json);

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

}  // namespace
}  // namespace sallyport::bench
