# SPDX-License-Identifier: Apache-2.0
"""Peers that do not read: what is sent to them stops at a limit, and nobody else waits."""

import os
import socket
import statistics
import struct
import threading
import time

from lib.bindings import Ice
from lib.process import wait_until

from . import check

PIECE = 64 * 1024
FLOOD = 256 * 1024 * 1024
MEANT = 200 * 1000 * 1000  # what is meant for the one who does not read, in messages of
MESSAGE = 100 * 1000
MOST = 16 * 1024  # KiB it may cost
VALIDATE = bytes.fromhex("496365500100010003000e000000")


class DeafServer:
    """Accepts connections, says that it is there, and never reads."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepted = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(VALIDATE)
            self.accepted.append(s)

    def close(self):
        self.listener.close()
        for s in self.accepted:
            s.close()


def logged_in(d, user):
    c = d.communicator()
    router = d.router_proxy(c)
    router.createSession(user, "x")
    c.setDefaultRouter(router)
    return c, router


def oneways_to_a_deaf_server(d):
    """A client floods a server that does not read: it is held back long before the gateway has taken it all, and another
    client's requests go through meanwhile."""
    d.start_registry()
    d.start_router()
    deaf = DeafServer()
    flooding, _ = logged_in(d, "alice")
    target = flooding.stringToProxy("deaf:tcp -h 127.0.0.1 -p %d" % deaf.port).ice_oneway()
    sent = []

    def flood():
        try:
            while len(sent) * PIECE < FLOOD:
                target.ice_invoke("put", Ice.OperationMode.Normal, struct.pack("<i", 6 + PIECE) + b"\1\1" + bytes(PIECE))
                sent.append(1)
        except Ice.Exception:
            pass  # its connection is cut in the end

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    thread.join(8)
    taken = len(sent) * PIECE
    check(taken < FLOOD / 2, "the gateway took %d MiB for a server that does not read" % (taken >> 20))
    check(taken > 0, "nothing was sent at all")
    other, router = logged_in(d, "bob")
    query = other.stringToProxy("Demo/Query:" + d.endpoint("Master.Client"))
    query.ice_ping()
    router.destroySession()
    deaf.close()
    thread.join(20)  # the cut connection lets it go on and end
    check(d.daemons["router"].alive(), "the gateway died")
    check(d.daemons["router"].stop() == 0, "the gateway did not end well: %s" % d.daemons["router"].stderr()[-4000:])


# ---- what it costs

# The sanitizer of the development build keeps what is freed; then its memory says nothing about ours.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"


def memory(daemon, what):
    """KiB of a field of /proc/PID/status."""
    with open("/proc/%d/status" % daemon.pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what + ":"))


class Costs:
    """Around a flood: the router's peak memory over what it had, and how long another session's pings take meanwhile."""

    def __init__(self, d):
        self.router = d.daemons["router"]
        self.query, _ = logged_in(d, "bob")
        self.target = self.query.stringToProxy("Demo/Query:" + d.endpoint("Master.Client"))
        self.target.ice_ping()
        self.took = []
        self.over = threading.Event()

    def __enter__(self):
        with open("/proc/%d/clear_refs" % self.router.pid, "w") as f:
            f.write("5")  # the peak begins here
        self.before = memory(self.router, "VmRSS")
        with open("/proc/%d/maps" % self.router.pid) as maps:  # the sanitizer's red zones and shadow
            self.most = MOST * 3 // 2 if "libasan" in maps.read() else MOST
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        while not self.over.wait(0.01):
            started = time.monotonic()
            self.target.ice_ping()
            self.took.append(time.monotonic() - started)

    def __exit__(self, *exc):
        self.over.set()
        self.thread.join(20)

    def judge(self):
        cost = memory(self.router, "VmHWM") - self.before
        check(cost <= self.most, "%d KiB for somebody who does not read" % cost)
        check(len(self.took) > 5, "no other session came through")
        check(statistics.median(self.took) < 0.1, "another session waits: %s" % self.took)


def text(s):
    return bytes([len(s)]) + s.encode()


