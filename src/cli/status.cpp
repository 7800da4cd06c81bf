// sallyport status: links, sources, sinks and points of a running node.
#include <boost/json.hpp>

#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/point_row.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

namespace json = boost::json;

// Reading a document that our own node wrote; a field that is missing reads as empty.
class View {
 public:
  explicit View(const json::value& value) : value_(value) {}
  View at(std::string_view key) const {
    const auto* object = value_.if_object();
    const auto* found = object ? object->if_contains(key) : nullptr;
    return View(found ? *found : kNull);
  }
  std::string text() const { return value_.is_string() ? printable(std::string(value_.get_string())) : std::string(); }
  std::uint64_t number() const {
    boost::system::error_code error;
    const auto number = value_.is_number() ? value_.to_number<std::uint64_t>(error) : 0;
    return error ? 0 : number;
  }
  bool boolean() const { return value_.is_bool() && value_.get_bool(); }
  UtcNanoseconds time() const { return parse_utc(text()).value_or(0); }
  std::vector<View> list() const {
    std::vector<View> views;
    if (const auto* array = value_.if_array()) {
      for (const auto& entry : *array) views.emplace_back(entry);
    }
    return views;
  }
  bool is_null() const { return value_.is_null(); }

 private:
  static const json::value kNull;
  const json::value& value_;
};
const json::value View::kNull;

std::string state_cell(const std::string& state) {
  return coloured(state, state == "up" ? Colour::green : state == "down" ? Colour::red : Colour::yellow);
}

std::string age_cell(UtcNanoseconds since, UtcNanoseconds now) {
  return since == 0 ? "" : friendly_age(Duration(now - since));
}

void print_head(const View& status, UtcNanoseconds now) {
  print(bold(status.at("node").text()) + "  sallyport " + status.at("version").text() + ", process " +
        std::to_string(status.at("pid").number()) + ", running for " + age_cell(status.at("started").time(), now) +
        "\n");
  const View points = status.at("points");
  print("points   " + coloured(friendly_count(points.at("good").number()) + " good", Colour::green) + ", " +
        coloured(friendly_count(points.at("uncertain").number()) + " uncertain", Colour::yellow) + ", " +
        coloured(friendly_count(points.at("bad").number()) + " bad", Colour::red) + "\n");
  if (const View listen = status.at("listen"); !listen.is_null()) {
    print("listen   port " + std::to_string(listen.at("port").number()) + ", " +
          friendly_count(listen.at("established").number()) + " peers admitted, " +
          friendly_count(listen.at("failed_handshake").number()) + " refused" +
          (listen.at("last_failure").text().empty() ? "" : "; the last: " + listen.at("last_failure").text()) + "\n");
  }
  if (const auto url = status.at("http").text(); !url.empty()) print("http     " + url + "\n");
}

void print_links(const View& status, UtcNanoseconds now) {
  Table table({"LINK", "PEER", "STATE", "FOR", "DELAY", "SENT", "RECEIVED", "DROPPED", "GROUP", "REASON"});
  for (const View& link : status.at("links").list()) {
    table.row(
        {link.at("name").text(), (link.at("dials").boolean() ? "→ " : "← ") + link.at("peer").text(),
         state_cell(link.at("state").text()), age_cell(link.at("since").time(), now),
         std::to_string(link.at("delay_us").number()) + " µs", friendly_count(link.at("send").at("changes").number()),
         friendly_count(link.at("receive").at("changes").number()),
         friendly_count(link.at("send").at("dropped").number()), link.at("group").text(), link.at("reason").text()});
    for (const View& hop : link.at("hops").list()) {
      const std::string state = hop.at("heard").boolean() ? hop.at("state").text() : "unheard";
      table.row({"  behind it: " + hop.at("node").text(), hop.at("link").text() + " – " + hop.at("peer").text(),
                 state_cell(state), age_cell(hop.at("since").time(), now),
                 std::to_string(hop.at("delay_us").number()) + " µs", "", "", "", "", hop.at("reason").text()});
    }
  }
  if (!table.empty()) print("\n" + table.text());
}

// One row for each diode: what the way loses, and what becomes of it.
void print_diodes(const View& status) {
  Table table({"DIODE", "WAY", "DATAGRAMS", "LOST", "RECOVERED", "LOSSES", "REFUSED", "ROUND", "IN DOUBT"});
  for (const View& link : status.at("links").list()) {
    const View diode = link.at("diode");
    if (diode.is_null()) continue;
    const bool sends = diode.at("direction").text() == "send";
    const auto figure = [&](std::string_view name) { return sends ? std::string() : friendly_count(diode.at(name).number()); };
    const std::string doubt = diode.at("doubt").text();
    table.row({link.at("name").text(), (sends ? "→ " : "← ") + link.at("address").text(), friendly_count(diode.at("datagrams").number()), figure("lost"), figure("recovered"),
               figure("losses"), figure("refused_total"), std::to_string(diode.at("round_ms").number()) + " ms", doubt.empty() ? "" : coloured(doubt, Colour::yellow)});
  }
  if (!table.empty()) print("\n" + table.text());
}

