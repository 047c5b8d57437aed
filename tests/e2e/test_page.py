#!/usr/bin/python3
"""The operator's page: from a request_id to where the time went, with nothing
but the segment. Each view in HTML and in JSON, filters, what was not kept, what
hostile clients send, the token; rowhouse-ctl trace says the same."""

import base64
import html.parser
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True

from harness import (Client, Jobs, Pool, Story, main, patience,  # noqa: E402
                     program, wait_until)

PROJECTS = "/v1/t/{tenant}/projects"
QUERY = "/v1/t/{tenant}/debug/query"
CRASH = "/v1/t/{tenant}/debug/crash"
HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e"
JSON = "application/json"
HTML = "text/html"


class DebugPool(Pool):
    """With the routes of fcgi/debug."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.program = program("rowhouse-fcgi-debug")


def ask(port, path, accept=HTML, **headers):
    with Client(port) as c:
        return c.request("GET", path, headers={"Accept": accept, **headers})


class Reader(html.parser.HTMLParser):
    """What a page is made of: elements, texts, addresses."""

    VOID = {"meta", "link", "input", "br", "hr"}

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.links, self.open = [], "", [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.append((tag, attrs))
        if "href" in attrs:
            self.links.append(attrs["href"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> ends what it did not begin")

    def handle_data(self, data):
        self.text += data


class Page(Story):

    pool = DebugPool
    exporter = True
    # what is not meant to be slow is not, also where the machine stands still
    slow_ms = 4000
    settings = {"workers": 3, "trace_ratio": 0, "slow": f"{slow_ms}ms",
                "timeout_read": "1min", "statement_timeout": "1min",
                "jobs_workers": 2}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.stack
        s.jobs = Jobs(s.pool)
        s.jobs.program = program("rowhouse-jobs-debug")
        s.jobs.start()
        cls.t, cls.other = s.signup(), s.signup()
        for what in ("project", "fails", "dies_once"):
            s.api("POST", f"{cls.t.path}/debug/jobs?what={what}", cls.t.token,
                  headers={"X-Request-Id": f"it-left-one-{what}"})
        for _ in range(20):
            s.api("GET", f"{cls.t.path}/projects", cls.t.token)
        s.api("GET", f"{cls.other.path}/projects", cls.other.token)
        s.api("POST", f"{cls.t.path}/debug/crash?kind=segv", cls.t.token,
              headers={"X-Request-Id": "the-one-that-crashed"})
        s.api("GET", f"{cls.t.path}/debug/query?ms={cls.slow_ms + 100}",
              cls.t.token,
              headers={"X-Request-Id": "the-slow-one"})
        s.api("GET", f"{cls.t.path}/projects", cls.t.token,
              headers={"X-Request-Id": "the-plain-one"})
        s.api("GET", f"{cls.t.path}/projects", "rhk_nobody",
              headers={"X-Request-Id": "the-refused-one"})
        s.api("GET", f"{cls.t.path}/<script>alert(1)</script>",
              cls.t.token, headers={"X-Request-Id": "the-hostile-one",
                                    "User-Agent": HOSTILE.encode()})
        for name in ("crashed", "slow", "plain", "refused", "hostile"):
            name = f"the-{name}-one" if name != "crashed" else \
                "the-one-that-crashed"
            wait_until(lambda n=name: cls.json(f"/requests/{n}", None),
                       f"{name} is remembered")
        for what, attempts in (("project", 1), ("fails", 2), ("dies_once", 2)):
            wait_until(lambda w=what, n=attempts: cls.has_left(w, n),
                       f"attempts of {what} are remembered", 30.0)
        wait_until(lambda: cls.json("/?range=15m")["total"]["errors"] >= 1,
                   "the history has its first sample")

    @classmethod
    def has_left(cls, what, attempts):
        """Whether it and its jobs are there, each told by whoever it was."""
        got = cls.json(f"/requests/it-left-one-{what}", None)
        return got and (len(got["trace"]), len(got["jobs"])) == (1, attempts)

    @classmethod
    def json(cls, path, status=200):
        """status None: the answer, or None where it is not 200."""
        got = ask(cls.stack.exporter.port, path, JSON)
        if status is None and got.status != 200:
            return None
        assert got.status == (status or 200), got
        return got.json

    def page(self, path, status=200):
        got = ask(self.stack.exporter.port, path)
        self.assertEqual(got.status, status, got)
        self.assertEqual(got.headers["Content-Type"],
                         "text/html; charset=utf-8")
        read = Reader(got.body.decode())
        self.assertEqual(read.open, [])
        return read

    def ctl(self, *operands, status=0):
        done = subprocess.run(
            [program("rowhouse-ctl"), "-c", self.stack.pool.conf, *operands],
            env=self.stack.pool.env, capture_output=True, check=False,
            timeout=patience(20))
        self.assertEqual(done.returncode, status, done)
        return done.stdout.decode() if status == 0 else done.stderr.decode()

    # ---- one request

    def test_its_record_is_its_log_line(self):
        for name in ("the-slow-one", "the-plain-one", "the-refused-one",
                     "the-one-that-crashed"):
            with self.subTest(name):
                line = self.stack.pool.wait_line(request_id=name,
                                                 msg="request")
                shown = self.json(f"/requests/{name}")["request"]
                for field in ("time", "request_id", "trace_id", "span_id",
                              "sampled", "sampled_by", "method", "route",
                              "path", "status", "duration_ms", "tenant",
                              "tenant_id", "user_id", "role", "token_id",
                              "error", "remote", "pid"):
                    self.assertEqual(shown.get(field), line.get(field), field)
                if name != "the-one-that-crashed":
                    self.assertEqual(shown["rt"], line["rt"])
                    self.assertEqual(shown["bytes_out"], line["bytes_out"])

    def test_a_slow_one_says_where_its_time_went(self):
        got = self.json("/requests/the-slow-one")
        self.assertEqual(got["request"]["sampled_by"], "slow")
        self.assertIn("It was slow", got["why"])
        self.assertGreaterEqual(got["request"]["ms"]["pg"], self.slow_ms)
        server, query = got["spans"]
        self.assertEqual((server["name"], server["depth"]),
                         (f"GET {QUERY}", 0))
        self.assertEqual((query["depth"], query["parent_span_id"]),
                         (1, server["span_id"]))
        self.assertIn("pg_sleep", query["attributes"]["db.query.text"])
        self.assertEqual(got["route"]["requests"], 1)
        self.assertGreater(got["route"]["p99_ms"], self.slow_ms / 2)
        read = self.page("/requests/the-slow-one")
        for text in ("Waterfall", "Where the time went", "Statements",
                     "Among requests of its route", "pg_sleep", "Its log line",
                     server["name"], got["request"]["trace_id"],
                     "It was slow", "How often"):
            self.assertIn(text, read.text)
        self.assertEqual(self.json(
            f"/requests/{got['request']['trace_id']}"), got)

    def test_one_that_was_not_kept_says_so_and_why(self):
        got = self.json("/requests/the-plain-one")
        self.assertIs(got["request"]["sampled"], False)
        self.assertEqual((got["request"]["sampled_by"], got["spans"]),
                         ("none", []))
        self.assertIn("did not fail, was not slow", got["why"])
        read = self.page("/requests/the-plain-one")
        self.assertIn("Its trace was not kept", read.text)
        self.assertIn("of the others none is kept", read.text)
        self.assertNotIn("Waterfall", read.text)
        self.assertEqual(ask(self.stack.exporter.port,
                             f"/traces/{got['request']['trace_id']}/otlp.json",
                             JSON).status, 404)

    def test_it_says_how_often_that_happens(self):
        """By status and error: since ever, and of those that are remembered."""
        path = f"{self.t.path}/debug/lingers-not"
        token = self.t.token
        for n in range(3):
            self.expect(404, "GET", path, token, headers={
                "X-Request-Id": f"often-missing-{n}"})
            self.expect(405, "DELETE", f"{self.t.path}/projects", token, headers={
                "X-Request-Id": f"often-refused-{n}"})
        for name, status in (("missing", "404"), ("refused", "405")):
            got = wait_until(lambda n=name: (lambda g: g if g and g["often"]["last"][
                "alike"] >= 3 else None)(self.json(f"/requests/often-{n}-2", None)),
                             "three are remembered")
            last, statuses = got["often"]["last"], {
                s["status"]: s["requests"] for s in got["often"]["statuses"]}
            self.assertGreaterEqual(last["looked_at"], last["alike"])
            self.assertLessEqual(last["since"], last["alike_since"])
            self.assertGreaterEqual(statuses[status], 3)
            self.assertEqual(sum(statuses.values()), got["route"]["requests"])
            self.assertIn("ended as it did", self.page(f"/requests/often-{name}-2").text)
            self.assertIn(" of its route ended so", self.ctl("trace", f"often-{name}-2"))

    def test_a_crash_is_told_by_the_master(self):
        got = self.json("/requests/the-one-that-crashed")
        self.assertEqual(got["request"]["status"], 500)
        self.assertIn("worker.died: SIGSEGV", got["request"]["error"])
        self.assertIs(got["spans"][0]["error"], True)
        read = self.page("/requests/the-one-that-crashed")
        self.assertIn("Where its worker stood", read.text)
        self.assertIn("crash_segv", read.text)

    def test_refusals_are_security(self):
        got = self.json("/requests/the-refused-one")
        self.assertEqual((got["request"]["status"],
                          got["request"]["sampled_by"]), (401, "security"))
        self.assertIn("It touched security", got["why"])
        self.assertTrue(got["spans"])

    def test_what_is_not_remembered_is_404_with_the_oldest(self):
        got = ask(self.stack.exporter.port, "/requests/nobody-sent-this", JSON)
        self.assertEqual(got.status, 404)
        self.assertEqual(got.headers["Content-Type"],
                         "application/problem+json")
        self.assertIn("Nothing is remembered of nobody-sent-this",
                      got.json["detail"])
        oldest = self.json("/requests?limit=1")["oldest"]
        self.assertIn(oldest[:19].replace("T", " "), got.json["detail"])
        self.assertIn("Nothing is remembered", self.page(
            "/requests/nobody-sent-this", 404).text)
        for path in ("/requests/", "/requests//x", "/requests/a/b",
                     "/traces/x", "/traces//otlp.json"):
            self.assertEqual(ask(self.stack.exporter.port, path).status, 404)

    def test_the_download_is_otlp(self):
        got = self.json("/requests/the-slow-one")
        reply = ask(self.stack.exporter.port,
                    f"/traces/{got['request']['trace_id']}/otlp.json", "*/*")
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["Content-Disposition"],
                         f'attachment; filename="{got["request"]["trace_id"]}.json"')
        resource, = reply.json["resourceSpans"]
        names = {a["key"]: a["value"] for a in
                 resource["resource"]["attributes"]}
        self.assertEqual(names["service.name"], {"stringValue": "rowhouse"})
        self.assertIn("process.pid", names)
        spans = resource["scopeSpans"][0]["spans"]
        self.assertEqual([s["spanId"] for s in spans],
                         [s["span_id"] for s in got["spans"]])
        for span in spans:
            self.assertEqual(span["traceId"], got["request"]["trace_id"])

    def test_requests_of_one_trace_stand_together(self):
        trace = os.urandom(16).hex()
        for n in range(3):
            self.expect(200, "GET", f"{self.t.path}/projects", self.t.token,
                        headers={"traceparent":
                                 f"00-{trace}-{os.urandom(8).hex()}-01",
                                 "X-Request-Id": f"part-{n}-of-{trace[:8]}"})
        got = wait_until(lambda: (lambda g: g if g and len(g["trace"]) == 3
                                  else None)(self.json(f"/requests/{trace}",
                                                       None)),
                         "all three are remembered")
        self.assertEqual([r["request_id"] for r in got["trace"]],
                         [f"part-{n}-of-{trace[:8]}" for n in range(3)])
        self.assertEqual({r["sampled_by"] for r in got["trace"]}, {"parent"})
        self.assertEqual(len([s for s in got["spans"] if s["kind"] == 2]), 3)
        chosen = self.json(f"/requests/part-1-of-{trace[:8]}")
        self.assertEqual(chosen["request"]["request_id"],
                         f"part-1-of-{trace[:8]}")
        self.assertIn("Requests of this trace",
                      self.page(f"/requests/{trace}").text)

    # ---- what it left

    def test_a_job_stands_with_the_request_that_left_it(self):
        """Neither was kept: both are told by their records."""
        got = self.json("/requests/it-left-one-project")
        line = self.stack.jobs.wait_line(msg="job", outcome="done",
                                         request_id="it-left-one-project")
        job, = got["jobs"]
        for field in ("time", "request_id", "trace_id", "span_id", "sampled",
                      "sampled_by", "kind", "job_id", "attempt", "outcome",
                      "duration_ms", "waited_ms", "tenant_id", "user_id",
                      "pid"):
            self.assertEqual(job[field], line[field], field)
        self.assertEqual(job["rt"]["pg"] >= 1, True)
        self.assertEqual(got["request"]["trace_id"], job["trace_id"])
        self.assertEqual(
            [(leg["what"], leg["pool"], leg["depth"], leg["spans_remembered"])
             for leg in got["legs"]],
            [("request", "fcgi", 0, False), ("job", "jobs", 1, False)])
        self.assertEqual((got["spans"], len(got["trace"])), ([], 1))
        read = self.page("/requests/it-left-one-project")
        for text in ("Its trace was not kept", "Waterfall", "Jobs that it left",
                     "process debug.project", "its spans were not kept",
                     job["job_id"]):
            self.assertIn(text, read.text)
        self.assertEqual(self.json(f"/requests/{job['job_id']}"), got)
        text = self.ctl("trace", "it-left-one-project")
        self.assertRegex(text, r"\njob in jobs \d, attempt 1: done, waited "
                         rf"\S+\s\S+, {job['job_id']}\n")
        self.assertRegex(text, r"\n  process debug\.project +\|.*\|.*"
                         "its spans were not kept")

    def test_a_job_that_failed_is_kept_though_its_request_was_not(self):
        got = self.json("/requests/it-left-one-fails")
        self.assertIs(got["request"]["sampled"], False)
        self.assertEqual([(j["attempt"], j["outcome"], j["error"], j["sampled_by"])
                          for j in got["jobs"]],
                         [(1, "retried", "debug.failed", "error"),
                          (2, "dead", "debug.failed", "error")])
        self.assertEqual([(leg["what"], leg.get("attempt"), leg["failed"],
                           leg["spans_remembered"]) for leg in got["legs"]],
                         [("request", None, False, False),
                          ("job", 1, True, True), ("job", 2, True, True)])
        for job in got["jobs"]:
            self.assertGreater(job["ms"]["pg"], 0)
        roots = [s for s in got["spans"] if s["kind"] == 5]
        self.assertEqual([(s["name"], s["depth"], s["leg"],
                           s["attributes"]["rowhouse.job.attempt"])
                          for s in roots],
                         [("process debug.fails", 1, 1, 1),
                          ("process debug.fails", 1, 2, 2)])
        for root in roots:
            self.assertEqual(root["parent_span_id"], got["request"]["span_id"])
            self.assertTrue([s for s in got["spans"] if s["leg"] == root["leg"]
                             and s["parent_span_id"] == root["span_id"]])
        # the second one waits for a second: what lies between is folded
        read = self.page("/requests/it-left-one-fails")
        for text in ("Its trace was not kept", "What it left was kept",
                     "attempt 2", "dead", "Folded, for nothing of it happened"):
            self.assertIn(text, read.text)
        text = self.ctl("trace", "it-left-one-fails")
        self.assertIn("What it left was kept, at least in part", text)
        self.assertRegex(text, r"\njob in jobs \d, attempt 2: dead, waited .*, "
                         r"debug\.failed\n  process debug\.fails +\|.*~.*\|")
        self.assertIn("\n~ folded, for nothing of it happened meanwhile: ", text)
        self.assertEqual(json.loads(self.ctl("trace", "--json",
                                             "it-left-one-fails"))["legs"],
                         got["legs"])
        reply = ask(self.stack.exporter.port,
                    f"/traces/{got['request']['trace_id']}/otlp.json", "*/*")
        self.assertEqual({s["spanId"] for r in reply.json["resourceSpans"]
                          for scope in r["scopeSpans"] for s in scope["spans"]},
                         {s["span_id"] for s in got["spans"]})

    def test_a_job_that_took_its_worker_with_it_is_told_by_the_master(self):
        got = self.json("/requests/it-left-one-dies_once")
        self.assertEqual([(j["attempt"], j["outcome"]) for j in got["jobs"]],
                         [(1, "lost"), (2, "done")])
        self.assertIn("worker.died: SIGSEGV", got["jobs"][0]["error"])
        self.assertEqual(got["legs"][1]["slot"], 0)
        lost, = [s for s in got["spans"] if s["kind"] == 5]
        self.assertIn("crash_segv", lost["attributes"]["exception.stacktrace"])

    def test_a_kept_request_keeps_its_jobs(self):
        trace = os.urandom(16).hex()
        self.expect(204, "POST", f"{self.t.path}/debug/jobs?what=project",
                    self.t.token, headers={
                        "traceparent": f"00-{trace}-{os.urandom(8).hex()}-01"})
        got = wait_until(lambda: (lambda g: g if g and len(g["legs"]) == 2 and
                                  all(leg["spans_remembered"] for leg in
                                      g["legs"]) else None)(
                         self.json(f"/requests/{trace}", None)),
                         "both are kept", 30.0)
        self.assertEqual({r["sampled_by"] for r in got["trace"] + got["jobs"]},
                         {"parent"})
        self.assertEqual([s["depth"] for s in got["spans"] if s["kind"] in (2, 5)],
                         [0, 1])
        text = self.ctl("trace", trace)
        self.assertRegex(text, r"\nPOST \S+/debug/jobs[ |]")
        self.assertRegex(text, r"\n  process debug\.project +\|")

    def test_jobs_are_listed_apart_from_requests(self):
        self.assertEqual({r["what"] for r in
                          self.json("/requests?limit=1000")["requests"]},
                         {"request"})
        rows = self.json("/requests?what=job&route=debug.fails")["requests"]
        self.assertEqual({(r["kind"], r["request_id"]) for r in rows},
                         {("debug.fails", "it-left-one-fails")})
        self.assertEqual([r["outcome"] for r in rows], ["dead", "retried"])
        self.assertEqual({r["what"] for r in self.json(
            "/requests?what=any&limit=1000")["requests"]}, {"request", "job"})
        self.assertIn("debug.fails", self.page("/requests?what=job").text)

    # ---- the list

    def test_filters(self):
        for query, want in (
                (f"tenant={self.other.slug}", {"tenant": self.other.slug}),
                (f"route={PROJECTS}&method=GET",
                 {"route": PROJECTS, "method": "GET"}),
                ("status=401", {"status": 401}), ("status=500", {"status": 500})):
            with self.subTest(query):
                rows = self.json(f"/requests?{query}")["requests"]
                self.assertTrue(rows)
                for row in rows:
                    self.assertEqual({k: row.get(k) for k in want}, want)
        for row in self.json("/requests?status=5xx")["requests"]:
            self.assertEqual(row["status"] // 100, 5)
        rows = self.json(f"/requests?min_ms={self.slow_ms}")["requests"]
        self.assertIn("the-slow-one", [r["request_id"] for r in rows])
        for row in rows:
            self.assertGreaterEqual(row["duration_ms"], self.slow_ms)
        got = self.json("/requests?limit=3")
        self.assertEqual(len(got["requests"]), 3)
        self.assertGreater(got["matched"], 3)
        times = [r["time"] for r in self.json("/requests")["requests"]]
        self.assertEqual(times, sorted(times, reverse=True))
        self.assertEqual(self.json("/requests?tenant=nobody")["requests"], [])
        self.assertIn("No request that is remembered", self.page(
            "/requests?tenant=nobody").text)

    def test_a_query_that_makes_no_sense_is_400(self):
        for query in ("status=abc", "status=99", "status=6xx", "min_ms=-1",
                      "min_ms=1.5", "limit=0", "limit=1001",
                      "what=nonsuch"):
            with self.subTest(query):
                self.assertEqual(ask(self.stack.exporter.port,
                                     f"/requests?{query}", JSON).status, 400)
        self.assertEqual(ask(self.stack.exporter.port, "/?range=1y",
                             JSON).status, 400)

    def test_the_form_leads_to_the_request(self):
        got = ask(self.stack.exporter.port, "/requests?id=the-slow-one")
        self.assertEqual((got.status, got.headers["Location"]),
                         (303, "/requests/the-slow-one"))
        got = ask(self.stack.exporter.port, "/requests?id=%0d%0aX:%20y/../z")
        self.assertEqual((got.status, got.headers["Location"]),
                         (303, "/requests/%0D%0AX%3A%20y%2F..%2Fz"))
        self.assertNotIn("X", got.headers)

    # ---- the overview

    def test_the_overview_counts_what_happened(self):
        want = self.json("/requests?limit=1000")["requests"]
        def whole():
            got = self.json("/?range=15m")
            return got if got["total"]["requests"] >= len(want) else None
        got = wait_until(whole, "the history has them all", 30.0)
        self.assertEqual(got["total"]["requests"],
                         sum(p["requests"] for p in got["points"]))
        self.assertEqual(got["total"]["requests"],
                         sum(r["requests"] for r in got["routes"]))
        routes = {(r["method"], r["route"]): r for r in got["routes"]}
        crash = routes["POST", CRASH]
        self.assertEqual((crash["requests"], crash["errors"]), (1, 1))
        self.assertGreater(routes["GET", QUERY]["p50_ms"], self.slow_ms / 2)
        self.assertGreaterEqual(routes["GET", PROJECTS]["requests"], 23)
        tenants = {r["tenant"]: r for r in got["tenants"]}
        self.assertGreaterEqual(tenants[self.t.slug]["requests"], 20)
        self.assertEqual(tenants[self.t.slug]["errors"], 1)
        self.assertGreater(tenants[self.t.slug]["p99_ms"], 80)
        self.assertEqual(tenants[self.t.slug]["requests"], sum(
            self.stack.exporter.value("rowhouse_tenant_requests_total{"
                                      f'tenant="{self.t.slug}",outcome="{outcome}"}}')
            for outcome in ("success", "client_error", "server_error")))
        self.assertEqual([(w["pool"], w["slot"]) for w in got["workers"]],
                         [("fcgi", 1), ("fcgi", 2), ("fcgi", 3),
                          ("jobs", 1), ("jobs", 2)])
        self.assertEqual(got["pools"], [{"pool": "fcgi", "running": True},
                                        {"pool": "jobs", "running": True}])
        self.assertIn({"dependency": "postgresql", "state": "up",
                       "workers": 3, "workers_up": 3}, got["dependencies"])
        self.assertEqual(got["dropped"], {"log_lines": 0, "spans": 0})
        self.assertIs(got["running"], True)
        version = self.stack.pool.run_option("-V").stdout
        self.assertIn(f"{got['version']} ({got['revision']})", version)

    def test_the_overview_counts_what_is_done_behind_requests(self):
        def whole():
            got = self.json("/?range=15m")
            kinds = {k["kind"]: k for k in got["jobs"]["kinds"]}
            return (got, kinds) if all(
                name in kinds and kinds[name]["attempts"] == 2 for name in
                ("debug.fails", "debug.dies_once")) else None
        got, kinds = wait_until(whole, "the history has them all", 30.0)
        for kind, counts in (("debug.fails", (2, 1, 1)),
                             ("debug.dies_once", (2, 1, 0))):
            self.assertEqual(tuple(kinds[kind][n] for n in
                                   ("attempts", "retried", "dead")), counts)
            self.assertGreater(kinds[kind]["p99_ms"], 0)
        self.assertEqual(sum(p["jobs"] for p in got["points"]),
                         sum(k["attempts"] for k in kinds.values()))
        self.assertEqual(sum(p["jobs_dead"] for p in got["points"]), 1)
        self.assertEqual(max(p["jobs_workers"] for p in got["points"]), 2)
        self.assertEqual(sorted(got["outbox"]), ["lag_seconds", "pending"])
        read = self.page("/")
        for text in ("debug.fails", "Dead jobs", "Events waiting", "jobs 2",
                     "The oldest waits"):
            self.assertIn(text, read.text)
        self.assertIn("/requests?what=job&route=debug.fails", read.links)

    def test_the_overview_shows_a_job_in_work(self):
        self.expect(204, "POST", f"{self.t.path}/debug/jobs?what=slow",
                    self.t.token, headers={"X-Request-Id": "it-left-a-slow-one"})
        at = wait_until(lambda: next((
            w["request"] for w in self.json("/")["workers"]
            if w.get("request", {}).get("request_id") == "it-left-a-slow-one"
            and w["pool"] == "jobs"), None), "it runs")
        self.assertEqual((at["method"], at["route"]), ("JOB", "debug.slow"))

    def test_the_overview_of_a_route_and_of_a_tenant(self):
        got = self.json(f"/?range=15m&method=POST&route={CRASH}")
        self.assertEqual((got["total"]["requests"], got["total"]["errors"]),
                         (1, 1))
        got = self.json(f"/?range=15m&tenant={self.other.slug}")
        self.assertGreaterEqual(got["total"]["requests"], 1)
        self.assertEqual(got["total"]["errors"], 0)
        for path in (f"/?method=POST&route={CRASH}",
                     f"/?tenant={self.other.slug}", "/", "/?range=24h"):
            read = self.page(path)
            self.assertTrue([e for e in read.elements if e[0] == "svg"])

    # ---- the frame

    def test_every_page_is_whole_by_itself(self):
        for path in ("/", "/requests", "/requests/the-slow-one",
                     "/requests/the-plain-one", "/?range=24h"):
            with self.subTest(path):
                got = ask(self.stack.exporter.port, path)
                policy = got.headers["Content-Security-Policy"]
                self.assertRegex(policy, r"^default-src 'none'; style-src "
                                 r"'sha256-[A-Za-z0-9+/]{43}='; img-src data:; "
                                 r"form-action 'self'; base-uri 'none'; "
                                 r"frame-ancestors 'none'$")
                self.assertEqual(got.headers["X-Content-Type-Options"],
                                 "nosniff")
                read = Reader(got.body.decode())
                kinds = {tag for tag, _ in read.elements}
                self.assertFalse(kinds & {"script", "iframe", "img", "object"})
                for tag, attrs in read.elements:
                    self.assertNotIn("style", attrs, tag)
                    self.assertFalse([a for a in attrs if a.startswith("on")])
                for link in read.links:
                    self.assertRegex(link, r"^(/(?!/)|#content$|data:image/svg)")
                self.assertEqual([tag for tag, _ in read.elements
                                  if tag == "h1"], ["h1"])
                for tag, attrs in read.elements:
                    if tag == "th":
                        self.assertIn(attrs.get("scope"), ("col", "row"))

    def test_what_hostile_clients_send_is_text(self):
        got = self.json("/requests/the-hostile-one")["request"]
        self.assertIn("<script>", got["path"])
        for path in ("/requests/the-hostile-one", "/requests",
                     "/requests?tenant=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
                     "/requests/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
                     "/?route=%3Cscript%3E&method=%22onload=%22",
                     "/?tenant=%3Cscript%3E"):
            with self.subTest(path):
                got = ask(self.stack.exporter.port, path)
                self.assertNotIn(b"<script", got.body)
                self.assertNotIn(b"<img", got.body)
                self.assertNotIn("\u202e".encode(), got.body)
                for tag, attrs in Reader(got.body.decode()).elements:
                    self.assertNotIn(tag, ("script", "img"))
                    self.assertFalse([a for a in attrs if a.startswith("on")])
        self.assertIn("<script>alert(1)</script>",
                      self.page("/requests/the-hostile-one").text)

    def test_methods_and_formats(self):
        port = self.stack.exporter.port
        with Client(port) as c:
            self.assertEqual(c.request("POST", "/requests").status, 405)
            self.assertEqual(c.request("HEAD", "/requests").body, b"")
        for accept, kind in ((f"{HTML}, {JSON};q=0.9", HTML),
                             (f"{JSON}, {HTML};q=0.5", JSON), ("*/*", HTML),
                             (f"{JSON}", JSON), ("", HTML)):
            got = ask(port, "/requests", accept)
            self.assertTrue(got.headers["Content-Type"].startswith(kind),
                            accept)
            self.assertEqual(got.headers["Vary"], "Accept")

    # ---- rowhouse-ctl status, trace

    def test_ctl_status_shows_both_pools_and_what_waits(self):
        self.expect(204, "POST", f"{self.t.path}/debug/jobs?what=slow",
                    self.t.token, headers={"X-Request-Id": "it-left-a-slow-job"})

        def in_work():
            got = json.loads(self.ctl("status", "--json"))
            return next(((got, w) for w in got["jobs"]["workers"]
                         if (w["request"] or {}).get("request_id") ==
                         "it-left-a-slow-job"), None)
        got, worker = wait_until(in_work, "it runs")
        self.assertEqual((worker["state"], worker["request"]["route"]),
                         ("busy", "debug.slow"))
        self.assertEqual([w["slot"] for w in got["workers"]], [1, 2, 3])
        self.assertEqual([w["slot"] for w in got["jobs"]["workers"]], [1, 2])
        self.assertEqual((got["jobs"]["running"], got["jobs"]["master_pid"]),
                         (True, self.stack.jobs.pid))
        self.assertEqual(got["jobs"]["outcomes"]["dead"], 1)
        self.assertGreaterEqual(got["jobs"]["restarts"]["signal"], 1)
        self.assertEqual(sorted(got["outbox"]), ["lag_seconds", "pending"])
        for name in ("pending", "oldest_seconds"):
            self.assertGreaterEqual(got["jobs"][name], 0)
        text = self.ctl("status")
        self.assertIn(f", master {self.stack.jobs.pid}, up ", text)
        self.assertRegex(text, r"(?m)^pool jobs: running, .*\n2 workers; "
                         r"restarts: .*signal \d")
        self.assertRegex(text, r"(?m)^jobs: \d+ wait.*, done \d+, .*dead 1")
        self.assertRegex(text, r"(?m)^events: \d+ wait")
        for w in got["jobs"]["workers"]:
            self.assertRegex(text, rf"(?m)^ +{w['slot']} +{w['pid']}  [a-z]+ ")

    def test_ctl_trace_says_the_same(self):
        for name in ("the-slow-one", "the-plain-one", "the-one-that-crashed"):
            shown = self.json(f"/requests/{name}")
            told = json.loads(self.ctl("trace", "--json", name))
            # others of its route may have come meanwhile
            shown.pop("route"), told.pop("route")
            self.assertEqual(told, shown)
        text = self.ctl("trace", "the-slow-one")
        self.assertRegex(text, r"^204 GET \S+/debug/query  ")
        self.assertIn("\nkept: It was slow", text)
        self.assertRegex(text, r"\n  debug\.sleep +\|.*\u2588.*\|")
        self.assertIn("pg_sleep", text)
        self.assertIn(" of its route are too few to compare it with: p50", text)
        self.assertNotIn("\033", text)
        text = self.ctl("trace", "the-plain-one")
        self.assertIn("\nnot kept: It did not fail", text)
        self.assertRegex(text, r"\nlonger than [\d.]+\s% of \d+ of its route: p50")
        self.assertNotIn("\u2588", text)
        self.assertIn("Nothing is remembered of nonsuch-id",
                      self.ctl("trace", "nonsuch-id", status=1))
        self.assertIn("one id", self.ctl("trace", status=1))
        self.assertIn("one id", self.ctl("trace", "a", "b", status=1))

    def test_ctl_trace_lets_nobody_move_the_cursor(self):
        self.stack.api("GET", f"{self.t.path}/%1b%5b2Jx", self.t.token,
                       headers={"X-Request-Id": "moves-the-cursor"})
        wait_until(lambda: self.json("/requests/moves-the-cursor", None),
                   "it is remembered")
        text = self.ctl("trace", "moves-the-cursor")
        self.assertTrue(text.replace("\n", "").replace("\u00a0", " ")
                        .isprintable(), text)


class Memory(Story):
    """What is remembered, and for how long."""

    pool = DebugPool
    exporter = True
    settings = {"workers": 1, "trace_ratio": 1, "request_ring": "16k",
                "trace_ring": "64k", "span_ring": "16k", "slow": "10s"}

    def json(self, path):
        return ask(self.stack.exporter.port, path, JSON).json

    def test_a_flood_does_not_wash_away_what_failed(self):
        s, t = self.stack, self.stack.signup()
        s.api("POST", f"{t.path}/debug/crash?kind=abort", t.token,
              headers={"X-Request-Id": "it-failed"})
        s.api("GET", f"{t.path}/projects", t.token,
              headers={"X-Request-Id": "it-did-not"})
        for _ in range(200):
            self.expect(200, "GET", f"{t.path}/projects", t.token)
        wait_until(lambda: ask(s.exporter.port, "/requests/it-did-not",
                               JSON).status == 404, "the flood came by")
        got = self.json("/requests/it-failed")
        self.assertEqual(got["request"]["status"], 500)
        self.assertTrue(got["spans"])
        listed = self.json("/requests?limit=1000")
        self.assertIn("it-failed", [r["request_id"] for r in
                                    listed["requests"]])
        self.assertIsNotNone(listed["complete_since"])
        self.assertGreater(listed["complete_since"], listed["oldest"])
        self.assertIn("Oldest kept", ask(s.exporter.port,
                                         "/requests").body.decode())

    def test_it_outlives_a_reload_and_a_restart(self):
        s, t = self.stack, self.stack.signup()
        s.api("POST", f"{t.path}/debug/crash?kind=fpe", t.token,
              headers={"X-Request-Id": "before-the-restart"})
        wait_until(lambda: ask(s.exporter.port, "/requests/before-the-restart",
                               JSON).status == 200, "it is remembered")
        before = wait_until(lambda: (lambda n: n if any(
            r["route"] == CRASH for r in n["routes"]) else None)(
            self.json("/?range=15m")), "its sample is taken", 20.0)
        s.pool.stop()
        s.pool.start()
        wait_until(s.ready, "/readyz answers 200", 20.0)
        self.assertEqual(self.json("/requests/before-the-restart")
                         ["request"]["status"], 500)
        after = self.json("/?range=15m")
        self.assertGreaterEqual(after["total"]["requests"],
                                before["total"]["requests"])
        self.assertEqual(after["history_oldest"], before["history_oldest"])


class Token(Story):

    exporter = True
    settings = {"workers": 1, "exporter_token": "sesame, open"}

    def test_all_but_livez_ask_for_it(self):
        port = self.stack.exporter.port
        basic = base64.b64encode(b"anybody:sesame, open").decode()
        wrong = base64.b64encode(b"sesame, open:anybody").decode()
        self.assertEqual(ask(port, "/livez").status, 200)
        for path in ("/", "/metrics", "/requests", "/requests/x",
                     "/traces/x/otlp.json", "/nowhere"):
            for given in ({}, {"Authorization": "Bearer sesame"},
                          {"Authorization": "Bearer sesame, open2"},
                          {"Authorization": "Bearer"},
                          {"Authorization": f"Basic {wrong}"},
                          {"Authorization": "Basic ???"}):
                with self.subTest(path, given=given):
                    got = ask(port, path, HTML, **given)
                    self.assertEqual(got.status, 401)
                    self.assertEqual([w.split()[0] for w in got.headers.get_all(
                        "WWW-Authenticate")], ["Bearer", "Basic"])
                    self.assertNotIn(b"sesame", got.body)
        for given in ("Bearer sesame, open", "bearer  sesame, open",
                      f"Basic {basic}"):
            for path in ("/", "/metrics", "/requests"):
                self.assertEqual(ask(port, path, HTML,
                                     Authorization=given).status, 200)

    def test_it_is_never_printed(self):
        done = subprocess.run(
            [program("rowhouse-exporter"), "-c", self.stack.pool.conf, "-T"],
            env=self.stack.pool.env, capture_output=True, text=True,
            check=False, timeout=patience(20))
        self.assertIn("exporter_token", done.stdout)
        self.assertNotIn("sesame", done.stdout + done.stderr)


if __name__ == "__main__":
    main()
