// Real processes for tests of the whole program: started with their own network namespace if wanted, stopped, frozen and
// killed; nothing survives the test that started it, not even when the test itself is killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sallyport::tests {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// True as soon as `condition` holds, asked every few milliseconds; false after `limit`.
bool eventually(const std::function<bool()>& condition, Clock::duration limit);

struct ProcessOptions {
  pid_t network_of = 0;         // run in the network namespace of this process
  std::string output_file;      // standard output and error go here (appended); else to the test's own
  int output_fd = -1;           // standard output only
};

class Process {
 public:
  Process() = default;
  explicit Process(const std::vector<std::string>& command, const ProcessOptions& options = {});
  ~Process();                               // SIGCONT, SIGKILL, reaped
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number);
  void freeze() { signal(19); }             // SIGSTOP: its kernel goes on acknowledging TCP
  void thaw() { signal(18); }
  void kill() { signal(9); }
  // The exit code, 128 + signal when killed, -1 when it runs on after `limit`.
  int wait(Clock::duration limit);

 private:
  pid_t pid_ = -1;
  int status_ = 0;
  bool reaped_ = true;
};

struct Finished {
  int code = -1;
  std::string output;           // standard output
  std::string error;            // standard error
};
// Runs to the end; killed after `limit` (code -1).
Finished run(const std::vector<std::string>& command, Clock::duration limit = seconds(20), pid_t network_of = 0,
             const std::string& input = {});

// A process whose standard output is read line by line as it comes, each with the time of its arrival.
class LineReader {
 public:
  using OnLine = std::function<void(Clock::time_point, const std::string&)>;  // on the reader's own thread
  LineReader(const std::vector<std::string>& command, OnLine on_line, pid_t network_of = 0);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  Process& process() { return process_; }

 private:
  void read_lines();
  OnLine on_line_;
  int read_fd_ = -1;
  Process process_;
  std::thread thread_;
};

}  // namespace sallyport::tests
