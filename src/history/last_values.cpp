#include "history/last_values.h"

#include <algorithm>

namespace sallyport::history {

Result<bool> LastValues::look(Store& store, Row& row, const FeedPoint& point, UtcNanoseconds now) {
  if (row.point >= known_.size()) known_.resize(row.point + std::size_t{1});
  Known& known = known_[row.point];
  if (!known.asked) {
    const auto last = store.last(point.path);
    if (!last) return std::unexpected(last.error());
    const auto has = *last ? store.has(point.path, row.source_time) : Result<bool>(false);
    if (!has) return has;
    known.asked = true;
    if (*last) {
      known.any = true;
      known.stored = (*last)->time;
      known.status = (*last)->status;
      known.value = std::move((*last)->value);
      known.source_time = *has ? row.source_time : known.stored;
    }
  }
  const UtcNanoseconds source_time = row.source_time;
  if (known.any && source_time == known.source_time && row.value == known.value) {
    if (row.status == known.status) return false;
    row.source_time = std::max({source_time, now, known.stored});
  }
  known.any = true;
  known.source_time = source_time;
  known.stored = std::max(known.stored, row.source_time);
  known.status = row.status;
  known.value = row.value;
  return true;
}

void LastValues::restate(std::vector<Row>& rows) const {
  for (std::size_t i = 0; i < known_.size(); ++i) {
    const Known& known = known_[i];
    if (known.any) rows.push_back({.point = static_cast<std::uint32_t>(i), .status = known.status, .source_time = known.stored, .value = known.value});
  }
}

}  // namespace sallyport::history
