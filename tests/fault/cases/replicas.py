# SPDX-License-Identifier: Apache-2.0
"""Replicas that die, freeze, hang and return, most of them ZeroC's under our master or ours under ZeroC's. Rows of
icegrid-internal 20: see MATRIX.md."""

import threading
import time

import Ice
import IceGrid

from lib import descriptors as dd
from lib.peers import Slave
from lib.process import wait_until

from . import check
from .durability import application, registry_of

BOUND = 5.0  # seconds the first write after a slave's freeze may take
AT_ONCE = 2.0  # and any other, on a busy machine
TIMEOUT = 10  # seconds: the session timeout of every deployment here


class Writer:
    def __init__(self, d, replica="Master"):
        self.d = d
        self.c = d.communicator()
        self.session, self.admin = d.admin(self.c, replica)
        self.n = 0

    def write(self, prefix="object"):
        """Adds an object; how long the answer took."""
        self.n += 1
        began = time.monotonic()
        self.admin.addObjectWithType(self.c.stringToProxy("%s%d @ A" % (prefix, self.n)), "::Added")
        return time.monotonic() - began


def added(d, replica):
    c = d.communicator()
    try:
        return sorted(p.ice_getIdentity().name for p in d.query(c, replica).findAllObjectsByType("::Added"))
    except Ice.LocalException:
        return None
    finally:
        d.drop(c)


def registries(d, replica="Master"):
    c = d.communicator()
    try:
        return sorted(p.ice_getIdentity().name for p in d.query(c, replica).findAllObjectsByType("::IceGrid::Registry"))
    finally:
        d.drop(c)


def alike(d, *replicas):
    seen = []

    def same():
        seen[:] = [added(d, r) for r in replicas]
        return seen[0] is not None and all(s == seen[0] for s in seen)
    wait_until(same, lambda: "the same objects at %s: %s" % (", ".join(replicas), seen), 60)


def slowest_lookup(d, replica, seconds, until=lambda: False):
    """The longest of the lookups made through the replica for that time, or until the condition holds."""
    c = d.communicator()
    locator = d.locator_proxy(c, replica)
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end and not until():
        began = time.monotonic()
        locator.findObjectById(dd.identity("object1"))
        longest = max(longest, time.monotonic() - began)
    d.drop(c)
    return longest


def ready(d, slave="zeroc", master=None):
    d.start_registry(flavour=master)
    d.start_registry("Replica1", flavour=slave)
    d.start_registry("Replica2", flavour=slave, Ice__Default__Locator=d.locator("Master", "Replica1"))
    w = Writer(d)
    w.write()
    alike(d, "Master", "Replica1", "Replica2")
    return w


# ---- slaves of ZeroC's under our master

def slave_killed(d):
    """4: the next write does not wait, the slave leaves the shared objects."""
    w = ready(d)
    d.daemons["Replica1"].kill()
    took = w.write()
    check(took < BOUND, "the first write after the death took %.1f s" % took)
    wait_until(lambda: registries(d) == ["Registry", "Registry-Replica2"], "the dead slave leaving the table")
    wait_until(lambda: str(d.query(w.c).findObjectById(dd.identity("Demo/Query"))).count("tcp") == 2,
               "the dead slave leaving the endpoints of Query")
    alike(d, "Master", "Replica2")
    d.start_registry("Replica1", flavour="zeroc")
    alike(d, "Master", "Replica1", "Replica2")


def slave_frozen_shortly(d):
    """5: less than the bound: the write waits, then succeeds, nobody synchronizes again."""
    w = ready(d)
    d.daemons["Replica1"].freeze()
    thaw = threading.Timer(1.5, d.daemons["Replica1"].thaw)
    thaw.start()
    took = w.write()
    thaw.join()
    check(1.0 < took < BOUND, "the write took %.1f s with a slave frozen for 1.5 s" % took)
    alike(d, "Master", "Replica1")
    check("Replica1" not in d.daemons["Master"].stderr(), "the slave was dropped:\n" + d.daemons["Master"].stderr())


