# SPDX-License-Identifier: Apache-2.0
"""Logins under attack: wrong passwords by the hundred cost nobody else anything, and what happened is in the audit log."""

import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from lib.bindings import Glacier2, Ice
from lib.deployment import MOULIN, PASSWORDS
from lib.process import wait_until

from . import check

REFUSED = b"too many failed logins"
USERS = dict(PASSWORDS, carol="singer")


def text(s):
    return bytes([len(s)]) + s.encode()


def login_message(number, user, password):
    """createSession(user, password) on Gate/router as it goes over the wire."""
    params = text(user) + text(password)
    body = (struct.pack("<i", number) + text("router") + text("Gate") + b"\0" + text("createSession") + b"\0\0" +
            struct.pack("<i", 6 + len(params)) + b"\1\1" + params)
    return b"IceP\1\0\1\0\0\0" + struct.pack("<i", 14 + len(body)) + body


class Attack:
    """So many wrong passwords a second over a few connections, until it is stopped; counts what comes back."""

    def __init__(self, port, rate, user="bob", connections=8):
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        self.rate, self.user = rate, user
        self.sent = self.answered = self.refused = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.send, self.receive)]
        for t in self.threads:
            t.start()

    def send(self):
        start = time.monotonic()
        while not self.over.is_set():
            due = int((time.monotonic() - start) * self.rate)
            while self.sent < due:
                s = self.sockets[self.sent % len(self.sockets)]
                try:
                    s.sendall(login_message(self.sent + 1, self.user, "wrong%d" % self.sent))
                except OSError:
                    return
                self.sent += 1
            self.over.wait(0.005)

    def receive(self):
        while not self.over.is_set():
            for s in select.select(self.sockets, [], [], 0.1)[0]:
                try:
                    data = s.recv(1 << 16)
                except OSError:
                    return  # the gateway is gone: the case says so
                self.refused += data.count(REFUSED)
                self.answered += data.count(b"IceP")

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join()
        for s in self.sockets:
            s.close()


def hashed_passwords(d):
    """A password file as `moulin passwd' makes it: hashes that take a tenth of a second each."""
    path = d.path("passwords")
    with open(path, "w") as f:
        for user, password in USERS.items():
            f.write(subprocess.run([MOULIN, "passwd", user], input=password + "\n", stdout=subprocess.PIPE, check=True,
                                   text=True).stdout)
    return path


def start_router(d, **more):
    # memory of a sanitizer build is what is in use, not what waits for a use after it was freed
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    return d.start_router(registries=(), Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords=hashed_passwords(d),
                          **more)


