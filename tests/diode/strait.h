// Two network namespaces and a cable between them on which packets go one way: neighbours are static, the far side has no
// route back, and IPv6, which speaks by itself, is off. Needs root; gone with the test process.
#pragma once

#include <string>

#include "process.h"

namespace sallyport::tests {

class Strait {
 public:
  Strait();
  Strait(const Strait&) = delete;
  Strait& operator=(const Strait&) = delete;

  const std::string& problem() const { return problem_; }   // why there is none here, or empty
  pid_t plant() const { return plant_.pid(); }               // ProcessOptions::network_of
  pid_t office() const { return office_.pid(); }
  static constexpr const char* kOfficeAddress = "10.9.0.2";
  std::uint64_t came_back();                                 // packets that the plant's end of the cable has received
  std::uint64_t went_over();                                 // … the office's end

 private:
  void in(pid_t network, const std::string& words);
  std::uint64_t received(pid_t network, const std::string& device);
  Process plant_, office_;
  std::string problem_;
};

}  // namespace sallyport::tests
