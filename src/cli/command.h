// What a command of the program is: a name, a line of help, its options, and what it does. Each stands in its own file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sallyport::cli {

// What a command does once its options are read; the result is the exit code of the program.
using Action = std::function<int()>;
inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;
inline constexpr int kUsage = 2;

// The options of one command. Thin over CLI11, whose header stays out of here. References must live until the action
// has run: keep them in a struct that the action shares.
class Options {
 public:
  struct Impl;
  explicit Options(Impl& impl) : impl_(impl) {}

  enum class Need : std::uint8_t { optional, required };
  // `names` as CLI11 reads them: "-c,--config", "--json", or "path" for a positional argument.
  void text(const std::string& names, std::string& into, const std::string& help, Need need = Need::optional);
  void texts(const std::string& names, std::vector<std::string>& into, const std::string& help,
             Need need = Need::optional);
  void number(const std::string& names, std::int64_t& into, const std::string& help, std::int64_t min,
              std::int64_t max);
  void real(const std::string& names, double& into, const std::string& help, double min, double max);
  void flag(const std::string& names, bool& into, const std::string& help);
  void choice(const std::string& names, std::string& into, const std::string& help, std::vector<std::string> allowed);
  // The node to talk to: -c,--config FILE, or the environment variable SALLYPORT_CONFIG.
  void config(std::string& into);
  void json(bool& into);
  // A command below this one: `keys issue`.
  void command(const std::string& name, const std::string& help, const std::function<Action(Options&)>& setup);
  void footer(const std::string& text);

 private:
  Impl& impl_;
};

struct Command {
  std::string name;
  std::string help;
  std::function<Action(Options&)> setup;  // an empty Action: one of the commands below must be given
};

int run_program(int argc, char** argv, const std::vector<Command>& commands);

}  // namespace sallyport::cli
