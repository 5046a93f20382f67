# SPDX-License-Identifier: Apache-2.0
"""Servers behind the gateway, and clients of it, that do not keep to the protocol: nobody else notices, and what a client is
told comes in time."""

import socket
import struct
import threading

from lib.bindings import Ice
from lib.wire import REQUEST, VALIDATE, Peer, message, reply, request, request_of, string

from . import check

HEARTBEAT = message(VALIDATE, b"")


class StrangeServer:
    """Takes connections and gives every request to `answer`, which returns the bytes to send; None ends the connection.
    Heartbeats are counted."""

    def __init__(self, answer, greeting=HEARTBEAT):
        self.answer, self.greeting = answer, greeting
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heartbeats = self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(Peer(s, None),), daemon=True).start()

    def serve(self, peer):
        try:
            peer.send(self.greeting)
            while True:
                got = peer.read()
                if got is None:
                    return
                if got[0] == VALIDATE:
                    self.heartbeats += 1
                elif got[0] == REQUEST:
                    said = self.answer(*request_of(got[2]))
                    if said is None:
                        return
                    peer.send(said)
        except OSError:
            pass
        finally:
            peer.close()

    def close(self):
        self.listener.close()


def client(d, user="alice"):
    c = d.communicator()
    router = d.router_proxy(c)
    router.createSession(user, "x")
    c.setDefaultRouter(router)
    return c, router


def tell(number, identity, operation):
    """What a server answers, by the operation's name; an honest one says "yes"."""
    good = reply(number, string("yes"))
    return {
        "honest": good,
        "twice": good + reply(number, string("again")),
        "wrong": reply(number + 1000, string("stray")) + good,
        "negative": reply(-number, b"") + good,
        "zero": reply(0, b"") + good,
        "request": request(1, "router", "ice_ping", mode=1) + request(0, "router", "put") + good,
        "nobody": b"",
        "hangup": None,
        "status": message(2, struct.pack("<iB", number, 99) + b"\6\0\0\0\1\1"),
        "short": message(2, struct.pack("<iB", number, 0) + b"\6\0"),
        "long": message(2, struct.pack("<iB", number, 0) + b"\xff\xff\xff\x7f\1\1"),
        "bomb": message(2, struct.pack("<i", 0x7fffffff) + b"BZh9", compression=2),
        "magic": b"Nope" + bytes(10),
        "huge": struct.pack("<4s6Bi", b"IceP", 1, 0, 1, 0, 2, 0, 0x7fffffff),
        "tiny": struct.pack("<4s6Bi", b"IceP", 1, 0, 1, 0, 2, 0, 3),
        "type": message(77, b""),
        "close": message(4, b""),
        "exception": message(2, struct.pack("<iB", number, 2) + b"\xff\xff\xff\xff\x7f"),
    }[operation]


ANSWERED = ("honest", "twice", "wrong", "negative", "zero", "request")


def lying_servers(d):
    """Each lie costs at most the call that met it; another session's calls to an honest server go on meanwhile."""
    d.start_router(registries=(), Ice__Default__InvocationTimeout="1500")
    server, honest = StrangeServer(tell), StrangeServer(tell)
    c, router = client(d)
    other, _ = client(d, "bob")
    steady = other.stringToProxy("steady:tcp -h 127.0.0.1 -p %d" % honest.port)
    body = b"\6\0\0\0\1\1"
    for operation in ("honest", "twice", "wrong", "negative", "zero", "request", "nobody", "hangup", "status", "short", "long",
                      "bomb", "magic", "huge", "tiny", "type", "close", "exception"):
        target = c.stringToProxy("%s:tcp -h 127.0.0.1 -p %d" % (operation, server.port))
        try:
            ok, back = target.ice_invoke(operation, Ice.OperationMode.Normal, body)
            check(operation in ANSWERED, "%s was answered with %r" % (operation, back))
            check(ok and back == b"\x0a\0\0\0\1\1\3yes", "%s: the first right answer did not come but %r" % (operation, back))
        except Ice.Exception as e:
            check(operation not in ANSWERED, "%s raised %s" % (operation, e))
            check(isinstance(e, (Ice.UnknownException, Ice.RequestFailedException, Ice.ProtocolException)),
                  "%s cut the client off: %s" % (operation, e))
        check(steady.ice_invoke("honest", Ice.OperationMode.Normal, body)[0], "the other session saw %s" % operation)
        ok, _ = target.ice_invoke("honest", Ice.OperationMode.Normal, body)
        check(ok, "no call after %s" % operation)
    check(honest.connections == 1, "the honest server saw %d connections" % honest.connections)
    router.refreshSession()
    for s in (server, honest):
        s.close()
    check(d.daemons["router"].stop() == 0, "the gateway did not end well: %s" % d.daemons["router"].stderr()[-4000:])


