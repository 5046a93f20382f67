# SPDX-License-Identifier: Apache-2.0
"""The gateway behind load balancers: PROXY headers, who may send them, and what becomes of wrong and missing ones."""

import socket

from lib.balancer import SIGNATURE, Forwarder, haproxy, v1, v2
from lib.bindings import Glacier2, Ice
from lib.process import wait_until

from . import check

CLIENT, DOOR = ("192.0.2.77", 50123), ("198.51.100.5", 4063)
CLIENT6, DOOR6 = ("2001:db8::77", 50123), ("2001:db8::5", 4063)


class VerifierI(Glacier2.PermissionsVerifier):
    def __init__(self):
        self.context = None

    def checkPermissions(self, user, password, current):
        self.context = dict(current.ctx)
        return True, ""


class SSLVerifierI(Glacier2.SSLPermissionsVerifier):
    def __init__(self):
        self.info = None

    def authorize(self, info, current):
        self.info = info
        return True, ""


def deploy(d, balancers):
    c = d.communicator(who="server") if d.transport in ("ssl", "wss") else d.communicator()
    adapter = c.createObjectAdapterWithEndpoints("Verifier", d.endpoint("verifier"))
    d.extras["password"], d.extras["certificate"] = VerifierI(), SSLVerifierI()
    adapter.add(d.extras["password"], Ice.stringToIdentity("password"))
    adapter.add(d.extras["certificate"], Ice.stringToIdentity("certificate"))
    adapter.activate()
    return d.start_router(registries=(), Glacier2__PermissionsVerifier="password:" + d.endpoint("verifier"),
                          Glacier2__SSLPermissionsVerifier="certificate:" + d.endpoint("verifier"),
                          Glacier2__AddConnectionContext="2", Moulin__Gateway__ProxyProtocol=balancers)


def router_at(d, port, **settings):
    c = d.communicator(**settings)
    return Glacier2.RouterPrx.uncheckedCast(c.stringToProxy("Gate/router:%s -h 127.0.0.1 -p %d" % (d.transport, port)))


def seen(d, port, **settings):
    """The two ends as the password verifier sees them; the certificate's must see the same."""
    router = router_at(d, port, **settings)
    router.createSession("alice", "x")
    context = d.extras["password"].context
    ends = [(context["_con.%sAddress" % end], int(context["_con.%sPort" % end])) for end in ("remote", "local")]
    if d.transport in ("ssl", "wss"):
        router.destroySession()
        router.createSessionFromSecureConnection()
        info = d.extras["certificate"].info
        check(ends == [(info.remoteHost, info.remotePort), (info.localHost, info.localPort)],
              "the verifiers disagree: %s, %s" % (ends, info))
        check(info.cipher == context["_con.cipher"] and info.certs[0] == context["_con.peerCert"],
              "the verifiers disagree about TLS: %s, %s" % (context, info))
    return ends


def addresses(d):
    deploy(d, "127.0.0.1, 10.0.0.0/8")
    port = d.port("router.Client")
    for header, ends in ((v1(CLIENT, DOOR), [CLIENT, DOOR]), (v1(CLIENT6, DOOR6), [CLIENT6, DOOR6]),
                         (v2(CLIENT, DOOR), [CLIENT, DOOR]),
                         (v2(CLIENT6, DOOR6, b"\x04\0\x40" + bytes(64)), [CLIENT6, DOOR6])):
        for step in (None, 1):
            got = seen(d, Forwarder(port, header, step).port)
            check(got == ends, "%s became %s" % (ends, got))
    for header in (b"PROXY UNKNOWN\r\n", v2(CLIENT, DOOR, command=0), SIGNATURE + b"\x21\0\0\0",
                   SIGNATURE + b"\x21\x31\0\xd8" + bytes(216)):
        got = seen(d, Forwarder(port, header).port)
        check([end[0] for end in got] == ["127.0.0.1"] * 2 and got[1][1] == port, "%r became %s" % (header, got))


def over_tcp(d):
    addresses(d)


def over_ssl(d):
    addresses(d)


def over_wss(d):
    addresses(d)


