#!/usr/bin/python3
"""A worker dies in a request: its client is told, the log, the metrics and the
trace have it once, and nobody else feels it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "otlp"))

from collector import Collector  # noqa: E402
from harness import (Apache, Nginx, Pool, Story, eventually,  # noqa: E402
                     fcgi, main, program, wait_until)
from harness.proc import name_of  # noqa: E402

TRACE = "0af7651916cd43dd8448eb211c8031"
PARENT = "b7ad6b7169203331"
ERROR = 2
ROUTE = "/v1/t/{tenant}/debug/crash"

# kind: signal, the function that dies
KINDS = {
    "segv": ("SIGSEGV", "crash_segv"),
    "bus": ("SIGBUS", "crash_bus"),
    "fpe": ("SIGFPE", "crash_fpe"),
    "ill": ("SIGILL", "crash_ill"),
    "abort": ("SIGABRT", "crash_abort"),
    "assert": ("SIGABRT", "crash_assert"),
    "stack": ("SIGSEGV", "crash_stack"),
    "call": ("SIGSEGV", "crash_call"),
    "thread": ("SIGSEGV", "crashing_thread"),
}


# Who waits in a story is to wait until the story goes on, whatever the machine.
PATIENT = {"header_timeout": "5min", "body_timeout": "5min", "timeout_read": "5min",
           "timeout_other": "5min", "statement_timeout": "5min"}


def asleep(postgres):
    """The server's process that serves /v1/debug/query, once it does."""
    (pid,), = wait_until(lambda: postgres.query(
        "select pid from pg_stat_activity where wait_event = 'PgSleep'"),
        "pg_sleep runs")
    return pid


