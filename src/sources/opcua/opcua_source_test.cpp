// The source against the plant simulator's server, in one process. Foreign servers: tests/interop/opcua.
#include "sources/opcua/opcua_source.h"

#include <gtest/gtest.h>

#include <thread>

#include "protocol/opcua/plant_server.h"

namespace sallyport::opcua {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

template <typename Condition>
bool eventually(Condition condition, Duration timeout = seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return condition();
}

class RunningPlant {
 public:
  explicit RunningPlant(PlantOptions options) {
    auto made = PlantServer::make(std::move(options));
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    if (!made) return;
    server = std::move(*made);
    thread = std::thread([this] {
      const auto ran = server->run();
      EXPECT_TRUE(ran) << (ran ? "" : ran.error().message);
    });
    EXPECT_TRUE(eventually([this] { return server->running(); }));
  }
  ~RunningPlant() {
    if (server) server->stop();
    if (thread.joinable()) thread.join();
  }
  std::uint16_t port() const {
    const std::string endpoint = server->endpoint();
    return static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
  }
  std::unique_ptr<PlantServer> server;
  std::thread thread;
};

PlantOptions plant_options(std::uint32_t tags = 0, std::uint16_t port = 0) {
  PlantOptions options;
  options.port = port;
  options.tags = tags;
  options.interval = milliseconds(100);
  return options;
}

// A source with a namespace of its own.
class Mirror {
 public:
  explicit Mirror(const std::string& settings)
      : names(clock), publisher(names, "node", "plant", "acme/plant", status::kBadNoCommunication) {
    Problems problems;
    const auto table = Settings::parse(settings, "test.toml", problems);
    EXPECT_TRUE(table);
    SettingsReader reader(*table, problems);
    source = source_type().make({"plant", "node", "acme/plant"}, reader);
    reader.finish();
    for (const Problem& problem : problems) ADD_FAILURE() << to_string(problem);
    EXPECT_TRUE(source->start(publisher));
  }
  ~Mirror() { source->stop(); }
  PointView at(const std::string& path) const { return names.read("acme/plant/" + path).value_or(PointView{}); }
  bool up() const { return source->status().state == ConnectorState::up; }
  std::uint64_t counter(std::string_view name) const {
    for (const auto& [key, value] : source->status().counters) {
      if (key == name) return value;
    }
    return 0;
  }
  NamespaceCounts counts() const { return names.counts(*Patterns::parse({"acme/**"})); }

