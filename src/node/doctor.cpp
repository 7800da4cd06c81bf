#include "node/doctor.h"

#include "node/diode_status.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace sallyport::node {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDay = 86'400'000'000'000;
constexpr rlim_t kFewDescriptors = 4096;
constexpr std::uint64_t kLittleSpace = 512ull * 1024 * 1024;
constexpr long kLargeClockError = 500'000;  // µs

std::set<std::string> own_socket_inodes() {
  std::set<std::string> inodes;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
  }
  return inodes;
}

// "0100007F:1F90" of /proc/net/tcp: each 32-bit word in host order, hexadecimal.
std::string readable_address(std::string_view text) {
  const auto colon = text.find(':');
  const auto host = text.substr(0, colon);
  std::array<std::uint32_t, 4> words{};
  const std::size_t count = host.size() / 8;
  for (std::size_t i = 0; i < std::min(count, words.size()); ++i) {
    std::from_chars(host.data() + 8 * i, host.data() + 8 * i + 8, words[i], 16);
  }
  unsigned port = 0;
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), port, 16);
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  ::inet_ntop(count == 1 ? AF_INET : AF_INET6, words.data(), buffer.data(), buffer.size());
  const std::string address = buffer.data();
  return (count == 1 ? address : "[" + address + "]") + ":" + std::to_string(port);
}

void add_listening(const char* table, std::string_view protocol, std::string_view state,
                   const std::set<std::string>& inodes, std::vector<std::string>& out) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::array<std::string, 10> field;
    for (auto& one : field) fields >> one;
    if (field[3] == state && inodes.contains(field[9]))
      out.push_back(std::string(protocol) + " " + readable_address(field[1]));
  }
}

Finding check_clock() {
  timex clock{};
  const int state = ::adjtimex(&clock);
  if (state < 0)
    return {"clock", Verdict::warning, "the kernel does not tell whether the clock is synchronised",
            "check it with timedatectl"};
  if (state == TIME_ERROR || (clock.status & STA_UNSYNC) != 0) {
    return {"clock", Verdict::warning, "the clock is not synchronised",
            "run an NTP client (chrony, systemd-timesyncd): source times and delays of this node are only as good as "
            "its clock"};
  }
  const std::string error = std::to_string(clock.maxerror / 1000) + " ms";
  if (clock.maxerror > kLargeClockError)
    return {"clock", Verdict::warning, "the clock may be wrong by " + error, "check the NTP servers"};
  return {"clock", Verdict::ok, "synchronised, at most " + error + " wrong", ""};
}

Finding check_disk(const std::string& data_dir) {
  struct statvfs info{};
  if (::statvfs(data_dir.c_str(), &info) != 0) {
    return {"disk", Verdict::warning, "data_dir " + data_dir + " does not exist yet",
            "the node makes it when it starts"};
  }
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  const std::string text = data_dir + " has " + std::to_string(free / 1'000'000) + " MB free";
  if (free < kLittleSpace) return {"disk", Verdict::warning, text, "make room: a full disk stops what is journalled"};
  return {"disk", Verdict::ok, text, ""};
}

bool has_group(const char* group) {
  SSL_CTX* context = SSL_CTX_new(TLS_method());
  const bool ok = context && SSL_CTX_set1_groups_list(context, group) == 1;
  SSL_CTX_free(context);
  return ok;
}

Finding check_openssl() {
  const std::string version = OpenSSL_version(OPENSSL_VERSION);
  std::string groups, missing;
  for (const char* group : {"X25519MLKEM768", "SecP256r1MLKEM768"}) {
    std::string& list = has_group(group) ? groups : missing;
    list += (list.empty() ? "" : ", ") + std::string(group);
  }
  if (groups.empty()) {
    return {"openssl", Verdict::error, version + " offers no hybrid ML-KEM group",
            "install OpenSSL 3.5 or later; a crypto policy may also have disabled it"};
  }
  return {"openssl", Verdict::ok, version + "; groups: " + groups + (missing.empty() ? "" : "; without " + missing),
          ""};
}

Finding check_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  std::error_code error;
  const auto used = std::distance(fs::directory_iterator("/proc/self/fd", error), fs::directory_iterator());
  const std::string text =
      std::to_string(used) + " of " + std::to_string(limit.rlim_cur) + " file descriptors are in use";
  if (limit.rlim_cur < kFewDescriptors || static_cast<rlim_t>(used) > limit.rlim_cur / 2) {
    return {"limits", Verdict::warning, text, "raise it: LimitNOFILE=65536 in the unit, or `ulimit -n`"};
  }
  return {"limits", Verdict::ok, text, ""};
}

