# SPDX-License-Identifier: Apache-2.0
"""The life of masters and slaves: promotion, former masters, --initdb-from-replica, --readonly, and slaves that look for
their master. Rows 9, 22, 23 and 25 of icegrid-internal 20."""

import socket
import threading
import time

import Ice
import IceGrid

from lib import descriptors as dd
from lib.balancer import join
from lib.process import wait_until

from . import check
from .durability import application
from .replicas import TIMEOUT, Writer, added, alike, registries

READY = "IceGrid.Registry.AdminSessionManager ready"


def start_as(d, directory, name, kind=None, options=(), ready=READY, **more):
    """A registry on the database and the endpoints of `directory`, called `name`."""
    more.setdefault("Ice__Default__Locator", d.locator("Master", "Replica1", "Replica2"))
    properties = d.registry_properties(directory, IceGrid__Registry__ReplicaName=name, **more)
    return d.start(directory, "registry", properties, ready, options, kind)


def pair(d, master=None, slave=None):
    d.start_registry(flavour=master)
    d.start_registry("Replica1", flavour=slave)
    w = Writer(d)
    w.write()
    w.admin.addApplication(application(9))
    alike(d, "Master", "Replica1")
    return w


# ---- former masters

def former_master(d, kind):
    pair(d, slave=kind)
    d.daemons["Master"].kill()
    d.daemons["Replica1"].stop()
    start_as(d, "Replica1", "Master", kind)
    former = start_as(d, "Master", "Master", ready=None)
    check(former.await_exit(20) == 1, "exit status %s" % former.process.returncode)
    text = former.stderr()
    check("another master" in text and "ReplicaName" in text and "SecondMaster" in text, "it says: " + text)
    check(added(d, "Replica1") == ["object1"], "the new master is disturbed")
    start_as(d, "Master", "Master", options=("--readonly",))
    check("another master" in d.daemons["Master"].stderr(), "no warning: " + d.daemons["Master"].stderr())
    d.daemons["Master"].stop()
    start_as(d, "Master", "Master", Moulin__Registry__SecondMaster="1")
    d.daemons["Master"].stop()
    start_as(d, "Master", "Former")
    wait_until(lambda: "Registry-Former" in registries(d, "Replica1"), "the former master as a slave", 60)
    alike(d, "Replica1", "Master")


def former_master_of_ours(d):
    """23: a promoted slave of ours."""
    former_master(d, None)


def former_master_and_theirs(d):
    """23: a promoted slave of ZeroC's."""
    former_master(d, "zeroc")


def frozen_master(d):
    """A master is frozen so long that its slave is promoted; thawed, it takes no write, finds the new one and ends."""
    w = pair(d)
    d.daemons["Master"].freeze()
    d.daemons["Replica1"].stop()
    start_as(d, "Replica1", "Master")
    promoted = d.communicator()
    text = "%s/Registry:%s" % (d.instance, d.endpoint("Replica1.Client"))
    session = IceGrid.RegistryPrx.uncheckedCast(promoted.stringToProxy(text)).createAdminSession("a", "b")
    session.getAdmin().addObjectWithType(promoted.stringToProxy("new @ A"), "::Added")
    over = threading.Event()
    threading.Timer(TIMEOUT + 6, over.set).start()  # as long as it takes until its slaves' sessions have ended
    over.wait()
    try:
        pending = w.admin.addObjectWithTypeAsync(w.c.stringToProxy("old @ A"), "::Added")
        d.daemons["Master"].thaw()
        pending.result()
        check(False, "the thawed master took a write")
    except (IceGrid.DeploymentException, Ice.LocalException):
        pass
    d.daemons["Master"].await_exit(30)
    check("taken this one's place" in d.daemons["Master"].stderr(), "it says: " + d.daemons["Master"].stderr())
    check(added(d, "Replica1") == ["new", "object1"], "the new master has %s" % added(d, "Replica1"))


