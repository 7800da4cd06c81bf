// The journal: records as they come by a link or out of a segment, and whole segment files. The first byte chooses: 0 a file,
// 1 to 4 the body of a record of that kind, 5 journal_held, 6 journal_ack.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "journal/segment.h"
#include "link/lane.h"

namespace {

// In memory, but with a name, as the reader wants it. Made once: a fuzzer runs thousands of inputs a second.
const std::string& file_with(std::span<const std::byte> bytes) {
  static const int fd = ::memfd_create("segment", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (fd < 0 || ::ftruncate(fd, 0) != 0 || ::pwrite(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) std::abort();
  return path;
}

void read_segment(std::span<const std::byte> bytes) {
  auto reader = sallyport::journal::SegmentReader::open(file_with(bytes));
  if (!reader) return;
  sallyport::journal::SegmentReader::Raw raw;
  while (reader->next_block().value_or(false)) {
    while (reader->next_record(raw)) static_cast<void>(sallyport::journal::decode(raw.kind, raw.body));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::byte> body(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  switch (data[0] % 7) {
    case 0: read_segment(body); break;
    case 5: static_cast<void>(sallyport::link::decode_journal_held(body)); break;
    case 6: static_cast<void>(sallyport::link::decode_journal_ack(body)); break;
    default: static_cast<void>(sallyport::journal::decode(data[0] % 7, body)); break;
  }
  return 0;
}
