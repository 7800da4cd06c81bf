"""Measures the peers: what a chain of their servers carries, and what it costs."""

import json
import os
import select
import subprocess
import tempfile
import time

from servers import Failure, Mosquitto, Nats, make_certificates


class Peer:
    """A product as its users would set it up."""

    def __init__(self, key, name, program, chain, arguments, keeps_values, compressed=None):
        self.key = key
        self.name = name
        self.program = program  # which load generator
        self.chain = chain  # (folder, nodes) -> Chain
        self.arguments = arguments
        self.compressed = compressed  # another chain, whose links compress
        self.keeps_values = keeps_values  # has the last value for who comes later: a mirror


PEERS = [
    Peer("mosquitto_qos0", "Mosquitto, QoS 0", "mqtt_load", lambda f, n: Mosquitto(f, n, 0), [], False),
    Peer("mosquitto_qos1", "Mosquitto, QoS 1", "mqtt_load", lambda f, n: Mosquitto(f, n, 1), ["--qos", "1"], False),
    Peer("mosquitto_retained", "Mosquitto, QoS 1, retained", "mqtt_load", lambda f, n: Mosquitto(f, n, 1),
         ["--qos", "1", "--retain"], True),
    Peer("nats_core", "NATS leaf nodes, core", "nats_load", lambda f, n: Nats(f, n), [], False,
         compressed=lambda f, n: Nats(f, n, compression="s2_fast")),
    Peer("nats_jetstream", "NATS, JetStream mirrors", "nats_load", lambda f, n: Nats(f, n, True), ["--jetstream"], True),
]


def needed_programs(build):
    """What is missing on this machine, by the name of the load generator that needs it."""
    missing = {}
    for load, server in (("mqtt_load", "mosquitto"), ("nats_load", "nats-server")):
        if not os.access(os.path.join(build, "bench/peers", load), os.X_OK):
            missing[load] = f"{load} is not built"
        elif subprocess.run(["which", server], capture_output=True).returncode != 0:
            missing[load] = f"{server} is not installed"
    return missing


class Load:
    """A running load generator; read() gives its JSON lines as they come."""

    def __init__(self, build, peer, chain, arguments, consume=None):
        consume = chain.nodes - 1 if consume is None else consume
        command = [os.path.join(build, "bench/peers", peer.program), "--publish", str(chain.ports[0]),
                   "--consume", str(chain.ports[consume]), "--ca", chain.certificate("ca.crt"),
                   "--certificate", chain.certificate("node.crt"), "--key", chain.certificate("node.key"),
                   *peer.arguments, *arguments]
        if "--jetstream" in command:
            command += ["--streams", ",".join(f"node{node}" for node in range(consume + 1))]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, bufsize=1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def read(self, limit):
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.errors.seek(0)
            raise Failure(self.errors.read().strip()[-300:] or f"the load generator said nothing for {limit:.0f} s")
        return json.loads(line)


def traffic(build, peer, nodes, points, seconds, warm_up, rate=0, consumers=1, payload="binary",
            compressed=False):
    """Changes through a chain: closed loop, or open loop at `rate`."""
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as folder:
        make_certificates(folder)
        with (peer.compressed if compressed else peer.chain)(folder, nodes) as chain:
            arguments = ["--points", points, "--seconds", seconds, "--warm-up", warm_up, "--rate", rate,
                         "--consumers", consumers, "--payload", payload]
            with Load(build, peer, chain, [str(argument) for argument in arguments]) as load:
                begin = load.read(40 + warm_up)
                cpu, wire = chain.cpu_seconds(), chain.bytes_on_last_link()
                end = load.read(20 + seconds)
                cpu, wire = chain.cpu_seconds() - cpu, chain.bytes_on_last_link() - wire
                rss = chain.rss_bytes()
                result = load.read(30)
    passed = end["slowest"] - begin["slowest"]  # through every server
    if passed <= 0:
        raise Failure("nothing arrived while measuring")
    delivered = end["received"] - begin["received"]  # to all consumers
    took = end["at"] - begin["at"]
    return {
        "nodes": nodes, "points": points, "seconds": took, "consumers": consumers, "payload": payload, "rate": rate,
        "changes_per_second": passed / took,
        "delivered_per_second": delivered / took,
        "cpu_ns_per_change_per_node": cpu / nodes / delivered * 1e9,
        "cpu_share_of_load_generator": (end["load_cpu"] - begin["load_cpu"]) / took,
        "bytes_per_change": wire / passed, "rss_bytes": rss,
        **{key: result[key] for key in ("latency_us", "missing", "wrong", "backwards", "duplicates", "window",
                                        "payload_bytes")},
    }


def mirror(build, peer, points):
    """Memory of servers that hold `points` values, and the time until a new last node has them too."""
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as folder:
        make_certificates(folder)
        with peer.chain(folder, 3) as chain:
            time.sleep(0.3)
            empty = chain.rss_bytes()
            with Load(build, peer, chain, ["--points", str(points), "--mode", "fill"]) as fill:
                fill.read(60)
                time.sleep(1)
                full = chain.rss_bytes()
                began = time.time()
                late = chain.start_late()
                with Load(build, peer, chain, ["--points", str(points), "--mode", "collect"], consume=3) as collect:
                    complete = collect.read(90)
                    late_cpu = late.cpu_seconds()
    per_point = [(after - before) / points for after, before in zip(full, empty)]
    return {"points": points, "bytes_per_point": full[-1] / points, "bytes_per_point_over_empty": per_point[-1],
            "rss_bytes": full, "empty_rss_bytes": empty, "seconds": complete["at"] - began,
            "receiver_cpu_ns_per_point": late_cpu / points * 1e9}
