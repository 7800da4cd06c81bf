// What breaks × where: a cable pulled, a reset, a stall, a process killed, frozen, restarted, at each hop and each node.
// The last consumer knows within the bound, nothing stale looks good meanwhile, nothing steps back, and afterwards
// everything is right.
#include <csignal>

#include "scene.h"

namespace sallyport::tests {
namespace {

class Matrix : public Scene {
 protected:
  void begin_gated() {
    ChainOptions options;
    options.gated = true;
    options.broker = false;
    begin(options);
  }
  void begin_plain() {
    ChainOptions options;
    options.broker = false;
    begin(options);
  }
  void begin_with_cable(bool to_last) {
    ChainOptions options;
    options.broker = false;
    options.cable = true;
    options.cable_to_last = to_last;
    begin(options);
  }

  Fault pulled(const std::string& where) {
    return {"cable pulled without FIN, " + where, by_timeout(), [this] { chain_->cable().pull(); }, [this] { chain_->cable().plug(); }};
  }
  Fault reset(std::size_t hop) {
    return {"reset, hop " + std::to_string(hop + 1), by_reset(),
            [this, hop] {
              chain_->gate(hop).refuse(true);
              chain_->gate(hop).reset();
            },
            [this, hop] { chain_->gate(hop).refuse(false); }};
  }
  Fault stall(std::size_t hop) {
    return {"stall (bytes wait, connection stays), hop " + std::to_string(hop + 1), by_timeout(),
            [this, hop] { chain_->gate(hop).stall(true); }, [this, hop] { chain_->gate(hop).stall(false); }};
  }
  Fault killed(std::size_t node, const std::string& name) {
    return {"kill -9, " + name, by_reset(), [this, node] { chain_->node(node).process().kill(); },
            [this, node] { chain_->start_node(node); }};
  }
  Fault frozen(std::size_t node, const std::string& name) {
    return {"SIGSTOP (its kernel still acknowledges), " + name, by_timeout(),
            [this, node] { chain_->node(node).process().freeze(); }, [this, node] { chain_->node(node).process().thaw(); }};
  }
  Fault restarted(std::size_t node, const std::string& name) {
    return {"restart (SIGTERM), " + name, by_reset(), [this, node] { chain_->node(node).process().signal(SIGTERM); },
            [this, node] {
              EXPECT_EQ(chain_->node(node).process().wait(seconds(10)), 0) << chain_->node(node).log();
              chain_->start_node(node);
            }};
  }
};

#define SALLYPORT_BEGIN(how)                 \
  how;                                       \
  if (IsSkipped() || HasFatalFailure()) return

TEST_F(Matrix, ACablePulledAtTheFirstHop) {
  SALLYPORT_BEGIN(begin_with_cable(false));
  suffer(pulled("hop 1"));
}
TEST_F(Matrix, ACablePulledAtTheSecondHop) {
  SALLYPORT_BEGIN(begin_with_cable(true));
  suffer(pulled("hop 2"));
}
TEST_F(Matrix, AResetOfTheFirstHop) {
  SALLYPORT_BEGIN(begin_gated());
  suffer(reset(0));
}
TEST_F(Matrix, AResetOfTheSecondHop) {
  SALLYPORT_BEGIN(begin_gated());
  suffer(reset(1));
}
TEST_F(Matrix, AStallOfTheFirstHop) {
  SALLYPORT_BEGIN(begin_gated());
  suffer(stall(0));
}
TEST_F(Matrix, AStallOfTheSecondHop) {
  SALLYPORT_BEGIN(begin_gated());
  suffer(stall(1));
}
TEST_F(Matrix, ThePlantNodeKilled) {
  SALLYPORT_BEGIN(begin_plain());
  suffer(killed(0, "plant node"));
}
TEST_F(Matrix, TheDmzNodeKilled) {
  SALLYPORT_BEGIN(begin_plain());
  suffer(killed(1, "DMZ node"));
}
TEST_F(Matrix, ThePlantNodeFrozen) {
  SALLYPORT_BEGIN(begin_plain());
  suffer(frozen(0, "plant node"));
}
TEST_F(Matrix, TheDmzNodeFrozen) {
  SALLYPORT_BEGIN(begin_plain());
  suffer(frozen(1, "DMZ node"));
}
TEST_F(Matrix, ThePlantNodeRestarted) {
  SALLYPORT_BEGIN(begin_plain());
  suffer(restarted(0, "plant node"));
}
TEST_F(Matrix, TheDmzNodeRestarted) {
  SALLYPORT_BEGIN(begin_plain());
  suffer(restarted(1, "DMZ node"));
}

// A node that comes back knows the names of its points before their values; whoever shows the old value must not see it
// replaced by nothing, nor its source time step back.
TEST_F(Matrix, ThePlantNodeKilledInFrontOfAnOpcUaServer) {
  Plant plant(folder_, {});
  ChainOptions options;
  options.broker = false;
  options.heartbeat = times_.heartbeat;
  options.timeout = times_.timeout;
  options.source = "[[source.opcua]]\nname = \"line1\"\nendpoint = \"" + plant.endpoint() +
                   "\"\ninto = \"acme/line1\"\nbrowse = [\"nsu=urn:sallyport:plant;s=Plant\"]\nsecurity = \"none\"\npublishing_interval = \"100ms\"\n";
  chain_ = std::make_unique<Chain>(options);
  chain_->start();
  ASSERT_TRUE(eventually([&] { return chain_->first().points("bad") == "0" && chain_->first().points("good") != "0"; }, seconds(30)));
  points_ = static_cast<std::size_t>(std::atoi(chain_->first().points("good").c_str()));
  ASSERT_TRUE(chain_->wait_points(points_)) << chain_->logs();
  consumer_ = Watcher::sse(chain_->http_port());
  ASSERT_TRUE(consumer_->wait_for_all("good", points_, seconds(10)));
  chain_->first().process().kill();
  ASSERT_TRUE(consumer_->wait_for_all("!good", points_, seconds(5)));
  chain_->start_node(0);
  EXPECT_TRUE(consumer_->wait_for_all("good", points_, seconds(20))) << chain_->logs();
  EXPECT_EQ(count_backwards(consumer_->all(), Order::by_time), 0u);
  for (const auto& seen : consumer_->all()) EXPECT_NE(seen.value, "null") << seen.path << " " << seen.status_name;
}

// When the last node itself is gone only others can say so: the broker does, by the node's will. What a broker retains
// stays as it was; a consumer of a broker has to look at `…/online` too.
class LastNode : public Scene {
 protected:
  void begin_with_broker() {
    begin({});
    if (HasFatalFailure()) return;
    const std::string port = std::to_string(chain_->broker().port());
    will_ = std::make_unique<LineReader>(
        std::vector<std::string>{"mosquitto_sub", "-p", port, "-t", "sallyport/n-3/broker/online"},
        [this](Clock::time_point when, const std::string& line) {
          const std::lock_guard lock(mutex_);
          online_ = line == "true";
          turned_at_ = when;
        });
    ASSERT_TRUE(wait_online(true, seconds(5)));
  }

