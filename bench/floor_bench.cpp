// What this machine allows: the least that the memory, the branch predictor and the C library take for what a step of
// the path cannot do without. scripts/micro sets the steps beside these.
#include <benchmark/benchmark.h>

#include <charconv>
#include <cstring>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "namespace/change.h"
#include "namespace/table.h"
#include "table_fixture.h"

namespace sallyport::bench {
namespace {

struct alignas(64) Line {
  std::uint64_t value, time, revision;
  std::uint64_t next;
  std::uint64_t rest[4];
};

void items(benchmark::State& state, std::size_t per_iteration) {
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::size_t>(state.iterations()) * per_iteration));
}

void table_sizes(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(10'000)->Arg(100'000)->Arg(1'000'000); }

void floor_memcpy(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<std::byte> from(size, std::byte{1}), to(size);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), size);
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(static_cast<std::size_t>(state.iterations()) * size));
}
BENCHMARK(floor_memcpy)->Arg(16 << 10)->Arg(640 << 10)->Arg(6400 << 10)->Arg(64000 << 10);

// Three words of each 64-byte line are written, one line after the other: applying changes in order of points, and no
// more.
void floor_write_lines(benchmark::State& state) {
  std::vector<Line> lines(static_cast<std::size_t>(state.range(0)));
  std::uint64_t now = 0;
  std::size_t next = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      Line& line = lines[next];
      line.value = line.time = line.revision = ++now;
      if (++next == lines.size()) next = 0;
    }
    benchmark::ClobberMemory();
  }
  items(state, kBatch);
}
BENCHMARK(floor_write_lines)->Apply(table_sizes);

// Changes of 32 bytes are read and three of their words go each to a line of its own: the same with the source's
// buffer.
void floor_scatter(benchmark::State& state) {
  std::vector<Line> lines(static_cast<std::size_t>(state.range(0)));
  std::vector<Change> batch(kBatch);
  std::uint64_t now = 0;
  std::uint32_t next = 0;
  for (auto _ : state) {
    for (Change& change : batch) {
      change.point = next;
      change.source_time = static_cast<std::int64_t>(now);
      change.value = Value::from(static_cast<double>(now));
      if (++next == lines.size()) next = 0;
    }
    benchmark::ClobberMemory();
    for (const Change& change : batch) {
      Line& line = lines[change.point];
      line.value = change.value.bits();
      line.time = static_cast<std::uint64_t>(change.source_time);
      line.revision = ++now;
    }
    benchmark::ClobberMemory();
  }
  items(state, kBatch);
}
BENCHMARK(floor_scatter)->Apply(table_sizes);

// Lines in random order, each known beforehand: as many cache misses at once as the core can have.
void floor_random_lines(benchmark::State& state) {
  std::vector<Line> lines(static_cast<std::size_t>(state.range(0)));
  std::vector<std::uint32_t> order(lines.size());
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  std::uint64_t now = 0;
  std::size_t next = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      Line& line = lines[order[next]];
      line.value = line.time = line.revision = ++now;
      if (++next == order.size()) next = 0;
    }
    benchmark::ClobberMemory();
  }
  items(state, kBatch);
}
BENCHMARK(floor_random_lines)->Apply(table_sizes);

// Each line says which is next: one cache miss after the other.
void floor_chase(benchmark::State& state) {
  std::vector<Line> lines(static_cast<std::size_t>(state.range(0)));
  std::vector<std::uint32_t> order(lines.size());
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  for (std::size_t i = 0; i < order.size(); ++i) lines[order[i]].next = order[(i + 1) % order.size()];
  std::uint64_t at = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kBatch; ++i) at = lines[at].next;
    benchmark::DoNotOptimize(at);
  }
  items(state, kBatch);
}
BENCHMARK(floor_chase)->Apply(table_sizes);

// 40 bytes of each line are read and written one after the other elsewhere: what a consumer's batch holds of a point.
void floor_gather(benchmark::State& state) {
  std::vector<Line> lines(static_cast<std::size_t>(state.range(0)), Line{1, 2, 3, 4, {}});
  struct Read {
    std::uint64_t words[5];
  };
  std::vector<Read> out(kBatch);
  std::size_t next = 0;
  for (auto _ : state) {
    for (Read& read : out) {
      std::memcpy(&read, &lines[next], sizeof read);
      if (++next == lines.size()) next = 0;
    }
    benchmark::ClobberMemory();
  }
  items(state, kBatch);
}
BENCHMARK(floor_gather)->Apply(table_sizes);