def promotion_in_place(d):
    """22: the master dies, Replica1 is promoted, the other slave, of ZeroC's, follows it; changes go on."""
    pair(d)
    d.start_registry("Replica2", flavour="zeroc", Ice__Default__Locator=d.locator("Master", "Replica1"))
    d.daemons["Master"].kill()
    d.daemons["Replica1"].kill()
    start_as(d, "Replica1", "Master")
    wait_until(lambda: registries(d, "Replica1") == ["Registry", "Registry-Replica2"], "the other slave's return", 30)
    c = d.communicator()
    text = "%s/Registry:%s" % (d.instance, d.endpoint("Replica1.Client"))
    session = IceGrid.RegistryPrx.uncheckedCast(c.stringToProxy(text)).createAdminSession("a", "b")
    session.getAdmin().addObjectWithType(c.stringToProxy("new @ A"), "::Added")
    check(added(d, "Replica2") == ["new", "object1"], "the other slave has %s" % added(d, "Replica2"))
    names = [i.proxy.ice_getIdentity().name for i in session.getAdmin().getAllObjectInfos("")]
    check("AdminSessionManager-Replica1" not in names, "the old name's objects stay: %s" % names)


# ---- data taken over

def init_from_slave(d, kind):
    pair(d, slave=kind)
    d.daemons["Master"].kill()
    start_as(d, "Fresh", "Master", options=("--initdb-from-replica=Replica1",))
    check(added(d, "Fresh") == ["object1"], "objects: %s" % added(d, "Fresh"))
    wait_until(lambda: "Registry-Replica1" in registries(d, "Fresh"), "the slave at the new master", 60)
    alike(d, "Fresh", "Replica1")


def init_empty_from_ours(d):
    """A master with an empty database takes the content of a slave, which then follows it."""
    init_from_slave(d, None)


def init_empty_from_theirs(d):
    init_from_slave(d, "zeroc")


def init_diverged(d):
    """A slave that is ahead of its master is refused, and takes over the master's data with the option."""
    d.start_registry(flavour="zeroc")
    start_as(d, "Replica1", "Master", Ice__Default__Locator=None, Moulin__Registry__SecondMaster="1")
    c = d.communicator()
    text = "%s/Registry:%s" % (d.instance, d.endpoint("Replica1.Client"))
    admin = IceGrid.RegistryPrx.uncheckedCast(c.stringToProxy(text)).createAdminSession("a", "b").getAdmin()
    for n in range(5):
        admin.addObjectWithType(c.stringToProxy("mine%d @ A" % n), "::Added")
    d.daemons["Replica1"].stop()
    start_as(d, "Replica1", "Replica1")
    check(len(added(d, "Replica1")) == 5, "its data are gone")
    d.daemons["Replica1"].stop()
    start_as(d, "Replica1", "Replica1", options=("--initdb-from-replica=Master",))
    alike(d, "Master", "Replica1")
    wait_until(lambda: "Registry-Replica1" in registries(d), "the slave at its master", 60)
    check(added(d, "Replica1") == [], "not the master's data: %s" % added(d, "Replica1"))


def init_from_nobody(d):
    """No such replica: one line, exit status 1, the data stay."""
    pair(d)
    d.daemons["Replica1"].stop()
    daemon = start_as(d, "Replica1", "Replica1", options=("--initdb-from-replica=Nobody",), ready=None)
    check(daemon.await_exit(60) == 1, "exit status %s" % daemon.process.returncode)
    check("Nobody" in daemon.stderr(), "it says: " + daemon.stderr())
    start_as(d, "Replica1", "Replica1")
    check(added(d, "Replica1") == ["object1"], "the data: %s" % added(d, "Replica1"))


def read_only(d):
    """A read-only master refuses writes and leaves the slaves' data alone; then it is an ordinary one again."""
    pair(d, slave="zeroc")
    d.daemons["Master"].stop()
    d.start_registry(options=("--readonly",))
    wait_until(lambda: "Registry-Replica1" in registries(d), "the slave at the read-only master", 60)
    w = Writer(d)
    for what in (lambda: w.write(), lambda: w.admin.removeApplication("App9")):
        try:
            what()
            check(False, "a read-only master took a write")
        except IceGrid.DeploymentException:
            pass
    check(added(d, "Replica1") == added(d, "Master") == ["object1"], "data changed")
    d.daemons["Master"].stop()
    d.start_registry()
    w = Writer(d)
    w.write("more")
    alike(d, "Master", "Replica1")


# ---- looking for the master

