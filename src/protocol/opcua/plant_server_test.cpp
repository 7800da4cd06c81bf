#include "protocol/opcua/plant_server.h"

#include <gtest/gtest.h>

#include <thread>

#include "protocol/opcua/browse.h"
#include "protocol/opcua/discovery.h"
#include "protocol/opcua/plant_model.h"

namespace sallyport::opcua {
namespace {

class RunningPlant {
 public:
  explicit RunningPlant(PlantOptions options) {
    options.port = 0;
    auto made = PlantServer::make(std::move(options));
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    if (!made) return;
    server = std::move(*made);
    thread = std::thread([this] {
      const auto ran = server->run();
      EXPECT_TRUE(ran) << (ran ? "" : ran.error().message);
    });
    for (int i = 0; i < 1000 && !server->running(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ~RunningPlant() {
    if (server) server->stop();
    if (thread.joinable()) thread.join();
  }
  std::unique_ptr<PlantServer> server;
  std::thread thread;
};

std::shared_ptr<const Identity> identity(const std::string& uri) {
  auto made = make_self_signed({.name = uri, .application_uri = uri, .hosts = {"localhost", "127.0.0.1"}});
  EXPECT_TRUE(made);
  return std::make_shared<const Identity>(std::move(*made));
}

std::string save(const std::shared_ptr<const Identity>& who, const std::string& name) {
  const std::string file = ::testing::TempDir() + name + ".crt";
  EXPECT_TRUE(save_identity(*who, file, ::testing::TempDir() + name + ".key"));
  return file;
}

TEST(PlantModel, IsTheSameForTheSameSeed) {
  PlantModel a(10, 7), b(10, 7), other(10, 8);
  for (int i = 0; i < 100; ++i) {
    a.step(0.5), b.step(0.5), other.step(0.5);
    a.move_next(), b.move_next(), other.move_next();
  }
  bool differs = false;
  for (std::size_t i = 0; i < a.signals().size(); ++i) {
    EXPECT_EQ(a.signals()[i].value, b.signals()[i].value) << a.signals()[i].path;
    differs |= a.signals()[i].value != other.signals()[i].value;
  }
  EXPECT_TRUE(differs);
}

TEST(PlantModel, CountsUpWhenItsTagsAreARamp) {
  PlantModel model(3, 1, TagShape::ramp);
  for (int i = 0; i < 7; ++i) model.move_next();
  const auto tags = std::span(model.signals()).subspan(model.station_signals());
  EXPECT_EQ(tags[0].value, 3);
  EXPECT_EQ(tags[1].value, 2);
  EXPECT_EQ(tags[2].value, 2);
}

TEST(PlantServer, StandsStillOnceItSaysThatItRests) {
  RunningPlant plant({.tags = 10, .rate = 1000});
  const auto soon = [](auto condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return condition();
  };
  ASSERT_TRUE(soon([&] { return plant.server->tag_changes() > 0; }));
  plant.server->rest(true);
  ASSERT_TRUE(soon([&] { return plant.server->at_rest(); }));
  const std::uint64_t changes = plant.server->tag_changes();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(plant.server->tag_changes(), changes);
  plant.server->rest(false);
  EXPECT_TRUE(soon([&] { return plant.server->tag_changes() > changes; }));
  EXPECT_FALSE(plant.server->at_rest());
}

TEST(Client, ReadsMoreThanOneRequestHoldsInOrder) {
  RunningPlant plant({.tags = 4321, .rate = 0});
  auto client = Client::connect({.endpoint = plant.server->endpoint()});
  ASSERT_TRUE(client) << client.error().message;
  std::vector<NodeId> nodes;
  std::vector<UA_ReadValueId> what;
  for (int i = 1; i <= 4321; ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "nsu=urn:sallyport:plant;s=Plant/Tags/T%05d", i);
    auto id = parse_node_id(name, (*client)->namespaces());
    ASSERT_TRUE(id);
    nodes.push_back(std::move(*id));
    UA_ReadValueId read{};
    read.nodeId = *nodes.back();
    read.attributeId = UA_ATTRIBUTEID_BROWSENAME;
    what.push_back(read);
  }
  const auto values = (*client)->read(what);
  ASSERT_TRUE(values) << values.error().message;
  ASSERT_EQ(values->size(), what.size());
  for (std::size_t i = 0; i < what.size(); ++i) {
    const UA_Variant& value = (*values)[i]->value;
    ASSERT_TRUE(UA_Variant_hasScalarType(&value, &UA_TYPES[UA_TYPES_QUALIFIEDNAME]));
    EXPECT_TRUE(
        view(nodes[i]->identifier.string).ends_with(view(static_cast<const UA_QualifiedName*>(value.data)->name)));
  }
}

TEST(PlantServer, ShowsItsPlantToWhoeverDiscoversIt) {
  RunningPlant plant({.tags = 20});
  ClientOptions options{.endpoint = plant.server->endpoint()};
  const auto found = discover(options);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->browse_error, "");
  EXPECT_EQ(found->application_name, "sallyport plant simulator");
  ASSERT_EQ(found->endpoints.size(), 1u);
  EXPECT_EQ(found->endpoints[0].security, "none");
  EXPECT_TRUE(found->endpoints[0].anonymous);
  EXPECT_NE(std::ranges::find(found->namespaces, std::string(kPlantNamespace)), found->namespaces.end());
  const auto plant_node = std::ranges::find(found->nodes, std::string(kPlantStartNode), &DiscoveredNode::id);
  ASSERT_NE(plant_node, found->nodes.end());
  ASSERT_EQ(plant_node->nodes.size(), 2u);
  EXPECT_EQ(plant_node->nodes[0].name, "PumpStation1");
  EXPECT_EQ(plant_node->nodes[1].children, 20u);
}

TEST(PlantServer, ValuesMoveWithTheirSourceTime) {
  RunningPlant plant({.tags = 5, .rate = 200, .interval = std::chrono::milliseconds(50)});
  auto client = Client::connect({.endpoint = plant.server->endpoint()});
  ASSERT_TRUE(client) << client.error().message;
  auto id = parse_node_id("nsu=urn:sallyport:plant;s=Plant/PumpStation1/Pump1/Speed", (*client)->namespaces());
  ASSERT_TRUE(id);
  UA_ReadValueId what{};
  what.nodeId = **id;
  what.attributeId = UA_ATTRIBUTEID_VALUE;
  const auto first = (*client)->read(std::span(&what, 1), UA_TIMESTAMPSTORETURN_SOURCE);
  ASSERT_TRUE(first) << first.error().message;
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  const auto second = (*client)->read(std::span(&what, 1), UA_TIMESTAMPSTORETURN_SOURCE);
  ASSERT_TRUE(second);
  EXPECT_GT(second->front()->sourceTimestamp, first->front()->sourceTimestamp);
  EXPECT_GT(plant.server->changes(), plant.server->points());
}

TEST(PlantServer, TakesThePoliciesWhenItHasACertificate) {
  const auto server_identity = identity("urn:sallyport:test:plant");
  const auto client_identity = identity("urn:sallyport:test:client");
  RunningPlant plant({.identity = server_identity});
  auto trust = std::make_shared<ServerTrust>();
  ASSERT_TRUE(trust->pin(save(server_identity, "plant_server_test")));
  for (const char* policy : {"Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"}) {
    for (const char* mode : {"/Sign", "/SignAndEncrypt"}) {
      ClientOptions options{.endpoint = plant.server->endpoint(),
                            .security = *parse_security(std::string(policy) + mode),
                            .identity = client_identity,
                            .trust = trust};
      const auto client = Client::connect(options);
      ASSERT_TRUE(client) << policy << mode << ": " << client.error().message;
      EXPECT_EQ((*client)->security_text(), std::string(policy) + mode);
    }
  }
}

TEST(OpcUaClient, RefusesAServerThatNobodyTrustsAndSaysHowTo) {
  const auto server_identity = identity("urn:sallyport:test:plant");
  RunningPlant plant({.identity = server_identity});
  ClientOptions options{.endpoint = plant.server->endpoint(),
                        .security = *parse_security("Basic256Sha256/SignAndEncrypt"),
                        .identity = identity("urn:sallyport:test:client")};
  auto refused = Client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::refused);
  EXPECT_NE(refused.error().message.find(server_identity->certificate.sha256), std::string::npos)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find("server_certificate"), std::string::npos);

