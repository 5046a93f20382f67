# SPDX-License-Identifier: Apache-2.0
"""Any bytes on any port: the connection is closed, the process lives on and serves the others."""

import os
import random
import socket
import struct

import Ice

from lib import descriptors as dd
from lib.process import wait_until

from . import check

ENDPOINTS = ("Master.Client", "Master.Server", "Master.Internal", "Master.SessionManager", "Master.AdminSessionManager",
             "router.Client", "router.Server")


def message(kind, body, size=None, magic=b"IceP", protocol=b"\1\0", encoding=b"\1\0", compression=0):
    return magic + protocol + encoding + bytes([kind, compression]) + struct.pack(
        "<i", 14 + len(body) if size is None else size) + body


def request(identity=b"x", operation=b"y", body=b"\6\0\0\0\1\1", request_id=1):
    return message(0, struct.pack("<i", request_id) + bytes([len(identity)]) + identity + b"\0\0" + bytes(
        [len(operation)]) + operation + b"\0\0" + body)


def attacks(chance):
    """(name, bytes) of what a peer may send."""
    valid = request()
    yield "nothing", b""
    yield "one byte", b"I"
    yield "half a header", valid[:7]
    yield "half a request", valid[:-3]
    yield "http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "websocket upgrade without key", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    yield "tls hello", bytes.fromhex("16030100c8010000c40303") + bytes(200)
    yield "wrong magic", message(0, b"", magic=b"Nope")
    yield "protocol 2", message(0, b"", protocol=b"\2\0")
    yield "encoding 9", message(0, b"", encoding=b"\x09\0")
    for kind in (1, 2, 3, 4, 5, 255):
        yield "type %d" % kind, message(kind, b"\0\0\0\0")
    yield "compressed rubbish", message(0, struct.pack("<i", 5000) + b"BZh9 not really", compression=2)
    yield "compressed and huge", message(0, struct.pack("<i", 0x7fffffff) + b"BZh9", compression=2)
    yield "compression 7", message(0, b"\0\0\0\0", compression=7)
    for size in (-1, 0, 13, 14, 0x7fffffff, 1 << 30):
        yield "size %d" % size, message(0, b"", size=size)
    yield "negative string", message(0, struct.pack("<i", 1) + b"\xff\xff\xff\xff\xff")
    yield "huge string", message(0, struct.pack("<i", 1) + b"\xff\xff\xff\xff\x7f")
    yield "two facets", message(0, struct.pack("<i", 1) + b"\1x\0\2\1a\1b\1y\0\0\6\0\0\0\1\1")
    yield "context without end", message(0, struct.pack("<i", 1) + b"\1x\0\0\1y\0\xff\xff\xff\xff\x7f")
    yield "encapsulation too big", request(body=b"\xff\xff\xff\x7f\1\1")
    yield "encapsulation too small", request(body=b"\1\0\0\0\1\1")
    yield "empty identity", request(identity=b"")
    yield "batch of a billion", message(1, struct.pack("<i", 1 << 30))
    yield "negative batch", message(1, struct.pack("<i", -1))
    yield "reply nobody asked for", message(2, struct.pack("<i", 77) + b"\0\6\0\0\0\1\1")
    yield "many requests", request() * 2000
    for n in range(40):
        bent = bytearray(request(b"Demo/Query", b"findAllObjectsByType", b"\x0b\0\0\0\1\1\4type"))
        for _ in range(chance.randrange(1, 4)):
            bent[chance.randrange(len(bent))] = chance.randrange(256)
        yield "bent request %d" % n, bytes(bent)
    for n in range(20):
        yield "noise %d" % n, bytes(chance.randrange(256) for _ in range(chance.randrange(1, 3000)))
    for n in range(10):
        yield "noise in a frame %d" % n, message(0, bytes(chance.randrange(256) for _ in range(chance.randrange(4, 300))))


def deploy(d):
    d.start_registry()
    d.start_router()
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    return session, admin


def alive(d, where):
    for name, daemon in d.daemons.items():
        check(daemon.alive(), "%s died of %s:\n%s" % (name, where, daemon.stderr()[-4000:]))


