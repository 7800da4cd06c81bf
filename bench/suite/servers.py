"""The peers' servers: certificates, settings files as their users write them, processes, and what those use up.

Node i of a chain feeds node i + 1. As plant and office both dial into the DMZ, even nodes dial and odd ones listen; every
connection is TLS 1.3 with certificates on both sides.
"""

import getpass
import os
import re
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something that a reader of the page is told instead of a figure."""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def make_certificates(folder):
    """One authority and one certificate for "localhost" that servers and clients share. ECDSA P-256, the peers' best."""

    def openssl(*arguments):
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure("openssl " + arguments[0] + ": " + done.stderr.strip())

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=bench")
    openssl("req", *curve, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=localhost")
    with open(os.path.join(folder, "san"), "w") as out:
        out.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "node.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "san", "-out", "node.crt")


class Server:
    """One process that accepts connections at `port`."""

    def __init__(self, command, port, log):
        self.log = log
        self.started = time.time()
        with open(log, "w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.wait_for(port)

    def wait_for(self, port):
        limit = time.time() + 20
        while time.time() < limit:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)
        self.stop()
        with open(self.log) as text:
            raise Failure(os.path.basename(self.log) + ": " + text.read()[-400:])

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Chain:
    """Servers in a row. `with` starts and stops them."""

    def __init__(self, folder, nodes):
        self.folder = folder
        self.nodes = nodes
        self.ports = free_ports(nodes + 1)  # of clients; one more for a node that joins later
        self.link_ports = self.ports
        self.servers = []

    def __enter__(self):
        try:
            # Who is dialled starts first, so that nobody waits for a second attempt.
            for node in sorted(range(self.nodes), key=lambda n: (len(self.dials(n)), -n)):
                self.servers.append(self.start(node))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.stop()

    def certificate(self, name):
        return os.path.join(self.folder, name)

    def dialler(self, node):
        """Who opens the link from this node to the next."""
        return node if node % 2 == 0 else node + 1

    def dials(self, node):
        """(other node, whether data goes there) for each link that this node opens."""
        links = []
        if node > 0 and self.dialler(node - 1) == node:
            links.append((node - 1, False))
        if node + 1 < self.nodes and self.dialler(node) == node:
            links.append((node + 1, True))
        return links

    def listens(self, node):
        return (node > 0 and self.dialler(node - 1) != node) or (node + 1 < self.nodes and self.dialler(node) != node)

    def cpu_seconds(self):
        return sum(server.cpu_seconds() for server in self.servers)

    def rss_bytes(self):
        return [server.rss_bytes() for server in self.servers]

    def bytes_on_last_link(self):
        """TCP payload from the last node but one to the last, as the kernel counts it."""
        sender, receiver = self.nodes - 2, self.nodes - 1
        if sender < 0:
            return 0
        out = self.dialler(sender) == sender
        port = self.link_ports[receiver if out else sender]
        side = "dport" if out else "sport"
        lines = subprocess.run(["ss", "-tinH", f"{side} = :{port}"], capture_output=True, text=True).stdout
        return max((int(number) for number in re.findall(r"bytes_sent:(\d+)", lines)), default=0)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(text)
        return path


class Mosquitto(Chain):
    """Brokers that are bridges of each other. Queues have no limit, so that they drop nothing."""

    def __init__(self, folder, nodes, qos=0):
        super().__init__(folder, nodes)
        self.qos = qos

    def settings(self, node, dials):
        tls = [(key, self.certificate(file)) for key, file in
               (("cafile", "ca.crt"), ("certfile", "node.crt"), ("keyfile", "node.key"))]
        lines = [
            f"user {getpass.getuser()}", "persistence false", "log_type error", "log_type warning",
            "max_queued_messages 0", "max_inflight_messages 0", "set_tcp_nodelay true",
            f"listener {self.ports[node]} 127.0.0.1", "allow_anonymous true", "require_certificate true",
            *(f"{key} {file}" for key, file in tls)]
        for other, out in dials:
            lines += [f"connection node{node}-node{other}", f"address localhost:{self.ports[other]}",
                      f"topic bench/# {'out' if out else 'in'} {self.qos}", "cleansession true", "notifications false",
                      "restart_timeout 1", *(f"bridge_{key} {file}" for key, file in tls)]
        return "\n".join(lines) + "\n"

    def start(self, node, dials=None):
        text = self.settings(node, self.dials(node) if dials is None else dials)
        file = self.write(f"mosquitto-{node}.conf", text)
        return Server(["mosquitto", "-c", file], self.ports[node], file + ".log")

    def start_late(self):
        """A new, empty last node that dials the one before the last."""
        self.servers.append(self.start(self.nodes, [(self.nodes - 2, False)]))
        return self.servers[-1]


class Nats(Chain):
    """Servers that are leaf nodes of each other, with JetStream in memory when asked to. Their default, to compress when the
    first round trip of a link was long, would leave to chance what is measured."""

    def __init__(self, folder, nodes, jetstream=False, compression="off"):
        super().__init__(folder, nodes)
        self.jetstream = jetstream
        self.compression = compression
        self.link_ports = free_ports(nodes + 1)

    def dialler(self, node):
        # A node with two remotes does not pass on what came from one to the other, so long chains all dial forward.
        return super().dialler(node) if self.nodes <= 3 else node

    def domain(self, node):
        return f"node{node}"

    def settings(self, node, dials):
        tls = ("{ cert_file: \"%s\", key_file: \"%s\", ca_file: \"%s\", verify: true }" %
               tuple(self.certificate(file) for file in ("node.crt", "node.key", "ca.crt")))
        remotes = ", ".join(f'{{ url: "tls://localhost:{self.link_ports[other]}", tls: {tls}, '
                            f'compression: {self.compression} }}' for other, _ in dials)
        text = (f'server_name: node{node}\nhost: 127.0.0.1\nport: {self.ports[node]}\ntls: {tls}\n'
                f'max_pending: 1GB\nwrite_deadline: "30s"\nleafnodes {{\n  compression: {self.compression}\n')
        if self.listens(node):
            text += f'  host: 127.0.0.1\n  port: {self.link_ports[node]}\n  tls: {tls}\n'
        if remotes:
            text += f'  remotes: [{remotes}]\n'
        text += "}\n"
        if self.jetstream:
            store = os.path.join(self.folder, f"nats-{node}")
            text += f'jetstream {{ domain: {self.domain(node)}, store_dir: "{store}", max_mem: 8GB }}\n'
        return text

    def start(self, node, dials=None):
        text = self.settings(node, self.dials(node) if dials is None else dials)
        file = self.write(f"nats-{node}.conf", text)
        return Server(["nats-server", "-c", file], self.ports[node], file + ".log")

    def start_late(self):
        self.servers.append(self.start(self.nodes, [(self.nodes - 2, False)]))
        return self.servers[-1]
