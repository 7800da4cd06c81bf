#include "sources/nats/reader.h"

#include <poll.h>

#include <algorithm>
#include <iterator>

namespace sallyport::nats {
namespace {

constexpr int kWaitMs = 250;
constexpr int kFetch = 512;
constexpr std::int64_t kApiMs = 2000;
constexpr std::int64_t kForgetNs = 30'000'000'000;  // a consumer that nobody reads any more

std::unexpected<Error> js_error(const std::string& what, natsStatus status, jsErrCode code) {
  Error error = nats_error(what, status);
  if (code == JSStreamNotFoundErr) error.message = what + ": there is no such stream";
  else if (code != 0) error.message += " [JetStream error " + std::to_string(static_cast<int>(code)) + "]";
  return std::unexpected(std::move(error));
}

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(const SourceOptions& options, const WakeFd& wake) {
  std::unique_ptr<Reader> reader(new Reader(options, wake));
  auto connection = Connection::open(options.server);
  if (!connection) return std::unexpected(connection.error());
  reader->connection_ = std::move(*connection);
  if (!options.stream.empty()) {
    if (auto ok = reader->subscribe_stream(); !ok) return std::unexpected(ok.error());
    return reader;
  }
  for (const std::string& subject : options.subjects) {
    auto inbox = Inbox::open(*reader->connection_, subject, "", options.max_pending, wake);
    if (!inbox) return std::unexpected(inbox.error());
    reader->inboxes_.push_back(std::move(*inbox));
  }
  if (const natsStatus status = natsConnection_FlushTimeout(reader->connection_->get(), kApiMs); status != NATS_OK) {
    return std::unexpected(nats_error("subscribe", status));
  }
  return reader;
}

Reader::~Reader() {
  natsSubscription_Destroy(subscription_);
  jsCtx_Destroy(context_);
  inboxes_.clear();
}

Result<void> Reader::subscribe_stream() {
  const std::string what = "stream '" + options_.stream + "'";
  jsOptions js;
  jsOptions_Init(&js);
  js.Wait = kApiMs;
  if (const natsStatus status = natsConnection_JetStream(&context_, connection_->get(), &js); status != NATS_OK) {
    return std::unexpected(nats_error("JetStream", status));
  }
  std::vector<const char*> subjects;
  for (const std::string& subject : options_.subjects) subjects.push_back(subject.c_str());
  jsConsumerConfig config;
  jsConsumerConfig_Init(&config);
  config.FilterSubjects = subjects.data();
  config.FilterSubjectsLen = static_cast<int>(subjects.size());
  if (options_.durable.empty()) {
    config.DeliverPolicy = js_DeliverLastPerSubject;
    config.AckPolicy = js_AckNone;
    config.InactiveThreshold = kForgetNs;
  } else {
    config.Durable = options_.durable.c_str();
    config.DeliverPolicy = js_DeliverAll;
    config.AckPolicy = js_AckExplicit;
    config.MaxAckPending = 4 * kFetch;
  }
  jsErrCode code{};
  jsConsumerInfo* info = nullptr;
  if (const natsStatus status = js_AddConsumer(&info, context_, options_.stream.c_str(), &config, nullptr, &code); status != NATS_OK) {
    return js_error(what, status, code);
  }
  const std::string consumer = info->Name;
  jsConsumerInfo_Destroy(info);
  jsSubOptions bind;
  jsSubOptions_Init(&bind);
  bind.Stream = options_.stream.c_str();
  bind.Consumer = consumer.c_str();
  const natsStatus status = js_PullSubscribe(&subscription_, context_, nullptr, nullptr, nullptr, &bind, &code);
  if (status != NATS_OK) return js_error(what, status, code);
  return {};
}

Result<void> Reader::read(std::vector<MessagePtr>& messages) {
  messages.clear();
  if (connection_->closed()) return fail(ErrorCode::closed, connection_->reason());
  if (subscription_ != nullptr) return fetch(messages);
  pollfd wait{wake_.fd(), POLLIN, 0};
  poll(&wait, 1, kWaitMs);
  wake_.drain();
  std::vector<MessagePtr> some;
  for (const auto& inbox : inboxes_) {
    inbox->take(some);
    std::ranges::move(some, std::back_inserter(messages));
  }
  return {};
}

Result<void> Reader::fetch(std::vector<MessagePtr>& messages) {
  natsMsgList list{};
  jsErrCode code{};
  const natsStatus status = natsSubscription_Fetch(&list, subscription_, kFetch, kWaitMs, &code);
  for (int i = 0; i < list.Count; ++i) {
    messages.emplace_back(list.Msgs[i]);
    list.Msgs[i] = nullptr;
  }
  natsMsgList_Destroy(&list);
  if (status != NATS_OK && status != NATS_TIMEOUT) return js_error("stream '" + options_.stream + "'", status, code);
  if (messages.empty()) {
    complete_ = options_.durable.empty();
    return {};
  }
  jsMsgMetaData* meta = nullptr;
  if (natsMsg_GetMetaData(&meta, messages.back().get()) == NATS_OK) {
    if (meta->NumPending == 0) complete_ = options_.durable.empty();
    jsMsgMetaData_Destroy(meta);
  }
  return {};
}

void Reader::acknowledge(const std::vector<MessagePtr>& messages) {
  if (options_.durable.empty()) return;
  for (const MessagePtr& message : messages) natsMsg_Ack(message.get(), nullptr);
}

std::uint64_t Reader::dropped() const {
  std::uint64_t dropped = 0;
  for (const auto& inbox : inboxes_) dropped += inbox->dropped();
  return dropped;
}

}  // namespace sallyport::nats
