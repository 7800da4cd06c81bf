#include "journal/segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include <zlib.h>

namespace sallyport::journal {
namespace {

constexpr std::uint64_t kMagic = 0x314e524a54524f50;   // "PORTJRN1"
constexpr std::uint32_t kFormat = 1;
constexpr std::uint32_t kBlockMagic = 0x4b4c4253;      // "SBLK"
constexpr std::size_t kReadAhead = 1u << 20;
constexpr std::size_t kRecordCrc = 4;

std::uint32_t crc_of(std::span<const std::byte> bytes, std::uint32_t before = 0) {
  return static_cast<std::uint32_t>(crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::uint32_t record_crc(std::span<const std::byte> bytes, Position position) {
  return crc_of(bytes, static_cast<std::uint32_t>(position));
}

template <typename T>
T load(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

Bytes header_bytes(const SegmentHeader& header) {
  Bytes tail;
  ByteWriter t(tail);
  t.number<std::uint64_t>(header.journal.high);
  t.number<std::uint64_t>(header.journal.low);
  t.number<std::uint64_t>(header.first);
  t.number<std::int64_t>(header.created);
  t.number<std::uint64_t>(header.before);
  tail.resize(kSegmentHeader - 16);
  Bytes out;
  ByteWriter w(out);
  w.number<std::uint64_t>(kMagic);
  w.number<std::uint32_t>(kFormat);
  w.number<std::uint32_t>(crc_of(tail));
  w.bytes(tail);
  return out;
}

Result<SegmentHeader> parse_header(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() < kSegmentHeader || load<std::uint64_t>(bytes, 0) != kMagic) return fail(ErrorCode::malformed, path + " does not begin like a segment of a journal");
  if (load<std::uint32_t>(bytes, 8) != kFormat) {
    return fail(ErrorCode::malformed, path + " has format " + std::to_string(load<std::uint32_t>(bytes, 8)) + ", this version reads " + std::to_string(kFormat));
  }
  if (load<std::uint32_t>(bytes, 12) != crc_of(bytes.subspan(16, kSegmentHeader - 16))) return fail(ErrorCode::malformed, path + ": its header is damaged");
  return SegmentHeader{{load<std::uint64_t>(bytes, 16), load<std::uint64_t>(bytes, 24)}, load<std::uint64_t>(bytes, 32), load<std::int64_t>(bytes, 40), load<std::uint64_t>(bytes, 48)};
}

ssize_t read_at(int fd, std::byte* to, std::size_t size, std::uint64_t at) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(fd, to + done, size - done, static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

std::string to_string(const JournalId& id) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(id.high), static_cast<unsigned long long>(id.low));
  return text;
}

std::string segment_name(Position first) {
  char name[32];
  std::snprintf(name, sizeof name, "%016llx.seg", static_cast<unsigned long long>(first));
  return name;
}

std::optional<Position> parse_segment_name(std::string_view name) {
  if (name.size() != 20 || !name.ends_with(".seg")) return std::nullopt;
  Position first = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 16, first, 16);
  return error == std::errc() && end == name.data() + 16 && first > 0 ? std::optional(first) : std::nullopt;
}

// --- Building ----------------------------------------------------------------------------------------------------------

void BlockBuilder::begin(Position first, Bytes room) {
  bytes_ = std::move(room);
  bytes_.resize(kBlockHeader);
  first_ = first;
  records_ = 0;
}

// Sizes below 128 take one byte; a longer body is moved up by what its size needs more.
std::size_t BlockBuilder::open(RecordKind kind) {
  const std::size_t at = bytes_.size();
  bytes_.push_back(static_cast<std::byte>(kind));
  bytes_.push_back(std::byte{0});
  return at;
}

void BlockBuilder::close(std::size_t at) {
  const std::size_t size = bytes_.size() - at - 2;
  if (size < 0x80) {
    bytes_[at + 1] = static_cast<std::byte>(size);
  } else {
    Bytes length;
    ByteWriter(length).varint(size);
    bytes_[at + 1] = length[0];
    bytes_.insert(bytes_.begin() + static_cast<std::ptrdiff_t>(at) + 2, length.begin() + 1, length.end());
  }
  const std::uint32_t crc = record_crc(std::span(bytes_).subspan(at), next());
  ByteWriter(bytes_).number<std::uint32_t>(crc);
  ++records_;
}

Bytes BlockBuilder::finish(UtcNanoseconds now) {
  const auto payload = std::span(bytes_).subspan(kBlockHeader);
  Bytes header;
  ByteWriter w(header);
  w.number<std::uint32_t>(kBlockMagic);
  w.number<std::uint32_t>(static_cast<std::uint32_t>(payload.size()));
  w.number<std::uint64_t>(first_);
  w.number<std::uint32_t>(records_);
  w.number<std::uint32_t>(crc_of(payload));
  w.number<std::int64_t>(now);
  w.number<std::uint32_t>(crc_of(header));
  std::copy(header.begin(), header.end(), bytes_.begin());
  return std::move(bytes_);
}

// --- Writing -----------------------------------------------------------------------------------------------------------

Result<SegmentWriter> SegmentWriter::create(const std::string& folder, const SegmentHeader& header) {
  std::string path = folder + "/" + segment_name(header.first);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected(system_error("cannot create " + path, errno));
  SegmentWriter writer(std::move(path), fd);
  if (auto ok = writer.append(header_bytes(header)); !ok) {
    ::unlink(writer.path_.c_str());
    return std::unexpected(ok.error());
  }
  // The name must outlive a power cut as the contents do.
  if (const int dir = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); dir >= 0) {
    ::fsync(dir);
    ::close(dir);
  }
  return writer;
}

SegmentWriter::SegmentWriter(SegmentWriter&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

SegmentWriter& SegmentWriter::operator=(SegmentWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

SegmentWriter::~SegmentWriter() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> SegmentWriter::append(std::span<const std::byte> block) {
  std::size_t done = 0;
  while (done < block.size()) {
    const ssize_t put = ::pwrite(fd_, block.data() + done, block.size() - done, static_cast<off_t>(size_ + done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const int error = put < 0 ? errno : ENOSPC;
      if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) return std::unexpected(system_error("cannot cut " + path_ + " back after a failed write", errno));
      return std::unexpected(system_error("cannot write " + path_, error));
    }
    done += static_cast<std::size_t>(put);
  }
  size_ += block.size();
  return {};
}

Result<void> SegmentWriter::sync() {
  if (::fdatasync(fd_) != 0) return std::unexpected(system_error("cannot bring " + path_ + " to the disk", errno));
  return {};
}

// --- Reading -----------------------------------------------------------------------------------------------------------

Result<SegmentReader> SegmentReader::open(const std::string& path, bool salvage) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(errno == ENOENT ? Error{ErrorCode::not_found, path + " is gone"} : system_error("cannot open " + path, errno));
  SegmentReader reader(fd, {});
  Bytes bytes(kSegmentHeader);
  const ssize_t got = read_at(fd, bytes.data(), bytes.size(), 0);
  if (got < 0) return std::unexpected(system_error("cannot read " + path, errno));
  bytes.resize(static_cast<std::size_t>(got));
  auto header = parse_header(bytes, path);
  if (!header && salvage) {
    const auto first = parse_segment_name(std::string_view(path).substr(path.rfind('/') + 1));
    if (first) header = SegmentHeader{.journal = {}, .first = *first, .created = 0, .before = *first - 1};
  }
  if (!header) return std::unexpected(header.error());
  reader.header_ = *header;
  reader.expected_ = header->first;
  return reader;
}

SegmentReader::SegmentReader(SegmentReader&& other) noexcept { *this = std::move(other); }

SegmentReader& SegmentReader::operator=(SegmentReader&& other) noexcept {
  if (this == &other) return *this;
  if (fd_ >= 0) ::close(fd_);
  fd_ = std::exchange(other.fd_, -1);
  header_ = other.header_;
  offset_ = other.offset_;
  buffer_ = std::move(other.buffer_);   // spans into it stay good
  buffer_at_ = other.buffer_at_;
  block_ = other.block_;
  rest_ = other.rest_;
  block_ok_ = other.block_ok_;
  block_first_ = other.block_first_;
  expected_ = other.expected_;
  block_records_ = other.block_records_;
  block_done_ = other.block_done_;
  block_crc_ = other.block_crc_;
  block_written_ = other.block_written_;
  damage_ = std::move(other.damage_);
  return *this;
}

SegmentReader::~SegmentReader() {
  if (fd_ >= 0) ::close(fd_);
}

// Sees to it that [at, at + size) is in the buffer; false: the file ends before.
Result<bool> SegmentReader::fetch(std::uint64_t at, std::size_t size, std::uint64_t limit) {
  if (at + size > limit) return false;
  if (at >= buffer_at_ && at + size <= buffer_at_ + buffer_.size()) return true;
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(std::max(size, kReadAhead), limit - at));
  buffer_.resize(wanted);
  buffer_at_ = at;
  const ssize_t got = read_at(fd_, buffer_.data(), wanted, at);
  if (got < 0) {
    const int error = errno;
    buffer_.clear();
    return std::unexpected(system_error("cannot read a segment of the journal", error));
  }
  buffer_.resize(static_cast<std::size_t>(got));
  return buffer_.size() >= size;
}

// true: there is a sound header at `at`, and `size` bytes follow it.
Result<bool> SegmentReader::read_header(std::uint64_t at, std::uint64_t limit, std::uint32_t& size) {
  const auto there = fetch(at, kBlockHeader, limit);
  if (!there || !*there) return there;
  const auto header = std::span<const std::byte>(buffer_).subspan(static_cast<std::size_t>(at - buffer_at_), kBlockHeader);
  if (load<std::uint32_t>(header, 0) != kBlockMagic || load<std::uint32_t>(header, 32) != crc_of(header.first(32))) return false;
  size = load<std::uint32_t>(header, 4);
  block_first_ = load<std::uint64_t>(header, 8);
  block_records_ = load<std::uint32_t>(header, 16);
  block_crc_ = load<std::uint32_t>(header, 20);
  block_written_ = load<std::int64_t>(header, 24);
  return size <= kMaxBlock && block_first_ >= header_.first;
}

// The next sound header from `from` on; 0: none.
Result<std::uint64_t> SegmentReader::find_block(std::uint64_t from, std::uint64_t limit) {
  for (std::uint64_t at = from;; ++at) {
    const auto there = fetch(at, kBlockHeader, limit);
    if (!there) return std::unexpected(there.error());
    if (!*there) return 0;
    const std::byte* begin = buffer_.data() + (at - buffer_at_);
    const std::byte* end = buffer_.data() + buffer_.size() - kBlockHeader + 1;
    const void* found = std::memchr(begin, kBlockMagic & 0xff, static_cast<std::size_t>(end - begin));
    if (found == nullptr) {
      at = buffer_at_ + buffer_.size() - kBlockHeader;
      continue;
    }
    at = buffer_at_ + static_cast<std::uint64_t>(static_cast<const std::byte*>(found) - buffer_.data());
    std::uint32_t size = 0;
    const auto sound = read_header(at, limit, size);
    if (!sound) return std::unexpected(sound.error());
    if (*sound) return at;
  }
}

void SegmentReader::lose(Position first, std::uint64_t records) {
  if (records == 0) return;
  if (!damage_.empty() && damage_.back().first + damage_.back().records == first) damage_.back().records += records;
  else damage_.push_back({records, first, block_written_});
}

Result<bool> SegmentReader::next_block(std::uint64_t limit) {
  if (block_done_ < block_records_ && !block_.empty()) lose(block_first_ + block_done_, block_records_ - block_done_);
  block_ = rest_ = {};
  block_records_ = block_done_ = 0;
  std::uint32_t size = 0;
  auto sound = read_header(offset_, limit, size);
  if (!sound) return sound;
  std::uint64_t at = offset_;
  if (!*sound) {
    block_records_ = 0;
    const auto found = find_block(offset_, limit);
    if (!found) return std::unexpected(found.error());
    if (*found == 0) {
      block_records_ = 0;
      return false;
    }
    at = *found;
    sound = read_header(at, limit, size);
    if (!sound || !*sound) return sound;
  }
  const auto whole = fetch(at, kBlockHeader + size, limit);
  if (!whole || !*whole) {
    block_records_ = 0;
    return whole;
  }
  if (block_first_ > expected_) lose(expected_, block_first_ - expected_);
  block_ = std::span<const std::byte>(buffer_).subspan(static_cast<std::size_t>(at - buffer_at_) + kBlockHeader, size);
  rest_ = block_;
  block_ok_ = crc_of(block_) == block_crc_;
  offset_ = at + kBlockHeader + size;
  expected_ = block_first_ + block_records_;
  return true;
}

bool SegmentReader::next_record(Raw& record) {
  while (block_done_ < block_records_) {
    ByteReader in(rest_);
    record.kind = in.number<std::uint8_t>();
    const std::uint64_t size = in.varint();
    if (!in.ok() || size > kMaxRecord || size + kRecordCrc > in.remaining()) break;   // where the next one begins is not known
    record.position = block_first_ + block_done_;
    const std::size_t head = rest_.size() - in.remaining();
    record.body = rest_.subspan(head, static_cast<std::size_t>(size));
    const auto checked = rest_.first(head + static_cast<std::size_t>(size));
    const bool sound = block_ok_ || record_crc(checked, record.position) == load<std::uint32_t>(rest_, checked.size());
    if (!sound) {
      // A damaged size would put us anywhere: believed only when a sound record, or the end, follows.
      ByteReader after(rest_.subspan(checked.size() + kRecordCrc));
      const bool last = block_done_ + 1 == block_records_;
      const auto next = rest_.subspan(checked.size() + kRecordCrc);
      bool follows = last && next.empty();
      if (!last) {
        after.number<std::uint8_t>();
        const std::uint64_t next_size = after.varint();
        if (after.ok() && next_size <= kMaxRecord && next_size + kRecordCrc <= after.remaining()) {
          const std::size_t end = next.size() - after.remaining() + static_cast<std::size_t>(next_size);
          follows = record_crc(next.first(end), record.position + 1) == load<std::uint32_t>(next, end);
        }
      }
      if (!follows) break;
    }
    rest_ = rest_.subspan(checked.size() + kRecordCrc);
    ++block_done_;
    if (sound) return true;
    lose(record.position, 1);
  }
  if (block_done_ < block_records_) {
    lose(block_first_ + block_done_, block_records_ - block_done_);
    block_done_ = block_records_;
  }
  return false;
}

}  // namespace sallyport::journal
