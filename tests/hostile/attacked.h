// A DMZ node under attack while a plant and an office use it, and what they notice of that: the age of values at the last
// consumer, the memory of the node, and whether a link was disturbed.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness.h"

namespace sallyport::tests {

std::size_t resident_bytes(pid_t process);

// Ages of values when they arrive at a consumer of the last node, in milliseconds.
struct Ages {
  std::size_t count = 0;
  double p50 = 0, p99 = 0, most = 0;
};

class Attacked : public testing::Test {
 protected:
  static constexpr unsigned kPointLimit = 5000;

  void SetUp() override;
  void TearDown() override;  // nobody who belongs here noticed anything

  Node& dmz() { return chain_.node(1); }
  std::uint16_t port() { return chain_.port(1); }
  long closed(const std::string& reason);                 // status: closed.REASON of the rogue's link
  std::string rogue_field(const std::string& field) { return dmz().link_field("rogue", field); }
  std::string listen_field(const std::string& field);
  // Of what arrives while `during` runs.
  Ages ages_while(const std::function<void()>& during);
  void report(const std::string& what, const Ages& ages, std::size_t memory);

  Chain chain_{options()};

 private:
  static ChainOptions options();
};

}  // namespace sallyport::tests