  auto other = std::make_shared<ServerTrust>();
  ASSERT_TRUE(other->pin(save(identity("urn:other"), "plant_server_test_other")));
  options.trust = other;
  refused = Client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("not the one in server_certificate"), std::string::npos)
      << refused.error().message;

  auto authority = std::make_shared<ServerTrust>();
  ASSERT_TRUE(authority->add_authority(save(identity("urn:other"), "plant_server_test_authority")));
  options.trust = authority;
  refused = Client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is not trusted"), std::string::npos) << refused.error().message;
}

TEST(OpcUaClient, LogsInWithPasswordOnlyWhenItStaysSecret) {
  const auto server_identity = identity("urn:sallyport:test:plant");
  RunningPlant encrypted({.identity = server_identity, .user = "engineer", .password = "pumps"});
  ClientOptions options{.endpoint = encrypted.server->endpoint(), .login = Login{"engineer", "pumps"}};
  auto client = Client::connect(options);
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_EQ((*client)->warnings().size(), 1u);  // nobody checked the certificate
  client->reset();
  options.login = Login{"engineer", "wrong"};
  auto refused = Client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("refuses user name or password"), std::string::npos)
      << refused.error().message;
  options.login.reset();
  refused = Client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("set username"), std::string::npos) << refused.error().message;

  RunningPlant plain({.user = "engineer", .password = "pumps"});
  options = {.endpoint = plain.server->endpoint(), .login = Login{"engineer", "pumps"}};
  refused = Client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("allow_plaintext_password"), std::string::npos) << refused.error().message;
  options.allow_plaintext_password = true;
  client = Client::connect(options);
  EXPECT_TRUE(client) << client.error().message;
}

