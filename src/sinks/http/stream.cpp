// Server-sent events; see stream.h. (WHATWG HTML §9.2)
#include "sinks/http/stream.h"

#include <algorithm>

#include "namespace/point_json.h"

namespace sallyport::http {
namespace {

// Updates held outside the namespace, where nothing newer can replace them any more: few.
constexpr std::size_t kPull = 128;
constexpr Duration kHeartbeat = std::chrono::seconds(1);
// Under a steady flow of changes, one pull per so much: more would be work for a screen that nobody sees.
constexpr Duration kPace = std::chrono::milliseconds(20);

void append_event(std::string& out, const Batch& batch, const Update& update, RouteCache& routes) {
  if (update.kind == UpdateKind::removed) {
    out += "event: removed\ndata: ";
    JsonWriter json(out);
    json.begin_object();
    json.field("path", batch.path(update));
    json.end_object();
    out += "\n\n";
    return;
  }
  out += "id: ";
  out += std::to_string(update.revision);
  out += "\ndata: ";
  const RouteCache::Entry& route = routes.at(update.route, update.covered);
  append_point_json(out, batch.path(update), update.value, update.status, update.source_time, route.origin,
                    update.covered ? &route.cause : nullptr, update.verified);
  out += "\n\n";
}

}  // namespace

Stream::Stream(net::Loop& loop, Namespace& ns, Patterns patterns)
    : namespace_(ns), patterns_(std::move(patterns)), timer_(loop) {}
Stream::~Stream() = default;

void Stream::begin(std::function<void()> wake) {
  wake_ = std::move(wake);
  subscription_.emplace(namespace_, SubscriptionOptions{.patterns = std::move(patterns_)}, wake_);
}

void Stream::pull(MonotonicTime now) {
  batch_.clear();
  batch_at_ = 0;
  subscription_->pull(batch_, kPull);
  last_pull_ = now;
}

void Stream::append_updates(std::string& out, std::size_t max) {
  RouteCache routes(namespace_);
  for (; batch_at_ < batch_.updates.size() && out.size() < max; ++batch_at_) {
    append_event(out, batch_, batch_.updates[batch_at_], routes);
  }
  if (batch_at_ < batch_.updates.size() || ready_ || batch_.snapshot) return;
  ready_ = true;
  out += "event: ready\ndata: {\"revision\":" + std::to_string(namespace_.revision()) + "}\n\n";
}

net::HttpProducer::Next Stream::produce(std::string& out, std::size_t max) {
  const MonotonicTime now = namespace_.clock().monotonic();
  if (!begun_) out += "retry: 1000\n\n";
  begun_ = true;
  if (batch_at_ == batch_.updates.size()) {
    if (ready_ && !batch_.more && now - last_pull_ < kPace) return wait(kPace - (now - last_pull_));
    pull(now);
  }
  append_updates(out, max);
  if (!out.empty()) last_sent_ = now;
  if (batch_at_ < batch_.updates.size() || batch_.more) return Next::more;
  // Only a pull that found nothing arms the waker: after any other, look again soon.
  if (!batch_.updates.empty()) return wait(kPace);
  if (now - last_sent_ >= kHeartbeat) {
    out += ": heartbeat\n\n";
    last_sent_ = now;
  }
  return wait(kHeartbeat - (now - last_sent_));
}

net::HttpProducer::Next Stream::wait(Duration at_most) {
  timer_.after(at_most, wake_);
  return Next::wait;
}

}  // namespace sallyport::http