def resident_kib(daemon):
    with open("/proc/%d/status" % daemon.pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def timed_login(d, user="alice"):
    """(seconds, communicator, router) of a client of its own."""
    c = d.communicator()
    router = d.router_proxy(c)
    begin = time.monotonic()
    router.createSession(user, USERS[user])
    return time.monotonic() - begin, c, router


class Echo(Ice.Object):
    pass


def pinged_session(d):
    """A proxy that is reached through a session, and the server behind it."""
    server = d.communicator()
    adapter = server.createObjectAdapterWithEndpoints("Echo", "tcp -h 127.0.0.1 -p 0")
    prx = adapter.addWithUUID(Echo())
    adapter.activate()
    _, c, router = timed_login(d)
    c.setDefaultRouter(router)
    routed = c.stringToProxy(prx.ice_toString())
    routed.ice_ping()
    return routed


def ping_ms(proxy, seconds):
    """The 99th percentile of pings made one after the other."""
    taken, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        proxy.ice_ping()
        taken.append((time.monotonic() - begin) * 1000)
    return sorted(taken)[len(taken) * 99 // 100]


def honest_logins(d, n, user="alice"):
    worst = 0
    for _ in range(n):
        taken, c, router = timed_login(d, user)
        router.destroySession()
        d.drop(c)
        worst = max(worst, taken)
    return worst


def wrong_passwords_200_a_second(d):
    """From the address of the honest user, who was never here before."""
    start_router(d)
    refused(lambda: d.router_proxy(d.communicator()).createSession("bob", "x"), "denied")  # the helper is running now
    attack = Attack(d.port("router.Client"), 200)
    first = honest_logins(d, 1)
    wait_until(lambda: attack.refused > 100, "refusals")
    stranger = honest_logins(d, 1, "carol")
    again = honest_logins(d, 3)
    victim = honest_logins(d, 1, "bob")  # even the one they are after, on a connection of his own
    attack.stop()
    print("      login while it begins %.2f s; then of somebody new %.2f s, of somebody known %.2f s, of the user under attack "
          "%.2f s" % (first, stranger, again, victim))
    check(first < 2, "an honest login while the attack began took %.2f s" % first)  # some hashes are on their way
    check(max(stranger, again, victim) < 1, "an honest login took %.2f s" % max(stranger, again, victim))


def wrong_passwords_1000_a_second(d):
    """Sessions go on, memory stays, the log is short."""
    daemon = start_router(d)
    routed = pinged_session(d)
    quiet = ping_ms(routed, 1)
    attack = Attack(d.port("router.Client"), 1000, connections=20)
    wait_until(lambda: attack.refused > 500, "refusals")
    before = resident_kib(daemon)
    loud = ping_ms(routed, 4)
    grown = resident_kib(daemon) - before
    worst = honest_logins(d, 2)
    attack.stop()
    lines = daemon.stderr().splitlines()
    print("      p99 of a ping %.1f ms, under attack %.1f ms; %d KiB more; honest login %.2f s; %d tries, %d lines logged"
          % (quiet, loud, grown, worst, attack.answered, len(lines)))
    check(attack.answered > 2000, "only %d answers" % attack.answered)
    check(loud < quiet + 100, "a ping took %.1f ms, without attack %.1f ms" % (loud, quiet))
    check(worst < 1, "an honest login took %.2f s" % worst)
    check(grown < 4096, "the gateway grew by %d KiB" % grown)
    check(0 < sum("too many failed logins" in line for line in lines) <= 4 and len(lines) < 40,
          "%d lines were logged" % len(lines))


def lines_of(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def refused(call, reason):
    try:
        call()
    except (Glacier2.PermissionDeniedException, Glacier2.CannotCreateSessionException) as ex:
        check(reason in ex.reason, "refused because `%s'" % ex.reason)
        return
    check(False, "not refused: " + reason)


def audited(d):
    """Every event of a few sessions is a line of valid JSON, with the reason; no secret is in it; SIGHUP starts a new file."""
    path = d.path("audit.log")
    daemon = start_router(d, Moulin__Gateway__AuditLog=path, Moulin__Gateway__MaxSessionsPerUser="1",
                          Glacier2__Filter__Category__Accept="allowed")
    c = d.communicator()
    router = d.router_proxy(c)
    refused(lambda: router.createSession("bob", "a secret guess"), "permission denied")
    refused(lambda: router.createSession("b\x1bo\nb\"", "another"), "permission denied")
    router.createSession("bob", PASSWORDS["bob"])
    token = router.getCategoryForClient()
    refused(lambda: timed_login(d, "bob"), "as many sessions")
    c.setDefaultRouter(router)
    try:
        c.stringToProxy("forbidden/thing:tcp -h 127.0.0.1 -p 1").ice_ping()
        check(False, "the filter let it pass")
    except Ice.ObjectNotExistException:
        pass
    router.destroySession()
    _, lost, _ = timed_login(d, "alice")
    d.drop(lost)
    wait_until(lambda: any(e.get("reason") == "connection lost" for e in lines_of(path)), "the end of alice's session")
    os.rename(path, path + ".1")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(path), "the new file")
    timed_login(d, "alice")
    check(daemon.stop() == 0, "the gateway did not end well: " + daemon.stderr())
    old, new = lines_of(path + ".1"), lines_of(path)
    got = [(e["event"], e.get("user"), e.get("reason", e.get("filter"))) for e in old + new if e["event"] != "limit"]
    expected = [("login refused", "bob", "permission denied"), ("login refused", "b\x1bo\nb\"", "permission denied"),
                ("login accepted", "bob", None), ("session created", "bob", None), ("login accepted", "bob", None),
                ("session refused", "bob", "the user has as many sessions as one may have: end one of them first"),
                ("proxy refused", "bob", "category filter"), ("session ended", "bob", "destroyed by client"),
                ("login accepted", "alice", None), ("session created", "alice", None),
                ("session ended", "alice", "connection lost"), ("login accepted", "alice", None),
                ("session created", "alice", None), ("session ended", "alice", "shutdown")]
    check(got == expected, "the events are\n%s" % "\n".join(map(str, got)))
    check([e["limit"] for e in old if e["event"] == "limit"] == ["Moulin.Gateway.MaxSessionsPerUser"], "no limit told")
    ended = next(e for e in old if e["event"] == "session ended")
    check(ended["bytes_in"] > 0 and ended["bytes_out"] > 0 and ended["refused"] == 1, str(ended))
    check(all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", e["time"]) for e in old + new), "a time is odd")
    check(os.stat(path).st_mode & 0o777 == 0o600, "others can read the audit log")
    written = json.dumps(old + new) + daemon.stderr()
    for secret in list(USERS.values()) + ["a secret guess", "another", token]:
        check(secret not in written, "`%s' was written" % secret)


CASES = [wrong_passwords_200_a_second, wrong_passwords_1000_a_second, audited]
