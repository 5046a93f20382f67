# SPDX-License-Identifier: Apache-2.0
"""Peers on the Internal endpoint that are no good replicas: wrong names, what is not theirs, serials from the future, garbage,
floods. Each is refused or dropped with a line that says why, and everything else stays as it was."""

import re
import uuid

import Ice
import IceGrid

from lib import descriptors as dd
from lib.peers import Slave
from lib.process import wait_until

from . import check
from .replicas import AT_ONCE, BOUND, Writer, added, alike, registries

ENCAPSULATION = b"\x01\x01"


def refused(operation, *kinds):
    try:
        operation()
    except kinds as e:
        return e
    raise AssertionError("it was accepted")


def log_of(d, daemon="Master"):
    return d.daemons[daemon].stderr().splitlines()


def ready(d):
    """Our master with a slave of ZeroC's, and how they must look afterwards."""
    d.start_registry()
    d.start_registry("Replica1", flavour="zeroc")
    w = Writer(d)
    w.write()
    alike(d, "Master", "Replica1")
    return w


def untouched(d, w):
    check(w.write() < AT_ONCE, "a write waits")
    check(registries(d) == ["Registry", "Registry-Replica1"], "registries: %s" % registries(d))
    master = str(d.query(w.c).findObjectById(dd.identity("Demo/InternalRegistry-Master")))
    check(str(d.port("Master.Internal")) in master, "the master is said to be " + master)
    alike(d, "Master", "Replica1")


def names(d):
    """A name that is not its own, or none at all."""
    w = ready(d)
    for name in ("Master", "", "a\nb", "x" * 500, "Replica2"):
        slave = Slave(d, "Other")
        refused(lambda: slave.register(name), IceGrid.PermissionDeniedException)
        slave.close()
    slave = Slave(d, "Replica1")
    refused(slave.register, IceGrid.ReplicaActiveException)
    slave.close()
    slave = Slave(d, "Liar")
    liar = IceGrid.InternalRegistryPrx.uncheckedCast(slave.communicator.stringToProxy(
        "Demo/InternalRegistry-Replica1:tcp -h 127.0.0.1 -p %d" % d.port("Replica1.Internal")))
    refused(lambda: slave.register(proxy=liar), IceGrid.PermissionDeniedException)
    check(slave.master.registerReplica(None, None) is None, "a session for nobody")
    slave.close()
    lines = [line for line in log_of(d) if "is refused" in line]
    check(len(lines) == 6, "lines: %s" % log_of(d))
    untouched(d, w)


def foreign_objects(d):
    """A slave registers the master's objects as its own, others' too, null ones and far too many."""
    w = ready(d)
    slave = Slave(d, "Thief")
    slave.register()
    slave.stay()
    mine = slave.communicator.stringToProxy("x:tcp -h 127.0.0.1 -p 9")

    def info(name):
        return IceGrid.ObjectInfo(mine.ice_identity(dd.identity(name)), "::IceGrid::InternalRegistry")
    for objects in ([info("Demo/InternalRegistry-Master")], [info("Demo/Registry-Thief"), info("Demo/Registry")],
                    [info("Demo/Registry-Replica1")], [info("Demo/Query")], [info("object1")],
                    [IceGrid.ObjectInfo(None, "::X")], [info("Demo/Registry-Thief")] * 1000):
        refused(lambda: slave.session.registerWellKnownObjects(objects), Ice.UnknownException)
    lines = [line for line in log_of(d) if "Thief" in line]
    check(len(lines) == 7, "lines: %s" % log_of(d))
    slave.session.destroy()
    untouched(d, w)


