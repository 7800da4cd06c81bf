// The event loop of a node: links, HTTP and timers run on it. Thin over Boost.Asio, whose headers stay out of here;
// net/asio.h gives the context to the few files that need it.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"

namespace boost::asio { class io_context; }

namespace sallyport::net {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();                          // until stop(); the calling thread becomes the loop thread
  void stop();                         // Any thread.
  void post(std::function<void()> task);  // Any thread; runs later on the loop thread, in order of posting.
  // Like post(); but inside of a Turn on the loop thread, at the end of that turn, before the loop looks for events.
  void defer(std::function<void()> task);  // Any thread.
  bool on_loop_thread() const;         // Any thread; true also when run() is not active
  boost::asio::io_context& context();

  // While it lives, deferred tasks gather; its end runs them. What they defer in turn is posted. Loop thread.
  class Turn {
   public:
    explicit Turn(Loop& loop);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Loop& loop_;
  };

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One timer; restarting it replaces what was set. Destroying it cancels: the callback never runs afterwards. Loop thread.
class Timer {
 public:
  explicit Timer(Loop& loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void after(Duration delay, std::function<void()> callback);
  void cancel();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sallyport::net