def late_answers(d):
    """An answer after the invocation timeout goes nowhere: the next call's answer is its own."""
    d.start_router(registries=(), Ice__Default__InvocationTimeout="500")
    held = []

    def answer(number, identity, operation):
        if operation == "late":
            held.append(number)
            return b""
        return b"".join(reply(n, string("late")) for n in held) + reply(number, string("yes"))
    server = StrangeServer(answer)
    c, _ = client(d)
    target = c.stringToProxy("x:tcp -h 127.0.0.1 -p %d" % server.port)
    for _ in range(3):
        try:
            target.ice_invoke("late", Ice.OperationMode.Normal, b"\6\0\0\0\1\1")
            check(False, "an answer that was never given")
        except Ice.UnknownLocalException as e:
            check("InvocationTimeout" in e.unknown, "not the timeout but %s" % e)
        ok, back = target.ice_invoke("early", Ice.OperationMode.Normal, b"\6\0\0\0\1\1")
        check(ok and back.endswith(b"yes"), "the answer is %r" % back)
    server.close()


def lying_clients(d):
    """A client that answers callbacks that nobody made, twice, or with rubbish."""
    d.start_router(registries=(), Glacier2__PermissionsVerifier="Gate/NullPermissionsVerifier")
    peer = Peer.connect(d.ports["router.Client"])
    peer.send(request(1, "Gate/router", "createSession", string("u") + string("p")))
    peer.read_but_heartbeats()
    peer.send(request(2, "Gate/router", "getCategoryForClient", mode=1))
    category = peer.read_but_heartbeats()[2][12:32].decode()
    caller = d.communicator()
    proxy = caller.stringToProxy("x:" + d.endpoint("router.Server")).ice_identity(Ice.Identity("me", category))
    peer.send(reply(1, b""), reply(99, b""), reply(-1, b""))  # before any callback
    for lie in ("twice", "wrong"):
        future = proxy.ice_invokeAsync(lie, Ice.OperationMode.Normal, b"\6\0\0\0\1\1")
        number, _, operation = request_of(peer.read_but_heartbeats()[2])
        check(operation == lie, "another callback came: %s" % operation)
        good = reply(number, string("yes"))
        peer.send(good + good if lie == "twice" else reply(number + 7, string("no")) + good)
        check(future.result()[1].endswith(b"yes"), "the callback's answer is %r" % (future.result(),))
    future = proxy.ice_invokeAsync("rubbish", Ice.OperationMode.Normal, b"\6\0\0\0\1\1")
    number = request_of(peer.read_but_heartbeats()[2])[0]
    peer.send(message(2, struct.pack("<iB", number, 0) + b"\xff\xff\xff\x7f\1\1"))
    check(isinstance(future.exception(30), Ice.UnknownException), "rubbish became %r" % (future.exception(),))
    peer.close()
    other, router = client(d, "bob")
    router.refreshSession()
    guess = caller.stringToProxy("c7b8e4a0-3f42-4d30-9a5f-0c1d2e3f4a5b:" + d.endpoint("router.Server"))
    try:
        guess.ice_ping()
        check(False, "a guessed name was answered")
    except Ice.ObjectNotExistException:
        pass


CASES = [lying_servers, late_answers, lying_clients]
