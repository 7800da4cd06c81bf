"""Three systems of three servers, plant -> DMZ -> office, whose servers can be killed and frozen while changes pass, and what
became of each change. Used by scripts/outage."""

import json
import os
import signal
import subprocess
import threading
import time

from servers import Failure, Mosquitto, Nats, Server, free_ports, make_certificates

PLANT, DMZ, OFFICE = range(3)
NODES = ("plant", "dmz", "office")


class Breakable:
    """What is done to a server by its number. Mixed into a Chain."""

    def start(self, node, dials=None):
        server = super().start(node) if dials is None else super().start(node, dials)
        self.now = {**getattr(self, "now", {}), node: server}
        return server

    def kill(self, node):
        self.now[node].process.kill()
        self.now[node].process.wait()

    def restart(self, node):
        self.servers.append(self.start(node))

    def freeze(self, node):
        self.now[node].process.send_signal(signal.SIGSTOP)

    def thaw(self, node):
        self.now[node].process.send_signal(signal.SIGCONT)

    def __exit__(self, *exception):
        for server in self.now.values():
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
        super().__exit__(*exception)


class KeepingMosquitto(Breakable, Mosquitto):
    """Brokers that keep sessions, and what is queued in them, in a file that is written each second, as often as one can say."""

    def settings(self, node, dials):
        text = super().settings(node, dials).replace("cleansession true", "cleansession false")
        store = os.path.join(self.folder, f"mosquitto-{node}")
        os.makedirs(store, exist_ok=True)
        return text.replace("persistence false", f"persistence true\npersistence_location {store}/\nautosave_interval 1")


class KeepingNats(Breakable, Nats):
    pass


class Peer:
    """A chain of a peer's servers with its load generator at both ends, which says how far it is as it goes."""

    def __init__(self, build, folder, make_chain, program, arguments, plan):
        make_certificates(folder)
        self.chain = make_chain(folder)
        self.program = os.path.join(build, "bench/peers", program)
        self.arguments = arguments
        self.plan = plan
        self.progress = []
        self.events = {}
        self.changed = threading.Condition()
        self.load = None

    def __enter__(self):
        self.chain.__enter__()
        try:
            self.start_load()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.load:
            self.load.kill()
            self.load.wait()
            self.reader.join()
        self.chain.__exit__()

    def start_load(self):
        chain, plan = self.chain, self.plan
        command = [self.program, "--mode", "outages", "--publish", chain.ports[PLANT], "--consume", chain.ports[OFFICE],
                   "--ca", chain.certificate("ca.crt"), "--certificate", chain.certificate("node.crt"),
                   "--key", chain.certificate("node.key"), "--points", plan.points, "--rate", plan.rate,
                   "--seconds", plan.seconds, "--patience", plan.patience, "--quiet", plan.quiet, *self.arguments]
        self.load = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.load.stdout:
            event = json.loads(line)
            with self.changed:
                if event["event"] == "progress":
                    self.progress.append((event["at"], event["sent"], event["newest"]))
                else:
                    self.events[event["event"]] = event
                self.changed.notify_all()
        said = self.load.stderr.read().strip()
        with self.changed:
            self.events["gone"] = {"said": said[-300:] or "the load generator ended"}
            self.changed.notify_all()

    def wait(self, event, seconds):
        with self.changed:
            self.changed.wait_for(lambda: event in self.events or "gone" in self.events, seconds)
            if event in self.events:
                return self.events[event]
            raise Failure(self.events.get("gone", {}).get("said") or f"no {event} within {seconds:.0f} s")

    def begin(self):
        return self.wait("begin", 40)["at"]

    def end(self):
        plan = self.plan
        result = self.wait("result", plan.seconds + plan.patience + 15)
        return {"sent": result["sent"], "arrived": result["arrived"], "missing": result["sent"] - result["arrived"],
                "repeated": result["repeated"], "backwards": result["backwards"], "not_newest": result["not_newest"],
                "wrong": result["wrong"]}


