#include "sources/nats/nats_source.h"

#include <poll.h>
#include <sys/prctl.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <unordered_map>

#include "base/backoff.h"
#include "base/log.h"
#include "base/wake_fd.h"
#include "protocol/nats/subject.h"
#include "sources/nats/payload.h"
#include "sources/nats/reader.h"

namespace sallyport::nats {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstRetry = milliseconds(200), kLastRetry = seconds(30), kSteady = seconds(5);

SourceOptions read_source_options(const SourceCommon& common, SettingsReader& settings) {
  SourceOptions options;
  options.server = read_server_options(settings, "sallyport/" + common.node + "/" + common.name);
  options.subjects = settings.strings("subjects", {});
  if (options.subjects.empty()) settings.problem("subjects", "`subjects` is missing: subjects = [\"plant.>\"]");
  for (const std::string& subject : options.subjects) {
    if (const auto ok = check_subject(subject, true); !ok) settings.problem("subjects", ok.error().message);
  }
  options.strip = settings.string("strip", "");
  if (const auto ok = check_subject(options.strip, false); !ok && !options.strip.empty()) settings.problem("strip", ok.error().message);
  options.stream = settings.string("stream", "");
  options.durable = settings.string("durable", "");
  for (const auto& [key, name] : {std::pair{"stream", options.stream}, {"durable", options.durable}}) {
    if (name.find_first_of(". *>/\\\t") != std::string::npos) settings.problem(key, "such a name has no blanks, dots, slashes and wildcards");
  }
  if (!options.durable.empty() && options.stream.empty()) settings.problem("durable", "`durable` needs a `stream`");
  options.bare = settings.choice("format", "json", {"json", "value"}) == "value";
  if (settings.has("type")) {
    const std::string name = settings.string("type", "Double");
    const auto type = parse_type(name);
    if (!type) settings.problem("type", type.error().message);
    else options.type = *type;
    if (!options.bare) settings.problem("type", "`type` is for format = \"value\"; JSON says its own");
  }
  options.max_points = static_cast<std::size_t>(settings.integer("max_points", 100'000, 1, 10'000'000));
  options.max_pending = static_cast<std::size_t>(settings.integer("max_pending", 65'536, 16, 10'000'000));
  return options;
}

class NatsSource final : public Source {
 public:
  NatsSource(const SourceCommon& common, SourceOptions options) : name_(common.name), options_(std::move(options)) {}
  ~NatsSource() override { stop(); }
  NatsSource(const NatsSource&) = delete;
  NatsSource& operator=(const NatsSource&) = delete;

  Result<void> start(Publisher& out) override {
    if (wake_.fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
    out_ = &out;
    set_state(ConnectorState::connecting, "");
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
  ConnectorStatus status() const override;

 private:
  void run();
  std::string serve(Reader& reader);
  void take(natsMsg* message);
  PointId define(const std::string& path, Change& change);
  void hand_over();
  void bad(std::string_view subject, const std::string& why);
  void note_dropped(std::uint64_t dropped);
  void pause(Duration time) const;
  void note_down(const std::string& reason);
  void set_state(ConnectorState state, std::string reason);

  const std::string name_;
  const SourceOptions options_;
  Publisher* out_ = nullptr;
  WakeFd wake_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  std::unordered_map<std::string, PointId> ids_;  // by subject; the thread's own from here
  std::vector<Change> changes_;
  std::uint64_t last_seq_ = 0;                    // of the stream; what comes again is passed over
  std::uint64_t dropped_before_ = 0;
  UtcNanoseconds taken_at_ = 0;

  mutable std::mutex mutex_;                      // guards the next five
  ConnectorState state_ = ConnectorState::starting;
  std::string reason_, server_, bad_example_;
  UtcNanoseconds since_ = 0;
  std::atomic<std::uint64_t> points_ = 0, messages_ = 0, changes_count_ = 0, bad_ = 0, dropped_ = 0, repeats_ = 0, connects_ = 0;
};

void NatsSource::run() {
  sigset_t all;  // the node's signals are for its main thread
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  prctl(PR_SET_NAME, "source-nats");
  Backoff backoff(kFirstRetry, kLastRetry, std::random_device()());
  while (!stopping_) {
    const MonotonicTime began = std::chrono::steady_clock::now();
    auto reader = Reader::open(options_, wake_);
    const std::string reason = reader ? serve(**reader) : reader.error().message;
    if (stopping_) return;
    note_down(reason);
    if (reader && std::chrono::steady_clock::now() - began > kSteady) backoff.reset();
    pause(backoff.next());
  }
}

std::string NatsSource::serve(Reader& reader) {
  ++connects_;
  {
    const std::lock_guard lock(mutex_);
    server_ = reader.server();
  }
  log::info("NATS connected", log::field("source", name_), log::field("server", reader.server()));
  set_state(ConnectorState::up, "");
  dropped_before_ = 0;
  if (options_.durable.empty()) last_seq_ = 0;  // begins with the last of each subject again
  std::vector<MessagePtr> messages;
  while (!stopping_) {
    if (auto ok = reader.read(messages); !ok) return ok.error().message;
    note_dropped(reader.dropped());
    taken_at_ = out_->clock().utc();
    for (const MessagePtr& message : messages) take(message.get());
    hand_over();
    reader.acknowledge(messages);
    // Everything that there is has been read: what did not change stands as it is.
    if (reader.complete() && !out_->is_live()) out_->live();
  }
  return "stopped";
}

void NatsSource::take(natsMsg* message) {
  ++messages_;
  const std::string_view subject = natsMsg_GetSubject(message);
  UtcNanoseconds received = taken_at_;
  if (!options_.stream.empty()) {
    const std::uint64_t seq = natsMsg_GetSequence(message);
    if (seq != 0 && seq <= last_seq_) {
      ++repeats_;
      return;
    }
    last_seq_ = seq;
    received = natsMsg_GetTime(message);
  }
  const std::string_view payload(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)));
  auto change = options_.bare ? parse_bare(payload, options_.type, received) : parse_point(payload, received);
  if (!change) return bad(subject, change.error().message);
  const auto known = ids_.find(std::string(subject));
  if (known != ids_.end()) {
    if (known->second == kNoPoint) return bad(subject, "the point was refused");
    change->point = known->second;
    changes_.push_back(std::move(*change));
    return;
  }
  if (ids_.size() >= options_.max_points) return bad(subject, "more subjects than max_points");
  const auto path = path_of(options_.strip, subject);
  if (!path) return bad(subject, path.error().message);
  hand_over();  // in order
  ids_.emplace(subject, define(*path, *change));
}

PointId NatsSource::define(const std::string& path, Change& change) {
  Meta meta;
  meta.type = change.value.type();
  meta.array = change.value.is_array();
  const Definition definition{.path = path, .meta = &meta, .first = change};
  PointId id = kNoPoint;
  const auto refused = out_->define({&definition, 1}, {&id, 1});
  if (id == kNoPoint) {
    bad(path, refused.first_reason);
    return id;
  }
  ++points_;
  // Defined while the source is not live, it stays covered: the change itself shows that it is here.
  if (out_->is_live()) return id;
  change.point = id;
  changes_.push_back(std::move(change));
  return id;
}

void NatsSource::hand_over() {
  if (changes_.empty()) return;
  changes_count_ += changes_.size();
  out_->publish(changes_);
  changes_.clear();
}

void NatsSource::bad(std::string_view subject, const std::string& why) {
  const std::string example = std::string(subject) + ": " + why;
  if (bad_.fetch_add(1, std::memory_order_relaxed) == 0) log::warn("a message cannot be used", log::field("source", name_), log::field("example", example));
  const std::lock_guard lock(mutex_);
  bad_example_ = example;
}

void NatsSource::note_dropped(std::uint64_t dropped) {
  if (dropped <= dropped_before_) return;
  const std::uint64_t more = dropped - dropped_before_;
  dropped_before_ = dropped;
  dropped_ += more;
  out_->missed(GapCause::overflow, "", taken_at_, out_->clock().utc(), more, "more messages came than could be taken");
}

void NatsSource::pause(Duration time) const {
  const MonotonicTime until = std::chrono::steady_clock::now() + time;
  while (!stopping_ && std::chrono::steady_clock::now() < until) {
    pollfd wake{wake_.fd(), POLLIN, 0};
    poll(&wake, 1, static_cast<int>(std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now()).count()));
    if (!stopping_) wake_.drain();
  }
}

void NatsSource::note_down(const std::string& reason) {
  out_->lost(reason);
  {
    const std::lock_guard lock(mutex_);
    if (state_ == ConnectorState::down && reason_ == reason) return;
  }
  log::warn("NATS not usable; trying on", log::field("source", name_), log::field("reason", reason));
  set_state(ConnectorState::down, reason);
}

void NatsSource::set_state(ConnectorState state, std::string reason) {
  const std::lock_guard lock(mutex_);
  state_ = state;
  reason_ = std::move(reason);
  since_ = out_->clock().utc();
}

ConnectorStatus NatsSource::status() const {
  ConnectorStatus status;
  const auto value = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  status.points = value(points_);
  status.changes = value(changes_count_);
  status.dropped = value(bad_) + value(dropped_);
  const std::uint64_t connects = value(connects_);
  status.counters = {{"messages", value(messages_)}, {"bad_messages", value(bad_)}, {"overflow", value(dropped_)},
                     {"repeats", value(repeats_)},   {"reconnects", connects > 0 ? connects - 1 : 0}};
  const std::lock_guard lock(mutex_);
  status.state = state_;
  status.reason = reason_;
  status.since = since_;
  if (!server_.empty()) status.details.emplace_back("server", server_);
  if (!bad_example_.empty()) status.details.emplace_back("bad message", bad_example_);
  return status;
}

}  // namespace

const SourceType& source_type() {
  static const SourceType type{"nats", [](const SourceCommon& common, SettingsReader& settings) -> std::unique_ptr<Source> {
                                 return std::make_unique<NatsSource>(common, read_source_options(common, settings));
                               }};
  return type;
}

}  // namespace sallyport::nats
