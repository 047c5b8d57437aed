#!/usr/bin/python3
"""Whatever comes in gets a 4xx or a closed connection: never a 5xx, and no
worker dies of it."""

import json
import struct
import sys

sys.dont_write_bytecode = True

from harness import Apache, Nginx, Story, fcgi, main  # noqa: E402
from harness.client import raw  # noqa: E402

JSON_400 = [
    b"", b" ", b"{", b"}", b"[", b"nul", b"{\"name\":\"x\"",
    b'{"name":"x"}}', b'{"name":"x"} {"name":"y"}', b'{"name":"x",}',
    b'{"name":"x" "y":1}', b"{name:\"x\"}", b"{'name':'x'}", b'{"name":x}',
    b'{"name":"x"}/* */', b'// c\n{"name":"x"}',
    b'{"name":"x","name":"y"}', b'{"name":"x","n\\u0061me":"y"}',
    b'{"name":"x","description":NaN}', b'{"name":"x","description":Infinity}',
    b'{"name":"x","description":-Infinity}', b'{"name":"x","description":1.}',
    b'{"name":"x","description":.5}', b'{"name":"x","description":01}',
    b'{"name":"x","description":+1}', b'{"name":"x","description":0x10}',
    b'{"name":"x","description":1e}', b'{"name":"x","description":--1}',
    b'{"name":"a\x00b"}', b'{"name":"a\x01b"}', b'{"name":"a\nb"}',
    b'{"name":"a\tb"}', b'{"name":"\\x41"}', b'{"name":"\\u00"}',
    b'{"name":"a\\u0000b"}', b'{"a\\u0000b":1,"name":"x"}',
    b'{"name":"\xff"}', b'{"name":"\xc0\xaf"}', b'{"name":"\xc1\x81"}',
    b'{"name":"\xe0\x80\xaf"}', b'{"name":"\xed\xa0\x80"}',
    b'{"name":"\xed\xa0\xbd\xed\xb8\x80"}', b'{"name":"\xf4\x90\x80\x80"}',
    b'{"name":"\xf5\x80\x80\x80"}', b'{"name":"\xf0\x82\x82\xac"}',
    b'{"name":"\x80"}', b'{"name":"\xc3"}', b'{"name":"\xe2\x82"}',
    b'{"\xff":1,"name":"x"}', b'\xef\xbb\xbf{"name":"x"}',
    '{"name":"x"}'.encode("utf-16"), '{"name":"x"}'.encode("utf-16-be"),
    b'{"name":"\\ud800"}', b'{"name":"\\udc00"}', b'{"name":"\\ud800\\u0041"}',
    b'{"name":"\\ud83d"}', b'{"name":"\\ude00\\ud83d"}',
    b'{"name":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"name":' + b'{"a":' * 100 + b"1" + b"}" * 100 + b"}",
    b"[" * 100000, b'{"a":' * 50000,
    b'"' + b"\\" * 9999, b"\x00" * 64, b"\x1f\x8b\x08\x00" + b"\x00" * 60,
]

JSON_4XX = [
    b"null", b'"name"', b"[]", b'[{"name":"x"}]', b"1", b"true", b"-0", b'{"name":1}', b'{"name":null}',
    b'{"name":true}', b'{"name":[]}', b'{"name":{}}', b"{}", b'{"name":""}',
    b'{"":1,"name":"x"}', b'{"name":"x","id":"01890a5d-ac96-774b-bcce-b302099a8057"}',
    b'{"name":"x","version":1}', b'{"name":"x","tenant_id":"x"}',
    b'{"name":"x","status":1}', b'{"name":"x","status":"ACTIVE"}',
    b'{"name":"x","status":"active\\u0020"}', b'{"Name":"x"}',
    b'{"name":"x","__proto__":{}}', b'{"name":18446744073709551616}',
    b'{"name":"x","description":18446744073709551616}',
    b'{"name":"x","description":1e400}', b'{"name":"x","description":9007199254740993}',
    b'{"name":"' + b"n" * 100000 + b'"}',
    b"{" + b",".join(b'"k%d":1' % i for i in range(5000)) + b"}",
]

