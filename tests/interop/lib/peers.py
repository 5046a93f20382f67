# SPDX-License-Identifier: Apache-2.0
"""Replicas made of Python, which do what no real one does: acknowledge nothing, claim what is not theirs, stop halfway.
They speak the internal interfaces, generated from our own Slice files."""

import os
import sys
import threading
import types
import uuid

from .bindings import Ice, IceGrid

SLICE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../slice"))

# What Internal.ice includes is in Ice's own packages already, under other module names.
for _name in ("Ice_BuiltinSequences_ice", "Ice_Process_ice", "IceGrid_Admin_ice", "IceGrid_Descriptor_ice",
              "IceGrid_Exception_ice"):
    sys.modules.setdefault(_name, types.ModuleType(_name))
Ice.loadSlice("", ["-I" + SLICE, os.path.join(SLICE, "IceGrid", "Internal.ice")])
sys.modules.setdefault("IceGrid_Internal_ice", types.ModuleType("IceGrid_Internal_ice"))
Ice.loadSlice("", ["-I" + SLICE, os.path.join(SLICE, "Moulin", "Replication.ice")])
import Moulin  # noqa: E402,F401  for the tests

TOPICS = {"application": IceGrid.TopicName.ApplicationObserverTopicName,
          "adapter": IceGrid.TopicName.AdapterObserverTopicName, "object": IceGrid.TopicName.ObjectObserverTopicName}


EMPTY = b"\x06\x00\x00\x00\x01\x01"  # an encapsulation of nothing


class Observer(Ice.Blobject):
    """A DatabaseObserver that answers every message; on_message(topic, operation, serial) says what to acknowledge: a
    failure's text, "" for success, None for nothing at all."""

    def __init__(self, slave, on_message):
        self.slave = slave
        self.on_message = on_message
        self.seen, self.contexts = [], []
        self.arrived = threading.Condition()

    def ice_invoke(self, params, current):
        if current.operation == "ice_ping":
            return True, EMPTY
        topic = next(t for t in TOPICS if current.operation.startswith(t))
        serial = int(current.ctx.get("serial", "-1"))
        with self.arrived:
            self.seen.append((current.operation, serial, current.ctx.get("dbSerial")))
            self.contexts.append(dict(current.ctx))
            self.arrived.notify_all()
        failure = self.on_message(topic, current.operation, serial)
        if failure is not None:
            self.slave.session.begin_receivedUpdate(TOPICS[topic], serial, failure)
        return True, EMPTY


class Internal(Ice.Object):
    """Answers ice_ping: the duplicate check's other side."""


class Slave:
    """One that registers with the registry whose Internal endpoint is given."""

    def __init__(self, d, name, on_message=lambda topic, operation, serial: "", master="Master"):
        self.d = d
        self.name = name
        self.communicator = d.communicator()
        self.adapter = self.communicator.createObjectAdapterWithEndpoints("", "tcp -h 127.0.0.1")
        self.identity = Ice.Identity("InternalRegistry-" + name, d.instance)
        self.proxy = IceGrid.InternalRegistryPrx.uncheckedCast(self.adapter.add(Internal(), self.identity))
        self.observer = Observer(self, on_message)
        self.observer_proxy = IceGrid.DatabaseObserverPrx.uncheckedCast(
            self.adapter.add(self.observer, Ice.Identity(str(uuid.uuid4()), "")))
        self.adapter.activate()
        self.master = IceGrid.InternalRegistryPrx.uncheckedCast(self.communicator.stringToProxy(
            "%s/InternalRegistry-Master:%s" % (d.instance, d.endpoint(master + ".Internal"))))
        self.session = None

    def register(self, name=None, proxy=None):
        info = IceGrid.InternalReplicaInfo(self.name if name is None else name, "host")
        self.session = self.master.registerReplica(info, proxy or self.proxy)
        return self.session

    def synchronize(self, serials=None, **context):
        """Names in the context have "__" for "."."""
        context = {key.replace("__", "."): value for key, value in context.items()}
        self.session.setDatabaseObserver(self.observer_proxy, Ice.Unset if serials is None else serials, context)

    def stay(self, period=2.0):
        """Keeps the session alive from a thread of its own, until the session or the slave ends."""
        self.staying = threading.Event()

        def beat():
            while not self.staying.wait(period):
                try:
                    self.session.keepAlive()
                except Ice.Exception:
                    return
        threading.Thread(target=beat, daemon=True).start()

    def alive(self):
        try:
            self.session.keepAlive()
            return True
        except Ice.LocalException:
            return False

    def close(self):
        if hasattr(self, "staying"):
            self.staying.set()
        self.d.drop(self.communicator)
