// One connection of the HTTP server; see http_session.h.
#include "net/http_session.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <utility>

namespace sallyport::net {
namespace {

using boost::system::error_code;

constexpr std::size_t kPiece = 64 * 1024;  // what a producer is asked for at once
constexpr std::size_t kMinCompressed = 1024;
constexpr std::size_t kMaxUnwantedBody = 64 * 1024;  // of requests whose route takes no body
constexpr std::size_t kMaxLeftOver = 256 * 1024;
constexpr Duration kPartingTimeout = std::chrono::seconds(2);
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

HttpSession::HttpSession(std::shared_ptr<HttpHub> hub, std::unique_ptr<HttpTransport> transport, std::string address,
                         std::string address_key)
    : hub_(std::move(hub)),
      transport_(std::move(transport)),
      address_(std::move(address)),
      address_key_(std::move(address_key)),
      parser_(hub_->options.limits.header_bytes) {}

HttpSession::~HttpSession() = default;

void HttpSession::start() {
  hub_->sessions.insert(shared_from_this());
  ++hub_->per_address[address_key_];
  ++hub_->counters.open;
  expire_in(hub_->options.limits.header_timeout);
  transport_->handshake([self = shared_from_this()](const error_code& error, std::size_t) {
    if (self->phase_ == Phase::closed) return;
    if (error) {
      ++self->hub_->counters.failed_handshakes;
      self->close();
      return;
    }
    self->phase_ = Phase::reading;
    self->read();
  });
}

void HttpSession::close() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  if (producer_) --hub_->counters.producing;
  producer_.reset();
  work_ = nullptr;
  transport_->close();
  hub_->sessions.erase(shared_from_this());
  --hub_->counters.open;
  if (const auto count = hub_->per_address.find(address_key_); --count->second == 0) hub_->per_address.erase(count);
}

void HttpSession::check_deadline(MonotonicTime now) {
  if (phase_ == Phase::closed || now < deadline_) return;
  // An idle keep-alive connection that ends has done nothing wrong.
  if ((phase_ == Phase::reading && request_begun_) || phase_ == Phase::responding || phase_ == Phase::handshaking) {
    ++hub_->counters.timed_out;
  }
  close();
}

void HttpSession::read() {
  transport_->read_some(
      chunk_, [self = shared_from_this()](const error_code& error, std::size_t size) { self->on_read(error, size); });
}

void HttpSession::on_read(const error_code& error, std::size_t size) {
  if (phase_ == Phase::closed) return;
  if (error) {
    close();
    return;
  }
  if (phase_ == Phase::parting) {
    left_over_ += size;
    if (left_over_ > kMaxLeftOver) {
      close();
    } else {
      read();
    }
    return;
  }
  if (!request_begun_) {
    request_begun_ = true;
    expire_in(hub_->options.limits.header_timeout);
  }
  in_.append(chunk_.data(), size);
  advance();
}

void HttpSession::advance() {
  switch (parser_.feed(in_)) {
    case HttpParser::State::header:
    case HttpParser::State::body:
      read();
      return;
    case HttpParser::State::head:
      on_head();
      return;
    case HttpParser::State::done:
      if (!refusal_) {
        request_.body = parser_.take_body();
        request_.remote_address = address_;
        refusal_ = route_->handler(request_);
      }
      respond(std::move(*refusal_));
      return;
    case HttpParser::State::failed:
      ++hub_->counters.malformed;
      close_after_ = true;
      request_ = {};
      respond(http_problem(parser_.status(), parser_.reason()));
      return;
  }
}

void HttpSession::on_head() {
  request_ = {};
  refusal_ = admit(*hub_, parser_, request_, route_);
  if (!parser_.keep_alive()) close_after_ = true;
  if (refusal_ && parser_.has_body()) {
    // Nobody wants that body; the connection ends rather than carry it.
    close_after_ = true;
    respond(std::move(*refusal_));
    return;
  }
  const bool wanted = route_ != nullptr && route_->takes_body;
  parser_.accept_body(wanted ? hub_->options.limits.body_bytes
                             : std::min(kMaxUnwantedBody, hub_->options.limits.body_bytes));
  if (!parser_.has_body() || !parser_.expects_continue() || !in_.empty()) {
    if (parser_.has_body()) expire_in(hub_->options.limits.idle_timeout);
    advance();
    return;
  }
  expire_in(hub_->options.limits.idle_timeout);
  transport_->write_some(kContinue, [self = shared_from_this()](const error_code& error, std::size_t size) {
    if (self->phase_ == Phase::closed) return;
    if (error || size != kContinue.size()) {
      self->close();
    } else {
      self->advance();
    }
  });
}

void HttpSession::work_on() {
  if (phase_ == Phase::closed) return;
  if (auto response = work_()) {
    work_ = nullptr;
    respond(std::move(*response));
    return;
  }
  hub_->loop.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->work_on();
  });
}

void HttpSession::wait_for(const std::function<void(std::function<void(HttpResponse)>)>& later) {
  later([&loop = hub_->loop, weak = weak_from_this()](HttpResponse response) {
    auto made = std::make_shared<HttpResponse>(std::move(response));
    loop.post([weak, made] {
      if (const auto self = weak.lock(); self && self->phase_ == Phase::responding) self->respond(std::move(*made));
    });
  });
}

