# SPDX-License-Identifier: Apache-2.0
"""Peers that do not read: what is sent to them stops at a limit, and nobody else waits."""

import socket
import struct
import threading

from lib.bindings import Ice

from . import check

PIECE = 64 * 1024
FLOOD = 256 * 1024 * 1024
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


CASES = [oneways_to_a_deaf_server]
