// The sending end of a diode link at work: fills the wire as fast as the rate allows, and never reads. Loop thread.
#pragma once

#include <memory>
#include <string>

#include "link/diode/diode_link.h"
#include "link/diode/one_way_sender.h"
#include "link/diode/transport.h"
#include "link/diode/wire_writer.h"

namespace sallyport::link::diode {

class SendingLink final : public DiodeLink {
 public:
  SendingLink(TunnelContext& context, LinkOptions options);
  ~SendingLink() override;

  void start() override;
  void stop(const std::string& why) override;
  const LinkOptions& options() const override { return options_; }
  LinkStatus status() const override;
  bool tells_hops() const override { return sender_ != nullptr; }
  void send_hops(const std::vector<HopStatus>& hops) override;
  void set_keys(const std::shared_ptr<const net::Signer>& signer, const std::shared_ptr<const net::Trust>&) override {
    if (writer_ && signer) writer_->set_signer(signer);
  }

 private:
  Result<void> open();
  Result<void> open_lane();
  void woken();
  void pump();
  void refill(MonotonicTime now);
  bool feed(MonotonicTime now);
  void collect(MonotonicTime now);
  void save_lane(MonotonicTime now);
  void plan(MonotonicTime now);
  void note_state();
  void note_shortage();
  std::uint64_t payload_rate() const;
  std::string lane_file() const;

  TunnelContext& context_;
  const LinkOptions options_;
  std::unique_ptr<WireWriter> writer_;
  std::unique_ptr<OneWaySender> sender_;
  std::unique_ptr<Outlet> outlet_;
  net::Timer timer_;
  std::shared_ptr<SendingLink*> self_;       // null inside once this is gone
  Waker waker_;
  bool pumping_ = false, again_ = false, blocked_ = false;

  double tokens_ = 0;                        // bytes
  MonotonicTime filled_{};
  DatagramBatch batch_;
  std::size_t batch_at_ = 0;
  Bytes segment_;
  MonotonicTime lane_saved_{};
  bool lane_failed_ = false, short_ = false;

  LinkState state_ = LinkState::down;
  UtcNanoseconds since_ = 0;
  std::string reason_;
  std::uint64_t starts_ = 0;
};

}  // namespace sallyport::link::diode