def future_serials(d):
    """Serials that the master has not reached: refused, and the session may end in peace."""
    w = ready(d)
    slave = Slave(d, "Future")
    slave.register()
    e = refused(lambda: slave.synchronize({"applications": 1, "adapters": 1, "objects": (1 << 63) - 1}),
                IceGrid.DeploymentException)
    check("objects" in e.reason and str((1 << 63) - 1) in e.reason, e.reason)
    check(sum("newer than" in line for line in log_of(d)) == 1, "lines: %s" % log_of(d))
    slave.session.receivedUpdate(IceGrid.TopicName.ObjectObserverTopicName, 2147483647, "")
    slave.session.receivedUpdate(IceGrid.TopicName.NodeObserverTopicName, -1, "")
    slave.synchronize({"unknown": 77})
    wait_until(lambda: len(slave.observer.seen) >= 3, "the tables")
    slave.session.destroy()
    untouched(d, w)


def garbage(d):
    """Bytes that are no parameters, for every operation of the registry and of a session."""
    w = ready(d)
    slave = Slave(d, "Rubbish")
    slave.register()
    for target, operations in ((slave.master, ("registerReplica", "registerNode", "registerWithReplica", "getNodes")),
                               (slave.session, ("setDatabaseObserver", "setEndpoints", "registerWellKnownObjects",
                                                "setAdapterDirectProxy", "receivedUpdate", "keepAlive"))):
        for operation in operations:
            for body in (b"", b"\xff" * 40, b"\x00" * 3, b"\xff\xff\xff\xff\x7f" + b"A" * 30, bytes(range(64))):
                for mode in (Ice.OperationMode.Normal, Ice.OperationMode.Idempotent):
                    size = (6 + len(body)).to_bytes(4, "little")
                    try:
                        target.ice_invoke(operation, mode, size + ENCAPSULATION + body)
                    except Ice.Exception:
                        pass
    slave.close()
    untouched(d, w)


