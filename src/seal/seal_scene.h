// An origin, a way that does what a test says, and a consumer that verifies, under one clock that the test moves. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/signer.h"
#include "net/test_support.h"
#include "seal/paths.h"
#include "seal/sealer.h"
#include "seal/verify_service.h"

namespace sallyport::seal::testing {

using namespace std::chrono_literals;

// Keys cost most of a test's time: made once for the program.
struct Keys {
  net::testing::Pki pki;
  std::shared_ptr<const net::Signer> plant = signer_of("plant-1");
  std::shared_ptr<const net::Signer> other = signer_of("plant-2");
  std::shared_ptr<const net::Signer> expired;
  std::shared_ptr<const net::Trust> trust;

  Keys() {
    auto loaded = net::Trust::load(pki.folder / "ca.crt");
    if (!loaded) ADD_FAILURE() << loaded.error().message;
    else trust = *loaded;
  }
  std::shared_ptr<const net::Signer> signer_of(const std::string& name) {
    auto signer = net::Signer::load(net::with_sign_files(pki.issue(name)), name);
    if (signer) return *signer;
    ADD_FAILURE() << signer.error().message;
    return nullptr;
  }
  static Keys& get() {
    static Keys keys;
    return keys;
  }
};

class Scene {
 public:
  // What the way does with a container: hands it on, another one in its place, or nothing.
  using Way = std::function<std::optional<Bytes>(const std::string& path, const Bytes& container)>;

  explicit Scene(SealOptions seal = {}, VerifyOptions verify = {}) : verify_(std::move(verify)) {
    clock.set_utc_offset(SystemClock().utc() - clock.monotonic().time_since_epoch().count());
    seal.match = {"acme/berlin/**"};
    if (verify_.match.empty()) verify_.match = {"acme/berlin/**"};
    verify_.origin = "plant-1";
    seal_ = seal;
    ns.emplace(clock);
    route = *ns->add_route({.origin = "plant-1", .source = "seal", .hops = {"plant-1", "dmz", "office"}});
    start_sealer();
    start_verifier({});
  }

  void start_sealer(std::shared_ptr<const net::Signer> signer = Keys::get().plant) {
    epoch = std::max(epoch + 1, static_cast<std::uint64_t>(clock.utc()));
    sealer = std::make_unique<Sealer>("plant-1", "acme/berlin", seal_);
    ASSERT_TRUE(sealer->begin(epoch, std::move(signer), clock.utc()));
    for (const auto& [id, value] : values) define(id, value);
  }
  void start_verifier(const std::vector<StreamMemory>& memories) {
    verifier.reset();
    ns->set_verifying(true);
    verifier = std::make_unique<VerifierSet>(*ns, "office", std::vector{verify_}, Keys::get().trust, memories);
    for (const auto& [path, bytes] : wire) deliver(path, bytes);
  }
  // The consumer starts anew with what it wrote down, and with an empty table.
  void restart_verifier() {
    const auto memories = verifier->memories();
    verifier.reset();
    ns.emplace(clock);
    route = *ns->add_route({.origin = "plant-1", .source = "seal", .hops = {"plant-1", "dmz", "office"}});
    start_verifier(memories);
  }

  static std::string path_of(PointId id) { return "acme/berlin/p" + std::to_string(id); }
  void define(PointId id, double value) {
    values[id] = value;
    auto meta = std::make_shared<Meta>();
    meta->type = Type::float64;
    sealer->define(id, path_of(id), meta, {status::kGood, clock.utc(), Value::from(value)});
  }
  void define_many(PointId count) {
    for (PointId id = 0; id < count; ++id) define(id, id);
  }
  void set(PointId id, double value, Status status = status::kGood) {
    values[id] = value;
    said[id].insert(value);
    times[id] = clock.utc();
    sealer->change(id, {status, clock.utc(), Value::from(value)});
  }
  void remove(PointId id) {
    values.erase(id);
    sealer->remove(id);
  }

  void deliver(const std::string& path, const Bytes& bytes, bool covered = false) {
    Update update;
    update.route = route;
    update.kind = UpdateKind::value;
    update.covered = covered;
    update.status = covered ? status::kBadNoCommunication : status::kGood;
    update.value = Value::contents(Type::byte_string, false, bytes);
    verifier->take(path, update);
  }
  // Moves time on, a tenth of a second at a time, with everything that is due at both ends.
  void run(Duration time) {
    for (Duration done{0}; done < time; done += 100ms) {
      clock.advance(100ms);
      if (sealer) {
        const auto ticked = sealer->tick(clock.monotonic(), clock.utc(), [this](const std::string& path, Bytes bytes) {
          sent[path] = bytes;
          std::optional<Bytes> passed = way ? way(path, bytes) : std::optional(bytes);
          if (!passed) return;
          wire[path] = *passed;
          deliver(path, *passed);
        });
        ASSERT_TRUE(ticked) << ticked.error().message;
      }
      verifier->tick();
      watch();
    }
  }
  // What no consumer may ever see: a good value that the origin did not say.
  void watch() {
    for (const auto& [id, value] : values) {
      const auto point = ns->read(path_of(id));
      if (!point || quality_of(point->status) != Quality::good) continue;
      said[id].insert(value);
      EXPECT_TRUE(said[id].contains(point->value.float64())) << path_of(id) << " shows " << point->value.float64();
    }
  }

  PointView point(PointId id) const { return ns->read(path_of(id)).value_or(PointView()); }
  bool good(PointId id) const { return point(id).id != kNoPoint && quality_of(point(id).status) == Quality::good; }
  double shown(PointId id) const { return point(id).value.float64(); }
  StreamStatus status() const { return verifier->status().front(); }
  static std::string values_path(unsigned bucket) { return container_path("plant-1", "acme/berlin", Kind::values, bucket); }
  static std::string path(Kind kind, unsigned number = 0) { return container_path("plant-1", "acme/berlin", kind, number); }

  ManualClock clock;
  std::optional<Namespace> ns;
  RouteId route = kNoRoute;
  std::unique_ptr<Sealer> sealer;
  std::unique_ptr<VerifierSet> verifier;
  std::uint64_t epoch = 0;
  Way way;
  std::map<std::string, Bytes> sent, wire;   // as issued, and as it came
  std::map<PointId, double> values;          // at the origin now
  std::map<PointId, UtcNanoseconds> times;
  std::map<PointId, std::set<double>> said;

 private:
  SealOptions seal_;
  VerifyOptions verify_;
};

}  // namespace sallyport::seal::testing
