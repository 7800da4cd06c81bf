#include "node/node.h"

#include <unistd.h>

#include <mutex>

#include "base/log.h"
#include "journal/every_recorder.h"
#include "net/loop_thread.h"
#include "node/admin_server.h"
#include "node/data_dir.h"
#include "node/doctor.h"
#include "node/gaps.h"
#include "node/http_view.h"
#include "node/identity_watch.h"
#include "node/mirror_file.h"
#include "node/notify.h"
#include "node/pattern_check.h"
#include "node/running.h"
#include "node/sys_points.h"
#include "seal/seal_service.h"
#include "seal/verify_service.h"
#include "sinks/http/http_api.h"

namespace sallyport::node {
namespace {

constexpr auto kSecond = std::chrono::seconds(1);
constexpr auto kFirstPatternCheck = std::chrono::seconds(10);  // time for sources to browse and links to come up
constexpr auto kNextPatternCheck = std::chrono::seconds(60);
constexpr std::uint32_t kFewPoints = 50'000;  // counting these takes no time worth speaking of

std::vector<link::LinkOptions> options_of(const std::vector<LinkConfig>& links) {
  std::vector<link::LinkOptions> options;
  for (const auto& link : links) options.push_back(link.options);
  return options;
}

// Links that send, and sinks that read it: what they have not acknowledged is kept.
std::vector<std::string> journal_readers(const Config& config) {
  std::vector<std::string> names;
  for (const auto& link : config.links) {
    if (!link.options.send.empty() && link.options.one_way != link::OneWay::strict) names.push_back(link::journal_reader_name(link.options.name));
  }
  for (const auto& sink : config.sinks) {
    if (sink.sink->durable()) names.push_back(reader_name(sink.common.name));
  }
  if (config.history) names.emplace_back(history::kReaderName);
  return names;
}

std::unexpected<Error> at(const Place& place, Error error) {
  return std::unexpected(Error{error.code, to_string(Problem{place, error.message, false})});
}

}  // namespace

struct Node::Impl {
  Impl(Config config_in, DataDir dir_in)
      : config(std::move(config_in)),
        dir(std::move(dir_in)),
        ns(clock, config.limits),
        memory(load_mirror(dir.path(), config.name, ns)),
        running(ns, config.name),
        sys(ns, config.name),
        watchdog(data.loop()),
        second(service.loop()),
        pattern_timer(service.loop()) {
    for (unsigned i = 1; config.identity && i < config.threads; ++i)
      link_threads.push_back(std::make_unique<net::LoopThread>("link-" + std::to_string(i)));
  }

  Result<void> open_journal();
  Result<void> open_history();
  Result<void> open_seals();
  std::shared_ptr<seal::SealService> make_sealing();
  Result<std::shared_ptr<seal::VerifyService>> make_verifying();
  void reload_seals(const Config& fresh);
  void renew_signer_and_trust();
  Result<void> open_doors();
  Result<void> start_all();
  void start_timers();
  void every_second();
  void ping_watchdog(Duration interval);
  void pass_ping(std::size_t next);
  std::vector<LoopStatus> loop_status(const std::vector<link::LinkStatus>& of) const;
  void check_patterns(Duration again);
  void watch_identity();
  void stop();

  // How points are counted: again; again when that costs little or was long ago; not at all, as they were at the last
  // time, which costs nothing.
  enum class Counting : std::uint8_t { fresh, paced, cached };
  NodeStatus status(Counting counting) const;
  NamespaceCounts count(Counting counting) const;
  Findings findings() const;
  void take_over(Config& fresh, std::string& unchanged);

