# SPDX-License-Identifier: Apache-2.0
"""The map Gateway of our own: what it counts, and that a client without its class still reads the base."""

import os
import sys

from lib.bindings import Glacier2, Ice
from lib.deployment import HERE

from . import check

import IceMX  # noqa: E402

SLICE = os.path.normpath(os.path.join(HERE, "..", "..", "..", "slice"))


def gateway_counts(d):
    endpoint = d.endpoint("admin")
    d.start_router(registries=(), Glacier2__PermissionsVerifier=None, Glacier2__SSLPermissionsVerifier=None,
                   Glacier2__CryptPasswords=d.password_file(), Ice__Admin__Endpoints=endpoint,
                   Ice__Admin__InstanceName="Gateway", IceMX__Metrics__V__Map__Gateway__GroupBy="id")
    metrics = IceMX.MetricsAdminPrx.uncheckedCast(
        d.communicator().stringToProxy("Gateway/admin -f Metrics:" + endpoint))
    known = type(metrics.getMetricsView("V")[0]["Gateway"][0])
    check(known is IceMX.Metrics, "a client that does not know the class got a %s" % known)

    sys.modules.setdefault("Ice_Metrics_ice", sys.modules["Ice.Metrics_ice"])  # what loadSlice calls an included file
    Ice.loadSlice("", ["-I" + SLICE, os.path.join(SLICE, "Moulin", "Metrics.ice")])
    c = d.communicator()
    router = d.router_proxy(c)
    try:
        router.createSession("alice", "wrong")
        check(False, "a wrong password is accepted")
    except Glacier2.PermissionDeniedException:
        pass
    router.createSession("alice", "wonderland")
    stray = c.stringToProxy("stray:" + d.endpoint("router.Client")).ice_fixed(router.ice_getConnection())
    for proxy in (stray, c.stringToProxy("nowhere/stray:" + d.endpoint("router.Server"))):
        try:
            proxy.ice_ping()
            check(False, "%s is there" % proxy)
        except Ice.ObjectNotExistException:
            pass
    wanted = {"id": "Gate", "total": 1, "current": 1, "loginsAccepted": 1, "loginsRefused": 1, "requestsRejected": 1,
              "callbacksDropped": 1, "sessions": 1, "connections": 1}

    def counted():
        found, = metrics.getMetricsView("V")[0]["Gateway"]
        return {k: v for k, v in vars(found).items() if v}
    check(counted() == wanted, "%s instead of %s" % (counted(), wanted))
    router.destroySession()
    del wanted["sessions"]
    check(counted() == wanted, "without a session %s instead of %s" % (counted(), wanted))


CASES = [gateway_counts]
