# SPDX-License-Identifier: Apache-2.0
"""A gateway of several workers is one gateway: callbacks and session control reach their session wherever they arrive,
limits and penalties count for all, operators see and end everything, a reload is in force everywhere, and it ends clean."""

import functools
import json
import os
import re
import signal
import sys
import threading

from lib.bindings import Glacier2, Ice
from lib.probe import CallbackI, Probe, Server
from lib.process import wait_until

import IceMX

from . import check
from .certificates import tls12
from .operators import SLICE, alive, listed, log_in, sessions

WORKERS = 4
CLIENTS = 8


def gateway(d, **more):
    settings = {"Ice__Admin__Endpoints": d.endpoint("router.Admin"), "Ice__Admin__InstanceName": "router",
                "Moulin__Workers": str(WORKERS), "Moulin__Gateway__AuditLog": d.path("router.audit")}
    return d.start_router(registries=(), **dict(settings, **more))


def threads(daemon):
    """Names of the workers' threads."""
    tasks = "/proc/%d/task" % daemon.pid
    names = [open(os.path.join(tasks, t, "comm")).read().strip() for t in os.listdir(tasks)]
    return sorted(n for n in names if n.startswith("moulin-gw-"))


def with_callback(d, user):
    """(communicator, router, servant, its proxy) of a client that can be called back."""
    c = d.communicator()
    router = d.router_proxy(c)
    router.createSession(user, "x")
    adapter = c.createObjectAdapterWithRouter("", router)
    servant = CallbackI()
    prx = adapter.add(servant, Ice.Identity(user, router.getCategoryForClient()))
    adapter.activate()
    return c, router, servant, prx


def called_by(c, proxies, text):
    """Twoways, oneways and a batch from one connection to every client."""
    for n, prx in enumerate(proxies):
        prx = Probe.CallbackPrx.uncheckedCast(c.stringToProxy(text(prx)))
        check(prx.answer("who %d" % n) == "WHO %d" % n, "the wrong answer")
        big = "x" * 300000
        check(prx.answer(big) == big.upper(), "a large answer")
        try:
            prx.fail("why")
            check(False, "no exception")
        except Probe.Problem as e:
            check(e.reason == "why", e.reason)
        oneway = Probe.CallbackPrx.uncheckedCast(prx.ice_oneway())
        for i in range(20):
            oneway.note(i)
        batch = Probe.CallbackPrx.uncheckedCast(prx.ice_batchOneway())
        for i in range(20, 40):
            batch.note(i)
        batch.ice_flushBatchRequests()


def callbacks(d, **more):
    daemon = gateway(d, **more)
    wait_until(lambda: threads(daemon) == ["moulin-gw-%d" % n for n in range(1, WORKERS)], lambda: threads(daemon))
    clients = [with_callback(d, "user%d" % n) for n in range(CLIENTS)]
    proxies = [prx for _, _, _, prx in clients]
    direct = [str(prx.ice_getEndpoints()[0]) for prx in proxies]
    servers = [d.communicator() for _ in range(WORKERS)]
    for c in servers:
        called_by(c, proxies, str)
        for _, _, servant, _ in clients:
            check(servant.await_notes(40) == list(range(40)), "notes in order: %s" % servant.notes)
            servant.notes.clear()
    stray = servers[0].stringToProxy("nobody/AAAAAAAAAAAAAAAAAAAA:" + direct[0])
    for letter in "ABCDEFGHIJ":  # whoever would own such a token says that there is none
        try:
            stray.ice_identity(Ice.Identity("nobody", letter * 20)).ice_ping()
            check(False, "nobody answered")
        except Ice.ObjectNotExistException:
            pass
    return clients, proxies, servers, direct


def one_server_port(d):
    """Every connection of servers reaches every client, whoever accepted it."""
    _, _, _, direct = callbacks(d)
    check(len(set(direct)) == 1, direct)


