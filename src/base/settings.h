// A node's settings, read from TOML, as a tree that remembers where each key stands. The one place that knows toml++.
// Each connector reads its own table through a SettingsReader; every problem is collected as file:line:column, so that
// `sallyport check` shows all of them at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sallyport {

struct Place {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct Problem {
  Place place;
  std::string message;
  bool warning = false;
};
// "plant.toml:12:3: unknown key 'brose'; did you mean 'browse'?"
std::string to_string(const Problem& problem);

using Problems = std::vector<Problem>;

// One table of the file. A cheap handle; the parsed file lives as long as any handle to it.
class Settings {
 public:
  Settings();  // an empty table
  static Result<Settings> parse(std::string_view text, std::string file_name, Problems& problems);
  static Result<Settings> load(const std::string& file_name, Problems& problems);  // syntax errors go to problems

  struct Node;
  explicit Settings(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  const Node& node() const { return *node_; }
  Place place() const;
  // The folder of the file: relative file names in settings are relative to it.
  std::string folder() const;
  // The table in canonical form: equal texts mean equal settings, whatever the layout and comments.
  std::string text() const;

 private:
  std::shared_ptr<const Node> node_;
};

// Reads one table and reports what is wrong with it. A getter that meets a problem notes it and returns the default, so
// the caller reads on and asks `problems` once at the end. finish() (or the destructor) reports keys nobody asked for,
// with the nearest known key as a suggestion.
class SettingsReader {
 public:
  SettingsReader(const Settings& table, Problems& problems);
  ~SettingsReader();
  SettingsReader(const SettingsReader&) = delete;
  SettingsReader& operator=(const SettingsReader&) = delete;

  bool has(std::string_view key);
  bool is_string(std::string_view key);  // for keys that take a word or a number: `rate = "max"`
  std::string string(std::string_view key, std::string_view default_value);
  std::string required_string(std::string_view key);
  std::int64_t integer(std::string_view key, std::int64_t default_value, std::int64_t min, std::int64_t max);
  double number(std::string_view key, double default_value, double min, double max);
  bool boolean(std::string_view key, bool default_value);
  // "250ms", "3s", "1m", "24h", "7d"
  Duration duration(std::string_view key, Duration default_value, Duration min, Duration max);
  // "64KiB", "64MiB", "1GB"
  std::uint64_t size_bytes(std::string_view key, std::uint64_t default_value, std::uint64_t min, std::uint64_t max);
  // "9600 bit/s", "64 kbit/s", "100 Mbit/s", "1 Gbit/s": bits a second
  std::uint64_t bit_rate(std::string_view key, std::uint64_t default_value, std::uint64_t min, std::uint64_t max);
  bool is_array(std::string_view key) const;  // for keys that take one or several
  std::vector<std::string> strings(std::string_view key, std::vector<std::string> default_value);
  // One of `allowed`; otherwise a problem that lists them.
  std::string choice(std::string_view key, std::string_view default_value, std::vector<std::string_view> allowed);
  // A file name made absolute against the folder of the settings file. Empty when absent.
  std::string file(std::string_view key);
  // A secret: `key_file = "…"` or `key_env = "NAME"`, read now; a literal `key = "…"` works with a warning. Empty when absent.
  std::string secret(std::string_view key);
  // Sub-table and array of tables. An absent table reads as empty / absent.
  std::optional<Settings> table(std::string_view key);
  std::vector<Settings> tables(std::string_view key);
  // Every key of this table that holds a table or array of tables (for [[source.<type>]]): marked as known.
  std::vector<std::string> keys();

  // A problem at this key (or at the table when key is empty or absent).
  void problem(std::string_view key, std::string message);
  void warning(std::string_view key, std::string message);
  Place place(std::string_view key) const;
  void finish();

 private:
  std::uint64_t quantity(std::string_view key, std::uint64_t default_value, std::uint64_t min, std::uint64_t max,
                         Result<std::uint64_t> (*parse)(std::string_view), std::string (*text_of)(std::uint64_t), std::string_view what);
  struct State;
  std::unique_ptr<State> state_;
};

Result<Duration> parse_duration(std::string_view text);
Result<std::uint64_t> parse_size(std::string_view text);
Result<std::uint64_t> parse_bit_rate(std::string_view text);
std::string bit_rate_text(std::uint64_t bits_per_second);   // "100 Mbit/s"
// The entry of `candidates` nearest to `text` by edit distance, if near enough to be a typing error.
std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& candidates);

}  // namespace sallyport