def serving(d, session, admin, query, router):
    session.keepAlive()
    check(admin.getAllApplicationNames() == ["Pool"], "the registry answers otherwise")
    check(query.findObjectById(dd.identity("nobody")) is None, "the query answers otherwise")
    router.refreshSession()


def descriptors(d, name):
    return len(os.listdir("/proc/%d/fd" % d.daemons[name].pid))


def bytes_on_every_port(d):
    seed = random.randrange(1 << 30)
    print("      seed %d" % seed)
    chance = random.Random(seed)
    session, admin = deploy(d)
    c = d.communicator()
    query, router = d.query(c), d.router_proxy(c)
    router.createSession("alice", "x")
    held = []
    before = {name: descriptors(d, name) for name in ("router", "Master")}
    for endpoint in ENDPOINTS:
        for name, data in attacks(chance):
            where = "%s on %s" % (name, endpoint)
            s = socket.create_connection(("127.0.0.1", d.ports[endpoint]), 10)
            try:
                s.sendall(data)
            except OSError:
                pass  # closed in our face: allowed
            if chance.random() < 0.2 and len(held) < 100:
                held.append(s)  # stays, half said
            elif chance.random() < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()  # reset
            else:
                s.close()
            alive(d, where)
        serving(d, session, admin, query, router)
        fresh = d.communicator()
        d.registry_proxy(fresh).ice_ping()
        d.router_proxy(fresh).ice_ping()
        d.drop(fresh)
    for s in held:
        s.close()
    serving(d, session, admin, query, router)
    for name in ("router", "Master"):
        wait_until(lambda: descriptors(d, name) <= before[name] + 2, lambda: "the descriptors of %s going down from %d to %d" % (
            name, descriptors(d, name), before[name]))
        check(d.daemons[name].stop() == 0, "%s did not end well: %s" % (name, d.daemons[name].stderr()[-4000:]))


def closed_as_the_protocol_says(d):
    """A broken header closes the connection at once; what the peer reads is the end, or a validation message and the end."""
    deploy(d)
    for endpoint in ENDPOINTS:
        bad = [message(0, b"", magic=b"Nope"), message(0, b"", size=3), message(99, b"")]
        if endpoint != "Master.Internal":  # which has no limit of message sizes
            bad.append(message(0, b"", size=0x7fffffff))
        for data in bad:
            s = socket.create_connection(("127.0.0.1", d.ports[endpoint]), 10)
            s.settimeout(20)
            got = b""
            try:
                s.sendall(data)
                while True:
                    piece = s.recv(4096)
                    if not piece:
                        break
                    got += piece
            except ConnectionResetError:
                pass
            except socket.timeout:
                raise AssertionError("%s: the connection stays open after %r" % (endpoint, data))
            check(len(got) in (0, 14, 28), "%s answers %r" % (endpoint, got))
            s.close()
    alive(d, "broken headers")


