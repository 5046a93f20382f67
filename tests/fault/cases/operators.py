# SPDX-License-Identifier: Apache-2.0
"""What operators do to a running gateway: `moulin gateway sessions`, against real clients."""

import json
import os
import shutil
import signal
import socket
import subprocess

from lib.bindings import Glacier2, Ice
from lib.deployment import MOULIN
from lib.process import wait_until

from . import check
from .logins import login_message

SLICE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../slice")
SESSIONS = 1010  # more than two pages


def gateway(d, name="router", **more):
    d.start_router(name, registries=(), Ice__Admin__Endpoints=d.endpoint(name + ".Admin"), Ice__Admin__InstanceName=name,
                   Moulin__Gateway__AuditLog=d.path(name + ".audit"), **more)


def sessions(d, *words, name="router", status=0):
    """Run the command; its lines."""
    done = subprocess.run([MOULIN, "gateway", "sessions", "--Ice.Config=" + d.path(name + ".cfg")] + list(words),
                          capture_output=True, text=True, timeout=30)
    check(done.returncode == status, "%s: status %d\n%s%s" % (words, done.returncode, done.stdout, done.stderr))
    return (done.stdout + done.stderr).splitlines()


def listed(d):
    return {s["user"]: s for s in map(json.loads, sessions(d, "--json", "list"))}


def log_in(d, user, router=None, password="x"):
    """(communicator, router) of a client whose session is alive."""
    c = d.communicator()
    router = Glacier2.RouterPrx.uncheckedCast(c.stringToProxy(router)) if router else d.router_proxy(c)
    router.createSession(user, password)
    return c, router


def alive(router):
    try:
        router.refreshSession()
        return True
    except (Ice.ConnectionLostException, Ice.ConnectionRefusedException, Ice.CloseConnectionException):
        return False
    except Ice.UserException as e:  # connected anew: there is no session
        check(e.ice_id() == "::Glacier2::SessionNotExistException", e)
        return False


def audited(d, event):
    with open(d.path("router.audit")) as f:
        return [line for line in map(json.loads, f) if line["event"] == event]


def list_show_end(d):
    gateway(d)
    check(listed(d) == {}, "sessions of nobody")
    alice = log_in(d, "alice")[1]
    bobs = [log_in(d, "bob")[1] for _ in range(2)]
    alice.refreshSession()
    mallory = log_in(d, "mal\x1b[31mlory\"\n")[1]
    found = listed(d)
    check(set(found) == {"alice", "bob", "mal\x1b[31mlory\"\n"}, found)
    check(found["alice"]["transport"] == "tcp" and found["alice"]["bytesIn"] > 0, found["alice"])
    check(not any("\x1b" in line for line in sessions(d)), "control characters reach the terminal")
    check(len(sessions(d)) == 5, sessions(d))
    number = found["alice"]["id"]
    shown = sessions(d, "show", number)
    check(any(line.split() == ["user", "alice"] for line in shown), shown)
    status = json.loads(sessions(d, "--json", "status")[0])
    check(status["sessions"] == 4 and status["connections"] == 4 and not status["draining"], status)
    sessions(d, "end", number)
    check(not alive(alice) and all(map(alive, bobs)) and alive(mallory), "the wrong session was ended")
    check(sessions(d, "end-user", "bob") == ["2 ended"], "bob has more or less than two sessions")
    check(not any(map(alive, bobs)) and alive(mallory), "the wrong sessions were ended")
    for words in (("show", number), ("end", "nonsense"), ("nonsense",), ("list", "x"), ("drain", "x")):
        check("error:" in sessions(d, *words, status=1)[-1], words)
    wait_until(lambda: [e["reason"] for e in audited(d, "session ended")] == ["by operator"] * 3, "three lines in the audit log")


