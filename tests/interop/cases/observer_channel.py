# SPDX-License-Identifier: Apache-2.0
"""Observers as subscribers: what the registry's metrics map Subscriber and its traces Topic and Subscriber tell of them.
The original has an internal IceStorm for them, which gives them identities and endpoints of its own and forgets one that
failed with the next event: these are not compared, nor its traces of its topics' creation."""

import re

import Ice
import IceGrid
import IceMX
import IceStorm  # the classes of the metrics

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

KINDS = (("registry", IceGrid.RegistryObserver, IceGrid.RegistryObserverPrx),
         ("node", IceGrid.NodeObserver, IceGrid.NodeObserverPrx),
         ("application", IceGrid.ApplicationObserver, IceGrid.ApplicationObserverPrx),
         ("adapter", IceGrid.AdapterObserver, IceGrid.AdapterObserverPrx),
         ("object", IceGrid.ObjectObserver, IceGrid.ObjectObserverPrx))
GROUPS = ("parent", "topic", "service", "facet", "encoding", "mode", "link", "state", "qos.reliability", "qos.retryCount",
          "parent/mode", "nonsense")


def watched(flavour, level):
    d = Deployment(flavour)
    d.extras["seen"] = 0
    d.start_registry(IceGrid__Registry__Trace__Topic=str(level), IceGrid__Registry__Trace__Subscriber=str(level), **{
        "IceMX__Metrics__By-%d__Map__%s__GroupBy" % (n, m): group
        for n, group in enumerate(GROUPS) for m in ("Subscriber", "Topic")})
    return d


def silent(base):
    """An observer that takes every call."""
    operations = {n: (lambda self, *_: None) for n in dir(base) if not n.startswith(("_", "ice_"))}
    return type("Silent", (base,), operations)()


def observe(d, session, kinds=KINDS):
    """The adapter of new observers of these kinds."""
    c = d.communicator()
    adapter = c.createObjectAdapterWithEndpoints("", "tcp -h 127.0.0.1")
    adapter.activate()
    chosen = [prx.uncheckedCast(adapter.add(silent(base), Ice.Identity(name, "watch"))) if (name, base, prx) in kinds else None
              for name, base, prx in KINDS]
    session.setObservers(*chosen)
    return c


def metrics(d):
    c = d.communicator()
    return IceMX.MetricsAdminPrx.uncheckedCast(c.stringToProxy("Demo/RegistryAdmin-Master:" + d.endpoint("Master.Internal")),
                                               "Metrics")


def step(d, r, label, until=None, count=1):
    """The lines that have not been recorded yet."""
    def fresh():
        lines = [re.sub(r"^-- \S+ \S+ registry: ", "", line) for line in d.daemons["Master"].stderr().splitlines()
                 if line.startswith("-- ") and not line.endswith("from: error to: reaped")]
        return lines[d.extras["seen"]:]
    if until:
        wait_until(lambda: sum(until in line for line in fresh()) >= count, "`%s' in the log" % until)
    entries = fresh()
    d.extras["seen"] += len(entries)
    r.value(label, [masked(r.text(e)) for e in entries])


def masked(line):
    line = re.sub(r"(<uuid>|watch/\w+)", "<observer>", line)
    line = re.sub(r"-p (<Master.Internal>|<port>)", "-p ...", line)
    line = re.sub(r"QoS: .*", "QoS: ...", line)
    line = re.sub(r"errored out: .*", "errored out: ...", line)
    return re.sub(r"^Subscriber: (<observer> )?(endpoints: .* transition)", r"Subscriber: \2", line)


def counts(d, r):
    session, admin = d.admin(d.communicator())
    observe(d, session)
    step(d, r, "observed", "ObjectObserver-1.1: subscribe")
    admin.addApplication(dd.application("App", {}))
    admin.addObjectWithType(d.communicator().stringToProxy("x:tcp -h 127.0.0.1 -p 9"), "::X")
    admin.removeApplication("App")
    view = metrics(d)

    def delivered():
        found = view.getMetricsView("By-0")[0]
        return {e.id: e.delivered for e in found["Subscriber"]}
    wanted = {"ApplicationObserver-1.1": 3, "ObjectObserver-1.1": 2, "RegistryObserver-1.1": 1, "NodeObserver-1.1": 1,
              "AdapterObserver-1.1": 1}
    wait_until(lambda: delivered() == wanted, "what was delivered")
    for n, group in enumerate(GROUPS):
        found = view.getMetricsView("By-%d" % n)[0]
        r.value(group, [(m, [(type(e).__name__, {k: v for k, v in vars(e).items() if k != "totalLifetime"})
                             for e in found[m]]) for m in sorted(found)])
    session.destroy()
    step(d, r, "session's end", "ObjectObserver-1.1: unsubscribe")
    r.value("gone", [(e.id, e.current) for e in view.getMetricsView("By-0")[0]["Subscriber"]])


def fails(d, r):
    session, admin = d.admin(d.communicator())
    c = observe(d, session, KINDS[2:3])
    step(d, r, "observed", "ApplicationObserver-1.1: subscribe")
    c.destroy()
    d.communicators.remove(c)
    admin.addApplication(dd.application("Lost", {}))
    if d.extras["level"]:
        step(d, r, "lost", "errored out")
    admin.removeApplication("Lost")
    step(d, r, "after")


def quiet(d, r):
    session, admin = d.admin(d.communicator())
    observe(d, session)
    admin.addApplication(dd.application("App", {}))
    admin.removeApplication("App")
    session.destroy()
    r.value("stderr", d.daemons["Master"].stderr())


def plan():
    for level in (1, 2):
        def setup(flavour, n=level):
            d = watched(flavour, n)
            d.extras["level"] = n
            return d
        yield "level %d" % level, setup, [counts, fails]
    yield "level 0", lambda f: watched(f, 0), [quiet]
