#include "net/receiver_key.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include <openssl/crypto.h>

#include "base/base64.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "net/certificate.h"
#include "net/new_files.h"

namespace sallyport::net {
namespace {

constexpr std::string_view kPublic = "SALLYPORT X-WING PUBLIC KEY";
constexpr std::string_view kPrivate = "SALLYPORT X-WING PRIVATE KEY";
constexpr std::size_t kLineLength = 64;
constexpr std::size_t kMaxFileBytes = 64 * 1024;

std::string line(std::string_view edge, std::string_view label) {
  return "-----" + std::string(edge) + " " + std::string(label) + "-----\n";
}

std::string armour(std::string_view label, const std::string& name, const std::string& fingerprint, std::span<const std::byte> bytes) {
  std::string base64;
  base64.reserve(bytes.size() * 2);  // so that no copy is left behind by growing
  append_base64(base64, bytes);
  std::string text;
  text.reserve(base64.size() * 2 + 512);
  text += line("BEGIN", label);
  text += "Name: " + name + "\nFingerprint: " + fingerprint + "\n\n";
  for (std::size_t at = 0; at < base64.size(); at += kLineLength) {
    text += std::string_view(base64).substr(at, kLineLength);
    text += '\n';
  }
  text += line("END", label);
  OPENSSL_cleanse(base64.data(), base64.size());
  return text;
}

struct Armoured {
  std::string name, fingerprint;
  Bytes bytes;
  Armoured() = default;
  Armoured(Armoured&&) = default;
  Armoured& operator=(Armoured&&) = delete;
  ~Armoured() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
};

std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view found = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  while (found.ends_with('\r') || found.ends_with(' ')) found.remove_suffix(1);
  return found;
}

// What stands before the BEGIN line is a remark; headers end with an empty line.
Result<Armoured> parse_armour(std::string_view text, std::string_view label, std::string_view other, std::string_view hint) {
  if (text.find("-----BEGIN " + std::string(other)) != std::string_view::npos) {
    return fail(ErrorCode::invalid, "holds a " + std::string(other) + ", needed is the " + std::string(label) + std::string(hint));
  }
  const std::string begin = line("BEGIN", label), end = line("END", label);
  const std::size_t at = text.find(std::string_view(begin).substr(0, begin.size() - 1));
  if (at == std::string_view::npos) {
    return fail(ErrorCode::malformed, "no " + std::string(label) + " in it" + std::string(hint));
  }
  text.remove_prefix(at);
  next_line(text);
  Armoured found;
  for (std::string_view header = next_line(text); !header.empty(); header = next_line(text)) {
    if (header.starts_with("Name: ")) found.name = header.substr(6);
    if (header.starts_with("Fingerprint: ")) found.fingerprint = header.substr(13);
  }
  std::string base64;
  base64.reserve(text.size());
  bool ended = false;
  while (!text.empty() && !ended) {
    const std::string_view each = next_line(text);
    ended = each == std::string_view(end).substr(0, end.size() - 1);
    if (!ended) base64 += each;
  }
  auto bytes = parse_base64(base64);
  OPENSSL_cleanse(base64.data(), base64.size());
  if (!ended || !bytes) return fail(ErrorCode::malformed, "the " + std::string(label) + " in it is damaged; copy the file again");
  found.bytes = *std::move(bytes);
  if (!valid_node_name(found.name)) return fail(ErrorCode::malformed, "the " + std::string(label) + " in it has no valid Name line");
  return found;
}

Result<void> check_fingerprint(const Armoured& found, const crypto::XWingPublic& key) {
  if (found.fingerprint == receiver_fingerprint(key)) return {};
  return fail(ErrorCode::malformed, "the key in it is not that of its Fingerprint line; copy the file again");
}

class SecretText {
 public:
  ~SecretText() { OPENSSL_cleanse(text.data(), text.size()); }
  std::string text;
};

Result<void> read_file(const std::string& file, std::string_view hint, std::string& text) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) {
    const int error = errno;
    if (error == ENOENT) return fail(ErrorCode::not_found, file + ": no such file" + std::string(hint));
    return std::unexpected(system_error(file, error));
  }
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, file + ": not a regular file");
  if (static_cast<std::size_t>(status.st_size) > kMaxFileBytes) return fail(ErrorCode::invalid, file + ": larger than 64 KiB; this is not the key of a receiver");
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(ErrorCode::io, file + ": cannot be read; the user that runs sallyport must be able to read it");
  text.resize(static_cast<std::size_t>(status.st_size));
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  return {};
}

