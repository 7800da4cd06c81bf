// The faults of the other tests against a chain of Mosquitto brokers, measured in the same words; nothing is asserted.
//   mosquitto_rows default|tuned [FAULT…]
#include <algorithm>
#include <cstdio>
#include <random>

#include "mosquitto_chain.h"
#include "row.h"
#include "scene.h"

namespace sallyport::tests {
namespace {

constexpr std::size_t kPoints = 20, kRate = 100;
constexpr auto kAtLeast = seconds(30);     // a break that is told at once lasts so long all the same
constexpr auto kPatience = seconds(100);   // 1.5 times the default keepalive of 60 s, and a bit

struct Setup {
  bool tuned;
  const char* table() const { return tuned ? "mosquitto-tuned" : "mosquitto-default"; }
};

std::size_t wrong_at(const Watcher& consumer, const std::map<std::string, std::string>& truth) {
  const auto latest = consumer.latest();
  return static_cast<std::size_t>(std::ranges::count_if(truth, [&](const auto& point) {
    const auto at = latest.find(point.first);
    return at == latest.end() || at->second.value != point.second;
  }));
}

std::string example_of_wrong(const Watcher& consumer, const std::map<std::string, std::string>& truth) {
  const auto latest = consumer.latest();
  for (const auto& [path, value] : truth) {
    const auto at = latest.find(path);
    if (at == latest.end()) return "; " + path + " is missing, the source has " + value;
    if (at->second.value != value) return "; " + path + " stays at " + at->second.value + ", the source has " + value;
  }
  return {};
}

// Every point at most a second behind.
bool is_live(const Watcher& consumer, const Publisher& source) {
  const auto latest = consumer.latest();
  return std::ranges::all_of(source.truth(), [&](const auto& point) {
    const auto at = latest.find(point.first);
    return at != latest.end() && std::atoi(at->second.value.c_str()) + static_cast<int>(kRate / kPoints) >= std::atoi(point.second.c_str());
  });
}

// What the last broker says about bridges, if it is told: "1" or "0" below health/.
class Health {
 public:
  explicit Health(std::uint16_t port)
      : reader_({"mosquitto_sub", "-p", std::to_string(port), "-t", "health/#", "-t", "$SYS/broker/connection/+/state", "-F", "%t %p"},
                [this](Clock::time_point when, const std::string& line) {
                  const std::lock_guard lock(mutex_);
                  if (line.ends_with(" 0")) down_.push_back({when, line});
                }) {}
  std::optional<std::pair<Clock::time_point, std::string>> first_down(Clock::time_point since) {
    const std::lock_guard lock(mutex_);
    for (const auto& [when, line] : down_) {
      if (when >= since) return std::pair{when, line};
    }
    return std::nullopt;
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<Clock::time_point, std::string>> down_;
  LineReader reader_;
};

struct Fault {
  const char* key;
  const char* name;
  void (*hurt)(MosquittoChain&);
  void (*heal)(MosquittoChain&);
};

void cut(MosquittoChain& chain, std::size_t hop) {
  chain.gate(hop).refuse(true);
  chain.gate(hop).reset();
}

const Fault kFaults[] = {
    {"stall1", "stall (as a cable pulled without FIN), hop 1", [](MosquittoChain& c) { c.gate(0).stall(true); }, [](MosquittoChain& c) { c.gate(0).stall(false); }},
    {"stall2", "stall (as a cable pulled without FIN), hop 2", [](MosquittoChain& c) { c.gate(1).stall(true); }, [](MosquittoChain& c) { c.gate(1).stall(false); }},
    {"reset1", "reset, hop 1", [](MosquittoChain& c) { cut(c, 0); }, [](MosquittoChain& c) { c.gate(0).refuse(false); }},
    {"reset2", "reset, hop 2", [](MosquittoChain& c) { cut(c, 1); }, [](MosquittoChain& c) { c.gate(1).refuse(false); }},
    {"kill2", "kill -9, DMZ broker", [](MosquittoChain& c) { c.broker(1).kill(); }, [](MosquittoChain& c) { c.start(1); }},
    {"stop1", "SIGSTOP (its kernel still acknowledges), plant broker", [](MosquittoChain& c) { c.broker(0).freeze(); }, [](MosquittoChain& c) { c.broker(0).thaw(); }},
    {"stop2", "SIGSTOP (its kernel still acknowledges), DMZ broker", [](MosquittoChain& c) { c.broker(1).freeze(); }, [](MosquittoChain& c) { c.broker(1).thaw(); }},
};

// Until nothing more arrives for three seconds.
void wait_quiet(const Watcher& consumer, Clock::duration limit) {
  const auto end = Clock::now() + limit;
  std::size_t seen = consumer.all().size();
  auto since = Clock::now();
  while (Clock::now() < end && Clock::now() - since < seconds(3)) {
    std::this_thread::sleep_for(milliseconds(100));
    const std::size_t now = consumer.all().size();
    if (now != seen) since = Clock::now();
    seen = now;
  }
}

void measure(const Setup& setup, const Fault& fault) {
  MosquittoChain chain(setup.tuned);
  Publisher source(chain.port(0), kPoints);
  source.change_at(kRate);
  const auto consumer = Watcher::mqtt(chain.port(2), "acme/#");
  if (!consumer->wait_for_all("good", kPoints, seconds(40))) {
    std::fprintf(stderr, "%s: nothing arrives\n%s%s%s", fault.name, chain.log(0).c_str(), chain.log(1).c_str(), chain.log(2).c_str());
    return;
  }
  Health health(chain.port(2));
  std::this_thread::sleep_for(seconds(2));
  Row row{.table = setup.table(), .fault = fault.name, .bound = "none stated", .not_good = {}, .right = {}, .wrong = {}, .stale_good = {}, .backwards = {}, .note = {}};
  const auto hurt_at = Clock::now();
  fault.hurt(chain);
  eventually([&] { return health.first_down(hurt_at).has_value(); }, kPatience);
  const auto told = health.first_down(hurt_at);
  if (told) row.not_good = told->first - hurt_at;
  row.note = told ? "told only by `" + told->second + "`, not by the values" : "told nothing in " + seconds_text(kPatience);
  std::this_thread::sleep_until(hurt_at + kAtLeast);
  // Who comes now gets the retained values, as if they were live.
  const auto late = Watcher::mqtt(chain.port(2), "acme/#");
  late->wait_for_all("good", kPoints, seconds(3));
  row.stale_good = late->latest().size();
  const auto heal_at = Clock::now();
  fault.heal(chain);
  if (eventually([&] { return is_live(*consumer, source); }, seconds(90))) row.right = Clock::now() - heal_at;
  std::this_thread::sleep_for(seconds(5));
  source.rest();
  wait_quiet(*consumer, seconds(120));
  row.wrong = wrong_at(*consumer, source.truth());
  row.backwards = count_backwards(consumer->all(), Order::by_time);
  row.note += example_of_wrong(*consumer, source.truth());
  report(row);
}

void measure_absence(const Setup& setup) {
  const std::size_t points = 10'000;
  MosquittoChain chain(setup.tuned);
  Publisher source(chain.port(0), points);
  const auto consumer = Watcher::mqtt(chain.port(2), "acme/#");
  // Slowly, so that it begins with everything right: at 10,000/s the default queues lose most of it without any fault.
  source.change_each_once(1'000);
  eventually([&] { return wrong_at(*consumer, source.truth()) == 0; }, seconds(20));
  Row row{.table = setup.table(), .fault = "DMZ broker away for 10 s while each of 10,000 points changes once, then silence", .bound = "none stated",
          .not_good = {}, .right = {}, .wrong = {}, .stale_good = {}, .backwards = {}, .note = {}};
  const std::size_t before = wrong_at(*consumer, source.truth());
  chain.broker(1).kill();
  const auto killed_at = Clock::now();
  source.change_each_once(10'000);
  std::this_thread::sleep_until(killed_at + seconds(10));
  const std::size_t updates = consumer->all().size();
  const auto back_at = Clock::now();
  chain.start(1);
  if (eventually([&] { return wrong_at(*consumer, source.truth()) == 0; }, seconds(90))) row.right = Clock::now() - back_at;
  source.rest();
  wait_quiet(*consumer, seconds(60));
  row.wrong = wrong_at(*consumer, source.truth());
  row.backwards = count_backwards(consumer->all(), Order::by_time);
  row.note = std::to_string(before) + " were wrong before; " + std::to_string(consumer->all().size() - updates) + " messages after it came back, told nothing meanwhile";
  row.stale_good = points;
  report(row);
}

void measure_cycles(const Setup& setup) {
  MosquittoChain chain(setup.tuned);
  Publisher source(chain.port(0), kPoints);
  source.change_at(kRate);
  const auto consumer = Watcher::mqtt(chain.port(2), "acme/#");
  consumer->wait_for_all("good", kPoints, seconds(40));
  std::mt19937 random(20);
  std::uniform_int_distribution<int> pause(200, 2000);
  for (int i = 0; i < 200; ++i) {
    Gate& gate = chain.gate(random() % 2);
    if (random() % 2 == 0) gate.stall(true);
    else {
      gate.refuse(true);
      gate.reset();
    }
    std::this_thread::sleep_for(milliseconds(pause(random)));
    gate.stall(false);
    gate.refuse(false);
    std::this_thread::sleep_for(milliseconds(pause(random)));
  }
  const auto healed_at = Clock::now();
  Row row{.table = setup.table(), .fault = "200 cut/heal cycles of 0.2-2 s, then heal", .bound = "none stated", .not_good = {}, .right = {}, .wrong = {},
          .stale_good = {}, .backwards = {}, .note = {}};
  if (eventually([&] { return is_live(*consumer, source); }, seconds(120))) row.right = Clock::now() - healed_at;
  source.rest();
  wait_quiet(*consumer, seconds(120));
  row.wrong = wrong_at(*consumer, source.truth());
  row.backwards = count_backwards(consumer->all(), Order::by_time);
  row.note = "told nothing by the values" + example_of_wrong(*consumer, source.truth());
  report(row);
}

}  // namespace

int measure_all(const Setup& setup, const std::vector<std::string>& keys) {
  const auto wanted = [&](const std::string& key) { return keys.empty() || std::ranges::find(keys, key) != keys.end(); };
  for (const auto& fault : kFaults) {
    if (wanted(fault.key)) measure(setup, fault);
  }
  if (wanted("absence")) measure_absence(setup);
  if (wanted("cycles")) measure_cycles(setup);
  return 0;
}

}  // namespace sallyport::tests

int main(int argc, char** argv) {
  const std::string which = argc > 1 ? argv[1] : "";
  if (which != "default" && which != "tuned") {
    std::fprintf(stderr, "usage: mosquitto_rows default|tuned [stall1|stall2|reset1|reset2|kill2|stop1|stop2|absence|cycles]...\n");
    return 2;
  }
  return sallyport::tests::measure_all({which == "tuned"}, std::vector<std::string>(argv + 2, argv + argc));
}
