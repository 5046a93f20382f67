# SPDX-License-Identifier: Apache-2.0
"""An administrator with observers, and what they heard."""

import threading

from .bindings import Ice, IceGrid


NAMES = ("registry", "node", "application", "adapter", "object")


class Events:
    """What arrived, in the order of arrival, one list an observer."""

    def __init__(self):
        self.lock = threading.Condition()
        self.calls = {name: [] for name in NAMES}

    def add(self, name, operation, arguments, current):
        context = {k: v for k, v in current.ctx.items() if not k.startswith("_con.")}
        with self.lock:
            self.calls[name].append((operation, arguments, context, str(current.mode), current.encoding.minor))
            self.lock.notify_all()

    def take(self, name, count, timeout=20):
        with self.lock:
            self.lock.wait_for(lambda: len(self.calls[name]) >= count, timeout)
            calls, self.calls[name] = self.calls[name], []
        return calls

    def idle(self):
        with self.lock:
            return {n: [c[0] for c in self.calls[n]] for n in NAMES if self.calls[n]}


def observer(base, operations, name, events, fail=None):
    def method(operation):
        def call(self, *arguments):
            events.add(name, operation, arguments[:-1], arguments[-1])
            if fail:
                fail(operation)
        return call
    return type(base.__name__ + "I", (base,), {o: method(o) for o in operations})()


def servants(events, fail=None):
    """In the order of setObservers."""
    return [observer(IceGrid.RegistryObserver, ("registryInit", "registryUp", "registryDown"), "registry", events, fail),
            observer(IceGrid.NodeObserver, ("nodeInit", "nodeUp", "nodeDown", "updateServer", "updateAdapter"), "node", events,
                     fail),
            observer(IceGrid.ApplicationObserver, ("applicationInit", "applicationAdded", "applicationRemoved",
                                                   "applicationUpdated"), "application", events, fail),
            observer(IceGrid.AdapterObserver, ("adapterInit", "adapterAdded", "adapterUpdated", "adapterRemoved"), "adapter",
                     events, fail),
            observer(IceGrid.ObjectObserver, ("objectInit", "objectAdded", "objectUpdated", "objectRemoved"), "object",
                     events, fail)]


class Watcher:
    """An administrator with observers of its own: by identity over its connection, or by proxy."""

    def __init__(self, d, replica="Master", by_proxy=False, fail=None, user="watcher", encoding=None):
        self.d = d
        self.events = Events()
        self.communicator = d.communicator(Ice__ThreadPool__Client__Size="4")  # one may hang
        self.session, self.admin = d.admin(self.communicator, replica, user)
        self.by_proxy = by_proxy
        if by_proxy:
            self.adapter = self.communicator.createObjectAdapterWithEndpoints("Watcher", "tcp -h 127.0.0.1")
        else:
            self.adapter = self.communicator.createObjectAdapter("")
            d.registry_proxy(self.communicator, replica).ice_getConnection().setAdapter(self.adapter)
        self.proxies = [self.adapter.add(s, Ice.Identity(n, "w")) for n, s in zip(NAMES, servants(self.events, fail))]
        if encoding:
            self.proxies = [p.ice_encodingVersion(encoding) for p in self.proxies]
        self.adapter.activate()

    def watch(self, *names):
        """Only these; all when none is given."""
        wanted = [n in names or not names for n in NAMES]
        if self.by_proxy:
            casts = (IceGrid.RegistryObserverPrx, IceGrid.NodeObserverPrx, IceGrid.ApplicationObserverPrx,
                     IceGrid.AdapterObserverPrx, IceGrid.ObjectObserverPrx)
            self.session.setObservers(*[c.uncheckedCast(p) if w else None
                                        for c, p, w in zip(casts, self.proxies, wanted)])
        else:
            self.session.setObserversByIdentity(*[Ice.Identity(n, "w") if w else Ice.Identity()
                                                  for n, w in zip(NAMES, wanted)])

    def show(self, r, label, name, count, only=None):
        for operation, arguments, context, mode, minor in self.events.take(name, count):
            shown = [brief(a) for a in arguments] if only is None else [only(a) for a in arguments]
            r.value("%s: %s" % (label, operation), (shown, context, mode, minor))

    def silent(self, r, label):
        """Nothing more has come once a later call was answered."""
        self.session.keepAlive()
        r.value(label, self.events.idle())

    def leave(self):
        self.d.drop(self.communicator)


def brief(value):
    """Registries by name; the host and the node's content are this machine's."""
    if isinstance(value, IceGrid.RegistryInfo):
        return value.name
    if isinstance(value, list):
        return [brief(v) for v in value]
    return value
