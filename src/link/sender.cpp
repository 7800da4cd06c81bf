// Pulls from the namespace, encodes, and keeps within the flow window.
#include "link/sender.h"

#include "namespace/table.h"

namespace sallyport::link {
namespace {

constexpr std::size_t kRouteBytes = 256 * 1024;  // routes may pass the window, but not without end

std::uint64_t hash_view(const Patterns& send, const Hello& peer) {
  std::string text = send.text() + "\n&\n";
  for (const auto& pattern : peer.receive) text += pattern + "\n";
  return hash_path(text);
}

}  // namespace

// Turns what the cursor finds into frames. Called with the namespace's lock held: memory only.
struct Sender::Encoder {
  Encoder(Bytes& o, std::size_t budget, SenderCounters& c) : out(o), end(o.size() + budget), start(o.size()), counters(c), defines(o), changes(o) {}

  bool full() const { return (changing ? changes.end() : out.size()) >= (sharing ? start + (end - start) / 2 : end); }
  void share(bool on) { sharing = on; }
  bool routes_full() const { return out.size() >= start + kRouteBytes; }
  void route(const RouteNews& news) {
    close();
    encode(out, RouteMessage{news.route, news.info, news.state, news.renew, news.withdrawn});
  }
  void route_digests(std::span<const RouteDigest> digests) {
    close();
    encode(out, digests);
  }
  void bucket_digests(RouteId of, std::span<const std::uint64_t> digests) {
    close();
    encode_bucket_digests(out, of, digests);
  }
  void repair(PointId id, const Slot& slot, std::string_view path, const Meta& meta, RouteId of, bool covered) {
    define(id, slot, path, meta, of, covered, true);
  }
  void repaired(RouteId of, const std::vector<bool>& buckets) {
    close();
    encode(out, FrameType::repaired, RouteBuckets{of, buckets});
  }
  void define(PointId id, const Slot& slot, std::string_view path, const Meta& meta, RouteId of, bool covered, bool forced = false) {
    if (defines.empty()) close();
    const Value value = Value::share_raw({slot.bits, slot.type, slot.array, slot.blob});
    defines.add(id, of, path, meta, slot.meta, covered, slot.status, slot.source_time, value, forced);
    ++counters.definitions;
  }
  void remove(PointId id) {
    if (removed.empty()) close();
    removed.push_back(id);
  }
  void change(PointId id, const Slot& slot, bool covered) {
    if (!changing) {
      close();
      changing = true;
    }
    changes.add(id, slot, covered);
    ++counters.changes;
  }
  void close() {
    defines.finish();
    if (changing) changes.finish();
    changing = false;
    if (!removed.empty()) encode_remove(out, removed);
    removed.clear();
  }

  Bytes& out;
  std::size_t end, start;
  SenderCounters& counters;
  DefineEncoder defines;
  ChangeEncoder changes;
  bool changing = false;
  bool sharing = false;
  std::vector<PointId> removed;
};

Sender::Sender(Namespace& ns, unsigned view, const Hello& peer, std::uint32_t own_provider, FlowWindow window, Waker waker)
    : namespace_(ns), view_(view), cursor_(ns, view, peer.node, own_provider, std::move(waker)), window_(window) {}

Sender::~Sender() { namespace_.remove_view(view_); }

Result<std::unique_ptr<Sender>> Sender::make(Namespace& ns, std::uint64_t incarnation, const Patterns& send, const Hello& peer,
                                             std::uint32_t own_provider, FlowWindow window, Waker waker) {
  auto receive = Patterns::parse(peer.receive);
  if (!receive) return within("patterns of the peer", receive.error());
  const auto view = ns.add_view(send, *receive);
  if (!view) return std::unexpected(view.error());
  std::unique_ptr<Sender> sender(new Sender(ns, *view, peer, own_provider, window, std::move(waker)));
  sender->begin_.view = hash_view(send, peer);
  sender->begin_.resumed = peer.held.incarnation == incarnation && peer.held.view == sender->begin_.view;
  if (sender->begin_.resumed) sender->cursor_.resume(peer.held.seen, peer.held.defined);
  sender->cursor_.mark_start();
  return sender;
}

bool Sender::fill(Bytes& out, std::size_t budget, bool with_position) {
  const std::size_t before = out.size();
  // Waiting for a decent piece of room makes decent frames.
  const std::size_t room = window_.room() >= std::min<std::size_t>(window_.window() / 4, 4096) ? window_.room() : 0;
  Encoder encoder(out, std::min(budget, room), counters_);
  digest_due_ = digest_due_ || with_position;
  const LinkCursor::Pulled pulled = cursor_.pull(encoder, digest_due_);
  encoder.close();
  const bool wrote = out.size() > before;
  if (pulled.synchronized) synchronized_ = true;
  if (pulled.consistent && (wrote || pulled.summed || (pulled.caught_up && !told_caught_up_) || synchronized_ != last_.synchronized || pulled.complete != last_.complete)) {
    last_ = {pulled.seen, pulled.defined, synchronized_, pulled.complete, pulled.summed, pulled.digest, pulled.points};
    encode(out, last_);
    told_caught_up_ = pulled.caught_up;
    if (pulled.summed) digest_due_ = false;
  }
  if (pulled.more) return room > 0 || !cursor_.armed_for_routes();  // closed: an acknowledgement opens it
  return !cursor_.idle_and_armed();
}

}  // namespace sallyport::link
