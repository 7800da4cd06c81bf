#include "pair.h"

#include "json.h"

namespace sallyport::tests {

DiodePair::DiodePair(DiodePairOptions options) : options_(std::move(options)), port_(free_port()) {
  const std::string here = "udp://127.0.0.1:" + std::to_string(port_);
  if (options_.send.empty()) options_.send = here;
  if (options_.receive.empty()) options_.receive = here;
  pki_ = std::make_unique<Pki>(folder_.path() + "/pki");
  run({sallyport_program(), "keys", "receiver", "--name", "office-1", "--out", pki_->folder()});
  std::string plant = "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\npoints = " + std::to_string(options_.points) + "\nrate = " + std::to_string(options_.rate) +
                      "\nseed = 7\nshape = \"ramp\"\nrest_on = \"rest\"\n";
  if (options_.every) plant += "[[delivery]]\nmatch = \"acme/**\"\nmode = \"every\"\n";
  plant += options_.plant_more + "[[link]]\nname = \"office\"\npeer = \"office-1\"\nsend = [\"acme/**\"]\ndiode = { send = \"" + options_.send + "\", rate = \"" + options_.bit_rate +
           "\", receiver = \"" + pki_->folder() + "/office-1.receiver.pub\", max_staleness = \"" + options_.max_staleness + "\"" + options_.more_diode + " }\n";
  const std::string office = options_.office_more + "[[link]]\nname = \"plant\"\npeer = \"plant-1\"\nreceive = [\"acme/**\"]\ndiode = { receive = \"" + options_.receive +
                             "\", key = \"" + pki_->folder() + "/office-1.receiver.key\", max_staleness = \"" + options_.max_staleness + "\" }\n";
  plant_ = std::make_unique<Node>(folder_, *pki_, "plant-1", plant, options_.plant_network);
  office_ = std::make_unique<Node>(folder_, *pki_, "office-1", office, options_.office_network);
}

bool DiodePair::start_plant(const std::vector<std::string>& before) {
  plant_->start(before);
  return plant_->wait_ready();
}

bool DiodePair::start_office() {
  office_->start();
  return office_->wait_ready();
}

bool DiodePair::complete(Clock::duration limit) {
  return eventually([this] { return office_->points("good") == std::to_string(options_.points) && office_->points("bad") == "0"; }, limit);
}

bool DiodePair::equal(Clock::duration limit) {
  return eventually([this] {
    const std::string plant = plant_->digest();
    return !plant.empty() && plant == office_->digest() && office_->points("good") == std::to_string(options_.points);
  }, limit);
}

void DiodePair::rest() { folder_.write("rest", ""); }

std::string DiodePair::figure(const std::string& name) { return text_at(office_->status(), "links.0.diode." + name); }

std::uint64_t DiodePair::count(const std::string& name) { return std::strtoull(figure(name).c_str(), nullptr, 10); }

std::string DiodePair::logs() {
  return "--- plant-1\n" + plant_->log() + "--- office-1\n" + office_->log() + "--- status of office-1\n" + office_->ask({"status", "--json"}).output;
}

}  // namespace sallyport::tests