  SystemClock clock;
  Namespace names;
  Publisher publisher;
  std::unique_ptr<Source> source;
};

std::string settings_for(const std::string& endpoint, const std::string& more = "") {
  return "endpoint = '" + endpoint + "'\nbrowse = ['" + kPlantStartNode +
         "']\npublishing_interval = '50ms'\nkeepalive = '500ms'\n" + more;
}

TEST(OpcUaSource, MirrorsThePlantWithUnitsRangesAndTexts) {
  RunningPlant plant(plant_options(50));
  Mirror mirror(settings_for(plant.server->endpoint()));
  ASSERT_TRUE(eventually([&] { return mirror.up(); })) << mirror.source->status().reason;
  EXPECT_EQ(mirror.counts().points, plant.server->points());
  EXPECT_EQ(mirror.counts().good, plant.server->points());
  const PointView speed = mirror.at("PumpStation1/Pump1/Speed");
  ASSERT_TRUE(speed.meta);
  EXPECT_EQ(speed.meta->type, Type::float64);
  EXPECT_EQ(speed.meta->unit, "rpm");
  EXPECT_EQ(speed.meta->range_high, 1500);
  EXPECT_EQ(speed.meta->description, "speed of the shaft");
  EXPECT_EQ(speed.value.type(), Type::float64);
  EXPECT_EQ(mirror.at("PumpStation1/Pump1/Mode").meta->enum_strings,
            (std::vector<std::string>{"Off", "Manual", "Automatic"}));
  EXPECT_EQ(mirror.at("PumpStation1/Pump1/Running").meta->enum_strings, (std::vector<std::string>{"off", "on"}));
  EXPECT_TRUE(eventually([&] { return mirror.at("PumpStation1/Pump1/Speed").source_time > speed.source_time; }));
  EXPECT_TRUE(eventually([&] { return mirror.source->status().changes > 100; }));
}

TEST(OpcUaSource, SaysHowLongEachStepOfItsStartTook) {
  RunningPlant plant(plant_options(5));
  Mirror mirror(settings_for(plant.server->endpoint()));
  ASSERT_TRUE(eventually([&] { return mirror.up(); }));
  std::string steps;
  for (const auto& [key, text] : mirror.source->status().details) {
    if (!key.starts_with("start_")) continue;
    steps += key + " ";
    EXPECT_TRUE(text.ends_with("ms")) << key << " " << text;
  }
  EXPECT_EQ(steps, "start_connect start_browse start_metadata start_define start_subscribe start_first_values ");
}

TEST(OpcUaSource, TakesOnlyWhatIsIncluded) {
  RunningPlant plant(plant_options(5));
  Mirror mirror(
      settings_for(plant.server->endpoint(), "include = ['PumpStation1/**', 'Nothing/*']\nexclude = ['**/Vibration']"));
  ASSERT_TRUE(eventually([&] { return mirror.up(); }));
  EXPECT_EQ(mirror.counts().points, plant.server->points() - 5 - 4);
  EXPECT_EQ(mirror.at("Tags/T00001").id, kNoPoint);
}

TEST(OpcUaSource, ManyTagsNeedNoTuning) {
  PlantOptions options = plant_options(5000);
  options.rate = 5000;
  RunningPlant plant(std::move(options));
  Mirror mirror(settings_for(plant.server->endpoint()));
  ASSERT_TRUE(eventually([&] { return mirror.up(); }, seconds(40))) << mirror.source->status().reason;
  EXPECT_EQ(mirror.counts().good, plant.server->points());
  EXPECT_TRUE(eventually([&] { return mirror.source->status().changes > 3 * plant.server->points(); }));
  EXPECT_EQ(mirror.counter("sequence_gaps"), 0u);
}

TEST(OpcUaSource, TurnsNotGoodWhenTheServerGoesAndGoodWhenItIsBack) {
  std::uint16_t port = 0;
  auto plant = std::make_unique<RunningPlant>(plant_options());
  port = plant->port();
  const std::string endpoint = plant->server->endpoint();
  Mirror mirror(settings_for(endpoint));
  ASSERT_TRUE(eventually([&] { return mirror.up(); }));
  plant.reset();
  EXPECT_TRUE(eventually([&] { return mirror.counts().good == 0; }, seconds(10)));
  const PointView gone = mirror.at("PumpStation1/Pump1/Speed");
  EXPECT_EQ(gone.status, status::kBadNoCommunication);
  EXPECT_EQ(gone.underlying, status::kGood);
  EXPECT_EQ(gone.value.type(), Type::float64);  // the last value stays visible
  ASSERT_TRUE(gone.cause);
  EXPECT_EQ(gone.cause->link, "plant");
  EXPECT_TRUE(eventually([&] { return mirror.source->status().reason == "connection refused"; }));
  plant = std::make_unique<RunningPlant>(plant_options(0, port));
  EXPECT_TRUE(eventually([&] { return mirror.up() && mirror.counts().good == mirror.counts().points; }, seconds(60)));
  EXPECT_EQ(mirror.counter("reconnects"), 1u);
}

TEST(OpcUaSource, WaitsForAServerThatIsNotThereYet) {
  auto plant = std::make_unique<RunningPlant>(plant_options());
  const std::uint16_t port = plant->port();
  const std::string endpoint = plant->server->endpoint();
  plant.reset();
  Mirror mirror(settings_for(endpoint));
  EXPECT_TRUE(eventually([&] { return mirror.source->status().state == ConnectorState::down; }));
  plant = std::make_unique<RunningPlant>(plant_options(0, port));
  EXPECT_TRUE(eventually([&] { return mirror.up(); }, seconds(60)));
}

TEST(OpcUaSource, AMissingStartNodeDisturbsNothingElse) {
  RunningPlant plant(plant_options());
  Mirror mirror("endpoint = '" + plant.server->endpoint() +
                "'\nbrowse = ['nsu=urn:sallyport:plant;s=Nowhere', 'nsu=urn:elsewhere;s=Plant', '" +
                std::string(kPlantStartNode) + "']\n");
  ASSERT_TRUE(eventually([&] { return mirror.up(); }));
  EXPECT_EQ(mirror.counts().good, plant.server->points());
  const std::string reason = mirror.source->status().reason;
  EXPECT_NE(reason.find("s=Nowhere' does not exist"), std::string::npos) << reason;
  EXPECT_NE(reason.find("no namespace 'urn:elsewhere'; it has"), std::string::npos) << reason;
}

TEST(OpcUaSource, SecurityThatTheServerDoesNotOfferIsRefused) {
  RunningPlant plant(plant_options());
  const auto own = make_self_signed({.name = "client", .application_uri = "urn:client", .hosts = {}, .days = 10});
  ASSERT_TRUE(own);
  const std::string certificate = ::testing::TempDir() + "opcua_source_test.crt",
                    key = ::testing::TempDir() + "opcua_source_test.key";
  ASSERT_TRUE(save_identity(*own, certificate, key));
  Mirror mirror(settings_for(plant.server->endpoint(), "security = 'Basic256Sha256/Sign'\ncertificate = '" +
                                                           certificate + "'\nprivate_key = '" + key + "'\n"));
  EXPECT_TRUE(eventually([&] { return mirror.source->status().reason.contains("it offers none"); }))
      << mirror.source->status().reason;
}

TEST(OpcUaSource, AStartNodeMayBeAVariable) {
  RunningPlant plant(plant_options());
  Mirror mirror("endpoint = '" + plant.server->endpoint() +
                "'\nbrowse = ['nsu=urn:sallyport:plant;s=Plant/PumpStation1/Flow']\n");
  ASSERT_TRUE(eventually([&] { return mirror.up(); }));
  EXPECT_EQ(mirror.counts().points, 1u);
  EXPECT_EQ(mirror.at("Flow").meta->unit, "m³/h");
}

TEST(OpcUaSource, StopsAtOnceWhateverItIsDoing) {
  RunningPlant plant(plant_options(2000));
  for (const int ms : {0, 20, 100, 300, 1000}) {
    Mirror mirror(settings_for(plant.server->endpoint()));
    std::this_thread::sleep_for(milliseconds(ms));
    const auto begin = std::chrono::steady_clock::now();
    mirror.source->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(2)) << ms;
    EXPECT_EQ(mirror.counts().good, 0u);
    EXPECT_EQ(mirror.source->status().state, ConnectorState::stopped);
  }
}

}  // namespace
}  // namespace sallyport::opcua
