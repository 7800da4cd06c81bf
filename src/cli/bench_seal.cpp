// sallyport bench seal: what origin seals cost, in processor time and bytes, at both ends, beside what the same changes cost
// unsealed. In this process and on a clock that jumps: each step is done as often as it would be, and nothing waits.
#include <time.h>

#include <cstdio>
#include <filesystem>

#include <unistd.h>

#include "cli/bench.h"
#include "cli/bench_report.h"
#include "cli/terminal.h"
#include "link/change_codec.h"
#include "net/pki.h"
#include "net/signer.h"
#include "seal/sealer.h"
#include "seal/verify_service.h"

namespace sallyport::cli::bench {
namespace {

constexpr const char* kOrigin = "plant-1";
constexpr Duration kStep = std::chrono::milliseconds(10);

struct Arguments {
  std::int64_t rate = 100'000, seconds = 10, per_seal = 64, interval_ms = 100;
  bool confidential = false, json = false;
};

struct Figures {
  std::uint64_t points = 0, changes = 0;
  double plain_cpu = 0, seal_cpu = 0, verify_cpu = 0;   // seconds of one core
  std::uint64_t plain_bytes = 0, sealed_bytes = 0, containers = 0, signatures = 0, verified = 0;
};

double thread_cpu() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

// Adds the processor time of its life.
class Stopwatch {
 public:
  explicit Stopwatch(double& to) : to_(to), from_(thread_cpu()) {}
  ~Stopwatch() { to_ += thread_cpu() - from_; }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& to_;
  double from_;
};

struct Keys {
  std::shared_ptr<const net::Signer> signer;
  std::shared_ptr<const net::Trust> trust;
};

Result<Keys> make_keys() {
  std::string folder = (std::filesystem::temp_directory_path() / "sallyport-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return fail(ErrorCode::io, "no temporary folder");
  const auto make = [&]() -> Result<Keys> {
    if (auto made = net::make_ca({.folder = folder}); !made) return std::unexpected(made.error());
    if (auto made = net::issue_certificate({.ca_folder = folder, .name = kOrigin, .folder = folder}); !made) return std::unexpected(made.error());
    const std::string stem = folder + "/" + kOrigin;
    auto signer = net::Signer::load(net::with_sign_files({stem + ".crt", stem + ".key", folder + "/ca.crt"}), kOrigin);
    if (!signer) return std::unexpected(signer.error());
    auto trust = net::Trust::load(folder + "/ca.crt");
    if (!trust) return std::unexpected(trust.error());
    return Keys{*std::move(signer), *std::move(trust)};
  };
  auto keys = make();
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return keys;
}

// Both ends of the way, and what goes over it.
class Run {
 public:
  Run(const Keys& keys, std::uint64_t points, const Arguments& arguments) : arguments_(arguments), plant_(clock_), office_(clock_), mirror_(clock_) {
    clock_.set_utc_offset(SystemClock().utc() - clock_.monotonic().time_since_epoch().count());
    figures_.points = points;
    seal::SealOptions options;
    options.match = {"acme/**"};
    options.points_per_seal = static_cast<std::uint32_t>(arguments.per_seal);
    options.interval = std::chrono::milliseconds(arguments.interval_ms);
    seal::VerifyOptions verify;
    verify.match = options.match;
    verify.origin = kOrigin;
    if (arguments.confidential) {
      if (auto key = crypto::XWingPrivate::generate()) verify.key = std::make_shared<const crypto::XWingPrivate>(*std::move(key));
      if (verify.key) options.readers.push_back({"bench", verify.key->public_key()});
    }
    sealer_ = std::make_unique<seal::Sealer>(kOrigin, "acme", options);
    verifier_ = std::make_unique<seal::VerifierSet>(office_, "office-1", std::vector{verify}, keys.trust, std::vector<seal::StreamMemory>());
    signer_ = keys.signer;
  }

  Result<Figures> go() {
    if (auto begun = sealer_->begin(static_cast<std::uint64_t>(clock_.utc()), signer_, clock_.utc()); !begun) return std::unexpected(begun.error());
    define();
    if (auto done = steps(std::chrono::seconds(2), false); !done) return std::unexpected(done.error());   // everything has been seen once
    const auto status = verifier_->status();
    if (status.empty() || status.front().state != seal::StreamState::live) return fail(ErrorCode::internal, "what was sealed is not verified");
    const std::uint64_t points = figures_.points;
    figures_ = {};
    figures_.points = points;
    before_ = sealer_->counters();
    if (auto done = steps(std::chrono::seconds(arguments_.seconds), true); !done) return std::unexpected(done.error());
    const auto after = sealer_->counters();
    figures_.sealed_bytes = after.issued.bytes - before_.issued.bytes;
    figures_.containers = after.issued.containers - before_.issued.containers;
    figures_.signatures = after.issued.fast_signatures - before_.issued.fast_signatures;
    figures_.verified = verifier_->status().front().points;
    return figures_;
  }

 private:
  void define() {
    plant_route_ = *plant_.add_route({kOrigin, "sim", {kOrigin}});
    mirror_route_ = *mirror_.add_route({kOrigin, "sim", {kOrigin, "office-1"}});
    containers_ = *office_.add_route({kOrigin, "seal", {kOrigin, "office-1"}});
    Meta meta;
    meta.type = Type::float64;
    const auto points = static_cast<std::size_t>(figures_.points);
    for (std::size_t i = 0; i < points; ++i) {
      const std::string path = "acme/area-" + std::to_string(i / 10'000) + "/pump-" + std::to_string(i / 16) + "/p" + std::to_string(i);
      const Definition definition{path, &meta, {kNoPoint, status::kGood, clock_.utc(), Value::from(0.0)}, false, false};
      PointId id = kNoPoint;
      plant_.define(plant_route_, std::span(&definition, 1), std::span(&id, 1));
      mirror_.define(mirror_route_, std::span(&definition, 1), std::span(&id, 1));
    }
    subscription_ = std::make_unique<Subscription>(plant_, SubscriptionOptions{.patterns = *Patterns::parse({"acme/**"})}, [] {});
  }

  Result<void> steps(Duration time, bool changing) {
    for (Duration done{0}; done < time; done += kStep) {
      clock_.advance(kStep);
      if (changing) change();
      if (sealer_->due() <= clock_.monotonic() || (changing && next_pull_ <= clock_.monotonic()) || !changing) {
        next_pull_ = clock_.monotonic() + std::chrono::milliseconds(arguments_.interval_ms);
        if (auto sealed = seal(); !sealed) return sealed;
        verify();
      }
    }
    return {};
  }

  // The same changes, as a link carries them unsealed.
  void change() {
    const auto count = static_cast<std::size_t>(arguments_.rate * kStep.count() / 1'000'000'000);
    changes_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      changes_.push_back({static_cast<PointId>((random_ >> 33) % figures_.points), status::kGood, clock_.utc(), Value::from(static_cast<double>(random_ >> 40) / 7)});
    }
    figures_.changes += count;
    {
      const Stopwatch watch(figures_.plain_cpu);
      wire_.clear();
      link::ChangeEncoder encoder(wire_);
      for (const Change& change : changes_) {
        Slot slot{};
        slot.bits = change.value.bits();
        slot.type = change.value.type();
        slot.source_time = change.source_time;
        encoder.add(change.point, slot, false);
      }
      encoder.finish();
      figures_.plain_bytes += wire_.size();
      copy_ = changes_;
      mirror_.apply(mirror_route_, copy_);
    }
    plant_.apply(plant_route_, changes_);
  }

  Result<void> seal() {
    const Stopwatch watch(figures_.seal_cpu);
    for (;;) {
      batch_.clear();
      subscription_->pull(batch_, 2048);
      for (const Update& update : batch_.updates) {
        seal::SealedValue value{update.status, update.source_time, update.value};
        if (update.kind == UpdateKind::defined) sealer_->define(update.point, batch_.path(update), plant_.meta(update.point), std::move(value));
        else sealer_->change(update.point, std::move(value));
      }
      if (!batch_.more && batch_.updates.empty()) break;
    }
    return sealer_->tick(clock_.monotonic(), clock_.utc(), [this](const std::string& path, Bytes bytes) { sent_.emplace_back(path, Value::contents(Type::byte_string, false, bytes)); });
  }

  void verify() {
    const Stopwatch watch(figures_.verify_cpu);
    for (auto& [path, value] : sent_) {
      Update update;
      update.route = containers_;
      update.value = std::move(value);
      verifier_->take(path, update);
    }
    sent_.clear();
    verifier_->tick();
  }

  const Arguments& arguments_;
  ManualClock clock_;
  Namespace plant_, office_, mirror_;
  RouteId plant_route_ = kNoRoute, mirror_route_ = kNoRoute, containers_ = kNoRoute;
  std::unique_ptr<seal::Sealer> sealer_;
  std::unique_ptr<seal::VerifierSet> verifier_;
  std::shared_ptr<const net::Signer> signer_;
  std::unique_ptr<Subscription> subscription_;
  MonotonicTime next_pull_{};
  Batch batch_;
  std::vector<Change> changes_, copy_;
  std::vector<std::pair<std::string, Value>> sent_;
  Bytes wire_;
  seal::SealCounters before_;
  Figures figures_;
  std::uint64_t random_ = 1;
};

void write_json(const std::vector<Figures>& all, const Arguments& arguments, const Machine& machine) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("bench", "seal");
  write_machine(json, machine);
  json.field("rate", static_cast<std::uint64_t>(arguments.rate));
  json.field("points_per_seal", static_cast<std::uint64_t>(arguments.per_seal));
  json.field("confidential", arguments.confidential);
  json.key("runs");
  json.begin_array();
  for (const Figures& one : all) {
    const auto seconds = static_cast<double>(arguments.seconds);
    const auto share = [&](std::string_view key, double cpu) {
      json.key(key);
      json.number(round_to(cpu / seconds, 4));
    };
    json.begin_object();
    json.field("points", one.points);
    json.field("changes", one.changes);
    share("plain_cores", one.plain_cpu);
    share("seal_cores", one.seal_cpu);
    share("verify_cores", one.verify_cpu);
    json.field("plain_bytes", one.plain_bytes);
    json.field("sealed_bytes", one.sealed_bytes);
    json.field("containers", one.containers);
    json.field("signatures", one.signatures);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  print(out + "\n");
}

void print_sheet(const Figures& one, const Arguments& arguments, const Machine& machine) {
  const auto seconds = static_cast<double>(arguments.seconds);
  const auto cores = [&](double cpu) { return rounded(100 * cpu / seconds, 1) + " % of a core"; };
  const auto bytes = [&](std::uint64_t count) { return rounded(static_cast<double>(count) / seconds / 1e6, 2) + " MB/s"; };
  const auto each = [&](std::uint64_t count) { return rounded(static_cast<double>(count) / static_cast<double>(one.changes), 1) + " bytes a change"; };
  Sheet sheet("seals: " + std::to_string(arguments.rate) + " changes/s of " + std::to_string(one.points) + " points" + (arguments.confidential ? ", encrypted" : ""));
  sheet.line("unsealed", cores(one.plain_cpu), "encoding, and applying at the far end");
  sheet.line("", bytes(one.plain_bytes), each(one.plain_bytes));
  sheet.line("sealing", cores(one.seal_cpu), "reading the table included");
  sheet.line("verifying", cores(one.verify_cpu), "applying included");
  sheet.line("", bytes(one.sealed_bytes), each(one.sealed_bytes));
  sheet.line("containers", rounded(static_cast<double>(one.containers) / seconds, 0) + "/s", rounded(static_cast<double>(one.signatures) / seconds, 0) + " signatures/s");
  sheet.print(machine);
}

int run(const Arguments& arguments) {
  auto keys = make_keys();
  if (!keys) return failed(keys.error());
  const Machine machine = this_machine();
  std::vector<Figures> all;
  for (const std::uint64_t points : {10'000u, 100'000u}) {
    auto figures = Run(*keys, points, arguments).go();
    if (!figures) return failed(figures.error());
    all.push_back(*figures);
    if (!arguments.json) print_sheet(*figures, arguments, machine);
  }
  if (arguments.json) write_json(all, arguments, machine);
  return kSuccess;
}

}  // namespace

void add_seal(Options& bench) {
  bench.command("seal", "What origin seals cost at both ends, in processor time and bytes", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.number("--rate", arguments->rate, "changes a second", 100, 10'000'000);
    options.number("--seconds", arguments->seconds, "of the plant's time", 1, 600);
    options.number("--points-per-seal", arguments->per_seal, "points in one container", 1, seal::kMaxPointsPerSeal);
    options.number("--interval-ms", arguments->interval_ms, "a container is issued at most so often", 10, 10'000);
    options.flag("--confidential", arguments->confidential, "encrypt what is sealed");
    options.json(arguments->json);
    return [arguments] { return run(*arguments); };
  });
}

}  // namespace sallyport::cli::bench
