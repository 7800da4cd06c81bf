#include "history/reads.h"

#include <csignal>
#include <optional>
#include <utility>

namespace sallyport::history {
namespace {

constexpr int kThreads = 2;  // a long question does not hold up a short one

}  // namespace

void Reads::start() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(running_, true)) return;
  ending_ = false;
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { run(); });
}

void Reads::stop() {
  std::deque<Question> left;
  ending_ = true;
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
    left.swap(questions_);
  }
  wake_.notify_all();
  for (auto& question : left) question.done(fail(ErrorCode::closed, "the node is being stopped"));
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void Reads::ask(Query query, Done done) {
  std::optional<Error> refusal;
  {
    const std::lock_guard lock(mutex_);
    if (!running_) {
      refusal = Error{ErrorCode::closed, "the history is not open"};
    } else if (questions_.size() >= kMaxWaiting) {
      ++refused_;
      refusal = Error{ErrorCode::limit, "too many questions to the history at a time; ask again in a moment"};
    } else {
      questions_.push_back({std::move(query), std::move(done)});
    }
  }
  if (refusal) return done(std::unexpected(*std::move(refusal)));
  wake_.notify_one();
}

ReadsStatus Reads::status() const {
  const std::lock_guard lock(mutex_);
  return {answered_, failed_, refused_, questions_.size()};
}

void Reads::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the node's signals are for its main thread
  std::unique_ptr<HistoryReader> reader;
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !running_ || !questions_.empty(); });
    if (!running_) return;
    const Question question = std::move(questions_.front());
    questions_.pop_front();
    lock.unlock();
    auto result = answer(reader, question.query);
    ++(result ? answered_ : failed_);
    question.done(std::move(result));
  }
}

// A connection that failed for more than the question is opened anew the next time.
Result<Answer> Reads::answer(std::unique_ptr<HistoryReader>& reader, const Query& query) const {
  if (reader && reader->moved_away()) reader.reset();
  if (!reader) {
    auto opened = HistoryReader::open(path_);
    if (!opened) return std::unexpected(opened.error());
    reader = *std::move(opened);
    reader->end_when(ending_);
  }
  auto result = reader->read(query);
  if (!result) {
    const ErrorCode code = result.error().code;
    if (code == ErrorCode::malformed || code == ErrorCode::io || code == ErrorCode::internal || code == ErrorCode::refused) reader.reset();
  }
  return result;
}

}  // namespace sallyport::history
