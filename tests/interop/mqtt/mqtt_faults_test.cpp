// The broker dies, freezes, comes late, is slow, or the path to it breaks; and then the retained values are right
// again.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "gate.h"
#include "harness.h"

namespace sallyport::interop {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

double value_of(const std::string& payload) {
  const std::size_t at = payload.find("\"value\":");
  return at == std::string::npos ? -1 : std::stod(payload.substr(at + 8));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // freed memory is kept back: resident memory says nothing
#else
constexpr bool kSanitized = false;
#endif

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  }
  return 0;
}

TEST(MqttFaults, AKilledBrokerThatComesBackEmptyGetsEveryValueAgain) {
  Broker broker;
  broker.start();
  Mirror mirror(broker.url(), "", 500);
  ASSERT_TRUE(eventually([&] { return mirror.counter("acknowledged") >= 500; }));
  broker.kill();
  ASSERT_TRUE(eventually([&] { return mirror.status().state == ConnectorState::down; }));
  mirror.set(7, 77);
  broker.start();
  ASSERT_TRUE(eventually([&] { return retained(broker).size() == 500; }));
  EXPECT_TRUE(has(retained(broker)["acme/t7"], "\"value\":77,"));
  EXPECT_GE(mirror.counter("reconnects"), 1u);
}

TEST(MqttFaults, StartsBeforeTheBrokerExists) {
  Broker broker;
  Mirror mirror(broker.url());
  ASSERT_TRUE(eventually([&] { return mirror.status().state == ConnectorState::down; }));
  EXPECT_EQ(mirror.status().reason, "connection refused");
  broker.start();
  ASSERT_TRUE(eventually([&] { return retained(broker).size() == 4; }));
  EXPECT_EQ(mirror.status().reason, "");
}

TEST(MqttFaults, ANameThatDoesNotResolveIsReported) {
  Mirror mirror("mqtt://no-such-host.invalid");
  ASSERT_TRUE(eventually([&] { return mirror.status().state == ConnectorState::down; }));
  EXPECT_TRUE(has(mirror.status().reason, "cannot resolve 'no-such-host.invalid'")) << mirror.status().reason;
}

TEST(MqttFaults, AFrozenBrokerIsNoticedByTheKeepAliveAndServedAgainAfterwards) {
  Broker broker;
  broker.start();
  Mirror mirror(broker.url());
  ASSERT_TRUE(eventually([&] { return mirror.counter("acknowledged") >= 5; }));
  broker.freeze();
  const auto frozen = steady_clock::now();
  ASSERT_TRUE(eventually([&] { return mirror.status().state == ConnectorState::down; }, seconds(20)));
  EXPECT_LT(steady_clock::now() - frozen, seconds(14));  // one to two keep-alives of 5 s
  EXPECT_TRUE(has(mirror.status().reason, "does not answer")) << mirror.status().reason;
  mirror.set(0, 5);
  const auto stopping = steady_clock::now();
  broker.thaw();
  ASSERT_TRUE(eventually([&] { return has(retained(broker)["acme/t0"], "\"value\":5,"); })) << mirror.status().reason;
  EXPECT_LT(steady_clock::now() - stopping, seconds(25));
}

TEST(MqttFaults, StopIsBoundedWhileTheBrokerIsFrozen) {
  Broker broker;
  broker.start();
  Mirror mirror(broker.url());
  ASSERT_TRUE(eventually([&] { return mirror.up(); }));
  broker.freeze();
  mirror.set(0, 5);
  const auto began = steady_clock::now();
  mirror.sink->stop();
  EXPECT_LT(steady_clock::now() - began, seconds(5));
  broker.thaw();
}

TEST(MqttFaults, APointRemovedWhileTheBrokerIsAwayIsClearedLater) {
  Broker broker;
  broker.start();
  Gate gate(broker.port());
  Mirror mirror(gate.url());
  ASSERT_TRUE(eventually([&] { return retained(broker).size() == 4; }));
  gate.set_open(false);
  ASSERT_TRUE(eventually([&] { return mirror.status().state == ConnectorState::down; }));
  mirror.source.remove({&mirror.ids[2], 1});
  gate.set_open(true);
  ASSERT_TRUE(eventually([&] { return retained(broker).size() == 3; }));
  EXPECT_FALSE(retained(broker).contains("acme/t2"));
}