def request(number, name, category, operation, params=b"", mode=0):
    body = struct.pack("<i", number) + text(name) + text(category) + b"\0" + text(operation) + bytes([mode, 0])
    body += struct.pack("<i", 6 + len(params)) + b"\1\1" + params
    return b"IceP\1\0\1\0\0\0" + struct.pack("<i", 14 + len(body)) + body


class DeafClient:
    """Has a session, and reads no more than the answers to what it asks with call()."""

    def __init__(self, d):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", d.port("router.Client")))
        self.stream = self.socket.makefile("rb")
        self.stream.read(14)
        self.number = 0
        self.call("createSession", text("deaf") + text("x"))

    def call(self, operation, params=b"", mode=0):
        self.number += 1
        self.socket.sendall(request(self.number, "router", "Gate", operation, params, mode))
        while True:
            header = self.stream.read(14)
            body = self.stream.read(struct.unpack("<i", header[10:])[0] - 14)
            if header[8] == 2:
                check(body[4] == 0, "%s failed: %r" % (operation, body))
                return body[11:]

    def token(self):
        answer = self.call("getCategoryForClient", mode=1)
        return answer[1:1 + answer[0]].decode()

    def close(self):
        self.socket.close()


def forward_costs(d):
    d.start_registry()
    d.start_router()
    deaf = DeafServer()
    flooding, _ = logged_in(d, "alice")
    target = flooding.stringToProxy("deaf:tcp -h 127.0.0.1 -p %d" % deaf.port).ice_oneway()
    params = struct.pack("<i", 6 + MESSAGE) + b"\1\1" + bytes(MESSAGE)
    target.ice_ping()  # its route
    wait_until(lambda: deaf.accepted, "the router's connection")
    with Costs(d) as costs:
        pending = [target.ice_invokeAsync("put", Ice.OperationMode.Normal, params) for _ in range(MEANT // MESSAGE)]
        wait_until(lambda: len(costs.took) > 50, "pings of another session")
    done = sum(p.done() for p in pending)
    check(0 < done < len(pending) / 2, "the router took %d of %d" % (done, len(pending)))
    costs.judge()
    deaf.close()


def callbacks_cost(d):
    d.start_registry()
    d.start_router()
    deaf = DeafClient(d)
    server = d.communicator(who="server")
    identity = Ice.identityToString(Ice.Identity("me", deaf.token()))
    prx = server.stringToProxy("x:" + d.endpoint("router.Server")).ice_identity(Ice.stringToIdentity(identity))
    params = struct.pack("<i", 6 + MESSAGE) + b"\1\1" + bytes(MESSAGE)
    with Costs(d) as costs:
        oneway = prx.ice_oneway()
        for _ in range(MEANT // MESSAGE):
            oneway.ice_invoke("note", Ice.OperationMode.Normal, params)
        try:
            prx.ice_invoke("answer", Ice.OperationMode.Normal, params)
            check(False, "a callback was answered by nobody")
        except Ice.UnknownLocalException as e:
            check("MemoryLimitException" in e.unknown, e.unknown)
        wait_until(lambda: len(costs.took) > 5, "pings of another session")
    costs.judge()
    check("does not read fast enough" in d.daemons["router"].stderr(), "the loss is not told")
    deaf.close()


class Constant(Ice.Blobject):
    """Answers everything with the same large result."""

    def __init__(self):
        self.asked = 0
        self.answer = (True, struct.pack("<i", 6 + MESSAGE) + b"\1\1" + bytes(MESSAGE))

    def ice_invoke(self, params, current):
        self.asked += 1
        return self.answer


def replies_cost(d):
    d.start_registry()
    d.start_router()
    server = d.communicator(who="server", Ice__ThreadPool__Server__Size="1")
    adapter = server.createObjectAdapterWithEndpoints("", "tcp -h 127.0.0.1")
    constant = Constant()
    adapter.add(constant, Ice.stringToIdentity("constant"))
    adapter.activate()
    port = adapter.getEndpoints()[0].getInfo().port
    deaf = DeafClient(d)
    endpoint = text("127.0.0.1") + struct.pack("<ii", port, 60000) + b"\0"
    proxy = text("constant") + b"\0\0\0\0\1\0\1\1\1\1\0" + struct.pack("<i", 6 + len(endpoint)) + b"\1\1" + endpoint
    deaf.call("addProxies", b"\1" + proxy, mode=2)
    asked = MEANT // MESSAGE
    with Costs(d) as costs:
        deaf.socket.sendall(b"".join(request(1000 + n, "constant", "", "get") for n in range(asked)))
        wait_until(lambda: constant.asked == asked, "every answer")
        seen = len(costs.took)
        wait_until(lambda: len(costs.took) > seen + 5, "pings of another session")
    costs.judge()
    deaf.close()


# ---- Moulin.Gateway.Server.Queue.Overflow

MANY = 400  # messages, far more than the limit and the sockets between hold


def overflow(d, policy):
    """A client that does not read yet, its object's oneway proxy in a server, and a function that calls it."""
    d.start_registry()
    d.start_router(Moulin__Gateway__Server__Queue__MaxBytes="3000000", Moulin__Gateway__Server__Queue__Overflow=policy)
    deaf = DeafClient(d)
    server = d.communicator(who="server")
    prx = server.stringToProxy("x:" + d.endpoint("router.Server")).ice_identity(Ice.Identity("me", deaf.token())).ice_oneway()

    def note(number):
        params = struct.pack("<i", 6 + MESSAGE) + b"\1\1" + bytes(MESSAGE - 4) + struct.pack("<i", number)
        return prx.ice_invokeAsync("note", Ice.OperationMode.Normal, params)
    return deaf, prx, note


def numbers(deaf, until):
    """Of the callbacks the client reads from now on."""
    deaf.socket.settimeout(30)
    seen = []
    while until not in seen:
        header = deaf.stream.read(14)
        check(len(header) == 14, "the connection ended after %s" % seen)
        body = deaf.stream.read(struct.unpack("<i", header[10:])[0] - 14)
        if header[8] == 0:
            seen.append(struct.unpack("<i", body[-4:])[0])
    return seen


def overflow_drop(d):
    """The oldest that wait go: the newest arrive."""
    deaf, prx, note = overflow(d, "drop")
    for n in range(MANY):
        note(n).result()
    wait_until(lambda: "does not read fast enough" in d.daemons["router"].stderr(), "the loss in the log")
    prx.ice_twoway().ice_getConnection().close(Ice.ConnectionClose.GracefullyWithWait)  # the router has read all
    seen = numbers(deaf, MANY - 1)
    check(seen == sorted(seen) and seen[0] == 0, seen)
    check(5 < len(seen) < MANY / 2, "%d of %d arrived" % (len(seen), MANY))
    check(seen[-5:] == list(range(MANY - 5, MANY)), seen)
    deaf.close()


def overflow_disconnect(d):
    """The client's connection is closed; another client's is not."""
    deaf, _, note = overflow(d, "disconnect")
    _, other = logged_in(d, "bob")
    for n in range(MANY):
        note(n).result()
    deaf.socket.settimeout(30)
    try:
        while deaf.stream.read(65536):
            pass
    except ConnectionResetError:
        pass
    other.refreshSession()
    deaf.close()


def overflow_hold(d):
    """The server waits; nothing is lost."""
    deaf, _, note = overflow(d, "hold")
    pending = [note(n) for n in range(MANY)]
    wait_until(lambda: "are held back" in d.daemons["router"].stderr(), "the log tells whom the servers wait for")
    other, _ = logged_in(d, "bob")
    query = other.stringToProxy("Demo/Query:" + d.endpoint("Master.Client"))
    for _ in range(50):
        query.ice_ping()
    sent = sum(p.done() for p in pending)
    check(sent < MANY / 2, "the router took %d of %d" % (sent, MANY))
    check(numbers(deaf, MANY - 1) == list(range(MANY)), "callbacks were lost")
    deaf.close()


CASES = [oneways_to_a_deaf_server, forward_costs, callbacks_cost, replies_cost, overflow_drop, overflow_disconnect,
         overflow_hold]
