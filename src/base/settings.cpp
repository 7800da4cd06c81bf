#include "base/settings.h"

#include <toml++/toml.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <limits>
#include <set>
#include <sstream>

namespace sallyport {

namespace {

struct File {
  std::string name;
  toml::table root;
};

}  // namespace

struct Settings::Node {
  std::shared_ptr<const File> file;
  const toml::table* table;
};

namespace {

constexpr std::size_t kMaxFileSize = 4 * 1024 * 1024;
constexpr std::size_t kMaxSecretSize = 64 * 1024;
constexpr std::size_t kMaxQuoted = 60;

Place place_at(const std::string& file, const toml::source_position& position) {
  // Tables that toml++ made by itself (the root) have no position.
  return {file, std::max(position.line, 1u), std::max(position.column, 1u)};
}

std::string in_quotes(std::string_view text) {
  std::size_t size = std::min(text.size(), kMaxQuoted);
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80)
    --size;  // whole characters
  return '"' + std::string(text.substr(0, size)) + (text.size() > size ? "…\"" : "\"");
}

template <typename T>
std::string number_text(T value) {
  std::array<char, 40> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

std::string describe(const toml::node& node) {
  if (const auto* string = node.as_string()) return "the string " + in_quotes(string->get());
  if (const auto* integer = node.as_integer()) return "the integer " + number_text(integer->get());
  if (const auto* real = node.as_floating_point()) return "the number " + number_text(real->get());
  if (const auto* boolean = node.as_boolean()) return boolean->get() ? "the boolean true" : "the boolean false";
  if (node.is_table()) return "a table";
  if (node.is_array_of_tables()) return "a list of tables ([[…]])";
  if (node.is_array()) return "an array";
  return "a date or time";
}

std::string duration_text(Duration duration) {
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 6> units = {{{"d", 86'400'000'000'000},
                                                                               {"h", 3'600'000'000'000},
                                                                               {"m", 60'000'000'000},
                                                                               {"s", 1'000'000'000},
                                                                               {"ms", 1'000'000},
                                                                               {"us", 1'000}}};
  const std::int64_t count = duration.count();
  for (const auto& [name, size] : units) {
    if (count >= size && count % size == 0) return '"' + number_text(count / size) + std::string(name) + '"';
  }
  return count == 0 ? "\"0s\"" : '"' + number_text(count) + "ns\"";
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> names = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t index = 0;
  for (; index + 1 < names.size() && bytes != 0 && bytes % 1024 == 0; ++index) bytes /= 1024;
  return '"' + number_text(bytes) + std::string(names[index]) + '"';
}

std::string rate_text(std::uint64_t bits) { return '"' + bit_rate_text(bits) + '"'; }

// "at least 1", "at most 9", "1 to 9"
template <typename T, typename Text>
std::string range_text(T min, T max, Text&& text) {
  if (max == std::numeric_limits<T>::max()) return "at least " + text(min);
  if (min == std::numeric_limits<T>::lowest()) return "at most " + text(max);
  return text(min) + " to " + text(max);
}

// The whole file, or why not.
Result<std::string> read_file(const std::string& name, std::size_t max) {
  std::error_code ignored;
  if (std::filesystem::is_directory(name, ignored)) return fail(ErrorCode::invalid, "is a directory; expected a file");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(name.c_str(), "re"), &std::fclose);
  if (!file) return std::unexpected(system_error("cannot open", errno));
  std::string text;
  std::array<char, 16384> buffer;
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    text.append(buffer.data(), got);
    if (text.size() > max) return fail(ErrorCode::limit, "is larger than " + number_text(max / 1024) + " KiB");
  }
  if (std::ferror(file.get()) != 0) return std::unexpected(system_error("cannot read", errno));
  return text;
}

std::unexpected<Error> note(Problems& problems, Place place, std::string message) {
  problems.push_back({std::move(place), std::move(message)});
  return fail(ErrorCode::invalid, to_string(problems.back()));
}

// The message of toml++ on one line, with a hint at the commonest mistake.
std::string syntax_message(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  const bool bare = out.contains("integer") || out.contains("floating-point") || out.contains("expected value") ||
                    out.contains("value type") || out.contains("boolean");
  if (bare && !out.contains("redefine")) out += "; texts, durations and sizes stand in quotes, such as \"3s\"";
  return out;
}

}  // namespace

std::string to_string(const Problem& problem) {
  const auto& [file, line, column] = problem.place;
  return file + ':' + number_text(std::max(line, 1u)) + ':' + number_text(std::max(column, 1u)) + ": " +
         (problem.warning ? "warning: " : "") + problem.message;
}

Settings::Settings() {
  auto file = std::make_shared<const File>();
  const toml::table* root = &file->root;
  node_ = std::make_shared<const Node>(std::move(file), root);
}

Result<Settings> Settings::parse(std::string_view text, std::string file_name, Problems& problems) {
  try {  // the packaged toml++ reports by exception
    auto file = std::make_shared<const File>(file_name, toml::parse(text, file_name));
    const toml::table* root = &file->root;
    return Settings(std::make_shared<const Node>(std::move(file), root));
  } catch (const toml::parse_error& error) {
    return note(problems, place_at(file_name, error.source().begin), syntax_message(error.description()));
  }
}

Result<Settings> Settings::load(const std::string& file_name, Problems& problems) {
  const auto text = read_file(file_name, kMaxFileSize);
  if (!text) return note(problems, {file_name, 1, 1}, text.error().message);
  if (std::ranges::all_of(*text, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; })) {
    return note(problems, {file_name, 1, 1}, "is empty; a node needs at least [node] with a name");
  }
  return parse(*text, file_name, problems);
}

Place Settings::place() const { return place_at(node_->file->name, node_->table->source().begin); }

std::string Settings::folder() const {
  std::error_code ignored;
  const auto absolute = std::filesystem::absolute(node_->file->name.empty() ? "." : node_->file->name, ignored);
  return (node_->file->name.empty() ? absolute : absolute.parent_path()).lexically_normal().string();
}

std::string Settings::text() const {
  std::ostringstream out;
  out << toml::toml_formatter(*node_->table);
  return out.str();
}

struct SettingsReader::State {
  Settings table;
  Problems& problems;
  std::set<std::string, std::less<>> known;
  bool finished = false;

  const toml::table& toml() const { return *table.node().table; }
  const std::string& file() const { return table.node().file->name; }

  // The value at this key, which is now known; null when absent.
  const toml::node* find(std::string_view key) {
    known.emplace(key);
    return toml().get(key);
  }
  Place place(std::string_view key) const {
    const auto found = toml().find(key);
    return found == toml().end() ? table.place() : place_at(file(), found->first.source().begin);
  }
  void note(std::string_view key, std::string message, bool warning = false) {
    problems.push_back({place(key), std::move(message), warning});
  }
  // "'rate' must be an integer, such as rate = 10; found the string "fast""
  void wrong_type(std::string_view key, std::string_view expected, std::string_view example, const toml::node& found) {
    const std::string name(key);
    note(key, "'" + name + "' must be " + std::string(expected) + ", such as " + name + " = " + std::string(example) +
                  "; found " + describe(found));
  }
  void out_of_range(std::string_view key, const std::string& value, const std::string& range) {
    note(key, "'" + std::string(key) + "' is " + value + "; it must be " + range);
  }
  std::string unknown(const std::string& key) const {
    std::string message = "unknown key '" + key + "'";
    const std::vector<std::string> candidates(known.begin(), known.end());
    if (const auto meant = nearest(key, candidates)) return message + "; did you mean '" + *meant + "'?";
    if (candidates.empty()) return message + "; no keys are expected here";
    message += "; known here are ";
    for (std::size_t i = 0; i < candidates.size(); ++i) (message += i == 0 ? "" : ", ") += candidates[i];
    return message;
  }
};

SettingsReader::SettingsReader(const Settings& table, Problems& problems)
    : state_(std::make_unique<State>(State{.table = table, .problems = problems, .known = {}})) {}

SettingsReader::~SettingsReader() { finish(); }

void SettingsReader::finish() {
  if (std::exchange(state_->finished, true)) return;
  std::vector<Problem> unknown;
  for (const auto& [key, node] : state_->toml()) {
    const std::string name(key.str());
    if (!state_->known.contains(name)) unknown.push_back({state_->place(name), state_->unknown(name)});
  }
  // toml++ sorts by name; people read by line.
  std::ranges::sort(unknown, {}, [](const Problem& p) { return std::pair(p.place.line, p.place.column); });
  std::ranges::move(unknown, std::back_inserter(state_->problems));
}

bool SettingsReader::has(std::string_view key) { return state_->find(key) != nullptr; }

bool SettingsReader::is_string(std::string_view key) {
  const toml::node* node = state_->find(key);
  return node != nullptr && node->is_string();
}

std::string SettingsReader::string(std::string_view key, std::string_view default_value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return std::string(default_value);
  if (const auto* text = node->as_string()) return text->get();
  const std::string example = default_value.empty() ? "\"…\"" : in_quotes(default_value);
  state_->wrong_type(key, "a string", example, *node);
  return std::string(default_value);
}

std::string SettingsReader::required_string(std::string_view key) {
  const toml::node* node = state_->find(key);
  const std::string name(key);
  if (node == nullptr) {
    problem("", "missing key '" + name + "'; expected a string: " + name + " = \"…\"");
    return {};
  }
  std::string text = string(key, "");
  if (text.empty() && node->is_string()) problem(key, "'" + name + "' must not be empty");
  return text;
}

std::int64_t SettingsReader::integer(std::string_view key, std::int64_t default_value, std::int64_t min,
                                     std::int64_t max) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return default_value;
  const auto* found = node->as_integer();
  if (found == nullptr) {
    state_->wrong_type(key, "an integer", number_text(default_value), *node);
    return default_value;
  }
  if (found->get() >= min && found->get() <= max) return found->get();
  state_->out_of_range(key, number_text(found->get()), range_text(min, max, number_text<std::int64_t>));
  return default_value;
}

double SettingsReader::number(std::string_view key, double default_value, double min, double max) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return default_value;
  if (!node->is_number()) {
    state_->wrong_type(key, "a number", number_text(default_value), *node);
    return default_value;
  }
  const double found =
      node->is_integer() ? static_cast<double>(node->as_integer()->get()) : node->as_floating_point()->get();
  if (found >= min && found <= max) return found;
  state_->out_of_range(key, number_text(found), range_text(min, max, number_text<double>));
  return default_value;
}

bool SettingsReader::boolean(std::string_view key, bool default_value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return default_value;
  if (const auto* found = node->as_boolean()) return found->get();
  state_->wrong_type(key, "true or false without quotes", default_value ? "true" : "false", *node);
  return default_value;
}

Duration SettingsReader::duration(std::string_view key, Duration default_value, Duration min, Duration max) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return default_value;
  const auto* text = node->as_string();
  if (text == nullptr) {
    state_->wrong_type(key, "a duration with its unit in quotes", duration_text(default_value), *node);
    return default_value;
  }
  const auto found = parse_duration(text->get());
  if (!found) {
    problem(key, "'" + std::string(key) + "': " + found.error().message);
    return default_value;
  }
  if (*found >= min && *found <= max) return *found;
  const auto in_words = [](std::int64_t count) { return duration_text(Duration(count)); };
  state_->out_of_range(key, in_quotes(text->get()), range_text(min.count(), max.count(), in_words));
  return default_value;
}