def remembers(d):
    """A slave that once met its master finds the others again although its locator names only the dead one."""
    pair(d)
    d.start_registry("Replica2", Ice__Default__Locator=d.locator("Master"))
    alike(d, "Master", "Replica1", "Replica2")
    d.daemons["Master"].kill()
    d.daemons["Replica2"].kill()
    d.daemons["Replica1"].kill()
    start_as(d, "Replica1", "Master", Ice__Default__Locator=None)
    d.start_registry("Replica2", Ice__Default__Locator=d.locator("Master"))
    wait_until(lambda: "Registry-Replica2" in registries(d, "Replica1"), "the slave at the promoted master", 60)


def some_endpoints_dead(d):
    """The locator of a new slave lists a dead replica first, then one that only knows where the master is."""
    pair(d, slave="zeroc")
    start_as(d, "Replica2", "Replica2", Ice__Default__Locator="%s/Locator:%s:%s" % (
        d.instance, d.endpoint("dead.Client"), d.endpoint("Replica1.Client")))
    wait_until(lambda: "Registry-Replica2" in registries(d), "the slave at its master", 30)
    alike(d, "Master", "Replica2")


class Balancer:
    """Gives each connection to the next of the ports that accepts it."""

    def __init__(self, *ports):
        self.ports, self.turn = ports, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            for _ in self.ports:
                self.turn += 1
                try:
                    server = socket.create_connection(("127.0.0.1", self.ports[self.turn % len(self.ports)]), 2)
                except OSError:
                    continue
                join(client, server)
                break
            else:
                client.close()


def balancer(d):
    """A TCP balancer in front of the replicas: a new slave finds its master through it, and clients locate while any replica
    lives."""
    pair(d, slave="zeroc")
    front = Balancer(d.port("Master.Client"), d.port("Replica1.Client"))
    where = "%s/Locator:tcp -h 127.0.0.1 -p %d" % (d.instance, front.port)
    start_as(d, "Replica2", "Replica2", Ice__Default__Locator=where)
    wait_until(lambda: "Registry-Replica2" in registries(d), "the slave at its master", 60)
    alike(d, "Master", "Replica2")
    c = d.communicator(Ice__RetryIntervals="0 10 100")
    locator = IceGrid.LocatorPrx.uncheckedCast(c.stringToProxy(where))
    check(locator.findObjectById(dd.identity("object1")) is not None, "not found")
    d.daemons["Master"].kill()
    for _ in range(20):
        check(locator.findObjectById(dd.identity("object1")) is not None, "not found without the master")
    front.listener.close()


def one_name(d):
    """One host name with two addresses: a dead one and a living one, and a frozen one and a living one."""
    hosts = d.path("hosts")
    with open(hosts, "w") as f:
        f.write("127.0.0.1 localhost\n127.0.0.7 replicas.test\n127.0.0.1 replicas.test\n")
    pair(d, slave="zeroc")
    own = ("unshare", "--mount", "sh", "-c", "mount --bind %s /etc/hosts && exec \"$@\"" % hosts, "sh")
    port = d.port("Replica1.Client")

    def slave(name):
        d.start_registry(name, prefix=own, Ice__Default__Locator="%s/Locator:tcp -h replicas.test -p %d" % (d.instance, port))
        wait_until(lambda: "Registry-" + name in registries(d), "the slave at its master", 60)
        alike(d, "Master", name)
    slave("Replica2")
    frozen = socket.create_server(("127.0.0.7", port))  # accepts, says nothing
    slave("Replica3")
    frozen.close()


def alone(d):
    """9: a slave restarted while its master is down serves what it has, and joins when the master comes."""
    pair(d, master="zeroc")
    d.daemons["Replica1"].stop()
    d.daemons["Master"].kill()
    d.start_registry("Replica1")
    check(added(d, "Replica1") == ["object1"], "it serves %s" % added(d, "Replica1"))
    d.start_registry(flavour="zeroc")
    wait_until(lambda: "Registry-Replica1" in registries(d), "the slave at its master", 60)


class Client(threading.Thread):
    """Looks objects up through all the replicas it was told, without a pause, and remembers what failed."""

    def __init__(self, d, *replicas):
        super().__init__(daemon=True)
        self.c = d.communicator(Ice__RetryIntervals="0 10 100")
        self.locator = IceGrid.LocatorPrx.uncheckedCast(self.c.stringToProxy(d.locator(*replicas)))
        self.over, self.lookups, self.failures, self.longest = threading.Event(), 0, [], 0.0

    def run(self):
        while not self.over.is_set():
            began = time.monotonic()
            try:
                if self.locator.findObjectById(dd.identity("object1")) is None:
                    self.failures.append("null")
            except Ice.Exception as e:
                self.failures.append(repr(e))
            self.longest = max(self.longest, time.monotonic() - began)
            self.lookups += 1


