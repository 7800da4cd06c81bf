// A loop and its thread, with a name that top and perf show. Thread of the owner, unless noted.
#pragma once

#include <pthread.h>
#include <time.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>

#include "net/loop.h"

namespace sallyport::net {

class LoopThread {
 public:
  explicit LoopThread(std::string name) : name_(std::move(name)) {}  // at most 15 characters
  ~LoopThread() { stop(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  const std::string& name() const { return name_; }  // Any thread.
  Loop& loop() { return loop_; }                // Any thread.
  void start() {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), name_.c_str());
      clockid_t clock{};
      if (pthread_getcpuclockid(pthread_self(), &clock) == 0) cpu_clock_ = clock;
      loop_.run();
      cpu_clock_ = kNone;
    });
    run([] {});  // from here on the loop has its thread
  }
  // Runs it on the loop's thread and waits.
  template <typename F>
  void run(F&& task) {
    if (!thread_.joinable()) return task();
    std::promise<void> done;
    loop_.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  void stop() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
  }
  // Processor time of the thread; 0 when it does not run. Any thread.
  Duration cpu() const {
    timespec used{};
    const clockid_t clock = cpu_clock_;
    if (clock == kNone || ::clock_gettime(clock, &used) != 0) return Duration(0);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }

 private:
  static constexpr clockid_t kNone = CLOCK_REALTIME;  // never a thread's
  std::string name_;
  Loop loop_;
  std::thread thread_;
  std::atomic<clockid_t> cpu_clock_ = kNone;
};

}  // namespace sallyport::net
