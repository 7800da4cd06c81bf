"""Writes docs/performance.md and its plots from measured results. Sections that people write are kept."""

import os
import re

from peers import PEERS
from svg import Series, plot

PLACEHOLDER = "_Not written yet._"


def million(number):
    if number >= 999_500:
        return f"{number / 1e6:.3g} M/s"
    return f"{number / 1e3:,.0f} k/s" if number >= 99_950 else f"{number / 1e3:.3g} k/s"


def microseconds(number):
    return f"{number:,.0f} µs" if number < 10_000 else f"{number / 1e3:.0f} ms"


def nanoseconds(number):
    return f"{number:,.0f} ns" if number >= 100 else f"{number:.0f} ns"


def size(number):
    return f"{number:,.0f} B"


def seconds(number):
    return f"{number * 1e3:.0f} ms" if number < 1 else f"{number:.2f} s"


def count(number):
    return f"{int(number):,}"


def times(ratio):
    return f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.1f}×"


def dig(results, *keys):
    """results[a][b]…, or None where something was not measured."""
    for key in keys:
        if not isinstance(results, dict) or str(key) not in results:
            return None
        results = results[str(key)]
    return results


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cells(ours, peers, show, more_is_better):
    """One row: our figure, then each peer's with how many times better ours is."""
    out = ["–" if ours is None else f"**{show(ours)}**"]
    for figure in peers:
        if figure is None:
            out.append("–")
        elif ours in (None, 0) or not figure:
            out.append(show(figure))
        else:
            out.append(f"{show(figure)} ({times(ours / figure if more_is_better else figure / ours)})")
    return out


