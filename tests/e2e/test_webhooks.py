#!/usr/bin/python3
"""Webhooks out, by their API: endpoints and their secrets, what became of each
delivery, to deliver again, and the mail that tells of a pause."""

import base64
import email.parser
import email.policy
import hmac
import json
import os
import subprocess
import sys
import threading

sys.dont_write_bytecode = True

from harness import Receiver, Story, TempDir, eventually, main, patience, program, \
    wait_until  # noqa: E402
from harness.relay import relay  # noqa: E402

URL = "https://receiver.example/hook?token=hidden"
UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
MOST = 5

# member: what it may not be, where the fault is
REFUSED = [
    ({"url": "ftp://receiver.example/"}, "/url"),
    ({"url": "receiver.example"}, "/url"),
    ({"url": "https://user:password@receiver.example/"}, "/url"),
    ({"url": "http://127.0.0.1/"}, "/url"),
    ({"url": "http://2130706433/"}, "/url"),
    ({"url": "http://[::ffff:10.0.0.1]/"}, "/url"),
    ({"url": "http://169.254.169.254/latest/"}, "/url"),
    ({"url": "http://receiver.example:22/"}, "/url"),
    ({"url": "https://receiver.example/\n"}, "/url"),
    ({"url": ""}, "/url"),
    ({"url": "https://receiver.example/" + "x" * 2048}, "/url"),
    ({"url": None}, "/url"),
    ({"event_types": None}, "/event_types"),
    ({"event_types": "task.created"}, "/event_types"),
    ({"event_types": ["task.*", "Task.created"]}, "/event_types/1"),
    ({"event_types": ["task"]}, "/event_types/0"),
    ({"event_types": ["task."]}, "/event_types/0"),
    ({"event_types": ["*"]}, "/event_types/0"),
    ({"event_types": ["*.created"]}, "/event_types/0"),
    ({"event_types": ["task.cre*"]}, "/event_types/0"),
    ({"event_types": ["task.created.late"]}, "/event_types/0"),
    ({"event_types": ['"task.created']}, "/event_types/0"),
    ({"event_types": ["task.created", 1]}, "/event_types/1"),
    ({"event_types": ["task.created"] * 65}, "/event_types"),
    ({"event_types": ["t" * 90 + ".created" * 2]}, "/event_types/0"),
    ({"description": "x" * 501}, "/description"),
    ({"rate_per_s": 0}, "/rate_per_s"),
    ({"concurrency": 101}, "/concurrency"),
    ({"secret": "whsec_mine"}, "/secret"),
]


class Webhooks(Story):
    """What every story here does with a tenant of its own."""

    def setUp(self):
        self.t = self.stack.signup()

    def query(self, sql):
        return self.stack.postgres.query(sql)

    def call(self, status, method, path, body=None, headers=None, token=None):
        return self.expect(status, method, self.t.path + path, token or self.t.token, body,
                           headers)

    def make(self, **more):
        return self.call(201, "POST", "/webhooks",
                         {"url": URL, "event_types": [], **more}).json

    def tell(self):
        relay(self.stack.postgres, "drain")

    def projects(self, *names):
        return [self.call(201, "POST", "/projects", {"name": n}).json["id"] for n in names]

    def deliveries(self, webhook, query=""):
        return self.call(200, "GET", f"/webhooks/{webhook}/deliveries{query}").json["data"]

    def ctl(self, *operands):
        done = subprocess.run(
            [program("rowhouse-ctl"), "-c", self.stack.pool.conf, "webhook", *operands],
            env=self.stack.pool.env, capture_output=True, text=True, check=False,
            timeout=patience(20))
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout


