#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "node/version.h"

namespace sallyport::cli {

struct Options::Impl {
  CLI::App& app;
  Action& chosen;  // what to run, set by the (sub)command that was given
};

namespace {

// Sets up one command; its action becomes the chosen one when it (and none below it) was given.
void set_up(CLI::App& app, Action& chosen, const std::function<Action(Options&)>& setup) {
  Options::Impl impl{app, chosen};
  Options options(impl);
  const Action action = setup(options);
  if (!action) {
    app.require_subcommand(1);
    return;
  }
  app.callback([action, &chosen, &app] {
    if (app.get_subcommands().empty()) chosen = action;
  });
}

}  // namespace

void Options::text(const std::string& names, std::string& into, const std::string& help, Need need) {
  impl_.app.add_option(names, into, help)->required(need == Need::required)->capture_default_str();
}
void Options::texts(const std::string& names, std::vector<std::string>& into, const std::string& help, Need need) {
  impl_.app.add_option(names, into, help)->required(need == Need::required);
}
void Options::number(const std::string& names, std::int64_t& into, const std::string& help, std::int64_t min,
                     std::int64_t max) {
  impl_.app.add_option(names, into, help)->check(CLI::Range(min, max))->capture_default_str();
}
void Options::real(const std::string& names, double& into, const std::string& help, double min, double max) {
  impl_.app.add_option(names, into, help)->check(CLI::Range(min, max))->capture_default_str();
}
void Options::flag(const std::string& names, bool& into, const std::string& help) {
  impl_.app.add_flag(names, into, help);
}
void Options::choice(const std::string& names, std::string& into, const std::string& help,
                     std::vector<std::string> allowed) {
  impl_.app.add_option(names, into, help)->check(CLI::IsMember(std::move(allowed)))->capture_default_str();
}
void Options::config(std::string& into) {
  impl_.app.add_option("-c,--config", into, "the node's settings file")->envname("SALLYPORT_CONFIG")->required();
}
void Options::json(bool& into) { flag("--json", into, "print JSON, for scripts"); }
void Options::command(const std::string& name, const std::string& help, const std::function<Action(Options&)>& setup) {
  set_up(*impl_.app.add_subcommand(name, help), impl_.chosen, setup);
}
void Options::footer(const std::string& text) { impl_.app.footer(text); }

int run_program(int argc, char** argv, const std::vector<Command>& commands) {
  CLI::App app("sallyport mirrors live plant data through a DMZ, with no inbound port open on the plant.", "sallyport");
  app.set_version_flag("--version", "sallyport " + std::string(node::version()));
  app.require_subcommand(1);
  app.footer("`sallyport COMMAND --help` explains a command.");
  Action chosen;
  for (const Command& command : commands)
    set_up(*app.add_subcommand(command.name, command.help), chosen, command.setup);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSuccess : kUsage;
  }
  // A reader that has seen enough (`| head`) ends us quietly.
  const int code = chosen();
  if (std::fflush(stdout) != 0 && code == kSuccess) {
    std::fprintf(stderr, "error: cannot write to standard output\n");
    return kFailure;
  }
  return code;
}

}  // namespace sallyport::cli
