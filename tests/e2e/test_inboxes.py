#!/usr/bin/python3
"""Inboxes: a URL that records whatever is sent to it, shows it, and sends it on;
its token stands nowhere but in the URL."""

import base64
import os
import sys
import uuid

sys.dont_write_bytecode = True

from harness import Client, Receiver, Story, eventually, main, wait_until  # noqa: E402

BODY_MAX = 64 * 1024
BYTES_MAX = 1 << 20
UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


class InboxStory(Story):

    settings = {"workers": 2, "jobs_workers": 2, "webhook_allow": "127.0.0.0/8",
                "inbox_body_max": BODY_MAX, "inbox_bytes_max": BYTES_MAX,
                "inbox_requests_max": 50, "inboxes_max": 8, "limits": False,
                "trace_ratio": 1}

    def setUp(self):
        self.t = self.stack.signup()

    def call(self, status, method, path, body=None, token=None, headers=None):
        return self.expect(status, method, f"{self.t.path}/inboxes{path}",
                           token or self.t.token, body, headers)

    def make(self, **members):
        return self.call(201, "POST", "", members).json

    def send(self, inbox, method="POST", behind="", body=b"", status=200, **headers):
        """To the inbox's URL; the reply."""
        path = inbox["url"].split("/in/", 1)[1]
        send = {k.replace("_", "-"): v for k, v in headers.items()}
        got = self.stack.api(method, f"/in/{path}{behind}", None, body, send)
        self.assertEqual(got.status, status, got)
        return got

    def list(self, inbox, query="", status=200):
        return self.call(status, "GET", f"/{inbox['id']}/requests{query}").json

    def one(self, inbox, i=0):
        """The i-th newest, whole."""
        row = self.list(inbox)["data"][i]
        got = self.call(200, "GET", f"/{inbox['id']}/requests/{row['id']}").json
        self.assertEqual(row, {k: v for k, v in got.items()
                               if k not in ("headers", "body", "body_base64")})
        return got

    def query(self, sql):
        return self.stack.postgres.query(sql)


