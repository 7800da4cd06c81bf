#include "postgres_server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "gate.h"

namespace sallyport::tests {
namespace {

namespace fs = std::filesystem;

// The newest one installed.
std::string newest_version() {
  std::string newest;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", none)) {
    const std::string version = entry.path().filename();
    if (fs::exists(entry.path() / "bin" / "initdb") && version > newest) newest = version;
  }
  return newest;
}

}  // namespace

PostgresServer::PostgresServer(std::vector<std::string> settings) : version_(newest_version()), settings_(std::move(settings)), port_(free_port()) {
  if (version_.empty()) {
    ADD_FAILURE() << "no PostgreSQL server is installed: scripts/setup test";
    return;
  }
  programs_ = "/usr/lib/postgresql/" + version_ + "/bin/";
  data_ = folder_.path() + "/data";
  fs::create_directory(data_);
  if (::geteuid() == 0) {  // the server refuses to run as root
    ::chmod(folder_.path().c_str(), 0755);
    const Finished owned = run({"chown", "postgres:postgres", data_});
    EXPECT_EQ(owned.code, 0) << owned.error;
  }
  const Finished made = run(as_postgres({programs_ + "initdb", "-D", data_, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"}), seconds(60));
  EXPECT_EQ(made.code, 0) << made.error;
  start();
}

PostgresServer::~PostgresServer() {
  if (process_) kill();
}

std::vector<std::string> PostgresServer::as_postgres(std::vector<std::string> command) const {
  if (::geteuid() != 0) return command;
  std::vector<std::string> all = {"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "env", "-C", data_};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

void PostgresServer::start() {
  if (version_.empty()) return;
  std::vector<std::string> command = {programs_ + "postgres", "-D", data_, "-p", std::to_string(port_), "-k", data_, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=30"};
  for (const std::string& setting : settings_) command.insert(command.end(), {"-c", setting});
  for (int attempt = 0; attempt < 20; ++attempt) {  // what is left of one that was killed may hold the memory for a moment
    process_ = std::make_unique<Process>(as_postgres(command), ProcessOptions{.output_file = folder_.path() + "/server.log"});
    const auto answers = [&] { return run({programs_ + "pg_isready", "-q", "-h", "127.0.0.1", "-p", std::to_string(port_)}).code == 0; };
    if (eventually([&] { return !process_->running() || answers(); }, seconds(30)) && process_->running()) return;
    std::this_thread::sleep_for(milliseconds(100));
  }
  std::ifstream log(folder_.path() + "/server.log");
  ADD_FAILURE() << "PostgreSQL does not start: " << std::string(std::istreambuf_iterator<char>(log), {});
}

// The postmaster and its children.
std::vector<pid_t> PostgresServer::processes() const {
  std::vector<pid_t> found = {process_->pid()};
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream in(entry.path() / "stat");
    std::string stat((std::istreambuf_iterator<char>(in)), {});
    const auto end = stat.rfind(')');
    if (end == std::string::npos || end + 4 >= stat.size()) continue;
    if (std::atoi(stat.c_str() + end + 4) == process_->pid()) found.push_back(std::atoi(name.c_str()));
  }
  return found;
}

void PostgresServer::kill() {
  for (const pid_t pid : processes()) ::kill(pid, SIGKILL);
  process_->wait(seconds(10));
}

void PostgresServer::freeze() {
  for (const pid_t pid : processes()) ::kill(pid, SIGSTOP);
}

void PostgresServer::thaw() {
  for (const pid_t pid : processes()) ::kill(pid, SIGCONT);
}

std::string PostgresServer::connection(const std::string& user, std::uint16_t port) const {
  return "connection = \"host=127.0.0.1 port=" + std::to_string(port == 0 ? port_ : port) + " dbname=postgres user=" + user + " sslmode=disable\"\n";
}

std::string PostgresServer::sql(const std::string& statement) const {
  const Finished finished = run({programs_ + "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", std::to_string(port_), "-U", "postgres", "-d", "postgres", "-c", statement}, seconds(60));
  EXPECT_EQ(finished.code, 0) << statement << "\n" << finished.error;
  std::string out = finished.output;
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

}  // namespace sallyport::tests