void HttpSession::respond(HttpResponse response) {
  phase_ = Phase::responding;
  if (response.work) {
    deadline_ = MonotonicTime::max();
    work_ = std::move(response.work);
    work_on();
    return;
  }
  if (response.later) {
    deadline_ = MonotonicTime::max();
    wait_for(response.later);
    return;
  }
  const auto kind = static_cast<std::size_t>(response.status / 100);
  if (kind < std::size(hub_->counters.responses)) ++hub_->counters.responses[kind];
  const bool with_body = request_.method != "HEAD" && response.status != 204 && response.status != 304;
  HttpFraming framing;
  framing.gzip = response.compress && accepts_gzip(request_.header("accept-encoding")) &&
                 (response.producer != nullptr || response.body.size() > kMinCompressed);
  if (framing.gzip && response.producer == nullptr) {
    std::string compressed;
    Gzip().add(response.body, true, compressed);
    response.body = std::move(compressed);
  }
  if (response.producer == nullptr) {
    if (response.status != 204 && response.status != 304) framing.length = response.body.size();
  } else {
    framing.chunked = !parser_.http_1_0();
    if (!framing.chunked) close_after_ = true;
  }
  framing.close = close_after_;
  out_ = http_head(response, framing);
  sent_ = 0;
  if (with_body && response.producer != nullptr) {
    chunked_ = framing.chunked;
    if (framing.gzip) gzip_.emplace();
    begin_producer(response);
    fill();
  } else if (with_body) {
    out_ += response.body;
  }
  write_more();
}

void HttpSession::begin_producer(HttpResponse& response) {
  producer_ = std::move(response.producer);
  ++hub_->counters.producing;
  waiting_ = false;
  producer_->begin([&loop = hub_->loop, weak = weak_from_this()] {
    loop.post([weak] {
      if (const auto self = weak.lock()) self->wake();
    });
  });
}

void HttpSession::wake() {
  waiting_ = false;
  if (phase_ == Phase::responding) write_more();
}

void HttpSession::fill() {
  std::string piece;
  const HttpProducer::Next next = producer_->produce(piece, kPiece);
  waiting_ = next == HttpProducer::Next::wait;
  const bool last = next == HttpProducer::Next::end;
  if (gzip_) {
    std::string compressed;
    gzip_->add(piece, last, compressed);
    piece = std::move(compressed);
  }
  append_piece(piece, last);
  if (!last) return;
  producer_.reset();
  gzip_.reset();
  --hub_->counters.producing;
}

// RFC 9112 §7.1: size in hex, CRLF, the bytes, CRLF; a size of zero ends the body, so an empty piece is none.
void HttpSession::append_piece(std::string_view piece, bool last) {
  if (!chunked_) {
    out_ += piece;
    return;
  }
  if (!piece.empty()) {
    std::array<char, 16> size;
    const auto end = std::to_chars(size.data(), size.data() + size.size(), piece.size(), 16).ptr;
    out_.append(size.data(), end);
    out_ += "\r\n";
    out_ += piece;
    out_ += "\r\n";
  }
  if (last) out_ += "0\r\n\r\n";
}

void HttpSession::write_more() {
  if (writing_ || phase_ != Phase::responding) return;
  if (sent_ == out_.size()) {
    out_.clear();
    sent_ = 0;
    if (producer_ && !waiting_) fill();
  }
  if (out_.empty()) {
    if (!producer_) {
      finish_response();
    } else if (waiting_) {
      deadline_ = MonotonicTime::max();
    } else {
      // A piece of work without output yet: others first.
      hub_->loop.post([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->write_more();
      });
    }
    return;
  }
  writing_ = true;
  // The clock starts anew only with each piece: a client that takes a byte a minute holds a connection no longer than
  // one that takes nothing.
  if (sent_ >= piece_end_ || sent_ == 0) {
    piece_end_ = std::min(sent_ + kPiece, out_.size());
    expire_in(hub_->options.limits.idle_timeout);
  }
  transport_->write_some(
      std::string_view(out_).substr(sent_, piece_end_ - sent_),
      [self = shared_from_this()](const error_code& error, std::size_t size) { self->on_written(error, size); });
}

void HttpSession::on_written(const error_code& error, std::size_t size) {
  writing_ = false;
  if (phase_ == Phase::closed) return;
  if (error) {
    close();
    return;
  }
  sent_ += size;
  hub_->counters.bytes_sent += size;
  write_more();
}

void HttpSession::finish_response() {
  chunked_ = false;
  // A large body leaves no large buffer behind on an idle connection.
  std::string().swap(out_);
  sent_ = 0;
  if (close_after_) {
    part();
    return;
  }
  phase_ = Phase::reading;
  refusal_.reset();
  request_ = {};
  parser_.reset();
  request_begun_ = !in_.empty();
  expire_in(request_begun_ ? hub_->options.limits.header_timeout : hub_->options.limits.idle_timeout);
  if (in_.empty()) {
    read();
  } else {
    advance();
  }
}

// A socket closed with unread input resets the connection, and the peer may lose the answer that tells it why: so the
// rest is read and thrown away for a moment. (RFC 9112 §9.6)
void HttpSession::part() {
  phase_ = Phase::parting;
  expire_in(kPartingTimeout);
  transport_->finish([self = shared_from_this()](const error_code& error, std::size_t) {
    if (self->phase_ == Phase::closed) return;
    if (error) {
      self->close();
    } else {
      self->read();
    }
  });
}

}  // namespace sallyport::net