TARGETS = [
    "/%00", "/v1/t/%00/projects", "/v1/t/a%00b/projects", "/v1/t/%ff%fe/projects",
    "/v1/t/%c0%af/projects", "/v1/t/..%2f..%2fetc/projects", "/v1/t/../../etc/passwd",
    "/v1/t/%2e%2e/projects", "/v1//t//x", "//v1/me", "/v1/t/%zz/projects", "/v1/t/%",
    "/v1/t/%4", "/v1/t/" + "a" * 3000, "/" + "a/" * 2000, "/v1/t/x'--/projects",
    "/v1/t/x;drop%20table%20tenants/projects", "/?" + "a=b&" * 1500, "/v1/me?%00=%00",
    "/v1/t/\u00e9/projects".encode().decode("latin-1"), "/v1/t/x\x7f/projects",
    "/v1/t/x/projects?cursor=%ff", "/v1/t/{tenant}/projects", "/v1/t/%7Btenant%7D/projects",
    "/v1/t//projects", "/v1/t/ /projects".replace(" ", "%20"), "/v1/me#x", "/v1/me?#",
]


class Unharmed(Story):
    """After each test the same processes are there, and they serve."""

    settings = {"workers": 2}

    def setUp(self):
        self.before = self.stack.pool.workers()
        self.tenant = type(self).__dict__.get("_tenant")
        if self.tenant is None:
            self.tenant = type(self)._tenant = self.stack.signup()

    def tearDown(self):
        for _ in range(6):
            self.expect(200, "GET", "/readyz")
        self.assertEqual(self.stack.pool.workers(), self.before, "a worker died")

    def post(self, path, body, headers=None):
        return self.stack.api("POST", path, self.tenant.token, body,
                              {"Content-Type": "application/json", **(headers or {})})