// Value and time of each slot, at places that follow each other by 11 bytes; and back into changes.
void floor_pack(benchmark::State& state) {
  std::vector<Slot> slots(kBatch);
  std::vector<std::byte> out(kBatch * 11 + 16);
  for (auto _ : state) {
    std::byte* p = out.data();
    for (const Slot& slot : slots) {
      std::memcpy(p + 3, &slot.bits, 8);
      std::memcpy(p, &slot.source_time, 3);
      p += 11;
    }
    benchmark::ClobberMemory();
  }
  items(state, kBatch);
}
BENCHMARK(floor_pack);

void floor_unpack(benchmark::State& state) {
  std::vector<std::byte> in(kBatch * 11 + 16, std::byte{1});
  std::vector<Change> changes(kBatch);
  for (auto _ : state) {
    const std::byte* p = in.data();
    std::uint32_t id = 0;
    for (Change& change : changes) {
      std::uint64_t bits = 0;
      std::uint16_t later = 0;
      std::memcpy(&later, p + 1, 2);
      std::memcpy(&bits, p + 3, 8);
      change.point = id++;
      change.source_time += later;
      change.value = Value::scalar(Type::float64, bits);
      p += 11;
    }
    benchmark::ClobberMemory();
  }
  items(state, kBatch);
}
BENCHMARK(floor_unpack);

// Five words of a slot, each multiplied into the sum: what a digest cannot do without.
void floor_multiply(benchmark::State& state) {
  std::vector<Line> lines(kBatch, Line{1, 2, 3, 4, {5, 6, 7, 8}});
  for (auto _ : state) {
    std::uint64_t sum = 0;
    for (const Line& line : lines) {
      std::uint64_t hash = line.value * 0x9E3779B97F4A7C15u;
      hash = (hash ^ line.time) * 0x9E3779B97F4A7C15u;
      hash = (hash ^ line.revision) * 0x9E3779B97F4A7C15u;
      hash = (hash ^ line.next) * 0x9E3779B97F4A7C15u;
      sum += (hash ^ line.rest[0]) * 0x9E3779B97F4A7C15u;
    }
    benchmark::DoNotOptimize(sum);
  }
  items(state, kBatch);
}
BENCHMARK(floor_multiply);

// A path of 40 bytes is looked through for '/'.
void floor_scan_path(benchmark::State& state) {
  const std::string path = "bench/xxxxxxx/area-500/pump-0042/p500000";
  for (auto _ : state) {
    std::string_view text = path;
    benchmark::DoNotOptimize(text);
    std::size_t levels = 0;
    for (std::size_t at = text.find('/'); at != text.npos; at = text.find('/', at + 1)) ++levels;
    benchmark::DoNotOptimize(levels);
  }
  items(state, 1);
}
BENCHMARK(floor_scan_path);

// The shortest text of a double that reads back the same.
void floor_to_chars(benchmark::State& state) {
  char text[32];
  double value = 0.1;
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::to_chars(text, text + sizeof text, value));
    value += 0.37;
  }
  items(state, 1);
}
BENCHMARK(floor_to_chars);

// 170 bytes in eight pieces: a point as JSON, when nothing had to be converted.
void floor_copy_text(benchmark::State& state) {
  const std::string pieces[] = {"{\"path\":\"",
                                "acme/berlin/area-0/pump-4/p42",
                                "\",\"value\":0,\"type\":\"",
                                "Double",
                                "\",\"quality\":\"good\",\"status\":\"",
                                "0x00000000",
                                "\",\"timestamp\":\"",
                                "2026-11-23T02:40:17.123456789Z\",\"origin\":\"plant-1\"}"};
  std::string out;
  for (auto _ : state) {
    out.clear();
    for (const std::string& piece : pieces) out += piece;
    benchmark::DoNotOptimize(out.data());
  }
  items(state, 1);
}
BENCHMARK(floor_copy_text);

// A branch that nobody can foresee, and one that everybody can. The difference, doubled, is a misprediction.
void floor_branch(benchmark::State& state) {
  std::vector<std::uint8_t> coins(1 << 20);
  std::mt19937 random(1);
  for (std::uint8_t& coin : coins) coin = state.range(0) != 0 ? random() & 1 : 1;
  std::uint64_t heads = 0;
  for (auto _ : state) {
    for (const std::uint8_t coin : coins) {
      if (coin != 0) {
        benchmark::DoNotOptimize(heads += 3);
      } else {
        benchmark::DoNotOptimize(heads ^= 5);
      }
    }
  }
  items(state, coins.size());
}
BENCHMARK(floor_branch)->Arg(0)->Arg(1);

void floor_lock(benchmark::State& state) {
  std::mutex mutex;
  for (auto _ : state) {
    const std::lock_guard lock(mutex);
    benchmark::ClobberMemory();
  }
  items(state, 1);
}
BENCHMARK(floor_lock);

}  // namespace
}  // namespace sallyport::bench
