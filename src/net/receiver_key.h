// The files of a receiver's X-Wing key, as `sallyport keys receiver` makes them: NAME.receiver.key stays where data arrives,
// NAME.receiver.pub alone is carried to the senders. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/x_wing.h"

namespace sallyport::net {

struct ReceiverPublic {
  std::string name;
  crypto::XWingPublic key{};
};
struct ReceiverPrivate {
  std::string name;
  crypto::XWingPrivate key;
};

// SHA-256 of the public key, hex: what two people read to each other.
std::string receiver_fingerprint(const crypto::XWingPublic& key);

std::string to_text(const ReceiverPublic& key);
// Whoever has this text can read what is sealed for the key; overwrite it after use.
std::string to_text(const ReceiverPrivate& key);
// malformed; invalid when it is the other of the two files.
Result<ReceiverPublic> parse_receiver_public(std::string_view text);
Result<ReceiverPrivate> parse_receiver_private(std::string_view text);

// The same from files, with errors that name them. A private one that everybody may read is warned of in the log.
Result<ReceiverPublic> load_receiver_public(const std::string& file);
Result<ReceiverPrivate> load_receiver_private(const std::string& file);
// Does the file look like one of these? For `keys show`.
enum class ReceiverFile : std::uint8_t { none, public_key, private_key };
ReceiverFile receiver_file_kind(const std::string& file);

// Writes NAME.receiver.key (0600) and NAME.receiver.pub; refuses to overwrite.
Result<void> make_receiver_key(const std::string& name, const std::string& folder);

}  // namespace sallyport::net
