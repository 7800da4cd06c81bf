// The [http] table: what is accepted, and what the refusals say.
#include "sinks/http/http_settings.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "net/http_test_client.h"

namespace sallyport::http {
namespace {

class HttpSettingsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("sallyport-http-settings-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    file("tokens", "grafana a-token-of-grafana\n");
    file("bad-tokens", "grafana short\n");
    std::filesystem::permissions(folder_ / "tokens", std::filesystem::perms::owner_read);
    const std::string name = (folder_ / "web").string();
    ASSERT_EQ(net::run_command("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
                               "/CN=localhost -keyout " +
                               name + ".key -out " + name + ".crt")
                  .status,
              0);
    ASSERT_EQ(net::run_command("openssl genpkey -algorithm ed25519 -out " + (folder_ / "other.key").string()).status,
              0);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void file(const std::string& name, std::string_view contents) { std::ofstream(folder_ / name) << contents; }

  // The settings, or all problems as text.
  std::expected<HttpSettings, std::string> read(const std::string& text) {
    Problems problems;
    const auto table = Settings::parse(text, (folder_ / "node.toml").string(), problems);
    std::optional<HttpSettings> settings;
    if (table) {
      SettingsReader reader(*table, problems);
      settings = read_http_settings(reader);
    }
    std::string all;
    for (const Problem& problem : problems) all += to_string(problem) + "\n";
    if (settings && problems.empty()) return std::move(*settings);
    EXPECT_FALSE(all.empty()) << text;
    return std::unexpected(all);
  }

  std::filesystem::path folder_;
};

TEST_F(HttpSettingsTest, ServesLoopbackWithNothingElse) {
  for (const char* address : {"127.0.0.1:8080", "localhost:0", "[::1]:80"}) {
    const auto settings = read("address = \"" + std::string(address) + "\"");
    ASSERT_TRUE(settings) << settings.error();
    EXPECT_FALSE(settings->server.tls);
    EXPECT_TRUE(settings->server.tokens.empty());
  }
  EXPECT_EQ(read("address = \"[::1]:80\"")->server.host, "::1");
  EXPECT_EQ(read("address = \"127.0.0.1:8080\"\nmax_connections = 5")->server.limits.connections, 5u);
}

TEST_F(HttpSettingsTest, ServesEverywhereWithTlsAndTokens) {
  const auto settings = read(
      "address = \"0.0.0.0:8443\"\ncertificate = \"web.crt\"\nprivate_key = \"web.key\"\ntokens_file = "
      "\"tokens\"\nhost_names = [\"plant.example\"]");
  ASSERT_TRUE(settings) << settings.error();
  EXPECT_EQ(settings->server.tls->certificate, (folder_ / "web.crt").string());
  EXPECT_EQ(settings->server.tokens.size(), 1u);
}

TEST_F(HttpSettingsTest, SaysWhatIsWrongAndWhatToDo) {
  const std::string everywhere = "address = \"0.0.0.0:8443\"\n";
  const std::pair<std::string, const char*> table[] = {
      {"", "address"},
      {"address = \"127.0.0.1\"", "port"},
      {"address = \"plant.example:8080\"", "neither an IP address nor localhost"},
      {"address = 8080", "address"},
      {everywhere, "needs TLS; set certificate and private_key, or listen on 127.0.0.1"},
      {everywhere, "needs tokens; set tokens_file"},
      {everywhere + "certificate = \"web.crt\"\nprivate_key = \"web.key\"", "needs tokens"},
      {everywhere + "tokens_file = \"tokens\"", "needs TLS"},
      {everywhere + "certificate = \"web.crt\"\ntokens_file = \"tokens\"", "set both or neither"},
      {"address = \"127.0.0.1:0\"\ncertificate = \"no.crt\"\nprivate_key = \"web.key\"", "no.crt: No such file"},
      {"address = \"127.0.0.1:0\"\ncertificate = \"web.crt\"\nprivate_key = \"other.key\"", "key"},
      {"address = \"127.0.0.1:0\"\ncertificate = \"tokens\"\nprivate_key = \"web.key\"", "certificate"},
      {"address = \"127.0.0.1:0\"\ntokens_file = \"no-tokens\"", "no-tokens: No such file"},
      {"address = \"127.0.0.1:0\"\ntokens_file = \"bad-tokens\"",
       "bad-tokens:1: the token of 'grafana' is shorter than 16"},
      {"address = \"127.0.0.1:0\"\nhost_names = [\"a b\"]", "'a b' is no host name"},
      {"address = \"127.0.0.1:0\"\nmax_connections = 0", "max_connections"},
      {"address = \"127.0.0.1:0\"\ntoken_file = \"tokens\"", "did you mean 'tokens_file'"},
  };
  for (const auto& [text, message] : table) {
    const auto settings = read(text);
    ASSERT_FALSE(settings) << text;
    EXPECT_NE(settings.error().find(message), std::string::npos) << text << "\n" << settings.error();
    EXPECT_NE(settings.error().find("node.toml:"), std::string::npos) << settings.error();
  }
}

}  // namespace
}  // namespace sallyport::http
