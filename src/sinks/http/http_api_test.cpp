// The HTTP API over a real namespace, asked by curl.
#include "sinks/http/http_api.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "sinks/http/http_test_node.h"
#include "sinks/http/web_files.h"

namespace sallyport::http {
namespace {

namespace json = boost::json;

json::value parse(const std::string& text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  EXPECT_FALSE(error) << error.message() << " in " << text.substr(0, 500);
  return value;
}
std::string_view text_of(const json::value& value) { return {value.as_string().data(), value.as_string().size()}; }

TEST_F(HttpApiTest, ListsPointsPageByPage) {
  define_many(2500);
  source_.live();
  start();
  std::set<std::string> seen;
  std::string cursor;
  int pages = 0;
  do {
    const json::value page = parse(get("/api/v1/points?limit=1000" + cursor));
    for (const json::value& point : page.at("points").as_array())
      EXPECT_TRUE(seen.insert(std::string(text_of(point.at("path")))).second);
    cursor = page.at("cursor").is_null() ? "" : "&cursor=" + std::string(text_of(page.at("cursor")));
    ++pages;
  } while (!cursor.empty() && pages < 10);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen.size(), 2500u);
  EXPECT_EQ(parse(get("/api/v1/points")).at("points").as_array().size(), 1000u);
  EXPECT_EQ(parse(get("/api/v1/points?limit=10000")).at("points").as_array().size(), 2500u);
  EXPECT_TRUE(parse(get("/api/v1/points?limit=2500")).at("cursor").is_null());
  EXPECT_EQ(
      parse(net::curl("--compressed '" + url_ + "/api/v1/points?limit=10000'").output).at("points").as_array().size(),
      2500u);
}

TEST_F(HttpApiTest, FiltersByPatternsThatMayRepeat) {
  define("a/x", Value::from(1));
  define("a/y", Value::from(2));
  define("b/x", Value::from(3));
  start();
  const auto paths = [&](const std::string& query) {
    std::string out;
    const json::value page = parse(get("/api/v1/points" + query));
    for (const json::value& point : page.at("points").as_array()) out += std::string(text_of(point.at("path"))) + " ";
    return out;
  };
  EXPECT_EQ(paths(""), "acme/a/x acme/a/y acme/b/x ");
  EXPECT_EQ(paths("?match=acme/a/*"), "acme/a/x acme/a/y ");
  EXPECT_EQ(paths("?match=acme/a/**&match=acme/b/x"), "acme/a/x acme/a/y acme/b/x ");
  EXPECT_EQ(paths("?match=**&match=!acme/a/**"), "acme/b/x ");
  EXPECT_EQ(paths("?match=nothing/**"), "");
}

TEST_F(HttpApiTest, RefusesBadQueriesWithAHint) {
  start();
  const char* table[] = {"/api/v1/points?match=",      "/api/v1/points?match=a//b",
                         "/api/v1/points?match=a%23",  "/api/v1/points?match=a/b**",
                         "/api/v1/points?match=!a",    "/api/v1/points?limit=0",
                         "/api/v1/points?limit=10001", "/api/v1/points?limit=-1",
                         "/api/v1/points?limit=ten",   "/api/v1/points?limit=",
                         "/api/v1/points?limit=1e3",   "/api/v1/points?limit=5&limit=6",
                         "/api/v1/points?cursor=x",    "/api/v1/points?cursor=0000000000000000",
                         "/api/v1/points?cursor=",     "/api/v1/points?mach=a",
                         "/api/v1/points?match=%ff",   "/api/v1/points?match=%00",
                         "/api/v1/stream?match=a//b",  "/api/v1/stream?limit=5",
                         "/api/v1/browse?path=a//b",   "/api/v1/browse?path=/a",
                         "/api/v1/browse?path=a/**",   "/api/v1/links?x=y"};
  for (const char* path : table) {
    EXPECT_EQ(code(path), "400") << path;
    const json::value problem = parse(get(path));
    EXPECT_EQ(problem.at("status").as_int64(), 400) << path;
    EXPECT_FALSE(text_of(problem.at("detail")).empty()) << path;
    EXPECT_FALSE(text_of(problem.at("hint")).empty()) << path;
  }
  std::string many = "/api/v1/points?";
  for (int i = 0; i < 65; ++i) many += "match=a&";
  EXPECT_EQ(code(many), "400");
}

TEST_F(HttpApiTest, ReadsOnePointWithItsMetadata) {
  Meta meta;
  meta.type = Type::float64;
  meta.description = "outlet";
  meta.unit = "°C";
  meta.range_low = 0.0;
  meta.range_high = 120.0;
  define("Pumpe 1/Temp_ä%2F", Value::from(23.5), meta);
  source_.live();
  start();
  const json::value point = parse(get("/api/v1/points/acme/Pumpe%201/Temp_%C3%A4%252F"));
  EXPECT_EQ(text_of(point.at("path")), "acme/Pumpe 1/Temp_ä%2F");
  EXPECT_EQ(point.at("value").as_double(), 23.5);
  EXPECT_EQ(text_of(point.at("quality")), "good");
  EXPECT_EQ(text_of(point.at("status")), "0x00000000");
  EXPECT_EQ(text_of(point.at("origin")), "plant-1");
  EXPECT_EQ(text_of(point.at("meta").at("unit")), "°C");
  EXPECT_EQ(point.at("meta").at("range_high").to_number<double>(), 120.0);
}

TEST_F(HttpApiTest, SuggestsTheNearestPoint) {
  define("line1/temperature", Value::from(1));
  start();
  EXPECT_EQ(code("/api/v1/points/acme/line1/temprature"), "404");
  EXPECT_EQ(text_of(parse(get("/api/v1/points/acme/line1/temprature")).at("hint")),
            "did you mean 'acme/line1/temperature'?");
  EXPECT_EQ(code("/api/v1/browse?path=acme/lime1"), "404");
}

TEST_F(HttpApiTest, BrowsesLevelByLevel) {
  define("line1/a", Value::from(1));
  define("line1/b/c", Value::from(1));
  define("line1/b", Value::from(1));
  define("line2/a", Value::from(1));
  start();
  EXPECT_EQ(get("/api/v1/browse"),
            "{\"path\":\"\",\"entries\":[{\"name\":\"acme\",\"path\":\"acme\",\"is_point\":false,\"points_below\":4}],"
            "\"truncated\":false}\n");
  EXPECT_EQ(get("/api/v1/browse?path=acme/line1"),
            "{\"path\":\"acme/line1\",\"entries\":[{\"name\":\"a\",\"path\":\"acme/line1/"
            "a\",\"is_point\":true,\"points_below\":0},"
            "{\"name\":\"b\",\"path\":\"acme/line1/b\",\"is_point\":true,\"points_below\":1}],\"truncated\":false}\n");
  EXPECT_EQ(get("/api/v1/browse?path=acme/line2/a"),
            "{\"path\":\"acme/line2/a\",\"entries\":[],\"truncated\":false}\n");
}

TEST_F(HttpApiTest, ShowsNotGoodFromTheFirstLookAfterABreak) {
  define("x", Value::from(1.5));
  source_.live();
  start();
  EXPECT_EQ(text_of(parse(get("/api/v1/points/acme/x")).at("quality")), "good");
  source_.lost("timeout");
  const auto expect_broken = [](const json::value& point) {
    EXPECT_EQ(text_of(point.at("quality")), "bad");
    EXPECT_EQ(text_of(point.at("status_name")), "BadNoCommunication");
    EXPECT_EQ(point.at("value").as_double(), 1.5);
    EXPECT_EQ(text_of(point.at("cause").at("node")), "plant-1");
    EXPECT_EQ(text_of(point.at("cause").at("link")), "line1");
    EXPECT_EQ(text_of(point.at("cause").at("what")), "timeout");
  };
  expect_broken(parse(get("/api/v1/points/acme/x")));
  expect_broken(parse(get("/api/v1/points")).at("points").at(0));
}

TEST_F(HttpApiTest, AnswersHealthAndReadiness) {
  start();
  EXPECT_EQ(get("/healthz"), "{\"status\":\"ok\"}\n");
  EXPECT_EQ(get("/readyz"), "{\"status\":\"ready\"}\n");
  loop_.on([this] { view_.why_not = "link dmz is down"; });
  EXPECT_EQ(code("/readyz"), "503");
  EXPECT_EQ(get("/readyz"), "{\"status\":\"not ready\",\"why\":\"link dmz is down\"}\n");
  EXPECT_EQ(text_of(parse(get("/api/v1/links")).at("links").at(0).at("name")), "dmz");
  EXPECT_EQ(text_of(parse(get("/api/v1/status")).at("node")), "test-1");
}

// Each sample follows the HELP and TYPE of its family, and families are whole.
TEST_F(HttpApiTest, WritesMetricsThatPrometheusCanRead) {
  start();
  const std::string text = get("/metrics");
  std::set<std::string> families, series;
  std::string family, type;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, keyword, name;
    if (line.starts_with("# HELP ")) {
      words >> hash >> keyword >> family;
      EXPECT_TRUE(families.insert(family).second) << family << " appears twice";
      type.clear();
    } else if (line.starts_with("# TYPE ")) {
      words >> hash >> keyword >> name >> type;
      EXPECT_EQ(name, family);
      EXPECT_EQ(type == "counter", name.ends_with("_total")) << name;
    } else {
      EXPECT_FALSE(type.empty()) << line;
      EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line << " appears twice";
      EXPECT_EQ(line.substr(0, line.find_first_of("{ ")), family);
      EXPECT_NO_THROW(std::stod(line.substr(line.rfind(' ') + 1))) << line;
    }
  }
  EXPECT_NE(text.find("sallyport_link_up{link=\"a\\\"b\\\\c\\nd\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nprocess_resident_memory_bytes "), std::string::npos);
  EXPECT_NE(text.find("\nprocess_open_fds "), std::string::npos);
  EXPECT_NE(text.find("\nsallyport_http_connections 1\n"), std::string::npos);
  const auto started = text.find("\nprocess_start_time_seconds ");
  ASSERT_NE(started, std::string::npos);
  EXPECT_NEAR(std::stod(text.substr(started + 28)), static_cast<double>(clock_.utc()) / 1e9, 3600);
}

