#include "cli/bench_deployment.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/admin_client.h"

namespace sallyport::cli::bench {
namespace {

namespace fs = std::filesystem;

constexpr Duration kLook = std::chrono::milliseconds(5);
constexpr Duration kReadyLimit = std::chrono::seconds(30);

Result<std::string> make_folder(const std::string& keep) {
  std::error_code error;
  if (!keep.empty()) {
    if (fs::exists(keep, error) && !fs::is_empty(keep, error))
      return fail(ErrorCode::exists, keep + " is not empty; give a folder that does not exist yet");
    fs::create_directories(keep, error);
    if (error) return fail(ErrorCode::io, keep + ": " + error.message());
    return fs::absolute(keep).string();
  }
  // Short, because the path of a node's socket may not be long.
  std::string name = "/tmp/sallyport-bench-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) return std::unexpected(system_error("cannot make a folder in /tmp", errno));
  return name;
}

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

std::string link_text(const LinkText& link) {
  std::string text;
  if (link.dial_port != 0) {
    text = "[[link]]\nname = " + in_quotes(link.peer) + "\npeer = " + in_quotes(link.peer) +
           "\ndial = " + in_quotes("127.0.0.1:" + std::to_string(link.dial_port)) + "\n";
  } else {
    text = "[[listen.peer]]\nname = " + in_quotes(link.peer) + "\n";
  }
  if (link.sends) text += "send = [\"bench/**\"]\n";
  if (link.receives) text += "receive = [\"bench/**\"]\n";
  return text + "\n";
}

std::string node_text(const std::string& node, bool listens, unsigned threads, const std::vector<LinkText>& links) {
  std::string text = "[node]\nname = " + in_quotes(node) + "\ndata_dir = " + in_quotes(node) +
                     "\nthreads = " + std::to_string(threads) + "\n\n[identity]\ncertificate = " + in_quotes("pki/" + node + ".crt") +
                     "\nprivate_key = " + in_quotes("pki/" + node + ".key") + "\ntrust = \"pki/ca.crt\"\n\n";
  for (const LinkText& link : links) {
    if (link.dial_port != 0) text += link_text(link);
  }
  if (!listens) return text;
  text += "[listen]\naddress = \"127.0.0.1:0\"\n\n";
  for (const LinkText& link : links) {
    if (link.dial_port == 0) text += link_text(link);
  }
  return text;
}

Result<void> write_file(const std::string& name, const std::string& text) {
  std::ofstream out(name, std::ios::binary);
  out << text;
  out.close();
  if (!out) return fail(ErrorCode::io, "cannot write " + name + "; is the disk full?");
  return {};
}

}  // namespace

const LinkFigures* StatusFigures::link(const std::string& peer) const {
  const auto found = std::ranges::find(links, peer, &LinkFigures::peer);
  return found == links.end() ? nullptr : &*found;
}

Result<std::unique_ptr<Deployment>> Deployment::make(const Interrupt& interrupt, const std::string& keep) {
  auto folder = make_folder(keep);
  if (!folder) return std::unexpected(folder.error());
  std::unique_ptr<Deployment> deployment(new Deployment(interrupt, *std::move(folder), !keep.empty()));
  net::CaRequest request;
  request.folder = deployment->file("pki");
  request.name = "bench CA";
  if (auto made = net::make_ca(request); !made) return std::unexpected(made.error());
  return deployment;
}

Deployment::~Deployment() {
  for (const Member& member : members_) member.child->signal(SIGTERM);  // all at once: each takes a moment
  members_.clear();
  std::error_code ignored;
  if (!keep_) fs::remove_all(folder_, ignored);
}

Result<void> Deployment::issue(const std::string& node, net::KeyAlgorithm algorithm) {
  net::IssueRequest request;
  request.ca_folder = request.folder = file("pki");
  request.name = node;
  request.algorithm = algorithm;
  return net::issue_certificate(request);
}

Result<void> Deployment::start(const std::string& node, bool listens, const std::vector<LinkText>& links,
                               const std::string& more) {
  if (auto ok = issue(node); !ok) return ok;
  if (auto ok = write_file(config_of(node), node_text(node, listens, threads_, links) + more); !ok) return ok;
  auto child = start_helper(node, {"run", "-c", config_of(node)});
  if (!child) return std::unexpected(child.error());
  return (*child)->wait_for_line(interrupt_, "ready", kReadyLimit);
}

void Deployment::stop(const std::string& node) {
  std::erase_if(members_, [&](const Member& member) { return member.name == node; });
}

Result<Child*> Deployment::start_helper(const std::string& name, const std::vector<std::string>& arguments) {
  auto child = Child::start(arguments, file(name + ".log"));
  if (!child) return std::unexpected(child.error());
  members_.push_back({name, *std::move(child)});
  return members_.back().child.get();
}

Child& Deployment::child(const std::string& node) const {
  return *std::ranges::find(members_, node, &Member::name)->child;
}

Usage Deployment::usage(const std::string& node) const { return child(node).usage(); }

Result<std::vector<std::string>> Deployment::digest_lines(const std::string& node) const {
  auto client = AdminClient::connect(config_of(node));
  if (!client) return std::unexpected(client.error());
  if (auto sent = client->send(pattern_request("digest", {"bench/**"})); !sent) return std::unexpected(sent.error());
  std::vector<std::string> lines;
  for (;;) {
    auto line = client->next(std::chrono::seconds(60));
    if (!line) return std::unexpected(line.error());
    if (!*line) break;
    lines.emplace_back(**line);
  }
  std::ranges::sort(lines);
  return lines;
}

Result<std::uint64_t> Deployment::differences(const std::string& one, const std::string& other) const {
  const auto here = digest_lines(one);
  if (!here) return std::unexpected(here.error());
  const auto there = digest_lines(other);
  if (!there) return std::unexpected(there.error());
  std::vector<std::string> only_here, only_there;
  std::ranges::set_difference(*here, *there, std::back_inserter(only_here));
  std::ranges::set_difference(*there, *here, std::back_inserter(only_there));
  return std::max(only_here.size(), only_there.size());
}

Result<void> Deployment::check_members() const {
  for (const Member& member : members_) {
    if (member.child->running()) continue;
    return fail(ErrorCode::closed, "node " + member.name + " ended; it said:\n" + member.child->last_output());
  }
  return {};
}

Result<void> Deployment::wait_until(const std::string& what, Duration limit,
                                    const std::function<Result<bool>()>& condition) const {
  const MonotonicTime deadline = monotonic_now() + limit;
  for (;;) {
    const auto holds = condition();
    if (!holds) return within("waiting until " + what, holds.error());
    if (*holds) return {};
    if (auto ok = check_members(); !ok) return ok;
    if (monotonic_now() > deadline) {
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit).count();
      return fail(ErrorCode::timeout, "gave up after " + std::to_string(seconds) + " s waiting until " + what);
    }
    if (auto ok = interrupt_.sleep(kLook); !ok) return ok;
  }
}

