# SPDX-License-Identifier: Apache-2.0
"""The replication example of Ice's manual: property files as they stand there, a client with both endpoints, kill -9.

Ours gets `IceGrid.Registry.Data`, the older name of the database's directory, and makes the directory itself; ZeroC's
3.7 knows only `IceGrid.Registry.LMDB.Path` and wants it to exist. Everything else is the same file.
"""

import os
import socket

import Ice
import IceGrid

from lib.deployment import Deployment, command
from lib.process import Daemon, free_port, wait_until

ADAPTERS = ("Internal", "Server", "Client")


class Example:
    """master and replica1 in one working directory, endpoints written as the manual does."""

    def __init__(self, flavour, master_port, slave_port):
        self.d = Deployment(flavour)
        self.d.ports.update({"master": master_port, "slave": slave_port})
        self.flavour = flavour
        self.master_port, self.slave_port = master_port, slave_port
        self.write("master", "IceGrid.InstanceName=DemoIceGrid", master_port)
        self.write("replica1", "Ice.Default.Locator=DemoIceGrid/Locator:default -p %d" % master_port, slave_port,
                   "IceGrid.Registry.ReplicaName=Replica1")

    def write(self, name, first, port, *more):
        lines = [first, "IceGrid.Registry.Client.Endpoints=default -p %d" % port,
                 "IceGrid.Registry.Server.Endpoints=default", "IceGrid.Registry.Internal.Endpoints=default"]
        if self.flavour == "zeroc":
            os.makedirs(self.d.path("db", name), exist_ok=True)
            lines.append("IceGrid.Registry.LMDB.Path=db/" + name)
        else:
            lines.append("IceGrid.Registry.Data=db/" + name)
        # Not the manual's: a verifier so that the test can administer, no multicast, a machine of its own, ready lines.
        lines += list(more) + ["IceGrid.Registry.AdminPermissionsVerifier=DemoIceGrid/NullPermissionsVerifier",
                               "IceGrid.Registry.Discovery.Enabled=0", "Ice.Default.Host=127.0.0.1",
                               "IceGrid.Registry.ReplicaSessionTimeout=10", "Ice.PrintAdapterReady=1"]
        with open(self.d.path(name + ".cfg"), "w") as f:
            f.write("\n".join(lines) + "\n")

    def start(self, name):
        daemon = Daemon(name, command(self.flavour, "registry") + ["--Ice.Config=%s.cfg" % name], self.d.directory,
                        cwd=self.d.directory)
        self.d.daemons[name] = daemon
        for adapter in ADAPTERS:
            daemon.await_line("IceGrid.Registry.%s ready" % adapter)
        return daemon


def example(flavour):
    e = Example(flavour, free_port(), free_port())
    e.d.extras["example"] = e
    e.start("master")
    e.start("replica1")
    return e.d


def literal(flavour):
    """The manual's own ports; taken ones are a failure of the machine, told as such."""
    for port in (12000, 12001):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    e = Example(flavour, 12000, 12001)
    e.d.extras["example"] = e
    e.start("master")
    e.start("replica1")
    return e.d


def story(d, r):
    e = d.extras["example"]
    both = "DemoIceGrid/Locator:default -p %d:default -p %d" % (e.master_port, e.slave_port)
    c = d.communicator(Ice__Default__Locator=both, Ice__Default__LocatorCacheTimeout="0", Ice__RetryIntervals="0 100 500")
    query = IceGrid.QueryPrx.checkedCast(c.stringToProxy("DemoIceGrid/Query"))
    registry = IceGrid.RegistryPrx.checkedCast(c.stringToProxy("DemoIceGrid/Registry"))
    session = registry.createAdminSession("admin", "x")
    admin = session.getAdmin()

    def up():
        return "Replica1" in admin.getAllRegistryNames()
    wait_until(up, "the slave in the master's list")
    r.call("registries", admin.getAllRegistryNames)
    r.call("query", query.findObjectById, Ice.stringToIdentity("DemoIceGrid/Query"))
    r.call("locator", lambda: c.getDefaultLocator().findObjectById(Ice.stringToIdentity("DemoIceGrid/Locator")))
    r.call("add", admin.addObjectWithType, c.stringToProxy("thing:tcp -h 127.0.0.1 -p 9999"), "::Thing")
    r.call("found", query.findObjectByType, "::Thing")
    d.daemons["master"].kill()
    r.call("the client goes on: query", query.findObjectByType, "::Thing")
    r.call("the client goes on: locator", lambda: c.getDefaultLocator().findObjectById(Ice.stringToIdentity("thing")))
    r.kind("the master's object is away", registry.ice_ping)
    fresh = d.communicator(Ice__Default__Locator=both)
    r.call("a new client", lambda: IceGrid.QueryPrx.checkedCast(
        fresh.stringToProxy("DemoIceGrid/Query")).findObjectByType("::Thing"))
    e.start("master")
    r.call("the master is back", IceGrid.QueryPrx.uncheckedCast(c.stringToProxy(
        "DemoIceGrid/Query:default -p %d" % e.master_port)).findObjectByType, "::Thing")
    r.value("files", sorted(os.listdir(d.path("db"))))
    r.value("slave ends", d.daemons["replica1"].stop())
    r.value("master ends", d.daemons["master"].stop())


def plan():
    yield "free ports", example, [story]
    yield "ports 12000 and 12001", literal, [story]
