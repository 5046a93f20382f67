# SPDX-License-Identifier: Apache-2.0
"""Multicast discovery: lookups on the loopback interface with every kind of instance name, icegridadmin without a
locator, what is ignored, and the properties that say where a registry listens."""

import re
import subprocess
import threading

import Ice
import IceMX

from lib import descriptors as dd  # noqa: F401  (loads Ice before anything else does)
from lib.deployment import DATA, Deployment
from lib.network import Space
from lib.process import PATIENCE, free_port, wait_until

ADDRESS = "239.255.0.1"
OWN = "239.255.7.7"


def discoverable(flavour, transport="tcp", address=None, **more):
    d = Deployment(flavour, transport)
    d.ports["discovery"] = free_port()
    settings = {"IceGrid__Registry__Discovery__Enabled": None,  # 1 is the default
                "IceGrid__Registry__Discovery__Port": str(d.port("discovery")),
                "IceGrid__Registry__Discovery__Interface": "127.0.0.1",
                "IceGrid__Registry__Discovery__Address": address}
    settings.update(more)
    d.start_registry(**settings)
    d.extras["settings"] = settings
    return d


class Reply(Ice.Blobject):
    """Takes every foundLocator that comes."""

    def __init__(self):
        self.lock = threading.Condition()
        self.found = []

    def ice_invoke(self, parameters, current):
        with self.lock:
            self.found.append((current.operation, str(current.mode), current.requestId, len(parameters)))
            self.lock.notify_all()
        return True, b""

    def take(self, count, timeout=PATIENCE):
        with self.lock:
            self.lock.wait_for(lambda: len(self.found) >= count, timeout)
            found, self.found = self.found, []
        return found


def encapsulate(body):
    size = len(body) + 6
    return size.to_bytes(4, "little") + b"\1\1" + body


def encode(text):
    return bytes([len(text)]) + text.encode()


def direct_udp(name, port):
    """A datagram proxy as it is on the wire: identity, no facet, datagram, protocol 1.0, encoding 1.1, one udp endpoint."""
    host = encode("127.0.0.1")
    endpoint = host + port.to_bytes(4, "little") + b"\0"
    return (encode(name) + encode("") + b"\0" + b"\3" + b"\0" + b"\1\0\1\1" + b"\1" + b"\3\0" +
            encapsulate(endpoint))


def asker(d, address=ADDRESS, endpoint=None):
    """(send(instance name), reply): lookups go to the group by way of the loopback interface."""
    c = d.communicator()
    port = free_port()
    adapter = c.createObjectAdapterWithEndpoints("Reply", "udp -h 127.0.0.1 -p %d" % port)
    reply = Reply()
    adapter.add(reply, Ice.stringToIdentity("reply"))
    adapter.activate()
    text = endpoint or "udp -h %s -p %d --interface 127.0.0.1" % (address, d.port("discovery"))
    lookup = c.stringToProxy("IceLocatorDiscovery/Lookup -d:" + text)

    def send(name, who="reply", mode=Ice.OperationMode.Idempotent, operation="findLocator", body=None):
        lookup.ice_invoke(operation, mode, encapsulate(encode(name) + direct_udp(who, port)) if body is None else body)
    return send, reply


def answers(r, label, send, reply, *names):
    """The last name is one that is answered: when its answer is here, those of the earlier ones would be, too."""
    for name in names:
        send(name)
    found = reply.take(1)
    r.value(label, found)


def lookups(d, r):
    send, reply = asker(d)
    answers(r, "any instance", send, reply, "")
    answers(r, "the right one", send, reply, "Demo")
    answers(r, "wrong ones, then the right one", send, reply, "Other", "demo", "Demo2", "Demo")
    for n in range(20):
        send("")
    r.value("twenty", len(reply.take(20)))


