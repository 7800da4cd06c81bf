// Name look-up that does not hold up its caller: getaddrinfo() blocks for as long as the name servers are silent, and
// cannot be cancelled. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sallyport::mqtt {

class Resolver {
 public:
  Resolver();
  ~Resolver();  // a look-up under way is left to end by itself; it touches nothing of ours
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Numeric addresses, in the order to try them. Returns early (closed) when `interrupt` becomes readable.
  Result<std::vector<std::string>> resolve(const std::string& host, int interrupt, Duration timeout);

 private:
  struct Job;
  std::shared_ptr<Job> job_;  // at most one at a time, also when the one before was given up waiting for
};

}  // namespace sallyport::mqtt
