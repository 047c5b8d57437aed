#!/usr/bin/python3
"""A POST with an Idempotency-Key is done once, and answered once more as often
as it comes: whatever the route, whoever dies, however many come at once.

ROWHOUSE_KILLS says how many workers are killed at random points (40)."""

import collections
import contextlib
import http.client
import os
import random
import signal
import sys
import threading
import time
import uuid

sys.dont_write_bytecode = True

from harness import (Apache, Client, Pool, Story, main, patience,  # noqa: E402
                     program, wait_until)

T = "/v1/t/{tenant}"
KILLS = int(os.environ.get("ROWHOUSE_KILLS", "40"))
UNKNOWN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
# of each request its own
OWN = {"date", "x-request-id", "traceresponse", "server-timing", "ratelimit",
       "idempotency-replayed", "connection", "keep-alive"}


def key():
    return f'"{uuid.uuid4()}"'


def answer(got):
    """What has to be the same of two replies."""
    return got.status, got.body, sorted(
        (k.lower(), v) for k, v in got.headers.items() if k.lower() not in OWN)


def replayed(got):
    return got.headers.get("Idempotency-Replayed") == "true"


class Keyed(Story):

    def post(self, path, body, with_key, token=None):
        return self.stack.api("POST", path, token, body,
                              {"Idempotency-Key": with_key} if with_key else None)

    def posted(self, status, path, body, with_key, token=None):
        got = self.post(path, body, with_key, token)
        self.assertEqual(got.status, status, got)
        return got

    def count(self, table, where):
        return int(self.stack.postgres.query(
            f"select count(*) from {table} where {where}")[0][0])

    def rows(self, tenant, name):
        return self.count("projects",
                          f"tenant_id = '{tenant.id}' and name = '{name}'")

    def keys(self, tenant):
        return self.count("idempotency_keys", f"tenant_id = '{tenant.id}'")

    def line(self, got):
        return self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"],
                                         msg="request")