void print_connectors(const View& status, std::string_view key, const std::string& title, UtcNanoseconds now) {
  Table table({title, "TYPE", "STATE", "FOR", "POINTS", "CHANGES", "DROPPED", "REASON"});
  for (const View& one : status.at(key).list()) {
    table.row({one.at("name").text(), one.at("type").text(), state_cell(one.at("state").text()),
               age_cell(one.at("since").time(), now), friendly_count(one.at("points").number()),
               friendly_count(one.at("changes").number()), friendly_count(one.at("dropped").number()),
               one.at("reason").text()});
  }
  if (!table.empty()) print("\n" + table.text());
}

void print_seals(const View& status, UtcNanoseconds now) {
  Table sealing({"SEALS", "POINTS", "CONTAINERS", "BYTES", "SENT", "REASON"});
  for (const View& one : status.at("seals").at("sealing").list()) {
    sealing.row({one.at("prefix").text().empty() ? "**" : one.at("prefix").text() + "/**", friendly_count(one.at("points").number()),
                 friendly_count(one.at("containers").number()), friendly_bytes(one.at("bytes").number()),
                 one.at("confidential").boolean() ? "for readers only" : one.at("plain").boolean() ? "signed, and plain" : "signed", one.at("failure").text()});
  }
  if (!sealing.empty()) print("\n" + sealing.text());
  Table verifying({"VERIFIES", "ORIGIN", "STATE", "FOR", "POINTS", "NOT GOOD", "REFUSED", "REASON"});
  for (const View& one : status.at("seals").at("verifying").list()) {
    const std::string state = one.at("state").text();
    std::uint64_t refused = 0;
    for (const char* kind : {"malformed", "misplaced", "signature", "certificate", "old_epoch", "rollback", "late", "key", "checkpoint"})
      refused += one.at("refused").at(kind).number();
    verifying.row({one.at("prefix").text().empty() ? "**" : one.at("prefix").text() + "/**", one.at("origin").text(),
                   coloured(state, state == "live" ? Colour::green : state == "lost" ? Colour::red : Colour::yellow), age_cell(one.at("since").time(), now),
                   friendly_count(one.at("points").number()),
                   one.at("failed_buckets").number() == 0 ? "" : std::to_string(one.at("failed_buckets").number()) + " of " + std::to_string(one.at("buckets").number()) + " buckets",
                   friendly_count(refused), one.at("reason").text()});
  }
  if (!verifying.empty()) print("\n" + verifying.text());
}

// Nothing is said of a journal that keeps nothing for anyone.
void print_journal(const View& status) {
  const View journal = status.at("journal");
  Table table({"JOURNAL", "BEHIND", "ON DISK", "OLDEST"});
  for (const View& reader : journal.at("readers").list()) {
    if (journal.at("appended").number() == 0 && reader.at("behind").number() == 0) continue;
    table.row({reader.at("name").text(), friendly_count(reader.at("behind").number()), friendly_bytes(reader.at("behind_bytes").number()),
               reader.at("behind").number() == 0 ? "" : friendly_age(std::chrono::seconds(reader.at("oldest_seconds").number()))});
  }
  if (table.empty()) return;
  print("\n" + table.text());
  const std::uint64_t full = journal.at("seconds_to_full").number();
  print(friendly_bytes(journal.at("bytes").number()) + " of " + friendly_bytes(journal.at("max_bytes").number()) +
        (full > 0 ? ", full in " + friendly_age(std::chrono::seconds(full)) + " if nobody reads" : "") + "\n");
}

int show_status(const std::string& config, bool as_json) {
  const auto line = ask(config, R"({"command":"status"})");
  if (!line) return failed(line.error());
  if (as_json) {
    print(*line + "\n");
    return kSuccess;
  }
  boost::system::error_code error;
  const auto document = json::parse(*line, error);
  if (error) return failed({ErrorCode::malformed, "the node's answer is no JSON"});
  const View status(document);
  const auto now = now_utc();
  print_head(status, now);
  print_links(status, now);
  print_diodes(status);
  print_connectors(status, "sources", "SOURCE", now);
  print_connectors(status, "sinks", "SINK", now);
  print_seals(status, now);
  print_journal(status);
  const auto hints = status.at("hints").list();
  if (!hints.empty()) print("\n");
  for (const View& hint : hints) print(coloured("! ", Colour::yellow) + hint.text() + "\n");
  return kSuccess;
}

}  // namespace

Command status_command() {
  struct Arguments {
    std::string config;
    bool json = false;
  };
  return {"status", "Links, sources, sinks and points of a running node", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.json(arguments->json);
            return [arguments] { return show_status(arguments->config, arguments->json); };
          }};
}

}  // namespace sallyport::cli
