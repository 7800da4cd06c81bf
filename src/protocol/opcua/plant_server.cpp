#include "protocol/opcua/plant_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <open62541/plugin/accesscontrol_default.h>
#include <open62541/plugin/pki_default.h>
#include <open62541/server.h>
#include <open62541/server_config_default.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <vector>

#include "protocol/opcua/client.h"
#include "protocol/opcua/plant_model.h"

namespace sallyport::opcua {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(50);

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// A port that was free a moment ago.
Result<std::uint16_t> free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(system_error("socket", errno));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const int error = errno;
  ::close(fd);
  if (!bound) return std::unexpected(system_error("bind", error));
  return ntohs(address.sin_port);
}

UA_LocalizedText localized(std::string_view text) { return {borrow("en"), borrow(text)}; }

}  // namespace

struct PlantServer::Impl {
  explicit Impl(PlantOptions from) : options(std::move(from)), model(options.tags, options.seed, options.shape) {}
  ~Impl() {
    if (server != nullptr) UA_Server_delete(server);
  }

  Result<void> configure(UA_ServerConfig& config);
  Result<void> secure(UA_ServerConfig& config);
  void limit(UA_ServerConfig& config) const;
  Result<void> build();
  UA_NodeId folder(const std::string& path);
  UA_StatusCode add(const Signal& signal);
  UA_StatusCode properties(const UA_NodeId& node, const Signal& signal);
  UA_StatusCode property(const UA_NodeId& parent, const char* name, const UA_Variant& value, const UA_DataType& type);
  void write(std::size_t index);
  void tick();

  PlantOptions options;
  PlantModel model;
  UA_Logger logger = make_logger();
  UA_Server* server = nullptr;
  UA_UInt16 ns = 0;
  std::vector<NodeId> nodes;              // by signal
  std::map<std::string, NodeId> folders;  // by path
  double owed = 0;                        // changes of further tags that are due
  MonotonicTime last_tick{}, next_step{};
  std::atomic<bool> stop{false}, running{false};
  std::atomic<bool> resting{false}, at_rest{false};
  std::atomic<std::uint64_t> changes{0}, tag_changes{0};
};

Result<void> PlantServer::Impl::secure(UA_ServerConfig& config) {
  const UA_ByteString certificate = options.identity ? borrow(options.identity->certificate.der) : UA_ByteString{};
  const UA_ByteString key = options.identity ? borrow(options.identity->private_key) : UA_ByteString{};
  UA_StatusCode done = UA_ServerConfig_addSecurityPolicyNone(&config, options.identity ? &certificate : nullptr);
  if (options.identity) {
    done |= UA_ServerConfig_addSecurityPolicyBasic256Sha256(&config, &certificate, &key);
    done |= UA_ServerConfig_addSecurityPolicyAes128Sha256RsaOaep(&config, &certificate, &key);
    done |= UA_ServerConfig_addSecurityPolicyAes256Sha256RsaPss(&config, &certificate, &key);
    // A toy: any client certificate is good enough.
    UA_CertificateVerification_AcceptAll(&config.secureChannelPKI);
  }
  const UA_UsernamePasswordLogin login{borrow(options.user), borrow(options.password)};
  const bool users = !options.user.empty();
  config.allowNonePolicyPassword = users && !options.identity;
  const UA_String token = borrow(options.identity ? "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
                                                  : "http://opcfoundation.org/UA/SecurityPolicy#None");
  done |= UA_AccessControl_default(&config, !users, users ? &token : nullptr, users ? 1 : 0, users ? &login : nullptr);
  config.securityPolicyNoneDiscoveryOnly = !options.allow_none;
  done |=
      options.allow_none ? UA_ServerConfig_addAllEndpoints(&config) : UA_ServerConfig_addAllSecureEndpoints(&config);
  if (done != UA_STATUSCODE_GOOD)
    return fail(ErrorCode::invalid, std::string("cannot set up the server's security: ") + UA_StatusCode_name(done));
  return {};
}

void PlantServer::Impl::limit(UA_ServerConfig& config) const {
  const std::uint32_t items = 2 * (options.tags + 1000);
  config.maxSessions = options.max_sessions;
  config.maxSecureChannels = static_cast<UA_UInt16>(2 * options.max_sessions);
  config.maxSessionTimeout = 60.0 * 60 * 1000;
  config.maxSubscriptions = 4u * options.max_sessions;
  config.maxSubscriptionsPerSession = 10;
  config.maxMonitoredItems = items * options.max_sessions;
  config.maxMonitoredItemsPerSubscription = items;
  config.maxPublishReqPerSession = 20;
  config.maxRetransmissionQueueSize = 100;
  config.maxNodesPerRead = config.maxNodesPerWrite = config.maxNodesPerBrowse = 10'000;
  config.maxMonitoredItemsPerCall = 10'000;
  config.publishingIntervalLimits = {20, 3600.0 * 1000};
  config.samplingIntervalLimits = {20, 3600.0 * 1000};
  config.queueSizeLimits = {1, 100};
  config.tcpMaxMsgSize = 64 * 1024 * 1024;
  config.tcpMaxChunks = 16 * 1024;
}