// A number with its unit in quotes.
std::uint64_t SettingsReader::quantity(std::string_view key, std::uint64_t default_value, std::uint64_t min, std::uint64_t max,
                                       Result<std::uint64_t> (*parse)(std::string_view), std::string (*text_of)(std::uint64_t),
                                       std::string_view what) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return default_value;
  const auto* text = node->as_string();
  if (text == nullptr) {
    state_->wrong_type(key, "a " + std::string(what) + " with its unit in quotes", text_of(default_value), *node);
    return default_value;
  }
  const auto found = parse(text->get());
  if (!found) {
    problem(key, "'" + std::string(key) + "': " + found.error().message);
    return default_value;
  }
  if (*found >= min && *found <= max) return *found;
  state_->out_of_range(key, in_quotes(text->get()), range_text(min, max, text_of));
  return default_value;
}

std::uint64_t SettingsReader::size_bytes(std::string_view key, std::uint64_t default_value, std::uint64_t min,
                                         std::uint64_t max) {
  return quantity(key, default_value, min, max, parse_size, size_text, "size");
}

std::uint64_t SettingsReader::bit_rate(std::string_view key, std::uint64_t default_value, std::uint64_t min,
                                       std::uint64_t max) {
  return quantity(key, default_value, min, max, parse_bit_rate, rate_text, "rate");
}

