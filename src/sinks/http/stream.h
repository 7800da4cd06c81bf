// The live stream: server-sent events out of a subscription. What the client does not read stays in the namespace,
// where newer values replace older ones.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "namespace/namespace.h"
#include "net/http_server.h"
#include "net/loop.h"

namespace sallyport::http {

// `data:` one point as JSON, its revision as `id:`; first all there are, then `event: ready`, then what changes;
// `event: removed` with {"path":…}; a comment every second when there is nothing else, so that silence means a broken
// path.
class Stream final : public net::HttpProducer {
 public:
  Stream(net::Loop& loop, Namespace& ns, Patterns patterns);
  ~Stream() override;
  void begin(std::function<void()> wake) override;
  Next produce(std::string& out, std::size_t max) override;

 private:
  void pull(MonotonicTime now);
  void append_updates(std::string& out, std::size_t max);
  Next wait(Duration at_most);

  Namespace& namespace_;
  Patterns patterns_;
  net::Timer timer_;
  std::function<void()> wake_;
  std::optional<Subscription> subscription_;
  Batch batch_;
  std::size_t batch_at_ = 0;
  bool begun_ = false;
  bool ready_ = false;  // `event: ready` has been sent
  MonotonicTime last_pull_{};
  MonotonicTime last_sent_{};
};

}  // namespace sallyport::http