TEST_F(HttpApiTest, AsksForATokenWhereThereIsSomethingToSee) {
  const std::string file =
      (std::filesystem::temp_directory_path() / ("sallyport-tokens-" + std::to_string(::getpid()))).string();
  {
    std::ofstream(file) << "grafana a-token-of-grafana\n";
  }
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);
  start("tokens_file = \"" + file + "\"\n");
  std::filesystem::remove(file);
  view_.why_not = "link dmz is down";
  for (const char* path : {"/", "/app.js", "/style.css", "/healthz", "/api/v1/openapi.json"})
    EXPECT_EQ(code(path), "200") << path;
  EXPECT_EQ(get("/readyz"), "{\"status\":\"not ready\"}\n");
  for (const char* path : {"/api/v1/points", "/api/v1/points/acme/x", "/api/v1/browse", "/api/v1/stream",
                           "/api/v1/links", "/api/v1/status", "/metrics"}) {
    EXPECT_EQ(code(path), "401") << path;
  }
  const std::string with = "-H 'Authorization: Bearer a-token-of-grafana' " + url_;
  EXPECT_EQ(net::curl(with + "/api/v1/points").output, "{\"points\":[],\"cursor\":null}\n");
  EXPECT_EQ(net::curl(with + "/readyz").output, "{\"status\":\"not ready\",\"why\":\"link dmz is down\"}\n");
}

