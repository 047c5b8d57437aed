#!/usr/bin/python3
"""W3C Trace Context through a web server: tests/e2e/trace-context is told to
call us, and we look at what it says."""

import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import unittest
import urllib.parse

sys.dont_write_bytecode = True

from harness import BUILD  # noqa: E402
from harness.places import system  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TRACE = "12345678901234567890123456789012"
SPAN = "1234567890123456"
PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\Z")

GOOD = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"

# Every case of the W3C suite (github.com/w3c/trace-context, test/test.py of
# June 2026, at SPEC_LEVEL=2 STRICT_LEVEL=2) has its rows here, under its name.
#
# name of the case: [(headers, whether the trace goes on)]
PARENTS = {
    "both_traceparent_and_tracestate_missing": [([], False)],
    "traceparent_included_tracestate_missing": [
        ([("traceparent", GOOD)], True)],
    "traceparent_duplicated": [
        ([("traceparent", f"00-{TRACE[:-1]}1-{SPAN}-01"),
          ("traceparent", GOOD)], False),
        ([("traceparent", GOOD), ("traceparent", GOOD)], False)],
    "traceparent_header_name": [
        ([("trace-parent", GOOD)], False), ([("trace.parent", GOOD)], False)],
    "traceparent_header_name_valid_casing": [
        ([("TraceParent", GOOD)], True), ([("TrAcEpArEnT", GOOD)], True),
        ([("TRACEPARENT", GOOD)], True)],
    "traceparent_version_0x00": [
        ([("traceparent", f"{GOOD}.")], False),
        ([("traceparent", f"{GOOD}-what-the-future")], False)],
    "traceparent_version_0xcc": [
        ([("traceparent", f"cc-{TRACE}-{SPAN}-01")], True),
        ([("traceparent", f"cc-{TRACE}-{SPAN}-01-what-the-future")], True),
        ([("traceparent", f"cc-{TRACE}-{SPAN}-01.what-the-future")], False)],
    "traceparent_version_0xff": [
        ([("traceparent", f"ff-{TRACE}-{SPAN}-01")], False)],
    "traceparent_version_illegal_characters": [
        ([("traceparent", f".0-{TRACE}-{SPAN}-01")], False),
        ([("traceparent", f"0.-{TRACE}-{SPAN}-01")], False)],
    "traceparent_version_too_long": [
        ([("traceparent", f"000-{TRACE}-{SPAN}-01")], False),
        ([("traceparent", f"0000-{TRACE}-{SPAN}-01")], False)],
    "traceparent_version_too_short": [
        ([("traceparent", f"0-{TRACE}-{SPAN}-01")], False)],
    "traceparent_trace_id_all_zero": [
        ([("traceparent", f"00-{'0' * 32}-{SPAN}-01")], False)],
    "traceparent_trace_id_illegal_characters": [
        ([("traceparent", f"00-.{TRACE[1:]}-{SPAN}-01")], False),
        ([("traceparent", f"00-{TRACE[:-1]}.-{SPAN}-01")], False),
        ([("traceparent", f"00-{TRACE.replace('1', 'A')}-{SPAN}-01")], False)],
    "traceparent_trace_id_too_long": [
        ([("traceparent", f"00-{TRACE}3-{SPAN}-01")], False)],
    "traceparent_trace_id_too_short": [
        ([("traceparent", f"00-{TRACE[:-1]}-{SPAN}-01")], False)],
    "traceparent_parent_id_all_zero": [
        ([("traceparent", f"00-{TRACE}-{'0' * 16}-01")], False)],
    "traceparent_parent_id_illegal_characters": [
        ([("traceparent", f"00-{TRACE}-.{SPAN[1:]}-01")], False),
        ([("traceparent", f"00-{TRACE}-{SPAN[:-1]}.-01")], False)],
    "traceparent_parent_id_too_long": [
        ([("traceparent", f"00-{TRACE}-{SPAN}7-01")], False)],
    "traceparent_parent_id_too_short": [
        ([("traceparent", f"00-{TRACE}-{SPAN[:-1]}-01")], False)],
    "traceparent_trace_flags_illegal_characters": [
        ([("traceparent", f"00-{TRACE}-{SPAN}-.0")], False),
        ([("traceparent", f"00-{TRACE}-{SPAN}-0.")], False)],
    "traceparent_trace_flags_too_long": [
        ([("traceparent", f"00-{TRACE}-{SPAN}-001")], False)],
    "traceparent_trace_flags_too_short": [
        ([("traceparent", f"00-{TRACE}-{SPAN}-1")], False)],
    "traceparent_ows_handling": [
        ([("traceparent", before + GOOD + after)], True)
        for before, after in ((" ", ""), ("\t", ""), ("", " "), ("", "\t"),
                              ("\t ", " \t"))],
}