Result<void> PlantServer::Impl::configure(UA_ServerConfig& config) {
  config.logging = &logger;
  if (UA_ServerConfig_setBasics_withPort(&config, options.port) != UA_STATUSCODE_GOOD)
    return fail(ErrorCode::internal, "cannot configure the server");
  UA_Array_delete(config.serverUrls, config.serverUrlsSize, &UA_TYPES[UA_TYPES_STRING]);
  config.serverUrls = static_cast<UA_String*>(UA_Array_new(1, &UA_TYPES[UA_TYPES_STRING]));
  config.serverUrls[0] = copy_string("opc.tcp://" + options.address + ":" + std::to_string(options.port));
  config.serverUrlsSize = 1;
  UA_String_clear(&config.applicationDescription.applicationUri);
  config.applicationDescription.applicationUri =
      copy_string(options.identity ? options.identity->certificate.application_uri : "urn:sallyport:plant-server");
  UA_LocalizedText_clear(&config.applicationDescription.applicationName);
  config.applicationDescription.applicationName = {copy_string("en"), copy_string("sallyport plant simulator")};
  limit(config);
  return secure(config);
}

// The folder at this path below the start node ("" is the start node), made when it is not there. Borrowed.
UA_NodeId PlantServer::Impl::folder(const std::string& path) {
  const auto known = folders.find(path);
  if (known != folders.end()) return *known->second;
  const std::size_t slash = path.rfind('/');
  const bool top = path.empty();
  const UA_NodeId parent = top ? UA_NODEID_NUMERIC(0, UA_NS0ID_OBJECTSFOLDER)
                               : folder(slash == std::string::npos ? std::string() : path.substr(0, slash));
  const std::string name = top ? "Plant" : slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string id = top ? "Plant" : "Plant/" + path;
  UA_ObjectAttributes attributes = UA_ObjectAttributes_default;
  attributes.displayName = localized(name);
  NodeId made;
  UA_Server_addObjectNode(server, UA_NodeId{ns, UA_NODEIDTYPE_STRING, {.string = borrow(id)}}, parent,
                          UA_NODEID_NUMERIC(0, UA_NS0ID_ORGANIZES), UA_QualifiedName{ns, borrow(name)},
                          UA_NODEID_NUMERIC(0, UA_NS0ID_FOLDERTYPE), attributes, nullptr, made.get());
  return *(folders[path] = std::move(made));
}

UA_StatusCode PlantServer::Impl::property(const UA_NodeId& parent, const char* name, const UA_Variant& value,
                                          const UA_DataType& type) {
  UA_VariableAttributes attributes = UA_VariableAttributes_default;
  attributes.displayName = localized(name);
  attributes.dataType = type.typeId;
  attributes.valueRank = UA_Variant_isScalar(&value) ? UA_VALUERANK_SCALAR : UA_VALUERANK_ONE_DIMENSION;
  UA_UInt32 any_length = 0;
  if (!UA_Variant_isScalar(&value)) {
    attributes.arrayDimensions = &any_length;
    attributes.arrayDimensionsSize = 1;
  }
  attributes.value = value;
  return UA_Server_addVariableNode(server, UA_NODEID_NUMERIC(ns, 0), parent, UA_NODEID_NUMERIC(0, UA_NS0ID_HASPROPERTY),
                                   UA_QualifiedName{0, borrow(name)}, UA_NODEID_NUMERIC(0, UA_NS0ID_PROPERTYTYPE),
                                   attributes, nullptr, nullptr);
}

