// sallyport doctor: what makes a node unwell, or soon will. Works without a running node too, and then says less.
#include "node/doctor.h"

#include <boost/json.hpp>

#include <algorithm>

#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/libraries.h"
#include "cli/terminal.h"
#include "node/config.h"
#include "node/data_dir.h"

namespace sallyport::cli {
namespace {

using node::Finding;
using node::Findings;
using node::Verdict;

struct Arguments {
  std::string config;
  bool json = false;
};

void append(Findings& to, Findings more) { std::ranges::move(more, std::back_inserter(to)); }

Findings check_config(const Problems& problems) {
  Findings findings;
  for (const Problem& problem : problems) {
    findings.push_back(
        {"config", problem.warning ? Verdict::warning : Verdict::error, to_string(problem), "correct the settings"});
  }
  if (findings.empty()) findings.push_back({"config", Verdict::ok, "no problem found", ""});
  return findings;
}

// open62541 1.4.0 to 1.4.11 is in the affected range of CVE-2026-65423.
Finding check_open62541(const node::Config& config) {
  const std::string version = open62541_version();
  const bool used = std::ranges::any_of(config.sources, [](const auto& source) { return source.type == "opcua"; });
  const bool affected = UA_OPEN62541_VER_MAJOR == 1 &&
                        (UA_OPEN62541_VER_MINOR < 4 || (UA_OPEN62541_VER_MINOR == 4 && UA_OPEN62541_VER_PATCH <= 11));
  if (!affected) return {"open62541", Verdict::ok, version + ": no known advisory", ""};
  const std::string text =
      version + " is in the affected range of CVE-2026-65423" + (used ? "" : ", but this node has no OPC UA source");
  return {
      "open62541", used ? Verdict::warning : Verdict::ok, text,
      used
          ? "connect OPC UA sources with SignAndEncrypt to servers trusted by certificate, and install security updates"
          : ""};
}

Verdict parse_verdict(std::string_view text) {
  return text == "ok" ? Verdict::ok : text == "warning" ? Verdict::warning : Verdict::error;
}

Findings parse_findings(std::string_view line) {
  Findings findings;
  boost::system::error_code error;
  const auto parsed = boost::json::parse(line, error);
  if (error || !parsed.is_array())
    return {{"node", Verdict::error, "the node's answer is no JSON", "use the program of the same version"}};
  for (const auto& entry : parsed.get_array()) {
    const auto* object = entry.if_object();
    const auto text = [&](std::string_view key) {
      const auto* value = object ? object->if_contains(key) : nullptr;
      return value && value->is_string() ? std::string(value->get_string()) : std::string();
    };
    findings.push_back({text("about"), parse_verdict(text("verdict")), text("text"), text("advice")});
  }
  return findings;
}

Findings check_node(const Arguments& arguments, const std::string& data_dir) {
  const auto line = ask(arguments.config, R"({"command":"doctor"})");
  if (line) {
    Findings findings = {{"node", Verdict::ok, "running", ""}};
    append(findings, parse_findings(*line));
    return findings;
  }
  const auto holder = node::lock_holder(data_dir);
  if (holder) {
    return {{"node", Verdict::error,
             "process " + std::to_string(*holder) + " runs but does not answer: " + line.error().message,
             "look at its log; `kill -CONT` a stopped one, restart a hung one"}};
  }
  return {{"node", Verdict::warning, "not running: links and sockets were not looked at",
           "start it with `sallyport run -c " + arguments.config + "`"}};
}

void print_findings(const Findings& findings) {
  for (const Finding& finding : findings) {
    const Colour colour = finding.verdict == Verdict::ok        ? Colour::green
                          : finding.verdict == Verdict::warning ? Colour::yellow
                                                                : Colour::red;
    std::string mark = finding.verdict == Verdict::ok        ? "ok     "
                       : finding.verdict == Verdict::warning ? "warning"
                                                             : "error  ";
    std::string about = finding.about;
    about.resize(std::max<std::size_t>(about.size(), 11), ' ');
    print(coloured(mark, colour) + "  " + about + "  " + printable(finding.text) + "\n");
    if (!finding.advice.empty())
      print("                      " + coloured("→ " + printable(finding.advice), Colour::dim) + "\n");
  }
}

int doctor(const Arguments& arguments) {
  Problems problems;
  const auto config = node::read_config(arguments.config, node::connector_types(), problems);
  Findings findings = check_config(problems);
  append(findings, node::check_identity(config.identity_files, config.name));
  if (!config.data_dir.empty()) {
    append(findings, check_node(arguments, config.data_dir));
    append(findings, node::check_machine(config.data_dir));
  }
  findings.push_back(check_open62541(config));
  if (arguments.json) {
    print(node::findings_json(findings) + "\n");
  } else {
    print_findings(findings);
  }
  const bool sick =
      std::ranges::any_of(findings, [](const Finding& finding) { return finding.verdict == Verdict::error; });
  return sick ? kFailure : kSuccess;
}

}  // namespace

Command doctor_command() {
  return {"doctor", "Certificates, clock, sockets, limits, library versions: what is or soon will be wrong",
          [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.json(arguments->json);
            return [arguments] { return doctor(*arguments); };
          }};
}

}  // namespace sallyport::cli
