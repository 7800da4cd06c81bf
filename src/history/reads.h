// Questions to the history, answered by threads of its own, so that no loop waits for a disk. Any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "history/reader.h"

namespace sallyport::history {

struct ReadsStatus {
  std::uint64_t answered = 0, failed = 0, refused = 0;  // refused: too many at a time
  std::size_t waiting = 0;
};

class Reads {
 public:
  explicit Reads(std::string path) : path_(std::move(path)) {}
  ~Reads() { stop(); }
  Reads(const Reads&) = delete;
  Reads& operator=(const Reads&) = delete;

  void start();
  void stop();   // those that wait are answered with `closed`; one under way is cut short
  // Called once, on one of the threads, or at once when too many wait (limit). Must return at once.
  using Done = std::function<void(Result<Answer>)>;
  void ask(Query query, Done done);
  ReadsStatus status() const;

  static constexpr std::size_t kMaxWaiting = 64;

 private:
  struct Question {
    Query query;
    Done done;
  };
  void run();
  Result<Answer> answer(std::unique_ptr<HistoryReader>& reader, const Query& query) const;

  const std::string path_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Question> questions_;
  bool running_ = false;
  std::atomic<bool> ending_ = false;
  std::vector<std::thread> threads_;
  std::atomic<std::uint64_t> answered_ = 0, failed_ = 0, refused_ = 0;
};

}  // namespace sallyport::history
