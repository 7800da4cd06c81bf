#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>
#include <optional>
#include <thread>

#include "base/log.h"
#include "base/wake_fd.h"
#include "sources/simulator/generator.h"
#include "sources/simulator/pacer.h"
#include "sources/simulator/simulator.h"

namespace sallyport::simulator {
namespace {

constexpr std::size_t kBatch = 1024;          // changes handed over at once
constexpr std::uint32_t kDefineBatch = 8192;  // definitions handed over at once
constexpr std::int64_t kMaxPoints = 10'000'000;
constexpr std::int64_t kMaxRate = 1'000'000'000;
constexpr Duration kLookEvery = std::chrono::milliseconds(20);  // for the files of `start_on` and `rest_on`

constexpr auto kBreath = std::chrono::microseconds(50);
constexpr auto kPatience = std::chrono::milliseconds(20);

struct Options {
  Plan plan;
  bool as_fast_as_possible = false;
  std::uint64_t rate = 0;   // changes per second in total; 0: define, then rest
  std::uint64_t after = 0;  // rest after this many changes; 0: never
  Duration tick{};          // at least this long from one wake-up to the next
  std::string start_on;     // define, and change nothing before this file exists; empty: at once
  std::string rest_on;      // rest as soon as this file exists; empty: never
  bool stamp_due = false;   // source time is when a change was due, not when it was made
};

Shape shape_of(std::string_view text) {
  if (text == "ramp") return Shape::ramp;
  if (text == "random-walk") return Shape::random_walk;
  if (text == "pump-station") return Shape::pump_station;
  return Shape::sine;
}

Options read_options(SettingsReader& settings) {
  Options options;
  options.plan.points = static_cast<std::uint32_t>(settings.integer("points", 100, 1, kMaxPoints));
  if (settings.is_string("rate")) {
    settings.choice("rate", "max", {"max"});
    options.as_fast_as_possible = true;
  } else {
    options.rate = static_cast<std::uint64_t>(settings.integer("rate", 100, 0, kMaxRate));
  }
  options.plan.seed =
      static_cast<std::uint64_t>(settings.integer("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
  options.plan.shape = shape_of(settings.choice("shape", "sine", {"ramp", "sine", "random-walk", "pump-station"}));
  options.plan.order =
      settings.choice("order", "sequential", {"sequential", "random"}) == "random" ? Order::random : Order::sequential;
  options.after = static_cast<std::uint64_t>(settings.integer("after", 0, 0, std::numeric_limits<std::int64_t>::max()));
  options.tick =
      settings.duration("tick", std::chrono::milliseconds(1), std::chrono::microseconds(10), std::chrono::seconds(10));
  options.start_on = settings.file("start_on");
  options.rest_on = settings.file("rest_on");
  options.stamp_due = settings.choice("stamp", "made", {"made", "due"}) == "due";
  if (options.stamp_due && options.as_fast_as_possible) {
    settings.problem("stamp", "with rate = \"max\" no change is ever due; give a rate, or leave `stamp` out");
  }
  if (settings.has("type")) {
    const std::string name = settings.string("type", "Double");
    const auto type = parse_type(name);
    if (!type || !can_generate(*type)) {
      settings.problem("type", "the simulator cannot make '" + name +
                                   "'; use a number type (Double, Float, Int32, …), Boolean, String or DateTime");
    } else if (options.plan.shape == Shape::pump_station) {
      settings.problem("type", "the pump station has types of its own; leave `type` out or choose another shape");
    } else {
      options.plan.type = *type;
    }
  }
  return options;
}

// The node's signals are for its main thread.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

// UTC minus monotonic time. A thread that is interrupted between two readings of a clock would be off by as long: the
// closest of three pairs is right.
std::int64_t utc_offset(const Clock& clock) {
  std::int64_t offset = 0, closest = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < 3; ++i) {
    const std::int64_t before = std::chrono::steady_clock::now().time_since_epoch().count();
    const UtcNanoseconds utc = clock.utc();
    const std::int64_t took = std::chrono::steady_clock::now().time_since_epoch().count() - before;
    if (took >= closest) continue;
    closest = took;
    offset = utc - before - took / 2;
  }
  return offset;
}

bool exists(const std::string& file) { return access(file.c_str(), F_OK) == 0; }

class SimulatorSource final : public Source {
 public:
  SimulatorSource(std::string name, const Options& options) : name_(std::move(name)), options_(options) {}
  ~SimulatorSource() override { stop(); }
  SimulatorSource(const SimulatorSource&) = delete;
  SimulatorSource& operator=(const SimulatorSource&) = delete;

  Result<void> start(Publisher& out) override {
    if (wake_.fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
    out_ = &out;
    since_ = out.clock().utc();
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void stop() override {
    if (!thread_.joinable()) return;
    stopping_ = true;
    wake_.wake();
    thread_.join();
    out_->lost("source stopped");
    set_state(ConnectorState::stopped, "");
  }

  ConnectorStatus status() const override {
    ConnectorStatus status;
    {
      const std::lock_guard lock(mutex_);
      status.state = state_;
      status.reason = reason_;
      status.since = since_;
    }
    status.points = defined_.load(std::memory_order_relaxed);
    status.changes = changes_.load(std::memory_order_relaxed);
    status.dropped = refused_.load(std::memory_order_relaxed);
    status.counters.emplace_back("skipped", skipped_.load(std::memory_order_relaxed));
    if (resting_.load(std::memory_order_relaxed))
      status.details.emplace_back("rests", "every change asked for was made");
    return status;
  }

 private:
  void run() {
    block_signals();
    prctl(PR_SET_NAME, "sim");
    prctl(PR_SET_TIMERSLACK, 1000UL);  // 1 µs: the default 50 µs is half of the latency that is to be measured
    Generator generator(options_.plan);
    if (!define(generator)) return;
    out_->live();
    set_state(ConnectorState::up, reason_text());
    while (!stopping_ && !options_.start_on.empty() && !exists(options_.start_on))
      sleep_until(std::chrono::steady_clock::now() + kLookEvery);
    if (options_.as_fast_as_possible)
      run_flat_out(generator);
    else if (options_.rate > 0)
      run_paced(generator);
    if (!stopping_) resting_ = true;
  }

  // False when stopped meanwhile.
  bool define(const Generator& generator) {
    ids_.resize(generator.size(), kNoPoint);
    std::string text;
    std::vector<std::size_t> ends;
    std::vector<Definition> definitions;
    const UtcNanoseconds now = out_->clock().utc();
    for (std::uint32_t at = 0; at < generator.size(); at += kDefineBatch) {
      if (stopping_) return false;
      const std::uint32_t count = std::min(kDefineBatch, generator.size() - at);
      text.clear();
      ends.clear();
      definitions.clear();
      for (std::uint32_t i = 0; i < count; ++i) {
        generator.append_path(text, at + i);
        ends.push_back(text.size());
      }
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::size_t begin = i == 0 ? 0 : ends[i - 1];
        Definition& definition = definitions.emplace_back();
        definition.path = std::string_view(text).substr(begin, ends[i] - begin);
        definition.meta = &generator.meta(at + i);
        definition.first.source_time = now;
        definition.first.value = generator.first(at + i);
      }
      note_refused(out_->define(definitions, std::span(ids_).subspan(at, count)), count);
    }
    return true;
  }

  void note_refused(const Namespace::Refused& refused, std::uint32_t asked) {
    defined_ += asked - refused.count;
    if (refused.count == 0) return;
    if (refused_ == 0) {
      refused_reason_ = refused.first_reason;
      log::warn("simulated points refused", log::field("source", name_), log::field("reason", refused.first_reason));
    }
    refused_ += refused.count;
  }
  std::string reason_text() const {
    if (refused_ == 0) return "";
    return std::to_string(refused_) + " of " + std::to_string(ids_.size()) + " points refused: " + refused_reason_;
  }

  // As fast as the readers of this node follow: what they would not see is not worth making. One that stands still does not
  // hold up the others for long.
  void run_flat_out(Generator& generator) {
    const std::uint64_t lead = std::clamp<std::uint64_t>(options_.plan.points / 2, 2 * kBatch, 64 * kBatch);
    while (!ended()) {
      const MonotonicTime patience = std::chrono::steady_clock::now() + kPatience;
      while (out_->lag() > lead && !stopping_ && std::chrono::steady_clock::now() < patience)
        sleep_until(std::chrono::steady_clock::now() + kBreath);
      emit(generator, std::min<std::uint64_t>(left(), kBatch), nullptr);
    }
  }

  void run_paced(Generator& generator) {
    Pacer pacer(options_.rate, std::chrono::steady_clock::now());
    while (!ended()) {
      const MonotonicTime tick = std::chrono::steady_clock::now();
      std::uint64_t due = std::min(pacer.due(tick), left());
      skipped_.store(pacer.skipped(), std::memory_order_relaxed);
      while (due > 0 && !stopping_) {
        const std::uint64_t count = std::min<std::uint64_t>(due, kBatch);
        emit(generator, count, options_.stamp_due ? &pacer : nullptr);
        pacer.emitted(count);
        due -= count;
      }
      sleep_until(std::max(tick + options_.tick, pacer.next()));
    }
  }

  // With a pacer: stamped with the time at which each was due.
  void emit(Generator& generator, std::uint64_t count, const Pacer* due) {
    const std::span<Change> changes = std::span(batch_).first(static_cast<std::size_t>(count));
    generator.fill(changes, ids_, out_->clock().utc());
    if (due != nullptr) {
      const std::int64_t offset = utc_offset(out_->clock());
      for (std::uint64_t i = 0; i < count; ++i)
        changes[i].source_time = due->next(i).time_since_epoch().count() + offset;
    }
    out_->publish(changes);
    changes_.fetch_add(count, std::memory_order_relaxed);
  }

  bool ended() {
    if (stopping_ || left() == 0) return true;
    if (options_.rest_on.empty()) return false;
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (now < next_look_) return false;
    next_look_ = now + kLookEvery;
    return exists(options_.rest_on);
  }

  std::uint64_t left() const {
    if (options_.after == 0) return std::numeric_limits<std::uint64_t>::max();
    return options_.after - std::min(options_.after, changes_.load(std::memory_order_relaxed));
  }

  // One system call; a condition variable makes three of it, ten thousand times a second.
  void sleep_until(MonotonicTime time) const {
    const std::int64_t left = std::max<std::int64_t>(0, (time - std::chrono::steady_clock::now()).count());
    const timespec timeout{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    pollfd wake{wake_.fd(), POLLIN, 0};
    ppoll(&wake, 1, &timeout, nullptr);
  }

  void set_state(ConnectorState state, std::string reason) {
    const std::lock_guard lock(mutex_);
    state_ = state;
    reason_ = std::move(reason);
    since_ = out_->clock().utc();
  }

  const std::string name_;
  const Options options_;
  Publisher* out_ = nullptr;
  std::thread thread_;
  std::vector<PointId> ids_;  // by the generator's number; kNoPoint where refused
  std::vector<Change> batch_ = std::vector<Change>(kBatch);
  std::string refused_reason_;
  MonotonicTime next_look_{};

  WakeFd wake_;               // readable once it shall stop
  mutable std::mutex mutex_;  // state_, reason_, since_
  ConnectorState state_ = ConnectorState::starting;
  std::string reason_;
  UtcNanoseconds since_ = 0;

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> resting_ = false;
  std::atomic<std::uint64_t> defined_ = 0, refused_ = 0, changes_ = 0, skipped_ = 0;
};

}  // namespace

const SourceType& source_type() {
  static const SourceType type{"simulator",
                               [](const SourceCommon& common, SettingsReader& settings) -> std::unique_ptr<Source> {
                                 return std::make_unique<SimulatorSource>(common.name, read_options(settings));
                               }};
  return type;
}

}  // namespace sallyport::simulator
