#include "harness.h"

#include <gtest/gtest.h>

namespace sallyport::tests {
namespace {

Stored copy(natsMsg* message) {
  Stored stored;
  stored.subject = natsMsg_GetSubject(message);
  stored.payload.assign(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)));
  const char** keys = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(message, &keys, &count) != NATS_OK) return stored;
  for (int i = 0; i < count; ++i) {
    const char* value = nullptr;
    if (natsMsgHeader_Get(message, keys[i], &value) == NATS_OK) stored.headers.emplace_back(keys[i], value);
  }
  free(static_cast<void*>(keys));
  return stored;
}

}  // namespace

NatsServer::NatsServer(std::string more, bool jetstream) : port_(free_port()) {
  configuration_ = "listen: 127.0.0.1:" + std::to_string(port_) + "\n";
  if (jetstream) configuration_ += "jetstream { store_dir: \"" + folder_.path() + "/js\" }\n";
  configuration_ += more;
}

void NatsServer::start() {
  const std::string file = folder_.write("nats.conf", configuration_);
  process_ = Process({"nats-server", "-c", file}, {.output_file = folder_.path() + "/nats.log"});
  ASSERT_TRUE(eventually([&] { return send_raw(port_, "", 100).bytes.starts_with("INFO"); }, seconds(20)))
      << "nats-server does not answer; is it installed (scripts/setup test)?";
}

std::string Stored::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

NatsClient::NatsClient(const std::string& url) : url_(url) { connect(); }

void NatsClient::connect() {
  if (connection_ && !connection_->closed()) return;
  jsCtx_Destroy(context_);
  context_ = nullptr;
  connection_.reset();
  nats::ServerOptions options;
  options.servers = {url_};
  options.client_name = "test";
  EXPECT_TRUE(eventually(
      [&] {
        auto opened = nats::Connection::open(options);
        if (opened) connection_ = std::move(*opened);
        return connection_ != nullptr;
      },
      seconds(20)));
  jsOptions js;
  jsOptions_Init(&js);
  EXPECT_EQ(natsConnection_JetStream(&context_, connection_->get(), &js), NATS_OK);
}

std::uint64_t NatsClient::last(const std::string& stream) {
  connect();
  jsStreamInfo* info = nullptr;
  if (js_GetStreamInfo(&info, context_, stream.c_str(), nullptr, nullptr) != NATS_OK) return 0;
  const std::uint64_t last = info->State.LastSeq;
  jsStreamInfo_Destroy(info);
  return last;
}

NatsClient::~NatsClient() {
  inbox_.reset();
  jsCtx_Destroy(context_);
}

std::vector<Stored> NatsClient::all(const std::string& stream) {
  connect();
  std::vector<Stored> found;
  jsStreamInfo* info = nullptr;
  if (js_GetStreamInfo(&info, context_, stream.c_str(), nullptr, nullptr) != NATS_OK) return found;
  const std::uint64_t first = info->State.FirstSeq, last = info->State.LastSeq;
  jsStreamInfo_Destroy(info);
  for (std::uint64_t seq = first; seq != 0 && seq <= last; ++seq) {
    natsMsg* message = nullptr;
    if (js_GetMsg(&message, context_, stream.c_str(), seq, nullptr, nullptr) != NATS_OK) continue;
    found.push_back(copy(message));
    natsMsg_Destroy(message);
  }
  return found;
}

void NatsClient::add_stream(const std::string& name, const std::string& subject, int max_message_bytes) {
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const char* subjects[] = {subject.c_str()};
  config.Name = name.c_str();
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.MaxMsgSize = max_message_bytes;
  EXPECT_EQ(js_AddStream(nullptr, context_, &config, nullptr, nullptr), NATS_OK);
}

bool NatsClient::publish(const std::string& subject, const std::string& payload, bool in_stream) {
  if (!in_stream) {
    return natsConnection_Publish(connection_->get(), subject.c_str(), payload.data(), static_cast<int>(payload.size())) == NATS_OK &&
           natsConnection_Flush(connection_->get()) == NATS_OK;
  }
  return js_Publish(nullptr, context_, subject.c_str(), payload.data(), static_cast<int>(payload.size()), nullptr, nullptr) == NATS_OK;
}

void NatsClient::subscribe(const std::string& subject) {
  auto opened = nats::Inbox::open(*connection_, subject, "", SIZE_MAX, wake_);
  ASSERT_TRUE(opened);
  inbox_ = std::move(*opened);
  ASSERT_EQ(natsConnection_Flush(connection_->get()), NATS_OK);
}

std::vector<Stored> NatsClient::received() {
  std::vector<nats::MessagePtr> messages;
  inbox_->take(messages);
  for (const auto& message : messages) received_.push_back(copy(message.get()));
  return received_;
}

std::vector<Found> changes_of(const std::vector<Stored>& messages) {
  std::vector<Found> found;
  for (const Stored& message : messages) {
    const std::string sequence = message.header("Sallyport-Sequence");
    if (!sequence.empty()) found.push_back({message.subject, message.header("Sallyport-Stream"), std::stoull(sequence)});
  }
  return found;
}

}  // namespace sallyport::tests