def a_server_port_each(d):
    """With ports of its own choice each worker has one; a callback by another worker's port arrives, too."""
    _, proxies, servers, direct = callbacks(d, Glacier2__Server__Endpoints="tcp -h 127.0.0.1")
    ports = set(direct)
    check(len(ports) == WORKERS, ports)
    for endpoint in ports:
        called_by(servers[0], proxies, lambda prx: "%s:%s" % (servers[0].identityToString(prx.ice_getIdentity()), endpoint))


def clients_call_clients(d):
    """Through the router, from every worker to every worker. The callers have no adapters: else Ice takes all objects at
    the router's server endpoint for its own."""
    gateway(d, Glacier2__Server__ForwardContext="1", Glacier2__Client__ForwardContext="1")
    called = [with_callback(d, "user%d" % n) for n in range(CLIENTS)]
    callers = []
    for n in range(WORKERS):
        c, router = log_in(d, "caller%d" % n)
        c.setDefaultRouter(router)
        callers.append(c)
    for c in callers:
        for _, _, _, prx in called:
            other = Probe.CallbackPrx.uncheckedCast(c.stringToProxy("%s" % prx))
            check(other.answer("there?", {"_fwd": "t"}) == "THERE?", "no answer")
            try:
                other.fail("because")
                check(False, "no exception")
            except Probe.Problem as e:
                check(e.reason == "because", e.reason)
    _, router, _, prx = called[-1]
    router.destroySession()
    for c in callers:
        try:
            Probe.CallbackPrx.uncheckedCast(c.stringToProxy("%s" % prx)).answer("gone?")
            check(False, "a session that is over was reached")
        except Ice.ObjectNotExistException:
            pass


def session_control(d):
    """A manager's control works by every connection: its sets, and the end of its session."""
    class Manager(Glacier2.SessionManager):
        controls = {}

        def create(self, user, control, current):
            self.controls[user] = str(control)

    adapter = d.communicator().createObjectAdapterWithEndpoints("Manager", d.endpoint("manager"))
    adapter.add(Manager(), Ice.stringToIdentity("manager"))
    adapter.activate()
    gateway(d, Glacier2__SessionManager="manager:" + d.endpoint("manager"))
    routers = [log_in(d, "user%d" % n)[1] for n in range(CLIENTS)]
    for n in range(WORKERS):
        c = d.communicator()
        for user, text in Manager.controls.items():
            control = Glacier2.SessionControlPrx.uncheckedCast(c.stringToProxy(text))
            control.categories().add(["cat%d" % n])
            check(control.categories().get() == ["cat%d" % k for k in range(n + 1)], control.categories().get())
            check(control.getSessionTimeout() == 0, "the timeout")
    Glacier2.SessionControlPrx.checkedCast(c.stringToProxy(Manager.controls["user3"])).destroy()
    check([alive(r) for r in routers] == [n != 3 for n in range(CLIENTS)], "the wrong session ended")
    try:
        c.stringToProxy(Manager.controls["user3"]).ice_ping()
        check(False, "its control is still there")
    except Ice.ObjectNotExistException:
        pass


def outcomes(d, users, password="x"):
    """What becomes of logins, each on a connection of its own."""
    found = []
    for user in users:
        try:
            found.append(log_in(d, user, password=password)[1] and "in")
        except (Glacier2.PermissionDeniedException, Glacier2.CannotCreateSessionException) as e:
            found.append(e.reason)
        except Ice.ConnectionLostException:
            found.append("cut")
    return found


def limits(d):
    daemon = gateway(d, Moulin__Gateway__MaxSessions="5", Moulin__Gateway__MaxSessionsPerUser="2",
                     Moulin__Gateway__MaxConnections="9")
    found = outcomes(d, ["alice"] * 4)
    check(found[:2] == ["in", "in"] and all("the user has as many" in t for t in found[2:]), found)
    found = outcomes(d, ["u%d" % n for n in range(5)])
    check(found[:3] == ["in"] * 3 and all("the router has as many" in t for t in found[3:]), found)
    check(outcomes(d, ["tenth", "eleventh"]) == ["cut", "cut"], "more connections than may be")
    status = json.loads(sessions(d, "--json", "status")[0])
    check((status["sessions"], status["connections"], status["guests"]) == (5, 9, 4), status)
    for c in d.communicators[:]:
        d.drop(c)
    wait_until(lambda: json.loads(sessions(d, "--json", "status")[0])["connections"] == 0, "the end of all connections")
    check(outcomes(d, ["alice"] * 2 + ["bob"]) == ["in"] * 3, "what ended still counts")
    check(daemon.alive(), "the gateway ended")


