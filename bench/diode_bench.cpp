// What a diode's datagrams cost: groups, erasure code and sealing on the one side; opening, replay window, decoding on the
// other, without and with loss. No sockets.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "link/diode/wire_reader.h"
#include "link/diode/wire_writer.h"
#include "net/pki.h"

namespace sallyport::bench {
namespace {

using namespace std::chrono_literals;
using namespace link::diode;

class DiodeKeys {
 public:
  DiodeKeys() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-bench-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    static_cast<void>(net::make_ca({.folder = folder}));
    static_cast<void>(net::issue_certificate({.ca_folder = folder, .name = "plant-1", .folder = folder}));
    const net::IdentityFiles files{folder + "/plant-1.crt", folder + "/plant-1.key", folder + "/ca.crt"};
    signer = *net::Signer::load(net::with_sign_files(files), "plant-1");
    trust = *net::Trust::load(files.trust);
  }
  ~DiodeKeys() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  DiodeKeys(const DiodeKeys&) = delete;
  DiodeKeys& operator=(const DiodeKeys&) = delete;
  std::unique_ptr<WireWriter> writer(std::uint64_t rate) const {
    WireOptions options = wire_options_for(rate);
    options.sender = "plant-1";
    options.receiver = "ai-1";
    return *WireWriter::make(options, signer, key.public_key(), folder + "/sender", SystemClock().utc());
  }
  std::unique_ptr<WireReader> reader() const {
    std::error_code ignored;
    std::filesystem::remove(folder + "/receiver", ignored);
    return *WireReader::make({.sender = "plant-1", .receiver = "ai-1"}, *crypto::XWingPrivate::from_seed(key.seed()), trust, folder + "/receiver");
  }
  std::string folder;
  crypto::XWingPrivate key = *crypto::XWingPrivate::generate();
  std::shared_ptr<const net::Signer> signer;
  std::shared_ptr<const net::Trust> trust;
};

void fill(WireWriter& writer, const Bytes& segment) {
  while (writer.room() >= segment.size()) writer.add(segment);
  writer.flush();
}

// Bytes of segments each second. The argument: Mbit/s that the groups are made for.
void diode_write(benchmark::State& state) {
  const DiodeKeys keys;
  const auto writer = keys.writer(static_cast<std::uint64_t>(state.range(0)) * 1'000'000);
  const SystemClock clock;
  const Bytes segment(1200, std::byte{7});
  MonotonicTime now = clock.monotonic();
  for (auto _ : state) {
    fill(*writer, segment);
    while (writer->waiting_datagrams() > 0) {
      if (!writer->next(now, clock.utc())) now += 4ms;  // parity waits for its time on an idle wire
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(writer->counters().segment_bytes));
}
BENCHMARK(diode_write)->Arg(100)->Arg(1000);

// The second argument: datagrams lost in a hundred.
void diode_read(benchmark::State& state) {
  const DiodeKeys keys;
  const auto writer = keys.writer(static_cast<std::uint64_t>(state.range(0)) * 1'000'000);
  const auto reader = keys.reader();
  const SystemClock clock;
  const Bytes segment(1200, std::byte{7});
  std::vector<Bytes> datagrams;
  std::uint64_t count = 0;
  for (auto _ : state) {
    state.PauseTiming();
    datagrams.clear();
    while (datagrams.size() < 2000) {
      fill(*writer, segment);
      while (const auto each = writer->next(clock.monotonic(), clock.utc())) {
        const bool lost = each->front() == std::byte{0xd1} && static_cast<std::int64_t>(++count * 37 % 100) < state.range(1);
        if (!lost) datagrams.emplace_back(each->begin(), each->end());
      }
    }
    state.ResumeTiming();
    const MonotonicTime now = clock.monotonic();
    for (const Bytes& each : datagrams) {
      reader->received(each, now, clock.utc());
      while (const auto found = reader->next(now)) benchmark::DoNotOptimize(found->bytes.data());
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(reader->counters().segment_bytes));
  state.counters["recovered"] = static_cast<double>(reader->counters().recovered_shards);
  state.counters["lost_segments"] = static_cast<double>(reader->counters().lost_segments);
  state.counters["refused"] = static_cast<double>(reader->counters().refused.total());
}
BENCHMARK(diode_read)->Args({100, 0})->Args({1000, 0})->Args({1000, 5})->Args({1000, 10})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sallyport::bench
