"""What `make bench` measures, in which order, and how long that may take."""

import concurrent.futures
import dataclasses
import functools
import sys
import time

from ours import Sallyport
from peers import PEERS, mirror, needed_programs, traffic
from servers import Failure


@dataclasses.dataclass
class Sizes:
    limit_seconds: float  # for sallyport and the peers together
    seconds: float
    warm_up: float
    points: list
    main_points: int  # of the headline figures
    large_points: int  # of snapshot, resume, memory
    lossless_steps: int
    hops: list
    hops_rate: int
    rates: list
    latency_rate: int
    latency_seconds: float
    links: list
    links_points: int
    idle_links: int
    slow_link: list
    opcua: list
    peer_seconds: float
    peer_points: list
    peer_hops: list
    peer_links: list
    mirror_points: list
    at_once: int  # chains: more than one disturb each other


FULL = Sizes(
    limit_seconds=14 * 60, seconds=3, warm_up=1, points=[10_000, 100_000, 1_000_000, 5_000_000], main_points=100_000,
    large_points=1_000_000, lossless_steps=5, hops=[1, 2, 3, 4, 5], hops_rate=1_000_000,
    rates=[1_000, 100_000, 1_000_000], latency_rate=10_000, latency_seconds=8, links=[1, 10, 100, 1000],
    links_points=10_000, idle_links=1000,
    slow_link=["--points", 10_000, "--rate", 50_000, "--bits-per-second", 1_000_000, "--seconds", 8],
    opcua=["--points", 100_000, "--rate", 100_000, "--seconds", 5],
    peer_seconds=3, peer_points=[10_000, 100_000, 1_000_000], peer_hops=[1, 2, 3, 4, 5], peer_links=[1, 10, 100],
    mirror_points=[10_000, 100_000], at_once=1)

# The same with fewer sizes, in half the time.
SHORT = dataclasses.replace(
    FULL, limit_seconds=8 * 60, seconds=2, points=[10_000, 100_000, 1_000_000], lossless_steps=4, hops=[1, 2, 3], rates=[100_000],
    latency_seconds=5, links=[1, 100], peer_seconds=2, peer_points=[100_000], peer_hops=[2], peer_links=[1],
    mirror_points=[100_000])

# Shows that everything runs; the figures mean nothing.
TINY = Sizes(
    limit_seconds=120, seconds=0.2, warm_up=0.1, points=[100], main_points=100, large_points=100, lossless_steps=0, hops=[],
    hops_rate=1000, rates=[], latency_rate=1000, latency_seconds=0.2, links=[1], links_points=100, idle_links=0, slow_link=[], opcua=[],
    peer_seconds=0.2, peer_points=[100], peer_hops=[], peer_links=[], mirror_points=[100], at_once=6)

# Each product's fastest.
FASTEST = ("mosquitto_qos0", "nats_core")


class Run:
    """Carries out steps until time is up; a step that fails leaves its reason instead of figures."""

    def __init__(self, sizes, whole=None, share=1):
        self.sizes = sizes
        self.began = whole.began if whole else time.time()
        self.deadline = self.began + sizes.limit_seconds * share
        self.failures = whole.failures if whole else []

    def step(self, what, store, key, measure):
        spent = time.time() - self.began
        if time.time() > self.deadline - 10:
            self.failures.append(f"{what}: left out, the time was up")
            return None
        print(f"bench: {spent:4.0f} s  {what}", file=sys.stderr, flush=True)
        for attempt in (1, 2):  # a port that was free may not be any more
            began = time.time()
            try:
                store[str(key)] = measure()
                return store[str(key)]
            except Failure as failure:
                print(f"bench: {what} failed: {failure}", file=sys.stderr, flush=True)
                if attempt == 2 or time.time() - began > 15 or time.time() > self.deadline - 10:
                    self.failures.append(f"{what}: {failure}")
                    return None


