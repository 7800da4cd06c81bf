// An eventfd that wakes a connector's thread out of poll(): from a Subscription's waker, or to stop it.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace sallyport {

class WakeFd {
 public:
  WakeFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~WakeFd() {
    if (fd_ >= 0) close(fd_);
  }
  WakeFd(const WakeFd&) = delete;
  WakeFd& operator=(const WakeFd&) = delete;

  int fd() const { return fd_; }  // readable once woken; negative when the process is out of descriptors
  // Any thread.
  void wake() const {
    const std::uint64_t one = 1;
    if (write(fd_, &one, sizeof one) < 0) return;  // full: it is awake already
  }
  // The waiting thread only. Whether it was woken since the last time.
  bool drain() const {
    std::uint64_t count = 0;
    return read(fd_, &count, sizeof count) > 0;
  }

 private:
  int fd_;
};

}  // namespace sallyport
