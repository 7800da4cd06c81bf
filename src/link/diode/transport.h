// How datagrams leave a node over a diode, and how they arrive: UDP, or a stream of bytes for diodes that emulate TCP. The
// sending side never reads, and no error stops it. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "link/diode/options.h"
#include "net/loop.h"

namespace sallyport::link::diode {

// Datagrams on their way out, one behind the other.
struct DatagramBatch {
  Bytes bytes;
  std::vector<std::size_t> ends;
  void clear() {
    bytes.clear();
    ends.clear();
  }
  void add(std::span<const std::byte> datagram) {
    bytes.insert(bytes.end(), datagram.begin(), datagram.end());
    ends.push_back(bytes.size());
  }
  std::size_t size() const { return ends.size(); }
  std::span<const std::byte> at(std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::span(bytes).subspan(begin, ends[i] - begin);
  }
};

struct OutletCounters {
  std::uint64_t datagrams = 0, bytes = 0;
  std::uint64_t errors = 0;               // calls that the system refused
  std::uint64_t connects = 0;             // of a stream
};

class Outlet {
 public:
  virtual ~Outlet() = default;
  // Takes those of the batch from `from` on; returns how many. Fewer than all: `ready` is called when to try again.
  virtual std::size_t send(const DatagramBatch& batch, std::size_t from) = 0;
  virtual const OutletCounters& counters() const = 0;
  virtual const std::string& problem() const = 0;   // why nothing goes out now; empty: it does
};
// io: no socket to be had.
Result<std::unique_ptr<Outlet>> open_outlet(net::Loop& loop, Clock& clock, const DiodeAddress& to, std::uint64_t bits_per_second, std::function<void()> ready);

struct InletCounters {
  std::uint64_t datagrams = 0, bytes = 0;
  std::uint64_t dropped = 0;              // by this host, because its buffer was full
  std::uint64_t skipped = 0;              // bytes of a stream that are no datagrams
  std::uint64_t connections = 0, refused = 0;
  std::uint64_t buffer_bytes = 0;         // what the system gave
};

class Inlet {
 public:
  virtual ~Inlet() = default;
  virtual InletCounters counters() const = 0;
  virtual std::uint16_t port() const = 0;
};
// `take`: a datagram, whoever sent it; `taken`: those were all for now. io: the address cannot be listened on.
Result<std::unique_ptr<Inlet>> open_inlet(net::Loop& loop, const DiodeAddress& at, std::function<void(std::span<const std::byte>)> take, std::function<void()> taken);

inline constexpr std::size_t kWantedReceiveBuffer = 64u << 20;

}  // namespace sallyport::link::diode
