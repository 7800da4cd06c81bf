#include "node/diode_status.h"

#include <algorithm>
#include <cstdio>

#include "link/diode/transport.h"

namespace sallyport::node {
namespace {

using link::diode::DiodeStatus;

std::uint64_t milliseconds(Duration duration) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

std::string one_digit(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

constexpr Duration kClockOff = std::chrono::seconds(60);       // announcements are refused at ten minutes
constexpr std::uint64_t kSmallBuffer = 8u << 20;

std::uint64_t refused_in_all(const DiodeStatus& diode) {
  std::uint64_t all = 0;
  for (const auto& [kind, count] : diode.refused) all += count;
  return all;
}

}  // namespace

std::vector<DiodeFigure> diode_figures(const DiodeStatus& d) {
  std::vector<DiodeFigure> figures{{"datagrams", d.datagrams}, {"bytes", d.bytes}, {"rounds", d.rounds}, {"epoch", d.epoch, false},
                                   {"round_ms", milliseconds(d.round), false}, {"max_staleness_ms", milliseconds(d.max_staleness), false}, {"records", d.records}};
  const auto add = [&](std::initializer_list<DiodeFigure> more) { figures.insert(figures.end(), more); };
  if (d.sends) {
    add({{"rate", d.rate, false}, {"round_bytes", d.round_bytes, false}, {"parity_datagrams", d.parity_datagrams}, {"announcement_datagrams", d.announcement_datagrams}, {"send_errors", d.send_errors},
         {"rekeys", d.rekeys}, {"too_large", d.too_large, false}});
    return figures;
  }
  add({{"lost", d.lost_datagrams, false}, {"recovered", d.recovered}, {"lost_groups", d.lost_groups}, {"losses", d.losses}, {"lost_news", d.lost_news}, {"malformed", d.malformed},
       {"senders", d.senders}, {"staleness_ms", milliseconds(d.staleness), false}, {"recovery_ms", milliseconds(d.recovery), false}, {"refused_total", refused_in_all(d)},
       {"socket_dropped", d.socket_dropped}, {"socket_buffer_bytes", d.socket_buffer, false}, {"skipped_bytes", d.skipped_bytes}, {"records_lost", d.records_lost},
       {"record_gaps", d.record_gaps}, {"records_held_back", d.records_held_back, false}});
  return figures;
}

void write_diode(JsonWriter& json, const link::LinkStatus& link) {
  if (!link.diode) return;
  const DiodeStatus& diode = *link.diode;
  json.key("diode");
  json.begin_object();
  json.field("direction", diode.sends ? "send" : "receive");
  json.field("carrier", diode.carrier);
  for (const DiodeFigure& figure : diode_figures(diode)) json.field(figure.name, figure.value);
  if (diode.sends) {
    json.field("shortage", diode.shortage);
  } else {
    json.field("in_doubt", diode.in_doubt);
    json.field("doubt", diode.doubt);
    json.field("clock_offset_ms", std::int64_t{std::chrono::duration_cast<std::chrono::milliseconds>(diode.clock_offset).count()});
    json.key("refused");
    json.begin_object();
    for (const auto& [kind, count] : diode.refused) json.field(kind, count);
    json.end_object();
    json.field("last_refusal", diode.last_refusal);
  }
  json.end_object();
}

std::vector<std::string> diode_hints(const link::LinkStatus& link) {
  std::vector<std::string> hints;
  if (!link.diode) return hints;
  const DiodeStatus& diode = *link.diode;
  const std::string name = "diode link " + link.name + ": ";
  if (diode.sends) {
    if (diode.shortage > 1) {
      hints.push_back(name + "telling everything takes " + std::to_string(milliseconds(diode.round)) + " ms, more than half of max_staleness; raise rate " + one_digit(diode.shortage) +
                      " times, or raise max_staleness, or send fewer points");
    }
    if (diode.too_large > 0) hints.push_back(name + std::to_string(diode.too_large) + " values are above 1 MiB and are not sent; their points are bad at " + link.peer);
    return hints;
  }
  if (diode.losses > 0 && diode.in_doubt) hints.push_back(name + "in doubt since something was lost (" + diode.doubt + "); good again when everything was told again");
  if (diode.socket_dropped > 0) hints.push_back(name + std::to_string(diode.socket_dropped) + " datagrams dropped by this host; see `sallyport doctor`");
  if (diode.records_lost > 0 || diode.record_gaps > 0) hints.push_back(name + std::to_string(diode.records_lost) + " changes of `every` points are lost; see `sallyport gaps`");
  if (!diode.last_refusal.empty() && link.state != link::LinkState::up) hints.push_back(name + diode.last_refusal);
  return hints;
}

Findings check_diode(const link::LinkStatus& link) {
  Findings findings;
  if (!link.diode) return findings;
  const DiodeStatus& diode = *link.diode;
  if (diode.sends) {
    const std::string text = link.name + " sends to " + link.address + " at " + bit_rate_text(diode.rate) + "; a round takes " + std::to_string(milliseconds(diode.round)) + " ms";
    findings.push_back(diode.shortage > 1 ? Finding{"diode", Verdict::warning, text + ", more than half of max_staleness", "raise rate or max_staleness, or send fewer points"}
                                          : Finding{"diode", Verdict::ok, text, ""});
    return findings;
  }
  if (diode.carrier == "udp") {
    const std::string buffer = link.name + ": receive buffer of " + std::to_string(diode.socket_buffer >> 10) + " KiB, " + std::to_string(diode.socket_dropped) + " datagrams dropped by this host";
    if (diode.socket_buffer < kSmallBuffer || diode.socket_dropped > 0) {
      findings.push_back({"diode", Verdict::warning, buffer,
                          "give it CAP_NET_ADMIN, or `sysctl -w net.core.rmem_max=" + std::to_string(link::diode::kWantedReceiveBuffer) + "`; if it has that, this host is too slow"});
    } else {
      findings.push_back({"diode", Verdict::ok, buffer, ""});
    }
  }
  const Duration off = diode.clock_offset < Duration(0) ? -diode.clock_offset : diode.clock_offset;
  const std::string clock = link.name + ": the clock of " + link.peer + " and ours differ by " + one_digit(std::chrono::duration<double>(off).count()) + " s";
  if (link.state == link::LinkState::up) {
    findings.push_back(off > kClockOff ? Finding{"diode", Verdict::warning, clock, "set both by a time server of their own; from 10 minutes on nothing of " + link.peer + " is believed after a restart"}
                                       : Finding{"diode", Verdict::ok, clock, ""});
  }
  return findings;
}

}  // namespace sallyport::node
