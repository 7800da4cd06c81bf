// A consumer's cursor: definitions and removals, changes, and overlays spread out to one update per point.
#include <algorithm>
#include <vector>

#include "namespace/namespace.h"
#include "namespace/namespace_impl.h"

namespace sallyport {
namespace {

constexpr std::size_t kLookPerPull = 65536;  // entries examined while holding the lock once

// Whether points match the patterns, asked once per definition and remembered in two bits.
class MatchCache {
 public:
  explicit MatchCache(Patterns patterns) : patterns_(std::move(patterns)) {}
  bool matches(const Table& table, PointId id) {
    const std::size_t word = id / 32;
    if (word >= known_.size()) known_.resize(word + word / 2 + 1);
    const unsigned shift = id % 32 * 2;
    std::uint64_t state = known_[word] >> shift & 3;
    if (state == 0) {
      state = patterns_.matches(table.path(table[id])) ? 2 : 1;
      known_[word] |= state << shift;
    }
    return state == 2;
  }
  // 2: told of as matching. What the id meant before, for removals and ids used again.
  bool matched(PointId id) const { return id / 32 < known_.size() && (known_[id / 32] >> (id % 32 * 2) & 3) == 2; }
  void forget(PointId id) {
    if (id / 32 < known_.size()) known_[id / 32] &= ~(std::uint64_t{3} << (id % 32 * 2));
  }

 private:
  Patterns patterns_;
  std::vector<std::uint64_t> known_;
};

}  // namespace

struct Subscription::State {
  State(Namespace& n, SubscriptionOptions o) : ns(n), im(n.impl()), options(std::move(o)), match(options.patterns) {}

  Namespace& ns;
  Namespace::Impl& im;
  SubscriptionOptions options;
  MatchCache match;
  std::shared_ptr<WakeSlot> wake = std::make_shared<WakeSlot>();
  Cursor cursor;
  bool told_snapshot = true;             // false: the definition scan only learns what is there
  // Overlay changes still to be told: routes, and how many table slots (going round) remain to be looked at.
  std::uint64_t route_version = 0;
  std::vector<bool> turned;
  PointId turn_next = 0;
  std::uint64_t turn_left = 0;

  Batch* batch = nullptr;
  std::size_t max = 0, looked = 0;
  bool full() const { return batch->updates.size() >= max || looked >= kLookPerPull; }

  void emit(PointId id, UpdateKind kind) { emit(id, im.table[id], kind); }
  void emit(PointId id, const Slot& slot, UpdateKind kind) {
    Update& update = batch->updates.emplace_back();
    update.point = id;
    update.route = im.cells[slot.cell].route;
    update.kind = kind;
    if (options.paths) {
      const std::string_view path = im.table.path(slot);
      update.path_at = static_cast<std::uint32_t>(batch->text.size());
      update.path_size = static_cast<std::uint32_t>(path.size());
      batch->text += path;
    }
    if (kind == UpdateKind::removed) return;
    update.covered = im.covered(slot);
    update.underlying = slot.status;
    update.status = im.shown(slot);
    update.verified = im.verified(slot);
    update.source_time = slot.source_time;
    update.revision = slot.revision;
    update.value = im.table.value(slot);
  }

  void tell_definition(PointId id) {
    const bool before = match.matched(id);
    const Slot& slot = im.table[id];
    if (!slot.present) {
      if (before && options.definitions) emit(id, UpdateKind::removed);
      match.forget(id);
      return;
    }
    if (slot.reused || !before) match.forget(id);
    if (!match.matches(im.table, id)) return;
    if (before && !options.definitions) return;
    cursor.told_out_of_turn(slot, im.changes.head());
    emit(id, UpdateKind::defined);
  }

  void pull_turned() {
    if (route_version != im.route_version) {
      turned.resize(im.routes.size());
      for (std::size_t i = 0; i < im.routes.size(); ++i) {
        if (im.routes[i].version > route_version) turned[i] = true;
      }
      route_version = im.route_version;
      turn_left = im.table.end();
      if (turn_next >= im.table.end()) turn_next = 0;
    }
    for (; turn_left > 0 && !full(); --turn_left, ++looked) {
      if (turn_next >= im.table.end()) turn_next = 0;
      const PointId id = turn_next++;
      const Slot& slot = im.table[id];
      const RouteId route_id = im.cells[slot.cell].route;
      if (!slot.present || !turned[route_id] || !cursor.knows(slot, id) || !match.matched(id)) continue;
      const Route& route = im.routes[route_id];
      if (slot.revision > route.cover_revision && !slot.stale) continue;
      cursor.told_out_of_turn(slot, im.changes.head());
      emit(id, UpdateKind::value);
    }
    if (turn_left == 0) std::fill(turned.begin(), turned.end(), false);
  }