namespace {

// Room for the value of any signal; a variant borrows it.
union Storage {
  UA_Double number;
  UA_Boolean flag;
  UA_UInt32 whole;
};

UA_Variant borrow_value(const Signal& signal, Storage& storage) {
  UA_Variant out{};
  switch (signal.kind) {
    case SignalKind::analog:
      storage.number = signal.value;
      UA_Variant_setScalar(&out, &storage, &UA_TYPES[UA_TYPES_DOUBLE]);
      break;
    case SignalKind::flag:
      storage.flag = signal.value != 0;
      UA_Variant_setScalar(&out, &storage, &UA_TYPES[UA_TYPES_BOOLEAN]);
      break;
    case SignalKind::mode:
    case SignalKind::counter:
      storage.whole = static_cast<UA_UInt32>(signal.value);
      UA_Variant_setScalar(&out, &storage, &UA_TYPES[UA_TYPES_UINT32]);
      break;
  }
  out.storageType = UA_VARIANT_DATA_NODELETE;
  return out;
}

std::uint32_t type_definition(SignalKind kind) {
  switch (kind) {
    case SignalKind::analog:
      return UA_NS0ID_ANALOGITEMTYPE;
    case SignalKind::flag:
      return UA_NS0ID_TWOSTATEDISCRETETYPE;
    case SignalKind::mode:
      return UA_NS0ID_MULTISTATEDISCRETETYPE;
    case SignalKind::counter:
      break;
  }
  return UA_NS0ID_BASEDATAVARIABLETYPE;
}

}  // namespace

// Mandatory properties first, so that finishing the node does not make empty ones. (OPC 10000-8 §5.3)
UA_StatusCode PlantServer::Impl::properties(const UA_NodeId& node, const Signal& signal) {
  UA_Variant value{};
  UA_StatusCode done = UA_STATUSCODE_GOOD;
  if (signal.kind == SignalKind::analog) {
    UA_Range range{signal.low, signal.high};
    UA_Variant_setScalar(&value, &range, &UA_TYPES[UA_TYPES_RANGE]);
    done |= property(node, "EURange", value, UA_TYPES[UA_TYPES_RANGE]);
    UA_EUInformation unit{borrow("http://www.opcfoundation.org/UA/units/un/cefact"), signal.unit_code,
                          localized(signal.unit), localized(signal.unit)};
    UA_Variant_setScalar(&value, &unit, &UA_TYPES[UA_TYPES_EUINFORMATION]);
    done |= property(node, "EngineeringUnits", value, UA_TYPES[UA_TYPES_EUINFORMATION]);
  } else if (signal.kind == SignalKind::flag) {
    for (const auto& [name, state] : {std::pair{"FalseState", "off"}, std::pair{"TrueState", "on"}}) {
      UA_LocalizedText shown = localized(state);
      UA_Variant_setScalar(&value, &shown, &UA_TYPES[UA_TYPES_LOCALIZEDTEXT]);
      done |= property(node, name, value, UA_TYPES[UA_TYPES_LOCALIZEDTEXT]);
    }
  } else if (signal.kind == SignalKind::mode) {
    UA_LocalizedText modes[] = {localized("Off"), localized("Manual"), localized("Automatic")};
    UA_Variant_setArray(&value, modes, std::size(modes), &UA_TYPES[UA_TYPES_LOCALIZEDTEXT]);
    done |= property(node, "EnumStrings", value, UA_TYPES[UA_TYPES_LOCALIZEDTEXT]);
  }
  return done;
}

UA_StatusCode PlantServer::Impl::add(const Signal& signal) {
  const std::size_t slash = signal.path.rfind('/');
  const std::string name = signal.path.substr(slash + 1);
  const std::string id = "Plant/" + signal.path;
  const UA_NodeId parent = folder(signal.path.substr(0, slash));
  Storage storage{};
  UA_VariableAttributes attributes = UA_VariableAttributes_default;
  attributes.displayName = localized(name);
  attributes.description = localized(signal.description);
  attributes.value = borrow_value(signal, storage);
  attributes.dataType = attributes.value.type->typeId;
  attributes.valueRank = UA_VALUERANK_SCALAR;
  attributes.accessLevel = UA_ACCESSLEVELMASK_READ;
  NodeId made;
  UA_StatusCode done = UA_Server_addNode_begin(
      server, UA_NODECLASS_VARIABLE, UA_NodeId{ns, UA_NODEIDTYPE_STRING, {.string = borrow(id)}}, parent,
      UA_NODEID_NUMERIC(0, UA_NS0ID_HASCOMPONENT), UA_QualifiedName{ns, borrow(name)},
      UA_NODEID_NUMERIC(0, type_definition(signal.kind)), &attributes, &UA_TYPES[UA_TYPES_VARIABLEATTRIBUTES], nullptr,
      made.get());
  done |= properties(*made, signal);
  done |= UA_Server_addNode_finish(server, *made);
  nodes.push_back(std::move(made));
  return done;
}

