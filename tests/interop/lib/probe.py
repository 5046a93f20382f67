# SPDX-License-Identifier: Apache-2.0
"""The Probe application (tests/data/Probe.ice): its servant, and a server that holds it in a communicator of its own."""

import os
import threading
import time

from .bindings import Ice

from .deployment import DATA

Ice.loadSlice(os.path.join(DATA, "Probe.ice"))
import Probe  # noqa: E402  (the line above makes the module)


class TargetI(Probe.Target):
    def __init__(self, name=""):
        self.name = name
        self.lock = threading.Condition()
        self.numbers = []
        self.contexts = []
        self.callback = None

    def echo(self, text, current):
        return text

    def move(self, start, c, current):
        return Probe.Point(start.x + 1, start.y - 1), Probe.Colour.valueOf((c.value + 1) % 3)

    def draw(self, s, current):
        return Probe.Circle("around " + s.name if s else "around nothing", 2.5, s)

    def maybe(self, a, b, current):
        return Ice.Unset if a is Ice.Unset else "%s/%s" % (a, "unset" if b is Ice.Unset else b)

    def blob(self, size, current):
        return bytes(i % 251 for i in range(size))

    def context(self, current):
        return {k: v for k, v in current.ctx.items() if not k.startswith("_con.")}

    def facetName(self, current):
        return self.name + "/" + current.facet

    def put(self, n, current):
        with self.lock:
            self.numbers.append(n)
            self.lock.notify_all()

    def await_numbers(self, count, timeout=20):
        with self.lock:
            self.lock.wait_for(lambda: len(self.numbers) >= count, timeout)
            numbers, self.numbers = self.numbers, []
        return numbers

    def taken(self, current):
        with self.lock:
            numbers, self.numbers = self.numbers, []
        return numbers

    def fault(self, kind, current):
        if kind == "problem":
            raise Probe.Problem("asked for")
        if kind == "worse":
            raise Probe.WorseProblem("asked for", 42)
        if kind == "object":
            raise Ice.ObjectNotExistException(Ice.Identity("gone", "cat"), "f", "op")
        if kind == "facet":
            raise Ice.FacetNotExistException(Ice.Identity("gone", "cat"), "f", "op")
        if kind == "operation":
            raise Ice.OperationNotExistException(Ice.Identity("gone", "cat"), "f", "op")
        if kind == "local":
            raise Ice.TimeoutException()
        if kind == "unknown":
            raise ValueError("no Ice exception at all")
        if kind == "undeclared":
            raise Probe.Undeclared("asked for")

    def subscribe(self, cb, current):
        self.callback = cb

    def ask(self, question, current):
        return self.callback.answer(question)

    def askToFail(self, reason, current):
        try:
            self.callback.fail(reason)
        except Probe.Problem as e:
            return "Problem " + e.reason
        except Ice.Exception as e:
            return e.ice_id()
        return "nothing"

    def notify(self, count, current):
        oneway = Probe.CallbackPrx.uncheckedCast(self.callback.ice_oneway())
        for n in range(count):
            oneway.note(n)

    def sleep(self, milliseconds, current):
        time.sleep(milliseconds / 1000.0)


class CallbackI(Probe.Callback):
    def __init__(self):
        self.lock = threading.Condition()
        self.notes = []

    def note(self, n, current):
        with self.lock:
            self.notes.append(n)
            self.lock.notify_all()

    def await_notes(self, count, timeout=20):
        with self.lock:
            self.lock.wait_for(lambda: len(self.notes) >= count, timeout)
            return list(self.notes)

    def answer(self, question, current):
        return question.upper()

    def fail(self, reason, current):
        raise Probe.Problem(reason)


class Server:
    """An application server: an adapter on a free port with one target, its name the identity (and a facet of it), one dispatch at a time
    unless there are more threads."""

    def __init__(self, deployment, adapter_id="", replica_group="", name="probe", register=False, threads=1):
        more = {"ProbeAdapter__Endpoints": deployment.endpoint(name), "ProbeAdapter__ThreadPool__Size": str(threads)}
        if adapter_id:
            more["ProbeAdapter__AdapterId"] = adapter_id
        if replica_group:
            more["ProbeAdapter__ReplicaGroupId"] = replica_group
        if register:
            more["Ice__Default__Locator"] = deployment.locator()
        self.communicator = deployment.communicator(who="server", **more)
        self.adapter = self.communicator.createObjectAdapter("ProbeAdapter")
        self.target = TargetI(name)
        self.facet = TargetI(name + "-facet")
        self.adapter.add(self.target, Ice.stringToIdentity(name))
        self.adapter.addFacet(self.facet, Ice.stringToIdentity(name), "side")
        self.adapter.activate()
        self.proxy_text = name + ":" + deployment.endpoint(name)

    def proxy(self, communicator):
        return Probe.TargetPrx.uncheckedCast(communicator.stringToProxy(self.proxy_text))
