#!/usr/bin/python3
"""Spans of real requests, at a collector: their names, attributes, parents;
which traces are kept; what the books, the log and the exemplars say."""

import math
import os
import re
import signal
import sys
import threading
import unittest
from random import Random

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "otlp"))

from collector import Collector  # noqa: E402
from harness import (Client, Pool, Stack, main, program,  # noqa: E402
                     wait_until)

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SERVER, CLIENT = 2, 3
ERROR = 2


class Traces(unittest.TestCase):
    """A pool and a collector for each class; ratio: trace_ratio."""

    settings = {"trace_ratio": 0}
    env = {}
    exporter = True
    pool = Pool

    @classmethod
    def setUpClass(cls):
        cls.collector = Collector()
        cls.addClassCleanup(cls.collector.close)
        cls.stack = Stack(exporter=cls.exporter, pool=cls.pool, env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": cls.collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50", **cls.env}, **cls.settings)
        cls.stack.__enter__()
        cls.addClassCleanup(cls.stack.stop)

    def of(self, reply):
        """The spans of that reply's trace, once they came: server, others."""
        trace = reply.headers["traceresponse"].split("-")[1]

        def found():
            spans = [s for s in self.collector.spans()
                     if s["trace_id"] == trace and s["attributes"].get(
                         "rowhouse.request_id") ==
                     reply.headers["X-Request-Id"]]
            return spans if any(s["kind"] == SERVER for s in spans) else None
        spans = wait_until(found, f"the spans of {reply}", 60.0)
        server, = [s for s in spans if s["kind"] == SERVER]
        return server, [s for s in spans if s is not server]

    def line_of(self, reply):
        """The request's line, whatever its msg."""
        return wait_until(lambda: [
            line for line in self.stack.pool.find_lines(
                request_id=reply.headers["X-Request-Id"])
            if "status" in line], "its line")[0]

    def assertKept(self, reply, by):
        flags = reply.headers["traceresponse"].rsplit("-", 1)[1]
        self.assertEqual(int(flags, 16) & 1, 1, reply)
        line = self.line_of(reply)
        self.assertEqual((line["sampled"], line["sampled_by"]), (True, by))
        server, children = self.of(reply)
        self.assertEqual(server["attributes"]["rowhouse.sampled_by"], by)
        return server, children

    def assertExemplarsArrive(self):
        """Each names a trace that is, or soon will be, at the collector."""
        text = self.stack.exporter.metrics(
            "application/openmetrics-text; version=1.0.0")
        named = set(re.findall(r'# \{[^}]*trace_id="([0-9a-f]{32})"', text))
        wait_until(lambda: named <= {s["trace_id"] for s in
                                     self.collector.spans()},
                   "all that an exemplar names is at the collector", 30.0)
        return named

    def assertNotKept(self, reply):
        flags = reply.headers["traceresponse"].rsplit("-", 1)[1]
        self.assertEqual(int(flags, 16) & 1, 0, reply)
        line = self.line_of(reply)
        self.assertEqual((line["sampled"], line["sampled_by"]),
                         (False, "none"))


