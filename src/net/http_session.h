// One connection of the HTTP server: requests in, responses out, one after the other. Internal to the HTTP server.
//
//   handshaking → reading ⇄ responding → parting → closed
//
// A response with a producer is written piece by piece, the next one made only when the socket took the last one.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "net/http_gzip.h"
#include "net/http_hub.h"
#include "net/http_parser.h"
#include "net/http_transport.h"

namespace sallyport::net {

class HttpSession final : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(std::shared_ptr<HttpHub> hub, std::unique_ptr<HttpTransport> transport, std::string address,
              std::string address_key);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  void start();
  void close();  // at once; drops the producer
  void check_deadline(MonotonicTime now);

 private:
  enum class Phase : std::uint8_t { handshaking, reading, responding, parting, closed };

  void read();
  void on_read(const boost::system::error_code& error, std::size_t size);
  void advance();
  void on_head();
  void respond(HttpResponse response);
  void work_on();
  void wait_for(const std::function<void(std::function<void(HttpResponse)>)>& later);
  void begin_producer(HttpResponse& response);
  void fill();
  void append_piece(std::string_view piece, bool last);
  void write_more();
  void on_written(const boost::system::error_code& error, std::size_t size);
  void wake();
  void finish_response();
  void part();
  void expire_in(Duration delay) { deadline_ = hub_->clock.monotonic() + delay; }

  std::shared_ptr<HttpHub> hub_;
  std::unique_ptr<HttpTransport> transport_;
  std::string address_, address_key_;
  Phase phase_ = Phase::handshaking;
  MonotonicTime deadline_ = MonotonicTime::max();

  HttpParser parser_;
  std::array<char, 4096> chunk_;
  std::string in_;
  bool request_begun_ = true;  // the header timeout counts from the connect
  std::size_t left_over_ = 0;  // bytes read and thrown away while parting
  HttpRequest request_;
  const HttpRoute* route_ = nullptr;
  std::optional<HttpResponse> refusal_;

  std::string out_;
  std::size_t sent_ = 0;
  std::size_t piece_end_ = 0;  // of `out_`: to be taken by the client within the idle timeout
  bool writing_ = false;
  bool close_after_ = false;
  std::function<std::optional<HttpResponse>()> work_;
  std::unique_ptr<HttpProducer> producer_;
  bool waiting_ = false;  // for the producer's wake()
  bool chunked_ = false;
  std::optional<Gzip> gzip_;
};

}  // namespace sallyport::net