TEST(MqttFaults, ABrokenPathSetsTheWillAndItIsLiftedAfterwards) {
  Broker broker;
  broker.start();
  Gate gate(broker.port());
  Mirror mirror(gate.url());
  const auto online = [&] { return retained(broker, "sallyport/#")["sallyport/ai-1/broker/online"]; };
  ASSERT_TRUE(eventually([&] { return online() == "true"; }));
  gate.set_open(false);
  ASSERT_TRUE(eventually([&] { return online() == "false"; }));
  gate.set_open(true);
  ASSERT_TRUE(eventually([&] { return online() == "true"; }));
}

TEST(MqttFaults, NoConsumerSeesAStepBackHoweverOftenThePathBreaks) {
  Broker broker;
  broker.start();
  Gate gate(broker.port());
  Subscriber subscriber(broker, "acme/#");
  Mirror mirror(gate.url(), "", 20);
  const auto end = steady_clock::now() + seconds(6);
  double value = 0;
  for (auto cut = steady_clock::now() + milliseconds(400); steady_clock::now() < end;) {
    ++value;
    for (std::size_t i = 0; i < 20; ++i) mirror.set(i, value);
    if (steady_clock::now() > cut) {
      gate.cut();
      cut = steady_clock::now() + milliseconds(400);
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
  for (std::size_t i = 0; i < 20; ++i) mirror.set(i, value + 1);
  ASSERT_TRUE(eventually([&] {
    const auto latest = subscriber.latest();
    std::size_t right = 0;
    for (const auto& [topic, message] : latest) right += value_of(message.payload) == value + 1 ? 1 : 0;
    return right == 20;
  }));
  std::map<std::string, double> last;
  for (const Received& message : subscriber.received()) {
    if (!message.topic.starts_with("acme/")) continue;
    const double now = value_of(message.payload);
    ASSERT_GE(now, last[message.topic]) << message.topic;
    last[message.topic] = now;
  }
  EXPECT_GE(mirror.counter("reconnects"), 3u);
}

struct SlowBroker : testing::TestWithParam<int> {};

TEST_P(SlowBroker, GetsTheNewestAndMemoryStaysFlat) {
  Broker broker;
  broker.start();
  Gate gate(broker.port());
  gate.set_bytes_per_second(40'000);  // some 200 messages a second
  Mirror mirror(gate.url(), "keepalive = \"60s\"\nqos = " + std::to_string(GetParam()), 200);
  ASSERT_TRUE(eventually([&] { return mirror.up(); }));
  const std::size_t before = resident_kib();
  double value = 0;
  std::uint64_t changes = 0;
  for (const auto end = steady_clock::now() + seconds(5); steady_clock::now() < end;
       std::this_thread::sleep_for(milliseconds(5))) {
    ++value;
    for (std::size_t i = 0; i < mirror.ids.size(); ++i, ++changes) mirror.set(i, value);
  }
  const std::uint64_t published = mirror.counter("published");
  EXPECT_LT(published, changes / 10);
  if (!kSanitized) {
    EXPECT_LT(resident_kib(), before + 8 * 1024);  // queued, it would be 50 MiB
  }
  gate.set_bytes_per_second(0);
  ASSERT_TRUE(eventually([&] {
    const auto values = retained(broker);
    return values.size() == 200 &&
           std::ranges::all_of(values, [&](const auto& each) { return value_of(each.second) == value; });
  }));
  EXPECT_LT(mirror.counter("published"), published + 3000);  // newer had replaced older: no backlog came behind
  EXPECT_EQ(mirror.counter("reconnects"), 0u);
}
INSTANTIATE_TEST_SUITE_P(Mqtt, SlowBroker, testing::Values(0, 1),
                         [](const auto& each) { return "Qos" + std::to_string(each.param); });

}  // namespace
}  // namespace sallyport::interop
