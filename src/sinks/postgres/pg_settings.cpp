#include "sinks/postgres/pg_settings.h"

#include <libpq-fe.h>

#include <algorithm>
#include <memory>

namespace sallyport::postgres {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMaxSchema = 40;

struct FreeConninfo {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

std::string find(const Options& options, std::string_view key) {
  const auto at = std::ranges::find(options.connection, key, [](const auto& pair) { return pair.first; });
  return at == options.connection.end() ? std::string() : at->second;
}

bool is_local(const std::string& host) {
  return host.empty() || host.starts_with('/') || host.starts_with('@') || host == "localhost" || host.starts_with("127.") || host == "::1";
}

void read_connection(SettingsReader& settings, Options& options) {
  const std::string text = settings.required_string("connection");
  if (text.empty()) return;
  char* raw_error = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeConninfo> parsed(PQconninfoParse(text.c_str(), &raw_error));
  if (!parsed) {
    std::string error = raw_error != nullptr ? raw_error : "out of memory";
    PQfreemem(raw_error);
    while (error.ends_with('\n')) error.pop_back();
    return settings.problem("connection", error + "; write e.g. \"host=db.example dbname=plant user=sallyport sslmode=verify-full\"");
  }
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string keyword = option->keyword;
    if (keyword == "password") return settings.problem("connection", "the password belongs into `password_file` or `password_env`");
    if (keyword == "replication") return settings.problem("connection", "`replication` makes no connection for rows; leave it out");
    options.connection.emplace_back(keyword, option->val);
  }
  const std::string host = find(options, "host"), port = find(options, "port");
  options.server = (host.empty() ? find(options, "hostaddr") : host) + (port.empty() ? "" : ":" + port) + "/" + find(options, "dbname");
  if (find(options, "sslmode").empty() && !is_local(host.empty() ? find(options, "hostaddr") : host)) {
    settings.warning("connection", "without `sslmode` what is sent may cross the network in the clear; write sslmode=verify-full (and sslrootcert=…)");
  }
}

bool is_schema(std::string_view text) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !text.empty() && text.size() <= kMaxSchema && !(text[0] >= '0' && text[0] <= '9') && !text.starts_with("pg_") && std::ranges::all_of(text, allowed);
}

}  // namespace

Options read_options(const SinkCommon& common, SettingsReader& settings) {
  Options options;
  options.reader = common.node + "/" + common.name;
  read_connection(settings, options);
  options.password = settings.secret("password");
  options.schema = settings.string("schema", "sallyport");
  if (!is_schema(options.schema)) {
    settings.problem("schema", "a schema is called by up to 40 lower-case letters, digits and '_', e.g. \"sallyport\"; \"pg_…\" belongs to the server");
  }
  options.batch = static_cast<std::size_t>(settings.integer("batch", 10'000, 1, 1'000'000));
  options.commit = settings.duration("commit", milliseconds(500), milliseconds(1), hours(1));
  options.partition = settings.duration("partition", hours(24), hours(1), hours(24 * 366));
  if (options.partition % hours(1) != Duration(0)) settings.problem("partition", "must be whole hours, e.g. \"24h\" or \"7d\"");
  options.timescaledb = settings.choice("timescaledb", "auto", {"auto", "off"}) == "auto";
  options.timeout = settings.duration("timeout", seconds(30), seconds(1), hours(1));
  return options;
}

}  // namespace sallyport::postgres