class SallyportChain:
    """Three nodes with the settings of a user who wants each change; the rest are defaults."""

    def __init__(self, program, folder, plan):
        self.program, self.folder, self.plan = program, folder, plan
        self.port = free_ports(1)[0]
        self.result_file = os.path.join(folder, "result.json")
        self.go = os.path.join(folder, "go")
        self.now = {}

    def write_settings(self):
        pki = os.path.join(self.folder, "pki")
        self.run("keys", "ca", "--out", pki)
        plan = self.plan
        parts = {
            "plant": f'[[source.simulator]]\nname = "sim"\ninto = "bench/line1"\npoints = {plan.points}\nrate = {plan.rate}\n'
                     f'shape = "ramp"\nafter = {plan.rate * plan.seconds}\nstart_on = "{self.go}"\n'
                     '[[delivery]]\nmatch = "bench/**"\nmode = "every"\n'
                     f'[[link]]\nname = "dmz"\ndial = "127.0.0.1:{self.port}"\npeer = "dmz"\nsend = ["**"]\n',
            "dmz": f'[listen]\naddress = "127.0.0.1:{self.port}"\n[[listen.peer]]\nname = "plant"\nreceive = ["**"]\n'
                   '[[listen.peer]]\nname = "office"\nsend = ["**"]\n',
            "office": f'[[link]]\nname = "dmz"\ndial = "127.0.0.1:{self.port}"\npeer = "dmz"\nreceive = ["**"]\n'
                      '[[sink.recorder]]\nname = "meter"\npublish = ["bench/**"]\ncheck = "ramp"\n'
                      f'result = "{self.result_file}"\nevery = "100ms"\ndelivery = "every"\n'}
        for name, text in parts.items():
            self.run("keys", "issue", "--ca", pki, "--name", name, "--out", pki)
            with open(self.config(name), "w") as out:
                out.write(f'[node]\nname = "{name}"\ndata_dir = "{self.folder}/{name}-data"\n[identity]\n'
                          f'certificate = "{pki}/{name}.crt"\nprivate_key = "{pki}/{name}.key"\ntrust = "{pki}/ca.crt"\n{text}')

    def config(self, name):
        return os.path.join(self.folder, name + ".toml")

    def run(self, *words):
        done = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Failure(" ".join(words[:2]) + ": " + (done.stderr or done.stdout).strip()[-300:])
        return done.stdout

    def ask(self, node, *words):
        return self.run(*words, "-c", self.config(NODES[node]))

    def start(self, node):
        name = NODES[node]
        log = os.path.join(self.folder, name + ".log")
        with open(log, "w") as out:
            process = subprocess.Popen([self.program, "run", "-c", self.config(name)], stdout=out, stderr=out,
                                       stdin=subprocess.DEVNULL)
        self.now[node] = process
        limit = time.time() + 20
        while time.time() < limit and process.poll() is None:
            with open(log) as text:
                if "ready\n" in text.read():
                    return
            time.sleep(0.01)
        with open(log) as text:
            raise Failure(f"{name} did not start: " + text.read()[-300:])

    restart = start

    def kill(self, node):
        self.now[node].kill()
        self.now[node].wait()

    def freeze(self, node):
        self.now[node].send_signal(signal.SIGSTOP)

    def thaw(self, node):
        self.now[node].send_signal(signal.SIGCONT)

    def stop(self):
        for process in self.now.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.now.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Sallyport:
    """The chain, its simulator and its recorder."""

    def __init__(self, program, folder, plan):
        self.chain = SallyportChain(program, folder, plan)
        self.plan = plan
        self.progress = []
        self.done = threading.Event()
        self.watcher = None

    def __enter__(self):
        try:
            self.chain.write_settings()
            for node in (DMZ, PLANT, OFFICE):
                self.chain.start(node)
            self.wait_for_path()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.done.set()
        if self.watcher:
            self.watcher.join()
        self.chain.stop()

    def result(self):
        try:
            with open(self.chain.result_file) as text:
                return json.load(text)
        except OSError:
            return {}

    def wait_for_path(self):
        limit = time.time() + 30
        while time.time() < limit:
            points = json.loads(self.chain.ask(OFFICE, "status", "--json"))["points"]
            if points["good"] == self.plan.points:
                return
            time.sleep(0.2)
        raise Failure("the points do not arrive at the office within 30 s")

    def begin(self):
        time.sleep(1)
        self.before = int(self.result().get("changes", 0))  # first values, from before anything changed
        with open(self.chain.go, "w"):
            pass
        self.began = time.time()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()
        return self.began

    def arrived(self, result=None):
        result = result or self.result()
        return int(result.get("changes", 0)) - int(result.get("repeated", 0)) - self.before

    # Nothing is left out or overtaken as long as the recorder says so, thus what arrived last is also the newest.
    def watch(self):
        while not self.done.wait(0.1):
            result = self.result()
            at = int(result.get("at", 0)) / 1e9  # the file may be older than now
            sent = self.plan.rate * max(0, min(self.plan.seconds, at - self.began))
            self.progress.append((at, sent, self.arrived(result)))

    def wait_for_all(self, sent):
        began = last_news = time.time()
        before = -1
        while time.time() - began < self.plan.patience and time.time() - last_news < self.plan.quiet:
            now = self.arrived()
            if now >= sent:
                break
            if now != before:
                last_news = time.time()
            before = now
            time.sleep(0.1)
        time.sleep(3)  # what comes again

    def made(self):
        return int(json.loads(self.chain.ask(PLANT, "status", "--json"))["sources"][0]["changes"])

    # Whether the newest values are right is asked of the tables of both ends: value, quality and source time of every point.
    def end(self):
        time.sleep(max(0, self.began + self.plan.seconds + 0.5 - time.time()))
        sent = self.made()
        self.wait_for_all(sent)
        result, arrived = self.result(), self.arrived()
        same = self.chain.ask(PLANT, "dump", "--digest") == self.chain.ask(OFFICE, "dump", "--digest")
        return {"sent": sent, "arrived": arrived, "missing": sent - arrived, "repeated": int(result["repeated"]),
                "backwards": int(result["backwards"]), "not_newest": 0 if same else None, "wrong": int(result["wrong"])}
