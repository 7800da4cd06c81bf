#include "sinks/recorder/result_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/json_writer.h"

namespace sallyport::recorder {
namespace {

void write_latency(JsonWriter& json, const Histogram& latency) {
  json.key("latency_ns");
  json.begin_object();
  json.field("count", latency.count());
  json.field("p50", latency.quantile(0.5));
  json.field("p90", latency.quantile(0.9));
  json.field("p99", latency.quantile(0.99));
  json.field("p999", latency.quantile(0.999));
  json.field("p9999", latency.quantile(0.9999));
  json.field("max", latency.quantile(1));
  json.end_object();
  json.key("buckets");
  json.begin_array();
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    if (latency.bucket_count(i) == 0) continue;
    json.begin_array();
    json.unsigned_integer(i);
    json.unsigned_integer(latency.bucket_count(i));
    json.end_array();
  }
  json.end_array();
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

}  // namespace

std::string to_json(const Report& report) {
  std::string out;
  JsonWriter json(out);
  const Totals& totals = report.totals;
  json.begin_object();
  json.field("name", report.name);
  json.field("at", std::to_string(report.at));  // nanoseconds since 1970; texts, for they are beyond 2^53
  json.field("stopped", report.stopped);
  json.field("changes", totals.changes);
  json.field("pulls", totals.pulls);
  json.field("definitions", totals.definitions);
  json.field("removals", totals.removals);
  json.field("missing", totals.missing);
  json.field("repeated", totals.repeated);
  json.field("gaps", totals.gaps);
  json.field("points", totals.points);
  json.field("wrong", totals.wrong);
  json.field("backwards", totals.backwards);
  json.field("not_good", totals.not_good);
  json.field("future", totals.future);
  json.field("first", std::to_string(totals.first));
  json.field("last", std::to_string(totals.last));
  json.field("last_definition", std::to_string(totals.last_definition));
  json.field("last_news", std::to_string(totals.last_news));
  if (report.ages) {
    json.key("age_ns");
    json.begin_object();
    json.field("mean", report.ages->mean);
    json.field("p50", report.ages->p50);
    json.field("p99", report.ages->p99);
    json.field("max", report.ages->max);
    json.end_object();
  }
  write_latency(json, totals.latency);
  json.end_object();
  return out + "\n";
}

Result<void> write_report(const std::string& path, const Report& report) {
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return std::unexpected(system_error(temporary, errno));
  const bool written = write_all(fd, to_json(report));
  const int error = errno;
  close(fd);
  if (!written) return std::unexpected(system_error(temporary, error));
  if (rename(temporary.c_str(), path.c_str()) != 0) return std::unexpected(system_error(path, errno));
  return {};
}

}  // namespace sallyport::recorder
