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
import subprocess
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True

from harness import (ApacheFcgid, Load, Pool, Story, eventually, fcgi, main,  # noqa: E402
                     program, runs, wait_until)

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


class SpawnFcgiOne(Pool):
    """One process, which is nobody's master; its lines are on its stderr."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.program = program("rowhouse-fcgi-debug")

    def launch(self, argv):
        return ["/bin/bash", "-c", 'exec "$0" "$@" 2>&1', "/usr/bin/spawn-fcgi",
                "-n", "-s", self.socket, "-M", "0666", "--", *argv, "-1"], ()

    def _is_up(self):
        try:
            with fcgi.Connection(self.socket) as c:
                c.send(fcgi.request(fcgi.get("/livez")))
                return c.status() == 200
        except OSError:
            return False


class SpawnFcgiAlone(Story):
    """Nobody sees how it ends: the next one tells."""

    settings = {"workers": 2}
    pool, web, exporter = SpawnFcgiOne, None, True

    def ends_in(self, request_id, path, method="GET", sig=None):
        """And the line that its successor has of that request."""
        pool = self.stack.pool
        with fcgi.Connection(pool.socket) as c:
            c.send(fcgi.request(fcgi.get(path, [
                ("HTTP_X_REQUEST_ID", request_id)], method=method)))
            if sig:
                wait_until(lambda: self.in_work(request_id), "it is in work")
                os.kill(pool.pid, sig)
            status = c.status()
        wait_until(lambda: not pool.daemon.alive(), "it died")
        died = pool.pid
        pool.start()
        line = pool.wait_line(msg="request", request_id=request_id)
        self.assertEqual((line["pid"], line["status"]), (died, 500))
        return status, line

    def in_work(self, request_id):
        done = subprocess.run(
            [program("rowhouse-ctl"), "-c", self.stack.pool.conf, "status", "--json"],
            env=self.stack.pool.env, capture_output=True, text=True, check=False)
        return request_id in done.stdout

    def restarts(self, reason):
        return self.stack.exporter.value("rowhouse_worker_restarts_total{"
                                         f'pool="fcgi",reason="{reason}"}}')

    def test_its_successor_tells_what_it_died_of(self):
        status, line = self.ends_in("alone-crash", "/v1/debug/crash?kind=segv",
                                    method="POST")
        self.assertEqual(status, 500)
        self.assertEqual((line["signal"], line["error"]),
                         ("SIGSEGV", "worker.died: SIGSEGV at 0x8 while handling"))
        self.assertRegex(line["backtrace"], r"(?s)crash_segv\+0x.*debug_crash\+0x")
        eventually(lambda: self.assertEqual(self.restarts("signal"), 1))

    def test_without_a_word_it_is_told_all_the_same(self):
        status, line = self.ends_in("alone-killed", "/v1/debug/sleep?ms=600000",
                                    sig=signal.SIGKILL)
        self.assertEqual(status, 0)
        self.assertEqual(line["error"],
                         "worker.died: gone without a word while handling")
        self.assertNotIn("signal", line)
        eventually(lambda: self.assertEqual(self.restarts("killed"), 1))


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


class DebugFcgid(ApacheFcgid):
    PROGRAM = "rowhouse-fcgi-debug"


@unittest.skipUnless(os.path.exists(ApacheFcgid.MODULE), "no mod_fcgid")
class ModFcgid(Story):

    settings = {"workers": 5, "slow": "200ms", "timeout_other": "2s",
                "timeout_grace": "1s"}
    pool, web, exporter = NoPool, DebugFcgid, True

    def lines(self):
        with open(f"{self.stack.web.dir}/apache.log", encoding="utf-8") as f:
            return [json.loads(x) for x in f
                    if x.startswith("{") and x.endswith("\n")]

    def pids(self):
        return {x["pid"] for x in self.lines() if runs(x["pid"])}

    def line_of(self, request_id, msg="request"):
        """Whoever tells it: another process, within a second, or the next one."""
        def found():
            self.stack.api("GET", "/readyz")
            return [x for x in self.lines() if x["msg"] == msg and
                    x.get("request_id") == request_id]
        line, = wait_until(found, f"the line {msg} of {request_id}")
        return line

    def counted(self, reason):
        value = self.stack.exporter.value
        return (value("rowhouse_worker_restarts_total{"
                      f'pool="fcgi",reason="{reason}"}}'),
                value('rowhouse_http_requests_total{method="POST",'
                      'route="/v1/debug/crash",status="500"}'),
                value('rowhouse_http_requests_total{method="GET",'
                      'route="/v1/debug/sleep",status="500"}'))

    def test_who_dies_is_told_of_by_the_others(self):
        for kind, reason, signal_name, error in (
                ("segv", "signal", "SIGSEGV", "SIGSEGV at 0x8"),
                ("kill", "killed", None, "gone without a word")):
            with self.subTest(kind=kind):
                before, request_id = self.counted(reason), f"fcgid-{kind}-1"
                got = self.stack.api("POST", f"/v1/debug/crash?kind={kind}",
                                     headers={"X-Request-Id": request_id})
                line = self.line_of(request_id)
                self.assertEqual((line["error"], line.get("signal"), line["status"]),
                                 (f"worker.died: {error} while handling",
                                  signal_name, 500))
                if signal_name:
                    self.assertProblem(got, 500, request_id=request_id)
                    self.assertIn("crash_segv+0x", line["backtrace"])
                else:
                    self.assertNotIn("backtrace", line)
                self.assertFalse(runs(line["pid"]))
                eventually(lambda: self.assertEqual(
                    self.counted(reason), (before[0] + 1, before[1] + 1, before[2])))

    def test_one_that_is_stuck_ends_itself(self):
        """Its alarm looks after it: there is no master who would."""
        before = self.counted("stuck")
        got = self.stack.api("GET", "/v1/debug/sleep?ms=600000",
                             headers={"X-Request-Id": "fcgid-stuck-1"})
        self.assertProblem(got, 500, type="urn:rowhouse:problem:worker.died")
        line = self.line_of("fcgid-stuck-1")
        self.assertEqual((line["error"], line["signal"]),
                         ("worker.died: stuck while handling", "SIGABRT"))
        self.assertIn("debug_sleep+0x", line["backtrace"])
        eventually(lambda: self.assertEqual(
            self.counted("stuck"), (before[0] + 1, before[1], before[2] + 1)))

    def test_what_was_slow_has_its_place(self):
        got = self.stack.api("GET", "/v1/debug/sleep?ms=1500",
                             headers={"X-Request-Id": "fcgid-slow-1"})
        self.assertEqual(got.status, 204)
        line = self.line_of("fcgid-slow-1", msg="slow request")
        self.assertEqual((line["route"], line["phase"], line["worker_pid"]),
                         ("/v1/debug/sleep", "handling", line["pid"]))
        self.assertIn("debug_sleep+0x", line["backtrace"])
        self.assertGreaterEqual(line["duration_ms"], 200)

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