constexpr std::string_view kHint = "; `sallyport keys receiver` makes both files of a receiver";

}  // namespace

std::string receiver_fingerprint(const crypto::XWingPublic& key) {
  std::string hex;
  for (const std::byte each : crypto::sha256(key)) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[std::to_integer<unsigned>(each) >> 4];
    hex += kDigits[std::to_integer<unsigned>(each) & 15];
  }
  return hex;
}

std::string to_text(const ReceiverPublic& key) { return armour(kPublic, key.name, receiver_fingerprint(key.key), key.key); }
std::string to_text(const ReceiverPrivate& key) {
  return armour(kPrivate, key.name, receiver_fingerprint(key.key.public_key()), key.key.seed());
}

Result<ReceiverPublic> parse_receiver_public(std::string_view text) {
  auto found = parse_armour(text, kPublic, kPrivate, "; carry the .receiver.pub alone, the private key stays at the receiver");
  if (!found) return std::unexpected(found.error());
  ReceiverPublic key{std::move(found->name), {}};
  if (found->bytes.size() != key.key.size()) return fail(ErrorCode::malformed, "the key in it has " + std::to_string(found->bytes.size()) + " bytes instead of 1,216; copy the file again");
  std::ranges::copy(found->bytes, key.key.begin());
  if (auto ok = check_fingerprint(*found, key.key); !ok) return std::unexpected(ok.error());
  // What is no key says so here, not when the first epoch is to begin.
  if (auto usable = crypto::x_wing_encapsulate(key.key); !usable) return fail(ErrorCode::malformed, usable.error().message);
  return key;
}

Result<ReceiverPrivate> parse_receiver_private(std::string_view text) {
  auto found = parse_armour(text, kPrivate, kPublic, "");
  if (!found) return std::unexpected(found.error());
  if (found->bytes.size() != crypto::kXWingSeedBytes) return fail(ErrorCode::malformed, "the key in it has " + std::to_string(found->bytes.size()) + " bytes instead of 32; copy the file again");
  auto key = crypto::XWingPrivate::from_seed(std::span(found->bytes).first<crypto::kXWingSeedBytes>());
  if (!key) return std::unexpected(key.error());
  if (auto ok = check_fingerprint(*found, key->public_key()); !ok) return std::unexpected(ok.error());
  return ReceiverPrivate{std::move(found->name), *std::move(key)};
}

Result<ReceiverPublic> load_receiver_public(const std::string& file) {
  std::string text;
  if (auto ok = read_file(file, kHint, text); !ok) return std::unexpected(ok.error());
  auto key = parse_receiver_public(text);
  if (!key) return within(file, key.error());
  return key;
}

Result<ReceiverPrivate> load_receiver_private(const std::string& file) {
  SecretText secret;
  if (auto ok = read_file(file, kHint, secret.text); !ok) return std::unexpected(ok.error());
  auto key = parse_receiver_private(secret.text);
  if (!key) return within(file, key.error());
  struct stat status{};
  if (::stat(file.c_str(), &status) == 0 && (status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    log::warn("private key open to every user of this machine; chmod 600 it", log::field("file", file));
  }
  return key;
}

ReceiverFile receiver_file_kind(const std::string& file) {
  SecretText secret;
  if (!read_file(file, "", secret.text)) return ReceiverFile::none;
  if (secret.text.find("-----BEGIN " + std::string(kPublic)) != std::string::npos) return ReceiverFile::public_key;
  if (secret.text.find("-----BEGIN " + std::string(kPrivate)) != std::string::npos) return ReceiverFile::private_key;
  return ReceiverFile::none;
}

Result<void> make_receiver_key(const std::string& name, const std::string& folder) {
  if (!valid_node_name(name)) {
    return fail(ErrorCode::invalid, "name '" + name + "': must be 1 to 64 of the characters A-Z a-z 0-9 . _ -");
  }
  if (auto ok = make_folder(folder, 0755); !ok) return ok;
  auto key = crypto::XWingPrivate::generate();
  if (!key) return std::unexpected(key.error());
  const ReceiverPrivate made{name, *std::move(key)};
  const std::string stem = (std::filesystem::path(folder) / (name + ".receiver")).string();
  std::array<NewFile, 2> files = {NewFile{stem + ".key", to_text(made), 0600},
                                  NewFile{stem + ".pub", to_text(ReceiverPublic{name, made.key.public_key()}), 0644}};
  auto written = write_new_files(files);
  OPENSSL_cleanse(files[0].content.data(), files[0].content.size());
  return written;
}

}  // namespace sallyport::net