TEST_F(HttpApiTest, DescribesEveryRouteInItsOpenApiDocument) {
  const net::HttpCounters* counters = nullptr;
  const net::HttpRouter router = make_router(loop_.loop(), ns_, view_, counters);
  const json::value document = parse(std::string(web_file("openapi.json")));
  const json::object& paths = document.at("paths").as_object();
  std::set<std::string> routed;
  for (const net::HttpRoute& route : router.routes()) {
    std::string path = route.path;
    if (const auto dots = path.find("...}"); dots != std::string::npos) path.erase(dots, 3);
    routed.insert(path);
    ASSERT_TRUE(paths.contains(path)) << path << " is not in openapi.json";
    const json::value& operation = paths.at(path).at("get");
    std::set<std::string> described;
    if (const auto* parameters = operation.as_object().if_contains("parameters")) {
      for (json::value parameter : parameters->as_array()) {
        if (const auto* reference = parameter.as_object().if_contains("$ref")) {
          parameter = document.at_pointer(text_of(*reference).substr(1));
        }
        if (text_of(parameter.at("in")) == "query") described.insert(std::string(text_of(parameter.at("name"))));
      }
    }
    std::set<std::string> taken;
    for (const net::HttpParameter& parameter : route.parameters) taken.insert(parameter.name);
    EXPECT_EQ(described, taken) << path;
    EXPECT_EQ(route.open, operation.as_object().contains("security")) << path;
  }
  for (const auto& entry : paths)
    EXPECT_TRUE(routed.contains(std::string(entry.key()))) << entry.key() << " is no route";
}