ALL_KEY = "".join(map(chr, range(0x61, 0x7b))) + "0123456789_-*/"
ALL_VALUE = "".join(chr(c) for c in range(0x20, 0x7f) if chr(c) not in ",=")
BARS = [f"bar{n:02}={n:02}" for n in range(1, 34)]
# name of the case: [(headers beside a valid traceparent, what goes on)]
STATES = {
    "tracestate_included_traceparent_included": [
        ([("tracestate", "foo=1,bar=2")], "foo=1,bar=2")],
    "tracestate_header_name": [
        ([("trace-state", "foo=1")], ""), ([("trace.state", "foo=1")], "")],
    "tracestate_header_name_valid_casing": [
        ([("TraceState", "foo=1")], "foo=1"),
        ([("TrAcEsTaTe", "foo=1")], "foo=1"),
        ([("TRACESTATE", "foo=1")], "foo=1")],
    "tracestate_empty_header": [
        ([("tracestate", "")], ""),
        ([("tracestate", "foo=1"), ("tracestate", "")], "foo=1"),
        ([("tracestate", ""), ("tracestate", "foo=1")], "foo=1")],
    "tracestate_multiple_headers_different_keys": [
        ([("tracestate", "foo=1,bar=2"), ("tracestate", "rojo=1,congo=2"),
          ("tracestate", "baz=3")], "foo=1,bar=2,rojo=1,congo=2,baz=3")],
    "tracestate_duplicated_keys": [
        ([("tracestate", "foo=1,foo=1")], "foo=1,foo=1"),
        ([("tracestate", "foo=1,foo=2")], "foo=1,foo=2"),
        ([("tracestate", "foo=1"), ("tracestate", "foo=1")], "foo=1,foo=1"),
        ([("tracestate", "foo=1"), ("tracestate", "foo=2")], "foo=1,foo=2")],
    "tracestate_all_allowed_characters": [
        ([("tracestate", f"{key}={ALL_VALUE}")], f"{key}={ALL_VALUE}")
        for key in (ALL_KEY, f"{ALL_KEY}@a-z0-9_-*/")],
    "tracestate_ows_handling": [
        ([("tracestate", "foo=1 \t , \t bar=2, \t baz=3")],
         "foo=1,bar=2,baz=3"),
        ([("tracestate", "foo=1\t \t,\t \tbar=2,\t \tbaz=3")],
         "foo=1,bar=2,baz=3")] + [
        ([("tracestate", sent)], "foo=1")
        for sent in (" foo=1", "\tfoo=1", "foo=1 ", "foo=1\t",
                     "\t foo=1 \t")],
    "tracestate_key_illegal_characters": [
        ([("tracestate", sent)], "")
        for sent in ("foo =1", "FOO=1", "foo.bar=1")],
    "tracestate_key_illegal_vendor_format": [
        ([("tracestate", "foo@=1,bar=2")], "foo@=1,bar=2"),
        ([("tracestate", "@foo=1,bar=2")], ""),
        ([("tracestate", "foo@@bar=1,bar=2")], "foo@@bar=1,bar=2"),
        ([("tracestate", "foo@bar@baz=1,bar=2")], "foo@bar@baz=1,bar=2")],
    "tracestate_member_count_limit": [
        ([("tracestate", ",".join(BARS[at:min(at + 10, n)]))
          for at in range(0, n, 10)], ",".join(BARS[:n]) if n == 32 else "")
        for n in (32, 33)],
    "tracestate_key_length_limit": [
        ([("tracestate", "foo=1"), ("tracestate", f"{key}=1")],
         f"foo=1,{key}=1" if len(key) <= 256 else "")
        for key in ("z" * 256, "z" * 257, "t" * 241 + "@" + "v" * 14,
                    "t" * 242 + "@v", "t@" + "v" * 15)],
    "tracestate_value_illegal_characters": [
        ([("tracestate", "foo=bar=baz")], ""),
        ([("tracestate", "foo=,bar=3")], "")],
    # ours: no more than that is bounded
    "tracestate_is_not_cut": [
        ([("tracestate", f"foo={'x' * 256},bar={'y' * 256}")],
         f"foo={'x' * 256},bar={'y' * 256}")],
    # ours: th that the parent's flag belies is no th (it is not sampled)
    "tracestate_ot": [
        ([("tracestate", "foo=1,ot=th:ffffffffffffff;rv:00000000000000")],
         "foo=1,ot=th:ffffffffffffff;rv:00000000000000"),
        ([("tracestate", "foo=1,ot=th:0;rv:00000000000000,bar=2")],
         "ot=rv:00000000000000,foo=1,bar=2"),
        ([("tracestate", "foo=1,ot=th:0")], "foo=1")],
}
# what the other cases of the suite are called here
OTHERS = {
    "tracestate_included_traceparent_missing":
        "test_tracestate_alone_is_discarded",
    "multiple_requests_with_valid_traceparent":
        "test_each_call_has_its_own_parent",
    "multiple_requests_without_traceparent":
        "test_each_call_of_a_new_trace_has_its_own_parent",
    "multiple_requests_with_illegal_traceparent":
        "test_each_call_of_a_new_trace_has_its_own_parent",
    "propagates_random_flag": "test_flags",
}


