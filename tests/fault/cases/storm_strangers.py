# SPDX-License-Identifier: Apache-2.0
"""Invitations in the name of a configured node that it has not sent, or sent long ago. Row F27 of icestorm 15.2: nothing
changes, and nothing of it is kept."""

import struct

import Ice

from . import check
from .storm_replicas import with_group

HIGHEST = "FFFFFFFF-FFFF-8000-8000-000000000000"


def invitation(inviter, group):
    params = struct.pack("<i", inviter) + bytes([len(group)]) + group.encode()
    return struct.pack("<iBB", len(params) + 6, 1, 1) + params


def node(g, i):
    return g.extras.setdefault("client", g.communicator()).stringToProxy("IceStorm/node%d:%s" % (i, g.of(i, "Node")))


def send(g, i, inviter, group):
    """Twoway, so that it has been looked at when this returns."""
    node(g, i).ice_invoke("invitation", Ice.OperationMode.Normal, invitation(inviter, group))


def names(g):
    return {i: (v["state"], v["group name"]) for i, v in g.view().items()}


def disturbed(g, sent):
    """Whether an update after these invitations finds another group than before."""
    before = names(g)
    for i, inviter, group in sent:
        send(g, i, inviter, group)
    g.manager(1, timeout=20000).create("after%d" % len(g.names(1)))
    g.await_group(1, 2, 3)
    return names(g) != before


def never_sent(g):
    """A node asks whoever is said to invite it. Numbers of groups are promised, so the highest would be the last."""
    g.start_all()
    first = names(g)
    for group in ("3:" + HIGHEST, "3:00000001-0000-8000-8000-000000000000", "3:x", "", "2:" + HIGHEST):
        for inviter in (1, 2, 3):
            check(not disturbed(g, [(i, inviter, group) for i in g.ids if i != inviter]),
                  "%s of %d: %s" % (group, inviter, g.view()))
    check(names(g) == first, "the same group: %s" % g.view())
    g.daemon(3).kill()
    g.manager(1, timeout=20000).create("without 3")
    check(g.await_group(1, 2) == 2, "2 leads")


def sent_long_ago(g):
    """An invitation of a group that was, again."""
    g.start_all()
    g.daemon(2).kill()
    g.manager(1, timeout=20000).create("A")
    old = g.view((3,))[3]["group name"]
    g.launch(2)
    g.await_group(1, 2, 3)
    check(g.view()[3]["group name"] != old, "a new group")
    check(not disturbed(g, [(1, 3, old), (2, 3, old)]), "the old invitation was followed: %s" % g.view())


def of_one_who_is_gone(g):
    """The others do not leave their group for one that does not answer."""
    g.start_all()
    g.daemon(3).kill()
    g.await_group(1, 2)
    before = {i: g.view((i,))[i]["group name"] for i in (1, 2)}
    for i in (1, 2):
        send(g, i, 3, "3:" + HIGHEST)
    g.manager(1, timeout=20000).create("A")
    g.await_group(1, 2)
    check({i: g.view((i,))[i]["group name"] for i in (1, 2)} == before, "the group was left")
    g.launch(3)
    check(g.await_group(1, 2, 3) == 3, "3 leads")


CASES = [with_group(case) for case in (never_sent, sent_long_ago, of_one_who_is_gone)]
