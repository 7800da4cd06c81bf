// What [[sink.kafka]] says.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "namespace/sink.h"

namespace sallyport::kafka {

struct Options {
  std::string brokers;     // "a:9092,b:9092"
  std::string topic;       // "{2}" stands for the second level of the path
  std::string gaps_topic;
  std::size_t max_outstanding = 0, max_outstanding_bytes = 0;
  // Of the client library, both for producing and for reading back; and for producing alone.
  std::vector<std::pair<std::string, std::string>> client, producer;
};

// Problems go to the settings' list.
Options read_options(const SinkCommon& common, SettingsReader& settings);

// The topic of a point. Characters that a topic's name cannot have become '_'; a level that the path has not, nothing.
void append_topic(std::string& out, std::string_view pattern, std::string_view path);

}  // namespace sallyport::kafka
