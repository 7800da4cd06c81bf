// sallyport version: of the program and of what it stands on.
#include "node/version.h"

#include <openssl/crypto.h>
#include <boost/version.hpp>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/libraries.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

int show_version(bool as_json) {
  const std::string openssl = OpenSSL_version(OPENSSL_FULL_VERSION_STRING);
  const std::string boost = std::to_string(BOOST_VERSION / 100'000) + "." + std::to_string(BOOST_VERSION / 100 % 1000);
  if (!as_json) {
    print("sallyport " + std::string(node::version()) + "\nOpenSSL " + openssl + ", open62541 " + open62541_version() +
          ", Boost " + boost + "\n");
    return kSuccess;
  }
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("version", node::version());
  json.field("openssl", openssl);
  json.field("open62541", open62541_version());
  json.field("boost", boost);
  json.end_object();
  print(out + "\n");
  return kSuccess;
}

}  // namespace

Command version_command() {
  return {"version", "The versions of the program and of its libraries", [](Options& options) -> Action {
            const auto as_json = std::make_shared<bool>(false);
            options.json(*as_json);
            return [as_json] { return show_version(*as_json); };
          }};
}

}  // namespace sallyport::cli
