# SPDX-License-Identifier: Apache-2.0
"""Databases beside a storm service: icestormdb's export files in both directions, copies, and what must be refused."""

import os
import shutil
import subprocess

from lib import topics
from lib.bindings import Ice
from lib.deployment import MOULIN

from . import check


def tool(d, command, *words, status=0, path="db-IceStorm"):
    done = subprocess.run([MOULIN, "storm", command, *words, "--IceStorm.LMDB.Path=" + d.path(path)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(done.returncode == status, "%s: status %d\n%s%s" % (command, done.returncode, done.stdout, done.stderr))
    return done.stdout + done.stderr


def icestormdb(*words):
    return subprocess.run(["icestormdb", *words], check=True, capture_output=True, text=True).stdout


def start(d, flavour):
    d.flavour = flavour
    return topics.start(d)


def fill(d):
    """Topics of odd names; subscribers of every kind, with settings; links."""
    m = topics.manager(d)
    c = d.extras["client"]
    a, b = m.create("A"), m.create("b/c \u00e4")
    m.create("empty")
    for text, qos in (("cat/slow\\/1 -t:tcp -h 127.0.0.1 -p 9", {"reliability": "ordered", "retryCount": "3"}),
                      ("s -o:tcp -h 127.0.0.1 -p 9 -t 3000:ssl -h 127.0.0.1 -p 10", {"retryCount": "-1"}),
                      ("batch -O:tcp -h 127.0.0.1 -p 9", {}), ("udp -d:udp -h 127.0.0.1 -p 9", {"strange": "kept"}),
                      ("s -f fa@Some.Adapter", {}), ("w @ Well", {})):
        try:
            a.subscribeAndGetPublisher(qos, c.stringToProxy(text))
        except Exception as e:
            check("AlreadySubscribed" in str(type(e)), str(e))
    b.subscribeAndGetPublisher({}, c.stringToProxy("s:tcp -h 127.0.0.1 -p 9"))
    a.link(b, 5)
    b.link(a, 0)


def whole(d):
    """What a service tells of itself, and what icestormadmin lists."""
    c = d.communicator()
    m = topics.manager(d, communicator=c)
    text = []
    for name, topic in sorted(m.retrieveAll().items()):
        text.append((name, str(topic), [Ice.identityToString(i) for i in topic.getSubscribers()],
                     [(l.name, l.cost, str(l.theTopic)) for l in topic.getLinkInfoSeq()]))
    d.drop(c)
    listed = subprocess.run(["icestormadmin", "--IceStormAdmin.TopicManager.Default=%s" % m, "-e",
                             "topics; links; subscribers A"], capture_output=True, text=True, timeout=60)
    check(listed.returncode == 0, listed.stderr)
    return text, listed.stdout


def same(d, before):
    after = whole(d)
    check(after == before, "%s\ninstead of\n%s" % (after, before))


def unordered(d):
    """icestormdb --import makes databases whose subscribers are in the order of their encoded names."""
    return [(name, prx, sorted(subscribers), links) for name, prx, subscribers, links in whole(d)[0]]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def from_theirs(d):
    """What icestormdb --export writes of ZeroC's database is the same service in ours, which exports it as the same bytes,
    and takes changes."""
    start(d, "zeroc")
    fill(d)
    d.daemons["storm"].stop()
    icebox = start(d, "zeroc")
    before = whole(d)
    icebox.stop()
    icestormdb("--export", d.path("theirs"), "--dbpath", d.path("db-IceStorm"))
    os.rename(d.path("db-IceStorm"), d.path("old"))
    said = tool(d, "import", d.path("theirs"))
    check("3 topics, 6 subscribers, 2 links" in said, said)
    tool(d, "export", d.path("ours"))
    check(read(d.path("theirs")) == read(d.path("ours")), "the export of the import differs")
    start(d, "moulin")
    same(d, before)
    topics.manager(d).create("after")
    check(len(whole(d)[0]) == 4, "no topic after the import")


def to_theirs(d):
    """What ours exports, also while it runs, is the same service in IceBox after icestormdb --import, which exports it as
    the same bytes."""
    start(d, "moulin")
    fill(d)
    tool(d, "export", d.path("ours"))
    d.daemons["storm"].stop()
    start(d, "moulin")
    ordered = unordered(d)
    d.daemons["storm"].stop()
    os.rename(d.path("db-IceStorm"), d.path("old"))
    os.mkdir(d.path("db-IceStorm"))
    icestormdb("--import", d.path("ours"), "--dbpath", d.path("db-IceStorm"))
    icestormdb("--export", d.path("theirs"), "--dbpath", d.path("db-IceStorm"))
    check(read(d.path("theirs")) == read(d.path("ours")), "the export of the import differs")
    start(d, "zeroc")
    check(unordered(d) == ordered, "%s\ninstead of\n%s" % (unordered(d), ordered))


def refusals(d):
    """Files that are no exports, are cut or of another version; directories with a database, or another's; which leave no
    database behind."""
    start(d, "moulin")
    fill(d)
    d.daemons["storm"].stop()
    tool(d, "export", d.path("export"))
    data = read(d.path("export"))

    def refused(content):
        with open(d.path("bad"), "wb") as f:
            f.write(content)
        said = tool(d, "import", d.path("bad"), status=1, path="new")
        check(not os.path.exists(d.path("new", "data.mdb")), "there is a database")
        return said

    for cut in (0, 8, 9, 12, 13, 40, len(data) // 2, len(data) - 1):
        refused(data[:cut])
    check("behind its end" in refused(data + b"\0"), "something behind the end")
    check("30500" in refused(data[:9] + (30500).to_bytes(4, "little") + data[13:]), "another version")
    check("not an export" in refused(read(d.path("storm.cfg"))), "a property file")
    check("already" in tool(d, "import", d.path("export"), status=1), "imported over a database")
    check("no database" in tool(d, "export", d.path("x"), status=1, path="nothing"), "exported nothing")
    check("cannot write" in tool(d, "export", d.path("none", "x"), status=1), "wrote into nowhere")
    check("cannot open" in tool(d, "import", d.path("none"), status=1, path="new"), "read a file that is not there")
    os.mkdir(d.path("theirs"))
    icestormdb("--import", d.path("export"), "--dbpath", d.path("theirs"))
    check("no database" in tool(d, "verify", status=1, path="theirs"), "another's database")
    os.rename(d.path("db-IceStorm"), d.path("old"))
    os.rename(d.path("theirs"), d.path("db-IceStorm"))
    daemon = d.start("foreign", "storm", topics.properties(d), None)
    check(daemon.await_exit() == 1 and "icestormdb --export" in daemon.stderr(), daemon.stderr())


def copies(d):
    """A copy of a running service, put back after a loss; the service's name says which database."""
    storm = topics.start(d, ("IceStorm", "Other"))
    fill(d)
    before = whole(d)
    tool(d, "backup", d.path("copy"))
    topics.manager(d).create("lost")
    said = tool(d, "restore", d.path("copy"), "--replace", status=1)
    check("is in use" in said, said)
    storm.stop()
    check("3 topics" in tool(d, "restore", d.path("copy"), "--replace"), "what was restored")
    config = "--Ice.Config=" + d.path("storm.cfg")
    check("--service" in tool(d, "verify", config, status=1), "which of two")
    check("0 topics" in tool(d, "verify", config, "--service=Other"), "by the configuration")
    topics.start(d, ("IceStorm", "Other"))
    restarted = whole(d)
    check(restarted[0] and [t[0] for t in restarted[0]] == [t[0] for t in before[0]], "%s" % (restarted,))
    shutil.rmtree(d.path("copy"))


CASES = [from_theirs, to_theirs, refusals, copies]
