#!/usr/bin/python3
"""The shipper against a collector that misbehaves: a row of the retry table
each, and the books: ended = exported + dropped + rejected + still held."""

import email.utils
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from collector import Collector  # noqa: E402

BUILD = os.environ.get("top_builddir", ".")
DRIVER = os.path.join(BUILD, "tests/lib/obs/ship_driver")
PATIENCE_S = 30
# each ended span is exactly one of these
BOOKS = ("exported", "dropped", "rejected", "held")


class Driver:
    """tests/lib/obs/ship_driver: a shipper that can be told what to do."""

    def __init__(self, url, ring=131072, **env):
        self.process = subprocess.Popen(
            [DRIVER, str(ring)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1,
            env={"PATH": os.environ["PATH"],
                 "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                 "OTEL_BSP_SCHEDULE_DELAY": "20",
                 # what must not be looked at
                 "http_proxy": "http://127.0.0.1:9",
                 "ALL_PROXY": "http://127.0.0.1:9", **env})

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        return json.loads(self.process.stdout.readline())

    def start(self):
        return self.tell("start")

    def put(self, traces, children=2):
        return self.tell(f"put {traces} {children}")

    def stop(self, deadline_ms=60000):
        return self.tell(f"stop {deadline_ms}")

    def until(self, **want):
        """Asks for the counts until they are these, and all of them are told:
        the shipper stores one after the other."""
        end = time.monotonic() + PATIENCE_S
        while True:
            got = self.tell("counts")
            if got["ended"] == sum(got[name] for name in BOOKS) and all(
                    got[name] == n for name, n in want.items()):
                return got
            if time.monotonic() > end:
                raise AssertionError(f"{got}, not {want}")
            time.sleep(0.02)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()


class Ship(unittest.TestCase):
    def setUp(self):
        self.collector = Collector()
        self.addCleanup(self.collector.close)

    def driver(self, url=None, start=True, **settings):
        driver = Driver(url or self.collector.url, **settings)
        self.addCleanup(self.end, driver)
        if start:
            self.assertTrue(driver.start()["running"])
        return driver

    def end(self, driver):
        self.assertEqual(driver.close(), 0)

    def assertBooks(self, counts, **want):
        self.assertEqual(counts["ended"], sum(counts[name] for name in BOOKS),
                         counts)
        for name, n in want.items():
            self.assertEqual(counts[name], n, counts)

    def gaps(self):
        at = [r.at for r in self.collector.requests()]
        return [b - a for a, b in zip(at, at[1:])]


class Delivery(Ship):
    def test_spans_arrive_as_they_ended(self):
        d = self.driver(OTEL_SERVICE_NAME="svc",
                        OTEL_RESOURCE_ATTRIBUTES="deployment.environment=t")
        d.put(3)
        spans = self.collector.wait_for(9)
        self.assertBooks(d.until(exported=9), dropped=0, held=0)
        servers = {s["span_id"]: s for s in spans if s["kind"] == 2}
        self.assertEqual(len(servers), 3)
        self.assertEqual(len({s["trace_id"] for s in spans}), 3)
        for s in spans:
            self.assertEqual(s["resource"]["service.name"], "svc")
            self.assertEqual(s["resource"]["deployment.environment"], "t")
            self.assertEqual(s["attributes"]["rowhouse.tenant.id"], "tenant")
            self.assertLessEqual(s["start"], s["end"])
            if s["kind"] == 3:
                parent = servers[s["parent_span_id"]]
                self.assertEqual(parent["trace_id"], s["trace_id"])
                self.assertLessEqual(parent["start"], s["start"])
                self.assertGreaterEqual(parent["end"], s["end"])
        request = self.collector.requests()[0]
        self.assertEqual(request.path, "/v1/traces")
        self.assertEqual(request.headers["Content-Type"],
                         "application/x-protobuf")
        self.assertIsNone(request.headers["Expect"])

    def test_json_gzip_and_headers(self):
        d = self.driver(start=False, OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
                        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
                        OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b,x-two=2")
        d.put(40)
        d.start()
        self.assertEqual(len(self.collector.wait_for(120)), 120)
        request = self.collector.requests()[0]
        self.assertEqual(request.headers["Content-Type"], "application/json")
        self.assertEqual(request.headers["Content-Encoding"], "gzip")
        self.assertEqual(request.headers["x-key"], "a b")
        self.assertEqual(request.headers["x-two"], "2")
        self.assertLess(len(request.raw), len(request.body) / 3)

    def test_protobuf_gzip(self):
        d = self.driver(OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
        d.put(40)
        self.assertEqual(len(self.collector.wait_for(120)), 120)

    def test_endpoint_of_traces_is_used_as_it_is(self):
        d = self.driver(
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=self.collector.url + "/x/y?z=1")
        d.put(1)
        self.assertEqual(self.collector.wait_for_requests(1)[0].path,
                         "/x/y?z=1")

    def test_batches_are_bounded(self):
        d = self.driver(start=False, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="6")
        d.put(10)
        d.start()
        self.collector.wait_for(30)
        self.assertEqual([len(r.spans) for r in self.collector.requests()],
                         [6] * 5)

    def test_nothing_is_sent_when_there_is_nothing(self):
        d = self.driver(OTEL_BSP_SCHEDULE_DELAY="1")
        time.sleep(0.3)
        self.assertBooks(d.stop(), exported=0)
        self.assertEqual(self.collector.requests(), [])

    def test_batch_goes_before_its_time_when_it_is_full(self):
        d = self.driver(OTEL_BSP_SCHEDULE_DELAY="600000",
                        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="30")
        d.put(10)
        self.assertEqual(len(self.collector.wait_for(30)), 30)

    def test_ring_goes_before_it_overflows(self):
        d = self.driver(OTEL_BSP_SCHEDULE_DELAY="600000", ring=16384)
        d.put(20)
        self.collector.wait_for(1)
        # what was put after it looked is less than a quarter, and stays
        self.assertBooks(d.stop(), exported=60, dropped=0, held=0)

    def test_stop_ships_the_rest(self):
        d = self.driver(OTEL_BSP_SCHEDULE_DELAY="600000")
        d.put(7)
        self.assertBooks(d.stop(), exported=21, held=0)
        self.assertEqual(len(self.collector.spans()), 21)

    def test_successor_ships_what_was_left(self):
        d = self.driver(OTEL_BSP_SCHEDULE_DELAY="600000")
        d.put(2)
        self.assertBooks(d.stop(0), held=6)
        d.put(1)
        d.start()
        self.assertBooks(d.stop(), exported=9, held=0)

    def test_disabled_leaves_them_in_the_ring(self):
        d = self.driver(start=False, OTEL_TRACES_EXPORTER="none")
        self.assertFalse(d.start()["running"])
        self.assertBooks(d.put(1), held=3)


class Retries(Ship):
    def retried(self, **answer):
        self.collector.tell(**answer)
        d = self.driver()
        d.put(1)
        self.collector.wait_for(3)
        self.assertBooks(d.until(exported=3), dropped=0, rejected=0)
        first, second = self.collector.requests()
        self.assertEqual(first.raw, second.raw)
        return self.gaps()[0]

    def test_429(self):
        self.retried(status=429)

    def test_502(self):
        self.retried(status=502)

    def test_503(self):
        self.retried(status=503)

    def test_504(self):
        self.retried(status=504)

    def test_retry_after_seconds(self):
        self.assertGreaterEqual(
            self.retried(status=503, headers={"Retry-After": "2"}), 1.9)

    def test_retry_after_date(self):
        then = int(time.time()) + 3
        self.retried(status=429, headers={
            "Retry-After": email.utils.formatdate(then, usegmt=True)})
        # however late the first was: not before that time
        self.assertGreaterEqual(self.collector.requests()[1].wall, then - 0.1)

    def test_retry_after_nonsense(self):
        self.retried(status=503, headers={"Retry-After": "soon"})

    def test_connection_closed_without_a_reply(self):
        self.retried(close=True)

    def test_back_off_grows(self):
        for _ in range(3):
            self.collector.tell(status=503)
        d = self.driver()
        d.put(1)
        self.collector.wait_for(3)
        self.assertBooks(d.until(exported=3))
        first, _, third = self.gaps()
        self.assertGreaterEqual(first, 0.25)
        self.assertGreaterEqual(third, 1.0)

    def test_hang_ends_at_the_timeout(self):
        self.collector.tell(hang=True)
        d = self.driver(OTEL_EXPORTER_OTLP_TIMEOUT="300")
        d.put(1)
        self.collector.wait_for(3)
        self.assertBooks(d.until(exported=3), dropped=0)

    def test_retries_end(self):
        for _ in range(50):
            self.collector.tell(status=503)
        d = self.driver(OTEL_BSP_EXPORT_TIMEOUT="900")
        d.put(1)
        self.assertBooks(d.until(dropped=3), exported=0, held=0)

    def test_retry_after_beyond_all_patience(self):
        self.collector.tell(status=503, headers={"Retry-After": "86400"})
        d = self.driver()
        d.put(1)
        self.assertBooks(d.until(dropped=3), exported=0)

    def test_collector_that_comes_back(self):
        port, url = self.collector.port, self.collector.url
        self.collector.close()
        d = self.driver(url)
        d.put(2)
        time.sleep(0.3)
        self.assertBooks(d.tell("counts"), held=6)
        self.collector = Collector(port)
        self.addCleanup(self.collector.close)
        self.assertEqual(len(self.collector.wait_for(6)), 6)
        self.assertBooks(d.until(exported=6), dropped=0, held=0)

    def test_connection_lost_between_batches(self):
        d = self.driver()
        d.put(1)
        self.collector.wait_for(3)
        port = self.collector.port
        self.collector.close()
        self.collector = Collector(port)
        self.addCleanup(self.collector.close)
        d.put(1)
        self.collector.wait_for(3)
        self.assertBooks(d.until(exported=6), dropped=0)


class RetryTable(Ship):
    """OTLP 1.x, OTLP/HTTP, "OTLP/HTTP Response" to "All Other Responses": what
    the receiver says, and what has become of the spans when all is over."""

    RETRIED = ({"status": 429}, {"status": 502}, {"status": 503},
               {"status": 504}, {"close": True},
               {"status": 429, "headers": {"Retry-After": "1"}},
               {"status": 503, "headers": {"Retry-After": "0"}},
               {"status": 503, "body": "no JSON, no protobuf"})
    DROPPED = tuple({"status": status} for status in (
        300, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408,
        409, 410, 411, 413, 414, 415, 418, 421, 422, 425, 426, 428, 431, 451,
        500, 501, 505, 507, 508, 511, 599))
    SUCCESS = ({}, {"status": 200, "rejected": 0},
               {"status": 200, "body": ""}, {"status": 202})
    PARTIAL = ({"status": 200, "rejected": 1}, {"status": 200, "rejected": 3})

    def run_table(self, rows, column, each, requests):
        d = self.driver(OTEL_BSP_SCHEDULE_DELAY="1")
        for n, answer in enumerate(rows, 1):
            with self.subTest(answer):
                self.collector.tell(**answer)
                d.put(1)
                counts = d.until(ended=3 * n, **{column: sum(
                    each(row) for row in rows[:n])})
                self.assertBooks(counts)
        counts = d.stop()
        self.assertBooks(counts, ended=3 * len(rows), held=0)
        self.assertEqual(counts["exported"] + counts["dropped"] +
                         counts["rejected"], counts["ended"])
        self.assertEqual(len(self.collector.requests()),
                         len(rows) * requests)
        return counts

    def test_what_is_retried(self):
        counts = self.run_table(self.RETRIED, "exported", lambda _: 3, 2)
        self.assertEqual((counts["dropped"], counts["rejected"]), (0, 0))

    def test_what_is_not(self):
        counts = self.run_table(self.DROPPED, "dropped", lambda _: 3, 1)
        self.assertEqual((counts["exported"], counts["rejected"]), (0, 0))

    def test_success(self):
        counts = self.run_table(self.SUCCESS, "exported", lambda _: 3, 1)
        self.assertEqual((counts["dropped"], counts["rejected"]), (0, 0))

    def test_partial_success(self):
        counts = self.run_table(self.PARTIAL, "rejected",
                                lambda row: row["rejected"], 1)
        self.assertEqual((counts["exported"], counts["dropped"]), (2, 0))


@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class Tls(Ship):
    """The certificates that the variables name."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        for name in ("server", "client"):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", f"/CN={name}", "-addext",
                 "subjectAltName=IP:127.0.0.1", "-keyout",
                 cls.file(f"{name}.key"), "-out", cls.file(f"{name}.pem")],
                check=True, capture_output=True)

    @classmethod
    def file(cls, name):
        return os.path.join(cls.folder.name, name)

    def setUp(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("server.pem"),
                                self.file("server.key"))
        context.load_verify_locations(self.file("client.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        self.collector = Collector(tls=context)
        self.addCleanup(self.collector.close)
        self.all = {
            "OTEL_EXPORTER_OTLP_CERTIFICATE": self.file("server.pem"),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": self.file("client.pem"),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": self.file("client.key")}

    def test_both_sides_show_who_they_are(self):
        d = self.driver(**self.all)
        d.put(1)
        self.collector.wait_for(3)
        self.assertBooks(d.until(exported=3))

    def test_their_traces_forms(self):
        d = self.driver(**{name.replace("_OTLP_", "_OTLP_TRACES_"): value
                           for name, value in self.all.items()})
        d.put(1)
        self.assertBooks(d.until(exported=3))

    def test_without_one_of_them_nothing_is_sent(self):
        for name in ("OTEL_EXPORTER_OTLP_CERTIFICATE",
                     "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"):
            with self.subTest(name):
                given = {k: v for k, v in self.all.items() if k != name}
                d = self.driver(OTEL_BSP_EXPORT_TIMEOUT="600", **given)
                d.put(1)
                self.assertBooks(d.until(dropped=3), exported=0)
        self.assertEqual(self.collector.requests(), [])


class Drops(Ship):
    def refused(self, **answer):
        self.collector.tell(**answer)
        d = self.driver()
        d.put(1)
        self.assertBooks(d.until(dropped=3), exported=0, held=0)
        d.put(1)
        self.assertBooks(d.until(exported=3), dropped=3)
        self.assertEqual(len(self.collector.requests()), 2)

    def test_400(self):
        self.refused(status=400)

    def test_401(self):
        self.refused(status=401)

    def test_404(self):
        self.refused(status=404)

    def test_413(self):
        self.refused(status=413)

    def test_500(self):
        self.refused(status=500)

    def test_400_with_retry_after(self):
        self.refused(status=400, headers={"Retry-After": "1"})

    def test_redirects_are_not_followed(self):
        self.refused(status=307,
                     headers={"Location": self.collector.url + "/v1/traces"})

    def partial(self, **env):
        self.collector.tell(status=200, rejected=2)
        d = self.driver(start=False, **env)
        d.put(2)
        d.start()
        self.assertBooks(d.until(rejected=2), exported=4, dropped=0)
        time.sleep(0.7)
        self.assertEqual(len(self.collector.requests()), 1)

    def test_partial_success_in_protobuf(self):
        self.partial()

    def test_partial_success_in_json(self):
        self.partial(OTEL_EXPORTER_OTLP_PROTOCOL="http/json")

    def test_partial_success_with_a_warning_alone(self):
        self.collector.tell(status=200, rejected=0)
        d = self.driver()
        d.put(1)
        self.assertBooks(d.until(exported=3), rejected=0)

    def test_reply_that_is_none(self):
        self.collector.tell(status=200, body="\xff" * 100000)
        d = self.driver()
        d.put(1)
        self.assertBooks(d.until(exported=3), rejected=0)

    def test_more_rejected_than_sent(self):
        self.collector.tell(status=200, rejected=1000)
        d = self.driver()
        d.put(1)
        self.assertBooks(d.until(rejected=3), exported=0)

    def test_what_the_ring_cannot_hold_is_counted(self):
        d = self.driver(start=False, ring=16384)
        d.put(500)
        d.start()
        self.collector.wait_for(1)
        counts = d.stop()
        spans = self.collector.spans()
        self.assertBooks(counts, held=0, rejected=0)
        self.assertGreater(counts["dropped"], 1000)
        self.assertEqual(counts["exported"], len(self.collector.spans()))
        # the newest are what is left
        self.assertIn("trace 1497", {s["name"] for s in spans})

    def test_what_is_on_its_way_may_be_overwritten(self):
        """It is told as what the collector says, and the rest as lost."""
        self.collector.tell(hold=True)
        d = self.driver(ring=16384)
        d.put(1)
        self.collector.wait_for_requests(1)
        counts = d.put(500)
        self.assertBooks(counts, held=1503)
        self.collector.release()
        counts = d.until(held=0)
        self.assertGreater(counts["dropped"], 1000)
        self.assertEqual((counts["exported"], counts["rejected"]),
                         (len(self.collector.spans()), 0))

    def test_spans_beyond_the_most_are_dropped(self):
        d = self.driver()
        d.put(1, 40)
        self.collector.wait_for(32)
        self.assertBooks(d.until(exported=32), ended=41, dropped=9)


class Stop(Ship):
    def stopped(self, deadline_ms, **counts):
        start = time.monotonic()
        got = self.d.stop(deadline_ms)
        # half of what it would wait for a reply otherwise
        self.assertLess(time.monotonic() - start, 60)
        self.assertBooks(got, **counts)

    def test_hanging_collector(self):
        self.collector.tell(hang=True)
        self.d = self.driver(OTEL_EXPORTER_OTLP_TIMEOUT="120000")
        self.d.put(1)
        self.collector.wait_for_requests(1)
        self.d.put(1)
        self.stopped(300, dropped=0, held=6, exported=0)

    def test_nobody_there(self):
        url = self.collector.url
        self.collector.close()
        self.d = self.driver(url)
        self.d.put(1)
        self.stopped(300, exported=0)

    def test_last_attempt_during_back_off(self):
        for _ in range(4):
            self.collector.tell(status=503)
        self.d = self.driver()
        self.d.put(1)
        self.collector.wait_for_requests(4)
        self.stopped(20000, exported=3)

    def test_retry_after_is_kept_also_then(self):
        self.collector.tell(status=503, headers={"Retry-After": "30"})
        self.d = self.driver()
        self.d.put(1)
        self.collector.wait_for_requests(1)
        self.stopped(1000, dropped=0, held=3)
        self.assertEqual(len(self.collector.requests()), 1)

    def test_who_comes_next_sends_what_was_not_answered(self):
        self.collector.tell(hold=True, close=True)
        self.d = self.driver()
        self.d.put(2)
        self.collector.wait_for_requests(1)
        self.stopped(0, held=6)
        self.collector.release()
        self.d.start()
        self.assertEqual(len(self.collector.wait_for(6)), 6)
        self.assertBooks(self.d.until(exported=6), dropped=0, held=0)

    def test_stop_twice(self):
        self.d = self.driver()
        self.d.stop()
        self.stopped(100, exported=0)


if __name__ == "__main__":
    if not os.path.exists(DRIVER):
        print(f"skipped: {DRIVER} is not built")
        sys.exit(77)
    unittest.main(verbosity=2)