over_ssl.transport = ("ssl",)
over_wss.transport = ("wss",)


def ends_closed(port, data, **settings):
    """Does the router close a connection that sends this?"""
    with socket.create_connection(("127.0.0.1", port), **settings) as s:
        s.settimeout(20)
        try:
            s.sendall(data)
            return s.recv(1) == b""
        except ConnectionResetError:
            return True


def wrong_headers(d):
    """A balancer that sends none, a wrong one or half of one is closed; one log line a second at most tells of it."""
    daemon = deploy(d, "127.0.0.1")
    port = d.port("router.Client")
    for data in (b"IceP\1\0\1\0\3\0\x0e\0\0\0", b"PROXY TCP4 1.2.3.4 nonsense 1 1\r\n", b"PROXY " + b"x" * 200,
                 SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE[:5] + b"x", b"\0" * 10, b"PROXY TC"):
        check(ends_closed(port, data), "%r was taken" % data)  # the last one by the deadline
    for _ in range(200):
        ends_closed(port, b"GET / HTTP/1.1\r\n")
    lines = [line for line in daemon.stderr().splitlines() if "connection refused" in line]
    check(lines and "PROXY header" in lines[0], daemon.stderr())
    check(len(lines) < 20, "%d lines" % len(lines))
    check("1.2.3.4" not in daemon.stderr(), "a header's address is believed")
    got = seen(d, Forwarder(port, v1(CLIENT, DOOR)).port)
    check(got == [CLIENT, DOOR], "afterwards: %s" % got)


def others(d):
    """Who is no balancer is an ordinary client, and its header is rubbish."""
    deploy(d, "127.0.0.1")
    port = d.port("router.Client")
    got = seen(d, port, Ice__Default__SourceAddress="127.0.0.2")
    check(got[0][0] == "127.0.0.2", str(got))
    check(ends_closed_after_hello(port, v1(CLIENT, DOOR)), "a stranger's header was taken")


def ends_closed_after_hello(port, data):
    with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) as s:
        s.settimeout(20)
        check(s.recv(14, socket.MSG_WAITALL)[:4] == b"IceP", "no hello")
        s.sendall(data)
        try:
            return s.recv(1) == b""
        except ConnectionResetError:
            return True


def real_balancer(d):
    """HAProxy tells who its client is."""
    deploy(d, "127.0.0.1")
    for option in ("send-proxy", "send-proxy-v2"):
        port = haproxy(d, d.port("router.Client"), option)
        got = seen(d, port, Ice__Default__SourceAddress="127.0.0.3")
        check(got[0][0] == "127.0.0.3" and got[1] == ("127.0.0.1", port), "%s: %s" % (option, got))


real_balancer.transport = ("ssl",)


def change_while_running(d):
    """SIGHUP: another balancer counts, a session goes on, and what is no network changes nothing."""
    daemon = deploy(d, "10.0.0.1")
    port, config = d.port("router.Client"), d.path("router.cfg")
    router = router_at(d, port)
    router.createSession("alice", "x")
    with open(config) as f:
        text = f.read()

    def reload(value, says):
        before = daemon.stderr().count(says)
        with open(config, "w") as f:
            f.write(text.replace("ProxyProtocol=10.0.0.1", "ProxyProtocol=" + value))
        daemon.signal(1)
        wait_until(lambda: daemon.stderr().count(says) > before, "the reload; it said:\n" + daemon.stderr())

    reload("127.0.0.1", "was reloaded")
    forwarder = Forwarder(port, v2(CLIENT, DOOR))
    check(seen(d, forwarder.port) == [CLIENT, DOOR], "not in force")
    reload("127.0.0.1/8", "was not reloaded")
    error = [line for line in daemon.stderr().splitlines() if "was not reloaded" in line]
    check(len(error) == 1 and "Moulin.Gateway.ProxyProtocol" in error[0] and "router.cfg:" in error[0], str(error))
    check(seen(d, forwarder.port) == [CLIENT, DOOR], "a bad reload changed something")
    router.refreshSession()


CASES = [over_tcp, over_ssl, over_wss, wrong_headers, others, real_balancer, change_while_running]