class Bodies(Unharmed):

    def test_what_is_not_strict_json_is_400(self):
        for body in JSON_400:
            with self.subTest(body=body[:60]):
                self.assertProblem(self.post(f"{self.tenant.path}/projects", body), 400)

    def test_what_says_too_much_is_422_or_400(self):
        for body in JSON_4XX:
            with self.subTest(body=body[:60]):
                got = self.post(f"{self.tenant.path}/projects", body)
                self.assertIn(got.status, (400, 422), got)
                self.assertProblem(got, got.status)

    def test_public_routes_are_as_strict(self):
        for path in ("/v1/signup", "/v1/sessions"):
            for body in JSON_400[:40] + JSON_4XX:
                with self.subTest(path=path, body=body[:60]):
                    got = self.post(path, body)
                    self.assertIn(got.status, (400, 422), got)

    def test_signup_refuses_what_it_cannot_store(self):
        good = {"email": "x@bad.example", "password": "long enough password",
                "name": "X", "tenant": {"slug": "bad-input", "name": "X"}}
        rows = [{"email": e} for e in ("", "x", "@", "x@", "@x", "x@x y", "a" * 400 + "@x.example")]
        rows += [{"password": p} for p in ("", "short", "p" * 100000, 7)]
        rows += [{"tenant": {"slug": s, "name": "X"}} for s in (
            "", "-", "a", "UPPER", "with space", "a/b", "a.b", "..", "-a", "a-", "é",
            "x" * 41, "a%00b", "a\nb", None, 1)]
        rows += [{"tenant": t} for t in (None, [], "x", {}, {"slug": "only-slug"},
                                         {"slug": "more-of-it", "name": "X", "id": 1})]
        for row in rows:
            with self.subTest(row=str(row)[:70]):
                got = self.stack.api("POST", "/v1/signup", body={**good, **row})
                self.assertProblem(got, 422)

    def test_text_survives_as_it_is(self):
        texts = ["a", " lead and trail ", "\u00e9\u0301", "\U0001f468\u200d\U0001f469",
                 "\u202eright to left", "'; drop table projects; --", "\\", "%s%n", "\u2028",
                 "{\"a\":1}", "<script>", "$1", "\ud7ff\ue000\ufffd\U0010ffff"]
        for text in texts:
            for ascii_only in (True, False):
                with self.subTest(text=text, ascii_only=ascii_only):
                    body = json.dumps({"name": "n", "description": text},
                                      ensure_ascii=ascii_only).encode()
                    made = self.post(f"{self.tenant.path}/projects", body)
                    self.assertEqual(made.status, 201, made)
                    read = self.expect(200, "GET", made.headers["Location"],
                                       self.tenant.token)
                    self.assertEqual(read.json["description"], text)

    def test_a_patch_is_as_strict(self):
        made = self.post(f"{self.tenant.path}/projects", b'{"name":"x"}')
        for body in JSON_400[:60]:
            with self.subTest(body=body[:60]):
                got = self.stack.api("PATCH", made.headers["Location"],
                                     self.tenant.token, body,
                                     {"Content-Type": "application/json"})
                self.assertProblem(got, 400)

    def chunked(self, *chunks, size=None):
        out = (f"POST {self.tenant.path}/projects HTTP/1.1\r\nHost: x\r\n"
               f"Authorization: Bearer {self.tenant.token}\r\n"
               "Content-Type: application/json\r\nConnection: close\r\n"
               "Transfer-Encoding: chunked\r\n\r\n").encode()
        for chunk in chunks:
            out += b"%x\r\n" % len(chunk) + chunk + b"\r\n"
        got = raw(self.stack.port, out + b"0\r\n\r\n")
        return int(got.split(b" ", 2)[1])

    def test_a_chunked_body_is_read_to_its_end(self):
        self.assertEqual(self.chunked(b'{"na', b'me":"x"', b"}"), 201)
        self.assertEqual(self.chunked(b'{"name":"x"'), 400)
        self.assertEqual(self.chunked(
            b'{"name":"x","description":"', b"y" * 200000, b'"'), 400)
        self.assertEqual(self.chunked(*[b"y" * 65536] * 32), 413)


class BodiesBehindApache(Bodies):
    web, web_options = Apache, {"reuse": True}


class Lines(Unharmed):

    def ours(self, got):
        self.assertGreaterEqual(got.status, 400, got)
        self.assertLess(got.status, 500, got)

    def test_targets(self):
        for target in TARGETS:
            with self.subTest(target[:60]):
                self.ours(self.stack.api("GET", target, self.tenant.token))

    def test_absolute_targets(self):
        got = raw(self.stack.port, b"GET http://x/livez HTTP/1.1\r\nHost: x\r\n"
                  b"Connection: close\r\n\r\n")
        self.assertEqual(got.split(b" ", 2)[1], b"200")

    def test_methods(self):
        for method in ("TRACE", "CONNECT", "PROPFIND", "get", "A" * 200, "X-Y"):
            with self.subTest(method[:20]):
                self.ours(self.stack.api(method, "/v1/me", self.tenant.token))

    def test_repeated_headers(self):
        rows = [("Authorization", f"Bearer {self.tenant.token}", 400),
                ("X-Request-Id", "abcdefgh-12345", 400),
                ("Idempotency-Key", "abcdefgh-12345", 400),
                ("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", 200)]
        for name, value, status in rows:
            with self.subTest(name):
                lines = f"{name}: {value}\r\n" * 2
                if name != "Authorization":
                    lines += f"Authorization: Bearer {self.tenant.token}\r\n"
                got = raw(self.stack.port, (
                    f"GET {self.tenant.path}/projects HTTP/1.1\r\nHost: x\r\n"
                    f"{lines}Connection: close\r\n\r\n").encode())
                self.assertEqual(int(got.split(b" ", 2)[1]), status, got)
                if name == "traceparent":
                    self.assertNotIn(b"a" * 32, got)

    def test_header_values(self):
        values = ["", " ", "\x01", "\x7f", "\xff" * 100, "a" * 8000, "%s%s%n", "\"", "\\",
                  "*", "W/", '"', ",,,,", "v1", "9" * 400, "-1", "{", "\u00e9"]
        for name in ("Authorization", "If-Match", "If-None-Match", "traceparent",
                     "tracestate", "X-Request-Id", "Idempotency-Key", "Content-Type",
                     "Accept", "User-Agent", "Cookie", "Proxy", "X-Forwarded-For"):
            for value in values:
                with self.subTest(name=name, value=value[:20]):
                    got = self.stack.api("PATCH", f"{self.tenant.path}/projects/x", self.tenant.token,
                                         b"{}", {"Content-Type": "application/json",
                                                 name: value.encode("latin-1").decode("latin-1")})
                    self.ours(got)