class Api(Webhooks):

    settings = {"webhook_max": MOST, "workers": 4}

    def test_the_secret_is_shown_once(self):
        got = self.call(201, "POST", "/webhooks", {
            "url": URL, "event_types": ["task.*", "project.created"], "description": "D"})
        made = got.json
        self.assertEqual(got.headers["Cache-Control"], "no-store")
        self.assertEqual(got.headers["Location"], f"{self.t.path}/webhooks/{made['id']}")
        secret = made.pop("secret")
        self.assertRegex(secret, r"^whsec_[A-Za-z0-9+/]{43}=$")
        self.assertEqual({k: v for k, v in made.items() if not k.endswith("_at") and k != "id"}, {
            "url": URL, "event_types": ["task.*", "project.created"], "description": "D",
            "status": "active", "paused_reason": None, "failing_since": None,
            "rate_per_s": None, "concurrency": None, "old_secret_until": None, "version": 1})
        one = self.call(200, "GET", f"/webhooks/{made['id']}")
        self.assertEqual(one.json, made)
        self.assertEqual(self.call(200, "GET", "/webhooks").json["data"], [made])
        same = self.call(304, "GET", f"/webhooks/{made['id']}",
                         headers={"If-None-Match": one.headers["ETag"]})
        self.assertEqual(same.body, b"")
        raw = base64.b64decode(secret[6:])
        [[there]] = self.query(f"select position('\\x{raw.hex()}'::bytea in secret)"
                               f" from webhooks where id = '{made['id']}'")
        self.assertEqual(there, "0")

    def test_an_event_of_it_holds_neither_secret_nor_url(self):
        made = self.make()
        self.call(200, "PATCH", f"/webhooks/{made['id']}", {"url": URL + "2"})
        self.call(200, "POST", f"/webhooks/{made['id']}/rotate-secret")
        rows = self.query("select type, payload from outbox_events where subject_id ="
                          f" '{made['id']}' order by seq")
        self.assertEqual([r[0] for r in rows],
                         ["webhook.created", "webhook.updated", "webhook.rotated"])
        for _, payload in rows:
            self.assertEqual(set(json.loads(payload)), {
                "id", "event_types", "description", "status", "paused_reason", "failing_since",
                "rate_per_s", "concurrency", "old_secret_until", "created_at", "updated_at",
                "version"})

    def test_what_it_may_not_be(self):
        made = self.make()
        for member, pointer in REFUSED:
            body = {"url": URL, "event_types": [], **member}
            for method, path, what in (("POST", "/webhooks", body),
                                       ("PATCH", f"/webhooks/{made['id']}", member)):
                with self.subTest(method=method, **member):
                    got = self.call(422, method, path, what)
                    self.assertProblem(got, 422)
                    self.assertEqual(got.json["errors"][0]["pointer"], pointer)
        for lacks in ("url", "event_types"):
            body = {"url": URL, "event_types": []}
            del body[lacks]
            got = self.call(422, "POST", "/webhooks", body)
            self.assertEqual(got.json["errors"][0]["pointer"], f"/{lacks}")
        self.assertEqual(len(self.call(200, "GET", "/webhooks").json["data"]), 1)

    def test_a_name_that_may_lead_inside_is_looked_at_later(self):
        self.make(url="http://localhost/", event_types=["api_key.*"])

    def test_change_pause_and_resume(self):
        path = f"/webhooks/{self.make()['id']}"
        got = self.call(200, "PATCH", path, {
            "event_types": ["task.*"], "description": "D", "rate_per_s": 5, "concurrency": 2,
            "status": "paused"}, {"If-Match": '"v1"'}).json
        self.assertEqual((got["event_types"], got["description"], got["rate_per_s"],
                          got["concurrency"], got["status"], got["paused_reason"], got["version"]),
                         (["task.*"], "D", 5, 2, "paused", "asked", 2))
        self.call(412, "PATCH", path, {"description": "E"}, {"If-Match": '"v1"'})
        got = self.call(200, "PATCH", path, {"rate_per_s": None}).json
        self.assertEqual((got["rate_per_s"], got["concurrency"], got["url"]), (None, 2, URL))
        self.query(f"update webhooks set paused_reason = 'failing', failing_since = now()"
                   f" where tenant_id = '{self.t.id}'")
        got = self.call(200, "PATCH", path, {"status": "paused"}).json
        self.assertEqual(got["paused_reason"], "failing")
        self.assertIsNotNone(got["failing_since"])
        got = self.call(200, "PATCH", path, {"status": "active"}).json
        self.assertEqual((got["status"], got["paused_reason"], got["failing_since"]),
                         ("active", None, None))
        self.call(412, "DELETE", path, headers={"If-Match": '"v1"'})
        self.call(204, "DELETE", path)
        self.call(404, "GET", path)

    def test_the_former_secret_signs_for_a_day(self):
        made = self.make()
        where = f"where id = '{made['id']}'"
        [[before]] = self.query(f"select secret from webhooks {where}")
        got = self.call(200, "POST", f"/webhooks/{made['id']}/rotate-secret")
        self.assertEqual(got.headers["Cache-Control"], "no-store")
        self.assertRegex(got.json["secret"], "^whsec_")
        self.assertNotEqual(got.json["secret"], made["secret"])
        self.assertEqual(got.json["version"], 2)
        [[old, day]] = self.query(
            "select old_secret, old_secret_until between now() + interval '23 hours'"
            f" and now() + interval '24 hours' from webhooks {where}")
        self.assertEqual((old, day), (before, "t"))

    def test_the_same_post_again_answers_the_same_secret_and_keeps_it_sealed(self):
        key = {"Idempotency-Key": "webhooks-once"}
        body = {"url": URL, "event_types": []}
        first = self.call(201, "POST", "/webhooks", body, key)
        again = self.call(201, "POST", "/webhooks", body, key)
        self.assertEqual(again.headers["Idempotency-Replayed"], "true")
        self.assertEqual(again.json, first.json)
        [[plain]] = self.query("select count(*) from idempotency_keys where"
                               f" tenant_id = '{self.t.id}' and position('whsec_' in body) > 0")
        self.assertEqual(plain, "0")

    def test_as_many_as_the_operator_allows_also_at_once(self):
        statuses = []

        def post():
            with self.stack.client() as c:
                statuses.append(c.request("POST", f"{self.t.path}/webhooks", self.t.token,
                                          {"url": URL, "event_types": []}).status)
        threads = [threading.Thread(target=post) for _ in range(MOST + 3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(statuses), [201] * MOST + [409] * 3)
        got = self.call(409, "POST", "/webhooks", {"url": URL, "event_types": []})
        self.assertProblem(got, 409, type="urn:rowhouse:problem:webhook.too_many")

    def test_admins_alone_and_nobody_elses(self):
        made = self.make()
        told = self.call(202, "POST", f"/webhooks/{made['id']}/test").json["id"]
        other = self.stack.signup()
        tokens = [(403, self.t.path, self.stack.key(self.t, role))
                  for role in ("viewer", "member")]
        tokens += [(404, self.t.path, other.token), (404, other.path, other.token)]
        for method, path, body in (
                ("GET", "/webhooks", None),
                ("POST", "/webhooks", {"url": URL, "event_types": []}),
                ("GET", f"/webhooks/{made['id']}", None),
                ("PATCH", f"/webhooks/{made['id']}", {"description": "x"}),
                ("DELETE", f"/webhooks/{made['id']}", None),
                ("POST", f"/webhooks/{made['id']}/rotate-secret", None),
                ("POST", f"/webhooks/{made['id']}/test", None),
                ("POST", f"/webhooks/{made['id']}/replay", {"since": "2026-01-01T00:00:00Z"}),
                ("GET", f"/webhooks/{made['id']}/deliveries", None),
                ("GET", f"/webhook-deliveries/{told}", None),
                ("POST", f"/webhook-deliveries/{told}/replay", None)):
            for status, base, token in tokens:
                if path == "/webhooks" and base == other.path:
                    continue    # its own
                with self.subTest(method=method, path=path, status=status):
                    self.expect(status, method, base + path, token, body)
        admin = self.stack.key(self.t, "admin")
        self.call(200, "GET", f"/webhooks/{made['id']}", token=admin)

    def test_a_test_is_delivered_to_it_alone(self):
        made, other = self.make(), self.make()
        got = self.call(202, "POST", f"/webhooks/{made['id']}/test")
        d = got.json
        self.assertEqual(got.headers["Location"], f"{self.t.path}/webhook-deliveries/{d['id']}")
        line = self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"], msg="request")
        self.assertEqual((d["webhook_id"], d["type"], d["state"], d["attempt"], d["status"],
                          d["latency_ms"], d["error"], d["finished_at"], d["request_id"],
                          d["trace_id"]),
                         (made["id"], "webhook.test", "waiting", 0, None, None, None, None,
                          line["request_id"], line["trace_id"]))
        self.assertEqual(self.deliveries(made["id"]), [d])
        self.assertEqual(self.deliveries(other["id"]), [])
        whole = self.call(200, "GET", f"/webhook-deliveries/{d['id']}").json
        self.assertEqual((whole.pop("payload"), whole.pop("attempts")),
                         ({"webhook_id": made["id"]}, []))
        self.assertEqual(whole, d)
        self.call(204, "DELETE", f"/webhooks/{made['id']}")
        self.call(404, "GET", f"/webhook-deliveries/{d['id']}")

    def test_attempts_are_told_whatever_was_replied(self):
        d = self.call(202, "POST", f"/webhooks/{self.make()['id']}/test").json["id"]
        self.query(
            "insert into webhook_attempts (tenant_id, delivery_id, attempt, started_at, status,"
            f" latency_ms, error, reply) values ('{self.t.id}', '{d}', 1, now(), null, 30000,"
            f" 'timeout', ''), ('{self.t.id}', '{d}', 2, now(), 500, 12, null,"
            " '\\x22c3a9ff00c3'::bytea)")
        got = self.call(200, "GET", f"/webhook-deliveries/{d}").json["attempts"]
        for a in got:
            self.assertRegex(a.pop("started_at"), "^20..-")
        self.assertEqual(got, [
            {"attempt": 1, "status": None, "latency_ms": 30000, "error": "timeout", "reply": ""},
            {"attempt": 2, "status": 500, "latency_ms": 12, "error": None,
             "reply": '"\u00e9\ufffd\0\ufffd'}])

    def test_one_is_delivered_again_as_the_same_event(self):
        made = self.make()
        first = self.call(202, "POST", f"/webhooks/{made['id']}/test").json
        self.query("update webhook_deliveries set state = 'failed', attempt = 10, status = 500,"
                   f" finished_at = now() where id = '{first['id']}'")
        got = self.call(202, "POST", f"/webhook-deliveries/{first['id']}/replay")
        again = got.json
        self.assertEqual(got.headers["Location"],
                         f"{self.t.path}/webhook-deliveries/{again['id']}")
        self.assertNotEqual(again["id"], first["id"])
        self.assertEqual((again["event_id"], again["state"], again["attempt"], again["status"],
                          again["trace_id"], again["request_id"]),
                         (first["event_id"], "waiting", 0, None, first["trace_id"],
                          first["request_id"]))
        ids = [d["id"] for d in self.deliveries(made["id"])]
        self.assertEqual(ids, [again["id"], first["id"]])
        for query, found in (("?state=failed", [first["id"]]), ("?state=waiting", [again["id"]]),
                             ("?type=webhook.test", ids), ("?type=task.created", []),
                             ("?state=failed&type=webhook.test", [first["id"]])):
            self.assertEqual([d["id"] for d in self.deliveries(made["id"], query)], found, query)
        page = self.call(200, "GET", f"/webhooks/{made['id']}/deliveries?limit=1").json
        self.assertEqual([d["id"] for d in page["data"]], ids[:1])
        page = self.call(200, "GET", f"/webhooks/{made['id']}/deliveries?limit=1&cursor="
                                     f"{page['next_cursor']}").json
        self.assertEqual(([d["id"] for d in page["data"]], page["next_cursor"]), (ids[1:], None))
        for query in ("?state=lost", "?type=", "?limit=0", "?cursor=x"):
            self.call(400, "GET", f"/webhooks/{made['id']}/deliveries{query}")
        for path in (f"/webhooks/{UNKNOWN}/deliveries", f"/webhook-deliveries/{UNKNOWN}"):
            self.assertProblem(self.call(404, "GET", path), 404)

    def test_what_was_told_since_is_delivered_again(self):
        hook = self.make(event_types=["project.*"])["id"]
        path = f"/webhooks/{hook}/replay"
        self.projects("a", "b", "c")
        self.tell()
        events = self.call(200, "GET", "/events?type=project.created").json["data"]
        rows = self.query("select to_char((timestamptz 'epoch' + pos * interval '1 microsecond')"
                          " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from events"
                          f" where tenant_id = '{self.t.id}' and type = 'project.created' order by pos")
        at = [r[0] for r in rows]
        for body, n in (({"since": at[0]}, 3), ({"since": at[1]}, 2),
                        ({"since": at[0], "until": at[2]}, 2),
                        ({"since": at[0], "event_types": ["project.created"]}, 3),
                        ({"since": at[0], "event_types": ["task.*", "project.updated"]}, 0),
                        ({"since": at[0], "event_types": ["api_key.created"]}, 0),
                        ({"since": "2099-01-01T00:00:00Z"}, 0)):
            with self.subTest(**body):
                self.query(f"delete from webhook_deliveries where tenant_id = '{self.t.id}'")
                got = self.call(202, "POST", path, body)
                self.assertEqual(got.json, {"deliveries": n, "more": False, "next_since": None})
                made = self.deliveries(hook)
                self.assertEqual(len(made), n)
                line = self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"],
                                                 msg="request")
                self.assertEqual(line["rt"]["pg"], 1, line)
                # ids of the time at which they were made
                self.assertEqual({d["id"][14] for d in made}, {"7"} if n else set())
        self.call(202, "POST", path, {"since": at[0]})
        made = {d["event_id"]: d for d in self.deliveries(hook)}
        for e in events:
            d = made[e["id"]]
            self.assertEqual((d["type"], d["trace_id"], d["request_id"]),
                             (e["type"], e["trace_id"], e["request_id"]))
            self.assertEqual(self.call(200, "GET", f"/webhook-deliveries/{d['id']}").json["payload"],
                             e["payload"])
        for body, pointer in (({}, "/since"), ({"since": "yesterday"}, "/since"),
                              ({"since": at[1], "until": at[0]}, "/until"),
                              ({"since": at[0], "event_types": ["*"]}, "/event_types/0")):
            got = self.call(422, "POST", path, body)
            self.assertEqual(got.json["errors"][0]["pointer"], pointer)
        self.call(404, "POST", f"/webhooks/{UNKNOWN}/replay", {"since": at[0]})

    def test_no_more_are_delivered_again_at_once_than_the_bound(self):
        hook = self.make(event_types=["bulk.*"])["id"]
        self.query(
            "insert into events (tenant_id, pos, id, type, subject_id, payload, trace_id,"
            f" parent_span_id, request_id, created_at) select '{self.t.id}', events_now() + i,"
            " gen_random_uuid(), 'bulk.made', gen_random_uuid(), '{}', substr(sha256('t'), 1, 16),"
            " substr(sha256('p'), 1, 8), 'bulk', now() from generate_series(1, 10003) i")
        path, since = f"/webhooks/{hook}/replay", "2026-01-01T00:00:00Z"
        first = self.call(202, "POST", path, {"since": since}).json
        self.assertEqual((first["deliveries"], first["more"]), (10000, True))
        rest = self.call(202, "POST", path, {"since": first["next_since"]}).json
        self.assertEqual(rest, {"deliveries": 3, "more": False, "next_since": None})
        [[distinct]] = self.query("select count(distinct event_id) from webhook_deliveries"
                                  f" where tenant_id = '{self.t.id}'")
        self.assertEqual(distinct, "10003")

    def test_one_round_trip_each(self):
        hook = self.make()["id"]
        told = self.call(202, "POST", f"/webhooks/{hook}/test").json["id"]
        for status, method, path, body in (
                (200, "GET", "/webhooks", None),
                (201, "POST", "/webhooks", {"url": URL, "event_types": []}),
                (200, "PATCH", f"/webhooks/{hook}", {"description": "x"}),
                (200, "POST", f"/webhooks/{hook}/rotate-secret", None),
                (202, "POST", f"/webhooks/{hook}/test", None),
                (200, "GET", f"/webhooks/{hook}/deliveries", None),
                (200, "GET", f"/webhook-deliveries/{told}", None),
                (202, "POST", f"/webhook-deliveries/{told}/replay", None),
                (204, "DELETE", f"/webhooks/{hook}", None)):
            got = self.call(status, method, path, body)
            line = self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"], msg="request")
            self.assertEqual(line["rt"]["pg"], 1, line)

    def test_the_operator_lists_stops_and_replays(self):
        made = self.make(event_types=["task.*"])
        of_t = ("--tenant", self.t.slug)
        told = self.call(202, "POST", f"/webhooks/{made['id']}/test").json["id"]
        [row] = json.loads(self.ctl("list", *of_t, "--json"))["webhooks"]
        self.assertEqual((row["id"], row["tenant"], row["url"], row["event_types"], row["status"],
                          row["waiting"]),
                         (made["id"], self.t.slug, URL, ["task.*"], "active", 1))
        self.assertNotIn("secret", json.dumps(row))
        self.assertRegex(self.ctl("list"), rf"(?m)^{made['id']}  {self.t.slug} +active ")
        self.assertIn("1 waiting", self.ctl("show", made["id"]))
        self.assertEqual(json.loads(self.ctl("pause", made["id"], "--json")),
                         {"id": made["id"], "status": "paused"})
        now = self.call(200, "GET", f"/webhooks/{made['id']}").json
        self.assertEqual((now["status"], now["paused_reason"], now["version"]),
                         ("paused", "asked", 2))
        self.assertIn("active", self.ctl("resume", made["id"], *of_t))
        again = json.loads(self.ctl("replay", told, "--json"))["delivery_id"]
        self.call(200, "GET", f"/webhook-deliveries/{again}")
        rows = json.loads(self.ctl("deliveries", made["id"], "--state", "waiting",
                                   "--json"))["deliveries"]
        self.assertEqual([r["id"] for r in rows], [again, told])
        self.assertIn(told, self.ctl("deliveries", made["id"]))
        self.tell()
        got = json.loads(self.ctl("replay", made["id"], "--since", "2026-01-01T00:00:00Z",
                                  "--json"))
        self.assertEqual(got["deliveries"], 0)
        types = self.query("select type, payload ? 'secret' or payload ? 'url' from events where"
                           f" tenant_id = '{self.t.id}' and request_id = 'rowhouse-ctl' order by pos")
        self.assertEqual(types, [["webhook.updated", "f"], ["webhook.updated", "f"],
                                 ["webhook.replayed", "f"]])

    def test_the_operator_is_told_what_is_wrong(self):
        for operands, why in ((("show", UNKNOWN), "there is no webhook"),
                              (("replay", UNKNOWN), "there is no delivery"),
                              (("show", "x"), "is no id"), (("list", UNKNOWN), "wants"),
                              (("pause", UNKNOWN, "--since", "2026-01-01T00:00:00Z"), "option"),
                              (("replay", UNKNOWN, "--since", "x"), "is no time")):
            done = subprocess.run(
                [program("rowhouse-ctl"), "-c", self.stack.pool.conf, "webhook", *operands],
                env=self.stack.pool.env, capture_output=True, text=True, check=False,
                timeout=patience(20))
            self.assertEqual((done.returncode, done.stdout), (1, ""), operands)
            self.assertIn(why, done.stderr)

    def test_the_reference_has_them(self):
        paths = self.stack.api("GET", "/openapi.json").json["paths"]
        base = "/v1/t/{tenant}/webhooks"
        self.assertIn("202", paths[base + "/{id}/test"]["post"]["responses"])
        self.assertIn("409", paths[base]["post"]["responses"])
        self.assertEqual(paths[base]["post"]["security"] != [], True)


