#include "node/admin_server.h"

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <set>

#include "node/data_dir.h"

namespace sallyport::node {
namespace {

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;

constexpr auto kRequestTimeout = std::chrono::seconds(10);
constexpr auto kAcceptRetry = std::chrono::milliseconds(200);

}  // namespace

class AdminClient;

struct AdminServer::Impl : std::enable_shared_from_this<AdminServer::Impl> {
  Impl(net::Loop& loop_in, std::string path_in, AdminContext context_in, int listener)
      : loop(loop_in),
        path(std::move(path_in)),
        context(std::move(context_in)),
        acceptor(loop.context(), asio::local::stream_protocol(), listener),
        retry(loop) {}

  void accept();
  void admit(Socket socket);

  net::Loop& loop;
  std::string path;
  AdminContext context;
  asio::local::stream_protocol::acceptor acceptor;
  net::Timer retry;
  std::set<std::shared_ptr<AdminClient>> clients;
};

// One connection: reads one request, writes one answer, closes. Kept alive by the server's set and by pending
// operations.
class AdminClient final : public std::enable_shared_from_this<AdminClient> {
 public:
  AdminClient(Socket socket, std::weak_ptr<AdminServer::Impl> server, net::Loop& loop)
      : socket_(std::move(socket)), server_(std::move(server)), loop_(loop), timer_(loop) {}

  void read_request() {
    timer_.after(kRequestTimeout, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->finish_with({ErrorCode::timeout, "no request came within 10 s"});
    });
    asio::async_read_until(socket_, asio::dynamic_buffer(request_, kMaxAdminRequest), '\n',
                           [self = shared_from_this()](boost::system::error_code error, std::size_t size) {
                             self->on_request(error, size);
                           });
  }
  void finish_with(const Error& error) {
    timer_.cancel();
    out_ = admin_error_line(error);
    last_ = true;
    write();
  }
  void close() {
    closed_ = true;
    timer_.cancel();
    answer_.reset();
    boost::system::error_code ignored;
    socket_.close(ignored);
    if (const auto server = server_.lock()) server->clients.erase(shared_from_this());
  }

 private:
  void on_request(boost::system::error_code error, std::size_t size) {
    if (closed_ || last_) return;
    timer_.cancel();
    const auto server = server_.lock();
    if (error == asio::error::not_found) return finish_with({ErrorCode::limit, "the request is longer than 64 KiB"});
    if (error || !server) return close();
    auto answer = answer_admin(server->context, std::string_view(request_).substr(0, size - 1), waker());
    if (!answer) return finish_with(answer.error());
    answer_ = *std::move(answer);
    watch_for_hangup();
    produce();
  }
  // One post at a time, however often the namespace calls.
  Waker waker() {
    return [weak = weak_from_this(), &loop = loop_, pending = wake_pending_] {
      if (pending->exchange(true)) return;
      loop.post([weak, pending] {
        pending->store(false);
        if (const auto self = weak.lock()) self->on_wake();
      });
    };
  }
  void on_wake() {
    if (!closed_ && waiting_) produce();
  }
  // A client that waits for changes writes nothing more: whatever a read brings, it is going.
  void watch_for_hangup() {
    socket_.async_read_some(asio::buffer(&hangup_, 1),
                            [self = shared_from_this()](boost::system::error_code, std::size_t) {
                              if (!self->closed_) self->close();
                            });
  }
  void produce() {
    waiting_ = false;
    out_.clear();
    const auto next = answer_->produce(out_);
    last_ = next == AdminAnswer::Next::done;
    waiting_ = next == AdminAnswer::Next::wait && out_.empty();
    if (waiting_) return;
    if (!out_.empty() || last_) return write();
    loop_.post([weak = weak_from_this()] {  // looked at many points, none matched: the others' turn first
      const auto self = weak.lock();
      if (self && !self->closed_) self->produce();
    });
  }
  void write() {
    asio::async_write(socket_, asio::buffer(out_),
                      [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                        if (self->closed_) return;
                        if (error || self->last_) return self->close();
                        self->produce();
                      });
  }

  Socket socket_;
  std::weak_ptr<AdminServer::Impl> server_;
  net::Loop& loop_;
  net::Timer timer_;
  std::string request_;
  std::string out_;
  std::unique_ptr<AdminAnswer> answer_;
  std::shared_ptr<std::atomic<bool>> wake_pending_ = std::make_shared<std::atomic<bool>>(false);
  char hangup_ = 0;
  bool waiting_ = false;
  bool last_ = false;
  bool closed_ = false;
};

void AdminServer::Impl::accept() {
  acceptor.async_accept([weak = weak_from_this()](boost::system::error_code error, Socket socket) {
    const auto self = weak.lock();
    if (!self || error == asio::error::operation_aborted) return;
    if (error) {  // out of descriptors, say: trying again at once would spin
      self->retry.after(kAcceptRetry, [weak] {
        if (const auto again = weak.lock()) again->accept();
      });
      return;
    }
    self->admit(std::move(socket));
    self->accept();
  });
}

void AdminServer::Impl::admit(Socket socket) {
  const auto client = std::make_shared<AdminClient>(std::move(socket), weak_from_this(), loop);
  const bool full = clients.size() >= kMaxAdminClients;
  if (clients.size() >= 2 * kMaxAdminClients) return;  // not even an answer
  clients.insert(client);
  if (full)
    return client->finish_with({ErrorCode::limit, "too many admin clients at a time; close a `sallyport watch`"});
  client->read_request();
}

Result<std::unique_ptr<AdminServer>> AdminServer::start(net::Loop& loop, const std::string& data_dir,
                                                        AdminContext context) {
  auto listener = listen_admin(data_dir);
  if (!listener) return within("admin socket", listener.error());
  auto impl = std::make_shared<Impl>(loop, admin_socket_path(data_dir), std::move(context), listener->release());
  impl->accept();
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

AdminServer::~AdminServer() {
  boost::system::error_code ignored;
  impl_->acceptor.close(ignored);
  for (const auto& client : std::set(impl_->clients)) client->close();
  ::unlink(impl_->path.c_str());
}

}  // namespace sallyport::node
