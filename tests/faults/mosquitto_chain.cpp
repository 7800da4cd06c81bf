#include "mosquitto_chain.h"

#include <mosquitto.h>

#include <fstream>
#include <sstream>

namespace sallyport::tests {
namespace {

std::string path_of(std::size_t point) { return "acme/line1/p" + std::to_string(point); }

std::string utc_now() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t whole = std::chrono::system_clock::to_time_t(now);
  const auto fraction = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count() % 1'000'000'000;
  std::tm fields{};
  ::gmtime_r(&whole, &fields);
  char text[48];
  const std::size_t size = std::strftime(text, sizeof text, "%FT%T", &fields);
  std::snprintf(text + size, sizeof text - size, ".%09lldZ", static_cast<long long>(fraction));
  return text;
}

std::string read_text(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) text.replace(at, what.size(), by);
}

}  // namespace

// --- Publisher ---------------------------------------------------------------------------------------------------------

Publisher::Publisher(std::uint16_t port, std::size_t points) : client_(::mosquitto_new("source", true, this)), values_(points) {
  ::mosquitto_max_inflight_messages_set(client_, 0);
  ::mosquitto_publish_callback_set(client_, [](mosquitto*, void* self, int) { ++static_cast<Publisher*>(self)->acknowledged_; });
  ::mosquitto_connect(client_, "127.0.0.1", port, 60);
  ::mosquitto_loop_start(client_);
}

Publisher::~Publisher() {
  rest();
  ::mosquitto_disconnect(client_);
  ::mosquitto_loop_stop(client_, true);
  ::mosquitto_destroy(client_);
}

void Publisher::publish(std::size_t point) {
  const std::string path = path_of(point);
  const std::string body = "{\"path\":\"" + path + "\",\"value\":" + std::to_string(++values_[point]) +
                           ",\"quality\":\"good\",\"timestamp\":\"" + utc_now() + "\"}";
  ++asked_;
  ::mosquitto_publish(client_, nullptr, path.c_str(), static_cast<int>(body.size()), body.data(), 1, true);
}

void Publisher::change_each_once(std::size_t per_second) {
  const auto began = Clock::now();
  for (std::size_t point = 0; point < values_.size(); ++point) {
    publish(point);
    if (point % 50 == 49) std::this_thread::sleep_until(began + std::chrono::nanoseconds(seconds(point)) / per_second);
  }
}

void Publisher::change_at(std::size_t per_second) {
  thread_ = std::thread([this, per_second] {
    const auto began = Clock::now();
    std::size_t done = 0;
    for (std::size_t point = 0; !stop_; point = (point + 1) % values_.size()) {
      publish(point);
      std::this_thread::sleep_until(began + std::chrono::nanoseconds(seconds(1)) / per_second * ++done);
    }
  });
}

void Publisher::rest() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  eventually([this] { return acknowledged_ >= asked_; }, seconds(10));
}

std::map<std::string, std::string> Publisher::truth() const {
  std::map<std::string, std::string> truth;
  for (std::size_t point = 0; point < values_.size(); ++point) truth[path_of(point)] = std::to_string(values_[point]);
  return truth;
}

// --- MosquittoChain ----------------------------------------------------------------------------------------------------

MosquittoChain::MosquittoChain(bool tuned) : brokers_(3) {
  for (int i = 0; i < 3; ++i) ports_.push_back(free_port());
  gates_.push_back(std::make_unique<Gate>(ports_[1]));
  gates_.push_back(std::make_unique<Gate>(ports_[1]));
  const std::string from = std::string(SALLYPORT_SOURCE_DIR) + "/tests/faults/mosquitto/";
  const char* names[] = {"plant", "dmz", "ai"};
  for (std::size_t i = 0; i < 3; ++i) {
    std::string text = read_text(from + names[i] + ".conf");
    if (tuned && i != 1) text += read_text(from + "tuned-bridge.conf");
    if (tuned) text = read_text(from + "tuned.conf") + text;
    replace_all(text, "@LISTEN@", std::to_string(ports_[i]));
    replace_all(text, "@NEXT@", std::to_string(gates_[i == 0 ? 0 : 1]->port()));
    replace_all(text, "@NAME@", names[i]);
    files_.push_back(folder_.write(std::string(names[i]) + ".conf", text));
  }
  for (const std::size_t i : {1u, 0u, 2u}) start(i);
}

void MosquittoChain::start(std::size_t index) {
  brokers_[index] = Process({"mosquitto", "-c", files_[index]}, {.network_of = 0, .output_file = files_[index] + ".log", .output_fd = -1});
  eventually([&] { return send_raw(ports_[index], "", 1).connected; }, seconds(10));
}

std::string MosquittoChain::log(std::size_t index) const { return read_text(files_[index] + ".log"); }

}  // namespace sallyport::tests
