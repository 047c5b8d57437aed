#!/usr/bin/python3
"""No request takes longer than its route may: it is answered 504, and the
connection, the worker and the others go on."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True

from harness import (SANITIZED, Client, Pool, Story, eventually, fcgi,  # noqa: E402
                     main, patience, program, runs, wait_until)

LONG = 60.0	# seconds that nobody is to wait here
# Each has to be longer than the machine may take for all that comes before it: a
# request that is not at its lock by then is late, or slow, at another statement.
SLOW_MS, DEADLINE_MS, GRACE_MS = (3000, 10000, 4000) if SANITIZED else (2000, 5000, 2000)


class Waiting(threading.Thread):
    """A request on its way in a thread of its own."""

    def __init__(self, port, *request, **more):
        super().__init__()
        self.port, self.request, self.more, self.got = port, request, more, None
        self.start()

    def run(self):
        with Client(self.port, timeout=LONG) as c:
            self.got = c.request(*self.request, **self.more)

    def answer(self):
        self.join()
        return self.got


class Locks:
    """What a story needs to make requests wait, and to see them wait."""

    def owner(self):
        """A tenant with his session: to make a key is a write, with its deadline."""
        return self.stack.signup(key=False)

    def project(self, t):
        """On a machine that is busy enough, this may be late as well."""
        def made():
            got = self.stack.api("POST", f"{t.path}/projects", t.token, {"name": "P"})
            return got.headers.get("Location")
        return wait_until(made, "a project")

    @contextlib.contextmanager
    def lock(self, path):
        """Nobody else writes this project within the block."""
        with self.stack.postgres.transaction() as run:
            run("select 1 from projects where"
                f" id = '{path.rsplit('/', 1)[1]}' for update")
            yield

    def waiting(self, count=1):
        """So many sessions wait for a lock."""
        wait_until(lambda: self.stack.postgres.query(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
            ) == [[str(count)]], f"{count} sessions wait for a lock")


class AtTheDeadline(Locks, Story):

    settings = {"workers": 2, "timeout_write": f"{DEADLINE_MS}ms",
                "timeout_read": "60s", "statement_timeout": "60s",
                "body_timeout": "60s", "timeout_grace": "60s"}
    exporter = True

    def test_504_and_the_statement_is_cancelled(self):
        s, t = self.stack, self.owner()
        path = self.project(t)
        workers = s.pool.workers()
        with self.lock(path):
            got = s.api("PATCH", path, t.token, {"name": "Q"})
            self.assertProblem(got, 504, type="urn:rowhouse:problem:request.timeout")
            self.waiting(0)
        self.assertEqual(self.expect(200, "GET", path, t.token).json["name"], "P")
        line = s.pool.wait_line(request_id=got.headers["X-Request-Id"], msg="request")
        self.assertRegex(line["error"],
                         r"^request\.timeout: querying projects\.\w+ for \d+ ms$")
        self.assertEqual((line["status"], line["level"], line["sampled_by"]),
                         (504, "error", "error"))
        self.assertEqual(s.pool.workers(), workers)
        # its line is seen first
        eventually(lambda: self.assertEqual(s.exporter.value(
            'rowhouse_http_requests_total{method="PATCH",route="/v1/t/{tenant}'
            '/projects/{id}",status="504"}'), 1))

    def test_those_behind_it_are_served(self):
        s, t = self.stack, self.owner()
        path = self.project(t)
        with self.lock(path):
            late = [Waiting(s.port, "DELETE", path, t.token) for _ in range(3)]
            self.waiting(2)
            for _ in range(4):
                self.expect(200, "GET", path, t.token)
            self.assertEqual([w.answer().status for w in late], [504] * 3)
        self.expect(200, "GET", path, t.token)

    def test_a_body_that_does_not_come_is_late_as_well(self):
        """Straight to the pool: nginx would wait for the body itself."""
        s, t = self.stack, self.owner()
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(patience(LONG))
            c.connect(s.pool.socket)
            c.sendall(fcgi.begin() + fcgi.params(fcgi.get(
                f"{t.path}/projects", method="POST", more=[
                    ("HTTP_AUTHORIZATION", f"Bearer {t.token}"),
                    ("CONTENT_TYPE", "application/json"), ("CONTENT_LENGTH", "100"),
                    ("HTTP_X_REQUEST_ID", "slow-body-1")])))
            got = b""
            while chunk := c.recv(65536):
                got += chunk
        self.assertIn(b"Status: 504", got)
        line = s.pool.wait_line(request_id="slow-body-1", msg="request")
        self.assertRegex(line["error"], r"^request\.timeout: reading the body for \d+ ms$")


class DebugPool(Pool):
    """With the routes of fcgi/debug, whose class is none."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.program = program("rowhouse-fcgi-debug")