class Replay(Keyed):

    exporter = True
    # one that waits for a lock is to wait for as long as the test has it
    settings = {"workers": 4, "idempotency_wait": "300ms",
                "statement_timeout": "60s", "timeout_write": "60s"}

    def routes(self):
        """Every POST route: how to call it, and with another body."""
        t = self.t = self.stack.signup()
        n = uuid.uuid4().hex[:12]
        project = self.posted(201, f"{t.path}/projects", {"name": "P"}, None,
                              t.token).json["id"]
        api_key = self.posted(201, f"{t.path}/api-keys",
                              {"name": "K", "role": "viewer"}, None,
                              t.token).json["id"]
        signup = {"email": f"{n}@keyed.example", "password": "long enough password",
                  "name": "N", "tenant": {"slug": f"s{n}", "name": "N"}}
        return {
            "/v1/signup": (None, "/v1/signup", signup, {**signup, "name": "M"}),
            "/v1/sessions": (None, "/v1/sessions",
                             {"email": t.email, "password": t.password},
                             {"email": t.email, "password": t.password + "x"}),
            T + "/projects": (t.token, f"{t.path}/projects", {"name": "N"},
                              {"name": "M"}),
            T + "/projects/{id}/tasks": (
                t.token, f"{t.path}/projects/{project}/tasks", {"title": "N"},
                {"title": "N", "status": "done"}),
            T + "/api-keys": (t.token, f"{t.path}/api-keys",
                              {"name": "N", "role": "member"},
                              {"name": "N", "role": "viewer"}),
            T + "/api-keys/{id}/rotate": (
                t.token, f"{t.path}/api-keys/{api_key}/rotate", None, {}),
            T + "/inboxes": (t.token, f"{t.path}/inboxes", {"name": "N"}, {"name": "M"}),
            T + "/inboxes/{id}/requests/{request_id}/replay": (
                t.token, self.recorded(), {"url": "http://10.0.0.1/"}, {}),
            **{T + f"/jobs/{{id}}/{what}": (
                t.token, f"{t.path}/jobs/{self.stack.leave_job(t)}/{what}", None, {})
               for what in ("retry", "cancel")},
            **self.of_webhooks(),
        }

    def of_webhooks(self):
        t = self.t
        a, b = ({"url": f"https://{host}.example/", "event_types": []} for host in "ab")
        hook = self.posted(201, f"{t.path}/webhooks", a, None, t.token).json["id"]
        hook = f"{t.path}/webhooks/{hook}"
        delivery = self.posted(202, f"{hook}/test", None, None, t.token).json["id"]
        since = [{"since": f"2026-01-0{day}T00:00:00Z"} for day in (1, 2)]
        return {
            T + "/webhooks": (t.token, f"{t.path}/webhooks", a, b),
            T + "/webhooks/{id}/rotate-secret": (
                t.token, f"{hook}/rotate-secret", None, {}),
            T + "/webhooks/{id}/test": (t.token, f"{hook}/test", None, {}),
            T + "/webhooks/{id}/replay": (t.token, f"{hook}/replay", *since),
            T + "/webhook-deliveries/{id}/replay": (
                t.token, f"{t.path}/webhook-deliveries/{delivery}/replay", None, {}),
        }

    def recorded(self):
        """Of a request that an inbox has: how to have it sent again."""
        t = self.t
        inbox = self.posted(201, f"{t.path}/inboxes", {}, None, t.token).json
        self.posted(200, "/in/" + inbox["url"].split("/in/")[1], b"x", None)
        requests = f"{t.path}/inboxes/{inbox['id']}/requests"
        got = self.expect(200, "GET", requests, t.token).json["data"][0]["id"]
        return f"{requests}/{got}/replay"

    def listed(self):
        """But for what takes whatever comes: a key there is its receiver's to heed."""
        return {path: item["post"] for path, item in self.stack.api(
            "GET", "/openapi.json").json["paths"].items()
            if "post" in item and path != "/in/{token}"}

    def test_every_post_route_answers_once_more(self):
        routes = self.routes()
        self.assertEqual(set(routes), set(self.listed()))
        for route, (token, path, body, other) in routes.items():
            with self.subTest(route):
                k = key()
                first = self.post(path, body, k, token)
                self.assertIn(first.status, (200, 201, 202), first)
                self.assertFalse(replayed(first))
                for _ in range(2):
                    again = self.post(path, body, k, token)
                    self.assertTrue(replayed(again), again)
                    self.assertEqual(answer(again), answer(first))
                    self.assertNotEqual(again.headers["X-Request-Id"],
                                        first.headers["X-Request-Id"])
                    self.assertNotEqual(again.headers["traceresponse"][:35],
                                        first.headers["traceresponse"][:35])
                self.assertProblem(
                    self.post(path, other, k, token), 422,
                    type="urn:rowhouse:problem:idempotency.mismatch")
                self.assertEqual(self.line(first)["rt"]["pg"], 2)
                self.assertEqual(self.line(again)["rt"]["pg"], 1)
                self.assertEqual(answer(self.post(path, body, k, token)),
                                 answer(first))

    def test_it_is_done_once(self):
        t, k = self.stack.signup(), key()
        ids = {self.posted(201, f"{t.path}/projects", {"name": "Once"}, k,
                           t.token).json["id"] for _ in range(5)}
        self.assertEqual(len(ids), 1)
        self.assertEqual((self.rows(t, "Once"), self.keys(t)), (1, 1))
        self.assertEqual(self.count("outbox_events", f"subject_id = '{ids.pop()}'"), 1)

    def test_what_was_answered_works(self):
        t, k = self.stack.signup(), key()
        made = self.posted(201, f"{t.path}/projects", {"name": "There"}, k, t.token)
        again = self.posted(201, f"{t.path}/projects", {"name": "There"}, k, t.token)
        for name in ("Location", "ETag", "Content-Type"):
            self.assertEqual(again.headers[name], made.headers[name])
        self.expect(200, "GET", again.headers["Location"], t.token)
        k = key()
        credentials = {"email": t.email, "password": t.password}
        tokens = [self.posted(201, "/v1/sessions", credentials, k).json["token"]
                  for _ in range(2)]
        self.assertEqual(tokens[0], tokens[1])
        self.expect(200, "GET", "/v1/me", tokens[1])

    def test_without_the_field_nothing_is_kept_and_nothing_costs_more(self):
        t = self.stack.signup()
        for n in range(2):
            got = self.posted(201, f"{t.path}/projects", {"name": "Plain"}, None,
                              t.token)
            self.assertEqual(self.line(got)["rt"]["pg"], 1)
            self.assertNotIn("Idempotency-Replayed", got.headers)
        self.assertEqual((self.rows(t, "Plain"), self.keys(t)), (2, 0))

    def test_other_methods_take_no_notice(self):
        t = self.stack.signup()
        at = self.posted(201, f"{t.path}/projects", {"name": "M"}, None,
                         t.token).headers["Location"]
        k = {"Idempotency-Key": key()}
        for n in ("A", "B"):
            got = self.stack.api("PATCH", at, t.token, {"name": n}, k)
            self.assertEqual((got.status, got.json["name"]), (200, n))
        self.assertEqual(self.stack.api("GET", at, t.token, None, k).status, 200)
        self.assertEqual(self.keys(t), 0)

    # ---- whose key it is ----

    def test_a_key_is_one_tokens_of_one_tenant(self):
        a, b, k = self.stack.signup(), self.stack.signup(), key()
        callers = [(a, a.token), (a, a.session), (a, self.stack.key(a, "member")),
                   (b, b.token)]
        made = [self.posted(201, f"{t.path}/projects", {"name": "Mine"}, k, token)
                for t, token in callers]
        self.assertEqual([replayed(g) for g in made], [False] * 4)
        self.assertEqual(len({g.json["id"] for g in made}), 4)
        self.assertEqual((self.rows(a, "Mine"), self.rows(b, "Mine")), (3, 1))
        for (t, token), first in zip(callers, made):
            self.assertEqual(answer(self.post(f"{t.path}/projects", {"name": "Mine"},
                                              k, token)), answer(first))
        self.assertProblem(self.post(f"{b.path}/projects", {"name": "Mine"}, k,
                                     a.token), 404)

    def test_who_may_not_ask_gets_no_reply_of_before(self):
        t, k = self.stack.signup(), key()
        got = self.posted(201, f"{t.path}/api-keys", {"name": "M", "role": "member"},
                          None, t.token).json
        path, token = f"{t.path}/projects", got["key"]
        self.posted(201, path, {"name": "N"}, k, token)
        self.stack.postgres.query("update api_keys set role = 'viewer'"
                                  f" where id = '{got['id']}'")
        self.assertProblem(self.post(path, {"name": "N"}, k, token), 403)
        self.expect(204, "DELETE", f"{t.path}/api-keys/{got['id']}", t.token)
        self.assertProblem(self.post(path, {"name": "N"}, k, token), 401)

    def test_outside_of_tenants_it_is_the_routes(self):
        t, k = self.stack.signup(), key()
        credentials = {"email": t.email, "password": t.password}
        first = self.posted(201, "/v1/sessions", credentials, k)
        n = uuid.uuid4().hex[:12]
        self.posted(201, "/v1/signup", {
            "email": f"{n}@keyed.example", "password": "long enough password",
            "name": "N", "tenant": {"slug": f"s{n}", "name": "N"}}, k)
        self.assertEqual(answer(self.post("/v1/sessions", credentials, k)),
                         answer(first))

    # ---- the field ----

    def test_quoted_or_bare_it_is_the_same(self):
        t = self.stack.signup()
        for quoted, bare in ((f'"{(u := uuid.uuid4())}"', str(u)),
                             ('"a:b/c"', "a:b/c"), ('"x"', "x"),
                             ('"' + "k" * 255 + '"', "k" * 255)):
            made = self.posted(201, f"{t.path}/projects", {"name": "Q"}, quoted,
                               t.token)
            again = self.posted(201, f"{t.path}/projects", {"name": "Q"}, bare,
                                t.token)
            self.assertTrue(replayed(again))
            self.assertEqual(answer(again), answer(made))

    def test_escapes_are_taken_away(self):
        t = self.stack.signup()
        for escaped in (r'"a\"b"', r'"a\\b"', '"a b"', '"a;b"'):
            made = self.posted(201, f"{t.path}/projects", {"name": "E"}, escaped,
                               t.token)
            self.assertFalse(replayed(made), escaped)

    def test_what_is_no_key_is_400(self):
        t = self.stack.signup()
        for bad in ("", " ", '"', '""', '"a', 'a"', '"a"b', '"a";p=1', "a b", "a;b",
                    'a\\b', r'"\a"', '"\\"', "k" * 256, '"' + "k" * 256 + '"',
                    '"a", "b"', "a,b", "\xe9", '"a\tb"'):
            with self.subTest(bad[:20]):
                got = self.stack.api("POST", f"{t.path}/projects", t.token,
                                     {"name": "Bad"}, {"Idempotency-Key": bad})
                self.assertProblem(got, 400)
        got = self.post(f"{t.path}/projects", {"name": "Bad"}, "a b", t.token)
        self.assertProblem(got, 400,
                           type="urn:rowhouse:problem:idempotency.malformed")
        self.assertEqual(self.rows(t, "Bad"), 0)

    def test_the_reference_has_it_at_every_post(self):
        doc = self.stack.api("GET", "/openapi.json").json
        for path, post in self.listed().items():
            refs = [p.get("$ref", "") for p in post["parameters"]]
            self.assertIn("#/components/parameters/IdempotencyKey", refs, path)
            self.assertLessEqual({"400", "409", "422"}, set(post["responses"]), path)
            done = next(v for k, v in post["responses"].items() if k < "300")
            self.assertIn("Idempotency-Replayed", done["headers"], path)
        self.assertEqual(doc["components"]["parameters"]["IdempotencyKey"]["name"],
                         "Idempotency-Key")

    # ---- what is kept ----

    def test_what_failed_left_nothing_and_may_be_tried_again(self):
        t, k = self.stack.signup(), key()
        tasks = f"{t.path}/projects/{UNKNOWN_ID}/tasks"
        refused = [(tasks, {"title": "T"}, 404), (f"{t.path}/projects", {}, 422),
                   (f"{t.path}/projects", b"{", 400),
                   (f"{t.path}/api-keys/{UNKNOWN_ID}/rotate", None, 404)]
        for path, body, status in refused:
            for _ in range(2):
                got = self.stack.api("POST", path, t.token, body, {
                    "Idempotency-Key": k, "Content-Type": "application/json"})
                self.assertProblem(got, status)
                self.assertFalse(replayed(got))
        self.assertEqual(self.keys(t), 0)
        self.posted(201, f"{t.path}/projects", {"name": "Now"}, k, t.token)
        self.assertEqual((self.rows(t, "Now"), self.keys(t)), (1, 1))

    def test_a_failed_sign_up_may_be_mended_under_its_key(self):
        n, k = uuid.uuid4().hex[:12], key()
        body = {"email": f"{n}@keyed.example", "password": "long enough password",
                "name": "N", "tenant": {"slug": self.stack.signup().slug, "name": "N"}}
        self.assertProblem(self.post("/v1/signup", body, k), 409)
        body["tenant"]["slug"] = f"s{n}"
        self.posted(201, "/v1/signup", body, k)
        self.assertProblem(self.post("/v1/sessions", {
            "email": body["email"], "password": "wrong"}, k), 401)

    def test_no_secret_can_be_read_from_the_table(self):
        t, k = self.stack.signup(), key()
        body = {"email": t.email, "password": t.password}
        token = self.posted(201, "/v1/sessions", body, k).json["token"]
        api_key = self.posted(201, f"{t.path}/api-keys",
                              {"name": "N", "role": "member"}, k, t.token).json["key"]
        hook = self.posted(201, f"{t.path}/webhooks", {
            "url": "https://a.example/", "event_types": []}, key(), t.token).json
        rotated = self.posted(200, f"{t.path}/webhooks/{hook['id']}/rotate-secret", None,
                              key(), t.token).json
        inbox = self.posted(201, f"{t.path}/inboxes", {}, key(), t.token).json
        self.posted(201, f"{t.path}/projects", {"name": "Open"}, key(), t.token)
        rows = self.stack.postgres.query(
            "select sealed, encode(k::text::bytea || body, 'hex')"
            " from idempotency_keys k")
        text = b"".join(bytes.fromhex(r[1]) for r in rows)
        for secret in (token, api_key, t.token, t.password, k.strip('"'), hook["secret"],
                       rotated["secret"], inbox["url"].split("/in/")[1]):
            self.assertNotIn(secret.encode(), text)
        self.assertIn(b'"name":"Open"', text)
        self.assertEqual({r[0] for r in rows}, {"t", "f"})

    def test_after_its_time_a_key_is_new(self):
        t, k = self.stack.signup(), key()
        for n in (1, 2):
            got = self.posted(201, f"{t.path}/projects", {"name": "Old"}, k, t.token)
            self.assertFalse(replayed(got))
            self.assertEqual((self.rows(t, "Old"), self.keys(t)), (n, 1))
            self.assertTrue(replayed(self.posted(
                201, f"{t.path}/projects", {"name": "Old"}, k, t.token)))
            self.stack.postgres.query("update idempotency_keys set expires_at = now()"
                                      f" where tenant_id = '{t.id}'")
        # also for something else
        self.posted(201, f"{t.path}/projects", {"name": "Other"}, k, t.token)
        self.assertEqual(self.keys(t), 1)

    # ---- one that is at work ----

    def test_one_at_work_is_waited_for_and_then_409(self):
        t, k = self.stack.signup(), key()
        project = self.posted(201, f"{t.path}/projects", {"name": "P"}, None,
                              t.token).json["id"]
        tasks, body = f"{t.path}/projects/{project}/tasks", {"title": "Slow"}
        got = []

        def first():
            with self.stack.client() as c:
                got.append(c.request("POST", tasks, t.token, body,
                                     {"Idempotency-Key": k}))

        thread = threading.Thread(target=first)
        with self.stack.postgres.transaction() as lock:
            lock(f"select 1 from projects where id = '{project}' for update")
            thread.start()
            wait_until(lambda: self.stack.postgres.query(
                "select 1 from pg_stat_activity where wait_event_type = 'Lock'"),
                "the first waits for the lock")
            for other in (body, {"title": "Another"}):
                refused = self.post(tasks, other, k, t.token)
                self.assertProblem(refused, 409,
                                   type="urn:rowhouse:problem:idempotency.running")
                self.assertEqual(refused.headers["Retry-After"], "1")
            # another key is nobody's to wait for
            self.posted(201, f"{t.path}/projects", {"name": "Q"}, key(), t.token)
        thread.join()
        self.assertEqual(got[0].status, 201, got)
        self.assertEqual(answer(self.post(tasks, body, k, t.token)), answer(got[0]))
        self.assertEqual(self.count("tasks", f"project_id = '{project}'"), 1)


