// mqtts:// against a broker whose certificates were made by the openssl command line, and passwords.
#include <gtest/gtest.h>

#include "harness.h"

namespace sallyport::interop {
namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// ca.crt, server.crt/.key for `host`, client.crt/.key, all in the broker's folder.
void make_certificates(const TempFolder& folder, const std::string& san) {
  const auto make_ca = [&](const std::string& name) {
    run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         folder / (name + ".key"), "-out", folder / (name + ".crt"), "-subj", "/CN=" + name, "-days", "2"});
  };
  make_ca("ca");
  make_ca("other-ca");
  const auto issue = [&](const std::string& name, const std::string& extension) {
    run({"openssl",
         "req",
         "-x509",
         "-newkey",
         "ec",
         "-pkeyopt",
         "ec_paramgen_curve:P-256",
         "-nodes",
         "-keyout",
         folder / (name + ".key"),
         "-out",
         folder / (name + ".crt"),
         "-subj",
         "/CN=" + name,
         "-addext",
         extension,
         "-days",
         "2",
         "-CA",
         folder / "ca.crt",
         "-CAkey",
         folder / "ca.key",
         "-addext",
         "basicConstraints=critical,CA:FALSE"});
  };
  issue("server", "subjectAltName=" + san);
  issue("client", "subjectAltName=DNS:client");
}

std::string tls_lines(const TempFolder& folder) {
  return "allow_anonymous true\ncafile " + folder / "ca.crt" + "\ncertfile " + folder / "server.crt" + "\nkeyfile " +
         folder / "server.key" + "\n";
}

// A broker with TLS; its folder has to exist before its configuration can name files in it.
struct TlsBroker {
  explicit TlsBroker(const std::string& san = "IP:127.0.0.1,DNS:localhost", std::string_view more = "",
                     std::string_view groups = "") {
    make_certificates(files, san);
    if (!groups.empty()) {
      files.write("openssl.cnf", "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nGroups = " +
                                     std::string(groups) + "\n");
    }
    broker = std::make_unique<Broker>(tls_lines(files) + std::string(more),
                                      groups.empty() ? "/dev/null" : files / "openssl.cnf");
    broker->start();
  }
  std::string ca() const { return "ca = \"" + files / "ca.crt" + "\"\n"; }
  std::vector<std::string> client() const { return {"--cafile", files / "ca.crt"}; }
  TempFolder files;
  std::unique_ptr<Broker> broker;
};

bool down_because(const Mirror& mirror, std::string_view reason) {
  const bool ok =
      eventually([&] { return mirror.status().state == ConnectorState::down && has(mirror.status().reason, reason); },
                 std::chrono::seconds(20));
  if (!ok) ADD_FAILURE() << "reason: " << mirror.status().reason;
  return ok;
}

TEST(MqttTls, PublishesAndShowsAPostQuantumGroup) {
  TlsBroker tls;
  Mirror mirror(tls.broker->url("mqtts"), tls.ca() + "post_quantum = \"require\"");
  ASSERT_TRUE(eventually([&] { return mirror.counter("acknowledged") >= 4; })) << mirror.status().reason;
  EXPECT_TRUE(has(mirror.detail("tls"), "MLKEM768, TLSv1.3")) << mirror.detail("tls");
  Subscriber subscriber(*tls.broker, "acme/#", tls.client());
  EXPECT_TRUE(eventually([&] { return subscriber.latest().size() == 5; }));
}

TEST(MqttTls, AHostNameIsCheckedAgainstTheCertificate) {
  TlsBroker tls("DNS:localhost");
  Mirror by_name("mqtts://localhost:" + std::to_string(tls.broker->port()), tls.ca() + "version = \"5\"");
  EXPECT_TRUE(eventually([&] { return by_name.up(); })) << by_name.status().reason;
  Mirror by_address(tls.broker->url("mqtts"), tls.ca() + "client_id = \"x\"");
  EXPECT_TRUE(down_because(by_address, "broker certificate not trusted: it is for 'server', not for '127.0.0.1'"));
}

TEST(MqttTls, ABrokerWithoutPostQuantumGroupsIsServedUnlessTheyAreRequired) {
  TlsBroker tls("IP:127.0.0.1", "", "X25519");
  Mirror prefer(tls.broker->url("mqtts"), tls.ca());
  EXPECT_TRUE(eventually([&] { return prefer.up(); })) << prefer.status().reason;
  EXPECT_TRUE(has(prefer.detail("tls"), "519, TLSv1.3")) << prefer.detail("tls");
  Mirror require(tls.broker->url("mqtts"), tls.ca() + "client_id = \"x\"\npost_quantum = \"require\"");
  EXPECT_TRUE(down_because(require, "TLS failed: the broker refused us"));
}

TEST(MqttTls, AnUntrustedCaIsNamed) {
  TlsBroker tls;
  Mirror mirror(tls.broker->url("mqtts"), "ca = \"" + tls.files / "other-ca.crt" + "\"");
  EXPECT_TRUE(down_because(mirror, "broker certificate not trusted: "));
  EXPECT_FALSE(has(mirror.detail("tls"), "TLS"));
}

TEST(MqttTls, AClientCertificateIsShownWhenTheBrokerAsks) {
  TlsBroker tls("IP:127.0.0.1", "require_certificate true\n");
  Mirror with(tls.broker->url("mqtts"), tls.ca() + "certificate = \"" + tls.files / "client.crt" +
                                            "\"\nprivate_key = \"" + tls.files / "client.key" + "\"");
  EXPECT_TRUE(eventually([&] { return with.up(); })) << with.status().reason;
  Mirror without(tls.broker->url("mqtts"), tls.ca() + "client_id = \"x\"");
  EXPECT_TRUE(down_because(without, "it wants a client certificate: set certificate and private_key"));
}

TEST(MqttTls, TlsToAPlainPortAndPlainToATlsPortSaySo) {
  TlsBroker tls;
  Mirror plain(tls.broker->url("mqtt"));
  EXPECT_TRUE(down_because(plain, "if it expects TLS use mqtts://"));
  Broker broker;
  broker.start();
  Mirror mirror(broker.url("mqtts"), tls.ca());
  EXPECT_TRUE(down_because(mirror, "does it speak TLS on this port?"));
}

TEST(MqttPassword, TheRightOneConnectsAndTheWrongOneIsReported) {
  TempFolder files;
  files.write("users", "");
  run({"mosquitto_passwd", "-b", files / "users", "sallyport", "secret"});
  files.write("right", "secret\n");
  files.write("wrong", "guess\n");
  Broker broker("password_file " + files / "users" + "\n");
  broker.start();
  for (const char* version : {"3.1.1", "5"}) {
    const std::string user = "version = \"" + std::string(version) + "\"\nusername = \"sallyport\"\npassword_file = \"";
    Mirror right(broker.url(), user + files / "right" + "\"");
    EXPECT_TRUE(eventually([&] { return right.up(); })) << right.status().reason;
    Mirror wrong(broker.url(), user + files / "wrong" + "\"\nclient_id = \"x\"");
    EXPECT_TRUE(down_because(wrong, "not authorised: check username and password"));
    Mirror none(broker.url(), "client_id = \"y\"");
    EXPECT_TRUE(down_because(none, "not authorised"));
  }
}

}  // namespace
}  // namespace sallyport::interop
