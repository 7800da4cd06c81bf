// For tests of the HTTP API: a namespace with a source, the API on a loop of its own, and clients.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "namespace/source.h"
#include "net/http_test_client.h"
#include "sinks/http/http_api.h"

namespace sallyport::http {

class TestView final : public NodeView {
 public:
  std::string status_json() override {
    return R"({"node":"test-1","sources":[{"name":"line1","state":"up"}],"sinks":[]})";
  }
  std::string gaps_json() override { return R"({"gaps":[]})"; }
  std::string links_json() override {
    return R"({"links":[{"name":"dmz","peer":"dmz-1","state":"up","since":"2026-11-23T02:40:17.123456789Z","group":"X25519MLKEM768",)"
           R"("hops":[{"node":"dmz-1","link":"plant-1","peer":"plant-1","state":"down","reason":"timeout","since":"2026-11-23T02:41:00Z"}]}]})";
  }
  void metrics(MetricsText& out) override {
    out.gauge("sallyport_link_up", "Links that are up", {{"link", "a\"b\\c\nd"}}, std::uint64_t{1});
  }
  bool ready(std::string& why) override {
    why = why_not;
    return why.empty();
  }
  std::string why_not;
};

class HttpApiTest : public ::testing::Test {
 protected:
  void start(std::string_view more = "") {
    Problems problems;
    const auto table = Settings::parse("address = \"127.0.0.1:0\"\n" + std::string(more), "test.toml", problems);
    ASSERT_TRUE(table) << table.error().message;
    std::optional<HttpSettings> settings;
    {
      SettingsReader reader(*table, problems);
      settings = read_http_settings(reader);
    }
    for (const Problem& problem : problems) ADD_FAILURE() << to_string(problem);
    ASSERT_TRUE(settings);
    api_ = loop_.on([&] { return std::make_unique<HttpApi>(loop_.loop(), ns_, view_, std::move(*settings)); });
    const auto started = loop_.on([this] { return api_->start(); });
    ASSERT_TRUE(started) << started.error().message;
    url_ = "http://127.0.0.1:" + std::to_string(api_->port());
  }
  void TearDown() override {
    if (api_) loop_.on([this] { api_.reset(); });
  }

  PointId define(std::string_view path, Value value, const Meta& meta = {}) {
    const Definition definition{path, &meta, {kNoPoint, status::kGood, ns_.clock().utc(), std::move(value)}, false};
    PointId id = kNoPoint;
    const auto refused = source_.define(std::span(&definition, 1), std::span(&id, 1));
    EXPECT_EQ(refused.count, 0u) << refused.first_reason;
    return id;
  }
  // p00000 … in into/; doubles
  std::vector<PointId> define_many(std::size_t count, const std::string& folder = "many") {
    std::vector<std::string> paths;
    for (std::size_t i = 0; i < count; ++i) {
      std::string number = std::to_string(i);
      paths.push_back(folder + "/p" + std::string(5 - std::min<std::size_t>(5, number.size()), '0') + number);
    }
    Meta meta;
    meta.type = Type::float64;
    std::vector<Definition> definitions;
    for (const std::string& path : paths)
      definitions.push_back({path, &meta, {kNoPoint, status::kGood, 1, Value::from(0.5)}, false});
    std::vector<PointId> ids(count);
    EXPECT_EQ(source_.define(definitions, ids).count, 0u);
    return ids;
  }
  void change(PointId point, Value value, Status status = status::kGood) {
    Change change{point, status, ns_.clock().utc(), std::move(value)};
    source_.publish(std::span(&change, 1));
  }
  std::string get(const std::string& path) { return net::curl("-g '" + url_ + path + "'").output; }
  std::string code(const std::string& path) {
    return net::curl("-g -o /dev/null -w '%{http_code}' '" + url_ + path + "'").output;
  }
  std::uint16_t port() const { return api_->port(); }

  SystemClock clock_;
  Namespace ns_{clock_, {.max_points = 1'000'000, .ring_entries = 1u << 16}};
  Publisher source_{ns_, "plant-1", "line1", "acme", status::kBadNoCommunication};
  TestView view_;
  net::LoopThread loop_;
  std::unique_ptr<HttpApi> api_;
  std::string url_;
};

}  // namespace sallyport::http
