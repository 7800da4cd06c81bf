// sallyport gaps: intervals in which changes were lost or are not known.
#include <boost/json.hpp>

#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/point_row.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string config;
  bool json = false;
};

std::string text_of(const boost::json::object& gap, std::string_view key) {
  const auto* found = gap.if_contains(key);
  return found && found->is_string() ? printable(std::string(found->get_string())) : std::string();
}

std::string matches_of(const boost::json::object& gap) {
  constexpr std::size_t kShown = 3;
  std::string text;
  const auto* match = gap.if_contains("match");
  if (!match || !match->is_array()) return text;
  for (std::size_t i = 0; i < match->get_array().size(); ++i) {
    const auto* pattern = match->get_array()[i].if_string();
    if (i == kShown) return text + " and " + std::to_string(match->get_array().size() - kShown) + " more";
    if (pattern) text += (text.empty() ? "" : ", ") + printable(std::string(*pattern));
  }
  return text;
}

void print_table(const boost::json::array& gaps) {
  const auto now = now_utc();
  Table table({"START", "LASTED", "CAUSE", "NODE", "WHERE", "LOST", "POINTS", "DETAIL"});
  for (const auto& entry : gaps) {
    const auto* gap = entry.if_object();
    if (!gap) continue;
    const auto start = parse_utc(text_of(*gap, "start")).value_or(0);
    const auto end = parse_utc(text_of(*gap, "end"));
    const auto* lost = gap->if_contains("lost");
    table.row({friendly_time(start, now), end ? friendly_age(Duration(*end - start)) : coloured("it lasts", Colour::red), text_of(*gap, "cause"),
               text_of(*gap, "node"), text_of(*gap, "where"), lost && lost->is_number() ? friendly_count(lost->to_number<std::uint64_t>()) : "not known",
               matches_of(*gap), text_of(*gap, "detail")});
  }
  table.print();
}

int gaps(const Arguments& arguments) {
  const auto answer = ask(arguments.config, R"({"command":"gaps"})");
  if (!answer) return failed(answer.error());
  if (arguments.json) {
    print(*answer + "\n");
    return kSuccess;
  }
  boost::system::error_code error;
  const auto parsed = boost::json::parse(*answer, error);
  const auto* object = error ? nullptr : parsed.if_object();
  const auto* list = object ? object->if_contains("gaps") : nullptr;
  if (!list || !list->is_array()) return failed({ErrorCode::malformed, "the node's answer is not what was expected"});
  if (list->get_array().empty()) print("no gaps\n");
  else print_table(list->get_array());
  return kSuccess;
}

}  // namespace

Command gaps_command() {
  return {"gaps", "Intervals in which changes of `every` points were lost or are not known", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.json(arguments->json);
            return [arguments] { return gaps(*arguments); };
          }};
}

}  // namespace sallyport::cli
