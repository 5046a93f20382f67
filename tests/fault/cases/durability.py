# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment: everything that was acknowledged is there afterwards, and nothing is half there."""

import random
import threading

import Ice
import IceGrid

from lib import descriptors as dd
from lib.process import wait_until

from . import check

ROUNDS = 12


def application(n, description=""):
    return dd.application("App%d" % n, {"node": dd.node(dd.server("Server%d" % n, [dd.adapter(
        "A", "Server%d.A" % n, objects=[dd.obj("object%d" % n, "::Deployed")])]))}, description=description)


def registry_of(d, c, replica="Master"):
    return Ice.LocatorRegistryPrx.uncheckedCast(
        c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint(replica + ".Server")))


def content(d, replica="Master"):
    """(applications, their servers, deployed objects, added objects, dynamic adapters), checked against each other."""
    c = d.communicator()
    session, admin = d.admin(c, replica)
    applications = {n: admin.getApplicationInfo(n) for n in admin.getAllApplicationNames()}
    servers = admin.getAllServerIds()
    described = sorted(s.id for i in applications.values() for node in i.descriptor.nodes.values() for s in node.servers)
    check(sorted(servers) == described, "servers %s, but the applications describe %s" % (servers, described))
    query = d.query(c, replica)
    deployed = sorted(p.ice_getIdentity().name for p in query.findAllObjectsByType("::Deployed"))
    check(len(deployed) == len(described), "objects %s of servers %s" % (deployed, described))
    added = sorted(i.proxy.ice_getIdentity().name for i in admin.getObjectInfosByType("::Added"))
    check(sorted(p.ice_getIdentity().name for p in query.findAllObjectsByType("::Added")) == added,
          "the two ways of listing objects differ")
    for name in added:
        check(admin.getObjectInfo(dd.identity(name)).type == "::Added", "%s has another type" % name)
    adapters = {a: str(admin.getAdapterInfo(a)[0].proxy) for a in admin.getAllAdapterIds() if a.startswith("Dyn")}
    d.drop(c)
    return {n: (i.revision, i.descriptor.description) for n, i in applications.items()}, added, adapters


def after_each_reply(d):
    """One change, kill -9 the moment its reply is there, restart, look; for every kind of change."""
    applications, added, adapters = {}, [], {}
    for n in range(ROUNDS):
        d.start_registry()
        check(content(d) == (applications, added, adapters), "round %d: %s instead of %s" % (
            n, content(d), (applications, added, adapters)))
        c = d.communicator()
        session, admin = d.admin(c)
        kind = n % 6
        if kind == 0:
            admin.addApplication(application(n))
            applications["App%d" % n] = (1, "")
        elif kind == 1:
            admin.addObjectWithType(c.stringToProxy("added%d @ A" % n), "::Added")
            added.append("added%d" % n)
            added.sort()
        elif kind == 2:
            proxy = c.stringToProxy("dummy:tcp -h 127.0.0.1 -p %d" % (9000 + n))
            registry_of(d, c).setAdapterDirectProxy("Dyn%d" % n, proxy)
            adapters["Dyn%d" % n] = str(proxy)
        elif kind == 3:
            name = next(iter(applications))
            admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name=name, description=IceGrid.BoxedString(
                "round %d" % n)))
            applications[name] = (applications[name][0] + 1, "round %d" % n)
        elif kind == 4:
            admin.removeObject(dd.identity(added.pop()))
        else:
            name = next(iter(adapters))
            registry_of(d, c).setAdapterDirectProxy(name, None)
            del adapters[name]
        d.daemons["Master"].kill()
        d.drop(c)
    d.start_registry()
    check(content(d) == (applications, added, adapters), "at the end: %s instead of %s" % (
        content(d), (applications, added, adapters)))


class Writer(threading.Thread):
    """Writes until the registry dies; knows what was acknowledged and what was on its way."""

    def __init__(self, d, number):
        super().__init__(daemon=True)
        self.d = d
        self.number = number
        self.acknowledged = []
        self.attempted = []
        self.communicator = d.communicator()
        self.session, self.admin = d.admin(self.communicator)

    def run(self):
        n = 0
        try:
            while True:
                name = "w%d-%d" % (self.number, n)
                n += 1
                self.attempted.append(name)
                self.admin.addObjectWithType(self.communicator.stringToProxy(name + " @ A"), "::Added")
                self.acknowledged.append(name)
        except Ice.LocalException:
            pass


def in_the_middle(d):
    """Four writers at once, kill -9 at a random moment; three times on the same database."""
    seed = random.randrange(1 << 30)
    print("      seed %d" % seed)
    chance = random.Random(seed)
    expected, possible = set(), set()
    d.start_registry()
    for life in range(3):
        writers = [Writer(d, life * 4 + n) for n in range(4)]
        wanted = chance.randrange(20, 120)
        for w in writers:
            w.start()
        wait_until(lambda: sum(len(w.acknowledged) for w in writers) >= wanted, "%d acknowledged writes" % wanted)
        d.daemons["Master"].kill()
        for w in writers:
            w.join(30)
            check(not w.is_alive(), "a writer hangs after the registry's death")
            expected |= set(w.acknowledged)
            possible |= set(w.attempted)
            d.drop(w.communicator)
        d.start_registry()
        there = set(content(d)[1])
        check(expected <= there, "acknowledged but lost: %s" % sorted(expected - there))
        check(there <= possible, "never written: %s" % sorted(there - possible))


def slave_in_the_stream(d):
    """The slave is killed while it follows; back again it is equal to the master."""
    d.start_registry()
    for life in range(2):
        d.start_registry("Replica1")
        writer = Writer(d, life)
        writer.start()
        wait_until(lambda: len(writer.acknowledged) >= 30, "30 acknowledged writes")
        d.daemons["Replica1"].kill()
        wait_until(lambda: len(writer.acknowledged) >= 40, "writes going on without the slave")
        d.start_registry("Replica1")
        wait_until(lambda: len(writer.acknowledged) >= 60, "writes going on with the slave back")
        d.daemons["Master"].kill()
        writer.join(30)
        d.drop(writer.communicator)
        d.start_registry()
        there = content(d)[1]
        check(set(writer.acknowledged) <= set(there), "acknowledged but lost: %s" % sorted(
            set(writer.acknowledged) - set(there)))
        wait_until(lambda: content(d, "Replica1")[1] == there, "the slave being equal to the returned master", 60)
        d.daemons["Replica1"].kill()


def clean_end(d):
    """SIGTERM in the middle of writes: an orderly end, nothing lost."""
    d.start_registry()
    writer = Writer(d, 0)
    writer.start()
    wait_until(lambda: len(writer.acknowledged) >= 20, "20 acknowledged writes")
    status = d.daemons["Master"].stop()
    writer.join(30)
    check(status == 0, "exit status %d" % status)
    d.start_registry()
    check(set(writer.acknowledged) <= set(content(d)[1]), "acknowledged but lost")


CASES = [after_each_reply, in_the_middle, slave_in_the_stream, clean_end]
