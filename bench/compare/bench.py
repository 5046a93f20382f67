#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare gateway, registry and topic implementations: same work, same run, ratios.

Starts the servers on 127.0.0.1 with fresh directories, drives them with the
C++ load generators in build/, alternating between implementations, and prints
a table. See README.md.
"""

import argparse
import json
import os
import random
import resource
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "build")
HOST = "127.0.0.1"


# ---------------------------------------------------------------- processes

class Failure(Exception):
    pass


class Server:
    """A process started by this run, and the only kind that it stops."""

    running = []
    cpus = None     # with --pin, where the measured servers run

    def __init__(self, name, command, directory, measured=True):
        self.name = name
        self.log = os.path.join(directory, name + ".log")
        pin = (lambda: os.sched_setaffinity(0, Server.cpus)) if measured and Server.cpus else None
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True, preexec_fn=pin)
        self.pid = self.process.pid
        Server.running.append(self)

    def wait_port(self, port, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failure("%s exited with %s; see %s" % (self.name, self.process.returncode, self.log))
            try:
                socket.create_connection((HOST, port), 1).close()
                return self
            except OSError:
                time.sleep(0.01)
        raise Failure("%s does not listen on %d; see %s" % (self.name, port, self.log))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        Server.running.remove(self)

    def stop(self):
        if self not in Server.running:
            return
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                note("%s did not stop in 15 s, killed" % self.name)
                self.process.kill()
                self.process.wait()
        elif self.process.returncode != 0:
            note("%s had exited with %s" % (self.name, self.process.returncode))
        Server.running.remove(self)
        return time.monotonic() - started

    @classmethod
    def stop_all(cls):
        for server in list(reversed(cls.running)):
            server.stop()


def free_ports(count):
    """Ports below the ephemeral range, so that no client connection takes them."""
    found = []
    while len(found) < count:
        port = random.randint(12000, 31000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((HOST, port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def write_config(path, properties):
    with open(path, "w") as f:
        for key, value in properties.items():
            f.write("%s=%s\n" % (key, value))
    return path


def memory_kb(pid, key="VmRSS:"):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(key):
                return int(line.split()[1])
    return 0


def load(program, command, timeout=240, **options):
    """Run a load generator; returns its numbers, or None if it failed."""
    args = [os.path.join(BUILD, program), command]
    for key, value in options.items():
        if value is not None:
            args += ["--" + key, str(value)]
    try:
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, text=True)
    except subprocess.TimeoutExpired:
        note("%s %s: no result after %d s" % (program, command, timeout))
        return None
    for line in done.stderr.splitlines()[:3]:
        note("%s %s: %s" % (program, command, line))
    if done.returncode != 0:
        note("%s %s: exit status %d" % (program, command, done.returncode))
        return None
    return json.loads(done.stdout)


# ------------------------------------------------------------------ results

class Results:
    """samples[scenario][variant] is a list of dicts of numbers."""

    def __init__(self):
        self.samples = {}
        self.shown = {}
        self.notes = []

    def add(self, scenario, variant, sample, show):
        self.shown[scenario] = show
        if sample is not None:
            self.samples.setdefault(scenario, {}).setdefault(variant, []).append(sample)

    def median(self, scenario, variant, metric):
        values = [s[metric] for s in self.samples.get(scenario, {}).get(variant, []) if metric in s]
        return statistics.median(values) if values else None

    def spread(self, scenario, variant, metric):
        """(max - min) / median in percent."""
        values = [s[metric] for s in self.samples.get(scenario, {}).get(variant, []) if metric in s]
        middle = statistics.median(values) if values else 0
        return 100.0 * (max(values) - min(values)) / middle if middle else 0.0

    def ratio(self, scenario, base, other, metric):
        """Median of the ratios of samples taken one after the other: slow drift of the machine cancels out."""
        pairs = zip(self.samples.get(scenario, {}).get(base, []), self.samples.get(scenario, {}).get(other, []))
        values = [b[metric] / a[metric] for a, b in pairs if a.get(metric) and metric in b]
        return statistics.median(values) if values else None

    def table(self, implementations):
        floors = ["tlsproxy", "direct", "floor"]
        width = max([len(s) for s in self.shown] + [8])
        names = implementations + (["ratio"] if len(implementations) > 1 else [])
        steal = [s["steal_pct"] for v in self.samples.values() for ss in v.values() for s in ss if "steal_pct" in s]
        if steal:
            print("\nCPU time taken by the host while measuring: median %.1f %%, worst %.1f %%"
                  % (statistics.median(steal), max(steal)))
        print("\n%-*s  %-16s" % (width, "scenario", "metric") + "".join("%12s" % n for n in names + floors) +
              "  spread%")
        for scenario, metrics in self.shown.items():
            for metric in metrics:
                values = {v: self.median(scenario, v, metric) for v in implementations + floors}
                if all(v is None for v in values.values()):
                    continue
                cells = [number(values[n]) for n in implementations]
                if len(implementations) > 1:
                    ratio = self.ratio(scenario, *implementations, metric)
                    cells.append("-" if ratio is None else "%.2f" % ratio)
                cells += [number(values[n]) for n in floors]
                spread = "/".join("%.0f" % self.spread(scenario, v, metric) for v in implementations)
                print("%-*s  %-16s" % (width, scenario, metric) + "".join("%12s" % c for c in cells) +
                      "  " + spread)
        if self.notes:
            print("\nNotes:")
            for text in self.notes:
                print("  " + text)

    def as_json(self, implementations):
        out = {}
        for scenario, variants in self.samples.items():
            out[scenario] = {}
            for variant, samples in variants.items():
                keys = sorted({k for s in samples for k in s})
                out[scenario][variant] = {
                    "median": {k: self.median(scenario, variant, k) for k in keys}, "samples": samples}
                if variant != implementations[0]:
                    out[scenario][variant]["ratio"] = {
                        k: self.ratio(scenario, implementations[0], variant, k) for k in keys}
        return {"implementations": implementations, "results": out, "notes": self.notes}


def number(value):
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 1000:
        return "%.0f" % value
    return "%.3g" % value


results = Results()
started = time.monotonic()


def progress(text):
    print("[%5.1f s] %s" % (time.monotonic() - started, text), file=sys.stderr, flush=True)


def note(text):
    if text not in results.notes:
        results.notes.append(text)
        progress("note: " + text)


def per_100k(sample, process, ops="ops"):
    """CPU seconds of a watched process per 100,000 operations."""
    if sample and sample.get(ops) and "cpu_" + process in sample:
        sample["cpu_s_100k"] = sample["cpu_" + process] / sample[ops] * 1e5
    return sample


def attempt(function, *args):
    """A scenario that cannot run is noted, and the run goes on."""
    try:
        return function(*args)
    except (Failure, OSError, subprocess.SubprocessError) as ex:
        note("%s %s: %s" % (function.__name__, " ".join(str(a) for a in args[:1]), ex))
        return None


def turns(rounds, variants):
    """Every variant once per round, in the opposite order every other round, so that neither side of a
    comparison always follows the same neighbour."""
    for i in range(rounds):
        for variant in (reversed(variants) if i % 2 else variants):
            yield i, variant


# ------------------------------------------------------------------ set-up

class Bench:
    def __init__(self, options):
        self.options = options
        self.quick = options.quick
        self.repeat = options.repeat or (1 if options.quick else 4)
        self.root = tempfile.mkdtemp(prefix="bench-")
        # Databases live in memory unless a scenario is about the disk: a commit
        # to disk costs whatever the disk costs that second.
        self.db_root = tempfile.mkdtemp(prefix="bench-db-", dir=options.db_dir)
        self.gateways = [("ref", options.ref_gateway_cmd)]
        self.registries = [("ref", options.ref_registry_cmd)]
        self.storms = [("ref", options.ref_storm_cmd)]
        if options.storm_cmd:
            self.storms.append(("new", options.storm_cmd))
        if options.gateway_cmd:
            self.gateways.append(("new", options.gateway_cmd))
        if options.registry_cmd:
            self.registries.append(("new", options.registry_cmd))

    def directory(self, name):
        path = tempfile.mkdtemp(prefix=name + "-", dir=self.root)
        return path

    def selected(self, name):
        only = self.options.only
        return not only or any(name.startswith(o) for o in only.split(","))

    def certificates(self):
        """A CA and a server certificate for 127.0.0.1."""
        path = self.certs = self.directory("certs")
        key = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if self.options.cert == "rsa" else \
              ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]

        def openssl(*args):
            subprocess.run(["openssl"] + list(args), cwd=path, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        openssl("genpkey", *key, "-out", "ca.key")
        openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Bench CA", "-days", "30", "-out", "ca.pem")
        openssl("genpkey", *key, "-out", "server.key")
        openssl("req", "-new", "-key", "server.key", "-subj", "/CN=" + HOST, "-out", "server.csr")
        with open(os.path.join(path, "ext"), "w") as f:
            f.write("subjectAltName=IP:%s\n" % HOST)
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "30", "-extfile", "ext", "-out", "server.pem")
        with open(os.path.join(path, "both.pem"), "w") as both:
            for name in ("server.pem", "server.key"):
                with open(os.path.join(path, name)) as f:
                    both.write(f.read())
        self.client_config = write_config(os.path.join(path, "client.cfg"), {
            "Ice.Plugin.IceSSL": "IceSSL:createIceSSL",
            "IceSSL.DefaultDir": path,
            "IceSSL.CAs": "ca.pem",
        })

    def server_tls(self):
        return {
            "Ice.Plugin.IceSSL": "IceSSL:createIceSSL",
            "IceSSL.DefaultDir": self.certs,
            "IceSSL.CAs": "ca.pem",
            "IceSSL.CertFile": "server.pem",
            "IceSSL.KeyFile": "server.key",
            "IceSSL.VerifyPeer": "0",
        }

    # -------------------------------------------------------------- gateway

    def start_echo(self):
        directory = self.directory("echo")
        tcp, tls = free_ports(2)
        properties = self.server_tls()
        properties.update({
            "Echo.Endpoints": "tcp -h %s -p %d:ssl -h %s -p %d" % (HOST, tcp, HOST, tls),
            "Ice.ThreadPool.Server.Size": "2",
        })
        config = write_config(os.path.join(directory, "echo.cfg"), properties)
        server = Server("echo", [os.path.join(BUILD, "echo_server"), "--Ice.Config=" + config], directory,
                        measured=False)
        server.wait_port(tcp)
        server.target = {"tcp": "echo:tcp -h %s -p %d" % (HOST, tcp), "ssl": "echo:ssl -h %s -p %d" % (HOST, tls)}
        server.tcp_port, server.tls_port = tcp, tls
        return server

    def start_gateway(self, name, command, extra={}):
        directory = self.directory("gateway-" + name)
        tcp, tls, back = free_ports(3)
        properties = self.server_tls()
        properties.update({
            "Glacier2.InstanceName": "Glacier2",
            "Glacier2.Client.Endpoints": "ssl -h %s -p %d:tcp -h %s -p %d" % (HOST, tls, HOST, tcp),
            "Glacier2.Server.Endpoints": "tcp -h %s -p %d" % (HOST, back),
            "Glacier2.PermissionsVerifier": "Glacier2/NullPermissionsVerifier",
            "Glacier2.SessionTimeout": "30",
        })
        properties.update(extra)
        properties.update(self.options.gateway_prop)
        config = write_config(os.path.join(directory, "gateway.cfg"), properties)
        server = Server("gateway-" + name, shlex.split(command) + ["--Ice.Config=" + config], directory)
        server.wait_port(tls).wait_port(tcp)
        server.router = {"tcp": "Glacier2/router:tcp -h %s -p %d" % (HOST, tcp),
                         "ssl": "Glacier2/router:ssl -h %s -p %d" % (HOST, tls)}
        server.tls_port = tls
        return server

    def start_proxy(self, echo):
        """A TLS-terminating TCP forwarder: what the gateway costs above this is routing."""
        haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/sbin")
        if not haproxy:
            note("haproxy not found: no tlsproxy column")
            return None
        directory = self.directory("proxy")
        tcp, tls = free_ports(2)
        config = os.path.join(directory, "haproxy.cfg")
        with open(config, "w") as f:
            threads = len(Server.cpus) if Server.cpus else os.cpu_count() or 1
            most = min(9000, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500) // 2)
            f.write("global\n  nbthread %d\n  maxconn %d\n" % (threads, most))
            f.write("defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n")
            for name, bind in (("tcp", "%s:%d" % (HOST, tcp)),
                               ("ssl", "%s:%d ssl crt %s" % (HOST, tls, os.path.join(self.certs, "both.pem")))):
                f.write("listen %s\n  bind %s\n  server echo %s:%d\n" % (name, bind, HOST, echo.tcp_port))
        server = Server("proxy", [haproxy, "-db", "-f", config], directory).wait_port(tls)
        server.target = {"tcp": "echo:tcp -h %s -p %d" % (HOST, tcp), "ssl": "echo:ssl -h %s -p %d" % (HOST, tls)}
        server.tls_port = tls
        return server

    def start_floor(self):
        """An echo object behind TLS and nothing else: no gateway that ends its clients' TLS can need less."""
        (port,) = free_ports(1)
        server = Server("floor", [os.path.join(BUILD, "floor_server"), str(port), os.path.join(self.certs, "both.pem")],
                        self.directory("floor")).wait_port(port)
        server.target = "echo:ssl -h %s -p %d" % (HOST, port)
        return server

    def gateway(self):
        echo = self.start_echo()
        routers = [(name, self.start_gateway(name, command)) for name, command in self.gateways]
        proxy = self.start_proxy(echo)

        # (variant, measured process, proxy of the object, proxy of the router)
        def variants(transport):
            out = [(name, r, echo.target["tcp"], r.router[transport]) for name, r in routers]
            if proxy:
                out.append(("tlsproxy", proxy, proxy.target[transport], None))
            out.append(("direct", echo, echo.target[transport], None))
            return out

        floor = self.start_floor()

        def measure(scenario, show, command, transport, **options):
            progress(scenario)
            shown = variants(transport)
            if transport == "ssl" and options.get("size", 1 << 16) < 1 << 16 and command == "echo" and "mode" not in options:
                shown.append(("floor", floor, floor.target, None))
            for i, (name, process, target, router) in turns(self.repeat, shown):
                if router is None and i % 2:
                    continue    # the reference columns need fewer samples
                sample = load("gateway_load", command, config=self.client_config, target=target, router=router,
                              watch="server=%d,echo=%d" % (process.pid, echo.pid), **options)
                results.add(scenario, name, per_100k(sample, "server"), show)

        def peaks(scenario):
            for name, router in routers:
                results.add(scenario, name, {"rss_kb": memory_kb(router.pid),
                                             "peak_kb": memory_kb(router.pid, "VmHWM:")}, ["rss_kb", "peak_kb"])

        secs = 0.5 if self.quick else 0.8
        cells = [(t, c, s) for t in ("ssl", "tcp") for c in (1, 64) for s in (0, 1024, 65536)]
        if self.quick:
            cells = [("ssl", 1, 0), ("ssl", 64, 0), ("ssl", 64, 1024), ("ssl", 64, 65536), ("tcp", 64, 1024)]
        if self.selected("g1"):
            for transport, clients, size in cells:
                measure("g1 twoway %s c%d %dB" % (transport, clients, size),
                        ["ops_s", "p50_us", "p99_us", "cpu_s_100k"],
                        "echo", transport, clients=clients, size=size, secs=secs)
            peaks("g6 memory after g1")
        if self.selected("g4"):
            for mode, size in ("oneway", 256), ("batch", 256):
                measure("g4 %s ssl c4 %dB" % (mode, size), ["ops_s", "cpu_s_100k", "drain_secs", "lost"],
                        "echo", "ssl", clients=4, size=size, mode=mode, secs=secs, counter=echo.target["tcp"])
            peaks("g6 memory after g4")
        if self.selected("g5"):
            for clients, size in ((16, 1024),) if self.quick else ((1, 0), (16, 0), (16, 1024)):
                measure("g5 callback ssl c%d %dB" % (clients, size), ["ops_s", "cpu_s_100k"],
                        "callback", "ssl", clients=clients, size=size, secs=secs)
        if self.selected("g2"):
            targets = [(name, router, router.tls_port, 1) for name, router in routers]
            if proxy:
                targets.append(("tlsproxy", proxy, proxy.tls_port, 0))
            targets.append(("direct", echo, echo.tls_port, 0))
            for resume in (0, 1):
                for clients in (1, 16):
                    scenario = "g2 sessions ssl c%d%s" % (clients, " resume" if resume else "")
                    progress(scenario)
                    for i, (name, server, port, session) in turns(self.repeat, targets):
                        if not session and i % 2:
                            continue
                        sample = load("gateway_load", "churn", port=port, resume=resume, session=session,
                                      clients=clients, secs=secs, watch="server=%d" % server.pid)
                        if sample:
                            sample["cpu_ms_each"] = sample["cpu_server"] / max(1, sample["ops"]) * 1e3
                        results.add(scenario, name, sample,
                                    ["ops_s", "p50_us", "p99_us", "cpu_ms_each", "resumed", "errors"])
        for _, router in routers:
            router.stop()
        if proxy:
            proxy.stop()
        echo.stop()

        if self.selected("g3"):
            for sessions in (500,) if self.quick else (2000, 10000):
                attempt(self.hold, sessions)

    def hold(self, sessions):
        """Idle sessions: the memory and CPU time that each costs. Fresh processes for every sample."""
        if sessions + 500 > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
            note("g3 %d sessions skipped: the file descriptor limit is too low" % sessions)
            return
        scenario = "g3 idle sessions %d" % sessions
        big = sessions > 5000
        variants = self.gateways + ([] if big or self.quick else [("tlsproxy", None), ("direct", None)])
        for i, (name, command) in turns(1 if big else min(2, self.repeat), variants):
            if command is None and i > 0:
                continue
            progress("%s (%s)" % (scenario, name))
            echo = self.start_echo()
            server = echo if name == "direct" else self.start_proxy(echo) if name == "tlsproxy" else \
                self.start_gateway(name, command, {"Glacier2.SessionTimeout": "10"})
            if server:
                sample = load("gateway_load", "hold", port=server.tls_port, sessions=sessions,
                              session=1 if command else 0, heartbeat=5,
                              secs=5 if self.quick else 10, watch="server=%d" % server.pid)
                results.add(scenario, name, sample,
                            ["open_secs", "open_cpu_ms", "failed", "alive", "kb_per_session",
                             "idle_cpu_us_s", "close_secs", "rss_before_kb", "rss_after_kb"])
                if server is not echo:
                    server.stop()
            echo.stop()

    # ------------------------------------------------------------- registry

    def start_registry(self, name, command, replica="Master", master=None, database=None):
        directory = self.directory("registry-%s-%s" % (name, replica))
        if database is None:
            database = tempfile.mkdtemp(dir=self.db_root)
        client, server_port, internal = free_ports(3)
        properties = {
            "IceGrid.InstanceName": "Bench",
            "IceGrid.Registry.Client.Endpoints": "tcp -h %s -p %d" % (HOST, client),
            "IceGrid.Registry.Server.Endpoints": "tcp -h %s -p %d" % (HOST, server_port),
            "IceGrid.Registry.Internal.Endpoints": "tcp -h %s -p %d" % (HOST, internal),
            "IceGrid.Registry.LMDB.Path": database,
            "IceGrid.Registry.LMDB.MapSize": "1024",
            "IceGrid.Registry.DynamicRegistration": "1",
            "IceGrid.Registry.Discovery.Enabled": "0",
            "IceGrid.Registry.PermissionsVerifier": "Bench/NullPermissionsVerifier",
            "IceGrid.Registry.AdminPermissionsVerifier": "Bench/NullPermissionsVerifier",
        }
        if master:
            properties["IceGrid.Registry.ReplicaName"] = replica
            properties["Ice.Default.Locator"] = master.locator
        properties.update(self.options.registry_prop)
        config = write_config(os.path.join(directory, "registry.cfg"), properties)
        begin = time.monotonic()
        server = Server("registry-%s-%s" % (name, replica), shlex.split(command) + ["--Ice.Config=" + config],
                        directory, measured=master is None)
        server.begin = begin
        server.database = database
        server.endpoint = "tcp -h %s -p %d" % (HOST, client)
        server.locator = "Bench/Locator:" + server.endpoint
        server.client_port = client
        return server

    def await_found(self, server, objects, adapters, timeout=120):
        """Seconds from the start of the process until the last entries are found."""
        sample = load("registry_load", "await", locator=server.locator, timeout=timeout,
                      object="object%d" % (objects - 1) if objects else None,
                      adapter="adapter%d" % (adapters - 1) if adapters else None)
        if not sample or not sample["found"]:
            note("%s: entries not found within %d s" % (server.name, timeout))
            return None
        return sample["at"] - server.begin

    def start_slaves(self, name, command, master, count, disk=False):
        slaves = []
        for i in range(count):
            database = tempfile.mkdtemp(dir=self.root) if disk else None
            slave = self.start_registry(name, command, "Replica%d" % (i + 1), master, database)
            slave.wait_port(slave.client_port)
            slaves.append(slave)
        if slaves:
            time.sleep(1)
        return slaves

    def registry(self):
        rates = ["ops_s", "p50_us", "p99_us", "cpu_s_100k", "errors"]
        secs = 0.5 if self.quick else 0.8
        small = 2000 if self.quick else 10000

        # Registration rates on an almost empty database.
        if self.selected("r3"):
            for count, disk in ((0, False), (1, False), (0, True)) if self.quick else \
                    ((0, False), (1, False), (2, False), (0, True), (2, True)):
                attempt(self.rates, count, disk, secs, rates)
            attempt(self.rates, 0, True, secs, rates, 64)

        # Lookups against `small` objects and a tenth as many adapters.
        masters = []
        for name, command in self.registries:
            master = self.start_registry(name, command)
            master.wait_port(master.client_port)
            progress("populate %d (%s)" % (small, name))
            sample = load("registry_load", "populate", locator=master.locator, objects=small, adapters=small // 10,
                          watch="server=%d" % master.pid)
            if sample:
                results.add("r5 %d objects" % small, name,
                            {"rss_kb": sample["rss_kb_server"], "add_objects_s": sample["objects_s"],
                             "add_adapters_s": sample["adapters_s"]},
                            ["rss_kb", "add_objects_s", "add_adapters_s"])
            masters.append((name, command, master))

        def measure(scenario, show, command, **options):
            progress(scenario)
            for _, (name, _, master) in turns(self.repeat, masters):
                sample = load("registry_load", command, locator=master.locator,
                              watch="server=%d" % master.pid, **options)
                results.add(scenario, name, per_100k(sample, "server"), show)

        if self.selected("r1"):
            for kind in ("object", "adapter"):
                for clients in (1, 64):
                    measure("r1 locate %s c%d" % (kind, clients), rates, "locate", kind=kind, clients=clients,
                            count=small if kind == "object" else small // 10, secs=secs)
        if self.selected("r2"):
            for op in ("all", "type", "load", "info"):
                measure("r2 query %s of %d" % (op, small), ["items"] + rates, "query", op=op, clients=1, secs=secs)
        if self.selected("r4"):
            # The cost of a session may depend on how many there were before: fresh
            # registries, and the same again for longer.
            for clients, length in ((1, secs), (64, secs)) if self.quick else ((1, secs), (64, secs), (1, 5)):
                scenario = "r4 session c%d for %g s" % (clients, length)
                progress(scenario)
                for _, (name, command) in turns(self.repeat if length < 5 else 2, self.registries):
                    fresh = self.start_registry(name, command)
                    fresh.wait_port(fresh.client_port)
                    sample = load("registry_load", "session", locator=fresh.locator, clients=clients, secs=length,
                                  watch="server=%d" % fresh.pid)
                    results.add(scenario, name, per_100k(sample, "server"), rates)
                    fresh.stop()
            for clients, pool in ((1, 8), (64, 1), (64, 8)):
                measure("r4 allocate c%d pool%d" % (clients, pool), rates, "alloc", clients=clients, pool=pool,
                        secs=secs)

        # r6: kill the master under a client that knows both replicas.
        if self.selected("r6"):
            for _, (name, command, _) in turns(self.repeat, masters):
                progress("r6 failover (%s)" % name)
                results.add("r6 failover", name, attempt(self.failover, name, command), ["gap_ms", "errors", "ops"])
        for _, _, master in masters:
            master.stop()

        # r5, r7 and the rest of r3: bigger databases, made once per implementation.
        if not (self.selected("r5") or self.selected("r7") or self.selected("r3")):
            return
        for size in (1000, 5000) if self.quick else (1000, 10000, 50000):
            for name, command in self.registries:
                attempt(self.scale, name, command, size)

    def rates(self, count, disk, secs, show, writers=1):
        """Registrations by so many at a time, with `count` slaves to pass them on to."""
        groups = []
        for name, command in self.registries:
            database = tempfile.mkdtemp(dir=self.root) if disk else None
            master = self.start_registry(name, command, database=database)
            master.wait_port(master.client_port)
            groups.append((name, master, self.start_slaves(name, command, master, count, disk)))
        for op in ("object",) if disk else ("object", "adapter", "application"):
            where = ["%d slaves" % count] if count or not disk else []
            if writers > 1:
                where.append("%d writers" % writers)
            scenario = "r3 add %s %s" % (op, " ".join(where + ["on disk"] * disk))
            progress(scenario)
            for _, (name, master, slaves) in turns(self.repeat, groups):
                watch = ",".join(["server=%d" % master.pid] +
                                 ["slave%d=%d" % (i, s.pid) for i, s in enumerate(slaves)])
                sample = load("registry_load", "add", locator=master.locator, op=op, secs=secs, clients=writers,
                              watch=watch)
                results.add(scenario, name, per_100k(sample, "server"), show)
        for _, master, slaves in groups:
            for server in slaves + [master]:
                server.stop()

    def failover(self, name, command):
        master = self.start_registry(name, command)
        master.wait_port(master.client_port)
        if not load("registry_load", "populate", locator=master.locator, objects=100, adapters=10):
            return None
        slave = self.start_slaves(name, command, master, 1)[0]
        if self.await_found(slave, 100, 10) is None:
            return None
        both = "Bench/Locator:%s:%s" % (master.endpoint, slave.endpoint)
        config = write_config(os.path.join(self.root, "ordered.cfg"), {"Ice.Default.EndpointSelection": "Ordered"})
        args = [os.path.join(BUILD, "registry_load"), "failover", "--config", config, "--locator", both,
                "--count", "100", "--secs", "3"]
        client = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        master.kill()
        out, _ = client.communicate(timeout=60)
        slave.stop()
        return json.loads(out) if client.returncode == 0 else None

    def scale(self, name, command, size):
        adapters = size // 10
        master = self.start_registry(name, command)
        master.wait_port(master.client_port)
        progress("populate %d (%s)" % (size, name))
        sample = load("registry_load", "populate", locator=master.locator, objects=size, adapters=adapters,
                      watch="server=%d" % master.pid)
        if not sample:
            return
        show = ["rss_kb", "add_objects_s", "add_adapters_s"]
        results.add("r5 %d objects" % size, name,
                    {"rss_kb": sample["rss_kb_server"], "add_objects_s": sample["objects_s"],
                     "add_adapters_s": sample["adapters_s"]}, show)
        for _ in range(self.repeat):
            progress("r3 sync %d (%s)" % (size, name))
            slave = self.start_registry(name, command, "Replica1", master)
            took = self.await_found(slave, size, adapters)
            results.add("r3 empty slave syncs %d" % size, name,
                        None if took is None else {"secs": took, "slave_rss_kb": memory_kb(slave.pid)},
                        ["secs", "slave_rss_kb"])
            slave.stop()
        database = master.database
        stop_secs = master.stop()
        for _ in range(self.repeat):
            progress("r7 restart %d (%s)" % (size, name))
            master = self.start_registry(name, command, database=database)
            took = self.await_found(master, size, adapters)
            results.add("r7 restart with %d" % size, name,
                        None if took is None else
                        {"secs": took, "rss_kb": memory_kb(master.pid), "stop_secs": stop_secs},
                        ["secs", "rss_kb", "stop_secs"])
            stop_secs = master.stop()

    # --------------------------------------------------------------- topics

    def start_storm(self, name, command):
        """The properties are for IceBox with IceStorm; others do not read IceBox's."""
        directory = self.directory("storm-" + name)
        database = tempfile.mkdtemp(dir=self.db_root)
        manager, publish = free_ports(2)
        config = write_config(os.path.join(directory, "storm.cfg"), {
            "IceBox.Service.IceStorm": "IceStormService,37:createIceStorm",
            "IceBox.InheritProperties": "1",
            "IceStorm.TopicManager.Endpoints": "tcp -h %s -p %d" % (HOST, manager),
            "IceStorm.Publish.Endpoints": "tcp -h %s -p %d" % (HOST, publish),
            "IceStorm.LMDB.Path": database,
            "IceStorm.Flush.Timeout": "50",
            "Ice.Warn.UnknownProperties": "0",
        })
        server = Server("storm-" + name, shlex.split(command) + ["--Ice.Config=" + config], directory)
        server.manager = "IceStorm/TopicManager:tcp -h %s -p %d" % (HOST, manager)
        server.wait_port(manager)
        return server.wait_port(publish)

    def storm(self):
        show = ["events_cpu_s", "events_s", "rss_kb_server", "disorder"]
        secs = 0.5 if self.quick else 2
        services = [(name, self.start_storm(name, command)) for name, command in self.storms]
        for kind in ("oneway", "batch", "twoway", "ordered"):
            for subscribers in (1, 10, 100):
                scenario = "s1 %s %d" % (kind, subscribers)
                if not self.selected(scenario):
                    continue
                progress(scenario)
                for _, (name, server) in turns(self.repeat, services):
                    sample = load("storm_load", "publish", manager=server.manager, kind=kind, subs=subscribers,
                                  secs=secs, ahead=20000 if kind == "batch" else 500, watch="server=%d" % server.pid)
                    results.add(scenario, name, sample, show)
        for _, server in services:
            server.stop()


def properties(text):
    key, _, value = text.partition("=")
    return key, value


def main():
    env = os.environ.get
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway-cmd", default=env("BENCH_GATEWAY_CMD"),
                        help="gateway to compare; gets --Ice.Config=FILE appended")
    parser.add_argument("--registry-cmd", default=env("BENCH_REGISTRY_CMD"), help="registry to compare, likewise")
    parser.add_argument("--storm-cmd", default=env("BENCH_STORM_CMD"), help="topics to compare, likewise")
    parser.add_argument("--ref-storm-cmd", default=env("BENCH_REF_STORM_CMD", "icebox"))
    parser.add_argument("--ref-gateway-cmd", default=env("BENCH_REF_GATEWAY_CMD", "glacier2router"))
    parser.add_argument("--ref-registry-cmd", default=env("BENCH_REF_REGISTRY_CMD", "icegridregistry"))
    parser.add_argument("--gateway-prop", action="append", default=[], type=properties, metavar="NAME=VALUE",
                        help="extra property for every gateway (may be repeated)")
    parser.add_argument("--registry-prop", action="append", default=[], type=properties, metavar="NAME=VALUE")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter scenarios")
    parser.add_argument("--only", help="comma-separated scenarios: g1,g2,... r1,r2,... s1")
    parser.add_argument("--repeat", type=int, help="rounds per scenario (4; 1 with --quick)")
    parser.add_argument("--pin", type=int, default=0, metavar="N",
                        help="keep the measured server on N CPUs of its own and everything else off them")
    parser.add_argument("--db-dir", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None,
                        help="where databases go (default: memory-backed); 'on disk' scenarios use TMPDIR")
    parser.add_argument("--cert", choices=("ec", "rsa"), default="ec", help="server key: P-256 or RSA 2048")
    parser.add_argument("--json", help="write every sample to this file")
    parser.add_argument("--keep", action="store_true", help="keep the working directories and logs")
    options = parser.parse_args()
    options.gateway_prop = dict(options.gateway_prop)
    options.registry_prop = dict(options.registry_prop)

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    if options.pin:
        cpus = sorted(os.sched_getaffinity(0))
        if options.pin >= len(cpus):
            parser.error("--pin must leave a CPU for the load")
        Server.cpus = cpus[:options.pin]
        os.sched_setaffinity(0, cpus[options.pin:])
    bench = Bench(options)
    try:
        bench.certificates()
        for part, letter in ((bench.gateway, "g"), (bench.registry, "r"), (bench.storm, "s")):
            if not options.only or letter in options.only:
                attempt(part)
                Server.stop_all()
    finally:
        Server.stop_all()
        shutil.rmtree(bench.db_root, ignore_errors=True)
        options.keep = options.keep or bool(results.notes)
        if not options.keep:
            shutil.rmtree(bench.root, ignore_errors=True)
    implementations = ["ref"] + (["new"] if options.gateway_cmd or options.registry_cmd or options.storm_cmd else [])
    results.table(implementations)
    if options.keep:
        print("\nLogs and working directories: " + bench.root)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(results.as_json(implementations), f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