Result<void> PlantServer::Impl::build() {
  UA_ServerConfig config{};
  if (auto configured = configure(config); !configured) {
    UA_ServerConfig_clean(&config);
    return configured;
  }
  server = UA_Server_newWithConfig(&config);
  if (server == nullptr) return fail(ErrorCode::internal, "cannot make the OPC UA server");
  ns = UA_Server_addNamespace(server, kPlantNamespace);
  UA_StatusCode done = UA_STATUSCODE_GOOD;
  for (const Signal& signal : model.signals()) done |= add(signal);
  if (done != UA_STATUSCODE_GOOD)
    return fail(ErrorCode::internal, std::string("cannot build the plant: ") + UA_StatusCode_name(done));
  for (std::size_t i = 0; i < model.signals().size(); ++i) write(i);  // with a source time from the start
  return {};
}

void PlantServer::Impl::write(std::size_t index) {
  Storage storage{};
  UA_DataValue data{};
  data.value = borrow_value(model.signals()[index], storage);
  data.hasValue = true;
  data.sourceTimestamp = UA_DateTime_now();
  data.hasSourceTimestamp = true;
  UA_Server_writeDataValue(server, *nodes[index], data);
  changes.fetch_add(1, std::memory_order_relaxed);
}

void PlantServer::Impl::tick() {
  const MonotonicTime now = SystemClock().monotonic();
  // After a pause (the process was stopped) go on from here instead of catching up.
  const Duration passed = std::min<Duration>(now - last_tick, std::chrono::seconds(1));
  last_tick = now;
  const bool rests = resting.load(std::memory_order_relaxed);
  at_rest = rests;
  if (rests) return;
  if (now >= next_step) {
    next_step = now + options.interval;
    std::vector<double> before;
    for (std::size_t i = 0; i < model.station_signals(); ++i) before.push_back(model.signals()[i].value);
    model.step(seconds(options.interval));
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (model.signals()[i].value != before[i]) write(i);
    }
  }
  if (options.tags == 0) return;
  std::uint64_t moved = 0;
  for (owed += options.rate * seconds(passed); owed >= 1; owed -= 1, ++moved) write(model.move_next());
  tag_changes += moved;
}

PlantServer::PlantServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PlantServer::~PlantServer() = default;

Result<std::unique_ptr<PlantServer>> PlantServer::make(PlantOptions options) {
  if (options.tags > 1'000'000) return fail(ErrorCode::invalid, "at most 1,000,000 further tags");
  if (options.rate < 0 || options.rate > 10e6)
    return fail(ErrorCode::invalid, "rate must be 0 to 10,000,000 changes per second");
  if (options.interval < kTick) return fail(ErrorCode::invalid, "interval must be 50ms or more");
  if (options.user.empty() != options.password.empty())
    return fail(ErrorCode::invalid, "user and password go together");
  if (!options.allow_none && !options.identity)
    return fail(ErrorCode::invalid, "a server without security None needs a certificate");
  if (options.port == 0) {
    const auto port = free_port();
    if (!port) return std::unexpected(port.error());
    options.port = *port;
  }
  auto impl = std::make_unique<Impl>(std::move(options));
  if (auto built = impl->build(); !built) return std::unexpected(built.error());
  return std::unique_ptr<PlantServer>(new PlantServer(std::move(impl)));
}

Result<void> PlantServer::run() {
  Impl& impl = *impl_;
  if (UA_Server_run_startup(impl.server) != UA_STATUSCODE_GOOD) {
    return fail(ErrorCode::exists, "cannot listen on " + endpoint() + ": the address is in use or may not be bound");
  }
  impl.last_tick = impl.next_step = SystemClock().monotonic();
  const auto on_tick = [](UA_Server*, void* context) { static_cast<Impl*>(context)->tick(); };
  UA_Server_addRepeatedCallback(impl.server, on_tick, &impl, seconds(kTick) * 1000, nullptr);
  impl.running = true;
  while (!impl.stop.load(std::memory_order_relaxed)) UA_Server_run_iterate(impl.server, true);
  impl.running = false;
  UA_Server_run_shutdown(impl.server);
  return {};
}

void PlantServer::stop() { impl_->stop = true; }
void PlantServer::rest(bool on) { impl_->resting = on; }
bool PlantServer::at_rest() const { return impl_->at_rest; }
bool PlantServer::running() const { return impl_->running; }
std::uint64_t PlantServer::changes() const { return impl_->changes; }
std::uint64_t PlantServer::tag_changes() const { return impl_->tag_changes; }
std::uint32_t PlantServer::points() const { return static_cast<std::uint32_t>(impl_->model.signals().size()); }

std::string PlantServer::endpoint() const {
  const std::string host = impl_->options.address.empty() ? "127.0.0.1" : impl_->options.address;
  return "opc.tcp://" + host + ":" + std::to_string(impl_->options.port);
}

}  // namespace sallyport::opcua
