// The list of points; see points_list.h.
#include "sinks/http/points_list.h"

#include <algorithm>

#include "namespace/point_json.h"

namespace sallyport::http {
namespace {

constexpr std::size_t kPage = 128;          // points copied out of the namespace at once
constexpr std::size_t kLookPerTurn = 8192;  // places of the table looked at in one turn of the loop

}  // namespace

// A page of points that match, or nothing yet.
void PointsList::look() {
  page_.clear();
  page_at_ = 0;
  next_ = namespace_.list(patterns_, *next_, std::min(left_, kPage), page_, kLookPerTurn);
  left_ -= page_.size();
}

net::HttpProducer::Next PointsList::produce(std::string& out, std::size_t max) {
  if (!begun_) out += "{\"points\":[";
  begun_ = true;
  if (page_at_ == page_.size() && next_ && left_ > 0) look();
  for (; page_at_ < page_.size() && out.size() < max; ++page_at_) {
    if (!first_) out += ',';
    first_ = false;
    append_point_json(out, page_[page_at_]);
  }
  if (page_at_ < page_.size() || (next_ && left_ > 0)) return Next::more;
  out += "],\"cursor\":";
  out += next_ ? '"' + cursors_.text(*next_) + '"' : std::string("null");
  out += "}\n";
  return Next::end;
}

}  // namespace sallyport::http
