// Metrics in the text format of Prometheus. Samples may be added in any order; each family comes out as one block.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::http {

class MetricsText {
 public:
  using Label = std::pair<std::string_view, std::string_view>;
  using Labels = std::initializer_list<Label>;

  // Names follow [a-z_][a-z0-9_]*; counters end in "_total". Label values may be any text.
  void counter(std::string_view name, std::string_view help, Labels labels, std::uint64_t value);
  void counter(std::string_view name, std::string_view help, Labels labels, double value);
  void gauge(std::string_view name, std::string_view help, Labels labels, std::uint64_t value);
  void gauge(std::string_view name, std::string_view help, Labels labels, double value);

  std::string text() const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Family {
    std::string name, help;
    std::string_view type;
    std::string samples;
  };
  Family& family(std::string_view name, std::string_view help, std::string_view type);
  void add(std::string_view name, std::string_view help, std::string_view type, Labels labels, std::string_view value);

  std::vector<Family> families_;
};

}  // namespace sallyport::http
