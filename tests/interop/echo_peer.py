#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The server of the captured calls (ice-protocol 24) in Python: what echo_server is compared with."""

import os
import sys
import threading

import Ice

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
Ice.loadSlice(os.path.join(DATA, "Vec.ice"))
import Vec  # noqa: E402


class Servant(Vec.I):
    def noargs(self, current=None):
        pass

    def add(self, a, b, current=None):
        return a + b

    def getName(self, current=None):
        return "server"

    def echo(self, s, current=None):
        if not s.startswith("sleep"):
            return s
        future = Ice.Future()
        threading.Timer(float(s[5:]), future.set_result, (s,)).start()
        return future

    def opOpt(self, a, s, p, current=None):
        return (Ice.Unset, Ice.Unset) if s is Ice.Unset else (5, "out")

    def opBase(self, b, current=None):
        return b

    def opBases(self, b, current=None):
        return b

    def opNode(self, n, current=None):
        pass

    def opNodes(self, n, current=None):
        pass

    def opProxy(self, p, current=None):
        pass

    def addCb(self, cb, current=None):
        future = Ice.Future()
        fixed = Vec.CBPrx.uncheckedCast(current.con.createProxy(cb.ice_getIdentity()))
        fixed.helloAsync("callback").add_done_callback(lambda f: future.set_result(1))
        return future

    def shutdown(self, current=None):
        current.adapter.getCommunicator().shutdown()

    def ex0(self, current=None):
        raise Vec.E0()

    def ex1(self, current=None):
        raise Vec.E1("why")

    def ex2(self, current=None):
        raise Vec.E2("why", 3)

    def exOpt(self, current=None):
        raise Vec.EOpt(1, 2, "s")

    def exClass(self, current=None):
        raise Vec.EClass(Vec.Derived(6, "d"))

    ex0s, ex1s, ex2s, exOpts, exClasss = ex0, ex1, ex2, exOpt, exClass

    def exUndeclared(self, current=None):
        raise Vec.E2("why", 3)

    def exUnknown(self, current=None):
        raise Ice.UnknownException("boom")

    def exLocal(self, current=None):
        raise Ice.UnknownLocalException("::Ice::TimeoutException")


def main():
    with Ice.initialize(sys.argv) as communicator:
        for argument in sys.argv[1:]:
            key, _, value = argument.lstrip("-").partition("=")
            communicator.getProperties().setProperty(key, value)
        adapter = communicator.createObjectAdapter("Echo")
        servant = Servant()
        adapter.add(servant, Ice.stringToIdentity("cat/obj"))
        adapter.addFacet(servant, Ice.stringToIdentity("cat/obj"), "face")
        adapter.add(servant, Ice.stringToIdentity("o"))
        adapter.activate()
        communicator.waitForShutdown()


if __name__ == "__main__":
    main()
