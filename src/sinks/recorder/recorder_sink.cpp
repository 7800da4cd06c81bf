// Two threads: one reads and checks, the other writes the file, so that a slow disk is not measured as latency.
#include "sinks/recorder/recorder_sink.h"

#include <poll.h>
#include <sys/prctl.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/wake_fd.h"
#include "sinks/recorder/result_file.h"
#include "sinks/recorder/tally.h"

namespace sallyport::recorder {
namespace {

constexpr std::size_t kPull =
    2048;  // updates read at once: some 150 KiB, which stay in the cache until they are counted

struct Options {
  std::string result;
  Duration every{};
  Check check = Check::ramp;
  Type type = Type::float64;
  bool ages = false;
  bool journalled = false;   // delivery = "every"
};

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

class RecorderSink final : public Sink {
 public:
  RecorderSink(const SinkCommon& common, Options options)
      : name_(common.name),
        options_(std::move(options)),
        publish_(common.publish),
        tally_(options_.check, options_.type) {}
  ~RecorderSink() override { stop(); }
  RecorderSink(const RecorderSink&) = delete;
  RecorderSink& operator=(const RecorderSink&) = delete;

  bool durable() const override { return options_.journalled; }
  void use_feeds(Feeds& feeds) override { feeds_ = &feeds; }

  Result<void> start(Namespace& ns) override {
    if (wake_->fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
    namespace_ = &ns;
    if (options_.journalled) {
      if (feeds_ == nullptr) return fail(ErrorCode::invalid, "`delivery = \"every\"` needs the journal of this node");
      auto feed = feeds_->open(reader_name(name_), publish_, [wake = wake_] { wake->wake(); });
      if (!feed) return std::unexpected(feed.error());
      feed_ = std::move(*feed);
    } else subscription_ = std::make_unique<Subscription>(ns, SubscriptionOptions{.patterns = publish_, .paths = false},
                                                   [wake = wake_] { wake->wake(); });
    since_ = ns.clock().utc();
    reader_ = std::thread([this] { read(); });
    writer_ = std::thread([this] { write_files(); });
    return {};
  }

  void stop() override {
    if (!reader_.joinable()) return;
    {
      const std::lock_guard lock(writer_mutex_);  // the writer either sees it or is already waiting
      stopping_ = true;
    }
    wake_->wake();
    reader_.join();
    stop_writer_.notify_all();
    writer_.join();
    subscription_.reset();
    feed_.reset();
  }

  ConnectorStatus status() const override {
    ConnectorStatus status;
    const std::lock_guard lock(mutex_);
    status.state = stopping_ ? ConnectorState::stopped : failure_.empty() ? ConnectorState::up : ConnectorState::down;
    status.reason = failure_;
    status.since = since_;
    const Totals& totals = tally_.totals();
    status.points = totals.points;
    status.changes = totals.changes;
    status.details.emplace_back("result", options_.result);
    status.counters.emplace_back("wrong", totals.wrong);
    status.counters.emplace_back("backwards", totals.backwards);
    status.counters.emplace_back("not_good", totals.not_good);
    return status;
  }

 private:
  void read() {
    block_signals();
    prctl(PR_SET_NAME, "recorder");
    if (feed_) return read_journal();
    Batch batch;
    while (!stopping_) {
      batch.clear();
      subscription_->pull(batch, kPull);
      const bool more = batch.more || !batch.updates.empty();
      if (!batch.updates.empty()) take(batch);
      if (more || stopping_) continue;
      pollfd wake{wake_->fd(), POLLIN, 0};
      poll(&wake, 1, -1);
      wake_->drain();
    }
  }

  void read_journal() {
    FeedBatch batch;
    while (!stopping_) {
      const auto read = feed_->read(batch, kPull);
      if (!read) log::error("the journal cannot be read", log::field("sink", name_), log::field("reason", read.error().message));
      if (read && (!batch.entries.empty() || !batch.gaps.empty())) {
        const UtcNanoseconds now = namespace_->clock().utc();
        const std::lock_guard lock(mutex_);
        tally_.take(batch, now);
        feed_->acknowledge(batch.position);
      }
      if (stopping_ || (read && batch.more)) continue;
      pollfd wake{wake_->fd(), POLLIN, 0};
      poll(&wake, 1, read ? -1 : 1000);
      wake_->drain();
    }
  }

  void take(const Batch& batch) {
    const UtcNanoseconds now = namespace_->clock().utc();
    const std::lock_guard lock(mutex_);
    tally_.take(batch, now);
  }

  void write_files() {
    block_signals();
    prctl(PR_SET_NAME, "recorder-file");
    while (!stopping_) {
      write_file(false);
      std::unique_lock lock(writer_mutex_);
      stop_writer_.wait_for(lock, options_.every, [this] { return stopping_.load(); });
    }
    write_file(true);
  }

  void write_file(bool stopped) {
    Report report{.name = name_, .stopped = stopped, .totals = {}, .ages = {}};
    {
      const std::lock_guard lock(mutex_);
      report.at = namespace_->clock().utc();
      report.totals = tally_.totals();
      if (options_.ages) report.ages = tally_.ages(report.at);
    }
    const auto written = write_report(options_.result, report);
    const std::string failure = written ? "" : written.error().message;
    const std::lock_guard lock(mutex_);
    if (failure == failure_) return;
    if (!failure.empty())
      log::error("cannot write the result", log::field("sink", name_), log::field("reason", failure));
    failure_ = failure;
    since_ = namespace_->clock().utc();
  }

  const std::string name_;
  const Options options_;
  const Patterns publish_;
  Namespace* namespace_ = nullptr;
  std::shared_ptr<const WakeFd> wake_ =
      std::make_shared<const WakeFd>();  // the waker may outlast the subscription a moment
  Feeds* feeds_ = nullptr;
  std::unique_ptr<Subscription> subscription_;
  std::unique_ptr<Feed> feed_;
  std::thread reader_, writer_;
  std::atomic<bool> stopping_ = false;

  mutable std::mutex mutex_;  // the next three; held by the reader once per batch
  Tally tally_;
  std::string failure_;
  UtcNanoseconds since_ = 0;
  std::mutex writer_mutex_;
  std::condition_variable stop_writer_;
};

Options read_options(SettingsReader& settings) {
  Options options;
  options.result = settings.file("result");
  if (!settings.has("result")) settings.problem("", "a recorder needs `result`, the JSON file to write its totals to");
  options.every =
      settings.duration("every", std::chrono::seconds(1), std::chrono::milliseconds(10), std::chrono::hours(1));
  options.check = settings.choice("check", "time", {"time", "ramp"}) == "ramp" ? Check::ramp : Check::time;
  options.ages = settings.boolean("ages", false);
  options.journalled = settings.choice("delivery", "latest", {"latest", "every"}) == "every";
  if (settings.has("type")) {
    const std::string name = settings.string("type", "Double");
    const auto type = parse_type(name);
    if (!type || (*type != Type::string && inline_size(*type) == 0))
      settings.problem("type",
                       "a ramp cannot be of type '" + name + "'; use a number type, Boolean, String or DateTime");
    else
      options.type = *type;
  }
  return options;
}

}  // namespace

const SinkType& sink_type() {
  static const SinkType type{"recorder",
                             [](const SinkCommon& common, SettingsReader& settings) -> std::unique_ptr<Sink> {
                               return std::make_unique<RecorderSink>(common, read_options(settings));
                             }};
  return type;
}

}  // namespace sallyport::recorder