def unusual(d, r):
    """Other operations, modes, identities and rubbish: nothing comes back, and the registry goes on."""
    send, reply = asker(d)
    send("Demo", operation="findSomething")
    send("Demo", mode=Ice.OperationMode.Normal)
    send("Demo", body=b"\x06\0\0\0\1\1")
    send("Demo", body=b"\x07\0\0\0\1\1\xff")
    send("Demo", body=encapsulate(encode("Demo") + b"\0\0"))  # no reply proxy
    answers(r, "only the last one", send, reply, "Demo")
    send("Demo", mode=Ice.OperationMode.Nonmutating)
    r.value("nonmutating", len(reply.take(1)))
    send("Demo", who="nobody")
    answers(r, "a reply to nobody is lost", send, reply, "Demo")
    r.call("the registry is well", d.locator_proxy(d.communicator()).ice_ping)


def tool(d, r, label, *options):
    argv = ["icegridadmin", "-u", "root", "-p", "x", "-e", "registry list",
            "--IceGridAdmin.Discovery.Lookup=udp -h %s -p %d --interface 127.0.0.1" % (ADDRESS, d.port("discovery")),
            "--IceGridAdmin.Discovery.Reply.Endpoints=udp -h 127.0.0.1", "--IceGridAdmin.Discovery.RetryCount=5"]
    for key, value in d.tls_properties("alice").items():
        argv.append("--%s=%s" % (key, value))
    done = subprocess.run(argv + list(options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, cwd=DATA, timeout=PATIENCE)
    lines = [line for line in r.text(done.stdout).splitlines() if "unknown property" not in line]
    r.value(label, (done.returncode, lines))


def administration(d, r):
    tool(d, r, "no locator given")
    tool(d, r, "an instance that is not there", "--IceGridAdmin.InstanceName=Other",
         "--IceGridAdmin.Discovery.RetryCount=1", "--IceGridAdmin.Discovery.RetryDelay=10")
    tool(d, r, "the right instance", "--IceGridAdmin.InstanceName=Demo")


def two_replicas(d, r):
    """Master and slave answer, both with the endpoints of both."""
    settings = dict(d.extras["settings"])
    d.start_registry("Replica1", **settings)
    session, admin = d.admin(d.communicator())
    wait_until(lambda: "Replica1" in admin.getAllRegistryNames(), "the slave's session")
    send, reply = asker(d)
    send("Demo")
    r.value("answers", reply.take(2))
    d.daemons["Replica1"].stop()


def anywhere(flavour):
    return discoverable(flavour, IceGrid__Registry__Discovery__Interface=None)


def elsewhere(d, r):
    """Address and port as configured; the usual group is not joined."""
    send, reply = asker(d)
    far, heard = asker(d, OWN)
    send("Demo")
    answers(r, "on its own group", far, heard, "Demo")
    r.value("on the usual group", reply.take(1, 0.5))


def own_endpoints(d, r):
    """Endpoints of the adapter replace the four properties: here an address of this host, no group."""
    send, reply = asker(d, endpoint="udp -h 127.0.0.1 -p %d" % d.port("lookup"))
    answers(r, "unicast", send, reply, "Demo")


def with_endpoints(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__Discovery__Enabled="1",
                     IceGrid__Registry__Discovery__Endpoints="udp -h 127.0.0.1 -p %d" % d.port("lookup"))
    return d


def traced(flavour):
    return discoverable(flavour, IceGrid__Registry__Trace__Discovery="2", IceMX__Metrics__V__Map__Dispatch__GroupBy="operation",
                        IceMX__Metrics__V__Map__Dispatch__Accept__parent="IceGrid.Registry.Discovery")


def ready_lines(d, r):
    r.value("stdout", d.daemons["Master"].stdout().split("\n"))


def traces(d, r):
    send, reply = asker(d)
    send("Other")
    send("Demo")
    reply.take(1)
    log = d.daemons["Master"].stderr
    wait_until(lambda: "replying" in log(), "the trace of the reply")
    entries = [re.sub(r"^-- \S+ \S+ ", "", line) for line in log().splitlines()]
    r.value("said", [re.sub(r"-p \d+", "-p <port>", e) for e in entries])


def measured(d, r):
    """Lookups are dispatches like others, with the sizes of what arrived."""
    send, reply = asker(d)
    for name in ("Demo", "Other", "Demo"):
        send(name)
    reply.take(2)
    session, admin = d.admin(d.communicator())
    metrics = IceMX.MetricsAdminPrx.uncheckedCast(admin.getRegistryAdmin("Master"), "Metrics")

    def counted():
        return {e.id: e for e in metrics.getMetricsView("V")[0]["Dispatch"]}.get("findLocator")
    wait_until(lambda: counted() and counted().total >= 5 and not counted().current, "the last lookup being counted")
    r.value("lookups", (counted().total, counted().failures, counted().size // counted().total > 60))
    session.destroy()


def off(flavour):
    return discoverable(flavour, IceGrid__Registry__Discovery__Enabled="0")


def switched_off(d, r):
    send, reply = asker(d)
    send("Demo")
    send("")
    r.value("silence", reply.take(1, 1.0))
    r.value("stdout", d.daemons["Master"].stdout().split("\n"))


def nowhere(flavour):
    """The group cannot be joined: only a warning, the registry runs."""
    d = Deployment(flavour)
    properties = d.registry_properties(IceGrid__Registry__Discovery__Enabled="1",
                                       IceGrid__Registry__Discovery__Port=str(free_port()),
                                       IceGrid__Registry__Discovery__Interface="192.0.2.77")
    d.start("Master", "registry", properties, "IceGrid.Registry.AdminSessionManager ready")
    return d


def not_joined(d, r):
    session, admin = d.admin(d.communicator())
    r.call("runs", admin.getAllRegistryNames)
    r.value("stdout", d.daemons["Master"].stdout().split("\n"))
    session.destroy()


# ---- IPv6

V6 = {"Ice__PreferIPv6Address": "1"}


def on_v6(flavour, interface):
    """The same with the group of IPv6, in a namespace with an interface that takes datagrams to it."""
    space = Space("v6-" + flavour)
    try:
        d = discoverable(flavour, prefix=space.prefix, IceGrid__Registry__Discovery__Interface=interface, **V6)
    except BaseException:
        space.close()
        raise
    d.extras["space"] = space
    d.on_close.append(space.close)
    return d


def lookups_v6(d, r):
    d.extras["space"].run(lambda: ask_v6(d, r))


def ask_v6(d, r):
    c = d.communicator(**V6)
    adapter = c.createObjectAdapterWithEndpoints("Reply", "udp -h \"::1\"")
    reply = Reply()
    prx = adapter.add(reply, Ice.stringToIdentity("reply")).ice_datagram()
    adapter.activate()
    port = prx.ice_getEndpoints()[0].getInfo().port
    for interface in (Space.HERE, "here"):
        lookup = c.stringToProxy("IceLocatorDiscovery/Lookup -d:udp -h \"ff15::1\" -p %d --interface \"%s\"" % (
            d.port("discovery"), interface))
        for name in ("", "Other", "Demo"):
            body = direct_udp("reply", port).replace(encode("127.0.0.1"), encode("::1"))
            at = body.rindex(b"\1\1") - 4  # the endpoint's encapsulation is shorter now
            body = body[:at] + (len(body) - at).to_bytes(4, "little") + body[at + 4:]
            lookup.ice_invoke("findLocator", Ice.OperationMode.Idempotent, encapsulate(encode(name) + body))
            if name != "Other":
                r.value("%s: %r" % (interface, name), reply.take(1))


def plan():
    yield "discoverable", discoverable, [ready_lines, lookups, unusual, administration, two_replicas]
    yield "ssl", lambda f: discoverable(f, "ssl"), [administration]
    yield "every interface", anywhere, [lookups, administration]
    yield "traced", traced, [traces, measured]
    yield "another group", lambda f: discoverable(f, address=OWN), [elsewhere]
    yield "endpoints", with_endpoints, [own_endpoints]
    yield "off", off, [switched_off]
    yield "no interface", nowhere, [not_joined]
    yield "IPv6, address of the interface", lambda f: on_v6(f, Space.HERE), [lookups_v6]
    yield "IPv6, name of the interface", lambda f: on_v6(f, "here"), [lookups_v6]
