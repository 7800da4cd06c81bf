#include "cli/bench_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sallyport::cli::bench {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr Duration kLook = milliseconds(5);
constexpr Duration kStopPatience = std::chrono::seconds(6);  // a node promises five

std::string contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// "VmRSS:     1234 kB" and the like; 0 when there is no such line.
std::uint64_t number_of(const std::string& text, const std::string& key) {
  const std::size_t at = text.find(key);
  return at == text.npos ? 0 : std::strtoull(text.c_str() + at + key.size(), nullptr, 10);
}

// In the child, between fork and exec: only what is safe there.
[[noreturn]] void become(char* const* argv, const char* output_file, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int out = open(output_file, O_WRONLY | O_CREAT | O_APPEND, 0644);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  setpgid(0, 0);  // Ctrl-C is for us; we stop the children in order
  execv("/proc/self/exe", argv);
  _exit(127);
}

}  // namespace

MonotonicTime monotonic_now() { return std::chrono::steady_clock::now(); }

Interrupt::Interrupt() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, &before_);
  fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

Interrupt::~Interrupt() {
  if (fd_ >= 0) close(fd_);
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

Result<void> Interrupt::sleep(Duration duration) const {
  pollfd waiting{fd_, POLLIN, 0};
  const auto whole = std::max<std::int64_t>(0, std::chrono::ceil<milliseconds>(duration).count());
  if (poll(&waiting, 1, static_cast<int>(whole)) > 0) return fail(ErrorCode::closed, "interrupted");
  return {};
}

Result<std::unique_ptr<Child>> Child::start(const std::vector<std::string>& arguments, std::string output_file) {
  std::vector<std::string> words = {"sallyport"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return std::unexpected(system_error("cannot start a process", errno));
  if (pid == 0) become(argv.data(), output_file.c_str(), parent);
  return std::unique_ptr<Child>(new Child(pid, std::move(output_file)));
}

Child::~Child() { stop(); }

bool Child::reap(bool block) {
  if (ended_) return true;
  int status = 0;
  if (waitpid(pid_, &status, block ? 0 : WNOHANG) != pid_) return false;
  ended_ = true;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool Child::running() { return !reap(false); }

void Child::signal(int number) const {
  if (!ended_) kill(pid_, number);
}

void Child::stop() {
  signal(SIGCONT);
  signal(SIGTERM);
  const MonotonicTime deadline = monotonic_now() + kStopPatience;
  while (!reap(false) && monotonic_now() < deadline) usleep(5'000);
  if (ended_) return;
  signal(SIGKILL);
  reap(true);
}

std::string Child::last_output() const {
  constexpr std::size_t kEnd = 2000;
  const std::string text = contents(output_file_);
  return text.size() <= kEnd ? text : text.substr(text.size() - kEnd);
}

Result<void> Child::wait_for_line(const Interrupt& interrupt, const std::string& line, Duration limit) {
  const MonotonicTime deadline = monotonic_now() + limit;
  for (;;) {
    const std::string text = contents(output_file_);
    if (text.starts_with(line) || text.find("\n" + line) != text.npos) return {};
    if (!running())
      return fail(ErrorCode::closed,
                  "a node ended with code " + std::to_string(code_) + "; it said:\n" + last_output());
    if (monotonic_now() > deadline)
      return fail(ErrorCode::timeout, "a node did not say '" + line + "' in time; it said:\n" + last_output());
    if (auto ok = interrupt.sleep(kLook); !ok) return ok;
  }
}

Usage Child::usage() const {
  Usage usage;
  usage.at = monotonic_now();
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid_, &clock) == 0 && clock_gettime(clock, &time) == 0) {
    usage.cpu_ns = static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
  }
  const std::string process = "/proc/" + std::to_string(pid_);
  const std::string status = contents(process + "/status");
  usage.rss_bytes = number_of(status, "VmRSS:") * 1024;
  usage.peak_bytes = number_of(status, "VmHWM:") * 1024;
  std::error_code gone;
  for (const auto& task : fs::directory_iterator(process + "/task", gone)) {
    const std::string of_thread = contents(task.path() / "status");
    usage.switches +=
        number_of(of_thread, "\nvoluntary_ctxt_switches:") + number_of(of_thread, "nonvoluntary_ctxt_switches:");
  }
  return usage;
}

}  // namespace sallyport::cli::bench
