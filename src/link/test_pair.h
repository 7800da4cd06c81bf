// Two nodes and a wire between them, in memory and on a virtual clock, for tests of the session.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "link/session.h"

namespace sallyport::link {

using namespace std::chrono_literals;

struct TestNode {
  explicit TestNode(std::string n, ManualClock& c, std::uint64_t inc = 7)
      : name(std::move(n)), ns(c, {.max_points = 1u << 16, .ring_entries = 1u << 10, .max_routes = 64}), incarnation(inc) {}

  RouteId source(const std::string& source_name) { return *ns.add_route({name, source_name, {name}}); }
  PointId define(RouteId route, const std::string& path, double value, std::int64_t time = 1000) {
    Meta meta;
    meta.type = Type::float64;
    meta.unit = "bar";
    const Definition d{path, &meta, {kNoPoint, status::kGood, time, Value::from(value)}};
    PointId id = kNoPoint;
    ns.define(route, std::span(&d, 1), std::span(&id, 1));
    return id;
  }
  void change(RouteId route, PointId id, double value, std::int64_t time, Status code = status::kGood) {
    Change c{id, code, time, Value::from(value)};
    ns.apply(route, std::span(&c, 1));
  }
  // path=value/status, sorted
  std::map<std::string, std::string> dump() const {
    std::map<std::string, std::string> out;
    std::vector<PointView> points;
    ns.list(Patterns::everything(), 0, 1u << 16, points);
    for (const auto& p : points) {
      double number = 0;
      const bool ok = p.value.to_double(number);
      out[p.path] = (ok ? std::to_string(number) : p.value.is_null() ? "null" : std::string(p.value.text())) + "/" + std::string(to_string(quality_of(p.status))) + "@" + std::to_string(p.source_time);
    }
    return out;
  }
  // This node as it comes up after a stop of `before`, with what that kept.
  void restart_of(const TestNode& before) {
    ImageRestorer restorer(ns, name);
    ASSERT_TRUE(save_image(before.ns, [&](std::uint32_t kind, std::span<const std::byte> bytes) {
      return restorer.take({kind, Bytes(bytes.begin(), bytes.end())});
    }));
    ASSERT_TRUE(restorer.finish());
    incarnation = before.incarnation;
  }
  std::string name;
  Namespace ns;
  std::uint64_t incarnation;
  journal::Journal* journal = nullptr;
};

// One end of the link between two nodes; the receiver lives as long as the node's link.
struct TestEnd {
  TestEnd(TestNode& n, TestNode& p, std::vector<std::string> send, std::vector<std::string> receive)
      : node(n), peer(p), send_texts(std::move(send)), receive_texts(std::move(receive)),
        receiver(n.ns, n.name, "to-" + p.name, *Patterns::parse(receive_texts), status::kBadNoCommunication, 1u << 16) {}
  void connect(MonotonicTime now) {
    SessionOptions o;
    o.node = node.name;
    o.peer = peer.name;
    o.incarnation = node.incarnation;
    o.send = *Patterns::parse(send_texts);
    o.send_texts = send_texts;
    o.receive_texts = receive_texts;
    o.receive = *Patterns::parse(receive_texts);
    o.journal = node.journal;
    o.journal_reader = journal_reader_name("to-" + peer.name);
    o.max_points = 1u << 16;
    o.one_way = one_way;
    o.pace = pace;
    session = std::make_unique<Session>(node.ns, receiver, o, now, [] {});
  }
  TestNode& node;
  TestNode& peer;
  std::vector<std::string> send_texts, receive_texts;
  OneWay one_way = OneWay::off;
  std::uint64_t pace = 0;
  Receiver receiver;
  std::unique_ptr<Session> session;
};

struct TestLink {
  TestLink(ManualClock& c, TestNode& left, TestNode& right, std::vector<std::string> to_right, std::vector<std::string> to_left = {})
      : clock(c), a(left, right, to_right, to_left), b(right, left, to_left, to_right) {}
  void connect() {
    a.connect(clock.monotonic());
    b.connect(clock.monotonic());
  }
  std::size_t carry(TestEnd& from, TestEnd& to) {
    Bytes bytes;
    from.session->fill(bytes, clock.monotonic());
    for (std::size_t at = 0; at < bytes.size() && to.session->state() != Session::State::closed;) {
      const auto space = to.session->input_space();
      const std::size_t n = std::min(space.size(), bytes.size() - at);
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), n, space.begin());
      to.session->received(n, clock.monotonic());
      at += n;
    }
    carried += bytes.size();
    return bytes.size();
  }
  // Until nothing more is said now.
  void exchange() {
    for (int i = 0; i < 100000; ++i) {
      if (carry(a, b) + carry(b, a) == 0 && !a.session->more() && !b.session->more()) return;
    }
    FAIL() << "the two never stop talking";
  }
  void run(Duration time, Duration step = 10ms) {
    for (Duration t{0}; t < time; t += step) {
      clock.advance(step);
      a.session->tick(clock.monotonic());
      b.session->tick(clock.monotonic());
      exchange();
    }
  }
  ManualClock& clock;
  TestEnd a, b;
  std::size_t carried = 0;
};

}  // namespace sallyport::link
