// A deployment that a benchmark sets up: a folder with a certificate authority, settings files as a user would write
// them, and real `sallyport run` processes. Everything is gone when it is destroyed. Main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_process.h"
#include "net/pki.h"

namespace sallyport::cli::bench {

struct LaneFigures {
  std::uint64_t changes = 0, bytes = 0, definitions = 0;
};
struct LinkFigures {
  std::string peer, group, address;
  bool up = false, synchronized = false;
  UtcNanoseconds since = 0;
  std::uint64_t connects = 0;
  LaneFigures send, receive;
  std::map<std::string, std::uint64_t> diode;  // its numbers, of a diode link
};
// The part of `status --json` that benchmarks look at.
struct StatusFigures {
  std::uint16_t port = 0;
  std::uint64_t points = 0, good = 0;
  std::uint64_t source_changes = 0;
  std::map<std::string, std::string> source_details;  // of the last source
  std::map<std::string, std::uint64_t> source_counters;
  bool source_up = false;
  std::vector<LinkFigures> links;
  std::vector<std::uint64_t> loop_cpu_us;  // of each thread that links run on
  std::uint64_t source_counter(const std::string& name) const {
    const auto found = source_counters.find(name);
    return found == source_counters.end() ? 0 : found->second;
  }
  const LinkFigures* link(const std::string& peer) const;
};

// One end of a link in a settings file. Everything below "bench" flows as `sends` and `receives` say.
struct LinkText {
  std::string peer;
  bool sends = false, receives = false;
  std::uint16_t dial_port = 0;  // 0: the peer dials
};

class Deployment {
 public:
  // Works in `keep` when given (which must not exist or be empty, and stays), else in a temporary folder.
  static Result<std::unique_ptr<Deployment>> make(const Interrupt& interrupt, const std::string& keep);
  ~Deployment();
  Deployment(const Deployment&) = delete;
  Deployment& operator=(const Deployment&) = delete;

  const Interrupt& interrupt() const { return interrupt_; }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }

  // Issues a certificate; `algorithm` is of the node's key.
  Result<void> issue(const std::string& node, net::KeyAlgorithm algorithm = net::KeyAlgorithm::ml_dsa_65);
  // [node] threads of the nodes started from here on.
  void set_threads(unsigned threads) { threads_ = threads; }
  // Issues a certificate, writes settings, starts the node and waits until it is ready. `more`: tables of sources,
  // sinks …
  Result<void> start(const std::string& node, bool listens, const std::vector<LinkText>& links,
                     const std::string& more);
  void stop(const std::string& node);
  // Any other command of this program, in the background. wait_for_line() tells when it has begun.
  Result<Child*> start_helper(const std::string& name, const std::vector<std::string>& arguments);

  Result<StatusFigures> status(const std::string& node) const;
  Usage usage(const std::string& node) const;
  Child& child(const std::string& node) const;
  // Lines by which mirrors are compared, sorted (`dump --digest` hashes them).
  Result<std::vector<std::string>> digest_lines(const std::string& node) const;
  // Points whose last value is not the same at both, or that only one has.
  Result<std::uint64_t> differences(const std::string& one, const std::string& other) const;
  // Waits until `condition` holds, looking every few milliseconds; an error of its own ends it.
  template <typename Condition>
  Result<void> wait(const std::string& what, Duration limit, Condition condition) const {
    return wait_until(what, limit, std::function<Result<bool>()>(condition));
  }

 private:
  struct Member {
    std::string name;
    std::unique_ptr<Child> child;
  };
  Deployment(const Interrupt& interrupt, std::string folder, bool keep)
      : interrupt_(interrupt), folder_(std::move(folder)), keep_(keep) {}
  Result<void> wait_until(const std::string& what, Duration limit,
                          const std::function<Result<bool>()>& condition) const;
  std::string config_of(const std::string& node) const { return file(node + ".toml"); }
  Result<void> check_members() const;

  const Interrupt& interrupt_;
  std::string folder_;
  bool keep_;
  unsigned threads_ = 1;
  std::vector<Member> members_;
};

struct SimulatorText {
  std::uint64_t points = 0;
  std::optional<std::uint64_t> rate;  // none: max
  std::string type = "Double";
  std::string order = "sequential";
  std::string more = {};
};
// [[source.simulator]] whose paths below "bench" have 40 characters in the middle of its points.
std::string text_of(const SimulatorText& simulator);
// [[sink.recorder]] that writes `result` ten times a second.
std::string recorder_text(const std::string& result, const std::string& type, const std::string& more = {});

}  // namespace sallyport::cli::bench
