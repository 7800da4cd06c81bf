// A writer and a reader with a piece of cable between them that a test may cut, and a clock that it turns. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "link/diode/wire_reader.h"
#include "link/diode/wire_writer.h"
#include "net/test_support.h"

namespace sallyport::link::diode::testing {

using namespace std::chrono_literals;
using Datagrams = std::vector<Bytes>;

// An authority, two nodes and a receiver's key: made once, they take a while.
struct WireKeys {
  WireKeys() {
    for (const char* name : {"plant-1", "dmz-1"}) signers.push_back(load(name));
    auto loaded = net::Trust::load(pki.folder / "ca.crt");
    trust = loaded ? *loaded : nullptr;
    auto made = crypto::XWingPrivate::generate();
    receiver = std::make_unique<crypto::XWingPrivate>(*std::move(made));
  }
  std::shared_ptr<const net::Signer> load(const std::string& name) {
    auto signer = net::Signer::load(net::with_sign_files(pki.issue(name)), name);
    if (!signer) ADD_FAILURE() << signer.error().message;
    return signer ? *signer : nullptr;
  }
  crypto::XWingPrivate receiver_key() const { return *crypto::XWingPrivate::from_seed(receiver->seed()); }
  static WireKeys& shared() {
    static WireKeys keys;
    return keys;
  }
  net::testing::Pki pki;
  std::vector<std::shared_ptr<const net::Signer>> signers;  // of plant-1 and dmz-1
  std::shared_ptr<const net::Trust> trust;
  std::unique_ptr<crypto::XWingPrivate> receiver;
};

class Wire {
 public:
  explicit Wire(WireOptions with = {}) : options(std::move(with)) {
    options.sender = "plant-1";
    options.receiver = "ai-1";
    clock.set_utc_offset(SystemClock().utc() - clock.monotonic().time_since_epoch().count());  // certificates are of today
    std::filesystem::create_directories(files / "sender");
    restart_writer();
    restart_reader();
  }

  Result<std::unique_ptr<WireWriter>> make_writer() {
    return WireWriter::make(options, keys.signers[0], keys.receiver->public_key(), sender_file(), clock.utc());
  }
  void restart_writer() {
    auto made = make_writer();
    ASSERT_TRUE(made) << made.error().message;
    writer = *std::move(made);
  }
  ReaderOptions reader_options() const { return {.sender = "plant-1", .receiver = "ai-1"}; }
  Result<std::unique_ptr<WireReader>> make_reader(const std::string& file) {
    return WireReader::make(reader_options(), keys.receiver_key(), keys.trust, file);
  }
  void restart_reader() {
    reader.reset();
    auto made = make_reader(files / "receiver.epoch");
    ASSERT_TRUE(made) << made.error().message;
    reader = *std::move(made);
  }
  // As after kill -9: the state file is as it was last written, not as the destructor leaves it.
  void kill_reader() {
    const std::string file = files / "receiver.epoch", kept = files / "kept.epoch";
    std::error_code ignored;
    std::filesystem::copy_file(file, kept, std::filesystem::copy_options::overwrite_existing, ignored);
    reader.reset();
    if (std::filesystem::exists(kept)) std::filesystem::rename(kept, file);
    restart_reader();
  }
  std::string sender_file() const { return files / "sender/epoch"; }
  void block_writer_file() { std::filesystem::remove_all(files / "sender"); }

  void send(const std::string& text) {
    if (writer->room() < text.size()) writer->flush();
    for (int i = 0; i < 1000 && writer->room() < text.size(); ++i) run(1ms);
    ASSERT_TRUE(writer->add(as_bytes(text)));
  }
  // Segments of 20 to 1,500 bytes with their number in them; the reader checks it.
  unsigned send_numbered(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      std::string text = "#" + std::to_string(numbered_) + "#";
      text.resize(20 + numbered_ * 7919 % 1480, static_cast<char>('a' + numbered_ % 26));
      ++numbered_;
      send(text);
    }
    return count;
  }
  void pump() {
    Datagrams datagrams;
    while (datagrams.size() < each_millisecond) {
      const auto datagram = writer->next(clock.monotonic(), clock.utc());
      if (!datagram) break;
      datagrams.emplace_back(datagram->begin(), datagram->end());
      smallest_datagram = std::min(smallest_datagram, datagram->size());
    }
    if (on_the_way) on_the_way(datagrams);
    for (const Bytes& each : datagrams) {
      if (deliver) reader->received(each, clock.monotonic(), clock.utc());
      drain();
    }
    drain();
  }
  void drain() {
    while (const auto segment = reader->next(clock.monotonic())) take(*segment);
  }
  void run(Duration span) {
    const MonotonicTime end = clock.monotonic() + span;
    while (clock.monotonic() < end) {
      pump();
      clock.advance(1ms);
    }
  }
  void settle() { run(1s); }
  void jump(Duration span) {
    clock.advance(span);
    pump();
  }
  std::size_t never_seen(unsigned sent) const {
    // After the last that arrived nothing says how many there were.
    return arrived.empty() ? sent : sent - (last.number + 1) + first_number;
  }

  net::testing::TempFolder files;
  WireKeys& keys = WireKeys::shared();
  WireOptions options;
  ManualClock clock;
  std::unique_ptr<WireWriter> writer;
  std::unique_ptr<WireReader> reader;
  std::function<void(Datagrams&)> on_the_way;
  bool deliver = true;
  std::size_t each_millisecond = 12;     // datagrams: 134 Mbit/s

  std::vector<std::string> arrived;
  std::vector<bool> losses;
  std::vector<std::uint64_t> lives;
  Segment last{};
  std::uint64_t first_number = 0;
  unsigned wrong = 0, backwards = 0, unsaid_holes = 0;
  std::size_t smallest_datagram = SIZE_MAX;

 private:
  void take(const Segment& segment) {
    const std::string text(as_text(segment.bytes));
    if (text.starts_with('#')) {
      const unsigned number = static_cast<unsigned>(std::stoul(text.substr(1)));
      std::string right = "#" + std::to_string(number) + "#";
      right.resize(20 + number * 7919 % 1480, static_cast<char>('a' + number % 26));
      wrong += text != right;
    }
    const bool same_life = !lives.empty() && lives.back() == segment.life;
    if (same_life && segment.number <= last.number) ++backwards;
    if (same_life && segment.number != last.number + 1 && !segment.loss_before) ++unsaid_holes;
    if (arrived.empty()) first_number = segment.number;
    arrived.push_back(text);
    losses.push_back(segment.loss_before);
    lives.push_back(segment.life);
    last = segment;
    last.bytes = {};
  }
  unsigned numbered_ = 0;
};

}  // namespace sallyport::link::diode::testing
