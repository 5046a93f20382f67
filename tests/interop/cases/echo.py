# SPDX-License-Identifier: Apache-2.0
"""The runtime alone: every kind of call from a real client to echo_server, and from echo_client to a real server."""

import os
import shutil
import subprocess
import sys
import tempfile

from lib import certificates
from lib.bindings import Ice
from lib.process import Daemon, free_port, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
Ice.loadSlice(os.path.join(HERE, "..", "..", "data", "Vec.ice"))
import Vec  # noqa: E402


def program(name):
    return os.path.join(os.path.dirname(os.environ["MOULIN"]), "..", "tests", name)


class Echo:
    """One server of ::Vec::I: ZeroC's runtime in Python, or ours."""

    def __init__(self, flavour, transport="tcp"):
        self.flavour = flavour
        self.transport = transport
        self.directory = tempfile.mkdtemp(prefix="moulin-echo-")
        self.ports = {"Echo": free_port()}
        self.communicators = []
        if self.secure():
            certificates.make(self.directory)
        self.start()

    def secure(self):
        return self.transport in ("ssl", "wss")

    def tls(self, who):
        return ["Ice.Plugin.IceSSL=IceSSL:createIceSSL", "IceSSL.DefaultDir=" + self.directory, "IceSSL.CAs=ca.pem",
                "IceSSL.CertFile=%s.pem" % who, "IceSSL.KeyFile=%s.key" % who, "IceSSL.VerifyPeer=2"]

    def endpoint(self):
        return "%s -h 127.0.0.1 -p %d" % (self.transport, self.ports["Echo"])

    def start(self):
        peer = [sys.executable, "-B", os.path.join(HERE, "..", "echo_peer.py")]
        argv = peer if self.flavour == "zeroc" else [program("echo_server")]
        options = ["Echo.Endpoints=" + self.endpoint(), "Ice.PrintAdapterReady=1", "Ice.Warn.Dispatch=0"]
        options += self.tls("server") if self.secure() else []
        self.daemon = Daemon("echo", argv + ["--" + o for o in options], self.directory)
        self.daemon.await_line("Echo ready")

    def communicator(self, *properties):
        data = Ice.InitializationData()
        data.properties = Ice.createProperties()
        for line in list(properties) + (self.tls("alice") if self.secure() else []):
            data.properties.setProperty(*line.split("=", 1))
        self.communicators.append(Ice.initialize(data))
        return self.communicators[-1]

    def proxy(self, communicator, identity="cat/obj", options=""):
        return Vec.IPrx.uncheckedCast(communicator.stringToProxy("%s:%s%s" % (identity, self.endpoint(), options)))

    def logs(self):
        return self.daemon.stdout() + self.daemon.stderr()

    def close(self):
        for c in self.communicators:
            c.destroy()
        self.daemon.stop()
        shutil.rmtree(self.directory)


def every_call(r, o):
    r.call("ping", o.ice_ping)
    r.call("ids", o.ice_ids)
    r.call("id", o.ice_id)
    r.call("isA", o.ice_isA, "::Vec::I")
    r.call("isA other", o.ice_isA, "::Vec::CB")
    r.call("noargs", o.noargs)
    r.call("add", o.add, 1, 2)
    r.call("name", o.getName)
    r.call("echo", o.echo, "hi")
    r.call("echo, context", o.echo, "hi", {"a": "1", "b": "2"})
    r.value("echo, big", len(o.echo("A" * 300000)))
    r.call("optionals", o.opOpt, 1, "x", Vec.Point(1, 2))
    r.call("no optionals", o.opOpt, 1)
    r.call("class", o.opBase, Vec.Derived(6, "d"))
    r.call("class, sliced", o.opBases, Vec.Derived(6, "d"))
    r.call("null class", o.opBase, None)
    r.call("node", o.opNode, Vec.Node("a", Vec.Node("b", None)))
    r.call("proxy", o.opProxy, o)
    for name in ("ex0", "ex1", "ex2", "exOpt", "exClass", "ex0s", "ex1s", "ex2s", "exOpts", "exClasss", "exUndeclared",
                 "exUnknown", "exLocal"):
        r.call(name, getattr(o, name))
    r.call("facet", Vec.IPrx.uncheckedCast(o.ice_facet("face")).add, 1, 1)
    r.call("no facet", o.ice_facet("nofacet").ice_ping)
    r.call("nobody", o.ice_identity(Ice.stringToIdentity("nobody")).ice_ping)
    r.call("no operation", o.ice_invoke, "bogus", Ice.OperationMode.Normal, b"\6\0\0\0\1\1")


