#include "sinks/influxdb/influx_settings.h"

namespace sallyport::influxdb {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool is_local(const std::string& url) {
  const std::string rest = url.substr(url.find("://") + 3);
  return rest.starts_with("127.") || rest.starts_with("localhost") || rest.starts_with("[::1]");
}

void read_url(SettingsReader& settings, Options& options) {
  options.url = settings.required_string("url");
  if (options.url.empty()) return;
  const bool http = options.url.starts_with("http://") || options.url.starts_with("https://");
  while (options.url.ends_with('/')) options.url.pop_back();
  if (!http || options.url.size() <= 8 || options.url.find_first_of("?# \t") != std::string::npos) {
    return settings.problem("url", "'" + options.url + "' is no address of a server; write e.g. \"http://127.0.0.1:8086\", or \"https://influx.example:8086\"");
  }
  if (options.url.find('@') != std::string::npos) settings.problem("url", "the user belongs into `user` and `password_file`, or use `token_file`");
}

// Who we are goes with each request.
void read_secrets(SettingsReader& settings, Options& options) {
  options.user = settings.string("user", "");
  options.password = settings.secret("password");
  options.token = settings.secret("token");
  if (options.user.empty() != options.password.empty()) settings.problem("user", "`user` and a password (`password_file`) go together");
  if (!options.user.empty() && !options.token.empty()) settings.problem("user", "give either `user` and a password, or a token");
  for (const std::string* text : {&options.user, &options.password, &options.token}) {
    if (text->find_first_of("\r\n") != std::string::npos) settings.problem("", "a secret must be one line");
  }
  if ((!options.password.empty() || !options.token.empty()) && options.url.starts_with("http://") && !is_local(options.url)) {
    settings.warning("url", "the secret crosses the network in the clear; use \"https://\"");
  }
}

}  // namespace

Options read_options(SettingsReader& settings) {
  Options options;
  read_url(settings, options);
  options.version2 = settings.choice("version", "1", {"1", "2"}) == "2";
  if (options.version2) {
    options.org = settings.required_string("org");
    options.bucket = settings.required_string("bucket");
  } else {
    options.database = settings.string("database", "sallyport");
    options.retention_policy = settings.string("retention_policy", "");
    if (options.database.empty()) settings.problem("database", "`database` must not be empty");
  }
  read_secrets(settings, options);
  options.measurement = settings.string("measurement", "sallyport");
  if (options.measurement.empty() || options.measurement.find_first_of(std::string_view("\n\r\\\0", 4)) != std::string::npos) {
    settings.problem("measurement", "`measurement` must be a name such as \"sallyport\", without line ends and '\\'");
  }
  options.ca = settings.file("ca");
  options.gzip = settings.boolean("gzip", true);
  options.batch = static_cast<std::size_t>(settings.integer("batch", 5'000, 1, 100'000));
  options.commit = settings.duration("commit", milliseconds(500), milliseconds(1), hours(1));
  options.timeout = settings.duration("timeout", seconds(30), seconds(1), hours(1));
  options.dead_letters = settings.file("dead_letters");
  return options;
}

}  // namespace sallyport::influxdb