class Page:
    def __init__(self, results, folder):
        self.results = results
        self.ours = results["ours"]
        self.sizes = results["sizes"]
        self.peers = [peer for peer in PEERS if peer.key in results["peers"]]
        self.folder = folder  # docs/
        self.main = self.sizes["main_points"]
        self.large = self.sizes["large_points"]

    def peer_figures(self, *keys):
        return [dig(self.results["peers"], peer.key, *keys) for peer in self.peers]

    def headline(self):
        """The run whose throughput and CPU stand in the table: where every change arrived, if that was measured."""
        return dig(self.ours, "lossless", self.main) or dig(self.ours, "points", self.main) or {}

    # --- Tables --------------------------------------------------------------------------------------------------------

    def comparison(self):
        rate = self.sizes["latency_rate"]
        rows = []

        def row(name, ours, peers, show, more_is_better=False):
            if any(figure is not None for figure in peers):
                rows.append([name, *cells(ours, peers, show, more_is_better)])

        ours = self.headline()
        row(f"changes/s, {count(self.main)} points", ours.get("changes_per_second"),
            self.peer_figures("points", self.main, "changes_per_second"), million, True)
        if self.large != self.main:
            large = dig(self.ours, "lossless", self.large) or dig(self.ours, "points", self.large) or {}
            row(f"changes/s, {count(self.large)} points", large.get("changes_per_second"),
                self.peer_figures("points", self.large, "changes_per_second"), million, True)
        row("CPU per change and node", ours.get("cpu_ns_per_change_per_node"),
            self.peer_figures("points", self.main, "cpu_ns_per_change_per_node"), nanoseconds)
        for share, name in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")):
            row(f"latency {name} at {count(rate)} changes/s", dig(self.ours, "rates", rate, "latency_us", share),
                self.peer_figures("rates", rate, "latency_us", share), microseconds)
        row("bytes on the wire per change, 20-byte payload", ours.get("bytes_per_change"),
            self.peer_figures("points", self.main, "bytes_per_change"), size)
        row("the same, JSON payload", ours.get("bytes_per_change"),
            self.peer_figures("json", self.main, "bytes_per_change"), size)
        row("the same, links compressed", ours.get("bytes_per_change"),
            self.peer_figures("compressed", self.main, "bytes_per_change"), size)
        held = self.sizes["mirror_points"][-1]
        row(f"memory per point at the last node, {count(held)} points", dig(self.ours, "memory", held, "bytes_per_point"),
            self.peer_figures("mirror", held, "bytes_per_point"), size)
        row(f"full mirror of {count(held)} points to a new node, from its start",
            dig(self.ours, "snapshot", held, "seconds_from_process_start"),
            self.peer_figures("mirror", held, "seconds"), seconds)
        if held != self.large:
            row(f"full mirror: sallyport {count(self.large)} points, the others {count(held)}",
                dig(self.ours, "snapshot", self.large, "seconds_from_process_start"),
                self.peer_figures("mirror", held, "seconds"), seconds)
        return table(["", "sallyport", *(peer.name for peer in self.peers)], rows)

    def goals(self):
        rows = []

        def row(what, measured, goal, show, more_is_better=False):
            if measured is not None:
                met = measured >= goal if more_is_better else measured <= goal
                rows.append([what, show(measured), ("≥ " if more_is_better else "≤ ") + show(goal),
                             "yes" if met else "**no**"])

        ours, rate = self.headline(), self.sizes["latency_rate"]
        row(f"changes/s end to end, {count(self.main)} points", ours.get("changes_per_second"), 10e6, million, True)
        best = max((figure for figure in self.peer_figures("points", self.main, "changes_per_second") if figure), default=None)
        if best and ours:
            row("times the best peer", ours["changes_per_second"] / best, 40, lambda n: f"{n:.1f}", True)
        row("CPU per change and node", ours.get("cpu_ns_per_change_per_node"), 60, nanoseconds)
        for share, name, goal in (("p50", "p50", 80), ("p99", "p99", 300), ("p999", "p99.9", 1000)):
            row(f"latency {name} at {count(rate)} changes/s", dig(self.ours, "rates", rate, "latency_us", share), goal,
                microseconds)
        large = dig(self.ours, "lossless", self.large) or dig(self.ours, "points", self.large) or {}
        row(f"changes/s, {count(self.large)} points", large.get("changes_per_second"), 5e6, million, True)
        row("bytes on the wire per change", ours.get("bytes_per_change"), 20, lambda n: f"{n:.1f} B")
        row(f"memory per point, {count(self.large)} points", dig(self.ours, "memory", self.large, "bytes_per_point"), 200,
            size)
        row(f"full mirror of {count(self.large)} points", dig(self.ours, "snapshot", self.large, "seconds"), 1.5, seconds)
        single = self.ours["single"]
        row(f"resume after a cut, 1 % of {count(self.large)} points changed",
            dig(single, "resume", "milliseconds"), 50, lambda n: f"{n:.0f} ms")
        row("slow link: greatest age ÷ one full pass", dig(single, "slow_link", "age_max_over_full_pass"), 1.5,
            lambda n: f"{n:.2f}")
        links = dig(single, "idle_links", "links")
        row(f"{links} idle links: share of a core", dig(single, "idle_links", "cpu_share"), 0.05, lambda n: f"{n * 100:.1f} %")
        row(f"{links} idle links: memory of each", dig(single, "idle_links", "bytes_per_link"), 100 * 1024,
            lambda n: f"{n / 1024:.0f} KiB")
        return table(["", "measured", "to reach", "reached"], rows)

    def chain_rows(self, name, first):
        rows = []
        for key, run in dig(self.ours, name).items():
            latency = run["latency_us"]
            rows.append([count(key), million(run["changes_per_second"]), million(run["source_changes_per_second"]),
                         " ".join(f"{number:.0f}" for number in run["cpu_ns_per_change"]),
                         " ".join(f"{number * 100:.0f}" for number in run["cpu_share"]),
                         f"{run['bytes_per_change']:.1f}", " / ".join(microseconds(latency[q]) for q in ("p50", "p99", "p999")),
                         " ".join(f"{number / 1e6:.0f}" for number in run["rss_bytes"]),
                         f"{run['wrong']} {run['backwards']} {run['missing']}"])
        heads = [first, "arrived", "made", "CPU ns/change, by node", "CPU %, by node", "B/change", "p50 / p99 / p99.9",
                 "memory MB, by node", "wrong, backwards, missing"]
        return table(heads, rows) if rows else "_Not measured._"

    def fan_out_rows(self):
        rows = [[count(links), million(run["changes_per_second"]), nanoseconds(run["hub_cpu_ns_per_change"]),
                 f"{run['hub_cpu_share'] * 100:.0f} %"] for links, run in dig(self.ours, "fan_out").items()]
        return table(["links", "changes/s, all links together", "CPU of the sender per change sent", "of a core"], rows)

    def peer_rows(self):
        rows = []
        for peer in self.peers:
            for kind in ("points", "rates", "json", "compressed", "hops", "fan_out"):
                for run in (dig(self.results["peers"], peer.key, kind) or {}).values():
                    rate = f"{count(run['rate'])}/s" if run["rate"] else f"window {count(run['window'])}"
                    rows.append([peer.name, str(run["nodes"]), count(run["consumers"]), count(run["points"]), rate,
                                 run["payload"] + (", compressed" if kind == "compressed" else ""), million(run["delivered_per_second"]),
                                 nanoseconds(run["cpu_ns_per_change_per_node"]),
                                 f"{run['cpu_share_of_load_generator'] * 100:.0f} %",
                                 f"{run['bytes_per_change']:.1f}" if run["nodes"] > 1 else "–",
                                 f"{run['wrong']} {run['backwards']} {run['missing']}"])
        heads = ["", "servers", "consumers", "points", "pace", "payload", "changes/s at all consumers", "CPU per change and server", "load generator's CPU",
                 "B/change", "wrong, backwards, missing"]
        return table(heads, rows)

    def mirror_rows(self):
        rows = []
        for points in sorted({*self.ours["memory"], *self.ours["snapshot"]}, key=int):
            memory, snapshot = dig(self.ours, "memory", points) or {}, dig(self.ours, "snapshot", points) or {}
            rows.append(["sallyport", count(points), *(size(memory[key]) if memory else "–" for key in
                                                       ("bytes_per_point", "bytes_per_point_over_empty")),
                         *(seconds(snapshot[key]) if snapshot else "–" for key in ("seconds_from_process_start", "seconds"))])
        for peer in self.peers:
            for run in dig(self.results["peers"], peer.key, "mirror").values():
                rows.append([peer.name, count(run["points"]), size(run["bytes_per_point"]),
                             size(run["bytes_per_point_over_empty"]), seconds(run["seconds"]), "–"])
        return table(["", "points", "memory per point", "over an empty node", "full mirror, from the process's start",
                      "from the link's"], rows)

    def opcua(self):
        run = dig(self.ours, "single", "opcua")
        if not run:
            return ""
        rows = [[one["name"], f"{one['cpu_share'] * 100:.1f} %", nanoseconds(one["cpu_ns_per_change"])]
                for one in run["processes"]]
        start = ", ".join(f"{name.replace('_', ' ')} {number:.2f} s" for name, number in run["start_seconds"].items())
        return (f"OPC UA edge, {count(run['points'])} variables of an open62541 server through two nodes "
                "([bench.md](bench.md#opc-ua-edge)): "
                f"{million(run['changes_per_second'])} delivered; {run['written']:,} written, {run['lost']} lost, "
                f"{run['wrong']} wrong, {run['backwards']} backwards; latency p50 {run['latency_ms']['p50']:.0f} ms, "
                f"p99 {run['latency_ms']['p99']:.0f} ms. Start: {start}.\n\n" +
                table(["", "of a core", "CPU per change"], rows) + "\n\n")

    # --- Plots ---------------------------------------------------------------------------------------------------------

    def series(self, ours, peer_kind, pick):
        """One line for us, one for each peer that has such figures."""
        out = [Series("sallyport", [(float(key), pick(run)) for key, run in (ours or {}).items()], 0)]
        for index, peer in enumerate(self.peers):
            runs = dig(self.results["peers"], peer.key, peer_kind) or {}
            out.append(Series(peer.name.replace(" leaf nodes", ""), [(float(key), pick(run)) for key, run in runs.items()],
                              index + 1))
        return out

    def latency_series(self):
        rate = self.sizes["latency_rate"]
        shares = ["p50", "p90", "p99", "p999", "p9999"]

        def line(run):
            return [(index, run["latency_us"][share]) for index, share in enumerate(shares)] if run else []

        out = [Series("sallyport", line(dig(self.ours, "rates", rate)), 0)]
        for index, peer in enumerate(self.peers):
            run = dig(self.results["peers"], peer.key, "rates", rate)
            out.append(Series(peer.name.replace(" leaf nodes", ""), line(run), index + 1))
        return out

    def write_plots(self):
        os.makedirs(os.path.join(self.folder, "performance"), exist_ok=True)
        chain = "plant → DMZ → office, every link with TLS"
        throughput = self.series(self.ours["points"], "points", lambda run: run["changes_per_second"])
        throughput.append(Series("sallyport, every change", [(float(key), run["changes_per_second"])
                                                             for key, run in self.ours["lossless"].items()], 6))

        def write(name, *arguments, **options):
            with open(os.path.join(self.folder, "performance", name + ".svg"), "w") as out:
                out.write(plot(*arguments, **options))

        write("throughput", "Changes per second against points", "points", "changes/s at the last node",
              throughput, x_log=True, y_log=True, subtitle=chain)
        write("latency", f"Latency at {count(self.sizes['latency_rate'])} changes/s", "share of changes that were faster", "µs",
              self.latency_series(), y_log=True, x_ticks=[0, 1, 2, 3, 4],
              x_names=["50 %", "90 %", "99 %", "99.9 %", "99.99 %"], subtitle=chain + "; counted from when a change was due")
        hops = self.series(self.ours["hops"], "hops", lambda run: run["cpu_ns_per_change_per_node"])
        write("hops", "CPU per change and node against hops", "hops", "ns", hops, y_log=True,
              x_ticks=self.sizes["hops"] or [1], subtitle=f"{count(self.main)} points")
        write("memory", "Memory of the last node against points", "points", "bytes per point",
              self.series({key: {"bytes_per_point": run["bytes_per_point"]} for key, run in self.ours["memory"].items()},
                          "mirror", lambda run: run["bytes_per_point"]), x_log=True, y_log=True,
              subtitle="the whole process, divided by its points")
        write("links", "Changes per second against downstream links", "links, or consumers of one server",
              "changes/s, all links together",
              self.series(self.ours["fan_out"], "fan_out",
                          lambda run: run.get("delivered_per_second", run["changes_per_second"])), x_log=True, y_log=True,
              subtitle=f"{count(self.sizes['links_points'])} points")

    # --- The page ------------------------------------------------------------------------------------------------------

    def kept(self, name):
        """What people wrote between the markers, from the page as it is."""
        path = os.path.join(self.folder, "performance.md")
        text = ""
        if os.path.exists(path):
            with open(path) as page:
                found = re.search(rf"<!-- by hand: {name} -->\n(.*?)<!-- end -->", page.read(), re.DOTALL)
                text = found.group(1) if found else ""
        return f"<!-- by hand: {name} -->\n{text or PLACEHOLDER + chr(10)}<!-- end -->"

    def machine(self):
        machine = dig(self.headline(), "machine") or {}
        return (f"Measured on {self.results['date']} in {self.results['took_seconds'] / 60:.0f} minutes, on "
                f"{machine.get('cores', '?')} cores of {machine.get('cpu', 'unknown')}, Linux {machine.get('kernel', '?')}; "
                f"{'; '.join(self.results['versions'])}. Sallyport's links: TLS 1.3, "
                f"{self.headline().get('group', '?')}, ML-DSA-65 certificates on both sides. The peers' links: TLS 1.3 with "
                "ECDSA P-256 certificates on both sides; the key exchange is their default.")

    def text(self):
        payload = self.peer_figures("points", self.main, "payload_bytes")
        payload = next((number for number in payload if number), 20)
        json_payload = next((number for number in self.peer_figures("json", self.main, "payload_bytes") if number), None)
        json_text = f", {json_payload:.0f} bytes as JSON" if json_payload else ""
        failures = "\n".join("- " + failure.replace("\n", " ") for failure in self.results["failures"])
        return f"""# Performance, measured

{self.machine()}

This page is written by `make bench` ([scripts/bench](../scripts/bench)); only the sections that say so are written by people.
[bench.md](bench.md) says what each figure means.

## Beside what one would use instead
Three servers each, plant → DMZ → office, on one machine, every connection with TLS; what comes out at the end is compared with
what went in. In brackets: how many times better sallyport is.

{self.comparison()}

- *Changes/s* are lossless: for the peers, the publisher keeps a window of changes under way and sends the next one when the
  last consumer has seen an earlier one (the best of three windows); for sallyport, the highest rate tried at which every change
  that the source made arrived (replacing an older value by a newer one, as `latest` may, would count as loss; the
  two counters are read a moment apart, so 0.5 % less is let pass).
- A peer's change is one message with the value as a double, a status and the source time ({payload:.0f} bytes{json_text}),
  in a topic of 40 characters; sallyport's paths have 40 characters too. Both make values that count up, which compress well.
  NATS by default compresses links between leaf nodes when their first round trip was long; here it does so only in the row
  that says so (at its setting `s2_fast`).
- *CPU* is that of the servers. For sallyport this includes making the changes in the first node and checking each in the last;
  for the peers a load generator does that, and is not counted.
- *Latency* is open loop: from the time at which a change was due, at a fixed rate, to when the last consumer has it.
- *Bytes on the wire* are TCP payload on the last link between servers, as the kernel counts it.
- Mosquitto: no persistence, queues without limit. JetStream: streams in memory that keep the last message of each subject;
  an ordered consumer. NATS core and Mosquitto without retain keep nothing: who comes later sees nothing.

## Beside what it is meant to reach
{self.goals()}

## Plots
![Changes per second against points](performance/throughput.svg)
![Latency distribution](performance/latency.svg)
![CPU against hops](performance/hops.svg)
![Memory against points](performance/memory.svg)
![Changes per second against downstream links](performance/links.svg)

In the first plot, "sallyport" is as fast as it goes (newer values replace older ones on the way; what arrives is counted) and
"every change" the highest rate at which none was replaced. A peer's "links" are subscribers of one server.

## What limits it
{self.kept("limits")}

## Tried and rejected
{self.kept("rejected")}

## All figures
As fast as it goes: the source makes as many as it can, newer values replace older ones on the way, and what arrives is counted.

{self.chain_rows("points", "points")}

Every change arrives:

{self.chain_rows("lossless", "points")}

At a fixed rate, {count(self.main)} points:

{self.chain_rows("rates", "changes/s")}

Hops, at {count(self.sizes["hops_rate"])} changes/s, {count(self.main)} points:

{self.chain_rows("hops", "hops")}

Downstream links of one node, {count(self.sizes["links_points"])} points, as fast as it goes:

{self.fan_out_rows()}

Memory and full mirrors:

{self.mirror_rows()}

{self.opcua()}The peers:

{self.peer_rows()}
{chr(10) + "Not measured:" + chr(10) + failures + chr(10) if failures else ""}
## Reproduce
`make bench` on a machine that does nothing else; it installs what is missing, takes ten minutes and uses loopback only.
`scripts/bench --only ours` or `--only peers` runs half of it without writing the page, `scripts/bench --page` writes the page
again from [performance/results.json](performance/results.json). Each row of sallyport's can be had alone: its command is in
that file.
"""

    def write(self):
        self.write_plots()
        text = self.text()
        with open(os.path.join(self.folder, "performance.md"), "w") as out:
            out.write(text)
