// Metrics as text; see metrics_text.h. (https://prometheus.io/docs/instrumenting/exposition_formats/)
#include "sinks/http/metrics_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace sallyport::http {
namespace {

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes)
      out += "\\\"";
    else
      out += c;
  }
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

}  // namespace

// A few dozen families: a search from the end finds the last one used at once.
MetricsText::Family& MetricsText::family(std::string_view name, std::string_view help, std::string_view type) {
  for (auto known = families_.rbegin(); known != families_.rend(); ++known) {
    if (known->name == name) return *known;
  }
  return families_.emplace_back(std::string(name), std::string(help), type, std::string());
}

void MetricsText::add(std::string_view name, std::string_view help, std::string_view type, Labels labels,
                      std::string_view value) {
  std::string& out = family(name, help, type).samples;
  out += name;
  bool first = true;
  for (const auto& [key, text] : labels) {
    out += first ? '{' : ',';
    first = false;
    out += key;
    out += "=\"";
    append_escaped(out, text, true);
    out += '"';
  }
  if (!first) out += '}';
  out += ' ';
  out += value;
  out += '\n';
}

void MetricsText::counter(std::string_view name, std::string_view help, Labels labels, std::uint64_t value) {
  add(name, help, "counter", labels, std::to_string(value));
}
void MetricsText::counter(std::string_view name, std::string_view help, Labels labels, double value) {
  add(name, help, "counter", labels, number(value));
}
void MetricsText::gauge(std::string_view name, std::string_view help, Labels labels, std::uint64_t value) {
  add(name, help, "gauge", labels, std::to_string(value));
}
void MetricsText::gauge(std::string_view name, std::string_view help, Labels labels, double value) {
  add(name, help, "gauge", labels, number(value));
}

std::string MetricsText::text() const {
  std::string out;
  for (const Family& family : families_) {
    out += "# HELP " + family.name + ' ';
    append_escaped(out, family.help, false);
    out += "\n# TYPE " + family.name + ' ';
    out += family.type;
    out += '\n';
    out += family.samples;
  }
  return out;
}

}  // namespace sallyport::http
