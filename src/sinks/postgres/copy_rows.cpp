#include "sinks/postgres/copy_rows.h"

#include <bit>
#include <cstring>

namespace sallyport::postgres {
namespace {

constexpr std::int64_t kEpoch = 946'684'800'000'000;  // 2000-01-01 in microseconds since 1970
constexpr std::uint16_t kColumns = 11;
constexpr char kJsonbVersion = 1;

template <typename T>
void put(std::string& out, T value) {
  const T turned = std::byteswap(value);
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &turned, sizeof value);
}

template <typename T>
void field(std::string& out, T value) {
  put(out, std::int32_t{sizeof(T)});
  put(out, value);
}

void null_field(std::string& out) { put(out, std::int32_t{-1}); }

}  // namespace

ServerTime to_server_time(UtcNanoseconds time) {
  std::int64_t micro = time / 1000, rest = time % 1000;
  if (rest < 0) {
    rest += 1000;
    --micro;
  }
  return {micro - kEpoch, static_cast<std::int16_t>(rest)};
}

void CopyRows::begin() {
  bytes_.assign("PGCOPY\n\377\r\n\0", 11);
  put(bytes_, std::int32_t{0});  // flags
  put(bytes_, std::int32_t{0});  // length of the header extension
}

void CopyRows::add(const Row& row, std::int32_t point, std::int32_t stream) {
  to_columns(row.value, columns_);
  const ServerTime time = to_server_time(row.time);
  put(bytes_, kColumns);
  field(bytes_, time.microseconds);
  field(bytes_, static_cast<std::int64_t>(row.sequence));
  if (columns_.number) field(bytes_, std::bit_cast<std::uint64_t>(*columns_.number));
  else null_field(bytes_);
  field(bytes_, static_cast<std::int64_t>(row.status));
  field(bytes_, point);
  field(bytes_, stream);
  field(bytes_, time.nanoseconds);
  field(bytes_, static_cast<std::int16_t>(row.value.type_byte()));
  field(bytes_, static_cast<std::uint8_t>(row.backfill ? 1 : 0));
  if (columns_.has_text) {
    put(bytes_, static_cast<std::int32_t>(columns_.text.size()));
    bytes_ += columns_.text;
  } else {
    null_field(bytes_);
  }
  if (columns_.has_json) {
    put(bytes_, static_cast<std::int32_t>(columns_.json.size() + 1));
    bytes_ += kJsonbVersion;
    bytes_ += columns_.json;
  } else {
    null_field(bytes_);
  }
}

void CopyRows::end() { put(bytes_, std::int16_t{-1}); }

std::string never_fits(const Value& value) {
  if (!value.is_blob()) return {};
  const bool text = !value.is_array() && (value.type() == Type::string || value.type() == Type::xml_element || value.type() == Type::node_id ||
                                          value.type() == Type::expanded_node_id || value.type() == Type::qualified_name);
  return text && value.text().find('\0') != std::string_view::npos ? "the text contains a NUL" : "";
}

}  // namespace sallyport::postgres