class ReplayBehindApache(Replay):
    web = Apache


class AtOnce(Keyed):
    """A hundred with one key: one is done, the others wait for its answer."""

    settings = {"workers": 8, "idempotency_wait": "30s", "statement_timeout": "60s",
                "timeout_write": "60s", "timeout_credentials": "60s"}

    def hundred(self, path, body, token):
        k, start, got = key(), threading.Barrier(100), []

        def post():
            with Client(self.stack.port, timeout=90.0) as c:
                start.wait()
                got.append(c.request("POST", path, token, body,
                                     {"Idempotency-Key": k}))

        threads = [threading.Thread(target=post) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(got), 100)
        self.assertEqual({repr(answer(g)) for g in got}, {repr(answer(got[0]))}, got[0])
        self.assertEqual(sum(not replayed(g) for g in got), 1)
        self.assertEqual(len({g.headers["X-Request-Id"] for g in got}), 100)
        self.assertEqual(got[0].status, 201, got[0])

    def test_one_row_and_a_hundred_like_replies(self):
        t = self.stack.signup()
        for n in range(5):
            self.hundred(f"{t.path}/projects", {"name": f"H{n}"}, t.token)
            self.assertEqual((self.rows(t, f"H{n}"), self.keys(t)), (1, n + 1))

    def test_one_sign_up_of_a_hundred(self):
        n = uuid.uuid4().hex[:12]
        self.hundred("/v1/signup", {
            "email": f"{n}@keyed.example", "password": "long enough password",
            "name": "N", "tenant": {"slug": f"s{n}", "name": "N"}}, None)
        self.assertEqual(self.count("users", f"email = '{n}@keyed.example'"), 1)


