// Append-only JSON for hot paths: no tree, no allocation beyond the growth of the output. Commas are the writer's job.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport {

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void begin_object() { separate(); out_ += '{'; fresh_ = true; }
  void end_object() { out_ += '}'; fresh_ = false; }
  void begin_array() { separate(); out_ += '['; fresh_ = true; }
  void end_array() { out_ += ']'; fresh_ = false; }
  void key(std::string_view name);            // escaped
  void string(std::string_view text);         // escaped; bytes that are not UTF-8 become U+FFFD
  void number(double value);                  // shortest text that reads back the same; NaN, ±Infinity as strings
  void number(float value);
  void integer(std::int64_t value);           // beyond ±2^53 as a string
  void unsigned_integer(std::uint64_t value);
  void boolean(bool value);
  void null();
  void raw(std::string_view json);            // already JSON

  // {"key": "text"} and friends in one line
  void field(std::string_view name, std::string_view text) { key(name); string(text); }
  void field(std::string_view name, const char* text) { key(name); string(text); }
  void field(std::string_view name, bool value) { key(name); boolean(value); }
  void field(std::string_view name, double value) { key(name); number(value); }
  void field(std::string_view name, std::int64_t value) { key(name); integer(value); }
  void field(std::string_view name, std::uint64_t value) { key(name); unsigned_integer(value); }
  void field(std::string_view name, int value) { key(name); integer(value); }
  void field(std::string_view name, unsigned value) { key(name); unsigned_integer(value); }

 private:
  void separate() {
    if (!fresh_) out_ += ',';
    fresh_ = false;
  }
  std::string& out_;
  bool fresh_ = true;
};

}  // namespace sallyport