class PastTheDeadline(Locks, Story):

    pool = DebugPool
    settings = {"workers": 2, "slow": f"{SLOW_MS}ms", "statement_timeout": "60s",
                "timeout_other": f"{DEADLINE_MS}ms",
                "timeout_write": f"{DEADLINE_MS}ms",
                "timeout_grace": f"{GRACE_MS}ms"}
    exporter = True

    def restarts(self, reason):
        return self.stack.exporter.value(
            f'rowhouse_worker_restarts_total{{pool="fcgi",reason="{reason}"}}')

    def both(self):
        """The pids of both workers, once there are two."""
        def pids():
            found = self.stack.pool.answering()
            return len(found) == 2 and found
        return wait_until(pids, "two workers")

    def test_a_slow_request_is_told_of_while_it_lasts(self):
        s, t = self.stack, self.owner()
        path = self.project(t)
        with self.lock(path):
            late = Waiting(s.port, "PATCH", path, t.token, {"name": "Q"},
                           headers={"X-Request-Id": "slow-request-1"})
            line = s.pool.wait_line(msg="slow request", request_id="slow-request-1")
            late.answer()
        self.assertEqual(s.pool.find_lines(msg="slow request",
                                           request_id="slow-request-1"), [line])
        done = s.pool.wait_line(msg="request", request_id="slow-request-1")
        for name in ("trace_id", "span_id", "route", "method", "path", "tenant",
                     "tenant_id"):
            self.assertEqual(line[name], done[name], name)
        self.assertEqual((line["level"], line["phase"], line["pid"],
                          line["worker_pid"]),
                         ("warn", "querying", s.pool.pid, done["pid"]))
        self.assertRegex(line["statement"], r"^projects\.\w+$")
        self.assertGreaterEqual(line["duration_ms"], SLOW_MS)
        self.assertLess(line["duration_ms"], done["duration_ms"])
        self.assertRegex(line["backtrace"], r"(?s)rh_pg_wait.*rh_life.*main")
        self.assertNotIn("backtrace", done)

    def test_a_worker_that_is_busy_without_end_says_where(self):
        """Asked while it is slow, it goes on; past the grace it ends."""
        s, t = self.stack, self.owner()
        before = self.restarts("stuck")
        with Client(s.port, timeout=LONG) as c:
            got = c.request("GET", f"{t.path}/debug/sleep?ms=600000", t.token,
                            headers={"X-Request-Id": "endless-request-1"})
        self.assertProblem(got, 500, request_id="endless-request-1")
        slow = s.pool.wait_line(msg="slow request", request_id="endless-request-1")
        line = s.pool.wait_line(msg="request", request_id="endless-request-1")
        self.assertEqual((slow["phase"], slow["worker_pid"], line["status"],
                          line["error"], line["signal"]),
                         ("handling", line["pid"], 500,
                          "worker.died: stuck while handling", "SIGABRT"))
        for one in (slow, line):
            self.assertRegex(one["backtrace"], r"(?s)nanosleep.*debug_sleep.*rh_life")
        self.assertGreaterEqual(line["duration_ms"], DEADLINE_MS + GRACE_MS)
        wait_until(lambda: self.restarts("stuck") == before + 1, "it is counted")

    def test_a_worker_that_does_not_come_back_is_killed_as_stuck(self):
        s, t = self.stack, self.owner()
        path = self.project(t)
        before = self.restarts("stuck")
        with self.lock(path):
            late = Waiting(s.port, "PATCH", path, t.token, {"name": "Q"},
                           headers={"X-Request-Id": "stuck-request-1"})
            pid = s.pool.wait_line(msg="slow request",
                                   request_id="stuck-request-1")["worker_pid"]
            os.kill(pid, signal.SIGSTOP)
            self.assertEqual(late.answer().status, 503)
        line = s.pool.wait_line(msg="request", request_id="stuck-request-1")
        self.assertRegex(line["error"],
                         r"^worker\.died: stuck while querying projects\.\w+$")
        self.assertEqual(line["signal"], "SIGKILL")
        wait_until(lambda: self.restarts("stuck") == before + 1, "it is counted")
        self.assertEqual(self.restarts("killed") + self.restarts("signal"), 0)
        self.assertFalse(runs(pid))
        self.both()
        self.expect(200, "GET", path, t.token)

    def test_kept_connections_that_idle_are_neither_slow_nor_stuck(self):
        s, t = self.stack, self.owner()
        path = self.project(t)
        workers = self.both()
        time.sleep((DEADLINE_MS + GRACE_MS) / 1000 + 0.5)
        self.assertEqual(s.pool.answering(), workers)
        for slow in s.pool.find_lines(msg="slow request"):
            line = s.pool.wait_line(msg="request", request_id=slow["request_id"])
            self.assertGreaterEqual(line["duration_ms"], SLOW_MS, slow)
        self.expect(200, "GET", path, t.token)


if __name__ == "__main__":
    main()