bool SettingsReader::is_array(std::string_view key) const {
  const toml::node* node = state_->find(key);
  return node != nullptr && node->is_array();
}

std::vector<std::string> SettingsReader::strings(std::string_view key, std::vector<std::string> default_value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return default_value;
  const std::string example = default_value.empty() ? "[\"…\"]" : '[' + in_quotes(default_value.front()) + ']';
  const auto* array = node->as_array();
  if (array == nullptr) {
    const auto* text = node->as_string();
    state_->wrong_type(key, "an array of strings", text != nullptr ? '[' + in_quotes(text->get()) + ']' : example,
                       *node);
    return default_value;
  }
  std::vector<std::string> out;
  for (const toml::node& element : *array) {
    if (const auto* text = element.as_string()) {
      out.push_back(text->get());
      continue;
    }
    state_->problems.push_back({place_at(state_->file(), element.source().begin),
                                "'" + std::string(key) + "' must hold strings only; found " + describe(element)});
    return default_value;
  }
  return out;
}

std::string SettingsReader::choice(std::string_view key, std::string_view default_value,
                                   std::vector<std::string_view> allowed) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return std::string(default_value);
  const auto* text = node->as_string();
  if (text != nullptr && std::ranges::contains(allowed, std::string_view(text->get()))) return text->get();
  std::string message = "'" + std::string(key) + "' must be one of ";
  for (std::size_t i = 0; i < allowed.size(); ++i) (message += i == 0 ? "" : ", ") += in_quotes(allowed[i]);
  message += "; found " + describe(*node);
  if (text != nullptr) {
    const auto meant = nearest(text->get(), std::vector<std::string>(allowed.begin(), allowed.end()));
    if (meant) message += "; did you mean " + in_quotes(*meant) + "?";
  }
  problem(key, std::move(message));
  return std::string(default_value);
}

