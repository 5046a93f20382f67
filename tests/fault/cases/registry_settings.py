# SPDX-License-Identifier: Apache-2.0
"""The registry's properties and files with wrong values: one line that names the property and where it was set, status 1.
And what is better here than in the original: keys that are too long, a database that outgrows its map."""

import os
import threading

import Ice
import IceGrid

from lib import descriptors as dd
from lib.process import wait_until

from . import check
from .bad_start import refuses

INTEGERS = ["IceGrid.Registry." + n for n in (
    "SessionTimeout", "NodeSessionTimeout", "ReplicaSessionTimeout", "DynamicRegistration", "SessionFilters",
    "AdminSessionFilters", "LMDB.MapSize", "Discovery.Enabled", "Discovery.Port", "Trace.Admin", "Trace.Application",
    "Trace.Adapter", "Trace.Discovery", "Trace.Locator", "Trace.Node", "Trace.Object", "Trace.Patch", "Trace.Replica",
    "Trace.Server", "Trace.Session")]


def settings(d, **more):
    return d.registry_properties(**{k.replace(".", "__"): v for k, v in more.items()})


def wrong_numbers(d):
    if d.flavour != "moulin":
        return  # ZeroC's reads them as 0 with a warning
    for name in INTEGERS:
        for value in ("x", "1x", "99999999999"):
            refuses(d, "number", "registry", settings(d, **{name: value}), name, value, "number.cfg:")
    for name, low, high in (("ReplicaAckTimeout", 1, 3600), ("MinReplicas", 0, 128), ("AckPoll", 0, 10000)):
        name = "Moulin.Registry." + name
        for value in (low - 1, high + 1):
            refuses(d, "number", "registry", settings(d, **{name: str(value)}), name, "%d is not within" % value)


def wrong_files(d):
    for name in ("UserAccounts", "CryptPasswords", "AdminCryptPasswords"):
        words = ["/nowhere/file"] + (["IceGrid.Registry." + name] if d.flavour == "moulin" else [])
        refuses(d, "file", "registry", settings(d, **{
            "IceGrid.Registry.PermissionsVerifier": None, "IceGrid.Registry.AdminPermissionsVerifier": None,
            "IceGrid.Registry." + name: "/nowhere/file"}), *words, lines=None)


def wrong_replica(d):
    """Names of replicas and options that contradict each other."""
    refuses(d, "itself", "registry", d.registry_properties(), "identical replica",
            options=["--initdb-from-replica", "Master"], lines=None)
    refuses(d, "itself", "registry", d.registry_properties("Replica1"), "identical replica",
            options=["--initdb-from-replica", "Replica1"], lines=None)


def defaults_are_told(d):
    """A registry with nothing but what is required."""
    properties = {"IceGrid.Registry.LMDB.Path": d.path("db")}
    os.makedirs(d.path("db"))
    for adapter in ("Client", "Server", "Internal"):
        properties["IceGrid.Registry.%s.Endpoints" % adapter] = d.endpoint("Master." + adapter)
    properties["IceGrid.Registry.Discovery.Port"] = str(d.port("discovery"))
    properties["IceGrid.Registry.AdminPermissionsVerifier"] = "IceGrid/NullPermissionsVerifier"
    d.instance = "IceGrid"
    daemon = d.start("Master", "registry", properties, "IceGrid.Registry.Discovery ready")
    wait_until(lambda: len(daemon.stdout().splitlines()) == 4, "four ready lines")
    registry = d.registry_proxy(d.communicator())
    check((registry.getSessionTimeout(), registry.getACMTimeout()) == (30, 30), "timeouts")
    session, admin = d.admin(d.communicator())
    check(admin.getAllRegistryNames() == ["Master"], "the replica's name")
    reg = Ice.LocatorRegistryPrx.uncheckedCast(d.communicator().stringToProxy(
        "IceGrid/LocatorRegistry:" + d.endpoint("Master.Server")))
    try:
        reg.setAdapterDirectProxy("D", d.communicator().stringToProxy("dummy:tcp -h 127.0.0.1 -p 1"))
        check(False, "dynamic registration is off by default")
    except Ice.AdapterNotFoundException:
        pass
    for name in ("SessionManager", "AdminSessionManager", "RegistryUserAccountMapper"):
        check(d.query(d.communicator()).findObjectById(Ice.Identity(name, "IceGrid")) is None, name)


