#!/usr/bin/python3
"""Completion, as it comes to somebody who presses TAB in a real shell."""

import os
import pty
import select
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))

from harness import SOURCE, TempDir, main, patience  # noqa: E402
from harness.places import system  # noqa: E402

PROGRAMS = ("rowhouse-ctl", "rowhouse-exporter", "rowhouse-fcgi",
            "rowhouse-jobs", "rowhouse-migrate")
ALL = "\033*"       # what TAB would list, put on the line instead


class Shell:
    """An interactive one on a terminal of its own. Each of our programs is a
    function in it that says what it was called with."""

    def __init__(self, argv, cwd, setup):
        self.terminal, slave = pty.openpty()
        self.child = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, cwd=cwd,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "TERM": "xterm", "HOME": cwd,
                 "LC_ALL": "C.UTF-8", "COLUMNS": "400"})
        os.close(slave)
        self.cwd = cwd
        for name in PROGRAMS:
            setup += f"\n{name}() {{ printf '%s\\n' \"$*\" >said; mv said done; }}"
        with open(f"{cwd}/setup", "w", encoding="ascii") as f:
            f.write(setup + "\n")
        # a name of its own, so that the echo of the line is not taken for it
        self.send(". ./setup; echo is''-ready\r")
        self.wait(lambda: b"is-ready" in self.seen)

    def send(self, keys):
        self.seen = b""
        os.write(self.terminal, keys.encode())

    def wait(self, condition):
        end = time.monotonic() + patience(20)
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"the shell says: {self.seen!r}")
            if select.select([self.terminal], [], [], 0.02)[0]:
                self.seen += os.read(self.terminal, 4096)

    def run(self, keys):
        """Types, presses Enter; the operands that the program got."""
        self.send(keys + "\r")
        self.wait(lambda: os.path.exists(f"{self.cwd}/done"))
        with open(f"{self.cwd}/done", encoding="ascii") as f:
            said = f.read().split()
        os.remove(f"{self.cwd}/done")
        return said

    def close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.terminal)


class Completion(unittest.TestCase):

    def setUp(self):
        self.temp = TempDir()
        self.addCleanup(self.temp.remove)
        for name in ("some.conf", "sql/x"):
            os.makedirs(os.path.dirname(f"{self.temp.path}/{name}"), exist_ok=True)
            with open(f"{self.temp.path}/{name}", "w", encoding="ascii"):
                pass

    def shell(self, argv, setup):
        shell = Shell(argv, self.temp.path, setup)
        self.addCleanup(shell.close)
        return shell

    def common(self, shell):
        for typed, got in (
                ("rowhouse-ctl st\t", ["status"]),
                ("rowhouse-ctl -c som\t sta\t --w\t",
                 ["-c", "some.conf", "status", "--watch"]),
                ("rowhouse-ctl job dra\t", ["job", "drain"]),
                ("rowhouse-ctl web\t rep\t", ["webhook", "replay"]),
                ("rowhouse-jobs -c so\t", ["-c", "some.conf"]),
                ("rowhouse-migrate ver\t", ["verify"]),
                ("rowhouse-migrate -d sq\t up\t", ["-d", "sql", "up"]),
                ("rowhouse-migrate status --j\t", ["status", "--json"]),
                ("rowhouse-exporter -c so\t", ["-c", "some.conf"])):
            with self.subTest(typed):
                # zsh takes the slash back where a space follows
                self.assertEqual([s.rstrip("/") for s in shell.run(typed)], got)

    def test_bash(self):
        folder = f"{SOURCE}/etc/completion/bash"
        shell = self.shell(["bash", "--norc", "--noprofile", "-i"],
                           "\n".join(f". '{folder}/{name}'" for name in PROGRAMS))
        self.common(shell)
        for typed, got in (
                ("rowhouse-fcgi -", ["-c", "-t", "-T", "-V", "-h", "-1"]),
                ("rowhouse-jobs -", ["-c", "-t", "-T", "-V", "-h"]),
                ("rowhouse-migrate ", ["up", "down", "status", "verify"]),
                ("rowhouse-ctl status ", ["status", "--json", "--watch"])):
            with self.subTest(typed):
                self.assertEqual(sorted(shell.run(typed + ALL)), sorted(got))

    def test_zsh(self):
        if not system("zsh"):
            self.skipTest("zsh is not installed")
        shell = self.shell(
            ["zsh", "-f", "-i"],
            f"fpath=('{SOURCE}/etc/completion/zsh' $fpath)\n"
            "autoload -Uz compinit && compinit -u -D\nunsetopt beep\n")
        self.common(shell)


if __name__ == "__main__":
    main()
