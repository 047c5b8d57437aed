#!/usr/bin/python3
"""The exporter: exact counts, both formats, and counters that outlive workers,
pools and the exporter itself."""

import gzip
import os
import re
import signal
import subprocess
import sys
import unittest
from random import Random

sys.dont_write_bytecode = True

from harness import (Client, Exporter, Pool, Postgres, Redis, Stack,  # noqa: E402
                     Story, TempDir, main, patience, wait_until)
from harness.places import system  # noqa: E402

OPEN = "application/openmetrics-text; version=1.0.0"
PROMETHEUS = ("application/openmetrics-text;version=1.0.0,application/"
              "openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;"
              "q=0.5,*/*;q=0.1")  # as version 2.42 asks


def series(text):
    """Name with labels to value, without exemplars."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(" # ")[0].rsplit(" ", 1)
            assert name not in found, f"twice: {name}"
            found[name] = float(value)
    return found


def get(port, path="/metrics", method="GET", **headers):
    with Client(port) as c:
        return c.request(method, path, headers={
            k.replace("_", "-"): v for k, v in headers.items()})


class Metrics(Story):

    exporter = True
    settings = {"workers": 3, "trace_ratio": 0.5}

    def shown(self):
        return series(self.stack.exporter.metrics())

    def settled(self):
        """What is shown, with all that was answered in it."""
        self.stack.exporter.settle()
        return self.shown()

    def counted(self, at_least, name):
        """A reply is out before it is counted: by how much is bounded."""
        wait_until(lambda: self.shown().get(name, 0) >= at_least,
                   f"{name} reaches {at_least}")
        return self.shown()[name]

    def test_counts_are_exact(self):
        t = self.stack.signup()
        route = 'method="GET",route="/v1/t/{tenant}/projects"'
        ok = f'rowhouse_http_requests_total{{{route},status="200"}}'
        denied = f'rowhouse_http_requests_total{{{route},status="401"}}'
        count = f'rowhouse_http_request_duration_seconds_count{{{route}}}'
        rest = f'rowhouse_http_request_duration_seconds_bucket{{{route},le="+Inf"}}'
        before = self.settled()
        for _ in range(137):
            self.expect(200, "GET", f"{t.path}/projects", t.token)
        for _ in range(11):
            self.expect(401, "GET", f"{t.path}/projects", "rhk_nobody")
        for name, more in ((ok, 137), (denied, 11), (count, 148), (rest, 148)):
            self.assertEqual(self.counted(before.get(name, 0) + more, name),
                             before.get(name, 0) + more, name)
        tenant = f'rowhouse_tenant_requests_total{{tenant="{t.slug}",'
        self.assertEqual(sum(v for k, v in self.settled().items()
                             if k.startswith(tenant) and "success" in k),
                         137 + 1)  # and the key that signup() asked for

    def test_any_path_is_a_bounded_series(self):
        self.stack.api("GET", "/nowhere", "rhk_nobody")
        unmatched = 'method="GET",route="unmatched",status="404"'
        name = f"rowhouse_http_requests_total{{{unmatched}}}"
        self.counted(1, name)
        for method in ("DELETE", "BREW"):
            self.stack.api(method, "/nowhere")
        before = self.settled()
        self.assertTrue(any('method="_OTHER"' in k for k in before))
        random = Random(7)
        n = 1500
        with self.stack.client() as c:
            for i in range(n):
                path = "/" + "".join(random.choice("abc/%{}\"~") for _ in
                                     range(random.randrange(1, 40))) + str(i)
                c.request("GET", path.replace("%", "%25"), "rhk_nobody")
                c.request("BREW", f"/{i}")
                c.request("GET", f"/v1/t/nobody-{i}/projects", "rhk_nobody")

        def total(shown):
            return sum(v for k, v in shown.items()
                       if k.startswith("rowhouse_http_requests_total{"))
        after = self.settled()
        self.assertEqual(total(after), total(before) + 3 * n)
        # and tenants that nobody has confirmed have no name at all
        self.assertEqual([k for k in after if "nobody" in k], [])
        new = {k.split("{")[1] for k in after if k not in before and
               k.startswith("rowhouse_http_requests_total{")}
        self.assertLessEqual(len(new), 6, new)

    def test_promtool_has_nothing_to_say(self):
        t = self.stack.signup()
        self.expect(200, "GET", f"{t.path}/projects", t.token)
        done = subprocess.run(
            [system("promtool"), "check", "metrics"], text=True, check=False,
            input=self.stack.exporter.metrics(), capture_output=True,
            timeout=patience(60))
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "", ""))

    def test_openmetrics_is_strict_and_exemplars_name_kept_traces(self):
        try:
            from prometheus_client.openmetrics import parser
        except ImportError:
            self.skipTest("python3-prometheus-client is not installed")
        t = self.stack.signup()
        for _ in range(40):
            self.expect(200, "GET", f"{t.path}/projects", t.token)
        text = self.stack.exporter.metrics(OPEN)
        self.assertTrue(text.endswith("# EOF\n"))
        exemplars = 0
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.exemplar:
                    exemplars += 1
                    self.stack.pool.wait_line(
                        trace_id=sample.exemplar.labels["trace_id"],
                        sampled=True)
                    self.assertLessEqual(sample.exemplar.value,
                                         float(sample.labels["le"]))
        self.assertGreater(exemplars, 0)

    def test_both_formats_show_the_same_series(self):
        t = self.stack.signup()
        self.expect(200, "GET", f"{t.path}/projects", t.token)
        plain = set(self.settled())
        opened = set(series(self.stack.exporter.metrics(OPEN)))
        self.assertEqual(plain, opened)
        self.assertTrue(any('le="1.0"' in name for name in plain))

    def test_who_is_there_and_what_it_is(self):
        def states():
            return {re.search('state="(.*)"', k)[1]: v
                    for k, v in self.shown().items()
                    if k.startswith('rowhouse_workers{pool="fcgi"')}
        self.assertEqual(set(states()), {"starting", "idle", "busy", "draining",
                                         "backoff"})
        wait_until(lambda: states()["idle"] == 3, "three idle workers")
        shown = self.shown()
        build = [k for k in shown if k.startswith("rowhouse_build_info{")]
        self.assertEqual(len(build), 1)
        self.assertEqual(shown[build[0]], 1)
        for name in ("cpu_seconds_total", "resident_memory_bytes",
                     "virtual_memory_bytes", "open_fds", "max_fds",
                     "start_time_seconds"):
            self.assertGreater(shown[f'process_{name}{{pool="fcgi"}}'], 0, name)

    def test_a_killed_worker_takes_nothing_along(self):
        t = self.stack.signup()
        for _ in range(30):
            self.expect(200, "GET", f"{t.path}/projects", t.token)
        name = ('rowhouse_http_requests_total{method="GET",route='
                '"/v1/t/{tenant}/projects",status="200"}')
        before = self.settled()
        self.assertGreaterEqual(before[name], 30)
        cpu = 'process_cpu_seconds_total{pool="fcgi"}'
        workers = self.stack.pool.workers()
        for pid in workers:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                if f.read().strip() != "rh-log":
                    os.kill(pid, signal.SIGKILL)
        for _ in range(20):  # while they are missed and reaped
            self.assertGreaterEqual(self.shown()[cpu], before[cpu])
        wait_until(self.stack.ready, "the pool answers again", 20.0)
        killed = 'rowhouse_worker_restarts_total{pool="fcgi",reason="killed"}'
        self.assertGreaterEqual(self.counted(before.get(killed, 0) + 3, killed), 3)
        self.assertEqual(self.shown()[name], before[name])
        self.expect(200, "GET", f"{t.path}/projects", t.token)
        self.assertEqual(self.counted(before[name] + 1, name),
                         before[name] + 1)

    def test_the_exporter_may_come_and_go(self):
        t = self.stack.signup()
        exporter = self.stack.exporter
        name = ('rowhouse_http_requests_total{method="GET",route='
                '"/v1/t/{tenant}/projects",status="200"}')
        before = self.settled().get(name, 0)
        exporter.stop()
        for _ in range(25):
            self.expect(200, "GET", f"{t.path}/projects", t.token)
        exporter.start()
        self.assertEqual(self.counted(before + 25, name), before + 25)

    def test_http(self):
        port = self.stack.exporter.port
        got = get(port, Accept=PROMETHEUS)
        self.assertEqual(got.headers["Content-Type"], "application/"
                         "openmetrics-text; version=1.0.0; charset=utf-8")
        got = get(port)
        self.assertEqual(got.headers["Content-Type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        self.assertNotIn("Content-Encoding", got.headers)
        got = get(port, Accept_Encoding="gzip")
        self.assertEqual(got.headers["Content-Encoding"], "gzip")
        self.assertIn(b"rowhouse_workers{", gzip.decompress(got.body))
        got = get(port, method="HEAD")
        self.assertEqual((got.status, got.body), (200, b""))
        self.assertGreater(int(got.headers["Content-Length"]), 1000)
        self.assertEqual(get(port, "/livez").body, b"ok\n")
        got = get(port, "/")
        self.assertEqual(got.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertIn(b'href="/metrics"', got.body)
        self.assertEqual(get(port, "/metrics/").status, 404)
        self.assertEqual(get(port, "/metrics?name=x").status, 200)
        for method in ("POST", "PUT", "DELETE", "GETX"):
            got = get(port, method=method)
            self.assertEqual((got.status, got.headers["Allow"]),
                             (405, "GET, HEAD"), method)
        with Client(port) as c:
            got = c.request("POST", "/metrics", body=b"x" * 100000)
            self.assertEqual(got.status, 405)

    def test_a_kept_connection_is_served_again(self):
        with Client(self.stack.exporter.port) as c:
            c.request("GET", "/metrics")
            first = c.conn.sock
            c.request("GET", "/livez")
            self.assertIs(c.conn.sock, first)


class Asked(Story):
    """What is asked of others is counted as the log's lines tell it."""

    exporter = True
    redis = Redis
    settings = {"workers": 2, "limits": True, "limiter_advance": 0,
                "redis_timeout": "2s"}

    def shown(self):
        self.stack.exporter.settle()
        return series(self.stack.exporter.metrics())

    def test_round_trips_looks_and_decisions_are_those_of_the_lines(self):
        s = self.stack
        t = s.signup()
        path = f"{t.path}/projects"
        self.expect(200, "GET", path, t.token)
        before = self.shown()
        replies = [s.api("POST", path, t.token, {"name": f"P{i}"}) for i in range(5)]
        replies += [s.api("GET", path, t.token) for _ in range(15)]
        replies += [s.api("GET", f"{path}?status=active", t.token) for _ in range(5)]
        after = self.shown()
        self.assertLessEqual({r.status for r in replies}, {200, 201})
        lines = [s.pool.wait_line(request_id=r.headers["X-Request-Id"], msg="request")
                 for r in replies]

        def more(name):
            return after.get(name, 0) - before.get(name, 0)
        for store, rt in (("postgresql", "pg"), ("redis", "redis")):
            asked = sum(line["rt"][rt] for line in lines)
            self.assertGreater(asked, 0)
            # an idle worker asks now and then as well: what has expired, what was dropped
            self.assertGreaterEqual(more(f'rowhouse_round_trips_total{{store="{store}"}}'),
                                    asked)
            self.assertLess(more(f'rowhouse_round_trips_total{{store="{store}"}}'),
                            asked + 10)
        self.assertEqual({line["limiter"] for line in lines}, {"redis"})
        self.assertEqual(more('rowhouse_ratelimit_decisions_total'
                              '{backend="redis",decision="granted"}'), len(lines))
        looks = {result: more('rowhouse_cache_requests_total{cache="projects",'
                              f'result="{result}"}}')
                 for result in ("hit", "miss", "busy", "off")}
        self.assertEqual(sum(looks.values()), 15, looks)
        self.assertGreaterEqual(looks["hit"],
                                sum(line["cache"] == "hit" for line in lines))
        self.assertGreater(looks["hit"], 0)
        # nobody has asked for a lock, and that is said, too
        for result in ("acquired", "held", "off"):
            self.assertEqual(after[f'rowhouse_lock_attempts_total{{result="{result}"}}'], 0)

    def test_who_is_there_and_how_many_connections(self):
        s = self.stack
        opened = 'rowhouse_db_connections{state="open"}'
        postgres, redis = (f'rowhouse_dependency_up{{dependency="{name}"}}'
                           for name in ("postgresql", "redis"))

        def until(**wanted):
            names = {"opened": opened, "postgres": postgres, "redis": redis}
            wait_until(lambda: all(self.shown()[names[k]] == v for k, v in wanted.items()),
                       f"{wanted}", 60.0)
        until(opened=2, postgres=1, redis=1)
        s.redis.stop()
        until(opened=2, postgres=1, redis=0)
        s.redis.start()
        s.postgres.stop()
        until(opened=0, postgres=0, redis=1)
        s.postgres.start()
        until(opened=2, postgres=1, redis=1)


