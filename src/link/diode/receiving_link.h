// The receiving end of a diode link at work. Loop thread.
#pragma once

#include <memory>
#include <string>

#include "link/diode/diode_link.h"
#include "link/diode/one_way_receiver.h"
#include "link/diode/transport.h"
#include "link/diode/wire_reader.h"

namespace sallyport::link::diode {

class ReceivingLink final : public DiodeLink {
 public:
  ReceivingLink(TunnelContext& context, LinkOptions options);
  ~ReceivingLink() override;

  void start() override;
  void stop(const std::string& why) override;
  const LinkOptions& options() const override { return options_; }
  LinkStatus status() const override;
  ReceiverMemory memory() const override;
  void recall(ReceiverMemory memory) override { receiver_.recall(std::move(memory)); }
  std::vector<HopStatus> hops() const override;
  void check_takeover() override;
  void set_keys(const std::shared_ptr<const net::Signer>&, const std::shared_ptr<const net::Trust>& trust) override {
    if (reader_ && trust) reader_->set_trust(trust);
  }

 private:
  Result<void> open();
  void open_lane();
  void take(std::span<const std::byte> datagram);
  void drain();
  void tick();
  void plan(MonotonicTime now);
  void note_state();
  void note_routes();

  TunnelContext& context_;
  const LinkOptions options_;
  Receiver receiver_;
  std::unique_ptr<WireReader> reader_;
  std::unique_ptr<OneWayReceiver> session_;
  std::unique_ptr<Inlet> inlet_;
  net::Timer timer_;
  unsigned undrained_ = 0;

  LinkState state_ = LinkState::down;
  UtcNanoseconds since_ = 0;
  std::string reason_ = "nothing has come yet";
  std::uint64_t connects_ = 0;
  std::uint64_t routes_seen_ = 0;
  std::string refusal_logged_;
};

}  // namespace sallyport::link::diode
