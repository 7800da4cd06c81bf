// Messages from event streams: subjects and payloads as anyone may publish them, and a server's answers. What is read must be
// writable again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "namespace/path.h"
#include "namespace/point_json.h"
#include "protocol/nats/subject.h"
#include "sinks/nats/session.h"
#include "sources/nats/payload.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0: {
      const auto path = nats::path_of("", text);
      if (!path) return 0;
      if (!check_path(*path)) std::abort();
      std::string subject;
      nats::append_subject(subject, "", *path);
      const auto again = nats::path_of("", subject);
      if (!again || *again != *path) std::abort();
      return 0;
    }
    case 1:
    case 2: {
      const auto change = data[0] % 4 == 1 ? nats::parse_point(text, 1) : nats::parse_bare(text, std::nullopt, 1);
      if (!change) return 0;
      std::string json;
      append_point_json(json, "p", change->value, change->status, change->source_time, "o", nullptr);
      if (const auto again = nats::parse_point(json, 1); again && again->status != change->status) std::abort();
      return 0;
    }
    default:
      static_cast<void>(nats::parse_answer(text));
      return 0;
  }
}
