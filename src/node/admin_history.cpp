#include "node/admin_history.h"

#include <algorithm>
#include <charconv>
#include <mutex>
#include <utility>

#include "base/json_writer.h"

namespace sallyport::node {
namespace {

// Outlives the answer when its client goes away while a page is being read.
struct Page {
  std::mutex mutex;
  bool abandoned = false;
  std::optional<Result<history::Answer>> answer;
};

class HistoryAnswer final : public AdminAnswer {
 public:
  HistoryAnswer(history::Reads& reads, history::Query query, std::uint64_t limit, Waker waker)
      : reads_(reads), query_(std::move(query)), left_(limit), waker_(std::move(waker)) {
    ask();
  }
  ~HistoryAnswer() override {
    const std::lock_guard lock(page_->mutex);
    page_->abandoned = true;
  }

  Next produce(std::string& out) override {
    auto taken = take();
    if (!taken) return Next::wait;
    if (!*taken) {
      out += admin_error_line(taken->error());
      return Next::done;
    }
    history::Answer& page = **taken;
    out += page.samples;
    append_gaps(out, page.gaps);
    count_ += page.count;
    points_ = std::max(points_, page.points);
    left_ -= std::min<std::uint64_t>(left_, page.count);
    if (page.cursor && left_ > 0) {
      const auto cursor = history::parse_cursor(*page.cursor);
      if (cursor) query_.cursor = *cursor;
      ask();
      return Next::more;
    }
    append_end(out, page.cursor);
    return Next::done;
  }

 private:
  void ask() {
    query_.limit = static_cast<std::size_t>(std::min<std::uint64_t>(left_, history::kMaxLimit));
    reads_.ask(query_, [page = page_, waker = waker_](Result<history::Answer> answer) {
      {
        const std::lock_guard lock(page->mutex);
        if (page->abandoned) return;
        page->answer = std::move(answer);
      }
      waker();
    });
  }
  std::optional<Result<history::Answer>> take() {
    const std::lock_guard lock(page_->mutex);
    return std::exchange(page_->answer, std::nullopt);
  }
  // {"gap": {…}}, each once, whatever page it came with.
  void append_gaps(std::string& out, std::string_view gaps) {
    for (std::string_view rest = gaps; !rest.empty();) {
      const auto end = std::min(rest.find('\n'), rest.size());
      std::string line = "{\"gap\":" + std::string(rest.substr(0, end)) + "}\n";
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (std::ranges::contains(gaps_, line)) continue;
      out += line;
      gaps_.push_back(std::move(line));
    }
  }
  void append_end(std::string& out, const std::optional<std::string>& cursor) const {
    JsonWriter json(out);
    json.begin_object();
    json.field("end", true);
    json.field("samples", count_);
    json.field("points", static_cast<std::uint64_t>(points_));
    json.key("cursor");
    if (cursor) json.string(*cursor);
    else json.null();
    json.end_object();
    out += '\n';
  }

  history::Reads& reads_;
  history::Query query_;
  std::uint64_t left_, count_ = 0;
  std::size_t points_ = 0;
  Waker waker_;
  std::shared_ptr<Page> page_ = std::make_shared<Page>();
  std::vector<std::string> gaps_;
};

}  // namespace

Result<std::unique_ptr<AdminAnswer>> answer_history(const AdminContext& context, const history::Parameters& parameters, Waker waker) {
  if (context.history == nullptr)
    return fail(ErrorCode::not_found, "this node keeps no history; add [history] with match = [\"…/**\"] to its settings");
  std::uint64_t limit = UINT64_MAX;
  history::Parameters rest;
  for (const auto& [key, text] : parameters) {
    if (key != "limit") {
      rest.emplace_back(key, text);
      continue;
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size() || limit == 0) return fail(ErrorCode::invalid, "limit must be a number from 1");
  }
  auto query = history::parse_query(rest, context.ns.clock().utc());
  if (!query) return std::unexpected(query.error());
  return std::make_unique<HistoryAnswer>(*context.history, *std::move(query), limit, std::move(waker));
}

}  // namespace sallyport::node
