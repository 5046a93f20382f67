# SPDX-License-Identifier: Apache-2.0
"""Descriptor files given to icegridadmin and to `moulin admin`: both registries store the same for the same file, from
whichever tool; what one tool refuses, the other refuses, and ours says where in which file."""

import glob
import json
import os
import re
import subprocess

from lib import definitions as df  # noqa: F401  (loads Ice before anything else does)
from lib.bindings import Ice
from lib.deployment import DATA, MOULIN, Deployment
from lib.process import PATIENCE

XML = os.path.join(DATA, "xml")
APPS = os.path.join(DATA, "apps")
SHIPPED = "/usr/share/ice/templates.xml"


def master(flavour, **more):
    d = Deployment(flavour)
    d.start_registry(**more)
    return d


def with_templates(flavour):
    return master(flavour, IceGrid__Registry__DefaultTemplates=os.path.join(XML, "base.xml"))


def icegridadmin(d, *words):
    command = " ".join('"%s"' % w if " " in w or "=" in w else w for w in words)
    return run(["icegridadmin", "--Ice.Default.Locator=" + d.locator(), "-u", "admin", "-p", "x", "-e", command])


def moulin(d, *words, options=()):
    return run([MOULIN, "admin", "--Ice.Default.Locator=" + d.locator(), "-u", "admin", "-P", "-"] + list(options) + list(words))