class Segment(unittest.TestCase):

    def test_without_a_segment_it_waits_for_one(self):
        with TempDir() as temp, Postgres(migrated=True) as postgres:
            pool = Pool(temp.path, postgres)
            with Exporter(pool) as exporter:
                got = get(exporter.port)
                self.assertEqual(got.status, 503)
                self.assertIn(b"No such file or directory", got.body)
                self.assertEqual(get(exporter.port, "/livez").status, 200)
                self.assertEqual(get(exporter.port, "/").status, 200)
                with open(pool.segment, "wb") as f:
                    f.write(b"rubbish" * 1000)
                got = get(exporter.port)
                self.assertEqual(got.status, 503)
                self.assertIn(b"no segment of Rowhouse", got.body)
                os.unlink(pool.segment)
                with pool:
                    self.assertEqual(get(exporter.port).status, 200)

    def test_counters_outlive_the_pool_and_end_with_its_shape(self):
        name = ('rowhouse_http_requests_total{method="GET",route="/livez",'
                'status="200"}')
        with Stack(exporter=True, workers=2) as s:
            def count():
                return series(s.exporter.metrics()).get(name, 0)
            for _ in range(9):
                self.assertEqual(s.api("GET", "/livez").status, 200)
            s.exporter.settle()
            self.assertEqual(count(), 9)
            for how, left in (("the same", 9), ("other workers", 0)):
                with self.subTest(how):
                    s.pool.stop()
                    s.pool.daemon.child.stdout.close()
                    if left == 0:
                        s.pool.configure(workers=3)
                    s.pool.start()
                    self.assertEqual(count(), left)

    def test_it_needs_no_secret_and_says_what_is_wrong(self):
        with TempDir() as temp, Postgres() as postgres:
            pool = Pool(temp.path, postgres)
            pool.settings.update(database_url="file:/nowhere", secret_key="")
            pool.configure()
            with Exporter(pool) as exporter:
                self.assertEqual(get(exporter.port, "/livez").status, 200)
                second = Exporter(pool)
                with self.assertRaisesRegex(AssertionError, "in use"):
                    second.start()
                    second.daemon.child.wait(patience(20))
                    raise AssertionError(second.daemon.said())


if __name__ == "__main__":
    main(["promtool", "redis-server"])