def frozen(d, kind):
    w = ready(d, kind)
    d.daemons["Replica1"].freeze()
    first = w.write()
    check(first <= BOUND, "the first write after the freeze took %.1f s" % first)
    rest = max(w.write() for _ in range(20))
    check(rest < AT_ONCE, "a later write took %.1f s" % rest)
    check(added(d, "Replica2") == added(d, "Master"), "the other slave does not follow")
    check(d.daemons["Master"].stderr().count("Replica1") == 1, "not one line:\n" + d.daemons["Master"].stderr())
    d.daemons["Replica1"].thaw()
    alike(d, "Master", "Replica1", "Replica2")
    took = w.write()
    check(took < AT_ONCE, "a write after the return took %.1f s" % took)
    alike(d, "Master", "Replica1", "Replica2")


def slave_frozen(d):
    """6, issue: the first write waits 5 s at most, the next ones not at all; back, the slave synchronizes."""
    frozen(d, "zeroc")


def our_slave_frozen(d):
    """6 with our slave: it learns at its first acknowledgement that it was dropped."""
    frozen(d, "moulin")


def slave_frozen_silently(d):
    """6 without any write: noticed within the session timeout."""
    ready(d)
    d.daemons["Replica1"].freeze()
    began = time.monotonic()
    wait_until(lambda: "Registry-Replica1" not in registries(d), "the frozen slave leaving the table", TIMEOUT + 5)
    took = time.monotonic() - began
    check(took < TIMEOUT + 1, "noticed after %.1f s" % took)
    d.daemons["Replica1"].thaw()
    wait_until(lambda: "Registry-Replica1" in registries(d), "the slave coming back", 60)


def no_acknowledgement(d):
    """7: a slave that lives but acknowledges nothing is dropped; one that stops in the middle of the synchronization blocks
    nobody."""
    d.start_registry()
    d.start_registry("Replica1", flavour="zeroc")
    w = Writer(d)
    silent = Slave(d, "Silent", lambda topic, operation, serial: "" if operation.endswith("Init") else None)
    silent.register()
    silent.synchronize()
    silent.stay()
    first = w.write()
    check(1 < first <= BOUND, "the first write took %.1f s" % first)
    check(not silent.alive(), "the session of a slave that does not acknowledge lives on")
    check(max(w.write() for _ in range(10)) < AT_ONCE, "later writes wait")
    half = Slave(d, "Half", lambda topic, operation, serial: "" if topic == "application" else None)
    half.register()
    result = half.session.setDatabaseObserverAsync(half.observer_proxy, {})
    half.stay()
    wait_until(lambda: len(half.observer.seen) >= 3, "the three tables on their way")
    first = w.write()
    check(first <= BOUND, "the first write beside a slave that stopped synchronizing took %.1f s" % first)
    check(max(w.write() for _ in range(10)) < AT_ONCE, "later writes wait")
    check(not result.done(), "the synchronization is over without acknowledgements")
    alike(d, "Master", "Replica1")
    half.close()
    silent.close()


def failing_slave(d):
    """8: the write succeeds, the slave that could not apply it must synchronize again."""
    d.start_registry()
    w = Writer(d)
    slave = Slave(d, "Weak", lambda topic, operation, serial: "" if operation.endswith("Init") else "disk on fire\x07")
    slave.register()
    slave.synchronize()
    slave.stay()
    check(w.write() < BOUND, "the write waited")
    wait_until(lambda: not slave.alive(), "end of the session of the slave that failed")
    lines = [line for line in d.daemons["Master"].stderr().splitlines() if "Weak" in line]
    check(len(lines) == 2 and "\x07" not in d.daemons["Master"].stderr(), "log: %s" % d.daemons["Master"].stderr())
    slave.close()


def unreachable_observer(d):
    """21: the slave can call the master, not the reverse: refused at once, nobody waits."""
    d.start_registry()
    w = Writer(d)
    slave = Slave(d, "Deaf")
    slave.register()
    dead = IceGrid.DatabaseObserverPrx.uncheckedCast(slave.communicator.stringToProxy(
        "x:tcp -h 127.0.0.1 -p %d" % d.port("nobody")))
    began = time.monotonic()
    try:
        slave.session.setDatabaseObserver(dead, {})
        check(False, "synchronized with an observer that cannot be reached")
    except IceGrid.DeploymentException:
        pass
    check(time.monotonic() - began < BOUND, "the refusal took %.1f s" % (time.monotonic() - began))
    check(w.write() < AT_ONCE, "a write waited")
    slave.close()


