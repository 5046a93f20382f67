# SPDX-License-Identifier: Apache-2.0
"""ZeroC's IceGridGUI on a display of its own (Xvfb), worked by gui/Desk.java inside the program: menus, fields, the tree."""

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter

from .process import Daemon, Failure, wait_until

JAR = "/usr/share/java/icegridgui.jar"
SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "gui", "Desk.java")
_built = []


def build():
    """The directory of the compiled program, which is made once."""
    if not _built:
        _built.append(tempfile.mkdtemp(prefix="moulin-gui-"))
        atexit.register(shutil.rmtree, _built[0], ignore_errors=True)
        done = subprocess.run(["javac", "-cp", JAR, "-d", _built[0], SOURCE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        if done.returncode:
            raise Failure(done.stdout)
    return _built[0]


class Gui:
    def __init__(self, d, name="gui"):
        self.display = Daemon(name + "-display", ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"],
                              d.directory)
        number = wait_until(lambda: self.display.stdout().strip(), "a display")
        path = os.pathsep.join((JAR, build()))
        with open(d.path(name + ".err"), "ab") as err:
            self.process = subprocess.Popen(
                ["java", "-XX:TieredStopAtLevel=1", "-Djava.util.prefs.userRoot=" + d.path(name + "-preferences"),
                 "-Duser.language=en", "-Duser.country=US", "-cp", path, "Desk"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True, env=dict(os.environ, DISPLAY=":" + number))
        self.await_window("IceGrid GUI")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        """Without saying goodbye to anybody."""
        self.process.kill()
        self.process.wait()
        self.display.kill()

    # ---- what there is

    def ask(self, *words):
        """The lines of the answer; a refusal is a line with an exclamation mark."""
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise Failure("the program has ended")
            if line == ".\n":
                return lines
            lines.append(line.rstrip("\n"))

    def windows(self):
        return self.ask("windows")

    def tree(self):
        return [steady(line) for line in self.ask("tree")]

    def look(self, *window):
        return [steady(line) for line in self.ask("look", *window)]

    def await_window(self, begin):
        """The whole title, as soon as that window is the topmost."""
        def title():
            last = (self.windows() or [""])[-1]
            return last if last.startswith(begin) else None
        return wait_until(title, lambda: "window %s: %s" % (begin, self.windows()))

    def await_tree(self, *lines):
        """The tree, when it has each of these lines as often as they are given, however far they are indented."""
        def tree():
            now = self.tree()
            return now if Counter(lines) <= Counter(line.strip() for line in now) else None
        return wait_until(tree, lambda: "%s in the tree: %s" % (lines, self.tree()))

    def await_text(self, *texts):
        """What the topmost window says, when it has these texts somewhere."""
        def said():
            now = self.look()
            return now if all(any(t in line for line in now) for t in texts) else None
        return wait_until(said, lambda: "%s in the window: %s" % (texts, self.look()))

    # ---- doing, as soon as it can be done

    def act(self, *words):
        wait_until(lambda: not self.ask(*words), lambda: "%s: %s; %s" % (words, self.ask(*words), self.look()))

    def menu(self, *path):
        self.act("menu", *path)

    def press(self, button):
        self.act("press", button)

    def write(self, field, text):
        self.act("write", str(field), text)

    def pick(self, field, choice):
        self.act("pick", str(field), choice)

    def choose(self, *path):
        self.act("choose", *path)

    def shut(self, begin):
        """The topmost window, whose title begins so."""
        self.await_window(begin)
        self.act("close")
        wait_until(lambda: not any(w.startswith(begin) for w in self.windows()), "the end of " + begin)

    # ---- the way in

    def connect(self, *pages):
        """A new connection: each page is buttons and fields, as press and write take them; the last one is finished."""
        self.menu("File", "Login...")
        self.await_window("Saved Connections")
        self.press("New Connection")
        self.await_window("New Connection")
        for page in pages:
            for step in page:
                self.press(step) if isinstance(step, str) else self.write(*step)
            self.press("Finish" if page is pages[-1] else "Next >")

    def direct(self, endpoint, slave=False):
        self.connect((), ("Connect to a Master Registry.",) if slave else (), ("Manual Endpoint",), ("An endpoint string?",),
                     ((0, endpoint),), ((0, "admin"), (1, "secret")))

    def routed(self, endpoint):
        self.connect(("Routed Connection",), ("An endpoint string?",), ((0, endpoint),), ((0, "admin"), (1, "secret")))


def steady(line):
    line = re.sub(r"Published endpoints: .*]", "Published]", line)
    line = re.sub(r"pid: \d+", "pid: <pid>", re.sub(r"^= \d{3,}$", "= <pid>", line))
    return re.sub(r"[A-Z][a-z]{2} \d+, \d{4}, \d+:\d\d:\d\d [AP]M", "<date>", line)