  bool wait_online(bool online, Clock::duration limit) {
    return eventually(
        [&] {
          const std::lock_guard lock(mutex_);
          return online_ == online;
        },
        limit);
  }

  void suffer_behind_broker(const Fault& fault) {
    Row row{.table = "chain", .fault = fault.name, .bound = seconds_text(fault.promised), .not_good = {}, .right = {}, .wrong = {},
            .stale_good = {}, .backwards = {}, .note = "told by the MQTT broker as the node's will; HTTP clients lose their connection"};
    const auto hurt_at = Clock::now();
    fault.hurt();
    const bool told = wait_online(false, fault.promised + seconds(5));
    if (told) row.not_good = turned_at_ - hurt_at;
    const auto heal_at = Clock::now();
    fault.heal();
    EXPECT_TRUE(wait_online(true, seconds(20))) << chain_->logs();
    row.right = Clock::now() - heal_at;
    consumer_ = Watcher::mqtt(chain_->broker().port(), "acme/#");
    EXPECT_TRUE(consumer_->wait_for_all("good", points_, seconds(20))) << chain_->logs();
    row.wrong = rest_and_count_wrong();
    row.backwards = count_backwards(consumer_->all(), fault.order);
    report(row);
    EXPECT_TRUE(told) << "the broker never said that the node is gone";
    EXPECT_LE(row.not_good.value_or(Clock::duration{}), fault.promised + kSlack);
    EXPECT_EQ(row.wrong, 0u) << chain_->logs();
    EXPECT_EQ(row.backwards, 0u);
  }

  std::mutex mutex_;
  std::optional<bool> online_;
  Clock::time_point turned_at_;
  std::unique_ptr<LineReader> will_;
};

TEST_F(LastNode, KilledIsToldByTheBroker) {
  SALLYPORT_BEGIN(begin_with_broker());
  suffer_behind_broker({"kill -9, last node", by_reset(), [this] { chain_->last().process().kill(); }, [this] { chain_->start_node(2); }});
}
TEST_F(LastNode, FrozenIsToldByTheBroker) {
  SALLYPORT_BEGIN(begin_with_broker());
  // MQTT's own keepalive of 5 s, one and a half times (MQTT 5 §3.1.2.10); Mosquitto looks every few seconds.
  suffer_behind_broker({"SIGSTOP (its kernel still acknowledges), last node", seconds(13),
                        [this] { chain_->last().process().freeze(); }, [this] { chain_->last().process().thaw(); }});
}
TEST_F(LastNode, RestartedIsToldByTheBroker) {
  SALLYPORT_BEGIN(begin_with_broker());
  suffer_behind_broker({"restart (SIGTERM), last node", by_reset() + milliseconds(500), [this] { chain_->last().process().signal(SIGTERM); },
                        [this] {
                          EXPECT_EQ(chain_->last().process().wait(seconds(10)), 0) << chain_->last().log();
                          chain_->start_node(2);
                        }});
}

}  // namespace
}  // namespace sallyport::tests
