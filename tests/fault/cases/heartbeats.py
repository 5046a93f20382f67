# SPDX-License-Identifier: Apache-2.0
"""Signs of life: what the gateway sends to peers that only listen, and what keeps a session at our registry."""

import struct
import threading

from lib.bindings import Ice, IceGrid
from lib.deployment import Deployment, keep_alive
from lib.process import wait_until
from lib.wire import VALIDATE, Peer, request, string

from . import check
from .strange_servers import HEARTBEAT, StrangeServer, tell

TIMEOUT = 4  # seconds, of sessions at the router
HELD = 14  # seconds: a registry ends a session after ten at the earliest (the timeout, rounded up)


def both_ways_alive(d):
    """Peers of Ice 3.8 give up on a connection that says nothing: the gateway sends heartbeats to its clients and to its
    servers, and still notices those that are silent."""
    d.start_router(registries=(), Glacier2__Client__ACM__Timeout="3", Ice__ACM__Client__Timeout="3", Moulin__Heartbeat="1")
    server = StrangeServer(tell)
    peer = Peer.connect(d.ports["router.Client"])
    peer.send(request(1, "Gate/router", "createSession", string("u") + string("p")))
    check(peer.read()[0] == 2, "no answer to the login")
    endpoint = string("127.0.0.1") + struct.pack("<ii", server.port, 60000) + b"\0"
    proxy = string("honest") + string("") + b"\0\0\0\1\0\1\1\1\1\0" + struct.pack("<i", 6 + len(endpoint)) + b"\1\1" + endpoint
    peer.send(request(2, "Gate/router", "addProxies", b"\1" + proxy, mode=2), request(3, "honest", "honest"))
    answers = [peer.read_but_heartbeats()[2][:5] for _ in range(2)]
    check(answers[1] == b"\3\0\0\0\0", "the call was answered with %r" % answers)
    for _ in range(4):  # past the timeout
        got = peer.read()
        check(got is not None and got[0] == VALIDATE and got[1] == 0, "not a heartbeat but %r" % (got,))
        peer.send(HEARTBEAT)
    wait_until(lambda: server.heartbeats, "a heartbeat at the server")  # which is idle, and may be left at the second
    check(peer.read_but_heartbeats() is None, "a client that falls silent stays")
    server.close()


def brokered_sessions_live(d):
    """A client that only sends heartbeats keeps its session at the registry, whichever router is between."""
    failures = []

    def hold(flavour):
        with Deployment(flavour) as own:
            own.start_registry()
            own.start_router(Glacier2__SessionManager="Demo/SessionManager", Glacier2__SessionTimeout=str(TIMEOUT),
                             Glacier2__Client__ACM__Timeout=None)
            router = own.router_proxy(own.communicator())
            session = IceGrid.SessionPrx.uncheckedCast(router.createSession("alice", "x").ice_router(router))
            keep_alive(router.ice_getConnection(), TIMEOUT)
            threading.Event().wait(HELD)
            try:
                session.keepAlive()
            except Ice.Exception as e:
                failures.append("%s: the session is gone: %s" % (flavour, e))
    threads = [threading.Thread(target=hold, args=(flavour,)) for flavour in ("moulin", "moulin-registry")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not failures, "\n".join(failures))


CASES = [both_ways_alive, brokered_sessions_live]
