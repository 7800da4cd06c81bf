// What `sallyport doctor` looks at: things outside the data that make a node unwell. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "net/tls.h"
#include "node/status.h"

namespace sallyport::node {

enum class Verdict : std::uint8_t { ok, warning, error };
std::string_view to_string(Verdict verdict);

struct Finding {
  std::string about;  // "clock", "certificate"
  Verdict verdict = Verdict::ok;
  std::string text;    // what is so
  std::string advice;  // what to do; empty when fine
};
using Findings = std::vector<Finding>;

// "tcp 0.0.0.0:4433": sockets of this process that wait for others to connect.
std::vector<std::string> listening_sockets();

Findings check_process();                         // of this process: listening sockets, descriptors
Findings check_status(const NodeStatus& status);  // links and their groups, what status hints at
Findings check_identity(const net::IdentityFiles& files, const std::string& name);
Findings check_machine(const std::string& data_dir);  // clock, disk, OpenSSL

// [{"about":…,"verdict":…,"text":…,"advice":…}, …]
std::string findings_json(const Findings& findings);

}  // namespace sallyport::node
