#!/usr/bin/python3
"""Who opens the socket: the pool itself, systemd, spawn-fcgi, mod_fcgid. And
what systemd hears of the pool's life."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True

from harness import (ApacheFcgid, Load, Pool, Story, eventually, main,  # noqa: E402
                     runs, wait_until)

DONE = "pool fcgi: all workers are new"


class Manager:
    """systemd's end of NOTIFY_SOCKET: messages as dicts, with their time."""

    def __init__(self, address):
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.heard = []
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        while True:
            text = self.socket.recv(4096).decode()
            self.heard.append((time.monotonic(), dict(
                line.split("=", 1) for line in text.split("\n"))))

    def with_key(self, key):
        return [(at, said) for at, said in list(self.heard) if key in said]

    def heard_all(self, key):
        """How often it heard this, with all that was said until now."""
        mark = f"MARK{len(self.heard)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(f"{mark}=1".encode(), self.address)
        self.wait(mark)
        return len(self.with_key(key))

    def wait(self, key, count=1):
        wait_until(lambda: len(self.with_key(key)) >= count,
                   f"{count} times {key}=")
        return self.with_key(key)[count - 1]


class SystemdPool(Pool):
    """Started as by a .socket unit; watchdog: seconds."""

    sockets, watchdog, abstract, listening = 1, 10.0, False, None
    count = itertools.count()

    def launch(self, argv):
        address = f"{self.temp}/notify{next(self.count)}"
        if self.abstract:
            address = f"\0{address}"
        self.manager = Manager(address)
        self.env.update(NOTIFY_SOCKET=address.replace("\0", "@"),
                        WATCHDOG_USEC=str(int(self.watchdog * 1e6)),
                        LISTEN_FDS=str(self.sockets))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        if self.listening:
            self.listening.close()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.socket)
        self.listening.listen(128)
        os.chmod(self.socket, 0o666)
        fd = self.listening.fileno()
        # what an exec keeps is the pid that both variables name
        return ["/bin/bash", "-c", "export LISTEN_PID=$$ WATCHDOG_PID=$$;"
                f' exec "$0" "$@" 3<&{fd} {fd}<&-', *argv], (fd,)


