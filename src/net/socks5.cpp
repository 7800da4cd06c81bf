// CONNECT through a SOCKS5 proxy (RFC 1928) with a user and a password (RFC 1929) or without.
#include <array>

#include "net/asio.h"
#include "net/opening.h"

namespace sallyport::net {
namespace {

constexpr char kVersion = 5, kConnect = 1, kReserved = 0;
constexpr char kNoAuthentication = 0, kUserPassword = 2, kPasswordVersion = 1;
constexpr unsigned char kNothingAcceptable = 0xff;
constexpr char kIpv4 = 1, kName = 3, kIpv6 = 4;

std::unexpected<Error> malformed(const std::string& what) {
  return fail(ErrorCode::refused,
              "what the proxy answered is not SOCKS5: " + what + "; are kind, host and port in proxy right?");
}

// RFC 1928 §6.
Error describe_reply(unsigned char code) {
  switch (code) {
    case 1:
      return {ErrorCode::unavailable, "the SOCKS proxy answered 'general failure'; its log may say why"};
    case 2:
      return {ErrorCode::refused, "the SOCKS proxy's rules forbid this peer; its owner must allow that host and port"};
    case 3:
      return {ErrorCode::unavailable, "the SOCKS proxy answered 'network unreachable': it has no route to the peer"};
    case 4:
      return {ErrorCode::unavailable,
              "the SOCKS proxy answered 'host unreachable'; is the peer on, does the proxy know its name?"};
    case 5:
      return {ErrorCode::unavailable,
              "the SOCKS proxy answered 'connection refused': nothing listens there; is the peer running, is the port "
              "right?"};
    case 6:
      return {ErrorCode::unavailable,
              "the SOCKS proxy answered 'TTL expired': the way to the peer is too long, or a loop"};
    case 7:
      return {ErrorCode::refused, "the SOCKS proxy answered 'command not supported': it does not do CONNECT"};
    case 8:
      return {ErrorCode::refused,
              "the SOCKS proxy answered 'address type not supported'; dial the peer by another kind of address (name, "
              "IPv4, IPv6)"};
    default:
      return {ErrorCode::unavailable, "the SOCKS proxy answered with the unknown code " + std::to_string(code)};
  }
}

class Socks5 final : public Opening {
 public:
  Socks5(Proxy proxy, Address target) : proxy_(std::move(proxy)), target_(std::move(target)) {}

  void begin(std::string& out) override {
    out += kVersion;
    if (with_password())
      out.append({2, kNoAuthentication, kUserPassword});
    else
      out.append({1, kNoAuthentication});
  }

  Result<bool> received(std::string& in, std::string& out) override {
    switch (step_) {
      case Step::method:
        return method(in, out);
      case Step::password:
        return password(in, out);
      case Step::reply:
        return reply(in);
    }
    return false;
  }

  std::string waiting_for() const override { return "the SOCKS proxy's answer"; }
  std::string_view hint() const override { return "; is a SOCKS5 proxy there?"; }

 private:
  enum class Step : std::uint8_t { method, password, reply };
  bool with_password() const { return !proxy_.user.empty(); }

  Result<bool> method(std::string& in, std::string& out) {
    if (!in.empty() && in[0] != kVersion)
      return malformed("its first byte is " + std::to_string(static_cast<unsigned char>(in[0])));
    if (in.size() < 2) return false;
    const char chosen = in[1];
    in.erase(0, 2);
    if (chosen == kNoAuthentication) {
      request(out);
    } else if (chosen == kUserPassword && with_password()) {
      say_password(out);
    } else if (static_cast<unsigned char>(chosen) == kNothingAcceptable || chosen == kUserPassword) {
      return fail(ErrorCode::refused,
                  with_password()
                      ? "the SOCKS proxy takes neither a user with a password nor nobody; ask its owner what it wants"
                      : "the SOCKS proxy wants a user; write proxy = \"socks5://USER@…\" and proxy_password_file");
    } else {
      return malformed("it chose a method that was not offered");
    }
    return false;
  }

  // Lengths fit a byte: parse_proxy and the settings see to the user and the password, parse_address to the host.
  void say_password(std::string& out) {
    step_ = Step::password;
    out += kPasswordVersion;
    append_short(proxy_.user, out);
    append_short(proxy_.password, out);
  }

  Result<bool> password(std::string& in, std::string& out) {
    if (in.size() < 2) return false;
    const char status = in[1];
    in.erase(0, 2);
    if (status != 0) {
      return fail(ErrorCode::refused, "the SOCKS proxy refuses user '" + proxy_.user +
                                          "'; check the user in proxy and proxy_password_file");
    }
    request(out);
    return false;
  }

  void request(std::string& out) {
    step_ = Step::reply;
    out.append({kVersion, kConnect, kReserved});
    boost::system::error_code error;
    const asio::ip::address ip = asio::ip::make_address(target_.host, error);
    const auto append_bytes = [&out](const auto& bytes) { out.append(bytes.begin(), bytes.end()); };
    if (error) {
      out += kName;
      append_short(target_.host, out);
    } else if (ip.is_v4()) {
      out += kIpv4;
      append_bytes(ip.to_v4().to_bytes());
    } else {
      out += kIpv6;
      append_bytes(ip.to_v6().to_bytes());
    }
    out += static_cast<char>(target_.port >> 8);
    out += static_cast<char>(target_.port & 0xff);
  }

  // Version, code, reserved, then the address the proxy connected from, of which only the size matters.
  Result<bool> reply(std::string& in) {
    if (!in.empty() && in[0] != kVersion)
      return malformed("its reply has version " + std::to_string(static_cast<unsigned char>(in[0])));
    if (in.size() < 2) return false;
    if (in[1] != 0) return std::unexpected(describe_reply(static_cast<unsigned char>(in[1])));
    if (in.size() < 5) return false;
    std::size_t address = 0;
    switch (in[3]) {
      case kIpv4:
        address = 4;
        break;
      case kIpv6:
        address = 16;
        break;
      case kName:
        address = 1 + static_cast<unsigned char>(in[4]);
        break;
      default:
        return malformed("its reply has an unknown kind of address");
    }
    const std::size_t size = 4 + address + 2;
    if (in.size() < size) return false;
    in.erase(0, size);
    return true;
  }

  static void append_short(const std::string& text, std::string& out) {
    const std::size_t size = std::min<std::size_t>(text.size(), 255);
    out += static_cast<char>(size);
    out.append(text, 0, size);
  }

  Proxy proxy_;
  Address target_;
  Step step_ = Step::method;
};

}  // namespace

std::unique_ptr<Opening> make_socks5_connect(const Proxy& proxy, const Address& target) {
  return std::make_unique<Socks5>(proxy, target);
}

}  // namespace sallyport::net
