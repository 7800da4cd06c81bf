// A plant and a DMZ with something between them.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "harness.h"

namespace sallyport::tests {

inline std::string file_text(const std::string& file) {
  std::ostringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}

struct Between : ::testing::Test {
  TempFolder folder;
  Pki pki{folder.path() + "/pki", "ed25519"};
  std::uint16_t dmz_port = free_port();
  std::unique_ptr<Node> plant, dmz;

  void start_dmz(const std::string& listen_more = {}, const std::string& host = "127.0.0.1",
                 const std::string& peer_more = {}) {
    const bool v6 = host.find(':') != std::string::npos;
    dmz = std::make_unique<Node>(folder, pki, "dmz-1",
                                 "[listen]\naddress = \"" + (v6 ? "[" + host + "]" : host) + ":" +
                                     std::to_string(dmz_port) + "\"\n" + listen_more +
                                     "[[listen.peer]]\nname = \"plant-1\"\nreceive = [\"**\"]\n" + peer_more);
    dmz->start();
    ASSERT_TRUE(dmz->wait_ready()) << dmz->log();
  }
  void start_plant(const std::string& dial, const std::string& more = {}, const std::vector<std::string>& before = {}) {
    plant = std::make_unique<Node>(folder, pki, "plant-1",
                                   "[[source.simulator]]\nname = \"sim\"\ninto = \"acme\"\npoints = 50\nrate = 50\n"
                                   "[[link]]\nname = \"dmz\"\npeer = \"dmz-1\"\nsend = [\"**\"]\ndial = \"" +
                                       dial + "\"\n" + more);
    plant->start(before);
    ASSERT_TRUE(plant->wait_ready()) << plant->log();
  }
  std::string direct() const { return "127.0.0.1:" + std::to_string(dmz_port); }
  // The link is up, and values arrive.
  ::testing::AssertionResult values_arrive() {
    if (plant->wait_link("dmz", "up", seconds(30)) &&
        eventually([&] { return dmz->points("good") == "50"; }, seconds(30)))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << plant->link_field("dmz", "reason") << "\nplant:\n"
                                         << plant->log() << "\ndmz:\n"
                                         << dmz->log();
  }
  // The reason that `status` gives contains `text`.
  ::testing::AssertionResult fails_with(const std::string& text) {
    std::string reason;
    if (eventually([&] { return (reason = plant->link_field("dmz", "reason")).find(text) != std::string::npos; },
                   seconds(30)))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "'" << text << "' is not in: " << reason << "\n" << plant->log();
  }
};

}  // namespace sallyport::tests