def guests_make_room(d):
    """A connection without a session goes for a new one, whichever worker has it."""
    gateway(d, Moulin__Gateway__MaxUnauthenticated="6")
    stays = [log_in(d, "user%d" % n)[1] for n in range(3)]
    idle = [d.router_proxy(d.communicator()) for _ in range(20)]
    for router in idle:
        router.ice_ping()
    check(outcomes(d, ["user%d" % n for n in range(10)]) == ["in"] * 10, "an honest login found no room")
    status = json.loads(sessions(d, "--json", "status")[0])
    check(status["guests"] <= 6 and status["sessions"] == 13, status)
    check(all(map(alive, stays)), "a session was ended")


def throttle(d):
    """Failures count wherever they happen, and so do penalties."""
    gateway(d, Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords=d.password_file(),
            Moulin__Gateway__Throttle__Failures="3", Moulin__Gateway__Throttle__MaxPenalty="60")
    check(outcomes(d, ["alice"] * 3, "wrong") == ["permission denied"] * 3, "free failures")
    reasons = outcomes(d, ["alice"] * 16, "wrong")
    check(sum("too many failed logins" in t for t in reasons) >= 8, reasons)
    refused = outcomes(d, ["alice"] * 8, "wonderland")
    check(all("too many failed logins" in t for t in refused[4:]), refused)


def operators(d):
    gateway(d)
    routers = {}
    for n in range(3 * WORKERS):
        routers["user%02d" % n] = log_in(d, "user%02d" % n)[1]
    twins = [log_in(d, "twin")[1] for _ in range(WORKERS)]
    found = [json.loads(line) for line in sessions(d, "--json", "list")]
    numbers = [int(s["id"].split("-")[1]) for s in found]
    check(numbers == list(range(1, 4 * WORKERS + 1)), numbers)
    check({s["user"] for s in found} == set(routers) | {"twin"}, found)
    for user in ("user00", "user01", "user02", "user03"):
        number = [s["id"] for s in found if s["user"] == user][0]
        check(any(line.split() == ["user", user] for line in sessions(d, "show", number)), user)
        sessions(d, "end", number)
        check(not alive(routers.pop(user)), "%s lives on" % user)
    check("error:" in sessions(d, "end", number, status=1)[-1], "ended twice")
    check(sessions(d, "end-user", "twin") == ["%d ended" % WORKERS], "twins")
    check(not any(map(alive, twins)) and all(map(alive, routers.values())), "the wrong sessions were ended")
    sessions(d, "drain")
    check(all(map(alive, routers.values())), "draining ended a session")
    for _ in range(WORKERS):
        try:
            log_in(d, "late")
            check(False, "a session was created")
        except (Ice.ConnectionLostException, Ice.ConnectionRefusedException):
            pass
    sessions(d, "undrain")
    check(outcomes(d, ["late"] * WORKERS) == ["in"] * WORKERS, "no session after undrain")
    sessions(d, "drain", "0")
    wait_until(lambda: not any(map(alive, routers.values())), "the end of the sessions left")
    with open(d.path("router.audit")) as f:
        lines = [json.loads(line) for line in f]
    created = [e["session"] for e in lines if e["event"] == "session created"]
    check(len(created) == len(set(created)) == 5 * WORKERS, "sessions share a number: %s" % created)


