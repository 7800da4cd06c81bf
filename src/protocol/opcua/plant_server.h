// An OPC UA server that plays a small pump station, for `sallyport simulate`, the demo and tests: pumps, tanks, and as
// many further analog tags as wanted. Namespace urn:sallyport:plant, start node "nsu=urn:sallyport:plant;s=Plant".
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "protocol/opcua/certificates.h"
#include "protocol/opcua/plant_model.h"

namespace sallyport::opcua {

inline constexpr const char* kPlantNamespace = "urn:sallyport:plant";
inline constexpr const char* kPlantStartNode = "nsu=urn:sallyport:plant;s=Plant";

struct PlantOptions {
  std::string address = "127.0.0.1";                   // where to listen; empty = everywhere
  std::uint16_t port = 4840;                           // 0: any free port
  std::uint32_t tags = 0;                              // further analog tags, Plant/Tags/T00001 …
  double rate = 100;                                   // changes per second over all further tags
  TagShape shape = TagShape::walk;                     // of the further tags
  Duration interval = std::chrono::milliseconds(500);  // how often the pump station moves
  std::uint64_t seed = 1;
  std::shared_ptr<const Identity> identity = {};  // when set: the three current policies besides None
  bool allow_none = true;                         // endpoints without security
  std::string user = {}, password = {};           // when set, no anonymous users
  std::uint16_t max_sessions = 20;
};

class PlantServer {
 public:
  // Builds the address space; nothing listens yet. Fails when options make no sense.
  static Result<std::unique_ptr<PlantServer>> make(PlantOptions options);
  ~PlantServer();  // after run() has returned
  PlantServer(const PlantServer&) = delete;
  PlantServer& operator=(const PlantServer&) = delete;

  // Listens and simulates until stop(). Fails when the address is in use. The calling thread becomes the server's.
  Result<void> run();
  void stop();                        // Any thread; also before run().
  void rest(bool on);                 // Any thread. Nothing changes while it rests; the server goes on answering.
  bool at_rest() const;               // Any thread. It has heeded rest(true): tag_changes() stands still.
  bool running() const;               // Any thread. Listening now.
  std::string endpoint() const;       // "opc.tcp://127.0.0.1:4840"; with port 0 known from make() on
  std::uint64_t changes() const;      // Any thread. Values written so far.
  std::uint64_t tag_changes() const;  // Any thread. Those of them that were of further tags, while it ran.
  std::uint32_t points() const;

 private:
  struct Impl;
  explicit PlantServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::opcua