def plain(d, r):
    every_call(r, d.proxy(d.communicator()))


def compressed(d, r):
    every_call(r, d.proxy(d.communicator()).ice_compress(True))


def encoding_1_0(d, r):
    every_call(r, d.proxy(d.communicator()).ice_encodingVersion(Ice.Encoding_1_0))


def sliced(d, r):
    every_call(r, d.proxy(d.communicator("Ice.Default.SlicedFormat=1")))


def oneway(d, r):
    o = d.proxy(d.communicator())
    for variant in (o.ice_oneway(), o.ice_batchOneway()):
        v = Vec.IPrx.uncheckedCast(variant)
        for _ in range(200):
            v.noargs()
        r.call("to nobody", v.ice_identity(Ice.stringToIdentity("nobody")).ice_ping)
        v.ice_flushBatchRequests()
        r.call("twoway after it", o.add, 1, 2)


def many_at_once(d, r):
    o = d.proxy(d.communicator())
    calls = [o.echoAsync("sleep0.%d" % (n % 10)) for n in range(100)] + [o.addAsync(n, n) for n in range(500)]
    r.value("results", [f.result() for f in calls])


def invocation_timeout(d, r):
    o = d.proxy(d.communicator())
    r.kind("too late", o.ice_invocationTimeout(50).echo, "sleep0.3")
    r.call("the connection lives", o.echo, "sleep0.4")


def callback(d, r):
    class CB(Vec.CB):
        def hello(self, text, current=None):
            r.value("hello", text)

    c = d.communicator()
    o = d.proxy(c)
    adapter = c.createObjectAdapter("")
    cb = Vec.CBPrx.uncheckedCast(adapter.addWithUUID(CB()))
    o.ice_getConnection().setAdapter(adapter)
    r.call("addCb", o.addCb, cb)


def heartbeats(d, r):
    """A dispatch longer than the client's patience: the server's heartbeats keep the connection."""
    o = d.proxy(d.communicator("Ice.ACM.Timeout=1"))
    r.call("long", o.echo, "sleep2.5")


def idle_close(d, r):
    """The client closes an idle connection and makes another."""
    c = d.communicator("Ice.ACM.Timeout=1")
    o = d.proxy(c)
    first = o.ice_getConnection()
    closed = []
    first.setCloseCallback(lambda connection: closed.append(connection))
    wait_until(lambda: closed, "the idle connection closed")
    r.call("again", o.add, 1, 2)
    r.value("another connection", o.ice_getConnection() != first)


def shutdown(d, r):
    """The last reply comes before the end; then nobody listens."""
    c = d.communicator()
    o = d.proxy(c)
    late = o.echoAsync("sleep0.3")
    r.call("shutdown", o.shutdown)
    r.call("in dispatch", late.result)
    d.daemon.await_exit()
    r.value("status", d.daemon.process.returncode)
    r.kind("then", o.add, 1, 2)
    d.start()
    r.call("restarted", o.add, 1, 2)


def our_client(d, r):
    tls = ["--" + o for o in d.tls("bob")] if d.secure() else []
    for options in ([], ["--Ice.Override.Compress=1"]):
        done = subprocess.run([program("echo_client"), *tls, *options, "--Echo.Proxy=cat/obj:" + d.endpoint()],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        for line in done.stdout.decode().splitlines():
            r.value("echo_client", line)
        r.value("status", done.returncode)


def ws(flavour):
    return Echo(flavour, "ws")


def ssl(flavour):
    return Echo(flavour, "ssl")


def wss(flavour):
    return Echo(flavour, "wss")


def plan():
    yield "tcp", Echo, [plain, compressed, encoding_1_0, sliced, oneway, many_at_once, invocation_timeout, callback,
                        heartbeats, idle_close, our_client, shutdown]
    for setup in (ws, ssl, wss):
        yield setup.__name__, setup, [plain, compressed, oneway, many_at_once, callback, idle_close, our_client, shutdown]
