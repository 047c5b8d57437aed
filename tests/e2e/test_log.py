#!/usr/bin/python3
"""The log: one whole line for each request, with DESIGN 8's fields, and no
reader of stdout can hold anything up."""

import fcntl
import json
import os
import re
import signal
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True

from harness import Client, Stack, Story, main, wait_until  # noqa: E402
from harness.places import program  # noqa: E402
from harness.proc import Daemon  # noqa: E402

LINE_MAX = 4096
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

FIELDS = set("""time level msg service version pid request_id trace_id span_id
    sampled sampled_by method route path status duration_ms bytes_in bytes_out
    tenant tenant_id user_id role token_id cache limiter rt ms error remote
    user_agent truncated signal backtrace""".split())
ALWAYS = set("""time level msg service version pid request_id trace_id span_id
    sampled sampled_by method path status duration_ms rt""".split())


class Log(Story):

    exporter = True

    def asked(self, method, path, token=None, body=None, **headers):
        """The reply and its line, found by a request id of our own."""
        rid = f"story-{os.urandom(8).hex()}"
        got = self.stack.api(method, path, token, body,
                             {"X-Request-Id": rid, **headers})
        return got, self.stack.pool.wait_line(request_id=rid, msg="request")

    def assertRequestLine(self, line, status):
        self.assertEqual(set(line) - FIELDS, set(), line)
        self.assertEqual(ALWAYS - set(line), set(), line)
        self.assertEqual(list(line)[:3], ["time", "level", "msg"])
        self.assertRegex(line["time"], TIME)
        self.assertIn(line["level"], ("debug", "info", "warn", "error"))
        self.assertEqual(line["status"], status, line)
        self.assertRegex(line["trace_id"], r"^[0-9a-f]{32}$")
        self.assertRegex(line["span_id"], r"^[0-9a-f]{16}$")
        self.assertIs(type(line["sampled"]), bool)
        self.assertIn(line["sampled_by"], (
            "parent", "ratio", "error", "slow", "security", "none"))
        self.assertEqual(line["sampled"], line["sampled_by"] != "none", line)
        self.assertEqual(set(line["rt"]), {"pg", "redis"}, line)
        self.assertGreater(line["duration_ms"], 0)
        self.assertEqual(line["service"], "rowhouse")
        self.assertIn(line["pid"], self.stack.pool.workers())
        self.assertIn(line.get("limiter", "off"),
                      ("redis", "shm", "postgres", "off"))
        self.assertIn(line.get("cache", "off"), ("hit", "miss", "bypass", "off"))
        self.assertNotIn(None, line.values())
        self.assertNotIn("", line.values())

    def test_a_tenants_request_has_all_that_is_known(self):
        t = self.stack.signup()
        body = {"name": "Roof"}
        got, line = self.asked("POST", f"{t.path}/projects", t.token, body,
                               **{"User-Agent": "story/1"})
        self.assertRequestLine(line, 201)
        self.assertEqual(line["method"], "POST")
        self.assertEqual(line["route"], "/v1/t/{tenant}/projects")
        self.assertEqual(line["path"], f"{t.path}/projects")
        self.assertEqual(line["tenant"], t.slug)
        self.assertEqual(line["tenant_id"], t.id)
        self.assertEqual(line["role"], "owner")
        self.assertRegex(line["token_id"], UUID)
        self.assertEqual(line["bytes_in"], len(json.dumps(body)))
        self.assertEqual(line["bytes_out"], len(got.body))
        self.assertEqual(line["remote"], "127.0.0.1")
        self.assertEqual(line["user_agent"], "story/1")
        self.assertEqual(line["rt"]["redis"], 0)
        self.assertGreater(line["ms"]["pg"], 0)
        self.assertLessEqual(line["ms"]["pg"], line["duration_ms"])
        self.assertNotIn("truncated", line)
        self.assertNotIn("error", line)

    def test_the_trace_goes_on(self):
        trace = os.urandom(16).hex()
        t = self.stack.signup()
        _, line = self.asked("GET", f"{t.path}/projects", t.token,
                             traceparent=f"00-{trace}-{os.urandom(8).hex()}-01")
        self.assertEqual(line["trace_id"], trace)
        self.assertEqual(line["sampled_by"], "parent")
        self.assertTrue(line["sampled"])

    def test_errors_say_why(self):
        t = self.stack.signup()
        for method, path, token, status in (
                ("GET", "/v1/t/no-such-tenant/projects", t.token, 404),
                ("GET", f"{t.path}/projects", "rhk_wrong", 401),
                ("GET", f"{t.path}/projects", None, 401),
                ("GET", "/nowhere", None, 404),
                ("PUT", f"{t.path}/projects", t.token, 405)):
            with self.subTest(path=path, status=status):
                got, line = self.asked(method, path, token)
                self.assertEqual(got.status, status, got)
                self.assertRequestLine(line, status)
                self.assertIn("error", line)

    def test_one_line_a_request(self):
        t = self.stack.signup()
        rids = [f"single-{os.urandom(6).hex()}-{i}" for i in range(50)]
        for rid in rids:
            self.expect(200, "GET", f"{t.path}/projects", t.token,
                        headers={"X-Request-Id": rid})
        self.stack.pool.wait_line(request_id=rids[-1])
        for rid in rids:
            wait_until(lambda: self.stack.pool.find_lines(request_id=rid),
                       f"the line of {rid}")
            self.assertEqual(len(self.stack.pool.find_lines(request_id=rid)), 1)

    def test_no_query_and_no_secret(self):
        t = self.stack.signup()
        _, line = self.asked("GET", f"{t.path}/projects?status=active&limit=5",
                             t.token)
        self.assertEqual(line["path"], f"{t.path}/projects")
        everything = json.dumps(self.stack.pool.lines)
        for secret in (t.token, t.session, t.password, t.email):
            self.assertNotIn(secret, everything)

    def test_hostile_texts_make_a_bounded_line(self):
        t = self.stack.signup()
        for name, path, agent in (
                ("long path", f"{t.path}/" + "a" * 6000, "x"),
                ("escapes", f"{t.path}/" + "%22%5c%0a%01" * 400, "\"\\" * 2000),
                ("not utf-8", f"{t.path}/" + "%ff%fe" * 900, "\xff\xfe" * 1500),
                ("all at once", f"{t.path}/" + "%01" * 1500, "\xff" * 5000)):
            with self.subTest(name):
                got, line = self.asked("GET", path, t.token,
                                       **{"User-Agent": agent})
                self.assertLess(got.status, 500, got)
                self.assertRequestLine(line, got.status)
                self.assertTrue(line["truncated"])
                # as short as the pool wrote it, escapes as in RFC 8259
                short = json.dumps(line, ensure_ascii=False,
                                   separators=(",", ":"))
                self.assertLess(len(short.encode("utf-8", "replace")), LINE_MAX)

    def test_the_counter_counts_them_all(self):
        t = self.stack.signup()
        exporter = self.stack.exporter
        for _ in range(20):
            self.expect(200, "GET", f"{t.path}/projects", t.token)
        rid = self.expect(200, "GET", f"{t.path}/projects",
                          t.token).headers["X-Request-Id"]
        self.stack.pool.wait_line(request_id=rid)
        # a line is counted after stdout took it: the reader may be faster
        wait_until(lambda: exporter.value(
            'rowhouse_log_lines_total{outcome="written"}') ==
            len(self.stack.pool.lines), "written is what was read")
        self.assertEqual(exporter.value(
            'rowhouse_log_lines_total{outcome="dropped"}'), 0)