class Inboxes(InboxStory):

    def test_an_inbox_and_its_url(self):
        got = self.call(201, "POST", "", {"name": "Orders", "ttl_seconds": 3600})
        inbox = got.json
        self.assertRegex(inbox["url"], rf"^http://127\.0\.0\.1:{self.stack.port}"
                                       r"/in/rhi_[0-9A-Za-z]{38}$")
        self.assertEqual(got.headers["Cache-Control"], "no-store")
        self.assertEqual({k: inbox[k] for k in (
            "name", "forward_url", "answer_status", "answer_type", "answer_body",
            "quota", "version")}, {
                "name": "Orders", "forward_url": None, "answer_status": 200,
                "answer_type": "text/plain", "answer_body": "", "quota": 50,
                "version": 1})
        # its URL can be seen again, by whoever may
        one = self.expect(200, "GET", got.headers["Location"], self.t.token)
        self.assertEqual(one.json, inbox)
        self.assertEqual(one.headers["ETag"], '"v1"')
        self.assertEqual(self.call(200, "GET", "").json, {
            "data": [inbox], "next_cursor": None})

    def test_a_change_and_the_end(self):
        inbox = self.make(name="A", ttl_seconds=60)
        path = f"/{inbox['id']}"
        got = self.call(200, "PATCH", path, {
            "name": "B", "answer_status": 202, "quota": 3, "ttl_seconds": None,
            "forward_url": "https://example.test/hook"}).json
        self.assertEqual((got["name"], got["answer_status"], got["quota"],
                          got["expires_at"], got["forward_url"], got["version"],
                          got["url"]),
                         ("B", 202, 3, None, "https://example.test/hook", 2,
                          inbox["url"]))
        got = self.call(200, "PATCH", path, {"forward_url": None}).json
        self.assertEqual((got["forward_url"], got["name"]), (None, "B"))
        self.call(412, "PATCH", path, {"name": "C"}, headers={"If-Match": '"v1"'})
        self.send(inbox, status=202)
        self.call(204, "DELETE", path)
        self.send(inbox, status=404)
        for method, more, body in (("GET", "", None), ("PATCH", "", {"name": "X"}),
                                   ("DELETE", "", None), ("GET", "/requests", None),
                                   ("DELETE", "/requests", None)):
            self.assertProblem(self.call(404, method, path + more, body), 404)
        self.assertEqual(self.query("select count(*) from inbox_requests where"
                                    f" inbox_id = '{inbox['id']}'"), [["0"]])

    def test_what_is_no_inbox(self):
        for body in ({"answer_status": 199}, {"answer_status": 600}, {"name": ""},
                     {"answer_type": "text/html"}, {"quota": 0}, {"ttl_seconds": 0},
                     {"url": "https://example.test/"}, {"forward_url": "ftp://a.test/"},
                     {"forward_url": "https://user:pw@a.test/"},
                     {"forward_url": "nothing"}):
            self.assertProblem(self.call(422, "POST", "", body), 422)

    def test_a_tenant_has_so_many(self):
        for _ in range(8):
            self.make()
        self.assertProblem(self.call(409, "POST", "", {}), 409)
        pages = self.call(200, "GET", "?limit=5").json
        rest = self.call(200, "GET", f"?limit=5&cursor={pages['next_cursor']}").json
        self.assertEqual((len(pages["data"]), len(rest["data"]), rest["next_cursor"]),
                         (5, 3, None))

    def test_admins_alone(self):
        inbox = self.make()
        self.send(inbox)
        request = self.list(inbox)["data"][0]["id"]
        ways = [("GET", ""), ("POST", ""), ("GET", f"/{inbox['id']}"),
                ("PATCH", f"/{inbox['id']}"), ("DELETE", f"/{inbox['id']}"),
                ("GET", f"/{inbox['id']}/requests"),
                ("DELETE", f"/{inbox['id']}/requests"),
                ("GET", f"/{inbox['id']}/requests/{request}"),
                ("DELETE", f"/{inbox['id']}/requests/{request}"),
                ("POST", f"/{inbox['id']}/requests/{request}/replay")]
        member = self.stack.key(self.t, "member")
        other = self.stack.signup()
        for method, path in ways:
            body = {} if method in ("POST", "PATCH") else None
            self.assertProblem(self.call(403, method, path, body, member), 403)
            self.assertProblem(self.call(404, method, path, body, other.token), 404)
            if not path:
                continue
            # nor by the other tenant's own path
            got = self.stack.api(method, f"{other.path}/inboxes{path}", other.token, body)
            self.assertProblem(got, 404)
        self.call(200, "GET", "", token=self.stack.key(self.t, "admin"))
        self.assertEqual(len(self.list(inbox)["data"]), 1)

    def test_a_token_of_a_url_is_none_of_the_apis(self):
        token = self.make()["url"].rsplit("/", 1)[1]
        self.assertProblem(self.call(401, "GET", "", token=token), 401)

    # ---- what is sent ----

    def test_any_method_is_recorded(self):
        inbox = self.make()
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD",
                   "PROPFIND", "QUERY"]
        for method in methods:
            got = self.send(inbox, method, f"/at/{method}?m={method}", b"x")
            self.assertEqual(got.body, b"")
        rows = self.list(inbox)["data"]
        self.assertEqual([(r["method"], r["path"], r["query"], r["size"]) for r in rows],
                         [(m, f"/at/{m}", f"m={m}", 1) for m in reversed(methods)])

    def test_what_came_is_shown_as_it_came(self):
        inbox = self.make()
        sent = self.send(inbox, behind="/a/%2Fb//c/?x=1&x=%ff&", body="häuser".encode(),
                         Content_Type="text/plain; charset=utf-8", X_One="1",
                         X_Request_Id="the-sender-s-own", User_Agent="Sender/1")
        self.assertEqual(sent.headers["X-Request-Id"], "the-sender-s-own")
        got = self.one(inbox)
        self.assertEqual({k: got[k] for k in (
            "inbox_id", "method", "path", "query", "content_type", "size", "remote",
            "job_id", "request_id", "body", "body_base64")}, {
                "inbox_id": inbox["id"], "method": "POST", "path": "/a/%2Fb//c/",
                "query": "x=1&x=%ff&", "content_type": "text/plain; charset=utf-8",
                "size": 7, "remote": "127.0.0.1", "job_id": None,
                "request_id": "the-sender-s-own", "body": "häuser",
                "body_base64": None})
        headers = got["headers"]
        self.assertEqual((headers["X-One"], headers["User-Agent"],
                          headers["Content-Type"], headers["Content-Length"]),
                         ("1", "Sender/1", "text/plain; charset=utf-8", "7"))
        line = self.stack.pool.wait_line(request_id="the-sender-s-own")
        self.assertEqual((line["trace_id"], line["tenant"], line["tenant_id"], line["rt"]),
                         (got["trace_id"], self.t.slug, self.t.id,
                          {"pg": 1, "redis": 0}))

    def test_any_bytes(self):
        inbox = self.make()
        bodies = [b"", b"\0", bytes(range(256)), b"\xff\xfe", os.urandom(5000),
                  b"{\"a\":1,\"a\":2}", b"[", "\u2028 ü\t\r\n".encode(), b"x" * BODY_MAX]
        for body in bodies:
            self.send(inbox, body=body, Content_Type="application/json")
        for i, body in enumerate(reversed(bodies)):
            got = self.one(inbox, i)
            self.assertEqual(got["size"], len(body))
            self.assertIsNone(got["body" if got["body"] is None else "body_base64"])
            self.assertEqual(body, base64.b64decode(got["body_base64"], validate=True)
                             if got["body"] is None else got["body"].encode())

    def test_headers_that_the_api_would_refuse(self):
        inbox = self.make()
        aws = ("AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host,"
               " Signature=deadbeef")
        self.send(inbox, behind="?q", Authorization=aws, Idempotency_Key="a b, c",
                  If_Match="\xe4", Content_Type="nonsense\xfc")
        headers = self.one(inbox)["headers"]
        self.assertEqual(headers["Authorization"], "AWS4-HMAC-SHA256 ***")
        self.assertEqual(headers["Idempotency-Key"], "a b, c")
        # the same again is another one
        for _ in range(2):
            self.send(inbox, Idempotency_Key="k", body=b"1")
        self.assertEqual(len(self.list(inbox)["data"]), 3)
        # elsewhere it is refused still
        self.assertProblem(self.stack.api("GET", "/livez", headers={
            "Authorization": "a, b"}), 400)

    def test_secrets_in_headers_are_masked(self):
        inbox = self.make()
        secret = "s3cr3t-of-the-sender"
        masked = {"Authorization": f"Bearer {secret}", "Cookie": f"sid={secret}",
                  "Proxy-Authorization": f"Basic {secret}", "X-Api-Key": secret,
                  "X-Gitlab-Token": secret, "X-Telegram-Bot-Api-Secret-Token": secret,
                  "X-Access-Key-Id": secret, "X-Shop-Password": secret,
                  "X-Session-Id": secret, "X-Auth-Email": secret}
        kept = {"X-Hub-Signature-256": "sha256=1", "Webhook-Signature": "v1,2",
                "Stripe-Signature": "t=3", "X-Secret-Signature": "4",
                "Webhook-Id": "msg_5"}
        self.send(inbox, **{k.replace("-", "_"): v for k, v in {**masked, **kept}.items()})
        headers = self.one(inbox)["headers"]
        for name in masked:
            self.assertIn("***", headers[name], name)
        self.assertEqual(headers["Authorization"], "Bearer ***")
        for name, value in kept.items():
            self.assertEqual(headers[name], value)
        self.assertEqual(self.query(
            f"select count(*) from inbox_requests r where r::text like '%{secret}%'"),
            [["0"]])

    def test_it_answers_what_it_was_told_to(self):
        inbox = self.make(answer_status=503, answer_type="application/json",
                          answer_body='{"ok":false}')
        got = self.send(inbox, status=503)
        self.assertEqual((got.headers["Content-Type"], got.body,
                          got.headers["X-Content-Type-Options"]),
                         ("application/json", b'{"ok":false}', "nosniff"))
        # which nobody is woken for
        line = self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"])
        self.assertEqual((line["status"], line["level"], line["sampled_by"]),
                         (503, "info", "ratio"))
        self.call(200, "PATCH", f"/{inbox['id']}", {"answer_status": 204})
        self.assertEqual(self.send(inbox, status=204).body, b"")
        self.call(200, "PATCH", f"/{inbox['id']}", {"answer_status": 418,
                                                    "answer_type": "text/plain"})
        self.assertEqual(self.send(inbox, "HEAD", status=418).body, b"")
        self.assertEqual(len(self.list(inbox)["data"]), 3)

    def test_no_inbox_is_always_the_same(self):
        gone = self.make()
        self.call(204, "DELETE", f"/{gone['id']}")
        late = self.make(ttl_seconds=60)
        self.query("update inboxes set expires_at = now() where id ="
                   f" '{late['id']}'")
        token = late["url"].rsplit("/", 1)[1]
        wrong = token[:-1] + ("0" if token[-1] != "0" else "1")

        def seen(token, behind=""):
            got = self.stack.api("POST", f"/in/{token}{behind}", body=b"x", headers={
                "X-Request-Id": "one-and-the-same",
                "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
            self.assertProblem(got, 404)
            return got.body, sorted(k for k, _ in got.headers.items())

        wanted = seen(gone["url"].rsplit("/", 1)[1])
        for other in (token, wrong, "x", "%20", "rhi_", token.upper()):
            self.assertEqual(seen(other), wanted, other)
        self.assertEqual(self.list(late)["data"], [])
        # longer life brings it back
        self.call(200, "PATCH", f"/{late['id']}", {"ttl_seconds": 60})
        self.send(late)

    def test_a_deleted_tenants_url_is_gone(self):
        inbox = self.make()
        self.expect(204, "DELETE", self.t.path, self.t.session)
        self.send(inbox, status=404)

    def test_a_body_up_to_the_limit(self):
        inbox = self.make()
        self.send(inbox, body=b"x" * BODY_MAX)
        self.assertProblem(self.send(inbox, body=b"x" * (BODY_MAX + 1), status=413), 413)
        self.assertEqual([r["size"] for r in self.list(inbox)["data"]], [BODY_MAX])

    def test_the_oldest_make_room(self):
        inbox = self.make(quota=3)
        for i in range(5):
            self.send(inbox, behind=f"/{i}")
        self.assertEqual([r["path"] for r in self.list(inbox)["data"]],
                         ["/4", "/3", "/2"])
        self.call(200, "PATCH", f"/{inbox['id']}", {"quota": 1})
        self.send(inbox, behind="/5")
        self.assertEqual([r["path"] for r in self.list(inbox)["data"]], ["/5"])

    def test_a_tenants_bytes_are_bounded(self):
        a, b = self.make(), self.make()
        n = BYTES_MAX // BODY_MAX
        for i in range(n + 4):
            self.send(a, behind=f"/{i}", body=b"x" * BODY_MAX)
        rows = self.list(a, "?limit=100")["data"]
        self.assertEqual((len(rows), rows[0]["path"]), (n - 1, f"/{n + 3}"))
        # what is left is not enough for as much, and the other's are not b's to forget
        self.send(b, body=b"x" * 1000)
        got = self.send(b, body=b"x" * BODY_MAX, status=429)
        self.assertProblem(got, 429)
        self.assertTrue(got.headers["Retry-After"])
        self.call(204, "DELETE", f"/{a['id']}/requests")
        self.send(b, body=b"x" * BODY_MAX)
        self.assertEqual(self.query(
            "select kept, kept_bytes = (select coalesce(sum(cost), 0) from"
            " inbox_requests r where r.inbox_id = i.id) from inboxes i where"
            f" tenant_id = '{self.t.id}' order by created_at"), [["0", "t"], ["2", "t"]])

    def test_found_by_method_path_header_and_body(self):
        inbox = self.make()
        self.send(inbox, behind="/Orders?id=4711", body=b"first")
        self.send(inbox, "PUT", body=b"\0\xffNeedle\\in\0hay", X_Kind="Invoice")
        self.send(inbox, body="größe 100%_".encode())
        for query, wanted in (
                ("q=orders", ["/Orders"]), ("q=ID%3D4711", ["/Orders"]),
                ("q=x-kind", [""]), ("q=invoice", [""]), ("q=NEEDLE%5Cin", [""]),
                ("q=gr%C3%B6%C3%9Fe", [""]), ("q=%25_", [""]), ("q=%25x", []),
                ("method=PUT", [""]), ("method=PUT&q=first", []), ("method=put", []),
                ("q=first&method=POST", ["/Orders"])):
            rows = self.list(inbox, f"?{query}")["data"]
            self.assertEqual([r["path"] for r in rows], wanted, query)
        for query in ("?q=", "?method=", "?x=1", "?limit=0", "?cursor=x"):
            self.list(inbox, query, 400)

    def test_pages_and_what_is_forgotten(self):
        inbox = self.make()
        for i in range(5):
            self.send(inbox, behind=f"/{i}", body=b"even" if i % 2 == 0 else b"odd")
        for query, wanted in (("", "43210"), ("q=even&", "420")):
            seen, cursor = "", ""
            while cursor is not None:
                page = self.list(inbox, f"?{query}limit=2{cursor}")
                seen += "".join(r["path"][1:] for r in page["data"])
                cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
            self.assertEqual(seen, wanted)
        request = self.list(inbox)["data"][0]["id"]
        path = f"/{inbox['id']}/requests"
        self.call(204, "DELETE", f"{path}/{request}")
        for method in ("DELETE", "GET"):
            self.assertProblem(self.call(404, method, f"{path}/{request}"), 404)
        self.assertEqual(len(self.list(inbox)["data"]), 4)
        self.call(204, "DELETE", path)
        self.assertEqual(self.list(inbox)["data"], [])
        self.assertProblem(self.call(404, "GET", f"/{UNKNOWN}/requests"), 404)

    def test_what_happened_is_told(self):
        inbox = self.make(name="Told", forward_url="https://example.test/s3cret")
        sent = self.send(inbox, behind="/p", body=b"s3cret", Content_Type="text/plain")
        row = self.list(inbox)["data"][0]
        path = f"/{inbox['id']}"
        self.call(200, "PATCH", path, {"name": "Renamed"})
        self.call(204, "DELETE", f"{path}/requests/{row['id']}")
        self.call(204, "DELETE", f"{path}/requests")
        self.call(204, "DELETE", path)
        rows = self.query("select type, subject_id, payload - '{created_at,updated_at,"
                          "received_at,expires_at}'::text[], request_id from outbox_events"
                          f" where tenant_id = '{self.t.id}' and type like 'inbox%'"
                          " order by seq")
        self.assertEqual([(r[0], r[1]) for r in rows], [
            ("inbox.created", inbox["id"]), ("inbox.received", inbox["id"]),
            ("inbox.updated", inbox["id"]), ("inbox_request.deleted", row["id"]),
            ("inbox.emptied", inbox["id"]), ("inbox.deleted", inbox["id"])])
        self.assertNotIn("s3cret", str(rows))
        self.assertNotIn("sealed", str(rows))
        self.assertEqual(rows[1][3], sent.headers["X-Request-Id"])
        self.assertIn(row["id"], rows[1][2])

    def test_a_webhook_of_it_tells_of_nothing(self):
        """Else an inbox that is told of what it received would never come to rest."""
        inbox = self.make()
        body = b'{"type":"inbox.received","data":{}}'
        self.send(inbox, body=body, Webhook_Id="msg_1")
        self.send(inbox, body=body)
        self.assertEqual(len(self.list(inbox)["data"]), 2)
        self.assertEqual(self.query(
            "select count(*) from outbox_events where type = 'inbox.received' and"
            f" tenant_id = '{self.t.id}'"), [["1"]])


class Limited(InboxStory):

    settings = {**InboxStory.settings, "limits": True, "limit_inbox": 3,
                "limit_window": "1h"}

    def test_an_inbox_takes_so_many_in_a_window(self):
        a, b = self.make(), self.make()
        for _ in range(3):
            self.send(a)
        got = self.send(a, status=429)
        self.assertProblem(got, 429, type="urn:rowhouse:problem:rate.inbox")
        self.assertTrue(got.headers["Retry-After"])
        self.send(b)
        self.assertEqual(len(self.list(a)["data"]), 3)


class Forward(InboxStory):

    jobs = True
    exporter = True

    def over(self, job):
        def row():
            got = self.query("select state, attempt, coalesce(error, ''), coalesce("
                             "result->>'status', '') from jobs_past where id ="
                             f" '{job}'")
            return got[0] if got else None
        return wait_until(row, f"job {job} is over", 60.0)

    def hurry(self, job):
        """Its next attempt is due now."""
        self.query(f"update jobs set run_at = now() where id = '{job}' and"
                   " state = 'scheduled'")

    def test_what_comes_is_sent_on(self):
        with Receiver() as receiver:
            inbox = self.make(forward_url=receiver.url("/hook?k=v#part"))
            body = bytes(range(256))
            sent = self.send(inbox, "PUT", "/mo\\re?x=y", body, Content_Type="a/b",
                             Authorization="Bearer secret", X_Hub_Signature_256="s",
                             Connection="keep-alive")
            [got] = receiver.wait()
            self.assertEqual((got.method, got.path, got.body),
                             ("PUT", "/hook/mo%5Cre?k=v&x=y", body))
            self.assertEqual((got.headers["content-type"],
                              got.headers["x-hub-signature-256"],
                              got.headers["rowhouse-forwarded"],
                              got.headers["x-request-id"],
                              got.headers.get("authorization")),
                             ("a/b", "s", "1", sent.headers["X-Request-Id"], None))
            row = self.list(inbox)["data"][0]
            self.assertEqual(got.headers["traceparent"].split("-")[1], row["trace_id"])
            self.assertEqual(self.over(row["job_id"]), ["done", "1", "", "200"])
            line = self.stack.jobs.wait_line(msg="job", kind="inbox.forward",
                                             request_id=row["request_id"])
            self.assertEqual((line["trace_id"], line["tenant_id"]),
                             (row["trace_id"], self.t.id))

    def test_what_fails_is_tried_again(self):
        with Receiver() as receiver:
            receiver.answers(receiver.ANY, 500, 302, 200)
            inbox = self.make(forward_url=receiver.url())
            self.send(inbox, body=b"again")
            job = self.list(inbox)["data"][0]["job_id"]
            wait_until(lambda: self.hurry(job) or len(receiver.got()) >= 3,
                       "three attempts", 60.0)
            self.assertEqual(self.over(job)[0::3], ["done", "200"])
            self.assertEqual([got.body for got in receiver.got()], [b"again"] * 3)
            self.assertEqual([line["outcome"] for line in eventually(
                lambda: self.lines(job, 3))], ["retried", "retried", "done"])

    def lines(self, job, n):
        [[request]] = self.query(f"select request_id from jobs_past where id = '{job}'")
        got = sorted(self.stack.jobs.find_lines(msg="job", request_id=request),
                     key=lambda line: line["attempt"])
        self.assertEqual(len(got), n)
        return got

    def test_a_replay_here_and_there(self):
        with Receiver() as here, Receiver() as there:
            inbox = self.make()
            self.send(inbox, behind="/p", body=b"body")
            request = self.list(inbox)["data"][0]["id"]
            path = f"/{inbox['id']}/requests/{request}/replay"
            self.assertProblem(self.call(409, "POST", path), 409)
            got = self.call(202, "POST", path, {"url": there.url("/x/")})
            self.assertEqual(got.headers["Location"],
                             f"{self.t.path}/jobs/{got.json['job_id']}")
            self.assertEqual((got.json["kind"], got.json["request_id"]),
                             ("inbox.forward", request))
            self.assertEqual(self.over(got.json["job_id"]), ["done", "1", "", "200"])
            self.assertEqual([(c.path, c.body) for c in there.got()],
                             [("/x/p", b"body")])
            self.call(200, "PATCH", f"/{inbox['id']}", {"forward_url": here.url()})
            self.over(self.call(202, "POST", path, {}).json["job_id"])
            self.over(self.call(202, "POST", path).json["job_id"])
            self.assertEqual([c.path for c in here.got()], ["/p", "/p"])
            self.assertEqual(len(self.list(inbox)["data"]), 1)
            for url in ("file:///etc/passwd", "http://u:p@a.test/", "x", "http://"):
                self.assertProblem(self.call(422, "POST", path, {"url": url}), 422)
            for missing in (f"/{UNKNOWN}/requests/{request}/replay",
                            f"/{inbox['id']}/requests/{UNKNOWN}/replay"):
                self.assertProblem(self.call(404, "POST", missing, {}), 404)
            self.assertEqual(self.query("select count(*) from jobs where tenant_id ="
                                        f" '{self.t.id}'"), [["0"]])

    def test_what_is_gone_by_then_is_not_sent(self):
        inbox = self.make(forward_url="http://10.0.0.1/")
        request = str(uuid.uuid4())
        self.query(
            "insert into jobs (tenant_id, id, kind, state, priority, args, run_at,"
            " max_attempts, trace_id, parent_span_id, trace_flags, request_id) values"
            f" ('{self.t.id}', '{request}', 'inbox.forward', 'ready', 0,"
            f" '{{\"inbox_id\":\"{inbox['id']}\",\"request_id\":\"{UNKNOWN}\"}}', now(), 8,"
            " substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 0, 'r')")
        self.assertEqual(self.over(request), ["dead", "1", "forward.gone", ""])

    def test_an_address_inside_is_refused(self):
        inbox = self.make(forward_url="http://10.0.0.1/")
        self.send(inbox)
        job = self.list(inbox)["data"][0]["job_id"]
        self.stack.jobs.wait_line(msg="job", kind="inbox.forward",
                                  error="forward.refused.address", outcome="retried",
                                  tenant_id=self.t.id)
        self.query(f"delete from jobs where id = '{job}'")

    def test_inboxes_in_a_circle_come_to_an_end(self):
        a = self.make()
        b = self.make(forward_url=a["url"])
        self.call(200, "PATCH", f"/{a['id']}", {"forward_url": b["url"]})
        self.send(a)

        def rest():
            rows = self.list(a)["data"] + self.list(b)["data"]
            self.assertEqual(sorted(r["job_id"] is None for r in rows),
                             [False, False, False, True])
        eventually(rest, 60.0)

    def test_what_is_old_or_expired_goes(self):
        old, over = self.make(), self.make(ttl_seconds=60)
        for i in range(3):
            self.send(old, behind=f"/{i}")
            self.send(over)
        self.query("update inbox_requests set received_at = now() - interval '31 days'"
                   f" where inbox_id = '{old['id']}' and path <> '/2'")
        self.query("update inboxes set expires_at = now() - interval '31 days' where"
                   f" id = '{over['id']}'")
        while self.query("select inbox_purge(30 * 86400000::bigint, 1)") != [["0"]]:
            pass
        self.assertEqual([r["path"] for r in self.list(old)["data"]], ["/2"])
        self.call(404, "GET", f"/{over['id']}")
        self.assertEqual(self.query(f"select kept from inboxes where id = '{old['id']}'"),
                         [["1"]])

    def test_the_token_is_nowhere(self):
        """But in the URL that its owner is told."""
        made = self.call(201, "POST", "", {"name": "N"}, headers={
            "Idempotency-Key": f"k-{uuid.uuid4()}"})
        inbox = made.json
        token = inbox["url"].rsplit("/", 1)[1]
        paths = [f"/in/{token}", f"/in/{token}/more", f"/in/{token}?t=x",
                 f"/in/{token}/%ff", f"/%69n/{token}", f"//in/{token}",
                 f"/in/{token}/" + "a" * 2100, f"/in/{token}" + "/a" * 30,
                 f"/x/../in/{token}"]
        ids = []
        for path in paths:
            with Client(self.stack.port) as c:
                got = c.request("POST", path, body=b"x")
            ids.append(got.headers["X-Request-Id"])
        for request, path in zip(ids, paths):
            line = self.stack.pool.wait_line(request_id=request)
            self.assertTrue(line["path"].startswith("/in/{token}"), (path, line))
            wait_until(lambda r=request: self.page(f"/requests/{r}")[0] == 200,
                       "the page has it", 30.0)
            self.assertNotIn(token, self.page(f"/requests/{request}")[1])
        self.list(inbox)
        self.assertNotIn(token, self.page("/requests")[1])
        self.assertNotIn(token, self.stack.exporter.metrics())
        self.assertNotIn(token, str(self.stack.pool.find_lines()))
        # rings, flights, spans, journals: whatever anybody could read of it
        with open(self.stack.pool.segment, "rb") as f:
            self.assertNotIn(token[4:].encode(), f.read())
        for table in ("inboxes", "inbox_requests", "outbox_events", "events",
                      "idempotency_keys"):
            self.assertEqual(self.query(
                f"select count(*) from {table} x where x::text like"
                f" '%{token[4:24]}%'"), [["0"]], table)

    def page(self, path):
        with Client(self.stack.exporter.port) as c:
            got = c.request("GET", path, headers={"Accept": "application/json"})
        return got.status, got.body.decode()


if __name__ == "__main__":
    main()