class AtOnceBehindApache(AtOnce):
    web = Apache


class Expiry(Keyed):

    settings = {"workers": 2, "idempotency_ttl": "1s"}

    def test_keys_expire_and_idle_workers_forget_them(self):
        t, k = self.stack.signup(), key()
        self.posted(201, f"{t.path}/projects", {"name": "Brief"}, k, t.token)
        wait_until(lambda: self.keys(t) == 0, "the key is purged", 30.0)
        self.assertFalse(replayed(self.posted(
            201, f"{t.path}/projects", {"name": "Brief"}, k, t.token)))
        self.assertEqual(self.rows(t, "Brief"), 2)

    def test_many_are_forgotten_in_parts_and_those_that_live_stay(self):
        t = self.stack.signup()
        self.stack.postgres.query(
            "insert into idempotency_keys (tenant_id, id, fingerprint, status, head,"
            f" body, sealed, expires_at) select '{t.id}', sha256(i::text::bytea), '',"
            " 201, '', '', false, case when i > 2500 then now() + interval '1 day'"
            " else now() end from generate_series(1, 2510) i")
        wait_until(lambda: self.keys(t) <= 10, "2,500 are purged", 60.0)
        self.assertEqual(self.keys(t), 10)


class DebugPool(Pool):
    """With the routes of fcgi/debug."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.program = program("rowhouse-fcgi-debug")


class Lingering(Keyed):
    """One that stands between the two flushes of its transaction."""

    pool = DebugPool

    def lingering(self, beside):
        """beside() runs while the request stands between its effect and its
        reply; answers tenant, how to repeat it, its reply or None."""
        t, k, got = self.stack.signup(), key(), []
        stays = f"{self.stack.temp}/lingers"
        path = f"{t.path}/debug/linger?while={stays}"

        def post():
            with self.stack.client() as c:
                return c.request("POST", path, t.token, None, {"Idempotency-Key": k})

        thread = threading.Thread(target=lambda: got.append(post()))
        with open(stays, "wb"):
            pass
        thread.start()
        try:
            wait_until(lambda: self.idle_in_transaction(), "it lingers", 60.0)
            beside()
        finally:
            os.unlink(stays)
            thread.join()
        return t, post, got[0]

    def idle_in_transaction(self):
        return [int(r[0]) for r in self.stack.postgres.query(
            "select pid from pg_stat_activity where state = 'idle in transaction'"
            " and usename = 'rowhouse_app'")]

    def kept(self, t):
        return (self.count("outbox_events", f"tenant_id = '{t.id}' and"
                           " type = 'debug.lingered'"), self.keys(t))


class Killed(Lingering):
    """Both or neither, and the same request once more says which."""

    settings = {"workers": 4, "idempotency_wait": "10s", "timeout_other": "60s"}

    def test_a_worker_killed_between_the_two_flushes_leaves_neither(self):
        def kill():
            for pid in self.stack.pool.answering():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        t, post, got = self.lingering(kill)
        self.assertIn(got.status, (502, 503), got)
        wait_until(lambda: not self.idle_in_transaction(), "its session is gone")
        self.assertEqual(self.kept(t), (0, 0))
        wait_until(self.stack.ready, "the pool is back")
        first, again = post(), post()
        self.assertEqual((first.status, replayed(first)), (204, False), first)
        self.assertEqual((again.status, replayed(again)), (204, True), again)
        self.assertEqual(self.kept(t), (1, 1))

    def test_a_session_cut_between_the_two_flushes_is_done_again(self):
        def cut():
            for pid in self.idle_in_transaction():
                self.stack.postgres.query(f"select pg_terminate_backend({pid})")
        t, post, got = self.lingering(cut)
        self.assertEqual((got.status, replayed(got)), (204, False), got)
        self.assertEqual(self.kept(t), (1, 1))
        self.assertTrue(replayed(post()))

    def test_killed_at_random_points(self):
        s, t = self.stack, self.stack.signup()
        over, odd, done = threading.Event(), [], [[] for _ in range(8)]

        def client(n):
            while not over.is_set():
                k, body = key(), {"name": uuid.uuid4().hex}
                until = time.monotonic() + patience(60)
                while True:     # until it is told; nobody knows what was done
                    if time.monotonic() > until:
                        odd.append(f"{body} was never answered")
                        return
                    with s.client() as c:
                        try:
                            got = c.request("POST", f"{t.path}/projects", t.token,
                                            body, {"Idempotency-Key": k})
                        except (OSError, http.client.HTTPException):
                            continue    # broken off, also in mid-reply
                    if got.status == 201:
                        break
                    if got.status not in (409, 500, 502, 503, 504):
                        odd.append(got)
                        return
                    time.sleep(0.02)
                done[n].append((body["name"], got.json["id"], replayed(got)))

        threads = [threading.Thread(target=client, args=(n,), daemon=True)
                   for n in range(8)]
        for thread in threads:
            thread.start()
        for n in range(KILLS):
            time.sleep(random.uniform(0.01, 0.08))
            victims = wait_until(lambda: sorted(s.pool.answering()), "a worker", 30.0)
            if n % 4 == 3:
                s.postgres.query(
                    "select pg_terminate_backend(pid) from pg_stat_activity where"
                    " usename = 'rowhouse_app' order by random() limit 1")
                continue
            try:
                os.kill(random.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                pass
        # on a slow machine few come through meanwhile
        wait_until(lambda: sum(map(len, done)) > KILLS or odd, "some are answered", 90.0)
        over.set()
        for thread in threads:
            thread.join(patience(90))
        self.assertEqual(odd, [])
        self.assertFalse(any(thread.is_alive() for thread in threads))
        made = {name: made for rows in done for name, made, _ in rows}
        self.assertGreater(len(made), KILLS)
        rows = dict(s.postgres.query("select name, id from projects"
                                     f" where tenant_id = '{t.id}'"))
        self.assertEqual(rows, made)
        per_name = collections.Counter(r[0] for r in s.postgres.query(
            f"select name from projects where tenant_id = '{t.id}'"))
        self.assertEqual(set(per_name.values()), {1})
        self.assertEqual(self.keys(t), len(made))
        self.assertEqual(self.count("outbox_events", f"tenant_id = '{t.id}' and"
                                    " type = 'project.created'"), len(made))
        print(f"{len(made)} requests, {sum(r for x in done for *_, r in x)} told by a"
              " replay", file=sys.stderr)


class Frozen(Lingering):
    """A host that is gone, and nobody there to end its session."""

    # the server ends a session that is idle for the sum of both: long enough for
    # us to find it idle
    settings = {"workers": 2, "timeout_other": "6s", "timeout_grace": "1s"}

    def test_the_server_takes_its_key_back(self):
        pool = [self.stack.pool.pid, *self.stack.pool.workers()]

        def freeze():
            for pid in pool:
                os.kill(pid, signal.SIGSTOP)
            try:
                wait_until(lambda: not self.idle_in_transaction(),
                           "PostgreSQL ends the session", 60.0)
            finally:
                for pid in pool:
                    os.kill(pid, signal.SIGCONT)
        t, _, got = self.lingering(freeze)
        self.assertGreaterEqual(got.status, 500, got)
        self.assertEqual(self.kept(t), (0, 0))


if __name__ == "__main__":
    main()