  void pull_definitions() {
    Cursor::Scan& scan = cursor.definitions;
    while (!full()) {
      if (scan.active) {
        for (; scan.next < im.table.end() && !full(); ++looked) {
          const PointId id = scan.next++;
          const Slot& slot = im.table[id];
          if (slot.defined <= cursor.defined || slot.defined > scan.target) continue;
          if (told_snapshot) tell_definition(id);
          else if (slot.present) match.matches(im.table, id);
        }
        if (scan.next < im.table.end()) return;
        scan.active = false;
        told_snapshot = true;
        cursor.defined = scan.target;
      } else if (cursor.defined == im.definitions.head()) {
        return;
      } else if (!im.definitions.reaches(cursor.defined) || cursor.defined == 0) {
        scan = {true, 0, im.definitions.head()};
      } else {
        const std::uint64_t number = ++cursor.defined;
        ++looked;
        const PointId id = im.definitions.at(number);
        if (im.table[id].defined == number) tell_definition(id);
      }
    }
  }

  void tell_change(PointId id) {
    if (cursor.knows(im.table[id], id) && im.table[id].present && match.matches(im.table, id)) emit(id, UpdateKind::value);
  }

  template <typename Visit>
  void tell_edges(PointId id, Visit&& visit_edges) {
    if (!cursor.knows(im.table[id], id) || !im.table[id].present || !match.matches(im.table, id)) return;
    visit_edges([&](const Slot& edge) {
      if (edge.revision > cursor.edges_from) emit(id, edge, UpdateKind::value);
    });
  }

  void pull_changes() {
    Cursor::Scan& scan = cursor.changes;
    while (!full()) {
      if (scan.active) {
        for (; scan.next < im.table.end() && !full(); ++looked) {
          const PointId id = scan.next++;
          const Slot& slot = im.table[id];
          if (slot.revision <= cursor.seen) continue;
          if (slot.burst > 1) tell_edges(id, [&](auto&& tell) { im.edges_after(id, cursor.seen, tell); });
          if (slot.revision > scan.target) cursor.told_out_of_turn(slot, im.changes.head());
          tell_change(id);
        }
        if (scan.next < im.table.end()) return;
        scan.active = false;
        cursor.seen = scan.target;
      } else if (cursor.seen == im.changes.head()) {
        return;
      } else if (!im.changes.reaches(cursor.seen) || im.changes.head() - cursor.seen > im.table.end()) {
        scan = {true, 0, im.changes.head()};
      } else {
        const std::uint64_t number = ++cursor.seen;
        ++looked;
        const PointId id = im.changes.at(number);
        const Slot& slot = im.table[id];
        if (slot.revision == number) tell_change(id);
        else if (slot.burst > 1) tell_edges(id, [&](auto&& tell) { im.edge_at(id, number, tell); });
      }
    }
  }

  bool idle() const {
    return turn_left == 0 && route_version == im.route_version && cursor.defined == im.definitions.head() &&
           cursor.seen == im.changes.head();
  }
};

Subscription::Subscription(Namespace& ns, SubscriptionOptions options, Waker waker)
    : state_(std::make_unique<State>(ns, std::move(options))) {
  State& s = *state_;
  s.wake->waker = std::move(waker);
  s.im.add_waiting(s.wake);
  const std::lock_guard lock(s.im.mutex);
  s.im.cursors.push_back(&s.cursor);
  s.told_snapshot = s.options.snapshot || s.im.definitions.head() == 0;
  s.cursor.seen = s.im.changes.head();  // definitions carry the values up to here
  s.route_version = s.im.route_version;
}

Subscription::~Subscription() {
  {
    const std::lock_guard lock(state_->im.mutex);
    std::erase(state_->im.cursors, &state_->cursor);
  }
  state_->im.remove_waiting(state_->wake);
}

void Subscription::pull(Batch& batch, std::size_t max) {
  State& s = *state_;
  const std::lock_guard lock(s.im.mutex);
  s.batch = &batch;
  s.max = max;
  s.looked = 0;
  s.pull_turned();                   // bad news first
  if (s.cursor.definitions.active && s.told_snapshot) {
    // A long snapshot must not hold back live changes, nor the other way round: half each.
    s.max = max / 2;
    s.pull_changes();
    s.max = max;
    s.looked = 0;
    s.pull_definitions();
  } else {
    s.pull_definitions();
    s.pull_changes();
  }
  batch.more = !s.idle();
  batch.snapshot = s.cursor.defined == 0 && s.im.definitions.head() != 0;
  if (!batch.more && batch.updates.empty() && !s.wake->armed.exchange(true)) s.im.armed.fetch_add(1);
}

}  // namespace sallyport