def drain(d):
    """New clients go to the next endpoint of their router proxy, those inside stay until the time is over."""
    gateway(d)
    gateway(d, "second")
    both = d.router() + ":" + d.endpoint("second.Client")
    stays = log_in(d, "alice")[1]
    guest = d.router_proxy(d.communicator())
    guest.ice_ping()
    sessions(d, "drain")
    check(alive(stays), "draining ended a session")
    for attempt in (guest, d.router_proxy(d.communicator())):
        try:
            attempt.createSession("bob", "x")
            check(False, "a session was created")
        except (Ice.ConnectionLostException, Ice.ConnectionRefusedException):
            pass
    check(alive(log_in(d, "bob", both)[1]), "the second gateway was not found")
    check(set(listed(d)) == {"alice"}, listed(d))
    sessions(d, "undrain")
    check(alive(log_in(d, "bob")[1]), "no session after undrain")
    sessions(d, "drain", "0")
    wait_until(lambda: not alive(stays), "the end of the sessions left")
    check(json.loads(sessions(d, "--json", "status")[0])["draining"], "not draining any more")


def reload_passwords(d):
    """By command and by signal; what is wrong is told, and the old file stays in force."""
    gateway(d, Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords=d.password_file())
    stays = log_in(d, "alice", password="wonderland")[1]
    shutil.copy(d.path("passwords"), d.path("good"))
    with open(d.path("passwords"), "a") as f:
        f.write("three words here\n")
    check("passwords" in sessions(d, "reload", status=1)[-1], "the file is not named")
    check(alive(log_in(d, "bob", password="builder")[1]), "the old file is not in force")
    with open(d.path("good")) as good, open(d.path("new"), "w") as new:
        new.write("".join(line for line in good if line.startswith("alice")))
    os.replace(d.path("new"), d.path("passwords"))
    sessions(d, "reload")
    try:
        log_in(d, "bob", password="builder")
        check(False, "the new file is not in force")
    except Glacier2.PermissionDeniedException:
        pass
    shutil.copy(d.path("good"), d.path("passwords"))
    d.daemons["router"].signal(signal.SIGHUP)

    def bob_is_back():
        try:
            return log_in(d, "bob", password="builder")
        except Glacier2.PermissionDeniedException:
            return False
    wait_until(bob_is_back, "the file's reading again")
    check(alive(stays), "reloading ended a session")


def facet(d):
    """The facet by a program of its own, which has our Slice file: pages of sessions, what is not there, all operations."""
    Ice.loadSlice(os.path.join(SLICE, "Moulin/Gateway.ice"))
    import Moulin
    gateway(d)
    c = d.communicator()
    prx = Moulin.GatewayAdminPrx.checkedCast(
        c.stringToProxy("router/admin -f Gateway:" + d.endpoint("router.Admin")))
    check(prx is not None, "the facet is not what its contract says")
    check(prx.getSessions("") == [], "sessions of nobody")
    many = [socket.create_connection(("127.0.0.1", d.port("router.Client"))) for _ in range(SESSIONS)]
    for n, peer in enumerate(many):  # all at once, as after a restart: who asks no verifier need not stand in line
        peer.sendall(login_message(1, "user%d" % (n % 7), "x"))
    wait_until(lambda: prx.getStatus().sessions == len(many), "all sessions")
    pages = [prx.getSessions("")]
    while pages[-1]:
        check(len(pages[-1]) <= 500, "%d in a page" % len(pages[-1]))
        pages.append(prx.getSessions(pages[-1][-1].id))
    check(len(pages) > 2, "no page has an end")
    found = [s for page in pages for s in page]
    check(len({s.id for s in found}) == len(found) == SESSIONS, "%d listed" % len(found))
    one = prx.getSession(found[7].id)
    check((one.id, one.user, one.certificate) == (found[7].id, found[7].user, False), one)
    prx.endSession(one.id)
    for gone in (prx.getSession, prx.endSession):
        try:
            gone(one.id)
            check(False, "a session that was ended is there")
        except Moulin.SessionNotFoundException as e:
            check(e.id == one.id, e)
    users = [s.user for s in found if s.id != one.id]
    check(prx.endSessionsOf("user3") == users.count("user3"), "others of the user")
    check(prx.endSessionsOf("user3") == 0, "the user's sessions are still there")
    prx.drain(-1)
    status = prx.getStatus()
    check(status.draining and status.drainSeconds == -1, status)
    check(status.sessions == SESSIONS - 1 - users.count("user3"), status)
    prx.undrain()
    prx.reload()
    check(not prx.getStatus().draining, "still draining")
    for s in many:
        s.close()
    wait_until(lambda: prx.getStatus().connections == 0, "the end of all connections")


CASES = [list_show_end, drain, reload_passwords, facet]