class Kept(Traces):
    """With a ratio of 0: what is kept is kept for a reason."""

    def setUp(self):
        self.tenant = self.stack.signup()

    def get(self, path, token=None, **headers):
        return self.stack.api("GET", path, token, headers=headers)

    def test_unremarkable_is_not(self):
        t = self.tenant
        self.assertNotKept(self.get(f"{t.path}/projects", t.token))
        self.assertNotKept(self.get("/no/such/path"))

    def test_parent_decides(self):
        t = self.tenant
        got = self.get(f"{t.path}/projects", t.token,
                       traceparent=f"00-{TRACE}-{PARENT}-03",
                       tracestate="foo=1")
        server, children = self.assertKept(got, "parent")
        self.assertEqual(server["trace_id"], TRACE)
        self.assertEqual(server["parent_span_id"], PARENT)
        self.assertEqual(server["flags"], 0x303)
        self.assertEqual(server["trace_state"], "foo=1")
        self.assertEqual(got.headers["traceresponse"],
                         f"00-{TRACE}-{server['span_id']}-03")
        self.assertEqual(len(children), 1)
        self.assertNotKept(self.get(f"{t.path}/projects", t.token,
                                    traceparent=f"00-{TRACE}-{PARENT}-00"))

    def test_names_and_attributes(self):
        t = self.tenant
        got = self.get(f"{t.path}/projects?limit=3", t.token,
                       traceparent=f"00-{TRACE}-{PARENT}-01",
                       **{"User-Agent": "story/1"})
        server, (query,) = self.of(got)
        route = "/v1/t/{tenant}/projects"
        self.assertEqual(server["name"], f"GET {route}")
        self.assertEqual(server["status"], 0)
        self.assertNotIn("error.type", server["attributes"])
        for name, value in (
                ("http.request.method", "GET"), ("http.route", route),
                ("url.path", f"{t.path}/projects"), ("url.scheme", "http"),
                ("server.address", "127.0.0.1"),
                ("server.port", self.stack.port),
                ("client.address", "127.0.0.1"),
                ("network.protocol.version", "1.1"),
                ("rowhouse.sampled_by", "parent"),
                ("http.response.status_code", 200),
                ("user_agent.original", "story/1")):
            self.assertEqual(server["attributes"].get(name), value, name)
        self.assertEqual(query["kind"], CLIENT)
        self.assertEqual(query["parent_span_id"], server["span_id"])
        self.assertEqual(query["attributes"]["db.system.name"], "postgresql")
        self.assertEqual(query["attributes"]["db.query.summary"],
                         "projects.page")
        self.assertEqual(query["name"], "projects.page")
        self.assertEqual(query["attributes"]["db.namespace"], "rowhouse")
        self.assertEqual(query["attributes"]["db.operation.batch.size"], 2)
        self.assertRegex(query["attributes"]["server.address"],
                         r"\A/.*/\.s\.PGSQL\.\d+\Z|\A127\.0\.0\.1\Z")
        self.assertIn("$1", query["attributes"]["db.query.text"])
        self.assertGreaterEqual(query["start"], server["start"])
        self.assertLessEqual(query["end"], server["end"])
        for span in (server, query):
            self.assertEqual(span["attributes"]["rowhouse.tenant.id"], t.id)
            self.assertEqual(span["attributes"]["rowhouse.request_id"],
                             got.headers["X-Request-Id"])
            self.assertEqual(span["resource"]["service.name"], "rowhouse")
            for key in ("service.version", "service.instance.id", "host.name",
                        "process.pid", "telemetry.sdk.name"):
                self.assertIn(key, span["resource"])

    def test_security_is(self):
        t = self.tenant
        server, _ = self.assertKept(self.get(f"{t.path}/projects"), "security")
        self.assertEqual(server["attributes"]["http.response.status_code"],
                         401)
        self.assertEqual(server["status"], 0)
        self.assertEqual(server["trace_state"], "ot=th:0")
        other = self.stack.signup()
        self.assertKept(self.get(f"{other.path}/projects", t.token),
                        "security")
        self.assertKept(self.stack.api("POST", "/v1/sessions", body={
            "email": t.email, "password": t.password}), "security")

    def test_no_secret_in_any_span(self):
        t = self.tenant
        got = self.stack.api("POST", "/v1/sessions", body={
            "email": t.email, "password": t.password})
        self.of(got)
        for span in self.collector.spans():
            told = str(span)
            for secret in (t.token, t.session, t.password, t.email,
                           got.json["token"]):
                self.assertNotIn(secret, told)

    def test_instance_id_differs_per_worker(self):
        t = self.tenant
        body = {"email": t.email, "password": t.password}

        def seen():
            # a password keeps a worker busy, so that the others get some too
            threads = [threading.Thread(target=lambda: self.stack.client()
                                        .request("POST", "/v1/sessions",
                                                 body=body))
                       for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return len({s["resource"]["service.instance.id"]
                        for s in self.collector.spans()}) > 1
        wait_until(seen, "spans of two workers", 20.0)


class Slow(Traces):
    settings = {"trace_ratio": 0, "slow": "1ms"}

    def test_slow_is_kept(self):
        # a password's hash takes tens of milliseconds, everywhere
        got = self.stack.api("POST", "/v1/signup", body={
            "email": "slow@slow.example", "password": "correct horse battery",
            "name": "S", "tenant": {"slug": "slow-one", "name": "S"}})
        self.assertEqual(got.status, 201)
        self.assertKept(got, "slow")


class Failed(Traces):
    settings = {"trace_ratio": 0, "connect_timeout": "1s"}

    def test_error_is_kept(self):
        t = self.stack.signup()
        self.stack.postgres.stop()
        try:
            got = self.stack.api("GET", f"{t.path}/projects", t.token)
        finally:
            self.stack.postgres.start()
        self.assertEqual(got.status, 503)
        server, _ = self.assertKept(got, "error")
        self.assertEqual(server["status"], ERROR)
        self.assertTrue(server["attributes"]["error.type"])
        self.assertEqual(server["trace_state"], "ot=th:0")


class Strangers(Traces):
    """Who is not in trust_traceparent is no parent."""

    settings = {"trace_ratio": 0, "trust_traceparent": "127.0.0.1, fd00::/8"}

    def ask(self, source, path, token=None):
        with Client(self.stack.port, source=source) as client:
            return client.request("GET", path, token, headers={
                "traceparent": f"00-{TRACE}-{PARENT}-01",
                "tracestate": "foo=1,ot=th:0"})

    def test_only_the_trusted_are_parents(self):
        t = self.stack.signup()
        got = self.ask("127.0.0.1", f"{t.path}/projects", t.token)
        server, _ = self.assertKept(got, "parent")
        self.assertEqual((server["trace_id"], server["links"]), (TRACE, []))
        got = self.ask("127.0.0.2", f"{t.path}/projects", t.token)
        self.assertNotKept(got)
        self.assertNotEqual(got.headers["traceresponse"].split("-")[1], TRACE)

    def test_what_is_kept_anyway_is_linked_to_them(self):
        t = self.stack.signup()
        got = self.ask("127.0.0.2", f"{t.path}/projects")
        server, _ = self.assertKept(got, "security")
        self.assertNotEqual(server["trace_id"], TRACE)
        self.assertEqual(server["parent_span_id"], "")
        self.assertEqual(server["links"], [
            {"trace_id": TRACE, "span_id": PARENT, "flags": 0x301}])
        self.assertEqual(server["trace_state"], "ot=th:0")

    def test_a_reload_changes_whom_we_trust(self):
        def is_heard(source):
            ids = self.ask(source, "/livez").headers["traceresponse"]
            return ids.split("-")[1] == TRACE

        def rolled():
            return len(self.stack.pool.find_lines(
                msg="pool fcgi: all workers are new"))

        ours = self.settings["trust_traceparent"]
        for text, trusted in (("127.0.0.2/31", (False, True)),
                              ("", (False, False)), (ours, (True, False))):
            before = rolled()
            self.stack.pool.configure(trust_traceparent=text)
            os.kill(self.stack.pool.pid, signal.SIGHUP)
            wait_until(lambda n=before: rolled() > n, "all workers are new", 30.0)
            self.assertEqual((is_heard("127.0.0.1"), is_heard("127.0.0.2")),
                             trusted, text)


class DebugPool(Pool):
    """With the routes of fcgi/debug."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.program = program("rowhouse-fcgi-debug")


class Mixed(Traces):
    """Thousands of requests of all kinds, and what can be counted of them by
    what a collector has. check_sampling has the 100,000."""

    ratio, slow_ms, each = 0.2, 2000, 600
    pool = DebugPool
    settings = {"trace_ratio": ratio, "slow": f"{slow_ms}ms", "workers": 8,
                "statement_timeout": "2s", "span_ring": "4m",
                "limits": False, "log_ring": "8m"}
    upstream = 0.25  # of a service before us, which says so in th

    def parent(self, random):
        """traceparent and tracestate as it sends them."""
        low, threshold = random.getrandbits(56), int((1 - self.upstream) * 2**56)
        trace = f"{random.getrandbits(72):018x}{low:014x}"
        return {"traceparent": f"00-{trace}-{random.getrandbits(63) + 1:016x}-"
                               f"0{2 + (low >= threshold)}",
                "tracestate": "ot=th:c"}

    def send(self, seed):
        """One client's share."""
        random, t = Random(seed), self.tenant
        kinds = ([(f"{t.path}/projects", t.token)] * self.each +
                 [(f"{t.path}/projects", None)] * 40 +
                 [("/v1/debug/query?ms=60000", None)] * 4 +
                 [(f"/v1/debug/sleep?ms={self.slow_ms}", None)] * 2)
        random.shuffle(kinds)
        with self.stack.client() as client:
            for path, token in kinds:
                client.request("GET", path, token, headers=self.parent(random)
                               if random.random() < 0.5 else {})

    def lines(self):
        """Of all requests that a client of ours sent."""
        return [line for line in self.stack.pool.find_lines()
                if "status" in line and line.get("route") in (
                    "/v1/t/{tenant}/projects", "/v1/debug/query",
                    "/v1/debug/sleep")]

    @staticmethod
    def weight(span):
        threshold = re.search(r"(?:^|,)ot=th:([0-9a-f]+)", span["trace_state"])
        return 1 / (1 - int(threshold[1].ljust(14, "0"), 16) / 2**56)

    def test_counts_come_out(self):
        self.tenant = self.stack.signup()
        clients = 6
        threads = [threading.Thread(target=self.send, args=(seed,))
                   for seed in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        n = clients * (self.each + 46)
        lines = wait_until(lambda: (lambda found: found if len(found) == n
                                    else None)(self.lines()),
                           "a line for each", 30.0)
        truth = {"error": 0, "slow": 0, "security": 0, "rest": 0}
        asked = dict.fromkeys(("/v1/debug/query", "/v1/debug/sleep"), 0)
        for line in lines:
            # slow is decided before the reply, and the line has what that took too
            if line["status"] >= 500:
                kind = "error"
            elif line["route"] == "/v1/debug/sleep" or \
                    line["sampled_by"] == "slow":
                kind = "slow"
                self.assertGreaterEqual(line["duration_ms"], self.slow_ms)
            elif line["status"] == 401:
                kind = "security"
            else:
                kind = "rest"
            truth[kind] += 1
            if kind != "rest":
                self.assertEqual((line["sampled"], line["sampled_by"]),
                                 (True, kind), line)
            if line["route"] in asked:
                self.assertEqual(kind, "error" if line["route"].endswith(
                    "query") else "slow", line)
                asked[line["route"]] += 1
        self.assertEqual(list(asked.values()), [clients * 4, clients * 2])
        kept = {line["trace_id"] for line in lines if line["sampled"]}
        wait_until(lambda: kept <= {s["trace_id"]
                                    for s in self.collector.spans()},
                   "all that was kept is at the collector", 60.0)
        spans = self.collector.spans()
        told = dict.fromkeys(truth, 0)
        ids = {line["span_id"] for line in lines}
        for span in spans:
            if span["span_id"] in ids:
                by = span["attributes"]["rowhouse.sampled_by"]
                told[by if by in told else "rest"] += self.weight(span)
        for kind in ("error", "slow", "security"):
            self.assertEqual(told[kind], truth[kind], kind)
        # (1 - p) / p is 4 of ours, 3 of those before us. Five sigma: beyond
        # that once in a million runs
        sigma = math.sqrt(truth["rest"] * 3.5)
        self.assertLess(abs(told["rest"] - truth["rest"]), 5 * sigma)
        self.assertGreater(len(self.assertExemplarsArrive()), 3)


class Books(Traces):
    settings = {"trace_ratio": 0.5}

    def test_every_span_is_in_them_once(self):
        t = self.stack.signup()
        n = 200
        for _ in range(n):
            self.assertEqual(self.stack.api(
                "GET", f"{t.path}/projects", t.token).status, 200)
        lines = wait_until(lambda: (lambda found: found if len(found) >= n
                                    else None)(self.stack.pool.find_lines(
                                        route="/v1/t/{tenant}/projects",
                                        msg="request")),
                           "a line for each")
        ids = {line["trace_id"] for line in lines if line["sampled"]}
        kept = len(ids)
        # 200 throws of a coin: beyond this once in 10^12
        self.assertGreater(kept, 50)
        self.assertLess(kept, 150)
        value = self.stack.exporter.value

        def settled():
            spans = self.collector.spans()
            return ids <= {s["trace_id"] for s in spans} and len(spans) == \
                value('rowhouse_spans_total{outcome="exported"}')
        wait_until(settled, "exported is what arrived", 60.0)
        self.stack.exporter.settle()
        spans = self.collector.spans()
        self.assertEqual(value('rowhouse_spans_total{outcome="dropped"}'), 0)
        self.assertEqual(value('rowhouse_spans_total{outcome="rejected"}'), 0)
        self.assertGreaterEqual(
            value('rowhouse_spans_total{outcome="unsampled"}'), 2 * (n - kept))
        by_ratio = [s for s in spans if s["kind"] == SERVER and
                    s["attributes"]["rowhouse.sampled_by"] == "ratio"]
        self.assertGreaterEqual(len(by_ratio), kept)
        self.assertEqual({s["trace_state"] for s in by_ratio}, {"ot=th:8"})
        self.assertTrue(all(s["trace_id"][-14:] >= "8" for s in by_ratio))
        self.assertTrue(self.assertExemplarsArrive())


class CollectorAway(Traces):
    settings = {"trace_ratio": 1}

    def test_requests_feel_nothing_and_spans_wait(self):
        t = self.stack.signup()
        port = self.collector.port
        self.collector.close()
        replies = [self.stack.api("GET", f"{t.path}/projects", t.token)
                   for _ in range(20)]
        self.assertEqual({r.status for r in replies}, {200})
        type(self).collector = Collector(port)
        type(self).addClassCleanup(self.collector.close)
        for reply in replies:
            self.of(reply)


class Off(Traces):
    """OTEL_SDK_DISABLED: ids and context, no spans."""

    settings = {"trace_ratio": 1}
    env = {"OTEL_SDK_DISABLED": "true"}

    def test_context_still_goes_on(self):
        self.stack.signup()
        with Client(self.stack.port) as client:
            got = client.request("GET", "/livez", headers={
                "traceparent": f"00-{TRACE}-{PARENT}-01"})
        self.assertEqual(got.headers["traceresponse"].split("-")[1], TRACE)
        self.assertEqual(self.collector.requests(), [])


if __name__ == "__main__":
    main(needs=("protoc",))