class DebugPool(Pool):
    """With the routes of fcgi/debug."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.program = program("rowhouse-fcgi-debug")


class Traced(Story):
    """Whose spans a collector has."""

    pool = DebugPool
    delay_ms = 50
    more_env = {}

    @classmethod
    def setUpClass(cls):
        cls.collector = Collector()
        cls.addClassCleanup(cls.collector.close)
        cls.env = {"OTEL_EXPORTER_OTLP_ENDPOINT": cls.collector.url,
                   "OTEL_BSP_SCHEDULE_DELAY": cls.delay_ms, **cls.more_env}
        super().setUpClass()

    def server_span(self, request_id):
        """The only SERVER span of that request, once it came."""
        def found():
            return [span for span in self.collector.spans() if span["kind"] == 2 and
                    span["attributes"].get("rowhouse.request_id") == request_id]
        span, = wait_until(found, f"the span of {request_id}", 60.0)
        return span


class Crashes(Traced):
    """One pool; a tenant of its own for each test."""

    exporter = True
    settings = {"workers": 6}
    keep = True

    @classmethod
    def setUpClass(cls):
        cls.web_options = {"keep": cls.keep}
        super().setUpClass()

    def setUp(self):
        self.tenant = self.stack.signup()
        self.count = 0

    def crash(self, kind):
        """The reply, with ids that nobody else has."""
        self.count += 1
        mark = f"{os.getpid():06d}{self.count:04d}"
        request_id, trace = f"crash-{kind}-{self.tenant.slug}-{mark}", \
            f"{TRACE}{self.count:02x}"
        with self.stack.client() as c:
            got = c.request(
                "POST", f"{self.tenant.path}/debug/crash?kind={kind}",
                self.tenant.token, headers={
                    "X-Request-Id": request_id,
                    "traceparent": f"00-{trace}-{PARENT}-00"})
        return got, request_id, trace

    def counts(self, reason):
        value = self.stack.exporter.value
        return (value("rowhouse_http_requests_total{"
                      f'method="POST",route="{ROUTE}",status="500"}}'),
                value("rowhouse_http_request_duration_seconds_count{"
                      f'method="POST",route="{ROUTE}"}}'),
                value("rowhouse_tenant_requests_total{"
                      f'tenant="{self.tenant.slug}",outcome="server_error"}}'),
                value("rowhouse_worker_restarts_total{"
                      f'pool="fcgi",reason="{reason}"}}'))

    def line_of(self, request_id):
        """The request's only line, once it is there."""
        self.stack.pool.wait_line(request_id=request_id, status=500)
        found = [line for line in self.stack.pool.find_lines(request_id=request_id)
                 if "status" in line]
        self.assertEqual(len(found), 1, found)
        return found[0]

    def assertLine(self, line, trace):
        t = self.tenant
        for key, value in (
                ("level", "error"), ("msg", "request"), ("trace_id", trace),
                ("sampled", True), ("sampled_by", "error"), ("method", "POST"),
                ("route", ROUTE), ("path", f"{t.path}/debug/crash"),
                ("status", 500), ("tenant", t.slug), ("tenant_id", t.id),
                ("user_id", t.user["id"]), ("role", "owner"),
                ("remote", "127.0.0.1")):
            self.assertEqual(line.get(key), value, (key, line))
        self.assertGreater(line["duration_ms"], 0)
        self.assertNotIn(line["pid"], self.stack.pool.answering())
        self.assertNotEqual(line["pid"], self.stack.pool.pid)

    def assertSpan(self, line, trace):
        span = self.server_span(line["request_id"])
        self.assertEqual((span["trace_id"], span["parent_span_id"], span["span_id"]),
                         (trace, PARENT, line["span_id"]))
        self.assertEqual(span["name"], f"POST {ROUTE}")
        self.assertEqual(span["status"], ERROR)
        for key, value in (
                ("error.type", "worker.died"), ("http.response.status_code", 500),
                ("http.route", ROUTE), ("http.request.method", "POST"),
                ("url.path", line["path"]), ("rowhouse.tenant.id", self.tenant.id),
                ("rowhouse.sampled_by", "error")):
            self.assertEqual(span["attributes"].get(key), value, (key, span))
        event, = span["events"]
        self.assertEqual((event["name"], event["time"]),
                         ("exception", span["end"]))
        for key, value in (
                ("exception.type", line.get("signal")),
                ("exception.message", line["error"]),
                ("exception.stacktrace", line.get("backtrace"))):
            self.assertEqual(event["attributes"].get(key), value, (key, span))

    def assertCounted(self, before, reason):
        """Once in each."""
        want = tuple(n + 1 for n in before)
        eventually(lambda: self.assertEqual(self.counts(reason), want))

    def test_its_client_has_a_500_and_we_have_the_place(self):
        for kind, (name, function) in KINDS.items():
            with self.subTest(kind=kind):
                before = self.counts("signal")
                got, request_id, trace = self.crash(kind)
                self.assertProblem(got, 500, request_id=request_id,
                                   trace_id=trace,
                                   type="urn:rowhouse:problem:worker.died",
                                   instance=f"{self.tenant.path}/debug/crash")
                self.assertEqual(got.headers["Content-Length"],
                                 str(len(got.body)))
                self.assertEqual(got.headers["traceresponse"].split("-")[1],
                                 trace)
                line = self.line_of(request_id)
                self.assertLine(line, trace)
                self.assertEqual(line["signal"], name)
                self.assertIn(f"{function}+0x", line["backtrace"])
                self.assertIn("debug_crash+0x" if kind != "thread" else function,
                              line["backtrace"])
                self.assertIn(" while handling", line["error"])
                if kind == "assert":
                    self.assertIn("fcgi/debug/debug.c:", line["error"])
                    self.assertIn("zero == 7", line["error"])
                if kind == "segv":
                    self.assertIn("SIGSEGV at 0x8", line["error"])
                self.assertSpan(line, trace)
                self.assertCounted(before, "signal")
        self.assertEqual(self.stack.pool.torn, [])

    def test_without_a_word_it_is_recorded_all_the_same(self):
        for kind, reason, name, error in (
                ("kill", "killed", "SIGKILL", "worker.died: killed while handling"),
                ("exit", "exit", None, "worker.died: exited with 3 while handling")):
            with self.subTest(kind=kind):
                before = self.counts(reason)
                got, request_id, trace = self.crash(kind)
                self.assertEqual(got.status, 503)    # nginx's own
                line = self.line_of(request_id)
                self.assertEqual(line.get("signal"), name)
                self.assertEqual(line["error"], error)
                self.assertNotIn("backtrace", line)
                self.assertEqual(line["trace_id"], trace)
                self.assertSpan(line, trace)
                # nobody told the master yet whether he is the tenant's
                want = tuple(n + m for n, m in zip(before, (1, 1, 0, 1)))
                eventually(lambda: self.assertEqual(self.counts(reason), want))

    def test_the_others_feel_nothing(self):
        """Their connections, too: a crash closes none that was answered."""
        t, over, odd, done = self.tenant, threading.Event(), [], []

        def client(n):
            with self.stack.client() as c:
                while not over.is_set():
                    got = c.request("POST", f"{t.path}/projects", t.token,
                                    {"name": f"P{n}"})
                    (done if got.status == 201 else odd).append(got)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            for kind in ("segv", "stack", "abort", "assert"):
                before = self.counts("signal")
                self.assertEqual(self.crash(kind)[0].status, 500)
                self.assertCounted(before, "signal")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(odd, [])
        self.assertGreater(len(done), 3)