  SystemClock clock;
  Config config;  // sources and sinks have moved to `running`; main thread, except the names
  DataDir dir;
  UtcNanoseconds started = clock.utc();
  Namespace ns;
  link::LinksMemory memory;  // until the links have it
  const Patterns plant_points = *Patterns::parse({"**"});  // all but $sys
  net::LoopThread data{"data"};
  net::LoopThread service{"service"};
  std::vector<std::unique_ptr<net::LoopThread>> link_threads;  // share the links with the data loop; run longer than it does
  std::unique_ptr<journal::Journal> journal;  // null when it is switched off
  std::unique_ptr<journal::EveryRecorder> every;
  std::unique_ptr<history::History> history;  // null without [history]
  Running running;
  std::shared_ptr<seal::SealService> sealing;         // null without [[seal]]; changed under the mutex, as is the next
  std::shared_ptr<seal::VerifyService> verifying;     // null without [[verify]]
  UtcNanoseconds sign_not_after = 0;                  // likewise
  std::unique_ptr<link::Links> links;  // null in a node without any
  HttpView view{[this] { return status(Counting::cached); }, [this] { return gaps_json(journal ? journal->recent_gaps() : std::vector<Gap>{}); }};
  std::unique_ptr<http::HttpApi> http;  // on the data loop
  std::unique_ptr<AdminServer> admin;

  // On the service loop.
  SysPoints sys;
  PatternCheck patterns;
  std::optional<IdentityWatch> identity_watch;
  net::Timer watchdog;  // on the data loop
  net::Timer second;
  net::Timer pattern_timer;

