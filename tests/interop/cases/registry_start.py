# SPDX-License-Identifier: Apache-2.0
"""A registry's start and end: options, ready lines, warnings, what it forces on itself, a second start, every way to
stop it."""

import os
import signal
import subprocess

import Ice

from lib import descriptors as dd
from lib.deployment import Deployment, command
from lib.process import PATIENCE, Daemon, wait_until

FORCED = ("Ice.PrintProcessId", "Ice.ServerIdleTime", "IceGrid.Registry.Client.AdapterId", "IceGrid.Registry.Server.AdapterId",
          "IceGrid.Registry.Internal.AdapterId", "IceGrid.Registry.SessionManager.AdapterId",
          "IceGrid.Registry.AdminSessionManager.AdapterId", "IceGrid.Registry.Internal.MessageSizeMax", "Ice.ACM.Close",
          "Ice.ACM.Server.Close", "Ice.Admin.Endpoints", "Ice.Admin.Enabled", "IceGrid.Registry.Client.ACM.Timeout",
          "IceGrid.Registry.Server.ACM.Timeout", "IceGrid.Registry.Internal.ACM.Timeout")


def empty(flavour):
    return Deployment(flavour)


def run(d, *options):
    return subprocess.run(command(d.flavour, "registry") + list(options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=PATIENCE, cwd=d.directory)


def options(d, r):
    """Exit status, and which stream: the texts are each flavour's own."""
    for argv in (["--help"], ["-h"], ["--version"], ["-v"], ["--bogus"], ["extra"], ["--nowarn", "extra"],
                 ["--initdb-from-replica"], ["--initdb-from-replica", "Master"], ["--initdb-from-replica=Master"]):
        done = run(d, *argv)
        r.value(" ".join(argv), (done.returncode, done.stdout == "", done.stderr != ""))


def ready(d, r):
    """With every combination of what is optional."""
    for label, settings in (("all", {}), ("no client manager", {"IceGrid__Registry__SessionManager__Endpoints": None}),
                            ("with its pid", {"Ice__PrintProcessId": "1"})):
        d.start_registry(**settings)
        lines = d.daemons["Master"].stdout().splitlines()
        r.value(label, ["<pid>" if line == str(d.daemons["Master"].process.pid) else line for line in lines])
        r.value(label + ": status", d.daemons["Master"].stop())
    d.start("Master", "registry", d.registry_properties(IceGrid__Registry__AdminSessionManager__Endpoints=None),
            "IceGrid.Registry.SessionManager ready")
    r.value("no admin manager", d.daemons["Master"].stdout().splitlines())
    d.daemons["Master"].stop()


def endpoints_accept(d, r):
    """Whoever has seen the last line finds everything there."""
    d.start_registry()
    c = d.communicator()
    for adapter, name in (("Client", "Registry"), ("Server", "LocatorRegistry"), ("Internal", "InternalRegistry-Master"),
                          ("SessionManager", "SessionManager"), ("SessionManager", "SSLSessionManager"),
                          ("AdminSessionManager", "AdminSessionManager"), ("AdminSessionManager", "AdminSSLSessionManager")):
        r.call(name, c.stringToProxy("Demo/%s:%s" % (name, d.endpoint("Master." + adapter))).ice_ids)
    d.daemons["Master"].stop()


def warnings(d, r):
    """Of session manager endpoints that are open to anybody, unless --nowarn."""
    def said(*more, **settings):
        properties = d.registry_properties(**settings)
        with open(d.path("warn.cfg"), "w") as f:
            for key, value in dict(properties, **{"Ice.PrintAdapterReady": "1", "Ice.ProgramName": "registry"}).items():
                f.write("%s=%s\n" % (key, value))
        argv = [a for a in command(d.flavour, "registry") if a != "--nowarn"] + list(more)
        daemon = Daemon("warn", argv + ["--Ice.Config=" + d.path("warn.cfg")], d.directory)
        d.daemons["warn"] = daemon
        daemon.await_line("IceGrid.Registry.AdminSessionManager ready")
        daemon.stop()
        return [line.split("registry: ")[-1] for line in daemon.stderr().splitlines()]
    r.value("plain", said())
    r.value("with filters", said(IceGrid__Registry__SessionFilters="1", IceGrid__Registry__AdminSessionFilters="1"))
    r.value("--nowarn", said("--nowarn"))


def second_start(d, r):
    """The second one says why and ends; the first one goes on."""
    d.start_registry()
    first = d.daemons["Master"]
    properties = d.registry_properties(IceGrid__Registry__LMDB__Path=d.path("db-other"))
    os.makedirs(d.path("db-other"), exist_ok=True)
    second = d.start("second", "registry", properties, None)
    r.value("status", second.await_exit())
    said = [line.split("error: ")[-1] for line in second.stderr().splitlines() if "an IceGrid registry" in line]
    r.value("said", said)
    r.value("no ready line", second.stdout())
    r.call("the first", d.locator_proxy(d.communicator()).ice_ping)
    r.value("the first ends", first.stop())


def forced(d, r):
    for label, settings in (("defaults", {}), ("set by the operator", {
            "Ice__PrintProcessId": "1", "Ice__ServerIdleTime": "5", "Ice__ACM__Close": "0", "Ice__ACM__Server__Close": "1",
            "IceGrid__Registry__Client__AdapterId": "X", "IceGrid__Registry__Internal__MessageSizeMax": "77",
            "IceGrid__Registry__Client__ACM__Timeout": "41", "IceGrid__Registry__Server__ACM__Timeout": "42",
            "IceGrid__Registry__Internal__ACM__Timeout": "43", "Ice__Admin__Endpoints": "tcp -h 127.0.0.1"}),
            ("timeouts", {"IceGrid__Registry__SessionTimeout": "50", "IceGrid__Registry__NodeSessionTimeout": "60",
                          "IceGrid__Registry__ReplicaSessionTimeout": "70"})):
        d.start_registry(**settings)
        c = d.communicator()
        session, admin = d.admin(c)
        properties = Ice.PropertiesAdminPrx.uncheckedCast(admin.getRegistryAdmin("Master"), "Properties")
        for name in FORCED:
            r.call("%s: %s" % (label, name), properties.getProperty, name)
        registry = d.registry_proxy(c)
        r.call(label + ": session timeout", registry.getSessionTimeout)
        r.call(label + ": ACM timeout", registry.getACMTimeout)
        d.drop(c)
        d.daemons["Master"].stop()


def names(d, r):
    """Where the instance name comes from when it is not set, and what adapters publish."""
    d.instance = "Named"
    for label, settings in (("its own", {"IceGrid__InstanceName": "Named"}),
                            ("of discovery", {"IceGrid__InstanceName": None, "IceLocatorDiscovery__InstanceName": "Named",
                                              "Ice__Default__Locator": "Other/Locator:default -p 1"}),
                            ("of the locator", {"IceGrid__InstanceName": None,
                                                "Ice__Default__Locator": "Named/Locator:tcp -h 127.0.0.1 -p 1"})):
        d.start_registry(**settings)
        r.call(label, d.locator_proxy(d.communicator()).ice_id)
        r.call(label + ": query", lambda: d.locator_proxy(d.communicator()).getLocalQuery())
        d.daemons["Master"].stop()
    d.start("Slave", "registry", dict(d.registry_properties("Slave", IceGrid__InstanceName=None), **{
        "IceGrid.Registry.LMDB.Path": d.path("db-Slave")}), "IceGrid.Registry.AdminSessionManager ready")
    r.call("a slave's, of the locator", d.locator_proxy(d.communicator(), "Slave").ice_id)
    d.daemons["Slave"].stop()
    d.instance = "IceGrid"
    d.start_registry(IceGrid__InstanceName=None)
    r.call("the default", d.locator_proxy(d.communicator()).ice_id)
    d.daemons["Master"].stop()
    d.instance = "Demo"


def published(d, r):
    """Endpoints for others, and the options of the proxies that are given out."""
    d.start_registry(IceGrid__Registry__Client__PublishedEndpoints="tcp -h 192.0.2.1 -p 4061:tcp -h 192.0.2.2 -p 4061 -t 500",
                     IceGrid__Registry__Server__PublishedEndpoints="tcp -h 192.0.2.1 -p 4063",
                     IceGrid__Registry__Client__ProxyOptions="-t -e 1.0",
                     IceGrid__Registry__Server__ProxyOptions="-t -e 1.0")
    c = d.communicator()
    locator = d.locator_proxy(c)
    finder = Ice.LocatorFinderPrx.uncheckedCast(c.stringToProxy("Ice/LocatorFinder:" + d.endpoint("Master.Client")))
    for label, operation in (("finder", finder.getLocator), ("registry", locator.getRegistry), ("local registry", locator.getLocalRegistry),
                             ("local query", locator.getLocalQuery)):
        r.call(label, operation)
    for name in ("Query", "Locator", "LocatorRegistry", "Registry", "SessionManager", "InternalRegistry-Master"):
        r.call(name, locator.findObjectById, Ice.Identity(name, "Demo"))
    r.call("session", d.registry_proxy(c).createSession, "alice", "x")
    d.daemons["Master"].stop()


def ends(d, r):
    """By signals, by Admin, by the Process facet: always orderly, with status 0."""
    def admin():
        return d.admin(d.communicator())[1]
    d.start_registry()
    for label, end in (("SIGTERM", lambda: d.daemons["Master"].process.send_signal(signal.SIGTERM)),
                       ("SIGINT", lambda: d.daemons["Master"].process.send_signal(signal.SIGINT)),
                       ("Admin.shutdown", lambda: admin().shutdown()),
                       ("Admin.shutdownRegistry", lambda: admin().shutdownRegistry("Master")),
                       ("Process.shutdown", lambda: Ice.ProcessPrx.uncheckedCast(
                           admin().getRegistryAdmin("Master"), "Process").shutdown())):
        if d.daemons["Master"].process.poll() is not None:
            d.start_registry()
        end()
        r.value(label, d.daemons["Master"].await_exit())


def hangup(d, r):
    """SIGHUP ends nothing."""
    d.start_registry()
    d.daemons["Master"].process.send_signal(signal.SIGHUP)
    session, admin = d.admin(d.communicator())
    r.call("goes on", admin.getAllRegistryNames)
    d.daemons["Master"].process.send_signal(signal.SIGHUP)
    r.call("and on", admin.getAllRegistryNames)
    session.destroy()
    r.value("status", d.daemons["Master"].stop())


def sessions_end(d, r):
    """An orderly stop ends sessions and tells whoever waits in one; nothing of them is there after the restart."""
    d.start_registry()
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    owner = d.registry_proxy(d.communicator()).createSession("owner", "x")
    waiter = d.registry_proxy(d.communicator()).createSession("waiter", "x")
    owner.allocateObjectById(dd.identity("res0"))
    session.startUpdate()
    future = waiter.allocateObjectByIdAsync(dd.identity("res0"))
    waiter.keepAlive()
    r.value("waits", not future.done())
    r.value("status", d.daemons["Master"].stop())
    wait_until(future.done, "the waiting request's end")
    d.start_registry()
    fresh = d.registry_proxy(d.communicator()).createSession("fresh", "x")
    fresh.setAllocationTimeout(0)
    r.call("free", fresh.allocateObjectById, dd.identity("res0"))
    other, _ = d.admin(d.communicator(), user="other")
    r.call("no lock", other.startUpdate)
    r.value("status again", d.daemons["Master"].stop())


def unreachable_verifier(d, r):
    """--nowarn and a verifier that has to be located: only logins feel its absence."""
    d.start_registry(IceGrid__Registry__PermissionsVerifier="verifier @ Verifiers",
                     IceGrid__Registry__AdminPermissionsVerifier="nobody")
    registry = d.registry_proxy(d.communicator())
    r.call("client", registry.createSession, "alice", "x")
    r.call("admin", registry.createAdminSession, "alice", "x")
    d.daemons["Master"].stop()


def malformed_verifier(d, r):
    """A verifier that is no proxy disables its kind of session, no other."""
    d.start_registry(IceGrid__Registry__PermissionsVerifier="not a: proxy:")
    registry = d.registry_proxy(d.communicator())
    r.kind("client", registry.createSession, "alice", "x")
    r.kind("admin", lambda: registry.createAdminSession("alice", "x") is not None)
    d.daemons["Master"].stop()


def certified(flavour):
    d = Deployment(flavour, "ssl")
    d.start_registry(IceGrid__Registry__RequireReplicaCertCN="1")
    return d


def replica_certificates(d, r):
    """The certificate of this deployment's servers is of 127.0.0.1: only a slave of that name is one."""
    session, admin = d.admin(d.communicator())
    for name in ("Replica1", "127.0.0.1"):
        slave = d.start(name, "registry", d.registry_properties(name), None)
        wait_until(lambda: "denied" in slave.stderr() or name in admin.getAllRegistryNames(), "the master's word about " + name)
        r.value(name, (name in admin.getAllRegistryNames(), "denied" in slave.stderr()))
        slave.kill()  # ZeroC's hangs when it is stopped while it starts
    session.destroy()


def plan():
    yield "start", empty, [options, ready, endpoints_accept, warnings, second_start, forced, names, published, ends, hangup, sessions_end,
                           unreachable_verifier, malformed_verifier]
    yield "certificates", certified, [replica_certificates]