def reload(d):
    """Passwords, limits and filters change for everybody, or for nobody."""
    daemon = gateway(d, Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords=d.password_file(),
                     Moulin__Gateway__MaxSessionsPerUser="100")
    stays = [log_in(d, "alice", password="wonderland")[1] for _ in range(WORKERS)]
    config = open(d.path("router.cfg")).read()
    with open(d.path("passwords")) as f:
        without = "".join(line for line in f if not line.startswith("bob"))
    with open(d.path("passwords"), "w") as f:
        f.write(without)
    with open(d.path("router.cfg"), "w") as f:
        f.write(config.replace("PerUser=100", "PerUser=%d" % (WORKERS + 2)))
    sessions(d, "reload")
    check(outcomes(d, ["bob"] * WORKERS, "builder") == ["permission denied"] * WORKERS, "an old password is in force")
    found = outcomes(d, ["alice"] * 4, "wonderland")
    check(found[:2] == ["in"] * 2 and all("as many" in t for t in found[2:]), found)
    with open(d.path("router.cfg"), "w") as f:
        f.write(config.replace("PerUser=100", "PerUser=50\nGlacier2.Filter.Address.Reject=[nonsense"))
    check("error" in sessions(d, "reload", status=1)[-1], "a wrong filter was taken")
    found = outcomes(d, ["alice"] * WORKERS, "wonderland")
    check(all("as many" in t for t in found), "a limit of the refused configuration is in force: %s" % found)
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.stderr().count("was not reloaded") == 2, "the signal's reload")
    check(all(map(alive, stays)), "a session was ended")


def load_metrics():
    sys.modules.setdefault("Ice_Metrics_ice", sys.modules["Ice.Metrics_ice"])  # what loadSlice calls an included file
    Ice.loadSlice("", ["-I" + SLICE, os.path.join(SLICE, "Moulin", "Metrics.ice")])


def metrics(d):
    """One view of all workers; a view that is switched on later counts everywhere."""
    load_metrics()
    gateway(d, IceMX__Metrics__All__Map__Session__GroupBy="id", IceMX__Metrics__All__Map__Gateway__GroupBy="id",
            IceMX__Metrics__All__Map__Thread__GroupBy="id", IceMX__Metrics__Later__Map__Session__GroupBy="parent",
            IceMX__Metrics__Later__Disabled="1")
    routers = [log_in(d, "user%d" % n)[1] for n in range(CLIENTS)]
    admin = IceMX.MetricsAdminPrx.checkedCast(
        d.communicator().stringToProxy("router/admin -f Metrics:" + d.endpoint("router.Admin")))
    view = admin.getMetricsView("All")[0]
    check([e.id for e in view["Session"]] == ["user%d" % n for n in range(CLIENTS)], view["Session"])
    check([(e.id, e.total, e.current, e.loginsAccepted, e.sessions, e.connections) for e in view["Gateway"]] ==
          [("Gate", 1, 1, CLIENTS, CLIENTS, CLIENTS)], view["Gateway"])
    check([e.id for e in view["Thread"]] == ["Ice.ThreadPool.Server-%d" % n for n in range(WORKERS)], view["Thread"])
    admin.enableMetricsView("Later")
    routers.append(log_in(d, "late")[1])
    check([(e.id, e.current) for e in admin.getMetricsView("Later")[0]["Session"]] == [("Gate", CLIENTS + 1)],
          admin.getMetricsView("Later")[0]["Session"])
    admin.disableMetricsView("Later")
    check(admin.getMetricsViewNames() == (["All"], ["Later"]), admin.getMetricsViewNames())


def log_of_all(d):
    """The Logger facet has the lines of every worker, and none of them is torn."""
    daemon = gateway(d, Glacier2__Trace__Session="1", Ice__Admin__Logger__KeepTraces="1000")
    for n in range(3 * WORKERS):
        log_in(d, "user%d" % n)[1].destroySession()
    log = Ice.LoggerAdminPrx.uncheckedCast(
        d.communicator().stringToProxy("router/admin -f Logger:" + d.endpoint("router.Admin")))

    def kept():
        text = "\n".join(m.message for m in log.getLog([Ice.LogMessageType.TraceMessage], ["Glacier2"], -1)[0])
        return sorted(set(re.findall(r"created session\nid = (\w+)\n", text)))
    wanted = sorted("user%d" % n for n in range(3 * WORKERS))
    wait_until(lambda: kept() == wanted, lambda: "sessions of all workers in the facet: %s" % kept())
    written = re.findall(r"-- .* Glacier2: created session\n   id = (\w+)\n   category", daemon.stderr())
    check(sorted(written) == wanted, daemon.stderr())