class Delivered(Webhooks):
    """From the request that changes something to the receiver, and again."""

    jobs = True
    settings = {"jobs_workers": 2, "webhook_allow": "127.0.0.1", "webhook_retry": "50ms"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.receiver = Receiver()
        cls.addClassCleanup(cls.receiver.close)

    def hook(self, path, **more):
        return self.make(url=self.receiver.url(f"/{self.t.slug}{path}"), **more)

    def wait(self, path, n=1):
        return self.receiver.wait(f"/{self.t.slug}{path}", n)

    def over(self, webhook, n, state="delivered"):
        """The log, once it has n of them."""
        return wait_until(lambda: len(self.deliveries(webhook, f"?state={state}")) >= n and
                          self.deliveries(webhook), f"{n} are {state}")

    def assertSigned(self, got, *secrets):
        """By all of these, as the specification has it."""
        text = b".".join((got.headers["webhook-id"].encode(),
                          got.headers["webhook-timestamp"].encode(), got.body))
        wanted = [b"v1," + base64.b64encode(hmac.digest(
            base64.b64decode(s[len("whsec_"):]), text, "sha256")) for s in secrets]
        self.assertEqual(got.headers["webhook-signature"].encode().split(b" "), wanted)

    def test_a_task_is_told_signed_logged_and_told_again(self):
        hook = self.hook("/tasks", event_types=["task.*"])
        [project] = self.projects("P")
        begun = self.call(201, "POST", f"/projects/{project}/tasks", {"title": "T"})
        [got] = self.wait("/tasks")
        self.assertSigned(got, hook["secret"])
        line = self.stack.pool.wait_line(request_id=begun.headers["X-Request-Id"], msg="request")
        self.assertIn(line["trace_id"], got.headers["traceparent"])
        sent = json.loads(got.body)
        self.assertEqual((sent["type"], sent["data"]["title"], sent["id"]),
                         ("task.created", "T", got.headers["webhook-id"]))
        [log] = self.over(hook["id"], 1)
        self.assertEqual((log["event_id"], log["type"], log["attempt"], log["status"],
                          log["error"], log["trace_id"], log["request_id"]),
                         (sent["id"], "task.created", 1, 200, None, line["trace_id"],
                          line["request_id"]))
        self.assertGreaterEqual(log["latency_ms"], 0)
        whole = self.call(200, "GET", f"/webhook-deliveries/{log['id']}").json
        [attempt] = whole["attempts"]
        self.assertEqual((attempt["attempt"], attempt["status"], attempt["reply"]),
                         (1, 200, "hello"))
        self.assertEqual(whole["payload"], sent["data"])
        self.call(202, "POST", f"/webhook-deliveries/{log['id']}/replay")
        [_, again] = self.wait("/tasks", 2)
        self.assertEqual((again.headers["webhook-id"], again.body),
                         (got.headers["webhook-id"], got.body))
        self.over(hook["id"], 2)
        told = self.call(202, "POST", f"/webhooks/{hook['id']}/replay",
                         {"since": "2026-01-01T00:00:00Z"}).json
        self.assertEqual(told["deliveries"], 1)
        self.assertEqual([g.headers["webhook-id"] for g in self.wait("/tasks", 3)],
                         [sent["id"]] * 3)
        self.assertEqual(len({d["id"] for d in self.over(hook["id"], 3)}), 3)

    def test_a_paused_one_is_tested_alone_and_gets_the_rest_when_it_is_resumed(self):
        hook = self.hook("/paused", event_types=["project.*"])
        self.call(200, "PATCH", f"/webhooks/{hook['id']}", {"status": "paused"})
        self.projects("a", "b")
        self.call(202, "POST", f"/webhooks/{hook['id']}/test")
        [got] = self.wait("/paused")
        self.assertSigned(got, hook["secret"])
        self.assertEqual(json.loads(got.body)["type"], "webhook.test")
        self.over(hook["id"], 1)
        # what happened meanwhile is in the feed, and told once it is asked for
        wait_until(lambda: len(self.call(
            200, "GET", "/events?type=project.created").json["data"]) == 2, "the feed has both")
        self.call(202, "POST", f"/webhooks/{hook['id']}/replay",
                  {"since": "2026-01-01T00:00:00Z"})
        self.assertEqual([d["state"] for d in self.deliveries(hook["id"], "?type=project.created")],
                         ["waiting"] * 2)
        self.call(200, "PATCH", f"/webhooks/{hook['id']}", {"status": "active"})
        types = [json.loads(g.body)["type"] for g in self.wait("/paused", 3)]
        self.assertEqual(sorted(types), ["project.created"] * 2 + ["webhook.test"])

    def test_both_secrets_sign_after_a_rotation(self):
        hook = self.hook("/rotated", event_types=["nothing.*"])
        new = self.call(200, "POST", f"/webhooks/{hook['id']}/rotate-secret").json["secret"]
        self.call(202, "POST", f"/webhooks/{hook['id']}/test")
        self.assertSigned(self.wait("/rotated")[0], new, hook["secret"])

    def test_a_failure_is_logged_and_tried_again(self):
        hook = self.hook("/fails", event_types=["nothing.*"])
        self.receiver.answers(f"/{self.t.slug}/fails", (500, {}, b"\xff not now"), 204)
        told = self.call(202, "POST", f"/webhooks/{hook['id']}/test").json["id"]
        self.wait("/fails", 2)
        self.over(hook["id"], 1)
        attempts = self.call(200, "GET", f"/webhook-deliveries/{told}").json["attempts"]
        self.assertEqual([(a["attempt"], a["status"], a["reply"]) for a in attempts],
                         [(1, 500, "\ufffd not now"), (2, 204, "")])

    def test_one_that_is_gone_is_paused_and_resumed_by_hand(self):
        hook = self.hook("/gone", event_types=["nothing.*"])
        self.receiver.answers(f"/{self.t.slug}/gone", 410, 200)
        self.call(202, "POST", f"/webhooks/{hook['id']}/test")
        now = wait_until(lambda: next((w for w in self.call(200, "GET", "/webhooks").json["data"]
                                       if w["status"] == "paused"), None), "it is paused")
        self.assertEqual((now["id"], now["paused_reason"]), (hook["id"], "gone"))
        got = self.call(200, "PATCH", f"/webhooks/{hook['id']}", {"status": "active"}).json
        self.assertEqual((got["paused_reason"], got["failing_since"]), (None, None))
        self.call(202, "POST", f"/webhooks/{hook['id']}/test")
        self.over(hook["id"], 1)


class Mail(Webhooks):
    """Of a pause that nobody asked for, by a program that takes it as sendmail does."""

    jobs = True
    exporter = True

    @classmethod
    def setUpClass(cls):
        cls.dir = TempDir()
        cls.addClassCleanup(cls.dir.remove)
        cls.sent = f"{cls.dir.path}/sent"
        os.mkdir(cls.sent)
        sendmail = f"{cls.dir.path}/sendmail"
        # fails where it is told to; what it has stands there whole, or not at all
        with open(sendmail, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\ntest -e \"$2/fails\" && rm \"$2/fails\" && exit 75\n"
                    "env > \"$2/env.$$\"\n"
                    "cat > \"$2/.new.$$\" && mv \"$2/.new.$$\" \"$2/mail.$$\"\n")
        os.chmod(sendmail, 0o755)
        cls.receiver = Receiver()
        cls.addClassCleanup(cls.receiver.close)
        cls.settings = {"webhook_allow": "127.0.0.1", "mail_command": f"{sendmail} -t {cls.sent}", "jobs_workers": 2,
                        "mail_from": "Rowhouse <ops@rowhouse.example>"}
        super().setUpClass()

    def mails(self, tenant=None):
        """Those to a tenant's people, parsed."""
        got = []
        for name in os.listdir(self.sent):
            if name.startswith("mail."):
                with open(f"{self.sent}/{name}", "rb") as f:
                    got.append(email.parser.BytesParser(policy=email.policy.default).parse(f))
        return [m for m in got if f"[{(tenant or self.t).slug}]" in m["Subject"]]

    def pause(self, hook):
        """As the engine does after days."""
        self.query(
            f"with w as (update webhooks set status = 'paused', paused_reason = 'failing',"
            f" failing_since = '2026-01-02T03:04:05Z' where id = '{hook}' returning *)"
            " insert into outbox_events (tenant_id, id, type, subject_id, payload, trace_id,"
            " parent_span_id, request_id) select tenant_id, gen_random_uuid(), 'webhook.paused',"
            " id, '{}', substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 'by-the-engine'"
            " from w")

    def member(self, address, role):
        """Somebody more in the tenant, by whatever address."""
        self.query(
            "with u as (insert into users (id, email, name, password_hash) values"
            f" (gen_random_uuid(), $a${address}$a$, 'N', 'x') returning id)"
            f" insert into memberships (tenant_id, user_id, role) select '{self.t.id}', id,"
            f" '{role}' from u")

    def test_owners_and_admins_are_told_and_nothing_else_is(self):
        slug = self.t.slug
        self.member(f"admin@{slug}.example", "admin")
        self.member(f"member@{slug}.example", "member")
        # what could add a recipient, or a header
        self.member(f"a,b@{slug}.example", "admin")
        self.member(f"<c@{slug}.example>", "admin")
        self.member(f"d@{slug}.example\nBcc: e@{slug}.example", "admin")
        hook = self.make(description="x\nBcc: f@example.test", event_types=["nothing.*"])["id"]
        self.pause(hook)
        [mail] = wait_until(self.mails, "a mail was sent", 30.0)
        self.assertEqual(mail.defects, [])
        self.assertEqual({a.addr_spec for a in mail["To"].addresses},
                         {self.t.email, f"admin@{slug}.example"})
        self.assertEqual(mail["From"].addresses[0].addr_spec, "ops@rowhouse.example")
        self.assertEqual(set(mail.keys()), {
            "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
            "Content-Transfer-Encoding", "Auto-Submitted"})
        text = mail.get_content()
        self.assertIn(hook, text)
        self.assertIn("failed since 2026-01-02T03:04:05", text)
        self.assertIn("https://receiver.example/hook?...\n", text)
        self.assertNotIn("hidden", text)
        for name in os.listdir(self.sent):
            if name.startswith("env."):
                with open(f"{self.sent}/{name}", encoding="utf-8") as f:
                    self.assertNotIn("DATABASE", f.read())

    def test_one_that_was_paused_by_hand_is_not(self):
        asked = self.make(event_types=["nothing.*"])["id"]
        self.call(200, "PATCH", f"/webhooks/{asked}", {"status": "paused"})
        path = f"/{self.t.slug}"
        self.receiver.answers(path, 410)
        gone = self.make(url=self.receiver.url(path), event_types=["nothing.*"])["id"]
        self.call(202, "POST", f"/webhooks/{gone}/test")
        [mail] = wait_until(self.mails, "a mail was sent", 30.0)
        self.assertIn("410", mail.get_content())
        self.assertIn(gone, mail.get_content())

    def test_a_program_that_fails_is_run_again_and_no_address_is_told(self):
        with open(f"{self.sent}/fails", "w", encoding="ascii"):
            pass
        self.pause(self.make(event_types=["nothing.*"])["id"])
        line = wait_until(lambda: next((x for x in self.stack.jobs.find_lines(
            msg="job", kind="webhooks.tell_pause") if x["outcome"] == "retried"), None),
            "the attempt failed", 30.0)
        self.assertIn("mail.failed", json.dumps(line))
        wait_until(self.mails, "it was sent all the same", 30.0)
        eventually(lambda: self.assertTrue(self.stack.jobs.find_lines(
            msg="job", kind="webhooks.tell_pause", outcome="done")))
        for pool in (self.stack.pool, self.stack.jobs):
            self.assertNotIn(self.t.email, json.dumps(pool.find_lines()))


if __name__ == "__main__":
    main()
