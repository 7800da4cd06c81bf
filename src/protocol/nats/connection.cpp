#include "protocol/nats/connection.h"

#include <csignal>

namespace sallyport::nats {
namespace {

constexpr std::int64_t kConnectMs = 2000;
constexpr std::int64_t kPingMs = 1000;  // a frozen server is noticed after two to three of these
constexpr int kPingsOut = 2;
constexpr std::int64_t kWriteMs = 2000;

bool loopback(std::string_view server) {
  const std::size_t at = server.find("://");
  const std::string_view host = server.substr(at == std::string_view::npos ? 0 : at + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

Result<void> check_server(std::string_view server) {
  const auto wrong = [&](const char* why) {
    return fail(ErrorCode::invalid, "'" + std::string(server) + "': " + why + "; write \"nats://host:4222\", or \"tls://host:4222\"");
  };
  if (!server.starts_with("nats://") && !server.starts_with("tls://")) return wrong("no address of a NATS server");
  if (server.find('@') != std::string_view::npos) return wrong("user and password belong into `user` and `password_file`");
  if (server.size() == server.find("://") + 3) return wrong("the host is missing");
  if (server.find_first_of(" \t,") != std::string_view::npos) return wrong("one address each, without blanks");
  return {};
}

void read_servers(SettingsReader& settings, ServerOptions& options) {
  if (settings.has("servers") && !settings.is_array("servers")) options.servers = {settings.string("servers", "")};
  else options.servers = settings.strings("servers", {});
  if (options.servers.empty()) settings.problem("servers", "`servers` is missing: servers = [\"nats://host:4222\"]");
  for (const std::string& server : options.servers) {
    if (const auto ok = check_server(server); !ok) settings.problem("servers", ok.error().message);
    options.tls = options.tls || server.starts_with("tls://");
  }
}

void read_credentials(SettingsReader& settings, ServerOptions& options) {
  options.user = settings.string("user", "");
  options.password = settings.secret("password");
  options.token = settings.secret("token");
  options.credentials = settings.file("credentials");
  if (options.user.empty() != options.password.empty()) {
    settings.problem("user", "`user` goes together with `password_file` or `password_env`");
  }
  const int ways = static_cast<int>(!options.user.empty()) + static_cast<int>(!options.token.empty()) +
                   static_cast<int>(!options.credentials.empty());
  if (ways > 1) settings.problem("", "give one of `user`, a token and `credentials`");
  if (ways == 0 || options.tls) return;
  for (const std::string& server : options.servers) {
    if (!loopback(server)) return settings.warning("servers", "secrets cross the network in the clear; use \"tls://\"");
  }
}

void read_tls(SettingsReader& settings, ServerOptions& options) {
  options.ca = settings.file("ca");
  options.certificate = settings.file("certificate");
  options.private_key = settings.file("private_key");
  for (const char* key : {"ca", "certificate", "private_key"}) {
    if (!options.tls && settings.has(key)) settings.problem(key, std::string("`") + key + "` is for TLS; the servers would have to be \"tls://…\"");
  }
  if (options.certificate.empty() != options.private_key.empty()) {
    settings.problem(options.certificate.empty() ? "private_key" : "certificate", "`certificate` and `private_key` go together");
  }
}

// The library's host check is off unless it is told a name, and then it is the same for all servers.
std::string host_of(std::string server) {
  server.erase(0, server.find("://") + 3);
  if (server.starts_with('[')) return server.substr(1, server.find(']') - 1);
  return server.substr(0, server.find(':'));
}

natsStatus set_tls(natsOptions* options, const ServerOptions& wanted) {
  natsStatus status = natsOptions_SetSecure(options, true);
  if (status == NATS_OK && !wanted.ca.empty()) status = natsOptions_LoadCATrustedCertificates(options, wanted.ca.c_str());
  if (status == NATS_OK && !wanted.certificate.empty()) {
    status = natsOptions_LoadCertificatesChain(options, wanted.certificate.c_str(), wanted.private_key.c_str());
  }
  return status;
}

natsStatus set_login(natsOptions* options, const ServerOptions& wanted) {
  if (!wanted.user.empty()) return natsOptions_SetUserInfo(options, wanted.user.c_str(), wanted.password.c_str());
  if (!wanted.token.empty()) return natsOptions_SetToken(options, wanted.token.c_str());
  if (!wanted.credentials.empty()) return natsOptions_SetUserCredentialsFromFiles(options, wanted.credentials.c_str(), nullptr);
  return NATS_OK;
}

natsStatus set_options(natsOptions* options, const ServerOptions& wanted, const std::string& server) {
  natsStatus status = natsOptions_SetURL(options, server.c_str());
  if (status == NATS_OK) status = natsOptions_SetName(options, wanted.client_name.c_str());
  if (status == NATS_OK) status = natsOptions_SetTimeout(options, kConnectMs);
  if (status == NATS_OK) status = natsOptions_SetPingInterval(options, kPingMs);
  if (status == NATS_OK) status = natsOptions_SetMaxPingsOut(options, kPingsOut);
  if (status == NATS_OK) status = natsOptions_SetWriteDeadline(options, kWriteMs);
  if (status == NATS_OK) status = natsOptions_SetAllowReconnect(options, false);
  // A node dials only what it was told to dial, never what a server suggests.
  if (status == NATS_OK) status = natsOptions_SetIgnoreDiscoveredServers(options, true);
  if (status == NATS_OK) status = set_login(options, wanted);
  if (status == NATS_OK && wanted.tls) status = set_tls(options, wanted);
  if (status == NATS_OK && wanted.tls) status = natsOptions_SetExpectedHostname(options, host_of(server).c_str());
  return status;
}

}  // namespace

ServerOptions read_server_options(SettingsReader& settings, std::string client_name) {
  ServerOptions options;
  options.client_name = std::move(client_name);
  read_servers(settings, options);
  read_credentials(settings, options);
  read_tls(settings, options);
  return options;
}

Error nats_error(std::string_view what, natsStatus status) {
  std::string message = std::string(what) + ": " + natsStatus_GetText(status);
  if (const char* more = nats_GetLastError(nullptr); more != nullptr && *more != '\0') message += std::string(" (") + more + ")";
  const ErrorCode code = status == NATS_TIMEOUT ? ErrorCode::timeout : ErrorCode::unavailable;
  return {code, std::move(message)};
}

// --- Connection ------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Connection>> Connection::open(const ServerOptions& options) {
  Error last{ErrorCode::unavailable, "no server"};
  for (const std::string& server : options.servers) {
    std::unique_ptr<Connection> connection(new Connection());
    natsStatus status = natsOptions_Create(&connection->options_);
    if (status == NATS_OK) status = set_options(connection->options_, options, server);
    if (status == NATS_OK) status = natsConnection_Connect(&connection->connection_, connection->options_);
    if (status == NATS_OK) return connection;
    last = nats_error(server, status);
  }
  return std::unexpected(std::move(last));
}

Connection::~Connection() {
  natsConnection_Destroy(connection_);
  natsOptions_Destroy(options_);
}

bool Connection::closed() const { return natsConnection_IsClosed(connection_); }

std::string Connection::reason() const {
  const char* text = nullptr;
  const natsStatus status = natsConnection_GetLastError(connection_, &text);
  if (text != nullptr && *text != '\0') return text;
  return status == NATS_OK ? "connection closed by the server" : natsStatus_GetText(status);
}

std::string Connection::server() const {
  char url[512] = {};
  return natsConnection_GetConnectedUrl(connection_, url, sizeof url) == NATS_OK ? url : "";
}

// --- Inbox -----------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Inbox>> Inbox::open(Connection& connection, const std::string& subject, const std::string& queue_group,
                                           std::size_t max, const WakeFd& wake) {
  std::unique_ptr<Inbox> inbox(new Inbox());
  inbox->shared_ = std::make_shared<Shared>();
  inbox->shared_->max = max;
  inbox->shared_->wake = &wake;
  auto held = std::make_unique<std::shared_ptr<Shared>>(inbox->shared_);
  natsStatus status = queue_group.empty()
      ? natsConnection_Subscribe(&inbox->subscription_, connection.get(), subject.c_str(), on_message, held.get())
      : natsConnection_QueueSubscribe(&inbox->subscription_, connection.get(), subject.c_str(), queue_group.c_str(), on_message, held.get());
  if (status == NATS_OK) status = natsSubscription_SetOnCompleteCB(inbox->subscription_, on_complete, held.get());
  if (status == NATS_OK) {
    static_cast<void>(held.release());  // on_complete() deletes it
    return inbox;
  }
  const Error error = nats_error("subscribe to '" + subject + "'", status);
  if (inbox->subscription_ != nullptr) static_cast<void>(held.release());  // rather lost than used after its end
  return std::unexpected(error);
}

Inbox::~Inbox() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->wake = nullptr;
    shared_->messages.clear();
  }
  natsSubscription_Destroy(subscription_);
}

void Inbox::on_message(natsConnection*, natsSubscription*, natsMsg* message, void* shared) {
  MessagePtr owned(message);
  Shared& box = **static_cast<std::shared_ptr<Shared>*>(shared);
  const std::lock_guard lock(box.mutex);
  if (box.wake == nullptr) return;
  if (box.messages.size() >= box.max) {
    ++box.dropped;
    return;
  }
  box.messages.push_back(std::move(owned));
  if (box.messages.size() == 1) box.wake->wake();
}

void Inbox::on_complete(void* shared) { delete static_cast<std::shared_ptr<Shared>*>(shared); }

void Inbox::take(std::vector<MessagePtr>& out) {
  out.clear();
  const std::lock_guard lock(shared_->mutex);
  out.swap(shared_->messages);
}

std::uint64_t Inbox::dropped() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->dropped;
}

}  // namespace sallyport::nats
