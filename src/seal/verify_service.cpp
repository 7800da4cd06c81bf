#include "seal/verify_service.h"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <charconv>
#include <csignal>

#include "base/log.h"
#include "seal/paths.h"
#include "seal/state_file.h"

namespace sallyport::seal {
namespace {

constexpr std::size_t kPull = 512;
constexpr std::size_t kMaxStreams = 64;   // of one [[verify]]
constexpr auto kSaveEach = std::chrono::seconds(10);

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

// "$seal/plant-1/acme/berlin/$v17" taken apart.
struct Place {
  std::string_view origin, prefix;
  Kind kind = Kind::values;
  std::optional<std::uint64_t> bucket;   // of values only
};
std::optional<Place> place_of(std::string_view path) {
  constexpr std::string_view kRoot = "$seal/";
  if (!path.starts_with(kRoot)) return std::nullopt;
  path.remove_prefix(kRoot.size());
  const std::size_t first = path.find('/'), last = path.rfind('/');
  if (first == std::string_view::npos || path.size() < last + 3 || path[last + 1] != '$') return std::nullopt;
  Place place;
  place.origin = path.substr(0, first);
  if (last > first) place.prefix = path.substr(first + 1, last - first - 1);
  place.kind = static_cast<Kind>(path[last + 2]);
  std::uint64_t number = 0;
  const std::string_view digits = path.substr(last + 3);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (place.kind == Kind::values && error == std::errc() && end == digits.data() + digits.size()) place.bucket = number;
  return place;
}

}  // namespace

VerifierSet::VerifierSet(Namespace& ns, std::string node, std::vector<VerifyOptions> options, std::shared_ptr<const net::Trust> trust,
                         const std::vector<StreamMemory>& memories)
    : namespace_(ns), node_(std::move(node)), trust_(std::move(trust)) {
  for (VerifyOptions& one : options) verifies_.push_back({std::move(one), {}});
  for (const StreamMemory& memory : memories) {
    const auto verify = std::ranges::find(verifies_, memory.origin, [](const Verify& of) { return of.options.origin; });
    if (verify == verifies_.end()) forgotten_.push_back(memory);
    else verify->streams.emplace(memory.prefix, std::make_unique<Unsealer>(ns, node_, verify->options, trust_, memory));
  }
}

Patterns VerifierSet::patterns() const {
  std::vector<std::string> texts;
  for (const Verify& verify : verifies_) texts.push_back("$seal/" + verify.options.origin + "/**/$*");
  return Patterns::parse(texts).value_or(Patterns());
}

// A stream whose points cannot be in the match is none of ours.
Unsealer* VerifierSet::stream_of(Verify& verify, std::string_view prefix, bool make) {
  const auto known = verify.streams.find(prefix);
  if (known != verify.streams.end()) return known->second.get();
  const std::string below = prefix.empty() ? "**" : std::string(prefix) + "/**";
  const bool ours = std::ranges::any_of(verify.options.match, [&](const std::string& pattern) { return may_overlap(pattern, below); });
  if (!make || !ours || verify.streams.size() >= kMaxStreams) return nullptr;
  StreamMemory memory{.origin = verify.options.origin, .prefix = std::string(prefix), .epoch = 0, .manifest = 0, .hops = {}};
  return verify.streams.emplace(memory.prefix, std::make_unique<Unsealer>(namespace_, node_, verify.options, trust_, memory)).first->second.get();
}

void VerifierSet::take(std::string_view path, const Update& update) {
  const auto place = place_of(path);
  if (!place) return;
  const auto verify = std::ranges::find(verifies_, place->origin, [](const Verify& of) { return std::string_view(of.options.origin); });
  if (verify == verifies_.end()) return;
  const bool known = verify->streams.contains(place->prefix);
  Unsealer* stream = stream_of(*verify, place->prefix, place->kind == Kind::announcement && update.kind != UpdateKind::removed);
  if (stream == nullptr) return;
  const UtcNanoseconds now = namespace_.clock().utc();
  if (update.kind == UpdateKind::removed) {
    if (place->kind == Kind::manifest) stream->upstream_lost({node_, "seal " + verify->options.origin, now, "seal: the manifest is gone"});
    return;
  }
  // Anyone on the way may say that it is broken; that lowers a quality, and never raises one.
  if (place->kind == Kind::manifest) {
    if (update.covered || update.status != status::kGood) {
      const Cause why = namespace_.route_state(update.route).cause;
      return stream->upstream_lost(update.covered ? why : Cause{node_, "seal " + verify->options.origin, now, "seal: the manifest is not good"});
    }
    stream->upstream_here();
  }
  if (place->kind == Kind::announcement) stream->set_hops(namespace_.route_info(update.route).hops);
  if (update.value.type() != Type::byte_string || update.value.is_array()) return stream->refuse_malformed(std::string(path) + " is no container", place->bucket);
  const auto container = decode_container(update.value.contents());
  if (!container) return stream->refuse_malformed(std::string(path) + ": " + container.error().message, place->bucket);
  const Head& head = container->head;
  if (container_path(head.origin, head.prefix, head.kind, head.number) != path)
    return stream->refuse_misplaced(std::string(path) + " holds a container that belongs elsewhere", place->bucket);
  stream->take(*container, update.value);
  if (!known) look_back(verify->options.origin, std::string(place->prefix));
}

// What came before the announcement was nobody's: links tell points in no order, and definitions are told once.
void VerifierSet::look_back(const std::string& origin, const std::string& prefix) {
  constexpr std::size_t kAtOnce = 256;
  const auto all = Patterns::parse({stream_pattern(origin, prefix)});
  if (!all) return;
  std::vector<PointView> points;
  for (std::optional<PointId> from = 0; from;) {
    points.clear();
    from = namespace_.list(*all, *from, kAtOnce, points);
    for (PointView& point : points) {
      Update update;
      update.point = point.id;
      update.route = point.route;
      update.kind = UpdateKind::defined;
      update.covered = point.covered;
      update.status = point.status;
      update.underlying = point.underlying;
      update.source_time = point.source_time;
      update.value = std::move(point.value);
      take(point.path, update);
    }
  }
}

void VerifierSet::tick() {
  for (Verify& verify : verifies_) {
    for (auto& [prefix, stream] : verify.streams) stream->tick();
  }
}

void VerifierSet::stop() {
  for (Verify& verify : verifies_) {
    for (auto& [prefix, stream] : verify.streams) stream->stop();
  }
}

void VerifierSet::set_trust(const std::shared_ptr<const net::Trust>& trust) {
  trust_ = trust;
  for (Verify& verify : verifies_) {
    for (auto& [prefix, stream] : verify.streams) stream->set_trust(trust);
  }
}

bool VerifierSet::memory_changed() {
  bool changed = false;
  for (Verify& verify : verifies_) {
    for (auto& [prefix, stream] : verify.streams) changed = stream->memory_changed() || changed;
  }
  return changed;
}

std::vector<StreamMemory> VerifierSet::memories() const {
  std::vector<StreamMemory> all = forgotten_;
  for (const Verify& verify : verifies_) {
    for (const auto& [prefix, stream] : verify.streams) {
      if (stream->memory().epoch != 0) all.push_back(stream->memory());
    }
  }
  return all;
}

std::vector<StreamStatus> VerifierSet::status() const {
  std::vector<StreamStatus> all;
  for (const Verify& verify : verifies_) {
    for (const auto& [prefix, stream] : verify.streams) all.push_back(stream->status());
    if (!verify.streams.empty()) continue;
    StreamStatus& nothing = all.emplace_back();
    nothing.origin = verify.options.origin;
    nothing.reason = "nothing sealed by " + verify.options.origin + " has come; does it seal these points, and may each link on the way receive and send them?";
  }
  return all;
}

// --- The thread ------------------------------------------------------------------------------------------------------

VerifyService::VerifyService(Namespace& ns, std::string node, std::vector<VerifyOptions> options, std::shared_ptr<const net::Trust> trust,
                             std::string state_file)
    : namespace_(ns), node_(std::move(node)), options_(std::move(options)), state_file_(std::move(state_file)), trust_(std::move(trust)) {
  for (const VerifyOptions& one : options_) tick_ = std::clamp<Duration>(one.timeout / 8, std::chrono::milliseconds(5), tick_);
}

Result<void> VerifyService::start() {
  if (wake_->fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
  // Without it an epoch that is over could come again: not to be passed over in silence.
  auto memories = load_memories(state_file_);
  if (!memories) {
    return fail(memories.error().code, memories.error().message + ": what was verified before this start is not known, so old containers could pass for new ones; "
                                       "if you are sure of the nodes on the way, remove the file");
  }
  streams_ = std::make_unique<VerifierSet>(namespace_, node_, options_, trust_, *memories);
  namespace_.set_verifying(true);
  subscription_ = std::make_unique<Subscription>(namespace_, SubscriptionOptions{.patterns = streams_->patterns()}, [wake = wake_] { wake->wake(); });
  thread_ = std::thread([this] { run(); });
  return {};
}

void VerifyService::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake_->wake();
  thread_.join();
  subscription_.reset();
  streams_->stop();
  save(true);
}

void VerifyService::run() {
  block_signals();
  prctl(PR_SET_NAME, "verify");
  Batch batch;
  MonotonicTime next{};
  while (!stopping_) {
    batch.clear();
    subscription_->pull(batch, kPull);
    const MonotonicTime now = namespace_.clock().monotonic();
    {
      const std::lock_guard lock(mutex_);
      for (const Update& update : batch.updates) streams_->take(batch.path(update), update);
      if (now >= next) {
        streams_->tick();
        next = now + tick_;
      }
    }
    save(false);
    if (stopping_ || batch.more || !batch.updates.empty()) continue;
    pollfd wake{wake_->fd(), POLLIN, 0};
    poll(&wake, 1, static_cast<int>(std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(tick_).count())));
    wake_->drain();
  }
}

void VerifyService::save(bool now) {
  std::vector<StreamMemory> memories;
  {
    const std::lock_guard lock(mutex_);
    const MonotonicTime time = namespace_.clock().monotonic();
    if (!streams_->memory_changed() && !now && time < save_at_) return;
    save_at_ = time + kSaveEach;
    memories = streams_->memories();
  }
  const auto saved = save_memories(state_file_, memories);
  if (!saved && !save_failed_) log::error("what was verified cannot be remembered over a restart", log::field("reason", saved.error().message));
  save_failed_ = !saved;
}

void VerifyService::set_trust(const std::shared_ptr<const net::Trust>& trust) {
  const std::lock_guard lock(mutex_);
  trust_ = trust;
  if (streams_) streams_->set_trust(trust);
}

std::vector<StreamStatus> VerifyService::status() const {
  const std::lock_guard lock(mutex_);
  return streams_ ? streams_->status() : std::vector<StreamStatus>();
}

}  // namespace sallyport::seal