TEST_F(HttpApiTest, ServesAPageThatNeedsNothingFromElsewhere) {
  start();
  const std::string head = net::curl("-i " + url_ + "/").output;
  EXPECT_NE(head.find("Content-Security-Policy: default-src 'none'; script-src 'self'"), std::string::npos);
  EXPECT_NE(head.find("X-Content-Type-Options: nosniff"), std::string::npos);
  for (const WebFile& file : web_files()) {
    if (file.name == "openapi.json") continue;
    EXPECT_GT(file.contents.size(), 500u) << file.name;
    for (const std::string_view bad : {"http://", "https://", "innerHTML", "insertAdjacentHTML", "document.write",
                                       "eval(", " style=", " onclick="}) {
      EXPECT_EQ(file.contents.find(bad), std::string_view::npos) << file.name << " has " << bad;
    }
  }
}

// A list that matches one point in 100,000, metrics and browsing, again and again: the loop is never away for long.
TEST_F(HttpApiTest, LeavesTheLoopFreeDuringLongScans) {
  for (int i = 0; i < 4; ++i) define_many(50'000, "area" + std::to_string(i));
  define("the/one", Value::from(1));
  start();
  std::atomic<bool> running{true};
  std::atomic<long> longest{0};
  std::thread watcher([&] {
    while (running) {
      const auto asked = std::chrono::steady_clock::now();
      loop_.on([] {});
      longest = std::max(longest.load(),
                         static_cast<long>((std::chrono::steady_clock::now() - asked) / std::chrono::microseconds(1)));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(parse(get("/api/v1/points?match=acme/the/*")).at("points").as_array().size(), 1u);
    EXPECT_EQ(code("/metrics"), "200");
    EXPECT_EQ(parse(get("/api/v1/browse?path=acme")).at("entries").as_array().size(), 5u);
    EXPECT_EQ(code("/api/v1/points/acme/no/such/point"), "404");
  }
  running = false;
  watcher.join();
  RecordProperty("longest_turn_microseconds", std::to_string(longest));
  EXPECT_LT(longest, 500'000);
}

}  // namespace
}  // namespace sallyport::http