class Reader(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, fd):
        super().__init__(daemon=True)
        self.f, self.lines, self.rubbish = os.fdopen(fd, "rb"), [], []
        self.start()

    def run(self):
        with self.f:
            for line in self.f:
                try:
                    self.lines.append(json.loads(line))
                except ValueError:
                    self.rubbish.append(line)

    def having(self, field):
        return [line for line in self.lines if field in line]


class Stalled(unittest.TestCase):
    """Nobody reads stdout: requests feel nothing, lines are dropped and
    counted; what was written stays whole."""

    def start(self, s):
        """The pool that was stopped, with nobody at the other end; answers that end."""
        s.pool.daemon.child.stdout.close()
        read, write = os.pipe()
        # one page: nothing is told of lines that were dropped, and nothing read,
        # before somebody reads
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        s.pool.daemon = Daemon(
            [program("rowhouse-fcgi"), "-c", s.pool.conf],
            log=f"{s.temp}/pool.err", env=s.pool.env, stdout=write)
        os.close(write)
        s.pool.daemon.wait_for(lambda: os.path.exists(s.pool.socket),
                               "the pool listens")
        wait_until(s.ready, "/readyz answers 200", 20.0)
        return read

    def test_a_stalled_reader_costs_lines_only(self):
        with Stack(exporter=True, log_ring="16k") as s:
            t = s.signup()
            s.pool.stop()
            read = self.start(s)
            before = self.lines(s)
            asked = 0
            with Client(s.port) as c:
                while self.lines(s)[1] <= before[1] and asked < 5000:
                    for _ in range(100):
                        got = c.request("GET", f"{t.path}/projects", t.token)
                        self.assertEqual(got.status, 200, got)
                    asked += 100
            self.assertGreater(self.lines(s)[1], before[1],
                               "nothing was dropped")
            self.drain(s, read)

    def test_what_was_dropped_is_counted_and_told_in_one_line(self):
        with Stack(exporter=True, log_ring="16k") as s:
            t = s.signup()

            def requests():
                return s.exporter.value("rowhouse_http_requests_total")
            s.pool.stop()
            started = requests(), *self.lines(s)
            read = self.start(s)
            self.load_for(s, t, 2.0)
            reader = Reader(read)
            told = wait_until(lambda: reader.having("dropped"),
                              "the line that says so", 20.0)
            s.api("GET", "/livez")
            s.pool.daemon.child.send_signal(signal.SIGTERM)
            s.pool.daemon.child.wait(60)
            reader.join(60)
            asked, written, dropped = (now - then for now, then in zip(
                (requests(), *self.lines(s)), started))
            self.assertEqual(reader.rubbish, [])
            self.assertEqual([line["msg"] for line in reader.having("dropped")],
                             ["log lines dropped"])
            self.assertEqual(told[0]["dropped"], dropped)
            self.assertEqual(told[0]["level"], "warn")
            self.assertEqual(list(told[0])[-3:], ["service", "version", "pid"])
            # to the unit: of the lines, and of the requests
            self.assertEqual(len(reader.lines), written)
            served = [x for x in reader.lines if x["msg"] == "request"]
            self.assertEqual(len(served) + dropped, asked)

    def load_for(self, s, t, seconds):
        """So long, and on until something is dropped."""
        end = time.monotonic() + seconds
        before = self.lines(s)[1]

        def client():
            with s.client() as c:
                while time.monotonic() < end or self.lines(s)[1] <= before:
                    for _ in range(50):
                        c.request("GET", f"{t.path}/projects", t.token)
        clients = [threading.Thread(target=client) for _ in range(4)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()

    @staticmethod
    def lines(s):
        return tuple(s.exporter.value(
            f'rowhouse_log_lines_total{{outcome="{outcome}"}}')
            for outcome in ("written", "dropped"))

    def drain(self, s, read):
        """The reader is back: all that comes is whole."""
        s.pool.daemon.child.send_signal(signal.SIGTERM)
        with os.fdopen(read, "rb") as f:
            text = f.read()
        s.pool.daemon.child.wait(60)
        self.assertTrue(text.endswith(b"\n"))
        for line in text.splitlines():
            self.assertLess(len(line), LINE_MAX)
            json.loads(line)


if __name__ == "__main__":
    main()
