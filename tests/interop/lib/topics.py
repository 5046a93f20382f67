# SPDX-License-Identifier: Apache-2.0
"""IceStorm services for tests: the same properties for IceBox with ZeroC's service and for ours; subscribers that record
what they get."""

import os
import threading

from .bindings import Ice
import IceStorm

from .deployment import Deployment
from .process import PATIENCE, Failure

NOTHING = b"\x06\x00\x00\x00\x01\x01"  # an encapsulation of nothing
EXCEPTION = b"\x0b\x00\x00\x00\x01\x01\x20\x03::X"  # one of a user exception ::X without members


def properties(d, service="IceStorm", **more):
    """Of one service; more is what follows the prefix, with __ for dots."""
    result = {"%s.%s.Endpoints" % (service, a): "%s -h 127.0.0.1 -p %d" % (d.transport, d.port(service + a))
              for a in ("TopicManager", "Publish")}
    if more.get("Transient") is None:
        os.makedirs(d.path("db-" + service), exist_ok=True)
        result[service + ".LMDB.Path"] = d.path("db-" + service)
    result.update(("%s.%s" % (service, k.replace("__", ".")), v) for k, v in more.items() if v is not None)
    return result


def start(d, services=("IceStorm",), name="storm", settings=None, prefix=(), **more):
    """One process with these services. settings are whole properties; prefix is a command that runs it."""
    merged = {}
    for service in services:
        merged.update(properties(d, service, **more))
        if d.flavour == "zeroc":
            merged["IceBox.Service." + service] = "IceStormService,37:createIceStorm"
    if d.flavour == "zeroc":
        merged["IceBox.InheritProperties"] = "1"
        merged["IceBox.PrintServicesReady"] = "topics"
        ready = "topics ready"
    else:
        merged["Moulin.Storm.Services"] = " ".join(services)
        ready = services[-1] + " ready"
    merged.update(settings or {})
    return d.start(name, "storm", merged, ready, prefix=prefix)


def service(**more):
    """A plan's setup: a deployment with one service."""
    def make(flavour):
        d = Deployment(flavour)
        start(d, **more)
        return d
    return make


def manager(d, service="IceStorm", instance="IceStorm", communicator=None):
    c = communicator or d.extras.setdefault("client", d.communicator())
    return IceStorm.TopicManagerPrx.uncheckedCast(
        c.stringToProxy("%s/TopicManager:%s -h 127.0.0.1 -p %d" % (instance, d.transport, d.port(service + "TopicManager"))))


class Inbox(Ice.Blobject):
    """Takes every request; on_event(operation, current) may raise, wait, or be false: a user
    exception."""

    def __init__(self, on_event=None):
        self.events = []
        self.arrived = threading.Condition()
        self.on_event = on_event

    def ice_invoke(self, params, current):
        with self.arrived:
            self.events.append((current.operation, str(current.mode), dict(current.ctx), bytes(params), current.requestId != 0))
            self.arrived.notify_all()
        if self.on_event and not self.on_event(current.operation, current):
            return False, EXCEPTION
        return True, NOTHING

    def operations(self):
        with self.arrived:
            return [e[0] for e in self.events]

    def await_count(self, count, timeout=PATIENCE):
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(self.events) >= count, timeout):
                raise Failure("%d events wanted, %d came" % (count, len(self.events)))
            return list(self.events)


class Subscribers:
    """An adapter of the test, and inboxes in it by name."""

    def __init__(self, d, threads=1, endpoints="tcp -h 127.0.0.1"):
        self.communicator = d.communicator(Ice__ThreadPool__Server__Size=str(threads),
                                           Ice__ThreadPool__Server__SizeMax=str(threads))
        self.adapter = self.communicator.createObjectAdapterWithEndpoints("Subscribers", endpoints)
        self.adapter.activate()

    def add(self, name, mode="", on_event=None):
        """(inbox, proxy); mode is an option of proxies in text, as "-o"."""
        inbox = Inbox(on_event)
        prx = self.adapter.add(inbox, Ice.stringToIdentity(name))
        if mode:
            prx = {"-o": prx.ice_oneway, "-O": prx.ice_batchOneway, "-d": prx.ice_datagram, "-D": prx.ice_batchDatagram}[mode]()
        return inbox, prx


def emit(publisher, operation, params=NOTHING, mode=Ice.OperationMode.Normal, context=None):
    return publisher.ice_invoke(operation, mode, params, context)
