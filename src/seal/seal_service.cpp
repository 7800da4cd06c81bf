#include "seal/seal_service.h"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "seal/paths.h"
#include "seal/state_file.h"

namespace sallyport::seal {
namespace {

constexpr std::size_t kPull = 2048;
constexpr auto kNap = std::chrono::milliseconds(100);   // in which a stop is noticed
constexpr std::string_view kSource = "seal";

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

SealService::SealService(Namespace& ns, std::string node, std::vector<SealOptions> seals, std::shared_ptr<const net::Signer> signer,
                         std::string state_file)
    : namespace_(ns), node_(std::move(node)), seals_(std::move(seals)), state_file_(std::move(state_file)), signer_(std::move(signer)) {
  for (std::size_t i = 0; i < seals_.size(); ++i) {
    matches_.push_back(Patterns::parse(seals_[i].match).value_or(Patterns()));
    for (const std::string& text : seals_[i].match) {
      auto pattern = Pattern::parse(text);
      if (text.starts_with('!') || !pattern) continue;
      const std::string prefix = literal_prefix(text);
      auto stream = std::ranges::find(streams_, prefix, &Stream::prefix);
      if (stream == streams_.end()) {
        streams_.push_back({prefix, i, std::make_unique<Sealer>(node_, prefix, seals_[i]), {}, 0});
        stream = streams_.end() - 1;
      }
      rules_.push_back({*std::move(pattern), i, static_cast<std::size_t>(stream - streams_.begin())});
    }
  }
}

Result<void> SealService::start() {
  if (wake_->fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
  const auto last = load_epoch(state_file_);
  if (!last) log::warn("the last epoch of seals is not known; the clock decides", log::field("reason", last.error().message));
  epoch_ = last.value_or(0);
  if (auto begun = begin_epoch(); !begun) return begun;
  std::vector<std::string> all;
  for (const Rule& rule : rules_) all.push_back(rule.pattern.text());
  auto patterns = Patterns::parse(all);
  if (!patterns) return std::unexpected(patterns.error());
  publisher_ = std::make_unique<Publisher>(namespace_, node_, std::string(kSource), "", status::kBadNoCommunication);
  subscription_ = std::make_unique<Subscription>(namespace_, SubscriptionOptions{.patterns = *std::move(patterns)}, [wake = wake_] { wake->wake(); });
  thread_ = std::thread([this] { run(); });
  return {};
}

// Also for another certificate: what an idle bucket's container is signed with must be what the announcement names.
Result<void> SealService::begin_epoch() {
  const UtcNanoseconds now = namespace_.clock().utc();
  epoch_ = std::max(epoch_ + 1, static_cast<std::uint64_t>(std::max<UtcNanoseconds>(now, 1)));
  if (auto saved = save_epoch(state_file_, epoch_); !saved) return within("the epoch of the seals cannot be kept", saved.error());
  for (Stream& stream : streams_) {
    if (auto begun = stream.sealer->begin(epoch_, signer_, now); !begun) return begun;
  }
  return {};
}

void SealService::stop(bool gone) {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake_->wake();
  thread_.join();
  subscription_.reset();
  if (gone) namespace_.remove_route(publisher_->route());
  else publisher_->lost("the node was stopped");
}

void SealService::set_signer(std::shared_ptr<const net::Signer> signer) {
  {
    const std::lock_guard lock(mutex_);
    if (signer->credential() == signer_->credential()) return;
    new_signer_ = std::move(signer);
  }
  wake_->wake();
}

void SealService::run() {
  block_signals();
  prctl(PR_SET_NAME, "seal");
  const MonotonicTime begin = namespace_.clock().monotonic();
  Batch batch;
  while (!stopping_) {
    batch.clear();
    subscription_->pull(batch, kPull);
    if (!batch.updates.empty()) take(batch);
    snapshot_ = snapshot_ && batch.snapshot && namespace_.clock().monotonic() - begin < std::chrono::seconds(2);
    if (!snapshot_) tick();
    if (stopping_ || batch.more || !batch.updates.empty()) continue;
    const auto [left, changed] = wait();
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left);
    if (changed) {
      // What comes until the interval is over is read then, all at once: most of it replaces something.
      std::this_thread::sleep_for(std::clamp(milliseconds, std::chrono::milliseconds(0), kNap));
      continue;
    }
    pollfd wake{wake_->fd(), POLLIN, 0};
    poll(&wake, 1, static_cast<int>(std::clamp<std::int64_t>(milliseconds.count(), 0, 1000)));
    wake_->drain();
  }
}

std::pair<Duration, bool> SealService::wait() const {
  const std::lock_guard lock(mutex_);
  Duration wait = std::chrono::seconds(1);
  bool changed = false;
  for (const Stream& stream : streams_) {
    wait = std::min<Duration>(wait, stream.sealer->due() - namespace_.clock().monotonic());
    changed = changed || stream.sealer->changed();
  }
  return {wait, changed};
}

// --- Points in -------------------------------------------------------------------------------------------------------

void SealService::take(const Batch& batch) {
  own_.clear();
  const std::lock_guard lock(mutex_);
  for (const Update& update : batch.updates) take_one(batch, update);
}

// Only what enters the network here: for the rest this node could vouch no more than any other hop.
std::int32_t SealService::stream_of(std::string_view path, RouteId route) {
  const auto [own, fresh] = own_.try_emplace(route, false);
  if (fresh) own->second = namespace_.route_info(route).origin == node_;
  for (const Rule& rule : rules_) {
    if (!rule.pattern.matches(path) || !matches_[rule.seal].matches(path)) continue;
    if (own->second) return static_cast<std::int32_t>(rule.stream);
    ++streams_[rule.stream].foreign;
    return -1;
  }
  return -1;
}

void SealService::take_one(const Batch& batch, const Update& update) {
  if (update.point >= known_.size()) known_.resize(std::size_t{update.point} + update.point / 2 + 64);
  Known& known = known_[update.point];
  const auto forget = [&] {
    if (known.stream >= 0) streams_[static_cast<std::size_t>(known.stream)].sealer->remove(update.point);
    known = {};
  };
  if (update.kind == UpdateKind::removed) return forget();
  const bool define = update.kind == UpdateKind::defined || known.route != update.route;
  if (define) {
    const std::int32_t stream = stream_of(batch.path(update), update.route);
    if (known.stream != stream) forget();
    known = {stream, update.route};
  }
  if (known.stream < 0) return;
  Sealer& sealer = *streams_[static_cast<std::size_t>(known.stream)].sealer;
  SealedValue value{update.status, update.source_time, update.value};
  if (!define && sealer.knows(update.point)) return sealer.change(update.point, std::move(value));
  if (auto meta = namespace_.meta(update.point)) sealer.define(update.point, batch.path(update), std::move(meta), std::move(value));
}

// --- Containers out --------------------------------------------------------------------------------------------------

void SealService::tick() {
  const std::lock_guard lock(mutex_);
  bool renew = std::ranges::any_of(streams_, [](const Stream& stream) { return stream.sealer->wants_new_epoch(); });
  if (new_signer_) {
    signer_ = std::move(new_signer_);
    new_signer_.reset();
    renew = true;
  }
  if (renew) {
    // Tried again each time; meanwhile versions go on to grow, so that no nonce comes twice.
    const auto begun = begin_epoch();
    if (!begun && !std::exchange(renewal_failed_, true)) log::error("seals go on in the old epoch", log::field("reason", begun.error().message));
    if (begun) renewal_failed_ = false;
  }
  const MonotonicTime now = namespace_.clock().monotonic();
  const UtcNanoseconds utc = namespace_.clock().utc();
  for (Stream& stream : streams_) {
    if (stream.sealer->due() > now) continue;
    const auto ticked = stream.sealer->tick(now, utc, [&](const std::string& path, Bytes container) { put(path, std::move(container), utc); });
    const std::string failure = ticked ? "" : ticked.error().message;
    if (!failure.empty() && failure != stream.failure) log::error("not sealed", log::field("prefix", stream.prefix), log::field("reason", failure));
    stream.failure = failure;
  }
  flush(utc);
}

void SealService::put(const std::string& path, Bytes container, UtcNanoseconds now) {
  Value value = Value::contents(Type::byte_string, false, container);
  const auto known = ids_.find(path);
  if (known == ids_.end()) fresh_.push_back({path, std::move(value)});
  else if (known->second != kNoPoint) changes_.push_back({known->second, status::kGood, now, std::move(value)});
}

void SealService::flush(UtcNanoseconds now) {
  if (!fresh_.empty()) {
    Meta meta;
    meta.type = Type::byte_string;
    std::vector<Definition> definitions;
    for (Fresh& one : fresh_) definitions.push_back({one.path, &meta, {kNoPoint, status::kGood, now, std::move(one.value)}, false, false});
    std::vector<PointId> ids(definitions.size(), kNoPoint);
    const auto refused = publisher_->define(definitions, ids);
    if (refused.count > 0) log::error("no room for seals", log::field("first", refused.first_reason));
    for (std::size_t i = 0; i < ids.size(); ++i) ids_[fresh_[i].path] = ids[i];
    fresh_.clear();
  }
  if (!changes_.empty()) publisher_->publish(changes_);
  changes_.clear();
  if (!publisher_->is_live()) publisher_->live();
}

std::vector<SealingStatus> SealService::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<SealingStatus> all;
  for (const Stream& stream : streams_) {
    const SealOptions& options = seals_[stream.seal];
    all.push_back({stream.prefix, !options.readers.empty(), options.plain, stream.sealer->counters(), stream.foreign, stream.failure});
  }
  return all;
}

}  // namespace sallyport::seal