  mutable std::mutex mutex;  // over what follows
  mutable NamespaceCounts last_counts;
  mutable MonotonicTime count_again;
  std::vector<std::string> pattern_hints;
  std::optional<net::CertificateInfo> certificate;
  bool stopped = false;
  bool complete = false;  // everything was started
};

Result<void> Node::Impl::open_journal() {
  const JournalConfig& wanted = config.journal;
  if (!wanted.enabled) return {};
  auto opened = journal::Journal::open({.folder = dir.path() + "/journal", .node = config.name, .sync = wanted.sync, .max_bytes = wanted.max_size,
                                        .max_age = wanted.max_age, .at_limit = wanted.at_limit, .own = config.every}, clock);
  if (!opened) return std::unexpected(opened.error());
  journal = *std::move(opened);
  journal->set_readers(journal_readers(config));
  every = std::make_unique<journal::EveryRecorder>(*journal, clock);
  running.use_journal(*journal, *every);
  return {};
}

// Before the sources: it sees everything that they bring.
Result<void> Node::Impl::open_history() {
  if (!config.history) return {};
  history = std::make_unique<history::History>(config.history->options, clock);
  if (auto started_history = history->start(ns, journal.get()); !started_history) return at(config.history->place, started_history.error());
  view.use_history(history->reads());
  return {};
}

// Before the links: points of verified origins that were kept over a restart find their routes again.
Result<void> Node::Impl::open_seals() {
  if (!config.verifies.empty()) {
    auto made = make_verifying();
    if (!made) return within("[[verify]]", made.error());
    verifying = *std::move(made);
  }
  if (!config.seals.empty()) {
    sealing = make_sealing();
    if (auto begun = sealing->start(); !begun) return within("[[seal]]", begun.error());
  }
  return {};
}

std::shared_ptr<seal::SealService> Node::Impl::make_sealing() {
  if (const auto info = net::read_certificate(config.identity_files.sign_certificate)) sign_not_after = info->not_after;
  return std::make_shared<seal::SealService>(ns, config.name, config.seals, config.signer, dir.path() + "/sealing");
}

Result<std::shared_ptr<seal::VerifyService>> Node::Impl::make_verifying() {
  auto trust = net::Trust::load(config.identity_files.trust);
  if (!trust) return std::unexpected(trust.error());
  auto made = std::make_shared<seal::VerifyService>(ns, config.name, config.verifies, *std::move(trust), dir.path() + "/verified");
  if (auto begun = made->start(); !begun) return std::unexpected(begun.error());
  return made;
}

// What stands in the files now. Main thread or service loop.
void Node::Impl::renew_signer_and_trust() {
  std::unique_lock lock(mutex);
  const net::IdentityFiles files = net::with_sign_files(config.identity_files);
  const auto seals = sealing;
  const auto verifies = verifying;
  lock.unlock();
  std::shared_ptr<const net::Signer> signer;
  if (!files.sign_certificate.empty()) {
    if (auto loaded = net::Signer::load(files, config.name)) signer = *std::move(loaded);
    else log::warn("the changed files that sign are not taken over", log::field("reason", loaded.error().message));
    if (const auto info = net::read_certificate(files.sign_certificate); info && seals) {
      lock.lock();
      sign_not_after = info->not_after;
      lock.unlock();
    }
  }
  std::shared_ptr<const net::Trust> trust;
  if (auto loaded = net::Trust::load(files.trust)) trust = *std::move(loaded);
  else log::warn("the changed trust is not taken over", log::field("reason", loaded.error().message));
  if (seals && signer) seals->set_signer(signer);
  if (verifies && trust) verifies->set_trust(trust);
  if (links) data.run([&] { links->set_keys(signer, trust); });   // diodes
}

// What seals or verifies with other settings begins anew; with another certificate it goes on.
void Node::Impl::reload_seals(const Config& fresh) {
  const bool other_seals = fresh.seals != config.seals, other_verifies = fresh.verifies != config.verifies;
  {
    const std::lock_guard lock(mutex);
    config.seals = fresh.seals;
    config.verifies = fresh.verifies;
    config.signer = fresh.signer;
    config.identity_files = fresh.identity_files;
  }
  if (!config.identity_files.trust.empty()) renew_signer_and_trust();
  const auto exchange = [this](auto& member, auto next) {
    const std::lock_guard lock(mutex);
    return std::exchange(member, std::move(next));
  };
  if (other_seals) {
    if (const auto old = exchange(sealing, nullptr)) old->stop(true);
    if (!config.seals.empty()) {
      std::unique_lock lock(mutex);
      auto next = make_sealing();
      lock.unlock();
      if (auto begun = next->start(); !begun) log::error("not sealed", log::field("reason", begun.error().message));
      exchange(sealing, std::move(next));
    }
  }
  if (other_verifies) {
    if (const auto old = exchange(verifying, nullptr)) old->stop();
    ns.set_verifying(false);
    if (!config.verifies.empty()) {
      auto next = make_verifying();
      if (!next) log::error("not verified", log::field("reason", next.error().message));
      else exchange(verifying, *std::move(next));
    }
  }
}

Result<void> Node::Impl::open_doors() {
  if (config.identity) {
    certificate = config.identity->certificate();
    identity_watch.emplace(config.identity_files, config.name);
    std::vector<net::Loop*> more;
    for (const auto& thread : link_threads) more.push_back(&thread->loop());
    links = std::make_unique<link::Links>(data.loop(), ns, config.name, config.identity, std::move(memory), more, journal.get());
  }
  if (config.listen && links) {
    if (auto listening = links->listen(*config.listen, config.listen_websocket); !listening)
      return at(config.listen_place, listening.error());
    const auto listening = links->listen_status();
    log::info("listening for peers", log::field("host", config.listen->host),
              log::field("port", listening ? listening->port : 0));
  }
  if (config.http) {
    http = std::make_unique<http::HttpApi>(data.loop(), ns, view, *config.http);
    if (auto started_http = http->start(); !started_http) return at(config.http_place, started_http.error());
    log::info("HTTP API", log::field("url", http->url()));
  }
  auto server = AdminServer::start(
      service.loop(), dir.path(),
      {ns, [this] { return status_json(status(Counting::fresh)); }, [this] { return findings_json(findings()); },
       [this] { return gaps_json(journal ? journal->recent_gaps() : std::vector<Gap>{}); },
       history ? &history->reads() : nullptr});
  if (!server) return std::unexpected(server.error());
  admin = *std::move(server);
  return {};
}

Result<void> Node::Impl::start_all() {
  if (auto opened = open_journal(); !opened) return opened;
  if (auto opened = open_history(); !opened) return opened;
  if (auto opened = open_seals(); !opened) return opened;
  if (auto opened = open_doors(); !opened) return opened;
  patterns.reset(config);
  if (auto started_all = running.start(std::move(config.sources), std::move(config.sinks)); !started_all)
    return started_all;
  if (links) {
    for (auto& options : options_of(config.links)) {
      const std::string name = options.name;
      if (auto added = links->add(std::move(options)); !added) return within("link " + name, added.error());
    }
  }
  ns.drop_restored();  // of sources and links that are no longer in the settings
  start_timers();
  for (const auto& thread : link_threads) thread->start();
  data.start();
  service.start();
  complete = true;
  return {};
}

void Node::Impl::start_timers() {
  second.after(Duration(0), [this] { every_second(); });
  pattern_timer.after(kFirstPatternCheck, [this] { check_patterns(kNextPatternCheck); });
  if (const auto interval = watchdog_interval()) ping_watchdog(*interval / 3);
}

void Node::Impl::every_second() {
  second.after(kSecond, [this] { every_second(); });
  sys.update(status(Counting::paced));
  running.tidy();
  watch_identity();
}

void Node::Impl::watch_identity() {
  auto fresh = identity_watch ? identity_watch->look() : nullptr;
  if (!fresh || !links) return;
  {
    const std::lock_guard lock(mutex);
    certificate = fresh->certificate();
  }
  data.run([&] { links->set_identity(std::move(fresh)); });
  renew_signer_and_trust();
}

// Through each loop that carries data: when one hangs, so does the ping.
void Node::Impl::ping_watchdog(Duration interval) {
  pass_ping(0);
  watchdog.after(interval, [this, interval] { ping_watchdog(interval); });
}

void Node::Impl::pass_ping(std::size_t next) {
  if (next == link_threads.size()) return notify_watchdog();
  link_threads[next]->loop().post([this, next] { pass_ping(next + 1); });
}

std::vector<LoopStatus> Node::Impl::loop_status(const std::vector<link::LinkStatus>& of) const {
  std::vector<LoopStatus> loops{{data.name(), 0, data.cpu()}};
  for (const auto& thread : link_threads) loops.push_back({thread->name(), 0, thread->cpu()});
  for (const auto& link : of) ++loops[link.loop].links;
  return loops;
}

void Node::Impl::check_patterns(Duration again) {
  pattern_timer.after(again, [this, again] { check_patterns(again); });
  patterns.look(ns);
  const std::lock_guard lock(mutex);
  pattern_hints = patterns.hints();
}

// Counting goes through the table: at a million points it is done rarely enough to cost little, unless someone asks.
NamespaceCounts Node::Impl::count(Counting counting) const {
  const auto begin = clock.monotonic();
  {
    const std::lock_guard lock(mutex);
    const bool again = counting == Counting::fresh || last_counts.points <= kFewPoints || begin >= count_again;
    if (counting == Counting::cached || !again) return last_counts;
  }
  const auto fresh = ns.counts(plant_points);
  const auto end = clock.monotonic();
  const std::lock_guard lock(mutex);
  last_counts = fresh;
  count_again = end + std::max<Duration>(kSecond, 50 * (end - begin));
  return fresh;
}

NodeStatus Node::Impl::status(Counting counting) const {
  NodeStatus status;
  status.node = config.name;
  status.config_file = config.file;
  status.data_dir = config.data_dir;
  status.pid = ::getpid();
  status.started = started;
  status.now = clock.utc();
  status.points = count(counting);
  if (links) {
    status.links = links->status();
    status.listen = links->listen_status();
  }
  status.loops = loop_status(status.links);
  status.sources = running.sources();
  status.sinks = running.sinks();
  if (history) status.sinks.push_back({history::kReaderName, "sqlite", {}, history->status()});
  if (journal) status.journal = journal->status();
  if (http) status.http = http->url();
  std::shared_ptr<seal::SealService> seals;
  std::shared_ptr<seal::VerifyService> verifies;
  {
    const std::lock_guard lock(mutex);
    seals = sealing;
    verifies = verifying;
    if (sealing) status.sign_certificate_not_after = sign_not_after;
    status.certificate = certificate;
    status.hints = pattern_hints;
  }
  if (seals) status.sealing = seals->status();
  if (verifies) status.verifying = verifies->status();
  const auto hints = hints_of(status);
  status.hints.insert(status.hints.begin(), hints.begin(), hints.end());
  return status;
}

Findings Node::Impl::findings() const {
  auto findings = check_process();
  const auto more = check_status(status(Counting::fresh));
  findings.insert(findings.end(), more.begin(), more.end());
  return findings;
}

// What can change while the node runs. Names in `unchanged` what cannot.
void Node::Impl::take_over(Config& fresh, std::string& unchanged) {
  const auto differs = [&](bool different, const char* what) {
    if (different) unchanged += (unchanged.empty() ? "" : ", ") + std::string(what);
  };
  differs(fresh.name != config.name, "[node] name");
  differs(fresh.data_dir != config.data_dir, "[node] data_dir");
  differs(fresh.threads != config.threads, "[node] threads");
  differs(fresh.limits.max_points != config.limits.max_points || fresh.limits.max_routes != config.limits.max_routes,
          "[limits]");
  const auto address = [](const Config& of) { return of.listen ? net::to_string(*of.listen) : std::string(); };
  differs(address(fresh) != address(config), "[listen] address");
  differs(fresh.listen_websocket != config.listen_websocket, "[listen] websocket");
  differs(fresh.http.has_value() != config.http.has_value(), "[http]");
  differs(fresh.journal != config.journal, "[journal]");
  const auto text_of = [](const Config& of) { return of.history ? of.history->text : std::string(); };
  differs(text_of(fresh) != text_of(config), "[history]");
  if (!fresh.history && config.history) fresh.history = config.history;  // goes on, so that the journal keeps for it
  differs(fresh.identity && !links, "[identity], which this node had not");
  log::set_level(fresh.log_level);
  config.log_level = fresh.log_level;
  if (links && fresh.identity) {
    data.run([&] {
      links->set_identity(fresh.identity);
      if (auto changed = links->reconfigure(options_of(fresh.links)); !changed) {
        log::error("links not all reconfigured", log::field("reason", changed.error().message));
      }
    });
    const std::lock_guard lock(mutex);
    certificate = fresh.identity->certificate();
  }
  reload_seals(fresh);
  if (http && fresh.http) {
    data.run([&] {
      if (auto reloaded = http->reload(*fresh.http); !reloaded) {
        log::error("HTTP API not reloaded", log::field("reason", reloaded.error().message));
      }
    });
  }
  service.run([&] {
    if (fresh.identity && links) identity_watch.emplace(fresh.identity_files, config.name);
    patterns.reset(fresh);
    pattern_timer.after(kFirstPatternCheck, [this] { check_patterns(kNextPatternCheck); });
  });
  if (journal) journal->set_readers(journal_readers(fresh));
  running.change_to(std::move(fresh.sources), std::move(fresh.sinks));
}

void Node::Impl::stop() {
  if (std::exchange(stopped, true)) return;
  service.run([&] { admin.reset(); });
  service.stop();
  running.stop_sources();
  data.run([&] {
    http.reset();
    if (links) links->stop();
  });
  if (verifying) verifying->stop();
  if (sealing) sealing->stop(false);
  running.stop_sinks();  // after they have said that nothing is good any more
  if (history) history->stop();
  if (links && complete) save_mirror(dir.path(), ns, *links);
  data.run([&] { links.reset(); });
  data.stop();
  for (const auto& thread : link_threads) thread->stop();
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() { impl_->stop(); }

Result<std::unique_ptr<Node>> Node::start(Config config) {
  auto dir = DataDir::open(config.data_dir);
  if (!dir) return std::unexpected(dir.error());
  std::unique_ptr<Node> node(new Node(std::make_unique<Impl>(std::move(config), *std::move(dir))));
  if (auto started = node->impl_->start_all(); !started) return std::unexpected(started.error());
  return node;
}

Result<void> Node::reload(Config config) {
  std::string unchanged;
  impl_->take_over(config, unchanged);
  if (unchanged.empty()) return {};
  return fail(ErrorCode::invalid, "changed, but only a restart takes it over: " + unchanged);
}

void Node::stop() { impl_->stop(); }
NodeStatus Node::status() const { return impl_->status(Impl::Counting::fresh); }

}  // namespace sallyport::node