def long_keys(d):
    """What does not fit into a key of the database is refused with a reason, and nothing else suffers."""
    if d.flavour != "moulin":
        return
    d.start_registry()
    c = d.communicator()
    session, admin = d.admin(c)
    reg = Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    proxy = c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001")
    for n in (400, 505, 506, 507, 511, 512, 600, 100000):
        try:
            reg.setAdapterDirectProxy("a" * n, proxy)
            check(n < 512 and admin.getAdapterInfo("a" * n)[0].proxy == proxy, "an adapter id of %d bytes" % n)
        except Ice.AdapterNotFoundException:
            check(n > 500, "an adapter id of %d bytes was refused" % n)
        try:
            reg.setReplicatedAdapterDirectProxy("short", "g" * n, proxy)
            check(n < 512, "a group id of %d bytes" % n)
        except Ice.AdapterNotFoundException:
            check(n > 500, "a group id of %d bytes was refused" % n)
        for label, operation in (("object", lambda: admin.addObjectWithType(c.stringToProxy("o" * n + " @ A"), "t")),
                                 ("type", lambda: admin.addObjectWithType(c.stringToProxy("o%d @ A" % n), "t" * n)),
                                 ("application", lambda: admin.addApplication(dd.application("x" * n, {})))):
            try:
                operation()
                check(n < 512, "%s of %d bytes" % (label, n))
            except IceGrid.DeploymentException as e:
                check(n > 490 and "too long" in e.reason, "%s of %d bytes: %s" % (label, n, e.reason))
    d.daemons["Master"].kill()
    d.start_registry()
    session, admin = d.admin(d.communicator())
    check("a" * 400 in admin.getAllAdapterIds(), "what fitted is there after a restart")



def growing_map(d):
    """A map of 1 MB grows with its content; the original's operations fail when it is full."""
    if d.flavour != "moulin":
        return
    d.start_registry(IceGrid__Registry__LMDB__MapSize="1")
    c = d.communicator()
    session, admin = d.admin(c)
    text = "x" * 100000
    for n in range(40):
        admin.addApplication(dd.application("App%d" % n, {}, description=text))
    check(len(admin.getAllApplicationNames()) == 40, "40 applications of 100 kB each")
    d.daemons["Master"].kill()
    d.start_registry(IceGrid__Registry__LMDB__MapSize="1")
    session, admin = d.admin(d.communicator())
    check(len(admin.getAllApplicationNames()) == 40, "40 applications after a restart")
    check(admin.getApplicationInfo("App39").descriptor.description == text, "the last one's content")



def long_logs(d):
    """Reading a file's last lines holds nobody up, however long the lines are; too many open files are refused."""
    if d.flavour != "moulin":
        return
    properties = d.registry_properties()
    properties["Ice.StdErr"] = d.path("errors")
    d.start("Master", "registry", properties, "IceGrid.Registry.AdminSessionManager ready")
    with open(d.path("errors"), "wb") as f:
        f.truncate(1 << 40)  # a hole: one line without end
    session, admin = d.admin(d.communicator())
    done = threading.Event()
    iterators = [session.openRegistryStdErr("Master", 3) for _ in range(100)]
    session.begin_openRegistryStdErr("Master", 1000, lambda r: done.set(), lambda e: done.set())
    check(admin.getAllRegistryNames() == ["Master"], "another request")
    check(done.wait(20), "the 101st is answered")
    try:
        session.openRegistryStdErr("Master", 1)
        check(False, "101 open files")
    except IceGrid.FileNotAvailableException as e:
        check("too many" in e.reason, e.reason)
    end, lines = iterators[0].read(1 << 20)
    check(not end and len(lines) == 1, "a piece of the endless line")
    iterators[0].destroy()
    session.openRegistryStdErr("Master", 1).destroy()
    os.remove(d.path("errors"))
    os.mkfifo(d.path("errors"))
    try:
        session.openRegistryStdErr("Master", -1)
        check(False, "a pipe was opened")
    except IceGrid.FileNotAvailableException:
        pass


CASES = [wrong_numbers, wrong_files, wrong_replica, defaults_are_told, long_keys, growing_map, long_logs]