class LinesBehindApache(Lines):
    web, web_options = Apache, {"reuse": True}


class Records(Unharmed):
    """Straight at the pool's socket, as a hostile or broken web server would."""

    # what breaks off is waited for so long; what is whole may be held up for less
    settings = {"workers": 2, "header_timeout": "3s", "body_timeout": "3s"}

    def connect(self):
        return fcgi.Connection(self.stack.pool.socket)

    def refused(self, data, end=False):
        """A 4xx, an END_REQUEST, or a closed connection."""
        with self.connect() as c:
            c.send(data)
            if end:
                c.end_sending()
            status = c.status()
        self.assertTrue(status == 0 or 400 <= status < 500, status)
        return status

    def test_a_good_request_is_answered(self):
        with self.connect() as c:
            c.send(fcgi.request(fcgi.get()))
            self.assertEqual(c.status(), 200)
            self.assertIsNone(c.record())

    def test_a_kept_connection_serves_again(self):
        with self.connect() as c:
            for n in (1, 2, 1, 77, 65535):
                c.send(fcgi.request(fcgi.get(), keep=True, number=n))
                self.assertEqual(c.status(), 200)

    def test_garbage(self):
        for data in (b"GET / HTTP/1.0\r\n\r\n", b"\0" * 8, b"\xff" * 4096, b"\x16\x03\x01",
                     bytes(range(256)) * 64, b"\x01"):
            with self.subTest(data=data[:16]):
                self.refused(data)

    def test_versions_types_roles(self):
        good = fcgi.params(fcgi.get()) + fcgi.record(fcgi.STDIN)
        for data in (fcgi.record(fcgi.BEGIN, b"\0\1\0" + b"\0" * 5, version=0) + good,
                     fcgi.record(fcgi.BEGIN, b"\0\1\0" + b"\0" * 5, version=2) + good,
                     fcgi.begin(role=2) + good, fcgi.begin(role=3) + good,
                     fcgi.begin(role=0) + good, fcgi.begin(role=65535) + good,
                     fcgi.record(fcgi.BEGIN, b"") + good,
                     fcgi.record(fcgi.BEGIN, b"\0" * 65535) + good,
                     fcgi.begin(request=0) + good, good,
                     fcgi.record(fcgi.STDIN, b"x") + fcgi.begin() + good,
                     fcgi.record(fcgi.ABORT), fcgi.record(fcgi.DATA, b"x"),
                     fcgi.record(fcgi.END, b"\0" * 8), fcgi.record(fcgi.STDOUT, b"x"),
                     fcgi.begin() + fcgi.record(fcgi.ABORT),
                     fcgi.begin() + fcgi.begin() + good,
                     fcgi.begin(request=1) + fcgi.params(fcgi.get(), request=2)):
            with self.subTest(data=data[:24]):
                self.refused(data, end=True)

    def test_management_records_are_answered_by_us(self):
        ask = b"".join(fcgi.pair(n, "") for n in (
            "FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"))
        with self.connect() as c:
            c.send(fcgi.record(fcgi.GET_VALUES, ask, request=0))
            kind, number, content = c.record()
            self.assertEqual((kind, number), (fcgi.GET_VALUES_RESULT, 0))
            self.assertIn(b"FCGI_MPXS_CONNS0", content)
            c.send(fcgi.record(99, b"x", request=0))
            self.assertEqual(c.record()[0], fcgi.UNKNOWN_TYPE)
            c.send(fcgi.request(fcgi.get()))
            self.assertEqual(c.status(), 200)

    def test_management_records_that_overflow_libfcgi(self):
        for content in (fcgi.pair("FCGI_MAX_CONNS", "") * 6,
                        fcgi.pair("FCGI_MAX_CONNS", "") * 400,
                        struct.pack("!II", 0xfffffffe, 0xfffffffe) + b"x" * 64,
                        struct.pack("!II", 0xfffffffe, 0x80000000) + b"x" * 64,
                        struct.pack("!I", 0xffffffff) + b"\0", b"\x80", b"\x0e", b"\0" * 65535):
            for data in (fcgi.record(fcgi.GET_VALUES, content, request=0),
                         fcgi.record(fcgi.GET_VALUES, content, request=0) * 50):
                with self.subTest(content=content[:24], n=len(data)):
                    with self.connect() as c:
                        c.send(data + fcgi.request(fcgi.get()))
                        status = c.status()
                    self.assertIn(status, (0, 200, 400, 431))

    def test_parameters_that_lie_about_their_length(self):
        for content in (b"\xff\xff\xff\xfe\xff\xff\xff\xfe", b"\xff" * 8, b"\x80", b"\x05",
                        b"\x0e\x7f" + b"REQUEST_METHOD" + b"G", b"\xff\xff\xff\xff" * 64,
                        struct.pack("!II", 0x80000000 | 70000, 0x80000000) + b"x" * 1000,
                        struct.pack("!I", 0x80000001) + b"\x01ab" * 3):
            with self.subTest(content=content[:16]):
                self.refused(fcgi.begin() + fcgi.record(fcgi.PARAMS, content) +
                             fcgi.record(fcgi.PARAMS) + fcgi.record(fcgi.STDIN))

    def test_too_many_parameters(self):
        for pairs in ([("HTTP_X", "y" * 60000)], [("HTTP_X" * 1000, "y" * 60000)] * 20,
                      [(f"HTTP_X{i}", "") for i in range(9000)],
                      [("HTTP_X", "")] * 20000, [("", "")] * 30000,
                      [("HTTP_X", "y" * 2000000)]):
            with self.subTest(n=len(pairs)):
                self.refused(fcgi.request(fcgi.get(more=pairs)))

    def test_odd_parameters(self):
        for pairs in ([], [("REQUEST_METHOD", "GET")], [("REQUEST_URI", "/livez")],
                      [("REQUEST_METHOD", ""), ("REQUEST_URI", "")],
                      fcgi.get(""), fcgi.get("livez"), fcgi.get("\0"), fcgi.get("*"),
                      fcgi.get("/\0/x"), fcgi.get("/\n\r"), fcgi.get("http://"),
                      fcgi.get("/livez/x", [("CONTENT_LENGTH", "-1")]),
                      fcgi.get("/x", [("CONTENT_LENGTH", "99999999999999999999")]),
                      fcgi.get("/x", [("HTTP_AUTHORIZATION", b"\0\xff\n")]),
                      fcgi.get("/x", method="\0"), fcgi.get("/x", method="G" * 9000)):
            with self.subTest(pairs=str(pairs)[:70]):
                self.refused(fcgi.request(pairs))

    def test_a_header_that_is_smuggled_stays_one_line(self):
        with self.connect() as c:
            c.send(fcgi.request(fcgi.get("/livez", [
                ("HTTP_X_REQUEST_ID", "abcdefgh\r\nX-Evil: 1")])))
            self.assertNotIn(b"X-Evil", c.answer())

    def api_post(self, body, length=None, **kw):
        t = self.tenant
        more = [("HTTP_AUTHORIZATION", f"Bearer {t.token}"),
                ("CONTENT_TYPE", "application/json")]
        if length is not None:
            more.append(("CONTENT_LENGTH", str(length)))
        return fcgi.request(fcgi.get(f"{t.path}/projects", more, "POST"), body, **kw)

    def test_content_length_and_body_must_agree(self):
        body = b'{"name":"x"}'
        for length, statuses in ((None, (201,)), (len(body), (201,)), ("", (201,)),
                                 (5, (400,)), (500, (400,)), ("x", (400,)), (-1, (400,)),
                                 ("12 12", (400,)), (2 ** 64, (400, 413)), (1 << 24, (400, 413))):
            with self.subTest(length=length), self.connect() as c:
                c.send(self.api_post(body, length))
                self.assertIn(c.status(), statuses)

    def test_a_body_over_the_limit_leaves_the_connection_usable(self):
        with self.connect() as c:
            c.send(self.api_post(b"y" * (2 << 20), keep=True))
            self.assertEqual(c.status(), 413)
            c.send(fcgi.request(fcgi.get(), keep=True))
            self.assertEqual(c.status(), 200)

    def test_an_unread_body_leaves_the_connection_usable(self):
        with self.connect() as c:
            c.send(fcgi.request(fcgi.get("/v1/none", method="POST"), b"y" * 300000, keep=True))
            self.assertEqual(c.status(), 404)
            c.send(fcgi.request(fcgi.get(), keep=True))
            self.assertEqual(c.status(), 200)

    def test_half_requests_hold_no_worker(self):
        whole = self.api_post(b'{"name":"x"}', 12)
        halves = [self.connect() for _ in range(12)]
        try:
            for i, c in enumerate(halves):
                c.send(whole[:1 + i * (len(whole) - 2) // 12])
            for _ in range(5):
                with self.connect() as c:
                    c.send(fcgi.request(fcgi.get()))
                    self.assertEqual(c.status(), 200)
            for c in halves:
                status = c.status()  # the deadline answers or closes
                self.assertTrue(status == 0 or 400 <= status < 500, status)
        finally:
            for c in halves:
                c.close()

    def test_broken_off_requests_do_nothing(self):
        whole = self.api_post(b'{"name":"Ghost"}', 16)
        for cut in range(1, len(whole), 7):
            with self.connect() as c:
                c.send(whole[:cut])
        rows = self.stack.postgres.query("select count(*) from projects where name = 'Ghost'")
        self.assertEqual(rows, [["0"]])

    def test_records_in_crumbs_are_a_request(self):
        """Not smaller: the system charges a sender some 3 KB for each write that
        lies there, and what is only looked at lies there."""
        whole = fcgi.request(fcgi.get())
        with self.connect() as c:
            for at in range(0, len(whole), 3):
                c.send(whole[at:at + 3])  # it may answer before the last
            self.assertEqual(c.status(), 200)

    def test_padding_and_empty_records(self):
        pairs = b"".join(fcgi.pair(n, v) for n, v in fcgi.get())
        data = fcgi.begin() + b"".join(
            fcgi.record(fcgi.PARAMS, pairs[i:i + 1], padding=i % 256) for i in range(len(pairs)))
        with self.connect() as c:
            c.send(data + fcgi.record(fcgi.PARAMS, padding=255) + fcgi.record(fcgi.STDIN, padding=7))
            self.assertEqual(c.status(), 200)


if __name__ == "__main__":
    main()