std::string text_of(const SimulatorText& simulator) {
  // "area-500/pump-0042/p500000" in the middle of a million points.
  const std::uint64_t middle = simulator.points / 2;
  const std::size_t below = std::string("area-/pump-0042/p").size() + std::to_string(middle / 1000 + 1).size() +
                            std::max<std::size_t>(6, std::to_string(middle).size());
  std::string into = "bench/";
  into.append(40 - std::min<std::size_t>(below + 1 + into.size(), 39), 'x');
  return "[[source.simulator]]\nname = \"plant\"\ninto = " + in_quotes(into) +
         "\npoints = " + std::to_string(simulator.points) +
         "\nrate = " + (simulator.rate ? std::to_string(*simulator.rate) : "\"max\"") +
         "\nshape = \"ramp\"\ntype = " + in_quotes(simulator.type) + "\norder = " + in_quotes(simulator.order) + "\n" +
         simulator.more + "\n";
}

std::string recorder_text(const std::string& result, const std::string& type, const std::string& more) {
  return "[[sink.recorder]]\nname = \"meter\"\npublish = [\"bench/**\"]\nresult = " + in_quotes(result) +
         "\nevery = \"100ms\"\ncheck = \"ramp\"\ntype = " + in_quotes(type) + "\n" + more + "\n";
}

}  // namespace sallyport::cli::bench