def full_disk(d):
    """27: a slave of ZeroC's whose map is full cannot apply: the write succeeds at the master and goes on."""
    d.start_registry()
    d.start_registry("Replica1", flavour="zeroc", IceGrid__Registry__LMDB__MapSize="1")
    w = Writer(d)
    long = "x" * 400
    worst = 0
    for n in range(1200):
        began = time.monotonic()
        w.admin.addObjectWithType(w.c.stringToProxy("big%d-%s @ A" % (n, long)), "::Big")
        worst = max(worst, time.monotonic() - began)
    check(worst < BOUND, "a write took %.1f s" % worst)
    check(len(d.query(w.c).findAllObjectsByType("::Big")) == 1200, "not everything is at the master")
    check("Replica1" in d.daemons["Master"].stderr(), "the slave was not full")


def min_replicas(d):
    """Moulin.Registry.MinReplicas: what fewer slaves than that have is not answered with success, and nothing is taken from
    the start while fewer follow."""
    d.start_registry(Moulin__Registry__MinReplicas="1")
    w = Writer(d)

    def refused(text):
        try:
            w.write()
        except IceGrid.DeploymentException as e:
            check(text in e.reason, e.reason)
            return "object%d" % w.n in (added(d, "Master") or [])
        raise AssertionError("a change was taken by a master alone")
    check(not refused("0 replicas follow"), "what is refused is there")
    try:
        registry_of(d, w.c).setAdapterDirectProxy("Dyn", w.c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9000"))
        check(False, "an adapter was taken by a master alone")
    except Ice.AdapterNotFoundException:
        pass
    d.start_registry("Replica1", flavour="zeroc")
    w.write("kept")
    alike(d, "Master", "Replica1")
    d.daemons["Replica1"].freeze()
    began = time.monotonic()
    check(refused("0 replicas have the change"), "what is on disk is not there")
    check(time.monotonic() - began <= BOUND, "the refusal took %.1f s" % (time.monotonic() - began))
    began = time.monotonic()
    check(not refused("0 replicas follow"), "what is refused is there")
    check(time.monotonic() - began < AT_ONCE, "a later refusal took %.1f s" % (time.monotonic() - began))
    d.daemons["Replica1"].thaw()
    wait_until(lambda: "Registry-Replica1" in registries(d), "the slave coming back", 60)

    def taken():
        try:
            return w.write("again")
        except IceGrid.DeploymentException:
            return None
    wait_until(lambda: taken() is not None, "a change when the slave follows again")
    alike(d, "Master", "Replica1")


# ---- masters of ZeroC's above our slave

def master_frozen(d):
    """1b: our slave notices a frozen master of ZeroC's within the session timeout, lookups through it never wait, and it
    returns to the master when that thaws."""
    d.start_registry(flavour="zeroc")
    d.start_registry("Replica1")
    w = Writer(d)
    w.write()
    alike(d, "Master", "Replica1")
    d.daemons["Master"].freeze()
    began = time.monotonic()
    lost = []

    def noticed():
        if not lost and "lost session" in d.daemons["Replica1"].stderr():
            lost.append(time.monotonic() - began)
        return lost
    longest = slowest_lookup(d, "Replica1", TIMEOUT + 10, noticed)
    check(lost, "the slave did not notice:\n" + d.daemons["Replica1"].stderr())
    check(lost[0] <= TIMEOUT + 1, "noticed after %.1f s" % lost[0])
    longest = max(longest, slowest_lookup(d, "Replica1", 8))
    check(longest < 1.0, "a lookup through the healthy replica took %.2f s" % longest)
    c = d.communicator()
    began = time.monotonic()
    try:
        registry_of(d, c, "Replica1").setAdapterDirectProxy("Dyn", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9000"))
        check(False, "a slave without a master took an adapter")
    except Ice.AdapterNotFoundException:
        pass
    check(time.monotonic() - began < BOUND, "a registration through the slave waited")
    d.daemons["Master"].thaw()
    wait_until(lambda: "Registry-Replica1" in registries(d), "the slave coming back", 60)

    def follows():
        try:
            w2 = Writer(d)
            w2.write("after")
            return True
        except Ice.Exception:
            return False
    wait_until(follows, "a write at the thawed master", 60)
    alike(d, "Master", "Replica1")


def master_dies_while_waiting(d):
    """3: kill -9 of the master while it waits for a slave: the change was not acknowledged, is on its disk, and reaches
    everybody when it returns; promoted instead, the slave goes on without it, and the former master gives it up."""
    d.start_registry()
    d.start_registry("Replica1")
    w = Writer(d)
    w.write("kept")
    alike(d, "Master", "Replica1")
    d.daemons["Replica1"].freeze()
    pending = w.admin.addObjectWithTypeAsync(w.c.stringToProxy("unacknowledged @ A"), "::Added")
    wait_until(lambda: "unacknowledged" in (added(d, "Master") or []), "the change at the master")
    check(not pending.done(), "acknowledged without the slave")
    d.daemons["Master"].kill()
    d.daemons["Replica1"].kill()
    d.start_registry("Replica1")
    first = added(d, "Replica1")
    check("kept1" in first, "an acknowledged change is lost: %s" % first)
    d.start_registry()
    check("unacknowledged" in added(d, "Master"), "what was on disk is lost")
    alike(d, "Master", "Replica1")
    # Again, and now the slave is promoted.
    d.daemons["Replica1"].freeze()
    w = Writer(d)
    w.admin.addObjectWithTypeAsync(w.c.stringToProxy("alone @ A"), "::Added")
    wait_until(lambda: "alone" in (added(d, "Master") or []), "the change at the master")
    d.daemons["Master"].kill()
    d.daemons["Replica1"].kill()
    d.start("Replica1", "registry", d.registry_properties("Replica1", IceGrid__Registry__ReplicaName=None),
            "IceGrid.Registry.AdminSessionManager ready")
    check("alone" not in added(d, "Replica1"), "the slave had it: the test proves nothing")
    former = d.registry_properties("Master", IceGrid__Registry__ReplicaName="Former",
                                   Ice__Default__Locator=d.locator("Replica1"))
    d.start("Master", "registry", former, "IceGrid.Registry.AdminSessionManager ready")
    alike(d, "Replica1", "Master")
    check("alone" not in added(d, "Master"), "the former master keeps what nobody else has")


def newer_slave(d, slave="moulin", master="zeroc"):
    """10: a slave that is ahead of the master is refused, says so, and serves its own data."""
    d.start_registry(flavour=slave)
    w = Writer(d)
    for _ in range(10):
        w.write("ahead")
    d.daemons["Master"].stop()
    other = d.registry_properties("Master", IceGrid__Registry__ReplicaName="Ahead",
                                  Ice__Default__Locator=d.locator("Other"))
    properties = d.registry_properties("Other", IceGrid__Registry__ReplicaName=None, Ice__Default__Locator=None)
    d.start("Other", "registry", properties, "IceGrid.Registry.AdminSessionManager ready", flavour=master)
    d.start("Master", "registry", other, "IceGrid.Registry.AdminSessionManager ready", flavour=slave)
    check(len(added(d, "Master")) == 10, "its data are gone: %s" % added(d, "Master"))
    check(added(d, "Other") == [], "the master took the slave's data")
    who = d.daemons["Master" if slave == "moulin" else "Other"]
    check("serial" in who.stderr(), "no word about the serials:\n" + who.stderr())
    check(registries(d, "Other") == ["Registry"], "the refused slave is in the table")


def newer_slave_of_theirs(d):
    """10 the other way round: our master refuses a slave of ZeroC's that is ahead."""
    newer_slave(d, "zeroc", "moulin")


def duplicate_name(d):
    """11: refused while the first lives, taken over when it is dead; also when the first is frozen."""
    d.start_registry()
    d.start_registry("Replica1", flavour="zeroc")
    twin = d.registry_properties("Twin", IceGrid__Registry__ReplicaName="Replica1")
    d.start("Twin", "registry", twin, "IceGrid.Registry.AdminSessionManager ready")
    check("already registered and active" in d.daemons["Twin"].stderr(), "log: " + d.daemons["Twin"].stderr())
    endpoint = str(d.port("Replica1.Client"))
    table = str(d.query(d.communicator()).findObjectById(dd.identity("Demo/Registry-Replica1")))
    check(endpoint in table, "the twin took the name: " + table)
    d.daemons["Replica1"].freeze()
    began = time.monotonic()
    wait_until(lambda: str(d.port("Twin.Client")) in str(d.query(d.communicator()).findObjectById(
        dd.identity("Demo/Registry-Replica1"))), "the twin taking over from the frozen one", 60)
    check(time.monotonic() - began < 25, "the take-over took %.0f s" % (time.monotonic() - began))


def ghost(d):
    """A slave of ZeroC's killed and started again on its ports is back at once, in spite of its old session."""
    d.start_registry()
    d.start_registry("Replica1", flavour="zeroc")
    for _ in range(3):
        d.daemons["Replica1"].kill()
        began = time.monotonic()
        d.start_registry("Replica1", flavour="zeroc")
        wait_until(lambda: "Registry-Replica1" in registries(d), "the slave's return")
        check(time.monotonic() - began < 5, "the return took %.1f s" % (time.monotonic() - began))
        w = Writer(d)
        check(w.write("g%d-" % time.monotonic_ns()) < BOUND, "a write waited")
    alike(d, "Master", "Replica1")


def everything_killed(d):
    """26, 24: all killed, the slaves start first; everything is there."""
    d.start_registry()
    d.start_registry("Replica1", flavour="zeroc")
    d.start_registry("Replica2", Ice__Default__Locator=d.locator("Master", "Replica1"))
    w = Writer(d)
    w.write()
    w.admin.addApplication(application(9))
    for name in ("Replica1", "Master", "Replica2"):
        d.daemons[name].kill()
    d.start_registry("Replica1", flavour="zeroc")
    d.start_registry("Replica2", Ice__Default__Locator=d.locator("Master", "Replica1"))
    check(added(d, "Replica2") is not None, "a slave without its master does not answer")
    d.start_registry()
    wait_until(lambda: registries(d) == ["Registry", "Registry-Replica1", "Registry-Replica2"], "all coming back", 60)
    alike(d, "Master", "Replica1", "Replica2")
    _, slave = d.admin(d.communicator(), "Replica2")
    check(slave.getAllApplicationNames() == ["App9"], "applications: %s" % slave.getAllApplicationNames())


def certificate_name(d):
    """29: the certificate of a slave must have its name; that of this test's daemons is 127.0.0.1."""
    d.start_registry(IceGrid__Registry__RequireReplicaCertCN="1")
    d.start_registry("Replica1", flavour="zeroc")
    check(registries(d) == ["Registry"], "registered with a certificate of another name")
    check("certificate" in d.daemons["Master"].stderr(), "no line about it:\n" + d.daemons["Master"].stderr())
    for directory, kind in (("Replica2", "zeroc"), ("Replica3", None)):
        named = d.registry_properties(directory, IceGrid__Registry__ReplicaName="127.0.0.1")
        d.start(directory, "registry", named, "IceGrid.Registry.AdminSessionManager ready", flavour=kind)
        wait_until(lambda: "Registry-127.0.0.1" in registries(d), "the slave with the right certificate")
        d.daemons[directory].stop()


certificate_name.transport = ("ssl",)

CASES = [slave_killed, slave_frozen_shortly, slave_frozen, our_slave_frozen, slave_frozen_silently, no_acknowledgement,
         failing_slave, unreachable_observer, min_replicas, full_disk, master_frozen, master_dies_while_waiting, newer_slave,
         newer_slave_of_theirs, duplicate_name, ghost, everything_killed, certificate_name]