def measure_ours(run, program, share):
    """`share` of the time is for this."""
    sizes = run.sizes
    run = Run(sizes, run, share)
    ours = Sallyport(program, run.deadline)
    results = {name: {} for name in ("points", "lossless", "hops", "rates", "memory", "snapshot", "fan_out", "single")}
    for points in sizes.points:
        run.step(f"sallyport, {points} points", results["points"], points,
                 lambda: ours.chain(points, 2, sizes.seconds, warm_up=sizes.warm_up))
    for points in sorted({sizes.main_points, sizes.large_points}):
        fastest = results["points"].get(str(points))
        if fastest and sizes.lossless_steps:
            steps = sizes.lossless_steps - (points > 100_000)  # many points take longer to start
            run.step(f"sallyport, {points} points, every change arrives", results["lossless"], points,
                     lambda: ours.lossless(points, 2, 1.5, fastest["changes_per_second"], steps))
    for rate in sorted({sizes.latency_rate, *sizes.rates}):
        seconds = sizes.latency_seconds if rate == sizes.latency_rate else min(3, sizes.latency_seconds)
        run.step(f"sallyport, latency at {rate}/s", results["rates"], rate,
                 lambda: ours.chain(sizes.main_points, 2, seconds, rate=rate, warm_up=sizes.warm_up))
    for hops in sizes.hops:
        run.step(f"sallyport, {hops} hops", results["hops"], hops,
                 lambda: ours.chain(sizes.main_points, hops, min(2, sizes.seconds), rate=sizes.hops_rate, warm_up=0.5))
    for points in sizes.points:
        run.step(f"sallyport, memory of {points} points", results["memory"], points,
                 lambda: ours.bench("memory", "--points", points))
    for points in sorted({sizes.main_points, sizes.large_points}):
        run.step(f"sallyport, full mirror of {points} points", results["snapshot"], points,
                 lambda: ours.bench("snapshot", "--points", points))
    for links in sizes.links:
        run.step(f"sallyport, {links} downstream links", results["fan_out"], links,
                 lambda: ours.bench("fan-out", "--links", links, "--points", sizes.links_points,
                                    "--seconds", min(2, sizes.seconds)))
    if sizes.idle_links == 0:
        return results
    run.step("sallyport, resume", results["single"], "resume",
             lambda: ours.bench("resume", "--points", sizes.large_points, "--changed", 1, "--cut", 1))
    run.step("sallyport, slow link", results["single"], "slow_link", lambda: ours.bench("slow-link", *sizes.slow_link))
    run.step("sallyport, OPC UA edge", results["single"], "opcua", lambda: ours.bench("opcua", *sizes.opcua))
    run.step(f"sallyport, {sizes.idle_links} idle links", results["single"], "idle_links",
             lambda: ours.bench("idle-links", "--links", sizes.idle_links, "--seconds", 5))
    return results


def measure_peer(run, build, peer):
    sizes = run.sizes
    results = {name: {} for name in ("points", "hops", "rates", "fan_out", "mirror", "json", "compressed")}
    warm_up = min(1.5, sizes.peer_seconds * 3)
    for points in sizes.peer_points:
        run.step(f"{peer.name}, {points} points", results["points"], points,
                 lambda: traffic(build, peer, 3, points, sizes.peer_seconds, warm_up))
    run.step(f"{peer.name}, latency at {sizes.latency_rate}/s", results["rates"], sizes.latency_rate,
             lambda: traffic(build, peer, 3, sizes.main_points, min(5, sizes.latency_seconds), min(1, warm_up),
                             rate=sizes.latency_rate))
    if peer.keeps_values:
        for points in sizes.mirror_points:
            run.step(f"{peer.name}, mirror of {points} points", results["mirror"], points,
                     lambda: mirror(build, peer, points))
    if peer.key not in FASTEST:
        return results  # the plots that need not show all of them
    for hops in sizes.peer_hops:
        run.step(f"{peer.name}, {hops} hops", results["hops"], hops,
                 lambda: traffic(build, peer, hops + 1, sizes.main_points, min(2, sizes.peer_seconds), 0.9))
    for links in sizes.peer_links:
        run.step(f"{peer.name}, {links} consumers", results["fan_out"], links,
                 lambda: traffic(build, peer, 1, sizes.links_points, min(2, sizes.peer_seconds), 0.9, consumers=links))
    run.step(f"{peer.name}, JSON", results["json"], sizes.main_points,
             lambda: traffic(build, peer, 3, sizes.main_points, min(1, sizes.peer_seconds), 0.6, payload="json"))
    if peer.compressed:
        run.step(f"{peer.name}, compressed links", results["compressed"], sizes.main_points,
                 lambda: traffic(build, peer, 3, sizes.main_points, min(1, sizes.peer_seconds), 0.6, compressed=True))
    return results


def in_turn(tasks, at_once):
    if at_once == 1:
        return [task() for task in tasks]  # on this thread, where Ctrl-C ends it
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]


def measure(build, program, sizes, only=None):
    """All of it, or only "ours" or "peers"."""
    run = Run(sizes)
    results = {"peers": {}}
    missing = needed_programs(build) if only != "ours" else {}
    run.failures += [f"{why}: run scripts/setup bench, then make bench again" for why in missing.values()]
    peers = [peer for peer in PEERS if only != "ours" and peer.program not in missing]
    tasks = {peer.key: functools.partial(measure_peer, run, build, peer) for peer in peers}
    if only != "peers":  # the rest of the time is for the peers
        tasks = {"ours": functools.partial(measure_ours, run, program, 1 if only else 0.55), **tasks}
    for key, figures in zip(tasks, in_turn(tasks.values(), sizes.at_once)):
        (results if key == "ours" else results["peers"])[key] = figures
    results["took_seconds"] = time.time() - run.began
    results["failures"] = run.failures
    return results
