// A plant's node behind proxies that nobody here wrote: tinyproxy (CONNECT), microsocks (SOCKS5), haproxy (WebSocket).
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <regex>
#include <set>

#include "pair.h"

namespace sallyport::tests {
namespace {

bool accepts(std::uint16_t port) { return send_raw(port, "", 1).connected; }

struct Proxies : Between {
  // Each waits until its port answers. Missing programs are errors: scripts/setup test installs them.
  void start_proxy(const std::vector<std::string>& command) {
    proxy = Process(command, {.network_of = 0, .output_file = folder.path() + "/proxy.log", .output_fd = -1});
    ASSERT_TRUE(eventually([&] { return accepts(port); }, seconds(20)))
        << command[0] << " does not start; `scripts/setup test` installs it\n"
        << file_text(folder.path() + "/proxy.log");
  }
  void start_tinyproxy(const std::string& more) {
    start_proxy({"tinyproxy", "-d", "-c",
                 folder.write("tinyproxy.conf",
                              "Port " + std::to_string(port) +
                                  "\nListen 127.0.0.1\nTimeout 600\nMaxClients 20\nLogLevel Connect\n" + more)});
  }
  void start_haproxy() {
    start_proxy(
        {"haproxy", "-db", "-f",
         folder.write("haproxy.cfg",
                      "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  "
                      "timeout tunnel 1h\n"
                      "frontend web\n  bind 127.0.0.1:" +
                          std::to_string(port) +
                          "\n  http-request return status 404 unless { path /sallyport }\n  default_backend node\n"
                          "backend node\n  server dmz 127.0.0.1:" +
                          std::to_string(dmz_port) + "\n")});
  }
  std::string at_proxy() const { return "127.0.0.1:" + std::to_string(port); }
  std::string password(const std::string& text) const {
    return "proxy_password_file = \"" + folder.write("proxy.password", text + "\n") + "\"\n";
  }
  std::uint16_t port = free_port();
  Process proxy;
};

TEST_F(Proxies, ConnectGoesThroughTinyproxyWithAPassword) {
  start_tinyproxy("BasicAuth joe sesame\nConnectPort " + std::to_string(dmz_port) + "\n");
  start_dmz();
  start_plant(direct(), "proxy = \"http://joe@" + at_proxy() + "\"\n" + password("sesame"));
  EXPECT_TRUE(values_arrive());
  EXPECT_EQ(plant->link_field("dmz", "group"), "X25519MLKEM768");
}

TEST_F(Proxies, TinyproxySaysNoAndTheReasonNamesTheSetting) {
  start_tinyproxy("BasicAuth joe sesame\nConnectPort " + std::to_string(dmz_port) + "\n");
  start_dmz();
  start_plant(direct(), "proxy = \"http://" + at_proxy() + "\"\n");
  EXPECT_TRUE(fails_with("it wants a user; write proxy ="));
  start_plant(direct(), "proxy = \"http://joe@" + at_proxy() + "\"\n" + password("wrong"));
  EXPECT_TRUE(fails_with("refuses user 'joe'; check the user in proxy and proxy_password_file"));
  start_plant("127.0.0.1:9", "proxy = \"http://joe@" + at_proxy() + "\"\n" + password("sesame"));
  EXPECT_TRUE(fails_with("its rules forbid this peer"));
  EXPECT_EQ(plant->log().find("sesame"), std::string::npos);
}

TEST_F(Proxies, APeerThatIsAwayIsToldByTinyproxy) {
  start_tinyproxy("");
  start_plant(direct(), "proxy = \"http://" + at_proxy() + "\"\n");
  EXPECT_TRUE(fails_with(direct() + " by proxy http://" + at_proxy() + ": the proxy answered 50"));
  start_dmz();
  EXPECT_TRUE(values_arrive()) << "and the link comes up once the peer is there";
}

TEST_F(Proxies, SocksGoesThroughMicrosocksWithAPassword) {
  start_proxy({"microsocks", "-i", "127.0.0.1", "-p", std::to_string(port), "-u", "joe", "-P", "sesame"});
  start_dmz();
  start_plant("localhost:" + std::to_string(dmz_port),
              "proxy = \"socks5://joe@" + at_proxy() + "\"\n" + password("sesame"));
  EXPECT_TRUE(values_arrive());
}

TEST_F(Proxies, MicrosocksSaysNoAndTheReasonNamesTheSetting) {
  start_proxy({"microsocks", "-i", "127.0.0.1", "-p", std::to_string(port), "-u", "joe", "-P", "sesame"});
  start_plant(direct(), "proxy = \"socks5://" + at_proxy() + "\"\n");
  EXPECT_TRUE(fails_with("the SOCKS proxy wants a user"));
  start_plant(direct(), "proxy = \"socks5://joe@" + at_proxy() + "\"\n" + password("wrong"));
  EXPECT_TRUE(fails_with("the SOCKS proxy refuses user 'joe'"));
  start_plant(direct(), "proxy = \"socks5://joe@" + at_proxy() + "\"\n" + password("sesame"));
  EXPECT_TRUE(fails_with("nothing listens there")) << "no peer listens yet";
}

TEST_F(Proxies, ANodeWithAProxyDialsOnlyTheProxyAndAsksNoNameServer) {
  start_proxy({"microsocks", "-i", "127.0.0.1", "-p", std::to_string(port)});
  start_dmz();
  const std::string trace = folder.path() + "/trace";
  start_plant("localhost:" + std::to_string(dmz_port), "proxy = \"socks5://" + at_proxy() + "\"\n",
              {"strace", "-D", "-f", "-qq", "-e", "trace=connect,sendto,bind,listen", "-o", trace});
  EXPECT_TRUE(values_arrive());
  std::set<std::string> ports;
  std::istringstream lines(file_text(trace));
  for (std::string line; std::getline(lines, line);) {
    static const std::regex kPort("connect\\(.*sin6?_port=htons\\(([0-9]+)\\)");
    std::smatch match;
    if (std::regex_search(line, match, kPort)) ports.insert(match[1]);
  }
  EXPECT_EQ(ports, std::set<std::string>{std::to_string(port)});
}

TEST_F(Proxies, WebSocketFramesGoThroughHaproxyToAPortThatAlsoTakesTls) {
  start_haproxy();
  start_dmz("websocket = true\n", "127.0.0.1");
  start_plant(at_proxy(), "websocket = \"/sallyport\"\n");
  EXPECT_TRUE(values_arrive());
  EXPECT_EQ(plant->link_field("dmz", "group"), "X25519MLKEM768");
  start_plant(direct(), "");
  EXPECT_TRUE(values_arrive()) << "without frames, at the same port";
}

TEST_F(Proxies, AWrongPathOrANodeWithoutTheSettingIsSaid) {
  start_haproxy();
  start_dmz();
  start_plant(at_proxy(), "websocket = \"/elsewhere\"\n");
  EXPECT_TRUE(fails_with("the web server answered 404 'Not Found' instead of switching to WebSocket"));
  start_plant(at_proxy(), "websocket = \"/sallyport\"\n");
  EXPECT_TRUE(fails_with("is that running, with websocket = true in its [listen]?"));
}

TEST_F(Proxies, AllOfItTogether) {
  const std::uint16_t web = port;
  start_haproxy();
  Process reverse = std::move(proxy);
  port = free_port();
  start_tinyproxy("BasicAuth joe sesame\n");
  start_dmz("websocket = true\n");
  start_plant("127.0.0.1:" + std::to_string(web), "proxy = \"http://joe@" + at_proxy() + "\"\n" + password("sesame") +
                                                      "websocket = \"/sallyport\"\nclient_hello = \"hrr\"\n");
  EXPECT_TRUE(values_arrive());
  EXPECT_EQ(plant->link_field("dmz", "group"), "X25519MLKEM768");
}

}  // namespace
}  // namespace sallyport::tests
