# SPDX-License-Identifier: Apache-2.0
"""What a client sees byte by byte: replies, and the connections that are closed without one (4.4, 6.2, 6.3, 22)."""

import threading


from lib.deployment import Deployment
from lib.wire import BATCH, REQUEST, Peer, batch, encapsulation, message, request, request_body, size, string

ROUTER, FINDER = "Gate/router", "Ice/RouterFinder"
PORT = 4063  # of proxies that are never called


def door(flavour, **more):
    d = Deployment(flavour)
    d.start_router(registries=(), **more)
    return d


def tcp_proxy(identity, mode=0, secure=0, facet=None, port=PORT, encoding=(1, 1), timeout=60000, wire=(1, 1)):
    category, _, name = identity.rpartition("/")
    endpoint = string("127.0.0.1") + port.to_bytes(4, "little") + timeout.to_bytes(4, "little") + b"\0"
    return (string(name) + string(category) + (b"\0" if facet is None else b"\1" + string(facet)) + bytes([mode, secure])
            + (b"\1\0" + bytes(encoding) if wire == (1, 1) else b"") + b"\1" + b"\1\0" + encapsulation(endpoint, wire))


def sequence(*proxies):
    return size(len(proxies)) + b"".join(proxies)


def logged_in(d):
    peer = Peer.connect(d.ports["router.Client"])
    peer.send(request(1, ROUTER, "createSession", string("u") + string("p")))
    return peer, peer.read()


def show(d, answer):
    if answer is None:
        return "the end"
    port = d.ports["router.Client"].to_bytes(4, "little")  # the rest is the same for all ports
    return "type %d, %d, %s" % (answer[0], answer[1], answer[2].replace(port, b"PORT").hex())


# ---- cases

def without_a_session(d, r):
    """What needs no session is answered, also when it is wrong; everything else ends the connection with no byte more."""
    peer = Peer.connect(d.ports["router.Client"])
    for encoding in ((1, 1), (1, 0)):
        for identity, operation, mode in (
                (ROUTER, "ice_ping", 1), (ROUTER, "ice_ids", 1), (FINDER, "ice_ids", 1), (FINDER, "getRouter", 0),
                (ROUTER, "getSessionTimeout", 1), (ROUTER, "getACMTimeout", 1), (ROUTER, "refreshSession", 0),
                (ROUTER, "destroySession", 0), (ROUTER, "nonsense", 0), (FINDER, "nonsense", 0)):
            peer.send(request(7, identity, operation, mode=mode, encoding=encoding))
            r.value("%s %s %s" % (identity, operation, encoding), show(d, peer.read()))
    closing = {
        "forward": request(5, "someone", "ice_ping", mode=1), "forward oneway": request(0, "someone", "put"),
        "batch": batch(request_body("someone", "put"), request_body("other", "put")),
        "client proxy": request(5, ROUTER, "getClientProxy", mode=1),
        "server proxy": request(5, ROUTER, "getServerProxy", mode=1),
        "add proxies": request(5, ROUTER, "addProxies", b"\0", mode=2),
        "category": request(5, ROUTER, "getCategoryForClient", mode=1),
        "facet of the router": request(5, ROUTER, "ice_ping", mode=1, facet="f"),
        "facet of the finder": request(5, FINDER, "getRouter", facet="f"),
        "negative id": request(-3, "someone", "ice_ping", mode=1),
        "two facets": message(REQUEST, b"\5\0\0\0\1a\0\2\1f\1g\1o\0\0" + encapsulation()),
        "empty batch": message(BATCH, b"\0\0\0\0"),
    }
    for name in sorted(closing):
        peer = Peer.connect(d.ports["router.Client"])
        peer.send(closing[name])
        if name == "empty batch":  # harmless: the next request is answered
            peer.send(request(6, ROUTER, "ice_ping", mode=1))
        r.value(name, show(d, peer.read()))
        peer.close()


