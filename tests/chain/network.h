// A second network namespace joined to this one by a cable that can be pulled: plant --- switch --- here. Pulling it
// takes the switch's port to the plant down, so that nobody hears a FIN or a RST. Needs root; gone with the test process.
#pragma once

#include <string>

#include "process.h"

namespace sallyport::tests {

class Cable {
 public:
  Cable();
  ~Cable();
  Cable(const Cable&) = delete;
  Cable& operator=(const Cable&) = delete;

  // Why there is no such cable here (no privilege), or empty.
  const std::string& problem() const { return problem_; }
  pid_t plant() const { return plant_.pid(); }      // its network namespace: ProcessOptions::network_of
  const std::string& here_address() const { return here_; }
  const std::string& plant_address() const { return there_; }
  void pull();
  void plug();

 private:
  bool ip(pid_t network, const std::string& words);
  void build();
  Process plant_, switch_;
  std::string id_, here_, there_, problem_;
};

}  // namespace sallyport::tests
