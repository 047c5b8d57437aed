#!/usr/bin/python3
"""The exporter's protobuf: as protoc reads it, what the text says; and native
histograms, as a real Prometheus takes them."""

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "otlp"))

import decode  # noqa: E402
from harness import (Client, Daemon, Story, free_port, main,  # noqa: E402
                     wait_until)
from harness.places import system  # noqa: E402

TYPE = ("application/vnd.google.protobuf; "
        "proto=io.prometheus.client.MetricFamily; encoding=delimited")
# as version 2.42 asks with --enable-feature=native-histograms
PROMETHEUS = ("application/vnd.google.protobuf;proto=io.prometheus.client."
              "MetricFamily;encoding=delimited,application/openmetrics-text;"
              "version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;"
              "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
SCHEMA, ZERO = 3, 2 ** -15
ROUTE = "/v1/t/{tenant}/projects"
NAME = "rowhouse_http_request_duration_seconds"


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def families(data):
    """Each family behind its length, read by protoc as one message: the tag
    of a repeated field is put before each length."""
    at, whole = 0, b""
    while at < len(data):
        length, start = varint(data, at)
        whole += b"\x0a" + data[at:start + length]
        at = start + length
    done = subprocess.run(
        ["protoc", "-I", decode.PROTO, "--decode=rowhouse.tests.prometheus."
         "Exposition", "prometheus_client.proto"], input=whole,
        capture_output=True, check=True)
    return {decode.last(f, "name", b"").decode(): f for f in
            decode.read_text(done.stdout.decode()).get("family", [])}


def labels(metric):
    """As the text has them."""
    return ",".join(
        '{}="{}"'.format(
            decode.last(pair, "name", b"").decode(),
            decode.last(pair, "value", b"").decode().replace("\\", r"\\")
            .replace('"', r"\"").replace("\n", r"\n"))
        for pair in metric.get("label", []))


def number(message, field):
    return float(decode.last(message, field, 0))


def series(found):
    """Name with labels to value, as the text shows them."""
    shown = {}
    for name, family in found.items():
        for metric in family.get("metric", []):
            mine = labels(metric)
            histogram = decode.last(metric, "histogram", None)
            if histogram is None:
                value = metric.get("counter", metric.get("gauge"))[-1]
                shown[name + (f"{{{mine}}}" if mine else "")] = \
                    number(value, "value")
                continue
            for bucket in histogram["bucket"]:
                bound = number(bucket, "upper_bound")
                bound = "+Inf" if bound == float("inf") else repr(bound)
                shown[f'{name}_bucket{{{mine},le="{bound}"}}'] = \
                    number(bucket, "cumulative_count")
            shown[f"{name}_count{{{mine}}}"] = number(histogram,
                                                      "sample_count")
            shown[f"{name}_sum{{{mine}}}"] = number(histogram, "sample_sum")
    return shown


def native(histogram):
    """Index to count; a bucket's upper bound is 2 ** (index / 8)."""
    counts, deltas, at, count = {}, iter(histogram["positive_delta"]), 0, 0
    for span in histogram["positive_span"]:
        at += int(decode.last(span, "offset", 0))
        for _ in range(int(decode.last(span, "length", 0))):
            count += int(next(deltas))
            counts[at] = count
            at += 1
    assert not list(deltas)
    return counts


def text_series(text):
    return {name: float(value) for name, value in (
        line.split(" # ")[0].rsplit(" ", 1) for line in text.splitlines()
        if line and not line.startswith("#"))}


class Protobuf(Story):

    exporter = True
    settings = {"workers": 3, "trace_ratio": 0.5}
    asked = 0

    def scrape(self, accept=PROMETHEUS):
        with Client(self.stack.exporter.port) as c:
            got = c.request("GET", "/metrics", headers={"Accept": accept})
        self.assertEqual((got.status, got.headers["Content-Type"]),
                         (200, TYPE))
        return families(got.body)

    def ask(self, n):
        """n pages of projects more; the lines of all there were, counted."""
        t = self.stack.signup()
        for _ in range(n):
            self.expect(200, "GET", f"{t.path}/projects", t.token)
        type(self).asked += n
        count = f'{NAME}_count{{method="GET",route="{ROUTE}"}}'
        self.stack.exporter.settle()
        self.assertEqual(text_series(self.stack.exporter.metrics())[count],
                         self.asked)
        return wait_until(lambda: (lambda found: found if len(found) ==
                                   self.asked else None)(
                                       self.stack.pool.find_lines(
                                           route=ROUTE, msg="request")),
                          "their lines")

    def histogram(self):
        metric, = [m for m in self.scrape()[NAME]["metric"]
                   if labels(m) == f'method="GET",route="{ROUTE}"']
        return metric["histogram"][-1]

    def test_it_says_what_the_text_says(self):
        self.ask(25)
        before = text_series(self.stack.exporter.metrics())
        found = self.scrape()
        after = text_series(self.stack.exporter.metrics())
        shown = series(found)
        self.assertEqual(set(shown), set(before))
        for name, value in before.items():
            if after[name] == value and not name.startswith("process_"):
                self.assertAlmostEqual(shown[name], value, 6, name)
        kinds = {name: family["type"][-1] for name, family in found.items()}
        text = self.stack.exporter.metrics()
        self.assertEqual({name: kind.upper() for name, kind in re.findall(
            r"(?m)^# TYPE (\S+) (\S+)$", text) if name in kinds}, kinds)
        for name, family in found.items():
            self.assertIn(f"# HELP {name} {family['help'][-1].decode()}\n",
                          text)

    def test_native_buckets_hold_what_was_observed(self):
        lines = self.ask(150)
        h = self.histogram()
        self.assertEqual((int(h["schema"][-1]),
                          float(h["zero_threshold"][-1])), (SCHEMA, ZERO))
        counts = native(h)
        zero = int(decode.last(h, "zero_count", 0))
        self.assertEqual(sum(counts.values()) + zero, len(lines))
        self.assertEqual(int(h["sample_count"][-1]), len(lines))
        for line in lines:
            # the line has microseconds, the cell has seen nanoseconds
            near = {i for us in (-1, 0, 1) for i in counts
                    if 2 ** ((i - 1) / 8) <
                    line["duration_ms"] / 1e3 + us / 1e6 <= 2 ** (i / 8)}
            self.assertTrue(near, line)

    def test_exemplars_name_kept_traces(self):
        self.ask(40)
        named = [e for b in self.histogram()["bucket"]
                 for e in b.get("exemplar", [])]
        self.assertTrue(named)
        for exemplar in named:
            pair, = exemplar["label"]
            self.assertEqual(pair["name"][-1], b"trace_id")
            line = self.stack.pool.wait_line(
                trace_id=pair["value"][-1].decode(), sampled=True)
            self.assertAlmostEqual(number(exemplar, "value"),
                                   line["duration_ms"] / 1e3, 5)

    def test_prometheus_takes_them(self):
        lines = self.ask(60)
        temp = os.path.join(self.stack.temp, "prometheus")
        os.mkdir(temp)
        with open(f"{temp}/p.yml", "w", encoding="utf-8") as f:
            json.dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [
                {"job_name": "rowhouse", "static_configs": [{"targets": [
                    f"127.0.0.1:{self.stack.exporter.port}"]}]}]}, f)
        port = free_port()
        prometheus = Daemon(
            [system("prometheus"), f"--config.file={temp}/p.yml",
             f"--storage.tsdb.path={temp}/data",
             f"--web.listen-address=127.0.0.1:{port}",
             "--enable-feature=native-histograms,exemplar-storage"],
            log=f"{temp}/log")
        self.addCleanup(prometheus.stop)

        def query(text):
            url = f"http://127.0.0.1:{port}/api/v1/query?" + \
                urllib.parse.urlencode({"query": text})
            try:
                with urllib.request.urlopen(url, timeout=5) as reply:
                    found = json.load(reply)["data"]["result"]
            except OSError:
                return None
            return float(found[0]["value"][1]) if found else None
        which = f'{NAME}{{method="GET",route="{ROUTE}"}}'
        # where a scrape fails there is nothing until the next
        wait_until(lambda: query(f"histogram_count({which})") == len(lines),
                   "Prometheus has counted them", 60.0)
        wait_until(lambda: query('up{job="rowhouse"}') == 1, "it is up")
        # of an even number the lower one: the first that half of them do not pass
        middle = sorted(line["duration_ms"] for line in lines)[
            (len(lines) - 1) // 2]
        told = 1e3 * wait_until(
            lambda: query(f"histogram_quantile(0.5, {which})"), "a median")
        # it is in that one's bucket, which is 9 % wide
        self.assertLess(abs(told - middle) / middle, 0.25)


if __name__ == "__main__":
    main(["protoc", "prometheus"])
