// Processes that a benchmark starts, what they cost, and an orderly end when someone presses Ctrl-C. Main thread.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sallyport::cli::bench {

MonotonicTime monotonic_now();

// While it lives, SIGINT, SIGTERM and SIGHUP do not end the process: sleep() returns an error, and whoever sleeps
// unwinds, which stops the children and removes the files. With the destructor the signal ends the process after all.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  Result<void> sleep(Duration duration) const;

 private:
  sigset_t before_{};
  int fd_ = -1;
};

// What a process used up to now.
struct Usage {
  std::uint64_t cpu_ns = 0;    // of all its threads, those that ended included
  std::uint64_t switches = 0;  // context switches of the threads there are
  std::uint64_t rss_bytes = 0, peak_bytes = 0;
  MonotonicTime at{};
};

// A child of this process that dies with it. Output goes to a file.
class Child {
 public:
  // `arguments` without the program, which is this one.
  static Result<std::unique_ptr<Child>> start(const std::vector<std::string>& arguments, std::string output_file);
  ~Child();  // stop()
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Until a line of the output begins with `line`. Fails with the end of the output when the child ends instead.
  Result<void> wait_for_line(const Interrupt& interrupt, const std::string& line, Duration limit);
  bool running();
  Usage usage() const;
  void signal(int number) const;
  void stop();  // SIGTERM, and SIGKILL when that takes more than six seconds
  pid_t pid() const { return pid_; }
  std::string last_output() const;

 private:
  Child(pid_t pid, std::string output_file) : pid_(pid), output_file_(std::move(output_file)) {}
  bool reap(bool block);

  pid_t pid_;
  std::string output_file_;
  bool ended_ = false;
  int code_ = 0;
};

}  // namespace sallyport::cli::bench