TEST(OpcUaClient, SaysSoWhenNothingOrSomethingElseAnswers) {
  ClientOptions options{.endpoint = "opc.tcp://127.0.0.1:1", .request_timeout = std::chrono::seconds(2)};
  const auto refused = Client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "connection refused");
}

TEST(OpcUaClient, ChecksEndpointAndSecurityText) {
  for (const char* good : {"opc.tcp://10.0.0.5:4840", "opc.tcp://plc7", "opc.tcp://[::1]:4840/path"})
    EXPECT_TRUE(check_endpoint_url(good)) << good;
  for (const char* bad : {"", "10.0.0.5:4840", "http://x", "opc.tcp://", "opc.tcp://x:port", "opc.tcp://x:99999"})
    EXPECT_FALSE(check_endpoint_url(bad)) << bad;
  for (const char* bad : {"", "Basic256/Sign", "Basic256Sha256", "Basic256Sha256/None", "sign"})
    EXPECT_FALSE(parse_security(bad)) << bad;
}

TEST(OpcUaCertificates, BadFilesSayWhatIsWrong) {
  EXPECT_NE(load_certificate("/nonexistent.crt").error().message.find("/nonexistent.crt"), std::string::npos);
  const auto a = identity("urn:a");
  const auto b = identity("urn:b");
  const std::string a_file = save(a, "certificates_a"), b_file = save(b, "certificates_b");
  const auto mixed = load_identity(a_file, b_file.substr(0, b_file.size() - 4) + ".key");
  ASSERT_FALSE(mixed);
  EXPECT_NE(mixed.error().message.find("does not belong"), std::string::npos) << mixed.error().message;
  const auto swapped = load_identity(b_file, b_file);
  ASSERT_FALSE(swapped);
  EXPECT_NE(swapped.error().message.find("no private key"), std::string::npos) << swapped.error().message;
  const auto good = load_identity(a_file, a_file.substr(0, a_file.size() - 4) + ".key");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->certificate.application_uri, "urn:a");
  for (const std::string garbage :
       {"", "x", "\x30\x82\x01\x01", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    EXPECT_FALSE(read_certificate(garbage));
  }
}

}  // namespace
}  // namespace sallyport::opcua