class Callback(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append(self.headers)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


class TraceContext(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Callback)
        cls.server.heard = []
        thread = threading.Thread(target=cls.server.serve_forever)
        thread.start()
        cls.addClassCleanup(thread.join)
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        cls.service = subprocess.Popen(
            [os.path.join(HERE, "trace-context")], text=True,
            stdout=subprocess.PIPE, env={**os.environ, "top_builddir": BUILD})
        cls.addClassCleanup(cls.end)
        cls.url = cls.service.stdout.readline().strip()
        if not cls.url:
            raise AssertionError("trace-context printed no URL")

    @classmethod
    def end(cls):
        cls.service.send_signal(signal.SIGTERM)
        cls.service.stdout.close()
        if cls.service.wait(60) != 0:
            raise AssertionError(f"trace-context: {cls.service.returncode}")

    def call(self, headers, count=1):
        """What the service sent us when it was told to call count times."""
        self.server.heard.clear()
        url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        body = json.dumps([{"url": f"{url}{n}", "arguments": []}
                           for n in range(count)]).encode()
        self.assertEqual(self.post(headers, body), 200)
        self.assertEqual(len(self.server.heard), count)
        return list(self.server.heard)

    def post(self, headers, body):
        """http.client, which lets a header be sent twice."""
        where = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname, where.port,
                                                timeout=60)
        connection.putrequest("POST", where.path)
        for name, value in (*headers, ("Content-Type", "application/json"),
                            ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        reply.read()
        self.response = reply.headers
        connection.close()
        return reply.status

    def parent(self, headers):
        values = headers.get_all("traceparent")
        self.assertEqual(len(values), 1)
        match = PARENT.match(values[0])
        self.assertTrue(match, values)
        return match.groups()

    def test_traceparent(self):
        for name, rows in PARENTS.items():
            for sent, goes_on in rows:
                with self.subTest(name, sent=sent):
                    heard, = self.call(sent)
                    trace, span, _ = self.parent(heard)
                    self.assertEqual(trace == TRACE, goes_on)
                    self.assertNotEqual(span, SPAN)
                    self.assertNotEqual(trace, "0" * 32)

    def test_tracestate(self):
        for name, rows in STATES.items():
            for sent, goes_on in rows:
                with self.subTest(name, sent=sent):
                    heard, = self.call([("traceparent", UNSAMPLED), *sent])
                    self.assertEqual(self.parent(heard)[0], TRACE)
                    got = [m.strip() for m in
                           heard.get("tracestate", "").split(",")]
                    self.assertEqual(",".join(m for m in got if m), goes_on)

    def test_every_case_of_the_suite_is_here(self):
        names = {*PARENTS, *STATES, *OTHERS}
        self.assertEqual(len(names) - 2, 41)  # two are our own
        for name in OTHERS.values():
            self.assertTrue(hasattr(self, name), name)

    def test_tracestate_alone_is_discarded(self):
        for sent in ("foo=1", "foo=1,bar=2"):
            heard, = self.call([("tracestate", sent)])
            # every new trace is kept here, and says so
            self.assertEqual(heard.get("tracestate", ""), "ot=th:0")

    def test_flags(self):
        for sent, want in (("00", "00"), ("01", "01"), ("02", "02"),
                           ("03", "03"), ("ff", "03")):
            with self.subTest(sent):
                heard, = self.call(
                    [("traceparent", f"00-{TRACE}-{SPAN}-{sent}")])
                self.assertEqual(self.parent(heard)[2], want)

    def test_new_traces_are_random(self):
        heard, = self.call([])
        self.assertEqual(int(self.parent(heard)[2], 16) & 2, 2)

    def test_each_call_of_a_new_trace_has_its_own_parent(self):
        for sent in ([], [("traceparent", f"00-{'0' * 32}-{SPAN}-01")]):
            parents = [self.parent(h) for h in self.call(sent, 3)]
            self.assertEqual(len({p[0] for p in parents}), 1)
            self.assertNotEqual(parents[0][0], "0" * 32)
            self.assertEqual(len({p[1] for p in parents}), 3)

    def test_each_call_has_its_own_parent(self):
        heard = self.call([("traceparent", f"00-{TRACE}-{SPAN}-01")], 3)
        parents = [self.parent(h) for h in heard]
        self.assertEqual({p[0] for p in parents}, {TRACE})
        self.assertEqual(len({p[1] for p in parents}), 3)
        # and traceresponse names the span above them
        trace, span, flags = PARENT.match(
            self.response["traceresponse"]).groups()
        self.assertEqual((trace, flags), (TRACE, "01"))
        self.assertNotIn(span, {p[1] for p in parents} | {SPAN})


if __name__ == "__main__":
    if not os.path.exists(os.path.join(BUILD, "tests/e2e/trace_context")):
        print("skipped: tests/e2e/trace_context is not built")
        sys.exit(77)
    if not system("nginx"):
        print("skipped: nginx is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
