#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace sallyport::tests {

bool eventually(const std::function<bool()>& condition, Clock::duration limit) {
  const auto end = Clock::now() + limit;
  for (;;) {
    if (condition()) return true;
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(milliseconds(10));
  }
}

namespace {

// In the child, between fork and exec: only what is safe there.
[[noreturn]] void become(const std::vector<char*>& argv, const std::string& network, const ProcessOptions& options, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  if (!network.empty()) {
    const int fd = ::open(network.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0) ::_exit(125);
  }
  if (!options.output_file.empty()) {
    const int fd = ::open(options.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
  }
  if (options.output_fd >= 0) ::dup2(options.output_fd, STDOUT_FILENO);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::execvp(argv[0], argv.data());
  ::dprintf(STDERR_FILENO, "cannot run %s\n", argv[0]);
  ::_exit(127);
}

std::vector<char*> pointers(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  return argv;
}

std::string network_file(pid_t pid) { return pid > 0 ? "/proc/" + std::to_string(pid) + "/ns/net" : std::string(); }

}  // namespace

Process::Process(const std::vector<std::string>& command, const ProcessOptions& options) {
  const auto argv = pointers(command);
  const std::string network = network_file(options.network_of);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(argv, network, options, parent);
  reaped_ = pid_ < 0;
}

Process::~Process() {
  if (reaped_) return;
  signal(SIGCONT);
  signal(SIGKILL);
  wait(seconds(10));
}

Process::Process(Process&& other) noexcept { *this = std::move(other); }

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  std::swap(reaped_, other.reaped_);
  return *this;
}

bool Process::running() {
  if (!reaped_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) reaped_ = true;
  return !reaped_;
}

void Process::signal(int number) {
  if (running()) ::kill(pid_, number);
}

int Process::wait(Clock::duration limit) {
  if (!eventually([this] { return !running(); }, limit)) return -1;
  return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

namespace {

void drain(int fd, std::string& into, bool& open) {
  char buffer[65536];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got > 0) into.append(buffer, static_cast<std::size_t>(got));
  else if (got == 0 || errno != EINTR) open = false;
}

// A socket for standard input: unlike a pipe it can be written without SIGPIPE.
bool open_input(int (&ends)[2]) { return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0; }

void feed(int fd, const std::string& input, std::size_t& written, bool& open) {
  if (written < input.size()) {
    const ssize_t sent = ::send(fd, input.data() + written, input.size() - written, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) written += static_cast<std::size_t>(sent);
    if (sent > 0 || errno == EAGAIN || errno == EINTR) return;
  }
  ::shutdown(fd, SHUT_WR);
  open = false;
}

}  // namespace

Finished run(const std::vector<std::string>& command, Clock::duration limit, pid_t network_of, const std::string& input) {
  int out[2], err[2], in[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0 || !open_input(in)) return {};
  const auto argv = pointers(command);
  const std::string network = network_file(network_of);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(err[1], STDERR_FILENO);
    if (!input.empty()) ::dup2(in[0], STDIN_FILENO);
    ProcessOptions options;
    options.output_fd = out[1];
    if (!input.empty()) {  // become() would take standard input from /dev/null
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(out[1], STDOUT_FILENO);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    become(argv, network, options, parent);
  }
  for (const int fd : {out[1], err[1], in[0]}) ::close(fd);
  Finished finished;
  bool out_open = true, err_open = true, in_open = true;
  std::size_t written = 0;
  const auto end = Clock::now() + limit;
  while ((out_open || err_open) && Clock::now() < end) {
    pollfd fds[] = {{out_open ? out[0] : -1, POLLIN, 0}, {err_open ? err[0] : -1, POLLIN, 0}, {in_open ? in[1] : -1, POLLOUT, 0}};
    ::poll(fds, 3, 100);
    if (fds[2].revents != 0) feed(in[1], input, written, in_open);
    if (fds[0].revents != 0) drain(out[0], finished.output, out_open);
    if (fds[1].revents != 0) drain(err[0], finished.error, err_open);
  }
  const bool late = out_open || err_open;
  if (late) ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  finished.code = late ? -1 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  for (const int fd : {out[0], err[0], in[1]}) ::close(fd);
  return finished;
}

LineReader::LineReader(const std::vector<std::string>& command, OnLine on_line, pid_t network_of) : on_line_(std::move(on_line)) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
  read_fd_ = ends[0];
  ProcessOptions options;
  options.network_of = network_of;
  options.output_fd = ends[1];
  process_ = Process(command, options);
  ::close(ends[1]);
  thread_ = std::thread([this] { read_lines(); });
}

LineReader::~LineReader() {
  process_.kill();
  process_.wait(seconds(5));
  thread_.join();
  ::close(read_fd_);
}

void LineReader::read_lines() {
  std::string rest;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(read_fd_, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    const auto now = Clock::now();
    rest.append(buffer, static_cast<std::size_t>(got));
    std::size_t from = 0;
    for (std::size_t end; (end = rest.find('\n', from)) != std::string::npos; from = end + 1) {
      std::string line = rest.substr(from, end - from);
      if (line.ends_with('\r')) line.pop_back();
      on_line_(now, line);
    }
    rest.erase(0, from);
  }
}

}  // namespace sallyport::tests
