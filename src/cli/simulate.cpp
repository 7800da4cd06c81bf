// sallyport simulate: an OPC UA plant to play with.
#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "net/tls.h"
#include "node/file_descriptor.h"
#include "protocol/opcua/plant_server.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string listen = "127.0.0.1:4840";
  std::int64_t port = -1;
  std::int64_t tags = 0;
  double rate = 100;
  std::string shape = "walk";
  std::int64_t seed = 1;
  bool security = false;
  bool only_secure = false;
  std::string save_certificate;
  std::string user;
  std::string password_file;
};

Result<std::string> read_password(const std::string& file) {
  std::ifstream in(file);
  std::string password;
  if (!std::getline(in, password)) return fail(ErrorCode::invalid, file + ": cannot read a password from it");
  return password;
}

Result<std::shared_ptr<const opcua::Identity>> make_identity(const Arguments& arguments, const std::string& host) {
  auto identity = opcua::make_self_signed({.name = "sallyport plant",
                                           .application_uri = opcua::kPlantNamespace,
                                           .hosts = {host.empty() ? "127.0.0.1" : host, "localhost"}});
  if (!identity) return std::unexpected(identity.error());
  if (!arguments.save_certificate.empty()) {
    const std::string& file = arguments.save_certificate;
    if (auto saved = opcua::save_identity(*identity, file, file + ".key"); !saved)
      return std::unexpected(saved.error());
  }
  return std::make_shared<const opcua::Identity>(*std::move(identity));
}

Result<opcua::PlantOptions> options_of(const Arguments& arguments) {
  const auto address = net::parse_address(arguments.listen);
  if (!address) return within("--listen", address.error());
  opcua::PlantOptions options;
  options.address = address->host == "0.0.0.0" || address->host == "::" ? "" : address->host;
  options.port = arguments.port >= 0 ? static_cast<std::uint16_t>(arguments.port) : address->port;
  options.tags = static_cast<std::uint32_t>(arguments.tags);
  options.rate = arguments.rate;
  options.shape = arguments.shape == "ramp" ? opcua::TagShape::ramp : opcua::TagShape::walk;
  options.seed = static_cast<std::uint64_t>(arguments.seed);
  options.allow_none = !arguments.only_secure;
  options.user = arguments.user;
  if (!arguments.user.empty()) {
    auto password = read_password(arguments.password_file);
    if (!password) return std::unexpected(password.error());
    options.password = *std::move(password);
  }
  if (arguments.security || arguments.only_secure) {
    auto identity = make_identity(arguments, options.address);
    if (!identity) return std::unexpected(identity.error());
    options.identity = *std::move(identity);
  }
  return options;
}

// The library's sockets share their port with whoever else runs a plant there, and clients would reach now the one, now
// the other. A socket that does not share it tells whether it is free.
Result<void> check_free(const opcua::PlantOptions& options) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* addresses = nullptr;
  const std::string port = std::to_string(options.port);
  const char* host = options.address.empty() ? nullptr : options.address.c_str();
  if (const int failure = ::getaddrinfo(host, port.c_str(), &hints, &addresses); failure != 0) {
    return fail(ErrorCode::invalid, "--listen " + options.address + ": " + ::gai_strerror(failure));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> freed(addresses, ::freeaddrinfo);
  const node::FileDescriptor probe(::socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;  // but not for a port that was in use a moment ago
  ::setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(probe.get(), addresses->ai_addr, addresses->ai_addrlen) == 0) return {};
  Error error = system_error("cannot listen on " + options.address + ":" + port, errno);
  error.message += "; choose another with --listen or --port, or 0 for any free one";
  return std::unexpected(std::move(error));
}

void announce(const opcua::PlantServer& plant) {
  print("A pump station with " + friendly_count(plant.points()) + " points at " + plant.endpoint() +
        " until Ctrl-C. To connect a node:\n\n"
        "[[source.opcua]]\n"
        "name     = \"plant\"\n"
        "endpoint = \"" +
        plant.endpoint() +
        "\"\n"
        "into     = \"acme/berlin/line1\"\n"
        "browse   = [\"" +
        opcua::kPlantStartNode +
        "\"]\n"
        "security = \"none\"\n");
  std::fflush(stdout);
  std::fputs("ready\n", stderr);
  std::fflush(stderr);
}

sigset_t heeded_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  return signals;
}

// For whoever measures: how many changes there were to see.
void announce_rest(const opcua::PlantServer& plant) {
  std::fputs(("resting after " + std::to_string(plant.tag_changes()) + " changes of tags\n").c_str(), stderr);
  std::fflush(stderr);
}

// Says when the plant listens, lets it rest at SIGUSR1 and go on at SIGUSR2, and ends it at SIGINT or SIGTERM. On a
// thread of its own, since the server takes this one.
void attend(std::stop_token done, opcua::PlantServer& plant) {
  const sigset_t signals = heeded_signals();
  const timespec pause{0, 50'000'000};
  bool announced = false, to_rest = false;
  while (!done.stop_requested()) {
    if (!announced && plant.running()) {
      announce(plant);
      announced = true;
    }
    const int signal = sigtimedwait(&signals, nullptr, &pause);
    if (signal == SIGUSR1 || signal == SIGUSR2) plant.rest(to_rest = signal == SIGUSR1);
    if (to_rest && plant.at_rest()) {
      announce_rest(plant);
      to_rest = false;
    }
    if (signal == SIGINT || signal == SIGTERM) return plant.stop();
  }
}

int simulate(const Arguments& arguments) {
  const auto options = options_of(arguments);
  if (!options) return failed(options.error());
  if (auto free = check_free(*options); !free) return failed(free.error());
  auto plant = opcua::PlantServer::make(*options);
  if (!plant) return failed(plant.error());
  const sigset_t signals = heeded_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const std::jthread attendant([&](std::stop_token done) { attend(done, **plant); });
  if (auto ran = (*plant)->run(); !ran) return failed(ran.error());
  return kSuccess;
}

}  // namespace

Command simulate_command() {
  return {
      "simulate", "An OPC UA plant to play with: pumps, tanks and as many tags as you like",
      [](Options& options) -> Action {
        const auto arguments = std::make_shared<Arguments>();
        options.text("--listen", arguments->listen, "the address to listen on");
        options.number("--port", arguments->port, "the port, instead of that in --listen; 0: any free one", -1, 65'535);
        options.number("--tags", arguments->tags, "further analog tags", 0, 5'000'000);
        options.real("--rate", arguments->rate, "changes per second over all further tags", 0, 1e7);
        options.choice("--shape", arguments->shape, "how they move: a random walk, or 0, 1, 2 …", {"walk", "ramp"});
        options.number("--seed", arguments->seed, "the same seed gives the same plant", 0, INT64_MAX);
        options.flag("--security", arguments->security, "offer the three current security policies too");
        options.flag("--only-secure", arguments->only_secure, "offer nothing but them");
        options.text("--save-certificate", arguments->save_certificate,
                     "write the plant's certificate to this file (its key beside it), to be trusted by clients");
        options.text("--user", arguments->user, "let in this user only; needs --password-file");
        options.text("--password-file", arguments->password_file, "the user's password, in the first line of a file");
        options.footer(
            "SIGUSR1 lets the plant rest (nothing changes, and it says how many changes there were), SIGUSR2 lets it "
            "go on.");
        return [arguments] { return simulate(*arguments); };
      }};
}

}  // namespace sallyport::cli
