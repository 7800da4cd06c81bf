#include "attacked.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "base/clock.h"
#include "json.h"

namespace sallyport::tests {

std::size_t resident_bytes(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:")) return static_cast<std::size_t>(std::stoul(line.substr(6))) * 1024;
  }
  return 0;
}

ChainOptions Attacked::options() {
  ChainOptions options;
  options.broker = false;
  options.timeout = "10s";  // a machine that is shared may stand still for seconds without anybody's fault
  options.listen_extra = "[[listen.peer]]\nname = \"rogue\"\nreceive = [\"rogue/**\"]\nsend = [\"**\"]\nheartbeat = \"1s\"\ntimeout = \"10s\"\n"
                         "[limits]\npoints = " + std::to_string(kPointLimit) + "\n";
  return options;
}

void Attacked::SetUp() {
  chain_.start();
  ASSERT_TRUE(chain_.wait_points(20)) << chain_.logs();
}

void Attacked::TearDown() {
  EXPECT_TRUE(dmz().process().running()) << chain_.logs();
  for (const char* link : {"n-1", "n-3"}) {
    EXPECT_EQ(dmz().link_field(link, "state"), "up") << chain_.logs();
    EXPECT_EQ(dmz().link_field(link, "connects"), "1") << chain_.logs();
  }
  EXPECT_TRUE(chain_.wait_points(20, seconds(10))) << chain_.last().points("good");
}

long Attacked::closed(const std::string& reason) {
  const std::string text = rogue_field("closed." + reason);
  return text.empty() ? -1 : std::atol(text.c_str());
}

std::string Attacked::listen_field(const std::string& field) { return text_at(dmz().status(), "listen." + field); }

Ages Attacked::ages_while(const std::function<void()>& during) {
  const auto watcher = Watcher::sse(chain_.http_port(), "acme/**");
  EXPECT_TRUE(watcher->wait_for_all("good", 20, seconds(20)));
  const auto began = Clock::now();
  const UtcNanoseconds utc_then = SystemClock().utc();
  during();
  const auto ended = Clock::now();
  std::vector<double> ages;
  for (const Seen& seen : watcher->all()) {
    if (seen.when < began || seen.when > ended) continue;
    const auto stamp = parse_utc(seen.timestamp);
    if (!stamp || *stamp < utc_then) continue;
    const auto arrival = utc_then + std::chrono::duration_cast<Duration>(seen.when - began).count();
    ages.push_back(static_cast<double>(arrival - *stamp) / 1e6);
  }
  std::ranges::sort(ages);
  if (ages.empty()) return {};
  return {ages.size(), ages[ages.size() / 2], ages[ages.size() * 99 / 100], ages.back()};
}

void Attacked::report(const std::string& what, const Ages& ages, std::size_t memory) {
  std::printf("%-28s values %5zu  age p50 %6.2f ms  p99 %7.2f ms  most %7.2f ms  memory of the DMZ %5.1f MiB\n", what.c_str(), ages.count, ages.p50,
              ages.p99, ages.most, static_cast<double>(memory) / (1 << 20));
}

}  // namespace sallyport::tests
