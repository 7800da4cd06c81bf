#include "sinks/nats/session.h"

#include <boost/json.hpp>

#include <charconv>
#include <cstring>

namespace sallyport::nats {
namespace {

constexpr std::int64_t kApiMs = 2000;
constexpr std::int64_t kFlushMs = 1000;
constexpr int kTooLarge = JSStreamMessageExceedsMaximumErr;

std::string_view header(natsMsg* message, const char* name) {
  const char* value = nullptr;
  return natsMsgHeader_Get(message, name, &value) == NATS_OK && value != nullptr ? std::string_view(value) : std::string_view();
}

Error js_error(std::string_view what, natsStatus status, jsErrCode code) {
  Error error = nats_error(what, status);
  if (code != 0) error.message += " [JetStream error " + std::to_string(static_cast<int>(code)) + "]";
  return error;
}

}  // namespace

Answer parse_answer(std::string_view text) {
  boost::system::error_code failed;
  const auto json = boost::json::parse(text, failed);
  if (failed || !json.is_object()) return {.reason = "the server's answer is no JSON: is there another program that answers on these subjects?"};
  const auto& object = json.get_object();
  if (const auto* error = object.if_contains("error"); error != nullptr && error->is_object()) {
    const auto& fields = error->get_object();
    const auto* code = fields.if_contains("err_code");
    const auto* description = fields.if_contains("description");
    const std::int64_t number = code != nullptr && code->is_int64() ? code->get_int64() : 0;
    Answer answer;
    answer.kind = number == kTooLarge ? Answer::Kind::too_large : number == JSStreamWrongLastMsgIDErr ? Answer::Kind::order : Answer::Kind::failed;
    answer.reason = description != nullptr && description->is_string() ? std::string(description->get_string()) : std::string(text.substr(0, 200));
    return answer;
  }
  if (!object.contains("seq")) return {.reason = "the server's answer has no sequence: is there another program that answers on these subjects?"};
  const auto* duplicate = object.if_contains("duplicate");
  const bool there = duplicate != nullptr && duplicate->is_bool() && duplicate->get_bool();
  return {.kind = there ? Answer::Kind::duplicate : Answer::Kind::stored, .reason = {}};
}

Result<std::unique_ptr<Session>> Session::open(const SinkOptions& options, const WakeFd& wake) {
  std::unique_ptr<Session> session(new Session(options));
  auto connection = Connection::open(options.server);
  if (!connection) return std::unexpected(connection.error());
  session->connection_ = std::move(*connection);
  if (options.stream.empty()) return session;
  if (auto ok = session->open_stream(); !ok) return std::unexpected(ok.error());
  natsInbox* inbox = nullptr;
  if (const natsStatus status = natsInbox_Create(&inbox); status != NATS_OK) return std::unexpected(nats_error("inbox", status));
  session->inbox_ = std::string(inbox) + ".";
  natsInbox_Destroy(inbox);
  auto answers = Inbox::open(*session->connection_, session->inbox_ + "*", "", SIZE_MAX, wake);
  if (!answers) return std::unexpected(answers.error());
  session->answers_ = std::move(*answers);
  return session;
}

Session::~Session() {
  answers_.reset();
  jsCtx_Destroy(context_);
}

// --- The stream ------------------------------------------------------------------------------------------------------

Result<void> Session::open_stream() {
  jsOptions js;
  jsOptions_Init(&js);
  js.Wait = kApiMs;
  if (const natsStatus status = natsConnection_JetStream(&context_, connection_->get(), &js); status != NATS_OK) {
    return std::unexpected(nats_error("JetStream", status));
  }
  jsStreamInfo* info = nullptr;
  jsErrCode code{};
  const natsStatus status = js_GetStreamInfo(&info, context_, options_.stream.c_str(), nullptr, &code);
  if (status == NATS_OK) {
    first_seq_ = info->State.FirstSeq;
    last_seq_ = info->State.LastSeq;
    jsStreamInfo_Destroy(info);
    return {};
  }
  if (code == JSStreamNotFoundErr) return create_stream();
  if (status == NATS_NO_RESPONDERS) return fail(ErrorCode::unavailable, "the server has no JetStream for this account; switch it on there, or leave `stream` out");
  return std::unexpected(js_error("stream '" + options_.stream + "'", status, code));
}

Result<void> Session::create_stream() {
  if (!options_.create) {
    return fail(ErrorCode::not_found, "there is no stream '" + options_.stream + "'; make it with subjects \"" + options_.prefix +
                                          ".>\", or set create = true");
  }
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const std::string all = options_.prefix + ".>";
  const char* subjects[] = {all.c_str()};
  config.Name = options_.stream.c_str();
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  config.Duplicates = options_.duplicate_window.count();
  config.MaxAge = options_.max_age.count();
  if (options_.max_bytes != 0) config.MaxBytes = static_cast<std::int64_t>(options_.max_bytes);
  config.Replicas = options_.replicas;
  config.AllowDirect = true;
  jsErrCode code{};
  const natsStatus status = js_AddStream(nullptr, context_, &config, nullptr, &code);
  if (status != NATS_OK) return std::unexpected(js_error("create stream '" + options_.stream + "'", status, code));
  return {};
}

Result<stream::Tail> Session::read_tail(const std::string& writer, std::size_t max_back, const std::atomic<bool>& stopping) {
  stream::Tail tail(writer);
  if (context_ == nullptr) return tail;
  std::size_t seen = 0;
  for (std::uint64_t seq = last_seq_; seq > 0 && seq >= first_seq_ && seen < max_back && !tail.complete() && !stopping; --seq, ++seen) {
    natsMsg* raw = nullptr;
    jsErrCode code{};
    const natsStatus status = js_GetMsg(&raw, context_, options_.stream.c_str(), seq, nullptr, &code);
    const MessagePtr message(raw);
    if (code == JSNoMessageFoundErr || status == NATS_NOT_FOUND) continue;  // deleted
    if (status != NATS_OK) return std::unexpected(js_error("read back stream '" + options_.stream + "'", status, code));
    tail.note({.journal = header(raw, stream::kJournal.header),
               .position = header(raw, stream::kPosition.header),
               .stored = header(raw, stream::kStored.header),
               .stream = header(raw, stream::kStream.header),
               .sequence = header(raw, stream::kSequence.header)});
  }
  return tail;
}

// --- Publishing ------------------------------------------------------------------------------------------------------

Result<void> Session::publish(const stream::Message& message, const std::string& subject, const char* reply, natsMsg** made) {
  natsStatus status = natsMsg_Create(made, subject.c_str(), reply, message.payload.data(), static_cast<int>(message.payload.size()));
  for (const stream::Label& label : message.labels) {
    if (status == NATS_OK) status = natsMsgHeader_Set(*made, label.name->header, label.value.c_str());
  }
  if (status != NATS_OK) return std::unexpected(nats_error("message for '" + subject + "'", status));
  return {};
}

Result<void> Session::send(const stream::Message& message, const std::string& subject, std::uint64_t number, Position stored, bool guard) {
  natsMsg* raw = nullptr;
  const std::string reply = inbox_ + std::to_string(number);
  const auto made = publish(message, subject, reply.c_str(), &raw);
  const MessagePtr owned(raw);
  if (!made) return made;
  natsStatus status = natsMsgHeader_Set(raw, "Nats-Msg-Id", message.id.c_str());
  if (status == NATS_OK) status = natsMsgHeader_Set(raw, "Nats-Expected-Stream", options_.stream.c_str());
  if (status == NATS_OK && message.position != 0) status = natsMsgHeader_Set(raw, stream::kStored.header, std::to_string(stored).c_str());
  if (status == NATS_OK && guard && !last_id_.empty()) status = natsMsgHeader_Set(raw, "Nats-Expected-Last-Msg-Id", last_id_.c_str());
  if (status == NATS_OK) status = natsConnection_PublishMsg(connection_->get(), raw);
  if (status == NATS_MAX_PAYLOAD) return fail(ErrorCode::limit, "larger than the server's max_payload");
  if (status != NATS_OK) return std::unexpected(nats_error("publish", status));
  last_id_ = message.id;
  return {};
}

Result<void> Session::send_plain(const stream::Message& message, const std::string& subject) {
  natsMsg* raw = nullptr;
  const auto made = publish(message, subject, nullptr, &raw);
  const MessagePtr owned(raw);
  if (!made) return made;
  const natsStatus status = natsConnection_PublishMsg(connection_->get(), raw);
  if (status == NATS_MAX_PAYLOAD) return fail(ErrorCode::limit, "larger than the server's max_payload");
  if (status != NATS_OK) return std::unexpected(nats_error("publish", status));
  return {};
}

Result<void> Session::flush() {
  const natsStatus status = natsConnection_FlushTimeout(connection_->get(), kFlushMs);
  if (status != NATS_OK) return std::unexpected(nats_error("flush", status));
  return {};
}

void Session::take_answers(std::vector<Answer>& out) {
  out.clear();
  if (!answers_) return;
  answers_->take(taken_);
  for (const MessagePtr& message : taken_) {
    const std::string_view subject = natsMsg_GetSubject(message.get());
    std::uint64_t number = 0;
    const std::string_view digits = subject.substr(std::min(subject.size(), inbox_.size()));
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    Answer answer;
    if (natsMsg_IsNoResponders(message.get())) {
      answer.reason = "no stream takes these subjects: stream '" + options_.stream + "' must have the subjects \"" + options_.prefix + ".>\"";
    } else {
      answer = parse_answer({natsMsg_GetData(message.get()), static_cast<std::size_t>(natsMsg_GetDataLength(message.get()))});
    }
    answer.number = number;
    out.push_back(std::move(answer));
  }
}

}  // namespace sallyport::nats
