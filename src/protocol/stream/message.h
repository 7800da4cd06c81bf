// A change or a gap as a message for an event stream (NATS, Kafka): payload, and labels that consumers can read without
// it. Shared by the sinks; knows no wire format.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/collector.h"

namespace sallyport::stream {

// What a label is called where names are plain (Kafka), and where they are like those of HTTP (NATS).
struct LabelName {
  const char* plain;
  const char* header;
};
inline constexpr LabelName kStatus{"status", "Sallyport-Status"};        // "0x00000000"
inline constexpr LabelName kQuality{"quality", "Sallyport-Quality"};     // good | uncertain | bad
inline constexpr LabelName kUnit{"unit", "Sallyport-Unit"};              // when known
inline constexpr LabelName kOrigin{"origin", "Sallyport-Origin"};        // node at which it entered the network
inline constexpr LabelName kStream{"stream", "Sallyport-Stream"};        // (stream, sequence) names a change for ever
inline constexpr LabelName kSequence{"sequence", "Sallyport-Sequence"};
inline constexpr LabelName kBackfill{"backfill", "Sallyport-Backfill"};  // "true": it waited somewhere on the way
inline constexpr LabelName kJournal{"journal", "Sallyport-Journal"};     // who wrote the message (writer_name()), and
inline constexpr LabelName kPosition{"position", "Sallyport-Position"};  // its place in that journal: for the sink itself
inline constexpr LabelName kStored{"stored", "Sallyport-Stored"};        // up to here the stream had acknowledged then

struct Label {
  const LabelName* name;
  std::string value;
};

struct Message {
  Position position = 0;      // in this node's journal; 0: not from there
  bool gap = false;
  std::string path;           // of a change
  std::string id;             // names it for ever: "plant-1/00c0ffee12345678:17"; empty for what is not from the journal
  std::string stream;         // its parts, for Tail::has
  std::uint64_t sequence = 0;
  std::string payload;        // JSON: docs/json.md; a gap as `GET gaps` shows it
  std::vector<Label> labels;  // all but kStored, which is known only when it is sent
  std::size_t size_bytes() const;
};

// "JOURNAL/NODE/SINK": positions of one journal are comparable only among messages of one sink. "" without a journal.
std::string writer_name(const Collector& collector, const std::string& node, const std::string& sink);
Message make_message(const Row& row, const Collector& collector, const std::string& writer);
Message make_message(const FeedGap& gap, const Collector& collector, const std::string& writer);
// What comes next, at most about 2 × max, gaps among the changes by position. `rows` is the caller's to be reused.
Result<void> read_messages(Collector& collector, const std::string& writer, Rows& rows, std::size_t max,
                           const std::function<void(Message&&)>& take);

}  // namespace sallyport::stream