def websocket(d):
    """Bad upgrades and frames on ws ports."""
    session, admin = deploy(d)
    upgrade = (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Sec-WebSocket-Protocol: ice.zeroc.com\r\nSec-WebSocket-Version: 13\r\n"
               b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    frames = [b"", b"\x82", b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x82\x0e" + message(3, b""),
              b"\x81\x80\0\0\0\0", b"\xf2\x80\0\0\0\0", b"\x89\xff\0\0\0\0\0\0\0\1", b"\x88\x80\1\2\3\4",
              b"\x82\x8e\0\0\0\0" + message(3, b""), b"\x02\x81\0\0\0\0I" * 50, b"\x80\x80\0\0\0\0"]
    requests = [b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 5000, b"GET /" + b"x" * 200000,
                upgrade.replace(b"13", b"12"), upgrade.replace(b"websocket", b"h2c"), upgrade.replace(b"\r\n", b"\n")]
    for endpoint in ("Master.Client", "router.Client"):
        for data in requests + [upgrade + f for f in frames]:
            s = socket.create_connection(("127.0.0.1", d.ports[endpoint]), 10)
            try:
                s.sendall(data)
            except OSError:
                pass
            s.close()
            alive(d, "%r on %s" % (data[:60], endpoint))
    session.keepAlive()
    check(admin.getAllApplicationNames() == ["Pool"], "the registry answers otherwise")


websocket.transport = ("ws",)


def tls(d):
    """Rubbish, half a handshake, and a reset in it, on ssl ports."""
    session, admin = deploy(d)
    for endpoint in ("Master.Client", "router.Client"):
        for data in (b"", b"IceP", b"\x16\x03\x01", bytes.fromhex("16030100c8010000c40303") + bytes(200), b"GET / HTTP/1.0\r\n\r\n",
                     b"\x16\x03\x03\xff\xff" + bytes(70000)):
            for reset in (False, True):
                s = socket.create_connection(("127.0.0.1", d.ports[endpoint]), 10)
                try:
                    s.sendall(data)
                except OSError:
                    pass
                if reset:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()
                alive(d, "%r on %s" % (data[:40], endpoint))
    session.keepAlive()
    check(admin.getAllApplicationNames() == ["Pool"], "the registry answers otherwise")


tls.transport = ("ssl",)


def many_connections(d):
    """Hundreds of idle and half-open connections do not keep others out."""
    session, admin = deploy(d)
    sockets = []
    for n in range(400):
        s = socket.create_connection(("127.0.0.1", d.ports["router.Client" if n % 2 else "Master.Client"]), 10)
        if n % 3:
            s.sendall(b"Ic")
        sockets.append(s)
    fresh = d.communicator()
    d.registry_proxy(fresh).ice_ping()
    router = d.router_proxy(fresh)
    router.createSession("alice", "x")
    router.refreshSession()
    for s in sockets:
        s.close()
    session.keepAlive()
    alive(d, "idle connections")


def slow_reader(d):
    """A client that asks and never reads: its requests stop, the process does not, memory stays bounded."""
    session, admin = deploy(d)
    for n in range(300):
        admin.addObjectWithType(session.ice_getCommunicator().stringToProxy("object%d @ A" % n), "::Many")
    daemon = d.daemons["Master"]
    before = resident(daemon.pid)
    s = socket.create_connection(("127.0.0.1", d.ports["Master.Client"]), 10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ask = query_request()
    s.settimeout(0.5)
    sent = 0
    try:
        for n in range(20000):
            s.sendall(ask)
            sent += 1
    except socket.timeout:
        pass  # pushed back, as it should be
    except OSError:
        pass  # thrown out: as good
    grown = resident(daemon.pid) - before
    check(grown < 300 << 20, "%d requests unread made the process grow by %d MiB" % (sent, grown >> 20))
    session.keepAlive()
    other = d.communicator()
    check(len(d.query(other).findAllObjectsByType("::Many")) == 300, "others are not served")
    s.close()
    alive(d, "a slow reader")


def query_request():
    identity = b"\5Query\4Demo"
    body = b"\6::Many"
    encapsulation = struct.pack("<i", 6 + len(body)) + b"\1\1" + body
    return message(0, struct.pack("<i", 5) + identity + b"\0" + b"\x14findAllObjectsByType" + b"\1\0" + encapsulation)


def resident(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * 4096


def vanishing_clients(d):
    """Clients that log in and vanish: no session and no resource stays behind."""
    session, admin = deploy(d)
    for n in range(30):
        c = d.communicator()
        registry = d.registry_proxy(c)
        mine = registry.createSession("c%d" % n, "x")
        mine.setAllocationTimeout(10000)
        mine.allocateObjectById(dd.identity("res0"))
        if n % 2:
            registry.ice_getConnection().close(Ice.ConnectionClose.Forcefully)
        d.drop(c)
    last = d.registry_proxy(d.communicator()).createSession("last", "x")
    last.setAllocationTimeout(0)

    def free():
        try:
            return last.allocateObjectById(dd.identity("res0"))
        except Ice.UserException:
            return None
    wait_until(free, "the resource of the vanished clients")


CASES = [bytes_on_every_port, closed_as_the_protocol_says, websocket, tls, many_connections, slow_reader, vanishing_clients]
