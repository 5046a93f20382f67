# SPDX-License-Identifier: Apache-2.0
"""A slave of ours is told of a change while the master's disk still works on it (replication.md): what becomes of that when
the disk refuses it, or the master dies."""

import resource

import Ice
import IceGrid

from lib.peers import Moulin, Slave
from lib.process import wait_until

from . import check
from .replicas import Writer, added, alike, registries

NO_SIGNAL = ("sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh")  # a file that may not grow is an error, not the end
# ---- our master, and a slave made of Python that wants to know early

def limit_files(d, name, size):
    resource.prlimit(d.daemons[name].pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def object_messages(slave, since=0):
    return [(operation, context) for (operation, _, _), context in
            list(zip(slave.observer.seen, slave.observer.contexts))[since:] if operation.startswith("object")
            and "dbSerial" in context]


def follow(d, name, **context):
    slave = Slave(d, name)
    slave.register()
    slave.synchronize(**context)
    slave.stay()
    return slave


def disk_refuses(d):
    """The slave is told of the change together with the disk; the disk refuses it: so is the writer, and the slave has to
    synchronize. Until the disk takes something again, nobody is told before it has."""
    d.start_registry(prefix=NO_SIGNAL)
    w = Writer(d)
    early = follow(d, "Early", moulin__early="1")
    w.write()
    (_, tables), (operation, context) = object_messages(early)[0], object_messages(early)[-1]
    serial = int(context["dbSerial"])
    check(operation == "objectAdded" and context.get("moulin.early") == str(serial - 1), "context: %s" % context)
    check("moulin.early" not in tables, "a whole table that is not on disk: %s" % tables)
    before = len(early.observer.seen)
    limit_files(d, "Master", 4096)
    for attempt in range(2):
        try:
            w.write()
            check(False, "a change was taken without a disk")
        except Ice.UnknownException:
            pass
        wait_until(lambda: not early.alive(), "the end of the session of the slave that was told")
        told = object_messages(early, before)
        check([c["dbSerial"] for _, c in told] == [str(serial + 1)], "told: %s" % told)
        check(w.admin.getAllObjectInfos("lost*") == [], "the change is there")
    check(w.admin.getAllObjectInfos("*object2*") == [], "a change that was refused is there")
    limit_files(d, "Master", resource.RLIM_INFINITY)
    late = follow(d, "Late", moulin__early="1")
    for n, how in ((1, None), (2, str(serial + 1))):
        w.write("after")
        context = object_messages(late)[-1][1]
        check(context["dbSerial"] == str(serial + n), "context: %s" % context)
        check(context.get("moulin.early") == how, "not told %s: %s" % ("after the disk" if n == 1 else "early", context))
    late.close()
    early.close()


def theirs(d):
    """Who does not ask for it is told when the disk has it."""
    d.start_registry()
    plain = follow(d, "Plain")
    Writer(d).write()
    check(all("moulin.early" not in context for context in plain.observer.contexts), str(plain.observer.contexts))
    plain.close()


# ---- our slave, and a master made of Python that dies before its disk has what it told

class Session(IceGrid.ReplicaSession):
    def __init__(self, master):
        self.master = master

    def keepAlive(self, current):
        if self.master.forgets:
            self.master.forgets = False
            raise Ice.ObjectNotExistException()

    def getTimeout(self, current):
        return 2

    def setDatabaseObserver(self, observer, serials, current):
        """The tables that the real master had."""
        m = self.master
        check(current.ctx.get("moulin.early") == "1", "the slave does not ask for it: %s" % current.ctx)
        for init, table, name in ((observer.adapterInit, [], "adapters"), (observer.objectInit, m.objects, "objects")):
            init(table, m.context(m.serial if name == "objects" else serials[name]))
        observer.applicationInit(0, [], m.context(serials["applications"]))
        m.observer = observer
        m.claimed.append(serials["objects"])

    def setEndpoints(self, endpoints, current):
        pass

    def registerWellKnownObjects(self, objects, current):
        self.master.connected += 1

    def destroy(self, current):
        pass


class Master(IceGrid.InternalRegistry):
    """Takes the place of a master that died: its Internal endpoint, its objects. Claimed: the serial of objects that the
    slave said it has, each time it came."""

    def __init__(self, d, objects, serial):
        self.d, self.objects, self.serial = d, objects, serial
        self.claimed, self.observer, self.connected, self.forgets = [], None, 0, False
        self.communicator = d.communicator()
        self.adapter = self.communicator.createObjectAdapterWithEndpoints("", d.endpoint("Master.Internal"))
        self.proxy = IceGrid.InternalRegistryPrx.uncheckedCast(
            self.adapter.add(self, Ice.Identity("InternalRegistry-Master", d.instance)))
        self.adapter.activate()

    def registerReplica(self, info, prx, current):
        return IceGrid.ReplicaSessionPrx.uncheckedCast(self.adapter.addWithUUID(Session(self)))

    @staticmethod
    def context(serial, **more):
        more = {key.replace("__", "."): value for key, value in more.items()}
        return dict({"serial": "0", "dbSerial": str(serial), "moulin.ack": "reply"}, **more)

    def call(self, replica):
        """It is here: what a master that starts tells its slaves."""
        IceGrid.InternalRegistryPrx.uncheckedCast(self.communicator.stringToProxy("%s/InternalRegistry-%s:%s" % (
            self.d.instance, replica, self.d.endpoint(replica + ".Internal")))).registerWithReplica(self.proxy)

    def await_slave(self, visits):
        wait_until(lambda: self.connected == visits, "our slave with the master made of Python", 40)

    def tell(self, name, serial, **context):
        info = IceGrid.ObjectInfo(self.communicator.stringToProxy(name + " @ A"), "::Added")
        self.observer.objectAdded(info, self.context(serial, **context))

    def close(self):
        self.d.drop(self.communicator)


def orphan(d):
    """Our slave, whose master has died; the master in its place has told it of one change that its disk has not got."""
    d.start_registry()
    d.start_registry("Replica1")
    w = Writer(d)
    w.write("kept")
    alike(d, "Master", "Replica1")
    master = IceGrid.InternalRegistryPrx.uncheckedCast(w.c.stringToProxy(
        "%s/InternalRegistry-Master:%s" % (d.instance, d.endpoint("Master.Internal"))))
    objects, serial = master.getObjects()
    d.daemons["Master"].kill()
    fake = Master(d, objects, serial)
    fake.await_slave(1)
    fake.tell("ghost", fake.serial + 1, moulin__early=str(fake.serial))
    check(added(d, "Replica1") == ["ghost", "kept1"], "objects: %s" % added(d, "Replica1"))
    return fake


def master_dies_before_its_disk(d):
    """3, between the slave's disk and the master's: the slave has what its master never had, and follows it all the same,
    after a restart, too; what was not acknowledged is gone."""
    fake = orphan(d)
    d.daemons["Replica1"].kill()
    d.start_registry("Replica1")
    fake.call("Replica1")
    fake.await_slave(2)
    check(fake.claimed[1] == fake.serial, "claimed: %s, of which %d is settled" % (fake.claimed, fake.serial))
    check(added(d, "Replica1") == ["kept1"], "objects: %s" % added(d, "Replica1"))
    fake.tell("ghost", fake.serial + 1, moulin__early=str(fake.serial))
    check("ghost" in added(d, "Replica1"), "objects: %s" % added(d, "Replica1"))
    fake.close()
    d.start_registry()
    wait_until(lambda: "Registry-Replica1" in registries(d), "the slave at its master", 40)
    alike(d, "Master", "Replica1")
    check(added(d, "Master") == ["kept1"], "objects: %s" % added(d, "Master"))


def unsettled_slave_promoted(d):
    """The same, and the slave is promoted instead: it keeps the change, and the former master follows."""
    fake = orphan(d)
    fake.close()
    d.daemons["Replica1"].stop()
    d.start_registry("Replica1", IceGrid__Registry__ReplicaName=None, Ice__Default__Locator=None)
    check(added(d, "Replica1") == ["ghost", "kept1"], "objects: %s" % added(d, "Replica1"))
    d.start_registry("Master", IceGrid__Registry__ReplicaName="Former", Ice__Default__Locator=d.locator("Replica1"))
    alike(d, "Replica1", "Master")
    check(added(d, "Master") == ["ghost", "kept1"], "objects: %s" % added(d, "Master"))


def settles(d, tell):
    """Once it is told that the master's disk has the change, a slave is ahead of a master that has not: it is refused, and
    keeps what it has (10)."""
    fake = orphan(d)
    latest = tell(fake)

    def claims():
        fake.forgets = True
        return fake.claimed[-1] == latest
    wait_until(claims, lambda: "the slave with %d settled: %s" % (latest, fake.claimed), 40)
    fake.close()
    before = added(d, "Replica1")
    d.start_registry()
    wait_until(lambda: "newer than this master's" in d.daemons["Master"].stderr(), "the refusal", 40)
    check("ghost" not in added(d, "Master"), "the test proves nothing")
    check(added(d, "Replica1") == before, "objects: %s" % added(d, "Replica1"))


def settled_by_the_next_message(d):
    def tell(fake):
        fake.tell("next", fake.serial + 2)
        fake.objects = fake.objects + [IceGrid.ObjectInfo(fake.communicator.stringToProxy(name + " @ A"), "::Added")
                                       for name in ("ghost", "next")]
        fake.serial += 2
        return fake.serial
    settles(d, tell)


def settled_afterwards(d):
    def tell(fake):
        Moulin.SettledObserverPrx.uncheckedCast(fake.observer, "settled").settled(
            {"adapters": 1, "objects": fake.serial + 1})
        fake.objects = fake.objects + [IceGrid.ObjectInfo(fake.communicator.stringToProxy("ghost @ A"), "::Added")]
        fake.serial += 1
        return fake.serial
    settles(d, tell)


CASES = [disk_refuses, theirs, master_dies_before_its_disk, unsettled_slave_promoted, settled_by_the_next_message,
         settled_afterwards]
