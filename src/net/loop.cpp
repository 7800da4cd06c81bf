#include "net/loop.h"

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>

#include "net/asio.h"

namespace sallyport::net {

struct Loop::Impl {
  asio::io_context context{1};
  std::atomic<std::thread::id> thread{};
  unsigned turns = 0;   // Loop thread, as is `deferred`.
  std::vector<std::function<void()>> deferred, running;
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::run() {
  impl_->thread = std::this_thread::get_id();
  {
    const auto work = asio::make_work_guard(impl_->context);
    impl_->context.run();
  }
  // Only now, not at the start: a stop() that came before run() must not be forgotten. After the guard: without work
  // left, its destructor stops the context once more.
  impl_->context.restart();
  impl_->thread = std::thread::id();
}

void Loop::stop() { impl_->context.stop(); }

void Loop::post(std::function<void()> task) { asio::post(impl_->context, std::move(task)); }

void Loop::defer(std::function<void()> task) {
  if (impl_->thread == std::this_thread::get_id() && impl_->turns > 0) impl_->deferred.push_back(std::move(task));
  else post(std::move(task));
}

Loop::Turn::Turn(Loop& loop) : loop_(loop) { ++loop_.impl_->turns; }

Loop::Turn::~Turn() {
  Impl& impl = *loop_.impl_;
  if (--impl.turns > 0 || impl.deferred.empty()) return;
  impl.running.swap(impl.deferred);   // both keep their room
  for (auto& task : impl.running) task();
  impl.running.clear();
}

bool Loop::on_loop_thread() const {
  const std::thread::id thread = impl_->thread;
  return thread == std::thread::id() || thread == std::this_thread::get_id();
}

asio::io_context& Loop::context() { return impl_->context; }

// A wait that has already completed sits in the loop's queue and cannot be cancelled any more; the generation tells it
// that it is stale.
struct Timer::Impl {
  explicit Impl(asio::io_context& context) : timer(context) {}
  asio::steady_timer timer;
  std::uint64_t generation = 0;
  std::function<void()> callback;
};

Timer::Timer(Loop& loop) : impl_(std::make_shared<Impl>(loop.context())) {}

Timer::~Timer() { cancel(); }

void Timer::after(Duration delay, std::function<void()> callback) {
  impl_->callback = std::move(callback);
  const std::uint64_t generation = ++impl_->generation;
  impl_->timer.expires_after(delay);
  impl_->timer.async_wait([impl = impl_, generation](const boost::system::error_code&) {
    if (impl->generation != generation) return;
    const auto due = std::exchange(impl->callback, nullptr);
    due();
  });
}

void Timer::cancel() {
  ++impl_->generation;
  impl_->callback = nullptr;
  impl_->timer.cancel();
}

}  // namespace sallyport::net