// Whether the disk has the room that the settings promise, before it is needed.
Finding check_journal(const journal::JournalStatus& journal, const std::string& data_dir) {
  constexpr std::uint64_t kMega = 1'000'000;
  if (!journal.failure.empty()) return {"journal", Verdict::error, "cannot write: " + journal.failure, "make room or mend the disk; nothing is acknowledged until then"};
  struct statvfs info{};
  if (::statvfs(data_dir.c_str(), &info) != 0) return {"journal", Verdict::warning, data_dir + " cannot be looked at", "check the disk"};
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  const std::uint64_t wanted = journal.max_bytes - std::min(journal.max_bytes, journal.bytes);
  std::string text = std::to_string(journal.bytes / kMega) + " MB kept of " + std::to_string(journal.max_bytes / kMega) + " MB allowed, " + std::to_string(free / kMega) + " MB free";
  if (free < wanted) {
    if (journal.bytes_per_second >= 1) text += "; full after " + std::to_string(static_cast<std::uint64_t>(static_cast<double>(free) / journal.bytes_per_second / 60)) + " minutes without a reader";
    return {"journal", Verdict::warning, text, "the disk will be full before max_size is reached: make room, or lower max_size in [journal]"};
  }
  return {"journal", Verdict::ok, text, ""};
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  return verdict == Verdict::ok ? "ok" : verdict == Verdict::warning ? "warning" : "error";
}

std::vector<std::string> listening_sockets() {
  const auto inodes = own_socket_inodes();
  std::vector<std::string> out;
  add_listening("/proc/self/net/tcp", "tcp", "0A", inodes, out);
  add_listening("/proc/self/net/tcp6", "tcp", "0A", inodes, out);
  add_listening("/proc/self/net/udp", "udp", "07", inodes, out);
  add_listening("/proc/self/net/udp6", "udp", "07", inodes, out);
  return out;
}

Findings check_process() {
  Findings findings;
  const auto sockets = listening_sockets();
  std::string list;
  for (const auto& socket : sockets) list += (list.empty() ? "" : ", ") + socket;
  findings.push_back({"listening", Verdict::ok,
                      sockets.empty() ? "nothing: no TCP or UDP socket of this node waits for anybody" : list, ""});
  findings.push_back(check_descriptors());
  return findings;
}

Findings check_status(const NodeStatus& status) {
  Findings findings;
  for (const auto& link : status.links) {
    const auto of_diode = check_diode(link);
    findings.insert(findings.end(), of_diode.begin(), of_diode.end());
    if (link.state != link::LinkState::up) continue;
    findings.push_back({"link", Verdict::ok, link.name + " to " + link.peer + ": up, " + link.group, ""});
  }
  if (status.journal) findings.push_back(check_journal(*status.journal, status.data_dir));
  for (const auto& stream : status.verifying) {
    if (stream.state != seal::StreamState::live) continue;   // the hints say so
    findings.push_back({"seals", Verdict::ok,
                        "of " + stream.origin + ": live, " + std::to_string(stream.points) + " points, certificate expires in " +
                            std::to_string((stream.certificate_not_after - status.now) / kDay) + " days", ""});
  }
  if (status.sign_certificate_not_after) {
    findings.push_back({"sign_certificate", Verdict::ok, "expires in " + std::to_string((*status.sign_certificate_not_after - status.now) / kDay) + " days", ""});
  }
  for (const auto& hint : status.hints)
    findings.push_back({"status", Verdict::warning, hint, "see `sallyport status`"});
  return findings;
}

Findings check_identity(const net::IdentityFiles& files, const std::string& name) {
  if (files.certificate.empty()) return {{"certificate", Verdict::ok, "none: this node has no links", ""}};
  const auto identity = net::TlsIdentity::load(files, name);
  if (!identity)
    return {{"certificate", Verdict::error, identity.error().message, "issue a new one with `sallyport keys issue`"}};
  Findings findings;
  if (!files.key_log.empty()) {
    findings.push_back({"key_log", Verdict::warning, files.key_log + ": " + net::kKeyLogWarning, "remove key_log from [identity], reload, delete the file"});
  }
  const auto& certificate = (*identity)->certificate();
  const auto left = (certificate.not_after - SystemClock().utc()) / kDay;
  const std::string text = certificate.name + ", " + certificate.algorithm + ", issued by " + certificate.issuer +
                           ", expires in " + std::to_string(left) + " days (" + format_utc(certificate.not_after) + ")";
  if (left < 30) {
    findings.push_back({"certificate", Verdict::warning, text, "issue a new one with `sallyport keys issue` and reload the node"});
  } else {
    findings.push_back({"certificate", Verdict::ok, text, ""});
  }
  return findings;
}

Findings check_machine(const std::string& data_dir) { return {check_clock(), check_disk(data_dir), check_openssl()}; }

std::string findings_json(const Findings& findings) {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const Finding& finding : findings) {
    json.begin_object();
    json.field("about", finding.about);
    json.field("verdict", to_string(finding.verdict));
    json.field("text", finding.text);
    json.field("advice", finding.advice);
    json.end_object();
  }
  json.end_array();
  return out;
}

}  // namespace sallyport::node