std::string SettingsReader::file(std::string_view key) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return {};
  const std::string name = string(key, "");
  if (name.empty() && node->is_string())
    problem(key, "'" + std::string(key) + "' must name a file; found an empty string");
  if (name.empty()) return {};
  return (std::filesystem::path(state_->table.folder()) / name).lexically_normal().string();
}

std::string SettingsReader::secret(std::string_view key) {
  const std::string plain(key), key_file = plain + "_file", key_env = plain + "_env";
  const int given = int{has(plain)} + int{has(key_file)} + int{has(key_env)};
  if (given > 1) {
    problem(has(plain) ? plain : key_env,
            "'" + plain + "' is given more than once; keep one of " + key_file + " and " + key_env);
    return {};
  }
  if (has(key_env)) {
    const std::string name = required_string(key_env);
    const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
    if (value != nullptr && *value != '\0') return value;
    if (!name.empty()) problem(key_env, "environment variable '" + name + "' is not set or empty");
    return {};
  }
  if (has(key_file)) {
    const std::string name = file(key_file);
    if (name.empty()) return {};
    auto text = read_file(name, kMaxSecretSize);
    if (!text) {
      problem(key_file, "secret file '" + name + "': " + text.error().message);
      return {};
    }
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    if (text->empty()) problem(key_file, "secret file '" + name + "' is empty");
    return std::move(*text);
  }
  // Never quotes what it found: this may be the secret.
  const toml::node* node = state_->find(plain);
  if (node == nullptr) return {};
  if (!node->is_string()) {
    problem(plain, "'" + plain + "' must be a string; better: " + key_file + " = \"…\" or " + key_env + " = \"…\"");
    return {};
  }
  warning(plain, "a secret stands in the settings file; use " + key_file + " = \"…\" or " + key_env + " = \"…\"");
  return node->as_string()->get();
}

std::optional<Settings> SettingsReader::table(std::string_view key) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return {};
  if (const auto* found = node->as_table()) {
    return Settings(std::make_shared<const Settings::Node>(state_->table.node().file, found));
  }
  problem(key,
          "'" + std::string(key) + "' must be one table, written [" + std::string(key) + "]; found " + describe(*node));
  return {};
}

std::vector<Settings> SettingsReader::tables(std::string_view key) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return {};
  const auto* array = node->as_array();
  if (array == nullptr || (!array->empty() && !array->is_array_of_tables())) {
    const std::string name(key);
    problem(key, "'" + name + "' must be a list of tables, each written [[" + name + "]]; found " + describe(*node));
    return {};
  }
  std::vector<Settings> out;
  for (const toml::node& element : *array) {
    out.emplace_back(std::make_shared<const Settings::Node>(state_->table.node().file, element.as_table()));
  }
  return out;
}

std::vector<std::string> SettingsReader::keys() {
  std::vector<std::string> out;
  for (const auto& [key, node] : state_->toml()) {
    if (node.is_table() || node.is_array_of_tables()) out.emplace_back(key.str());
  }
  state_->known.insert(out.begin(), out.end());
  return out;
}

void SettingsReader::problem(std::string_view key, std::string message) { state_->note(key, std::move(message)); }
void SettingsReader::warning(std::string_view key, std::string message) { state_->note(key, std::move(message), true); }
Place SettingsReader::place(std::string_view key) const { return state_->place(key); }

}  // namespace sallyport
