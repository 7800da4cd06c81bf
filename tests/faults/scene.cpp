#include "scene.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

namespace sallyport::tests {

Times usual_times() {
  if (full_length()) return {"1s", "3s", seconds(3)};
  return {"250ms", "750ms", milliseconds(750)};
}

std::string ramp_source(std::size_t points, std::size_t rate, const std::string& rest_file) {
  return "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\nshape = \"ramp\"\npoints = " + std::to_string(points) +
         "\nrate = " + std::to_string(rate) + "\nrest_on = \"" + rest_file + "\"\n";
}

std::map<std::string, Truth> truth_of(Node& node) {
  std::map<std::string, Truth> truth;
  std::istringstream dump(node.ask({"dump"}).output);
  for (std::string line; std::getline(dump, line);) {
    if (const auto seen = parse_point(line)) truth[seen->path] = {seen->value, seen->quality, seen->timestamp};
  }
  return truth;
}

std::size_t count_wrong(const std::map<std::string, Truth>& truth, const std::map<std::string, Seen>& latest) {
  std::size_t wrong = 0;
  for (const auto& [path, is] : truth) {
    const auto at = latest.find(path);
    if (at == latest.end() || at->second.value != is.value || at->second.quality != is.quality ||
        at->second.timestamp != is.timestamp) {
      ++wrong;
    }
  }
  return wrong;
}

std::size_t count_backwards(const std::vector<Seen>& all, Order order, std::string* example) {
  std::map<std::string, std::pair<double, std::string>> newest;
  std::size_t backwards = 0;
  for (const auto& seen : all) {
    const std::pair<double, std::string> is{std::atof(seen.value.c_str()), seen.timestamp};
    auto& was = newest.try_emplace(seen.path, is).first->second;
    // Source times are of fixed width: they compare as text.
    if (order == Order::by_time ? is.second < was.second : is.first < was.first) {
      if (example != nullptr && backwards < 2) {
        *example += seen.path + ": after " + std::to_string(was.first) + " of " + was.second + " came " + seen.value + " of " + seen.timestamp + ", " +
                    seen.status + "\n";
      }
      ++backwards;
    }
    was = is;
  }
  return backwards;
}

void Scene::begin(ChainOptions options, std::size_t points, std::size_t rate) {
  points_ = points;
  if (options.source.empty()) options.source = ramp_source(points, rate, rest_file_);
  options.heartbeat = times_.heartbeat;
  options.timeout = times_.timeout;
  chain_ = std::make_unique<Chain>(std::move(options));
  if (!chain_->problem().empty()) GTEST_SKIP() << chain_->problem();
  chain_->start();
  ASSERT_TRUE(chain_->wait_points(points_, seconds(40))) << chain_->logs();
  consumer_ = Watcher::sse(chain_->http_port(), "**", chain_->last_network());
  ASSERT_TRUE(consumer_->wait_for_all("good", points_, seconds(10))) << chain_->logs();
}

std::size_t Scene::late_good() {
  const std::string body = http_get(chain_->http_port(), "/api/v1/points?limit=10000", chain_->last_network()).body;
  std::size_t good = 0;
  for (std::size_t at = 0; (at = body.find("\"quality\":\"good\"", at)) != std::string::npos; ++at) ++good;
  return good;
}

std::size_t told_good(const std::vector<Seen>& all, Clock::time_point from, Clock::time_point to) {
  std::set<std::string> paths;
  for (const auto& seen : all) {
    if (seen.quality == "good" && seen.when > from && seen.when < to) paths.insert(seen.path);
  }
  return paths.size();
}

void Scene::suffer(const Fault& fault) {
  Row row{.table = "chain", .fault = fault.name, .bound = seconds_text(fault.promised), .not_good = {}, .right = {}, .wrong = {},
          .stale_good = {}, .backwards = {}, .note = {}};
  const auto hurt_at = Clock::now();
  fault.hurt();
  EXPECT_TRUE(consumer_->wait_for_all("!good", points_, fault.promised + seconds(5))) << chain_->logs();
  row.not_good = consumer_->until_none_good(hurt_at);
  std::this_thread::sleep_until(hurt_at + fault.promised + milliseconds(300));
  const std::size_t late = late_good();

  const auto heal_at = Clock::now();
  fault.heal();
  EXPECT_TRUE(consumer_->wait_for_all("good", points_, seconds(40))) << chain_->logs();
  row.right = consumer_->until_all_good(heal_at);
  row.stale_good = late + told_good(consumer_->all(), hurt_at + fault.promised + kSlack, heal_at);
  row.wrong = rest_and_count_wrong();
  row.backwards = count_backwards(consumer_->all(), fault.order);
  report(row);

  ASSERT_TRUE(row.not_good) << "some point stayed good";
  EXPECT_LE(*row.not_good, fault.promised + kSlack);
  EXPECT_EQ(row.stale_good, 0u);
  EXPECT_EQ(row.wrong, 0u) << chain_->logs();
  EXPECT_EQ(row.backwards, 0u);
}

bool Scene::digests_become_equal(Clock::duration limit) {
  return eventually(
      [&] {
        const auto digests = chain_->digests();
        return !digests.front().empty() && std::ranges::all_of(digests, [&](const auto& digest) { return digest == digests.front(); });
      },
      limit);
}

std::size_t Scene::rest_and_count_wrong(Clock::duration limit) {
  std::ofstream(rest_file_).put('\n');
  EXPECT_TRUE(digests_become_equal(limit)) << chain_->logs();
  const auto truth = truth_of(chain_->first());
  EXPECT_GE(truth.size(), points_);
  eventually([&] { return count_wrong(truth, consumer_->latest()) == 0; }, seconds(5));
  return count_wrong(truth, consumer_->latest());
}

}  // namespace sallyport::tests
