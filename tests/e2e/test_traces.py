#!/usr/bin/python3
"""Spans of real requests, at a collector: their names, attributes, parents;
which traces are kept; what the books, the log and the exemplars say."""

import os
import re
import sys
import threading
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "otlp"))

from collector import Collector  # noqa: E402
from harness import Client, Stack, main, wait_until  # noqa: E402

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SERVER, CLIENT = 2, 3
ERROR = 2


class Traces(unittest.TestCase):
    """A pool and a collector for each class; ratio: trace_ratio."""

    settings = {"trace_ratio": 0}
    env = {}
    exporter = True

    @classmethod
    def setUpClass(cls):
        cls.collector = Collector()
        cls.addClassCleanup(cls.collector.close)
        cls.stack = Stack(exporter=cls.exporter, env={
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
        spans = wait_until(found, f"the spans of {reply}", 20.0)
        server, = [s for s in spans if s["kind"] == SERVER]
        return server, [s for s in spans if s is not server]

    def line_of(self, reply):
        """The request's line, whatever its msg."""
        return wait_until(lambda: [
            line for line in self.stack.pool.find_lines(
                request_id=reply.headers["X-Request-Id"])
            if "status" in line], "its line", 10.0)[0]

    def assertKept(self, reply, by):
        flags = reply.headers["traceresponse"].rsplit("-", 1)[1]
        self.assertEqual(int(flags, 16) & 1, 1, reply)
        line = self.line_of(reply)
        self.assertEqual((line["sampled"], line["sampled_by"]), (True, by))
        server, children = self.of(reply)
        self.assertEqual(server["attributes"]["rowhouse.sampled_by"], by)
        return server, children

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
                ("http.response.status_code", 200),
                ("user_agent.original", "story/1")):
            self.assertEqual(server["attributes"].get(name), value, name)
        self.assertEqual(query["kind"], CLIENT)
        self.assertEqual(query["parent_span_id"], server["span_id"])
        self.assertEqual(query["attributes"]["db.system.name"], "postgresql")
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
                                        route="/v1/t/{tenant}/projects")),
                           "a line for each", 10.0)
        kept = sum(line["sampled"] for line in lines)
        # 200 throws of a coin: beyond this once in 10^12
        self.assertGreater(kept, 50)
        self.assertLess(kept, 150)
        value = self.stack.exporter.value

        def settled():
            exported = value('rowhouse_spans_total{outcome="exported"}')
            return exported and exported == len(self.collector.spans())
        wait_until(settled, "exported is what arrived", 20.0)
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
        self.exemplars_name_kept_traces(spans)

    def exemplars_name_kept_traces(self, spans):
        text = self.stack.exporter.metrics(
            "application/openmetrics-text; version=1.0.0")
        named = re.findall(r'# \{[^}]*trace_id="([0-9a-f]{32})"', text)
        self.assertTrue(named)
        self.assertLessEqual(set(named), {s["trace_id"] for s in spans})


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
