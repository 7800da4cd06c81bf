#include "sinks/influxdb/line_protocol.h"

#include <algorithm>
#include <charconv>
#include <array>
#include <cmath>

#include "namespace/quality.h"

namespace sallyport::influxdb {
namespace {

void append_escaped(std::string& out, std::string_view text, std::string_view special) {
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\0') {
      out += ' ';
      continue;
    }
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
}

void append_number(std::string& out, double number) {
  std::array<char, 40> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  out.append(text.data(), end.ptr);
}

void append_integer(std::string& out, std::string_view key, std::uint64_t number) {
  out.append(key) += '=';
  out += std::to_string(number);
  out += 'i';
}

std::string_view not_finite(double number) { return std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity"; }

}  // namespace

void append_name(std::string& out, std::string_view name) { append_escaped(out, name, ", "); }

// A backslash at the end would escape what follows, and the format has no way to write it.
void append_tag(std::string& out, std::string_view text) {
  append_escaped(out, text, ",= ");
  if (text.ends_with('\\')) out += '_';
}

void append_field_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\0' ? ' ' : c;
  }
  out += '"';
}

void LineWriter::add(std::string& out, const Row& row, const FeedPoint& point, UtcNanoseconds time) {
  to_columns(row.value, columns_);
  append_name(out, measurement_);
  out += ",path=";
  append_tag(out, point.path);
  out += ' ';
  append_integer(out, "status", row.status);
  out += ",quality=\"";
  out.append(to_string(quality_of(row.status))) += '"';
  if (columns_.number && std::isfinite(*columns_.number)) {
    out += ",value=";
    append_number(out, *columns_.number);
  } else if (columns_.number) {
    columns_.has_text = true;
    columns_.text = not_finite(*columns_.number);
  }
  if (columns_.has_text) append_field_text(out += ",text=", columns_.text);
  if (columns_.has_json) append_field_text(out += ",json=", columns_.json);
  if (row.every) append_integer(out += ',', "sequence", row.sequence);
  if (row.backfill) out += ",backfill=true";
  (out += ' ') += std::to_string(time);
  out += '\n';
}

void LineWriter::add(std::string& out, const FeedGap& gap) {
  append_name(out, measurement_ + "_gaps");
  for (const auto& [key, text] : {std::pair<std::string_view, std::string_view>{"cause", to_string(gap.gap.cause)}, {"node", gap.gap.node}, {"place", gap.gap.where}}) {
    if (text.empty()) continue;  // the format has no empty tags
    (out += ',').append(key) += '=';
    append_tag(out, text);
  }
  out += " end=" + std::to_string(gap.gap.end) + "i,";
  append_integer(out, "lost", gap.gap.lost);
  std::string match;
  for (const std::string& pattern : gap.gap.match) match += (match.empty() ? "" : " ") + pattern;
  append_field_text(out += ",match=", match);
  append_field_text(out += ",detail=", gap.gap.detail);
  (out += ' ') += std::to_string(gap.gap.start);
  out += '\n';
}

UtcNanoseconds TieBreak::time_of(const Row& row) {
  if (!row.every) return row.time;
  if (row.point >= last_.size()) last_.resize(row.point + std::size_t{1});
  Last& last = last_[row.point];
  const UtcNanoseconds stored = row.source_time == last.source ? last.stored + 1 : row.source_time;
  last = {row.source_time, stored};
  return stored;
}

}  // namespace sallyport::influxdb
