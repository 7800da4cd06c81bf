#include "sources/opcua/opcua_settings.h"

#include <gtest/gtest.h>

#include <fstream>

#include "sources/opcua/opcua_source.h"

namespace sallyport::opcua {
namespace {

struct Parsed {
  SourceSettings settings;
  Problems problems;
};

Parsed parse(const std::string& text) {
  Parsed out;
  const auto file = Settings::parse(text, ::testing::TempDir() + "opcua_settings_test.toml", out.problems);
  if (!file) return out;
  SettingsReader reader(*file, out.problems);
  out.settings = read_source_settings(reader);
  return out;
}

std::string all(const Problems& problems) {
  std::string out;
  for (const Problem& problem : problems) out += to_string(problem) + "\n";
  return out;
}

std::string save(const std::string& name, const std::string& uri) {
  const auto made = make_self_signed({.name = name, .application_uri = uri, .hosts = {}, .days = 10});
  EXPECT_TRUE(made);
  EXPECT_TRUE(save_identity(*made, ::testing::TempDir() + name + ".crt", ::testing::TempDir() + name + ".key"));
  return name;
}

TEST(OpcUaSettings, TheSampleLoads) {
  Problems problems;
  const auto file = Settings::load(SALLYPORT_SOURCE_DIR "/src/sources/opcua/sample.toml", problems);
  ASSERT_TRUE(file) << file.error().message;
  SettingsReader top(*file, problems);
  const auto source = top.table("source");
  ASSERT_TRUE(source);
  SettingsReader sources(*source, problems);
  const auto tables = sources.tables("opcua");
  ASSERT_EQ(tables.size(), 1u);
  SettingsReader reader(tables[0], problems);
  const std::string name = reader.required_string("name"), into = reader.required_string("into");
  EXPECT_NE(source_type().make({name, "plant-1", into}, reader), nullptr);
  reader.finish();
  EXPECT_EQ(all(problems), "");
}

TEST(OpcUaSettings, DefaultsNeedAnEndpointOnly) {
  const Parsed parsed = parse("endpoint = 'opc.tcp://10.0.0.5:4840'");
  EXPECT_EQ(all(parsed.problems), "");
  EXPECT_EQ(parsed.settings.browse, std::vector<std::string>{"i=85"});
  EXPECT_TRUE(parsed.settings.security.none());
  EXPECT_FALSE(parsed.settings.sampling_interval);
  EXPECT_EQ(parsed.settings.queue, 10u);
}

TEST(OpcUaSettings, BadInputGetsAClearAnswer) {
  const std::string endpoint = "endpoint = 'opc.tcp://10.0.0.5:4840'\n";
  const struct {
    std::string text, message;
  } table[] = {
      {"", "endpoint"},
      {"endpoint = '10.0.0.5:4840'", "must begin with opc.tcp://"},
      {endpoint + "browse = []", "'browse' is empty"},
      {endpoint + "browse = ['ns=2;s=Plant']", "namespace must be given by URI"},
      {endpoint + "browse = ['Plant']", "is no node id"},
      {endpoint + "brose = ['i=85']", "did you mean 'browse'"},
      {endpoint + "include = ['a//b']", "empty level"},
      {endpoint + "include = []", "'include' is empty"},
      {endpoint + "exclude = ['+']", "'*' for one level"},
      {endpoint + "security = 'Basic256'", "is no security"},
      {endpoint + "security = 'Basic256Sha256/Sign'", "needs certificate and private_key"},
      {endpoint + "certificate = 'x.crt'", "go together"},
      {endpoint + "certificate = 'missing.crt'\nprivate_key = 'missing.key'", "missing.crt: No such file"},
      {endpoint + "server_certificate = 'missing.der'", "missing.der: No such file"},
      {endpoint + "trust_list = ['missing.pem']", "missing.pem: No such file"},
      {endpoint + "username = 'me'", "password_file or password_env"},
      {endpoint + "password_env = 'PATH'", "no username"},
      {endpoint + "username = 'me'\npassword_env = 'SALLYPORT_NO_SUCH_VARIABLE'", "not set or empty"},
      {endpoint + "publishing_interval = '0ms'", "publishing_interval"},
      {endpoint + "queue = 0", "queue"},
      {endpoint + "keepalive = '1ms'", "keepalive"},
      {endpoint + "rebrowse = '10ms'", "rebrowse"},
  };
  for (const auto& row : table) {
    const Parsed parsed = parse(row.text);
    EXPECT_NE(all(parsed.problems).find(row.message), std::string::npos) << row.text << "\n" << all(parsed.problems);
  }
}

TEST(OpcUaSettings, FilesAreRelativeToTheSettings) {
  save("opcua_own", "urn:own");
  save("opcua_server", "urn:server");
  const Parsed parsed = parse(
      "endpoint = 'opc.tcp://10.0.0.5:4840'\nsecurity = 'Aes256_Sha256_RsaPss/SignAndEncrypt'\ncertificate = "
      "'opcua_own.crt'\n"
      "private_key = 'opcua_own.key'\nserver_certificate = 'opcua_server.crt'\ntrust_list = ['opcua_own.crt']");
  EXPECT_EQ(all(parsed.problems), "");
  ASSERT_TRUE(parsed.settings.identity);
  EXPECT_EQ(parsed.settings.identity->certificate.application_uri, "urn:own");
  EXPECT_FALSE(parsed.settings.trust->empty());
}

}  // namespace
}  // namespace sallyport::opcua