def replies(d, r):
    peer, answer = logged_in(d)
    r.value("createSession", show(d, answer))
    for encoding in ((1, 1), (1, 0)):
        peer.send(request(2, ROUTER, "createSession", string("u") + string("p"), encoding=encoding))
        r.value("session exists %s" % (encoding,), show(d, peer.read()))
        peer.send(request(3, ROUTER, "getClientProxy", mode=1, encoding=encoding))
        r.value("client proxy %s" % (encoding,), show(d, peer.read()))
        peer.send(request(7, ROUTER, "addProxies", sequence(tcp_proxy("b", wire=encoding)), mode=2, encoding=encoding))
        r.value("add proxies %s" % (encoding,), show(d, peer.read()))
        peer.send(request(8, "nope", "ice_ping", mode=1, facet="side", encoding=encoding))
        r.value("no route %s" % (encoding,), show(d, peer.read()))
    peer.send(request(-9, "nope", "ice_ping", mode=1))
    r.value("negative id", show(d, peer.read()))
    peer.send(request(0, "nope", "put"), request(10, ROUTER, "getSessionTimeout", mode=1))
    r.value("a oneway without a route is lost", show(d, peer.read()))
    peer.send(request(11, ROUTER, "addProxies", b"\1\1a\0\2\1f\1g", mode=2))
    r.kind("a list that does not decode", lambda: peer.read()[2][4])
    peer.send(request(12, ROUTER, "refreshSession"), request(13, ROUTER, "destroySession"))
    r.value("refresh", show(d, peer.read()))
    r.value("destroy", show(d, peer.read()))
    peer.send(request(14, ROUTER, "createSession", string("u") + string("p"), encoding=(1, 0)))
    r.value("created with 1.0", show(d, peer.read()))
    peer.send(request(15, "b", "ice_ping", mode=1))
    r.value("the table begins anew", show(d, peer.read()))


def evictions(d, r):
    """MaxSize 3: what comes back is in normal form; use and repetition keep an entry, its first endpoints stay."""
    peer, _ = logged_in(d)

    def add(label, *proxies):
        peer.send(request(2, ROUTER, "addProxies", sequence(*proxies), mode=2))
        r.value(label, show(d, peer.read()))

    def known(*names):
        for name in names:
            peer.send(request(3, name, "ice_ping", mode=1))
            r.value("known " + name, peer.read()[2][4] != 2)  # 2: no route; 5: nobody there
    closed = 1  # port 1, where nobody listens
    add("three", tcp_proxy("a", mode=1, facet="side", port=closed), tcp_proxy("b", secure=1, port=closed),
        tcp_proxy("cat/c", encoding=(1, 0), timeout=1234, port=closed))
    known("a")
    add("a fourth drives out b", tcp_proxy("d", port=closed))
    add("again with other endpoints", tcp_proxy("cat/c", port=closed + 1))
    add("a is driven out", tcp_proxy("e", mode=3, port=closed))
    add("more than fit", *(tcp_proxy("f%d" % n, mode=n % 5, port=closed) for n in range(5)))
    known("f0", "f4")
    add("null and empty name", b"\0\0", tcp_proxy("category/", port=closed))


def byte_by_byte(d, r):
    """A client as slow as that, while another one is served."""
    peer = Peer.connect(d.ports["router.Client"])
    other, _ = logged_in(d)
    for k, byte in enumerate(request(1, ROUTER, "createSession", string("u") + string("p"))):
        peer.send(bytes([byte]))
        if k % 10 == 0:
            other.send(request(2, ROUTER, "refreshSession"))
            r.value("other", show(d, other.read()))
    r.value("login", show(d, peer.read()))
    peer.send(b"".join(request(n, ROUTER, "getSessionTimeout", mode=1) for n in range(1, 200)))
    r.value("many in one write", [peer.read()[2][0] for _ in range(1, 200)] == list(range(1, 200)))


def silent_connections(d, r):
    """ACM closes what says nothing, with and without a session, without a word; heartbeats keep it."""
    said, lock = {}, threading.Lock()

    def watch(name, login, heartbeats):
        peer = logged_in(d)[0] if login else Peer.connect(d.ports["router.Client"])
        if not heartbeats:
            end = peer.read_but_heartbeats()
        else:
            for _ in range(8):
                peer.send(message(3, b""))
                threading.Event().wait(0.6)
            peer.send(request(3, ROUTER, "refreshSession"))
            end = peer.read_but_heartbeats()
        with lock:
            said[name] = show(d, end)
    threads = [threading.Thread(target=watch, args=a) for a in (
        ("no session", False, False), ("session", True, False), ("heartbeats", True, True),
        ("heartbeats without a session", False, True))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    for name in sorted(said):
        r.value(name, said[name])


def plan():
    yield "plain", door, [without_a_session, replies, byte_by_byte]
    yield "client proxy", lambda f: door(f, Glacier2__ReturnClientProxy="1"), [replies]
    yield "crowded", lambda f: door(f, Glacier2__RoutingTable__MaxSize="3"), [evictions]
    yield "impatient", lambda f: door(f, Glacier2__Client__ACM__Timeout="2"), [silent_connections]