class Caller(threading.Thread):
    """Calls two servers in turn, each time by a proxy that has to be located again."""

    def __init__(self, d, *replicas):
        super().__init__(daemon=True)
        c = d.communicator(Ice__Default__Locator=d.locator(*replicas), Ice__RetryIntervals="0 100 500")
        self.servers = [c.stringToProxy("hello@Hello%d.A" % n).ice_locatorCacheTimeout(0) for n in (1, 2)]
        self.over, self.calls, self.failures = threading.Event(), 0, []

    def run(self):
        while not self.over.wait(0.005):
            try:
                self.servers[self.calls % 2].ice_ping()
            except Ice.Exception as e:
                self.failures.append(repr(e))
            self.calls += 1


def servers_on_nodes(d, every):
    """Two nodes that look for their registries anywhere, a server on each; their pids."""
    for name in ("node1", "node2"):
        d.start_node(name, registries=every)
    admin = d.admin(d.communicator())[1]
    for n in (1, 2):
        d.await_node(admin, "node%d" % n)
    admin.addApplication(dd.application("Hello", {"node%d" % n: dd.node(dd.process("Hello%d" % n)) for n in (1, 2)}))
    for n in (1, 2):
        admin.startServer("Hello%d" % n)
    return [admin.getServerPid("Hello%d" % n) for n in (1, 2)]


def migration(d):
    """A master and two slaves of ZeroC's become three of ours, replica by replica, under clients that never fail, and under
    two nodes whose servers do not notice."""
    every = ("Master", "Replica1", "Replica2", "New1", "New2", "New3")
    theirs, ours = every[:3], every[3:]
    d.start_registry(flavour="zeroc")
    for name in theirs[1:]:
        d.start_registry(name, flavour="zeroc", Ice__Default__Locator=d.locator(*theirs))
    w = Writer(d)
    w.write()
    alike(d, *theirs)
    pids = servers_on_nodes(d, every)
    client, caller = Client(d, *every), Caller(d, *every)
    client.start()
    caller.start()
    for name in ours:
        d.start_registry(name, Ice__Default__Locator=d.locator(*every))
        wait_until(lambda: "Registry-" + name in registries(d), name + " at the master", 60)
        w.write(name)
    alike(d, *every)
    for name in theirs[1:]:
        d.daemons[name].stop()
        w.write("without" + name)
    d.daemons["Master"].stop()
    d.daemons["New1"].stop()
    start_as(d, "New1", "Master", Ice__Default__Locator=d.locator(*ours))
    wait_until(lambda: registries(d, "New1") == ["Registry", "Registry-New2", "Registry-New3"], "three of ours", 60)
    alike(d, *ours)
    c = d.communicator()
    text = "%s/Registry:%s" % (d.instance, d.endpoint("New1.Client"))
    admin = IceGrid.RegistryPrx.uncheckedCast(c.stringToProxy(text)).createAdminSession("a", "b").getAdmin()
    admin.addObjectWithType(c.stringToProxy("last @ A"), "::Added")
    check(added(d, "New3") == added(d, "New1") and len(added(d, "New1")) == 7, "objects: %s" % added(d, "New1"))
    for n in (1, 2):
        d.await_node(admin, "node%d" % n)
    check([admin.getServerPid("Hello%d" % n) for n in (1, 2)] == pids, "servers were started anew")
    before = caller.calls
    wait_until(lambda: caller.calls > before + 20, "calls after the migration")
    for thread in (client, caller):
        thread.over.set()
        thread.join(30)
    check(before > 20 and not caller.failures, "calls: %d, failed: %s" % (caller.calls, caller.failures[:5]))
    check(not client.failures, "failed lookups: %s of %d" % (client.failures[:5], client.lookups))
    check(client.lookups > 100 and client.longest < 3, "%d lookups, the longest %.1f s" % (client.lookups, client.longest))


CASES = [former_master_of_ours, former_master_and_theirs, frozen_master, promotion_in_place, init_empty_from_ours,
         init_empty_from_theirs, init_diverged, init_from_nobody, read_only, remembers, some_endpoints_dead, balancer,
         one_name, alone, migration]
