#include "sinks/mqtt/resolver.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "base/wake_fd.h"

namespace sallyport::mqtt {
namespace {

using Addresses = std::vector<std::string>;

Result<Addresses> look_up(const std::string& host, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return fail(ErrorCode::unavailable, "cannot resolve '" + host + "': " + gai_strerror(error));
  }
  Addresses addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    if (std::ranges::find(addresses, text) == addresses.end()) addresses.emplace_back(text);
  }
  freeaddrinfo(found);
  if (addresses.empty()) return fail(ErrorCode::unavailable, "cannot resolve '" + host + "': it has no address");
  return addresses;
}

}  // namespace

struct Resolver::Job {
  std::string host;
  WakeFd done;
  std::atomic<bool> finished = false;
  Result<Addresses> result;  // once finished
};

Resolver::Resolver() = default;
Resolver::~Resolver() = default;

Result<Addresses> Resolver::resolve(const std::string& host, int interrupt, Duration timeout) {
  if (auto numeric = look_up(host, AI_NUMERICHOST)) return numeric;
  if (!job_) {
    job_ = std::make_shared<Job>();
    job_->host = host;
    std::thread([job = job_] {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_BLOCK, &all, nullptr);
      job->result = look_up(job->host, AI_ADDRCONFIG);
      job->finished = true;
      job->done.wake();
    }).detach();
  }
  pollfd wait[2] = {{job_->done.fd(), POLLIN, 0}, {interrupt, POLLIN, 0}};
  poll(wait, 2, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(timeout).count()));
  if (job_->finished) return std::exchange(job_, nullptr)->result;
  if (wait[1].revents != 0) return fail(ErrorCode::closed, "interrupted");
  return fail(ErrorCode::timeout, "cannot resolve '" + host + "': the name server does not answer");
}

}  // namespace sallyport::mqtt
