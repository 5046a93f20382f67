# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: limits and filters are read again while sessions go on, and what is wrong changes nothing."""

from lib.bindings import Glacier2, Ice

from . import check
from .certificates import edit, reload
from .operators import alive, log_in


def refused(d, user, word):
    try:
        log_in(d, user)
    except Glacier2.CannotCreateSessionException as e:
        check(word in e.reason, e.reason)
        return
    raise AssertionError("%s got a session" % user)


def limits(d):
    """MaxSessions and MaxSessionsPerUser come and go; sessions there are stay."""
    router = d.start_router(registries=(), Moulin__Gateway__MaxSessions="2", Moulin__Gateway__MaxSessionsPerUser="0")
    inside = [log_in(d, "alice")[1] for _ in range(2)]
    refused(d, "bob", "sessions")
    edit(d, "MaxSessions=2", "MaxSessions=4")
    edit(d, "MaxSessionsPerUser=0", "MaxSessionsPerUser=1")
    reload(router)
    check(all(map(alive, inside)), "a session ended")
    refused(d, "alice", "user")
    bob = log_in(d, "bob")[1]
    edit(d, "MaxSessionsPerUser=1", "MaxSessionsPerUser=0")
    edit(d, "MaxSessions=4", "MaxSessions=many")
    reload(router, "not reloaded")
    check(router.stderr().count("error:") == 1 and "router.cfg:" in router.stderr(), router.stderr())
    refused(d, "alice", "user")  # the other line, which is good, does not count either
    check(all(map(alive, inside + [bob])), "a session ended")


def outcome(c, text):
    """What becomes of a ping: the type of the exception, or ''."""
    try:
        c.stringToProxy(text).ice_ping()
    except Ice.Exception as e:
        return type(e).__name__
    return ""


def enter(d, user):
    c, router = log_in(d, user)
    c.setDefaultRouter(router)
    return c, router


def filters(d):
    """Category filters are those the session began with; address filters count for every proxy from now on."""
    d.start_registry()
    router = d.start_router(Glacier2__Filter__Category__Accept="Demo", Glacier2__Filter__Address__Reject="192.0.2.1")
    query = "Demo/Query:" + d.endpoint("Master.Client")
    early, session = enter(d, "alice")
    check(outcome(early, query) == "", "the filter lets nobody through")
    edit(d, "Category.Accept=Demo", "Category.Accept=Other")
    reload(router)
    late, _ = enter(d, "bob")
    check(outcome(late, query) == "ObjectNotExistException", "a new session has the old filter: " + outcome(late, query))
    check(outcome(early, query) == "" and alive(session), "an old session lost its filter")
    edit(d, "Address.Reject=192.0.2.1", "Address.Reject=127.0.0.[")
    reload(router, "not reloaded")
    check(router.stderr().count("error:") == 1 and "unclosed group" in router.stderr(), router.stderr())
    check(outcome(early, "Demo/Other:" + d.endpoint("Master.Client")) == "ObjectNotExistException", "a rule that is none counts")
    edit(d, "Address.Reject=127.0.0.[", "Address.Reject=127.0.0.1")
    reload(router)
    said = outcome(early, "Demo/Third:" + d.endpoint("Master.Client"))
    check(said in ("ConnectionLostException", "CloseConnectionException", "ObjectNotExistException"), said)
    check(not alive(session), "a proxy that a new rule rejects was taken")


def fixed(d):
    """What needs a restart is said when it changed, and only then."""
    router = d.start_router(registries=(), Moulin__Gateway__MaxSessions="2", Glacier2__SessionTimeout="30")
    reload(router)
    check("restart" not in router.stderr(), router.stderr())
    edit(d, "SessionTimeout=30", "SessionTimeout=60")
    edit(d, "MaxSessions=2", "MaxSessions=4")
    reload(router)
    said = [line for line in router.stderr().splitlines() if "restart" in line]
    check(len(said) == 1 and "router.cfg:" in said[0] and "`Glacier2.SessionTimeout' has changed" in said[0], router.stderr())


CASES = [limits, filters, fixed]