class NotKept(Crashes):
    keep = False


class BehindApache(Story):
    pool = DebugPool
    web = Apache
    settings = {"workers": 4}

    def test_its_client_has_a_500(self):
        t = self.stack.signup()
        for kind in ("segv", "abort"):
            for _ in range(2):
                got = self.stack.api("POST", f"{t.path}/debug/crash?kind={kind}",
                                     t.token)
                self.assertProblem(got, 500)
                self.stack.pool.wait_line(
                    request_id=got.headers["X-Request-Id"], status=500,
                    tenant=t.slug)
            self.expect(200, "GET", f"{t.path}/projects", t.token)


class Backpressure(Nginx):
    """Takes no more of a reply than its client does."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        with open(f"{self.dir}/nginx.conf", encoding="utf-8") as f:
            text = f.read()
        self.write("nginx.conf", text.replace(
            "access_log off;", "access_log off;\n\tfastcgi_max_temp_file_size 0;"))


class Alone(Traced):
    """One worker: it is known which one has the request. It keeps its spans for
    longer than it lives."""

    delay_ms = 3600000
    web = Backpressure
    settings = {"workers": 1, **PATIENT}

    def setUp(self):
        self.pid, = wait_until(self.stack.pool.answering, "a worker")
        wait_until(self.stack.ready, "it answers")

    def rests(self):
        """Its last request is over in every respect: it sleeps, and is idle."""
        done = subprocess.run(
            [program("rowhouse-ctl"), "-c", self.stack.pool.conf, "status", "--json"],
            env=self.stack.pool.env, capture_output=True, text=True, check=True)
        state = [w["state"] for w in json.loads(done.stdout)["workers"]
                 if w["pid"] == self.pid]
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            return state == ["idle"] and f.read().rsplit(")", 1)[1].split()[0] == "S"

    def test_what_it_waited_for_is_told(self):
        s = self.stack
        # not by nginx, who would ask once more
        with fcgi.Connection(s.pool.socket) as c:
            c.send(fcgi.request(fcgi.get("/v1/debug/query?ms=600000")))
            backend = asleep(s.postgres)
            os.kill(self.pid, signal.SIGKILL)
            self.assertIsNone(c.record())
        s.postgres.query(f"select pg_terminate_backend({backend})")
        line = s.pool.wait_line(pid=self.pid, status=500)
        self.assertEqual(line["error"],
                         "worker.died: killed while querying debug.sleep")
        self.assertEqual(line["signal"], "SIGKILL")
        self.assertEqual(line["route"], "/v1/debug/query")

    def test_half_a_reply_does_not_look_like_a_whole_one(self):
        with self.stack.client() as c:
            c.conn.request("GET", f"/v1/debug/reply?bytes={48 << 20}")
            got = c.conn.getresponse()
            self.assertEqual(got.status, 200)
            os.kill(self.pid, signal.SIGSEGV)
            with self.assertRaises(http.client.IncompleteRead):
                got.read()
        line = self.stack.pool.wait_line(pid=self.pid, status=500)
        self.assertEqual(line["error"], "worker.died: SIGSEGV while replying")
        self.assertEqual(line["route"], "/v1/debug/reply")
        self.assertIn("rh_fcgx_reply+0x", line["backtrace"])

    def test_no_end_request_blesses_half_a_reply(self):
        with fcgi.Connection(self.stack.pool.socket) as c:
            c.send(fcgi.request(fcgi.get(f"/v1/debug/reply?bytes={48 << 20}"), keep=True))
            self.assertEqual(c.record()[0], fcgi.STDOUT)
            os.kill(self.pid, signal.SIGSEGV)
            kinds = set()
            while got := c.record():
                kinds.add(got[0])
        self.assertLessEqual(kinds, {fcgi.STDOUT})
        self.stack.pool.wait_line(pid=self.pid, status=500)

    def test_between_requests_there_is_no_request_to_tell_of(self):
        wait_until(self.rests, "nothing is in work")
        os.kill(self.pid, signal.SIGBUS)
        line = self.stack.pool.wait_line(pid=self.pid, signal="SIGBUS")
        self.assertEqual(line["msg"], "a worker died between two requests")
        self.assertIn("epoll_wait", line["backtrace"])
        for key in ("status", "route", "request_id", "trace_id"):
            self.assertNotIn(key, line)

    def test_who_had_not_asked_yet_is_answered_by_another(self):
        """It accepted them before their first byte, or with half a request."""
        path, half = self.stack.pool.socket, fcgi.request(fcgi.get())
        with fcgi.Connection(path) as silent, fcgi.Connection(path) as slow:
            slow.send(half[:40])
            for kind in ("segv", None):
                # accepted in their order; from then on they are the worker's
                with fcgi.Connection(path) as c:
                    c.send(fcgi.request(fcgi.get()))
                    self.assertEqual(c.status(), 200)
                if kind:
                    got = self.stack.api("POST", f"/v1/debug/crash?kind={kind}")
                    self.assertEqual(got.status, 500)
                else:
                    wait_until(self.rests, "nothing is in work")
                    os.kill(self.pid, signal.SIGBUS)
                self.pid, = wait_until(
                    lambda: self.stack.pool.answering() - {self.pid}, "a worker")
            slow.send(half[40:])
            silent.send(half)
            self.assertEqual((silent.status(), slow.status()), (200, 200))

    def test_what_it_had_not_told_yet_is_told(self):
        # more than a quarter of its ring: some are on their way by then
        ids = [f"before-{self.pid}-{i:04d}" for i in range(200)]
        with self.stack.client() as c:
            for request_id in ids:
                c.request("GET", "/livez", headers={"X-Request-Id": request_id})
            c.request("POST", "/v1/debug/crash?kind=kill")
        self.stack.pool.wait_line(pid=self.pid, status=500)
        wait_until(lambda: {line["request_id"] for line in
                            self.stack.pool.find_lines(route="/livez")} >= set(ids),
                   "all lines")
        wait_until(lambda: {span["attributes"].get("rowhouse.request_id")
                            for span in self.collector.spans()} >= set(ids),
                   "all spans", 60.0)


def span_ids(requests):
    return [(span["trace_id"], span["span_id"]) for request in requests
            if request.accepted for span in request.spans]


class Shipping(Traced):
    """The only worker dies while its spans are on their way."""

    delay_ms = 0
    more_env = {"OTEL_EXPORTER_OTLP_TIMEOUT": 600000}
    exporter = True
    settings = {"workers": 1}

    def held(self):
        """What the collector has, and does not answer."""
        return [request for request in self.collector.requests()
                if "hold" in request.answer]

    def others(self):
        return [request for request in self.collector.requests()
                if "hold" not in request.answer]

    def dies(self, kind):
        """In a request, with 200 before; the one that was held, and their ids."""
        had = len(self.held())
        ids = [f"{kind}-{i:04d}" for i in range(201)]
        self.collector.tell(hold=True)
        with self.stack.client() as c:
            def get(request_id):
                c.request("GET", "/livez", headers={"X-Request-Id": request_id})
            get(ids[0])
            held = wait_until(lambda: self.held()[had:], "a batch is held")[0]
            for request_id in ids[1:-1]:
                get(request_id)
            c.request("POST", f"/v1/debug/crash?kind={kind}",
                      headers={"X-Request-Id": ids[-1]})
        self.stack.pool.wait_line(request_id=ids[-1], status=500)
        return held, ids

    def assertBooks(self):
        """Each span that ended is counted once, however often it was sent."""
        def counted(outcome):
            return self.stack.exporter.value(
                f'rowhouse_spans_total{{outcome="{outcome}"}}')
        eventually(lambda: self.assertEqual(
            (counted("exported"), counted("dropped"), counted("rejected")),
            (len(set(span_ids(self.collector.requests()))), 0, 0)))

    def test_what_was_not_answered_is_sent_again(self):
        for kind in ("kill", "segv", "exit"):
            with self.subTest(kind=kind):
                wait_until(self.stack.ready, "it answers")
                held, ids = self.dies(kind)
                self.assertGreater(len(held.spans), 0)
                # while the first one is held yet
                wait_until(lambda: {
                    span["attributes"].get("rowhouse.request_id")
                    for request in self.others() if request.accepted
                    for span in request.spans} >= set(ids), "all spans", 20.0)
                wait_until(lambda: set(span_ids([held])) <=
                           set(span_ids(self.others())), "what was held", 20.0)
                self.collector.release()
                # and nothing else came twice
                once = span_ids(self.others())
                self.assertEqual(len(once), len(set(once)))
                self.assertBooks()


class Waiting(Story):
    """One worker is slow, another idle."""

    pool = DebugPool
    web = None
    settings = {"workers": 2, **PATIENT}

    def test_who_had_not_asked_yet_waits_for_no_slow_request(self):
        """Whoever accepted them: at first nobody else knows of them."""
        path = self.stack.pool.socket
        for _ in range(3):
            with contextlib.ExitStack() as all_of_them:
                silent = [all_of_them.enter_context(fcgi.Connection(path))
                          for _ in range(6)]
                slow = all_of_them.enter_context(fcgi.Connection(path))
                # accepted in their order
                slow.send(fcgi.request(fcgi.get("/v1/debug/query?ms=600000")))
                backend = asleep(self.stack.postgres)
                for one in silent:
                    one.send(fcgi.request(fcgi.get()))
                self.assertEqual([one.status() for one in silent], [200] * 6)
                self.assertEqual(asleep(self.stack.postgres), backend)
                self.stack.postgres.query(f"select pg_cancel_backend({backend})")
                self.assertEqual(slow.status(), 504)


class Ending(Traced):
    """The pool ends, and a request does not."""

    web = None
    settings = {"workers": 1, "shutdown_grace": "500ms"}
    delay_ms = 3600000

    def setUp(self):
        if not self.stack.pool.daemon.alive():
            self.stack.pool.start()

    def end_in(self, request_id, hold_ship=False):
        """The line of the request that the pool ended in."""
        pool = self.stack.pool
        with fcgi.Connection(pool.socket) as c:
            c.send(fcgi.request(fcgi.get("/v1/debug/sleep?ms=600000", [
                ("HTTP_X_REQUEST_ID", request_id)])))
            wait_until(lambda: self.busy(pool), "it sleeps")
            os.kill(pool.pid, signal.SIGTERM)
            while hold_ship and pool.daemon.alive():
                for pid in pool.workers():
                    if name_of(pid) == "rh-ship":
                        os.kill(pid, signal.SIGSTOP)
                        hold_ship = False
                time.sleep(0.005)
            pool.stop()
        line, = pool.find_lines(request_id=request_id)
        self.assertEqual(line["error"], "worker.died: killed while handling")
        return line

    def test_who_is_killed_in_the_end_is_told_of(self):
        line = self.end_in("ends-with-the-pool")
        self.assertEqual(self.server_span("ends-with-the-pool")["span_id"],
                         line["span_id"])

    def test_spans_that_cannot_be_shipped_cost_no_line(self):
        """The log's writer has its time when the spans' has passed."""
        self.collector.tell(hang=True)
        # it may be stopped before it asks
        self.addCleanup(self.collector.take_answer)
        self.end_in("ends-untold", hold_ship=True)
        self.assertTrue(self.stack.pool.find_lines(msg="pool fcgi: stopped"))

    def test_who_dies_with_the_master_is_told_of_by_the_next(self):
        pool, request_id = self.stack.pool, "dies-with-the-master"
        with fcgi.Connection(pool.socket) as c:
            c.send(fcgi.request(fcgi.get("/v1/debug/sleep?ms=600000", [
                ("HTTP_X_REQUEST_ID", request_id)])))
            wait_until(lambda: self.busy(pool), "it sleeps")
            died, = pool.answering()
            os.kill(pool.pid, signal.SIGKILL)
            self.assertIsNone(c.record())
        wait_until(lambda: not pool.daemon.alive(), "the master is gone")
        pool.start()
        line = pool.wait_line(request_id=request_id)
        self.assertEqual((line["pid"], line["status"], line["error"]), (
            died, 500, "worker.died: gone without a word while handling"))
        self.assertLess(line["duration_ms"], 600000)
        self.assertEqual(self.server_span(request_id)["span_id"], line["span_id"])

    def busy(self, pool):
        done = subprocess.run(
            [program("rowhouse-ctl"), "-c", pool.conf, "status", "--json"],
            env=pool.env, capture_output=True, check=False)
        return done.returncode == 0 and any(
            worker["request"] and worker["request"]["phase"] == "handling"
            for worker in json.loads(done.stdout)["workers"])


class Release(Story):
    """A build that nobody asked for these routes."""

    settings = {"workers": 2}

    def test_has_no_such_routes(self):
        t = self.stack.signup()
        for method, path in (
                ("POST", "/v1/debug/crash"), ("GET", "/v1/debug/sleep"),
                ("GET", "/v1/debug/query"), ("GET", "/v1/debug/reply"),
                ("POST", f"{t.path}/debug/crash"),
                ("GET", f"{t.path}/debug/sleep")):
            self.assertProblem(self.stack.api(method, path, t.token), 404)
        self.assertNotIn("/v1/debug/crash", self.expect(
            200, "GET", "/openapi.json").json["paths"])


if __name__ == "__main__":
    main()