class Systemd(Story):

    settings = {"workers": 2, "listen": "unix:/nowhere/else", "connect_timeout": "1min"}
    pool = SystemdPool

    def setUp(self):
        """Each test has a pool that has just started."""
        if self.stack.pool.manager.with_key("RELOADING"):
            self.again()

    def again(self, **changes):
        pool = self.stack.pool
        if pool.daemon.alive():
            pool.stop()
        vars(pool).update(changes)
        pool.start()
        return pool.manager

    def test_a_start_a_reload_a_stop(self):
        s, hears = self.stack, self.stack.pool.manager
        _, said = hears.wait("READY")
        self.assertEqual(said["STATUS"], "2 workers, pool fcgi")
        self.assertEqual(len(s.pool.answering()), 2)
        t = s.signup()
        self.expect(200, "GET", t.path, t.token)
        # reload: between the two messages the workers are replaced
        begun = time.monotonic_ns() // 1000
        before = s.pool.answering()
        os.kill(s.pool.pid, signal.SIGHUP)
        _, said = hears.wait("RELOADING")
        self.assertGreaterEqual(int(said["MONOTONIC_USEC"]), begun)
        hears.wait("READY", 2)
        self.assertEqual(s.pool.answering() & before, set())
        # a bad configuration: it is ready all the same
        good = dict(s.pool.settings)
        s.pool.configure(slow="never")
        os.kill(s.pool.pid, signal.SIGHUP)
        hears.wait("RELOADING", 2)
        hears.wait("READY", 3)
        s.pool.restore(good)
        s.pool.stop()
        hears.wait("STOPPING")
        self.assertTrue(os.path.exists(s.pool.socket), "it is systemd's")

    def test_the_watchdog_hears_of_it(self):
        hears = self.again(watchdog=0.4, abstract=True)
        hears.wait("WATCHDOG", 5)
        # a master that hangs says nothing, and that is what it is for
        os.kill(self.stack.pool.pid, signal.SIGSTOP)
        wait_until(lambda: self.is_stopped(self.stack.pool.pid), "it hangs")
        count = hears.heard_all("WATCHDOG")
        time.sleep(0.6)
        self.assertEqual(hears.heard_all("WATCHDOG"), count)
        os.kill(self.stack.pool.pid, signal.SIGCONT)
        hears.wait("WATCHDOG", count + 2)

    @staticmethod
    def is_stopped(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"

    def test_ready_waits_until_workers_accept(self):
        """They do not before they know how PostgreSQL is, and it hangs."""
        postgres = self.stack.postgres.daemon.pid
        self.stack.pool.stop()
        os.kill(postgres, signal.SIGSTOP)
        try:
            hears = self.again()
            time.sleep(0.5)
            self.assertEqual(len(self.stack.pool.answering()), 2)
            self.assertEqual(hears.with_key("READY"), [])
        finally:
            os.kill(postgres, signal.SIGCONT)
        hears.wait("READY")

    def test_two_sockets_are_refused(self):
        with self.assertRaisesRegex(AssertionError, "systemd passes 2 sockets"):
            self.again(sockets=2)
        self.again(sockets=1)


class SpawnFcgiPool(Pool):

    def launch(self, argv):
        return ["/usr/bin/spawn-fcgi", "-n", "-s", self.socket, "-M", "0666",
                "--", *argv], ()


class SpawnFcgi(Story):

    settings = {"workers": 2, "listen": "unix:/nowhere/else"}
    pool = SpawnFcgiPool

    def test_it_gives_a_pool(self):
        s, before = self.stack, self.stack.pool.answering()
        t = s.signup()
        self.assertEqual(len(before), 2)
        os.kill(s.pool.pid, signal.SIGHUP)
        s.pool.wait_line(msg=DONE)
        self.assertEqual(s.pool.answering() & before, set())
        self.expect(200, "GET", t.path, t.token)


class NoPool(Pool):
    """Apache starts it. What its user has to reach is made so."""

    def start(self):
        self.run = f"{self.temp}/run"
        os.makedirs(self.run, exist_ok=True)
        self.restore({**self.settings, "segment": f"{self.run}/segment"})
        if os.geteuid() == 0:
            shutil.chown(self.run, *ApacheFcgid.user())
            shutil.chown(self.conf, *ApacheFcgid.user())
        return self


@unittest.skipUnless(os.path.exists(ApacheFcgid.MODULE), "no mod_fcgid")
class ModFcgid(Story):

    settings = {"workers": 5}
    pool, web, exporter = NoPool, ApacheFcgid, True

    def lines(self):
        with open(f"{self.stack.web.dir}/apache.log", encoding="utf-8") as f:
            return [json.loads(x) for x in f
                    if x.startswith("{") and x.endswith("\n")]

    def pids(self):
        return {x["pid"] for x in self.lines() if runs(x["pid"])}

    def test_its_processes_share_a_segment(self):
        s = self.stack
        with Load(s, s.signup()) as load:
            load.wait_more(200)
            # one starts all of them as they are asked for: how fast is Apache's
            wait_until(lambda: len(self.pids()) > 1, "lines of two processes", 60.0)
            load.check()
        eventually(lambda: self.assertEqual(
            s.exporter.value('rowhouse_http_requests_total{method="POST",'
                             'route="/v1/t/{tenant}/projects/{id}/tasks"'), load.count))
        # a place that a killed one had is taken by the next
        for _ in range(3):
            victim = self.pids().pop()
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: not runs(victim), "it is gone")
            wait_until(lambda: s.api("GET", "/readyz").status == 200, "it serves")
        # a pool of its own does not get the segment meanwhile
        done = s.pool.run_option()
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("belongs to a pool that is running", done.stderr)
        rest = self.pids()
        s.web.stop()
        wait_until(lambda: not any(map(runs, rest)), "they end with Apache")
        s.web.start()
        wait_until(s.ready, "and are back")


if __name__ == "__main__":
    main(needs=("spawn-fcgi",))
