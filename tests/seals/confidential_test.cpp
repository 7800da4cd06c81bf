// Points that are sealed for readers: the nodes between carry them and cannot read them. What a process knows is what its
// memory holds.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "office.h"

namespace sallyport::tests {
namespace {

// How often `needle` stands in the memory of a process.
std::size_t count_in_memory(pid_t pid, std::string_view needle) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  std::ifstream memory("/proc/" + std::to_string(pid) + "/mem", std::ios::binary);
  std::size_t found = 0;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream in(line);
    std::string range, access;
    in >> range >> access;
    if (!access.starts_with("rw")) continue;
    const auto dash = range.find('-');
    const std::uint64_t from = std::stoull(range.substr(0, dash), nullptr, 16), to = std::stoull(range.substr(dash + 1), nullptr, 16);
    // A piece at a time: the table reserves far more than it uses.
    constexpr std::uint64_t kPiece = 1u << 20;
    std::ifstream pages("/proc/" + std::to_string(pid) + "/pagemap", std::ios::binary);
    std::string bytes;
    for (std::uint64_t at = from; at < to; at += kPiece) {
      const std::uint64_t size = std::min(kPiece + needle.size(), to - at);
      std::vector<std::uint64_t> entries((size + 4095) / 4096);
      pages.clear();
      pages.seekg(static_cast<std::streamoff>(at / 4096 * 8));
      pages.read(reinterpret_cast<char*>(entries.data()), static_cast<std::streamsize>(entries.size() * 8));
      if (pages && std::ranges::none_of(entries, [](std::uint64_t entry) { return (entry >> 62) != 0; })) continue;
      bytes.resize(size);
      memory.clear();
      memory.seekg(static_cast<std::streamoff>(at));
      memory.read(bytes.data(), static_cast<std::streamsize>(size));
      const std::string_view read(bytes.data(), static_cast<std::size_t>(memory.gcount()));
      for (std::size_t hit = read.find(needle); hit != std::string_view::npos; hit = read.find(needle, hit + 1)) ++found;
    }
  }
  return found;
}

std::string bytes_of(double value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

struct Trio {
  Trio() {
    pki.emplace(folder.path() + "/pki");
    for (const char* reader : {"office-1", "other-1"}) run({sallyport_program(), "keys", "receiver", "--name", reader, "--out", pki->folder()});
    const std::string in = std::to_string(plant_port), out = std::to_string(office_port), http = std::to_string(http_port);
    plant.emplace(folder, *pki, "plant-1",
                  "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/canary-6f1d2c\"\npoints = 20\nrate = 2000\nafter = 6000\nseed = 7\nshape = \"sine\"\n"
                  "[[seal]]\nmatch = [\"acme/**\"]\nreaders = [\"" + pki->folder() + "/office-1.receiver.pub\"]\n"
                  "[[link]]\nname = \"dmz\"\npeer = \"dmz-1\"\ndial = \"127.0.0.1:" + in + "\"\nsend = [\"**\"]\n");
    dmz.emplace(folder, *pki, "dmz-1",
                "[listen]\naddress = \"127.0.0.1:" + in + "\"\n[[listen.peer]]\nname = \"plant-1\"\nreceive = [\"**\"]\n"
                "[[link]]\nname = \"office\"\npeer = \"office-1\"\ndial = \"127.0.0.1:" + out + "\"\nsend = [\"**\"]\n");
    office.emplace(folder, *pki, "office-1", office_config("office-1"));
  }
  std::string office_config(const std::string& key) const {
    return "[listen]\naddress = \"127.0.0.1:" + std::to_string(office_port) + "\"\n[[listen.peer]]\nname = \"dmz-1\"\nreceive = [\"**\"]\n"
           "[http]\naddress = \"127.0.0.1:" + std::to_string(http_port) + "\"\n"
           "[[verify]]\nmatch = [\"acme/**\"]\norigin = \"plant-1\"\nkey = \"" + pki->folder() + "/" + key + ".receiver.key\"\n";
  }
  TempFolder folder;
  std::optional<Pki> pki;
  std::uint16_t plant_port = free_port(), office_port = free_port(), http_port = free_port();
  std::optional<Node> plant, dmz, office;
};

TEST(ConfidentialPoints, TheDmzsMemoryDoesNotHoldWhatTheOfficeReads) {
  Trio trio;
  for (auto* node : {&trio.office, &trio.dmz, &trio.plant}) {
    (*node)->start();
    ASSERT_TRUE((*node)->wait_ready()) << (*node)->log();
  }
  std::map<std::string, Shown> before, shown;
  ASSERT_TRUE(eventually([&] {   // the simulator rests, and all has arrived
    before = std::exchange(shown, shown_at(trio.http_port));
    return count_good(shown) == 20 && std::ranges::all_of(shown, [&](const auto& point) { return point.second.age > 1.5 && before.contains(point.first); });
  }, seconds(40))) << trio.office->ask({"status"}).output << trio.office->log();
  const std::string value = bytes_of(shown.begin()->second.value);
  EXPECT_GT(count_in_memory(trio.plant->process().pid(), value), 0u) << "the search finds what is there";
  EXPECT_GT(count_in_memory(trio.office->process().pid(), value), 0u);
  EXPECT_EQ(count_in_memory(trio.dmz->process().pid(), value), 0u);
  EXPECT_GT(count_in_memory(trio.plant->process().pid(), "canary-6f1d2c"), 0u);
  EXPECT_EQ(count_in_memory(trio.dmz->process().pid(), "canary-6f1d2c"), 0u) << "paths are sealed too";
  EXPECT_GT(count_in_memory(trio.dmz->process().pid(), "$seal/plant-1/acme/$v0"), 0u) << "the containers are there";
}

TEST(ConfidentialPoints, AnotherReadersKeyOpensNothing) {
  Trio trio;
  trio.office->rewrite(trio.office_config("other-1"));
  for (auto* node : {&trio.office, &trio.dmz, &trio.plant}) {
    (*node)->start();
    ASSERT_TRUE((*node)->wait_ready()) << (*node)->log();
  }
  ASSERT_TRUE(eventually([&] { return stream_field(*trio.office, "confidential") == "true"; }, seconds(20))) << trio.office->ask({"status"}).output;
  std::this_thread::sleep_for(seconds(3));
  EXPECT_TRUE(shown_at(trio.http_port).empty());
}

}  // namespace
}  // namespace sallyport::tests