def resumed(d):
    """A TLS session that one worker began goes on at any other, also after a reload, with which older ones end."""
    daemon = gateway(d)
    _, ticket = tls12(d, "alice")
    check([tls12(d, "alice", ticket)[0] for _ in range(2 * WORKERS)] == [True] * 2 * WORKERS, "resumed at some only")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "was reloaded" in daemon.stderr(), "the reload")
    sessions(d, "reload")  # what comes back is in force everywhere
    check([tls12(d, "alice", ticket)[0] for _ in range(2 * WORKERS)] == [False] * 2 * WORKERS, "old ones live on")
    _, ticket = tls12(d, "alice")
    check([tls12(d, "alice", ticket)[0] for _ in range(2 * WORKERS)] == [True] * 2 * WORKERS, "resumed at some only")


def port_in_use(d):
    """Workers share a port, processes do not."""
    daemon = gateway(d)
    second = d.start("second", "gateway", {
        "Glacier2.InstanceName": "Gate", "Glacier2.Client.Endpoints": d.endpoint("router.Client"),
        "Glacier2.PermissionsVerifier": "Gate/NullPermissionsVerifier", "Moulin.Workers": str(WORKERS)}, None)
    check(second.process.wait(30) == 1, "a second gateway serves the port")
    check("another process uses it" in second.stderr(), second.stderr())
    check(daemon.alive() and alive(log_in(d, "alice")[1]), "the first one suffers")


def ends_under_load(d):
    """SIGTERM while requests, callbacks, logins, reloads and an operator's commands are under way: an orderly end."""
    server = Server(d)
    daemon = gateway(d)
    clients = [with_callback(d, "user%d" % n) for n in range(CLIENTS)]
    callers = d.communicator()
    over = threading.Event()
    done = [0] * 5

    def repeat(slot, action):
        def run():
            while not over.is_set():
                try:
                    action()
                    done[slot] += 1
                except (Ice.Exception, AssertionError, OSError):
                    over.wait(0.01)  # what ends ends
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def requests():
        for c, router, _, _ in clients:
            prx = c.stringToProxy("probe:tcp -h 127.0.0.1 -p %d" % d.port("probe")).ice_router(router)
            Probe.TargetPrx.uncheckedCast(prx).echo("x" * 2000)

    def callbacks():
        for _, _, _, prx in clients:
            Probe.CallbackPrx.uncheckedCast(callers.stringToProxy("%s" % prx)).answer("x" * 2000)

    def logins():
        c = d.communicator()
        try:
            d.router_proxy(c).createSession("passing", "x")
        finally:
            d.drop(c)

    running = [repeat(0, requests), repeat(1, callbacks), repeat(2, logins), repeat(3, lambda: listed(d)),
               repeat(4, lambda: sessions(d, "reload"))]
    wait_until(lambda: min(done) >= 3, lambda: "some of everything: %s" % done, 60)
    check(server.target is not None and daemon.alive(), "the gateway ended")
    status = daemon.stop()
    over.set()
    check(status == 0, "status %d\n%s" % (status, daemon.stderr()))
    for thread in running:
        thread.join(60)
    check("not everything could be closed" not in daemon.stderr(), daemon.stderr())


def clean(case):
    """It ends with status 0, which it does not when a sanitizer has found something."""
    @functools.wraps(case)
    def run(d):
        case(d)
        for daemon in d.daemons.values():
            if daemon.alive():
                check(daemon.stop() == 0, daemon.stderr())
    return run


CASES = list(map(clean, [one_server_port, a_server_port_each, clients_call_clients, session_control, limits, guests_make_room, throttle,
         operators, reload, metrics, log_of_all, resumed, port_in_use, ends_under_load]))
CASES[-3].transport = ("ssl",)