def run(argv):
    return subprocess.run(argv, input="x\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=XML, timeout=PATIENCE)


def stored(r, admin):
    """What is there now, shown; it is taken away."""
    shown = []
    for name in admin.getAllApplicationNames():
        shown.append(r.show(admin.getApplicationInfo(name).descriptor))
        admin.removeApplication(name)
    return shown


def both(d, r, admin, *words):
    """`application add -n` by either tool."""
    label = " ".join(os.path.basename(w) for w in words)
    theirs = icegridadmin(d, "application", "add", "-n", *words)
    there = stored(r, admin)
    ours = moulin(d, "application", "add", "-n", *words)
    here = stored(r, admin)
    r.value("%s, status" % label, [bool(theirs.returncode), bool(ours.returncode)])
    r.value("%s, stored" % label, there)
    if here != there:
        r.value("%s, by moulin admin" % label, here)
    return theirs, ours


RICH = ("everything.xml", "minimal.xml", "order.xml", "server-twice.xml", "unselected.xml", "base.xml")


def files(d, r):
    session, admin = d.admin(d.communicator())
    for name in RICH:
        both(d, r, admin, os.path.join(XML, name))
    for name in ("hello", "hello-changed", "icebox", "templates"):
        both(d, r, admin, os.path.join(APPS, name + ".xml"))
    targets = os.path.join(XML, "targets.xml")
    for words in ((), ("one",), ("debug",), ("App.n.s.debug", "App.one"), ("App.n.two",), ("n.s.debug",), ("extra", "deep"),
                  ("debug=9",), ("one", "one=8", "new=7"), ("one=",)):
        both(d, r, admin, targets, *words)
    session.destroy()


def defaults(d, r):
    session, admin = d.admin(d.communicator())
    r.call("default templates", admin.getDefaultApplicationDescriptor)
    for name in ("import.xml", "import-set.xml", "import-template.xml", "minimal.xml"):
        both(d, r, admin, os.path.join(XML, name))
    session.destroy()


def no_defaults(d, r):
    session, admin = d.admin(d.communicator())
    theirs, ours = both(d, r, admin, os.path.join(XML, "import.xml"))
    for done in (theirs, ours):
        r.value("says why", "no default templates configured" in done.stderr)
    r.call("default templates", admin.getDefaultApplicationDescriptor)
    session.destroy()


def default_files(d, r):
    """The file of IceGrid.Registry.DefaultTemplates is read at every question."""
    session, admin = d.admin(d.communicator())
    path = d.path("templates.xml")
    application = '<icegrid><application name="N">%s</application></icegrid>'
    for label, text in (
            ("everything", application % (
                '<variable name="a" value="b"/><description>d</description><node name="n"><server id="s" exe="e"/></node>'
                '<distrib/><replica-group id="g"/><server-template id="T"><parameter name="x"/><server id="${x}" exe="e"/>'
                '</server-template><service-template id="V"><service name="v" entry="e"/></service-template>'
                '<properties id="P"><property name="a" value="b"/></properties>')),
            ("nothing", application % ""), ("unknown element", application % "<foo/>"), ("unclosed", "<icegrid>"),
            ("imports itself", application.replace('"N"', '"N" import-default-templates="true"') % ""),
            ("no name", '<icegrid><application name=""/></icegrid>')):
        with open(path, "w") as f:
            f.write(text)
        try:
            r.value(label, admin.getDefaultApplicationDescriptor())
        except Ice.Exception as e:  # ZeroC's registry shows where its own source threw it
            lines = [line for line in r.text(e.reason).splitlines() if "ParserException" not in line]
            r.value(label, [e.ice_id()] + list(dict.fromkeys(lines)))
    os.remove(path)
    try:
        r.value("no file", admin.getDefaultApplicationDescriptor())
    except Ice.Exception as e:
        r.value("no file", "unable to open file" in e.reason)
    if os.path.exists(SHIPPED):
        os.symlink(SHIPPED, path)
        r.call("ZeroC's own file", admin.getDefaultApplicationDescriptor)
    session.destroy()


PLACE = re.compile(r"[\w./-]+\.xml(>[^\n]*line |:)\d+")


def broken(d, r):
    session, admin = d.admin(d.communicator())
    for path in sorted(glob.glob(XML + "/bad-*.xml")) + [os.path.join(APPS, "broken.xml"), "nowhere.xml"]:
        name = os.path.basename(path)
        if name == "bad-templates.xml":  # icegridadmin drops half of it and is content
            continue
        _, ours = both(d, r, admin, path)
        if name not in ("bad-empty.xml", "nowhere.xml"):  # nothing in the file is wrong
            r.value("%s, has a place" % name, bool(PLACE.search(ours.stderr)))
    session.destroy()


REFUSED = {
    "variable": ('<server id="s" exe="${nope}"/>', 3),
    "deep variable": ('<server id="s" exe="e">\n<option>a</option>\n<option>${nope}</option></server>', 5),
    "activation": ('<server id="s" exe="e"/>\n<server id="t" exe="e" activation="xx"/>', 4),
    "template": ('<server-instance template="T"/>', 3),
    "group": ('<server id="s" exe="e"><adapter name="A"/>\n<adapter name="B" replica-group="g"/></server>', 4),
    "twice": ('<server id="s" exe="e"/>\n<server id="s" exe="e"/>', 3),
    "timeout": ('<server id="a-${node}" exe="e" activation-timeout="x"/>', 3),
    "load factor": ("", 2),
}


def refused(d, r):
    """What the registry refuses: the line of the element it speaks about."""
    session, admin = d.admin(d.communicator())
    for name, (servers, line) in REFUSED.items():
        path = d.path("refused.xml")
        with open(path, "w") as f:
            f.write('<icegrid><application name="App">\n<node name="n"%s>\n%s\n</node></application></icegrid>' % (
                "" if servers else ' load-factor="x"', servers))
        _, ours = both(d, r, admin, path)
        r.value(name, [ours.stderr.startswith("error: %s:%d: IceGrid::DeploymentException" % (path, line)), r.text(ours.stderr)])
    session.destroy()


def commands(d, r):
    """The other application commands of `moulin admin`."""
    session, admin = d.admin(d.communicator())

    def say(*words, options=()):
        done = moulin(d, *[os.path.join(APPS, w) if w.endswith(".xml") else w for w in words], options=options)
        text = re.sub(r"(createTime|updateTime)(\"?)( = `|:)\d+", r"\1\2\3<time>", r.text(done.stdout + done.stderr))
        r.value("$ " + " ".join(words), [done.returncode] + text.splitlines())
        return done.stdout

    say("application", "list")
    say("application", "add", "hello.xml")
    say("application", "add", "hello.xml")
    say("application", "add", "icebox.xml")
    say("application", "list")
    r.value("as JSON", json.loads(say("application", "list", options=["--json"])))
    say("application", "describe", "Boxes")
    info = json.loads(say("application", "describe", "Boxes", options=["-j"]))
    r.value("as JSON", [info["descriptor"]["name"], sorted(info["descriptor"]["nodes"])])
    say("application", "describe", "Nobody")
    say("application", "diff", "hello.xml")
    say("application", "diff", "hello-changed.xml")
    say("application", "update", "-n", "hello-changed.xml")
    say("application", "update", "hello-changed.xml")
    say("application", "diff", "hello-changed.xml")
    say("application", "diff", "hello.xml")
    say("application", "update", "templates.xml")
    say("application", "add", "templates.xml")
    say("server", "template", "describe", "Templates", "Worker")
    say("server", "template", "describe", "Templates", "Nobody")
    say("service", "template", "describe", "Boxes", "Echo")
    say("server", "template", "instantiate", "Templates", "alpha", "Worker", "index=7")
    say("server", "template", "instantiate", "Templates", "alpha", "Worker", "index=7")
    say("server", "template", "instantiate", "Templates", "alpha", "Nobody")
    say("server", "template", "instantiate", "Templates", "alpha", "Worker", "word")
    r.call("servers", admin.getAllServerIds)
    say("application", "patch", "Hello")
    say("application", "patch", "-f", "Nobody")
    say("application", "add", "-n")
    for name in ("Hello", "Boxes", "Templates", "Templates"):
        say("application", "remove", name)
    say("server", "template")
    session.destroy()


def plan():
    yield "plain", master, [files, no_defaults, broken, refused, commands]
    yield "templates", with_templates, [defaults]
    yield "own templates", lambda f: own_templates(f), [default_files]


def own_templates(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__DefaultTemplates=d.path("templates.xml"))
    return d
