# SPDX-License-Identifier: Apache-2.0
"""_ovrd where requests leave in batches: the last of a kind arrives. ZeroC's router loses it, so this is no comparison."""

from lib.probe import Probe, Server

from . import check
from .operators import log_in


def in_batches(d):
    server = Server(d)
    d.extras["server"] = server
    d.start_router(registries=(), Glacier2__Client__AlwaysBatch="1", Glacier2__Client__SleepTime="200")
    c, router = log_in(d, "alice")
    c.setDefaultRouter(router)
    target = Probe.TargetPrx.uncheckedCast(c.stringToProxy(server.proxy_text)).ice_oneway()
    target.put(0)
    server.target.await_numbers(1)
    for n in range(1, 11):
        target.put(n, {"_ovrd": "a"})
    target.put(100)
    got = server.target.await_numbers(2)
    check(got == [10, 100], got)


CASES = [in_batches]
