#include "sinks/nats/nats_settings.h"

#include "protocol/nats/subject.h"

namespace sallyport::nats {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::uint64_t kMiB = 1024ull * 1024;

void read_subjects(SettingsReader& settings, SinkOptions& options) {
  options.prefix = settings.string("subject_prefix", "sallyport");
  if (const auto ok = check_subject(options.prefix, false); !ok) settings.problem("subject_prefix", ok.error().message);
  if (options.prefix.starts_with('$')) settings.problem("subject_prefix", "subjects that begin with '$' are the server's own");
  options.latest_prefix = settings.string("latest_prefix", options.stream.empty() ? options.prefix : "live." + options.prefix);
  if (const auto ok = check_subject(options.latest_prefix, false); !ok) settings.problem("latest_prefix", ok.error().message);
  if (!options.stream.empty() && (options.latest_prefix + ".").starts_with(options.prefix + ".")) {
    settings.problem("latest_prefix", "must not lie below `subject_prefix`: the stream would take these messages too");
  }
}

void read_stream(SettingsReader& settings, SinkOptions& options) {
  options.stream = settings.string("stream", "");
  if (options.stream.find_first_of(". *>/\\\t") != std::string::npos) {
    settings.problem("stream", "the name of a stream has no blanks, dots, slashes and wildcards");
  }
  options.create = settings.boolean("create", false);
  for (const char* key : {"create", "latest", "duplicate_window", "max_age", "max_bytes", "replicas"}) {
    if (options.stream.empty() && settings.has(key)) settings.problem(key, std::string("`") + key + "` needs a `stream`");
  }
  for (const char* key : {"duplicate_window", "max_age", "max_bytes", "replicas"}) {
    if (!options.create && settings.has(key)) settings.problem(key, std::string("`") + key + "` is for a stream that is created: create = true");
  }
  options.duplicate_window = settings.duration("duplicate_window", minutes(2), milliseconds(100), hours(24 * 7));
  if (settings.has("max_age")) options.max_age = settings.duration("max_age", hours(24), seconds(1), hours(24 * 3650));
  if (settings.has("max_bytes")) options.max_bytes = settings.size_bytes("max_bytes", 1024 * kMiB, kMiB, 1ull << 60);
  options.replicas = settings.integer("replicas", 1, 1, 5);
}

}  // namespace

SinkOptions read_options(const SinkCommon& common, SettingsReader& settings) {
  SinkOptions options;
  options.server = read_server_options(settings, "sallyport/" + common.node + "/" + common.name);
  read_stream(settings, options);
  read_subjects(settings, options);
  options.latest_in_stream = settings.choice("latest", "core", {"core", "jetstream"}) == "jetstream";
  options.max_outstanding = static_cast<std::size_t>(settings.integer("max_outstanding", 1000, 1, 100'000));
  options.max_outstanding_bytes = settings.size_bytes("max_outstanding_bytes", 16 * kMiB, 1024, 1024 * kMiB);
  options.ack_timeout = settings.duration("ack_timeout", seconds(5), milliseconds(100), minutes(5));
  return options;
}

}  // namespace sallyport::nats
