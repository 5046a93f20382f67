# SPDX-License-Identifier: Apache-2.0
"""The registry's inner contracts (slice/IceGrid/Internal.ice) for Python, and a node made of them, which lies, is late, or
says nothing as a test wants it to."""

import os
import sys

from .bindings import Ice, IceGrid

_SLICE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "slice"))
for _name in list(sys.modules):  # what our file includes is there already, under the names of the binding's package
    if _name.startswith(("Ice.", "IceGrid.")) and _name.endswith("_ice"):
        sys.modules[_name.replace(".", "_", 1)] = sys.modules[_name]
Ice.loadSlice("", ["-I" + _SLICE, os.path.join(_SLICE, "IceGrid", "Internal.ice")])


class FakeNode(IceGrid.Node):
    """Registers under `name`. on_load(server id, replica) returns loadServer's results (the
    Server's proxy, the Adapters by id, both timeouts), raises, or returns a future."""

    def __init__(self, d, name, replica="Master", identity=None):
        self.name = name
        self.calls = []  # (operation, server id or None)
        self.replicas = []
        self.open = []
        d.on_close.append(self.give_up)
        self.on_load = lambda server, replica: (self.server(server), {}, 10, 10)
        self.communicator = d.communicator()
        self.adapter = self.communicator.createObjectAdapterWithEndpoints("Node", "tcp -h 127.0.0.1")
        self.prx = IceGrid.NodePrx.uncheckedCast(self.adapter.add(
            self, Ice.stringToIdentity(identity or "%s/Node-%s" % (d.instance, name))))
        self.adapter.activate()
        self.registry = IceGrid.InternalRegistryPrx.uncheckedCast(self.communicator.stringToProxy(
            "%s/InternalRegistry-%s:%s" % (d.instance, replica, d.endpoint(replica + ".Internal"))))

    def server(self, id):
        """What loadServer returns: an object that is not there."""
        return IceGrid.ServerPrx.uncheckedCast(self.prx.ice_identity(Ice.Identity(id, "Server")))

    def never(self, server, replica):
        """An on_load that does not answer before the end of the test."""
        self.open.append(Ice.Future())
        return self.open[-1]

    def give_up(self):
        for future in self.open:
            if not future.done():
                future.set_exception(IceGrid.DeploymentException("the test is over"))

    def info(self):
        return IceGrid.InternalNodeInfo(self.name, "Fake", "host", "1", "1", "none", 1, "/nowhere")

    def register(self, prx=None):
        self.session = self.registry.registerNode(self.info(), prx or self.prx, IceGrid.LoadInfo(0.5, 0.5, 0.5))
        self.observer = self.session.getObserver()
        return self.session

    def up(self, name=None, servers=(), adapters=()):
        info = self.info()
        self.observer.nodeUp(IceGrid.NodeDynamicInfo(IceGrid.NodeInfo(
            name or info.name, info.os, info.hostname, info.release, info.version, info.machine, info.nProcessors,
            info.dataDir), list(servers), list(adapters)))

    # ---- Node

    def loadServer(self, server, replica, current):
        self.calls.append(("loadServer", server.id))
        return self.on_load(server.id, replica)

    def loadServerWithoutRestart(self, server, replica, current):
        self.calls.append(("loadServerWithoutRestart", server.id))
        return self.on_load(server.id, replica)

    def destroyServer(self, name, uuid, revision, replica, current):
        self.calls.append(("destroyServer", name))

    def destroyServerWithoutRestart(self, name, uuid, revision, replica, current):
        self.calls.append(("destroyServerWithoutRestart", name))

    def patch(self, feedback, application, server, distribution, shutdown, current):
        self.calls.append(("patch", server))

    def registerWithReplica(self, replica, current):
        self.calls.append(("registerWithReplica", None))

    def replicaInit(self, replicas, current):
        self.replicas = [p.ice_getIdentity().name for p in replicas]
        self.calls.append(("replicaInit", None))

    def replicaAdded(self, replica, current):
        self.replicas.append(replica.ice_getIdentity().name)

    def replicaRemoved(self, replica, current):
        self.replicas.remove(replica.ice_getIdentity().name)

    def getName(self, current):
        return self.name

    def getHostname(self, current):
        return "host"

    def getLoad(self, current):
        return IceGrid.LoadInfo(0.5, 0.5, 0.5)

    def getProcessorSocketCount(self, current):
        return 1

    def shutdown(self, current):
        self.calls.append(("shutdown", None))

    def getOffsetFromEnd(self, name, lines, current):
        raise IceGrid.FileNotAvailableException("no files here")

    def read(self, name, pos, size, current):
        raise IceGrid.FileNotAvailableException("no files here")
