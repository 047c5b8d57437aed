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

# (what is sent, whether the trace goes on)
TRACEPARENTS = [
    ([], False),
    ([f"00-{TRACE}-{SPAN}-01"], True),
    ([f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"], False),
    ([f"00-{TRACE}-{SPAN}-01."], False),
    ([f"cc-{TRACE}-{SPAN}-01-what-the-future"], True),
    ([f"cc-{TRACE}-{SPAN}-01.what-the-future"], False),
    ([f"ff-{TRACE}-{SPAN}-01"], False),
    ([f"00-{'0' * 32}-{SPAN}-01"], False),
    ([f"00-{TRACE}-{'0' * 16}-01"], False),
    ([f"\t 00-{TRACE}-{SPAN}-01 \t"], True),
    ([f"00-{TRACE.replace('1', 'A')}-{SPAN}-01"], False),
]
# (what is sent, what goes on)
TRACESTATES = [
    (["foo=1,bar=2"], "foo=1,bar=2"),
    (["foo=1,bar=2", "rojo=1", "congo=2"], "foo=1,bar=2,rojo=1,congo=2"),
    (["foo=1", ""], "foo=1"),
    (["", "foo=1"], "foo=1"),
    (["foo=1 \t , \t bar=2"], "foo=1,bar=2"),
    (["foo=1", "foo=2"], "foo=1,foo=2"),
    (["foo=1,foo=1"], "foo=1,foo=1"),
    (["FOO=1"], ""),
    (["foo=,bar=3"], ""),
    ([",".join(f"k{i}=1" for i in range(32))],
     ",".join(f"k{i}=1" for i in range(32))),
    ([",".join(f"k{i}=1" for i in range(33))], ""),
    (["foo=" + "x" * 256 + ",bar=" + "y" * 256],
     "foo=" + "x" * 256 + ",bar=" + "y" * 256),
]


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
        for sent, goes_on in TRACEPARENTS:
            with self.subTest(sent):
                heard, = self.call([("traceparent", v) for v in sent])
                trace, span, _ = self.parent(heard)
                self.assertEqual(trace == TRACE, goes_on)
                self.assertNotEqual(span, SPAN)
                self.assertNotEqual(trace, "0" * 32)

    def test_tracestate(self):
        for sent, goes_on in TRACESTATES:
            with self.subTest(sent):
                heard, = self.call(
                    [("traceparent", f"00-{TRACE}-{SPAN}-00")] +
                    [("tracestate", v) for v in sent])
                self.assertEqual(self.parent(heard)[0], TRACE)
                got = [m.strip() for m in
                       heard.get("tracestate", "").split(",")]
                self.assertEqual(",".join(m for m in got if m), goes_on)

    def test_tracestate_alone_is_discarded(self):
        heard, = self.call([("tracestate", "foo=1")])
        self.assertNotIn("foo", heard.get("tracestate", ""))

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
