#include "protocol/stream/message.h"

#include <format>

#include "namespace/gap_json.h"
#include "namespace/point_json.h"

namespace sallyport::stream {
namespace {

constexpr std::size_t kPerMessage = 256;  // what the rest of one weighs in memory, roughly

}  // namespace

std::size_t Message::size_bytes() const {
  std::size_t size = kPerMessage + path.size() + id.size() + payload.size();
  for (const Label& label : labels) size += label.value.size() + sizeof label;
  return size;
}

std::string writer_name(const Collector& collector, const std::string& node, const std::string& sink) {
  return collector.journal().empty() ? "" : collector.journal() + "/" + node + "/" + sink;
}

Message make_message(const Row& row, const Collector& collector, const std::string& writer) {
  const FeedPoint& point = collector.point(row.point);
  Message message;
  message.path = point.path;
  append_point_json(message.payload, point.path, row.value, row.status, row.source_time, point.origin, nullptr, row.verified);
  message.labels.reserve(9);
  message.labels.push_back({&kStatus, std::format("0x{:08X}", row.status)});
  message.labels.push_back({&kQuality, std::string(to_string(quality_of(row.status)))});
  if (!point.meta.unit.empty()) message.labels.push_back({&kUnit, point.meta.unit});
  message.labels.push_back({&kOrigin, point.origin});
  if (!row.every) return message;
  message.position = row.position;
  message.stream = collector.stream(row.stream);
  message.sequence = row.sequence;
  const std::string sequence = std::to_string(row.sequence);
  message.id = message.stream + ":" + sequence;
  message.labels.push_back({&kStream, message.stream});
  message.labels.push_back({&kSequence, sequence});
  if (row.backfill) message.labels.push_back({&kBackfill, "true"});
  message.labels.push_back({&kJournal, writer});
  message.labels.push_back({&kPosition, std::to_string(row.position)});
  return message;
}

Message make_message(const FeedGap& gap, const Collector& collector, const std::string& writer) {
  Message message;
  message.gap = true;
  message.position = gap.position;
  if (gap.sequence != 0) {
    message.stream = collector.stream(gap.stream);
    message.sequence = gap.sequence;
    message.id = message.stream + ":" + std::to_string(gap.sequence);
  } else {
    message.id = "gap/" + collector.journal() + ":" + std::to_string(gap.position);
  }
  append_gap_json(message.payload, gap.gap);
  message.labels.push_back({&kOrigin, gap.gap.node});
  if (gap.sequence != 0) {
    message.labels.push_back({&kStream, message.stream});
    message.labels.push_back({&kSequence, std::to_string(gap.sequence)});
  }
  message.labels.push_back({&kJournal, writer});
  message.labels.push_back({&kPosition, std::to_string(gap.position)});
  return message;
}

Result<void> read_messages(Collector& collector, const std::string& writer, Rows& rows, std::size_t max,
                           const std::function<void(Message&&)>& take) {
  if (auto ok = collector.pull(rows, max); !ok) return within("journal", ok.error());
  auto gap = rows.gaps.begin();
  for (const Row& row : rows.rows) {
    while (row.every && gap != rows.gaps.end() && gap->position < row.position) take(make_message(*gap++, collector, writer));
    take(make_message(row, collector, writer));
  }
  while (gap != rows.gaps.end()) take(make_message(*gap++, collector, writer));
  return {};
}

}  // namespace sallyport::stream