def flood(d):
    """Registrations, endpoints and acknowledgements as fast as they go: the master serves the others, and does not grow."""
    w = ready(d)
    flooder = Slave(d, "Flood")
    session = flooder.register()
    for n in range(300):
        other = flooder.proxy.ice_identity(Ice.Identity("InternalRegistry-Flood%d" % n, "Demo"))
        try:
            flooder.register("Flood%d" % n, IceGrid.InternalRegistryPrx.uncheckedCast(other))
        except Ice.UnknownException:
            break
    else:
        check(False, "300 replicas were accepted")
    endpoints = {"Client": flooder.communicator.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9")}
    before = memory(d)
    results = []
    for n in range(20000):
        results.append(session.receivedUpdateAsync(IceGrid.TopicName.ObjectObserverTopicName, n, ""))
        if n % 4 == 0:
            results.append(session.setEndpointsAsync(endpoints))
        if n % 1000 == 0:
            check(w.write("flood") < BOUND, "a write waits")
    for r in results:
        try:
            r.result()
        except Ice.Exception:
            pass
    refused(lambda: session.setEndpoints({str(n): None for n in range(100)}), Ice.UnknownException)
    # The sanitizers keep a quarter of a gigabyte of what was freed.
    check(memory(d) < before + 300 * 1024, "memory: from %d KB to %d KB" % (before, memory(d)))
    check(added(d, "Replica1") == added(d, "Master"), "the slave does not follow")
    flooder.close()


def memory(d):
    with open("/proc/%d/status" % d.daemons["Master"].pid) as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def lying_master(d):
    """A master that sends our slave serials that run backwards, null proxies and garbage: the slave drops it with a line, and
    keeps its data."""
    d.start_registry(flavour="zeroc")
    d.start_registry("Replica1")
    w = Writer(d)
    for _ in range(5):
        w.write()
    alike(d, "Master", "Replica1")
    before = added(d, "Replica1")
    d.daemons["Master"].kill()
    fake = FakeMaster(d)
    wait_until(lambda: fake.observer, "our slave at the master that lies", 40)
    fake.observer.ice_invoke("objectInit", Ice.OperationMode.Normal, ENCODED_NOTHING, {"serial": "0", "dbSerial": "2"})
    wait_until(lambda: any("serial" in line for line in log_of(d, "Replica1")), "a line about the serial", 20)
    check(added(d, "Replica1") == before, "the data changed: %s" % added(d, "Replica1"))
    for visits in (2, 3, 4):
        wait_until(lambda: fake.visits == visits, "our slave coming again", 40)
        for body in (b"\xff" * 30, b"\x01" * 30):
            size = (6 + len(body)).to_bytes(4, "little")
            try:
                fake.observer.ice_invoke("objectInit", Ice.OperationMode.Normal, size + ENCAPSULATION + body,
                                         {"serial": "0", "dbSerial": "999"})
            except Ice.Exception:
                pass
        check(added(d, "Replica1") == before, "the data changed: %s" % added(d, "Replica1"))
        fake.dropped = True
    check(added(d, "Replica1") == before, "the data changed: %s" % added(d, "Replica1"))
    fake.close()


ENCODED_NOTHING = b"\x07\x00\x00\x00\x01\x01\x00"  # an encapsulation with an empty sequence


class Session(Ice.Blobject):
    def __init__(self, master):
        self.master = master

    def ice_invoke(self, params, current):
        c = current.adapter.getCommunicator()
        if current.operation == "getTimeout":
            return True, b"\x0a\x00\x00\x00\x01\x01" + (2).to_bytes(4, "little")
        if current.operation == "setDatabaseObserver":
            text = params.decode("latin-1")
            self.master.learn(c, params, text)
        if current.operation == "keepAlive" and self.master.dropped:
            raise Ice.ObjectNotExistException()
        return True, b"\x06\x00\x00\x00\x01\x01"


class Registry(Ice.Blobject):
    """Query and InternalRegistry-Master in one."""

    def __init__(self, master):
        self.master = master

    def ice_invoke(self, params, current):
        if current.operation == "registerReplica":
            self.master.dropped = False
            identity = Ice.Identity(str(uuid.uuid4()), "")
            prx = current.adapter.add(Session(self.master), identity)
            return True, self.master.encode_proxy(prx)
        return True, b"\x07\x00\x00\x00\x01\x01\x00" if current.operation.startswith("findAll") else (
            b"\x08\x00\x00\x00\x01\x01\x00\x00")


class FakeMaster:
    """At the Internal endpoint of the master that our slave knows."""

    def __init__(self, d):
        self.d = d
        self.observer = None
        self.visits = 0
        self.dropped = False
        self.communicator = d.communicator()
        self.adapter = self.communicator.createObjectAdapterWithEndpoints("", d.endpoint("Master.Internal"))
        self.adapter.add(Registry(self), Ice.Identity("InternalRegistry-Master", d.instance))
        self.adapter.activate()

    def learn(self, communicator, params, text):
        """The observer's proxy: the only thing of the parameters that is needed, found by its port and identity."""
        found = re.search(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}", text)
        self.observer = communicator.stringToProxy("%s:tcp -h 127.0.0.1 -p %d" % (
            found.group(0), self.d.port("Replica1.Internal"))).ice_invocationTimeout(10000)
        self.visits += 1

    @staticmethod
    def encode_proxy(prx):
        """An encapsulation with one direct tcp proxy."""
        def string(s):
            return bytes([len(s)]) + s.encode()
        host, port = "127.0.0.1", int(re_port(str(prx)))
        endpoint = string(host) + port.to_bytes(4, "little") + (60000).to_bytes(4, "little") + b"\x00"
        body = (string(prx.ice_getIdentity().name) + b"\x00" + b"\x00" + b"\x00" + b"\x00" + b"\x01\x00\x01\x01" + b"\x01" +
                (1).to_bytes(2, "little") + (6 + len(endpoint)).to_bytes(4, "little") + b"\x01\x01" + endpoint)
        return (6 + len(body)).to_bytes(4, "little") + b"\x01\x01" + body

    def close(self):
        self.d.drop(self.communicator)


def re_port(text):
    return text.split("-p ")[1].split()[0]


CASES = [names, foreign_objects, future_serials, garbage, flood, lying_master]
