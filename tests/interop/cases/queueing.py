# SPDX-License-Identifier: Apache-2.0
"""What the gateway does between taking a request and sending it: _fwd, _ovrd, SleepTime, AlwaysBatch, datagrams, the
unbuffered mode."""

import socket
import struct
import threading
import time

import Ice

from lib.deployment import Deployment
from lib.probe import CallbackI, Probe, Server, TargetI
from lib.process import free_port, wait_until

from .forwarding import callback_adapter, routed

VALIDATE = bytes.fromhex("496365500100010003000e000000")


class Sniffer:
    """A TCP server that notes the messages it gets: (type, count of a batch, compressed) and answers nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.messages = []
        self.changed = threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.sendall(VALIDATE)
        with s, s.makefile("rb") as stream:
            while True:
                header = stream.read(14)
                if len(header) < 14:
                    return
                kind, compressed, size = header[8], header[9], struct.unpack("<i", header[10:])[0]
                body = stream.read(size - 14)
                count = struct.unpack("<i", body[:4])[0] if kind == 1 and compressed < 2 else 1
                with self.changed:
                    self.messages.append((kind, compressed, count))
                    self.changed.notify_all()

    def take(self, requests):
        """The messages, once they hold that many requests; consecutive batches are one."""
        with self.changed:
            self.changed.wait_for(lambda: sum(m[2] for m in self.messages if m[0] < 2) >= requests, 20)
            seen, self.messages = self.messages, []
        merged = []
        for m in seen:
            if merged and m[0] == 1 and merged[-1][:2] == m[:2]:
                merged[-1] = (1, m[1], merged[-1][2] + m[2])
            else:
                merged.append(m)
        return merged

    def close(self):
        self.listener.close()


def plain(flavour, **more):
    d = Deployment(flavour)
    d.extras["server"] = Server(d)
    d.start_router(registries=(), **more)
    return d


def sniffed(d, c):
    sniffer = Sniffer()
    return sniffer, Probe.TargetPrx.uncheckedCast(c.stringToProxy("sniffed:tcp -h 127.0.0.1 -p %d" % sniffer.port))


def put(target, n, **context):
    Probe.TargetPrx.uncheckedCast(target.ice_oneway()).put(n, {"_" + k: v for k, v in context.items()})


# ---- cases

def letters(d, r):
    """Which message leaves for which letters."""
    c, router, target = routed(d)
    sniffer, seen = sniffed(d, c)
    for text in ("o", "oz", "to", "do"):
        seen.put(1, {"_fwd": text})
        r.value("twoway " + text, sniffer.take(1))
    for text in ("O", "oO"):
        seen.put(1, {"_fwd": text})
        r.value("twoway " + text, sniffer.take(1))
    big = struct.pack("<i", 606) + b"\1\1" + bytes(600)
    seen.ice_invoke("put", Ice.OperationMode.Normal, big, {"_fwd": "oz"})
    r.value("compressed", sniffer.take(1))
    r.call("unknown letter", target.echo, "x", {"_fwd": "q"})
    wait_until(lambda: "unknown forward option `q'" in d.daemons["router"].stderr(), "the warning")
    r.call("secure", target.echo, "x", {"_fwd": "s"})
    r.call("secure last", target.echo, "x", {"_fwd": "ts"})
    r.kind("result of a oneway", target.echo, "x", {"_fwd": "o"})
    put(target, 5, fwd="t")
    r.value("oneway as twoway", d.extras["server"].target.await_numbers(1))
    sniffer.close()


def overrides(d, r):
    """The sleep has begun when the first of a round is through; of what follows only the last of a kind remains."""
    c, router, target = routed(d)
    server = d.extras["server"].target
    put(target, 0)
    server.await_numbers(1)
    for n in range(1, 11):
        put(target, n, ovrd="a")
    put(target, 100)
    r.value("last of ten", server.await_numbers(2))
    put(target, 101)
    server.await_numbers(1)
    put(target, 1, ovrd="a")
    put(target, 2, ovrd="b")
    put(target, 3)
    put(target, 4, ovrd="a", fwd="z")
    Probe.TargetPrx.uncheckedCast(target.ice_facet("side").ice_oneway()).put(5, {"_ovrd": "a"})
    target.put(6, {"_ovrd": "a"})
    put(target, 7, ovrd="b")
    put(target, 100)
    r.value("others stay", server.await_numbers(7))
    r.value("facet", d.extras["server"].facet.await_numbers(1))
    traced = d.daemons["router"].stderr().count("routing override")
    r.value("traced", traced)


def batched_order(d, r):
    c, router, target = routed(d)
    server = d.extras["server"].target
    put(target, 0)
    server.await_numbers(1)
    for n in range(1, 6):
        put(target, n)
    r.value("in order", server.await_numbers(5))


def spacing(d, r):
    """Deliveries are a SleepTime apart."""
    c, router, target = routed(d)
    server = d.extras["server"].target
    put(target, 0)
    server.await_numbers(1)
    started = time.monotonic()
    for n in range(4):
        target.put(n)
    r.value("four twoways take at least three sleeps", time.monotonic() - started > 0.55)
    r.value("arrived", server.await_numbers(4))


def always_batch(d, r):
    c, router, target = routed(d)
    sniffer, seen = sniffed(d, c)
    for n in range(5):
        put(seen, n)
    r.value("oneways", sniffer.take(5))
    for n in range(3):
        put(seen, n, fwd="o")
    r.value("o", sniffer.take(3))
    seen.put(1, {"_fwd": "o"})
    r.value("twoway as o", sniffer.take(1))
    sniffer.close()


def unbuffered(d, r):
    c, router, target = routed(d)
    server = d.extras["server"].target
    sniffer, seen = sniffed(d, c)
    nobody = Probe.TargetPrx.uncheckedCast(c.stringToProxy("nobody:" + d.endpoint("nobody")))
    for text in ("O", "o"):
        seen.put(1, {"_fwd": text})
        r.value("twoway " + text, sniffer.take(1))
    put(seen, 1)
    r.value("oneway", sniffer.take(1))
    r.call("refused", nobody.put, 1, {"_fwd": "o"})
    for n in range(5):
        put(target, n, ovrd="a")
    r.value("nothing replaced", server.await_numbers(5))
    for text in ("d", "D"):
        r.call("no datagram endpoint " + text, target.put, 1, {"_fwd": text})
    sniffer.close()


def buffered(d, r):
    c, router, target = routed(d)
    nobody = Probe.TargetPrx.uncheckedCast(c.stringToProxy("nobody:" + d.endpoint("nobody")))
    r.call("refused", nobody.put, 1, {"_fwd": "o"})
    for text in ("d", "D"):
        r.call("no datagram endpoint " + text, target.put, 1, {"_fwd": text})
    r.call("and the session lives", target.echo, "x")


def datagrams(d, r):
    c, router, target = routed(d)
    server = d.communicator(who="server")
    port = free_port()
    adapter = server.createObjectAdapterWithEndpoints("", "udp -h 127.0.0.1 -p %d" % port)
    servant = TargetI("udp")
    adapter.add(servant, Ice.stringToIdentity("udp"))
    adapter.activate()
    text = "udp:%s:udp -h 127.0.0.1 -p %d" % (d.endpoint("nobody"), port)
    both = Probe.TargetPrx.uncheckedCast(c.stringToProxy(text))
    for letter in ("d", "D", "dz", "od"):
        both.put(1, {"_fwd": letter})
        r.value("arrived " + letter, servant.await_numbers(1))
    r.call("too large", both.ice_invoke, "put", Ice.OperationMode.Normal,
           struct.pack("<i", 70006) + b"\1\1" + bytes(70000), {"_fwd": "d"})
    for n in range(20):
        put(both, n, fwd="D")
    r.value("twenty", sorted(servant.await_numbers(20)) == list(range(20)))
    server.destroy()


def callbacks(d, r):
    """The other direction: order and replacement."""
    c, router, target = routed(d)
    adapter = callback_adapter(c, router)
    servant = CallbackI()
    prx = Probe.CallbackPrx.uncheckedCast(adapter.add(servant, Ice.Identity("me", router.getCategoryForClient())))
    target.subscribe(prx)
    target.notify(10000)
    r.value("ten thousand in order", servant.await_notes(10000) == list(range(10000)))
    back = Probe.CallbackPrx.uncheckedCast(d.extras["server"].target.callback.ice_oneway())
    r.kind("datagram", lambda: d.extras["server"].target.callback.note(1, {"_fwd": "d"}))
    back.note(77, {"_fwd": "O"})
    r.value("batched", servant.await_notes(10002)[10000:])


def session_end(d, r):
    """What waits when the session ends is delivered."""
    c, router, target = routed(d)
    server = d.extras["server"].target
    put(target, 0)
    server.await_numbers(1)
    for n in range(1, 4):
        put(target, n)
    router.destroySession()
    r.value("arrived", server.await_numbers(3))


def order(d, r):
    """One client, one server: oneways and twoways in the order they were sent."""
    c, router, target = routed(d)
    oneway = Probe.TargetPrx.uncheckedCast(target.ice_oneway())
    for prx in (target, oneway):  # each has its route: from here on nothing waits in the client
        prx.ice_ping()
    pending = [(oneway if n % 3 else target).putAsync(n) for n in range(10000)]
    for p in pending:
        p.result()
    target.ice_ping()
    numbers = d.extras["server"].target.await_numbers(10000)
    r.value("how many", len(numbers))
    r.value("first out of order", next((n for n, m in enumerate(numbers) if n != m), None))


def plan():
    yield "buffered", plain, [letters, buffered, datagrams, callbacks, order]
    yield "sleeping", lambda f: plain(f, Glacier2__Client__SleepTime="200",
                                      Glacier2__Client__Trace__Override="1"), [overrides, spacing, session_end]
    yield "batching", lambda f: plain(f, Glacier2__Client__AlwaysBatch="1",
                                      Glacier2__Server__AlwaysBatch="1"), [always_batch, callbacks, batched_order]
    yield "unbuffered", lambda f: plain(f, Glacier2__Client__Buffered="0", Glacier2__Server__Buffered="0",
                                        Glacier2__Client__AlwaysBatch="1",
                                        Glacier2__Client__SleepTime="200"), [unbuffered, callbacks, order]
