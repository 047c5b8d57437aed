#!/usr/bin/python3
"""A tenant on a database of its own, and a Redis: two clusters, one pool."""

import json
import os
import signal
import sys
import zlib

sys.dont_write_bytecode = True

from harness import Redis, eventually, main, patience, wait_until  # noqa: E402
from harness.placed import TABLES, Placed  # noqa: E402

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def unknown(kind):
    """A token as it should be, that nobody has."""
    text = f"{kind}_{'0' * 32}"
    crc, check = zlib.crc32(text.encode()), ""
    for _ in range(6):
        crc, digit = divmod(crc, 62)
        check = DIGITS[digit] + check
    return text + check


class Places(Placed):

    settings = {"workers": 2, "jobs_workers": 2}
    debug_jobs = True
    exporter = True

    def test_a_placed_tenants_rows_are_at_its_place_and_nowhere_else(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        for t in (a, b):
            made = self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": t.slug})
            path = made.headers["Location"]
            self.expect(201, "POST", f"{path}/tasks", t.token, {"title": "One"},
                        {"Idempotency-Key": "k1"})
            got = self.expect(200, "GET", f"{t.path}/projects", t.token)
            self.assertEqual([p["name"] for p in got.json["data"]], [t.slug])
            members = self.expect(200, "GET", f"{t.path}/members", t.token)
            self.assertEqual([m["email"] for m in members.json["data"]], [t.email])
        home, big = s.postgres, self.big
        for t, there in ((a, big), (b, home)):
            eventually(lambda t=t, there=there:
                       self.assertEqual(set(self.rows(there, t)), set(TABLES)))
        self.assertEqual(self.rows(home, a), {})
        self.assertEqual(self.rows(big, b), {})
        self.assertEqual(big.query("select count(*) from users where password_hash <> ''"), [["0"]])

    def test_a_request_is_one_round_trip_to_one_database(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        for t in (a, b):
            # one look-up by the first that this host sees, or sees moved
            self.expect(200, "GET", f"{t.path}/projects", t.token)
            for method, path, body, status in (
                    ("GET", "/projects", None, 200), ("POST", "/projects", {"name": "x"}, 201)):
                got = self.expect(status, method, t.path + path, t.token, body)
                self.assertEqual(self.line(got)["rt"], {"pg": 1, "redis": 0})

    def test_a_host_with_an_old_directory_finds_the_way(self):
        s = self.stack
        t = s.signup()
        self.expect(200, "GET", f"{t.path}/projects", t.token)
        self.place(t)
        got = self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": "Moved"})
        self.assertEqual(self.line(got)["rt"]["pg"], 3)  # refused, where, there
        got = self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": "Moved"})
        self.assertEqual(self.line(got)["rt"]["pg"], 1)
        self.assertEqual(self.rows(self.big, t)["projects"], 2)
        self.assertNotIn("projects", self.rows(s.postgres, t))

    def test_a_foreign_key_hears_the_same_wherever_the_tenant_is(self):
        s = self.stack
        a, b, c = s.signup(), s.signup(), s.signup()
        self.place(a)
        self.place(c)
        for key in (a.token, b.token):
            seen = set()
            for slug in (a.slug, b.slug, c.slug, "nobody-has-this"):
                for _ in range(2):
                    got = s.api("GET", f"/v1/t/{slug}/projects", key)
                    if got.status != 200:
                        seen.add((got.status, got.json["title"], got.json["detail"]))
            self.assertEqual({status for status, *_ in seen}, {404})
            self.assertEqual(len(seen), 1, seen)
        for token in (a.token[:-6] + "000000", unknown("rhk"), unknown("rhs")):
            for slug in (a.slug, b.slug, "nobody-has-this"):
                self.assertProblem(s.api("GET", f"/v1/t/{slug}/projects", token), 401)

    def test_who_am_i_asks_the_place_of_the_key(self):
        t = self.stack.signup()
        self.place(t)
        got = self.expect(200, "GET", "/v1/me", t.token)
        self.assertEqual(got.json["user"]["email"], t.email)
        self.assertEqual([m["tenant"]["slug"] for m in got.json["memberships"]], [t.slug])

    def test_a_pool_that_does_not_know_the_placement_says_503_until_it_is_told(self):
        s = self.stack
        t = s.signup()
        self.place(t)
        s.postgres.query(f"update tenants set placement = 'elsewhere' where id = '{t.id}'")
        self.assertProblem(s.api("GET", f"{t.path}/projects", t.token), 503,
                           type="urn:rowhouse:problem:placement.unknown")
        before = dict(s.pool.settings)
        s.pool.configure(**{"placement elsewhere": self.placement()})
        os.kill(s.pool.pid, signal.SIGHUP)
        wait_until(lambda: s.api("GET", f"{t.path}/projects", t.token).status == 200,
                   "a reload tells it", 20.0)
        s.pool.restore(before)
        os.kill(s.pool.pid, signal.SIGHUP)
        wait_until(lambda: s.api("GET", f"{t.path}/projects", t.token).status == 503,
                   "and another one that it is gone", 20.0)

    # ---- sessions ----

    def test_the_first_request_of_a_session_copies_it(self):
        s = self.stack
        t = s.signup()
        self.place(t)
        self.expect(200, "GET", f"{t.path}/projects", t.token)
        # refused there, found at home, copied; and then itself
        for trips in (4, 1, 1):
            got = self.expect(200, "GET", f"{t.path}/projects", t.session)
            self.assertEqual(self.line(got)["rt"]["pg"], trips)
        self.expect(201, "POST", f"{t.path}/projects", t.session, {"name": "By a session"})

    def test_a_session_of_no_member_hears_what_a_foreign_one_does(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        for slug in (a.slug, "nobody-has-this", a.slug):
            got = s.api("GET", f"/v1/t/{slug}/projects", b.session)
            self.assertProblem(got, 404, type="urn:rowhouse:problem:tenant.missing")
        self.assertEqual(self.big.query(
            f"select 1 from users where email = '{b.email}'"), [])

    def sign_in(self, tenant):
        got = self.expect(201, "POST", "/v1/sessions", body={
            "email": tenant.email, "password": tenant.password})
        return got.json["token"]

    def test_signing_out_ends_it_everywhere(self):
        s = self.stack
        t = s.signup()
        self.place(t)
        here, there = self.sign_in(t), self.sign_in(t)
        self.expect(200, "GET", f"{t.path}/projects", there)
        for session in (here, there):
            found = s.postgres.query("select id, user_id, encode(sha256, 'hex') from sessions"
                                     f" where sha256 = sha256('{session}')")[0]
            self.expect(204, "DELETE", "/v1/sessions/current", session)
            for path in (f"{t.path}/projects", "/v1/me"):
                self.assertProblem(s.api("GET", path, session), 401)
            # a request that had found it at home just before comes too late
            self.big.query(
                f"select session_adopt('\\x{found[2]}', '{t.id}', '{found[0]}', '{found[1]}',"
                " now(), now() + interval '1 day')", user="rowhouse_app")
            self.assertProblem(s.api("GET", f"{t.path}/projects", session), 401)

    def test_a_session_is_not_signed_out_while_a_placement_is_away(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        self.expect(200, "GET", f"{a.path}/projects", a.session)
        self.big.stop()
        try:
            for t in (a, b):
                got = s.api("DELETE", "/v1/sessions/current", t.session)
                self.assertProblem(got, 503)
                self.assertGreater(int(got.headers["Retry-After"]), 0)
            self.expect(200, "GET", f"{b.path}/projects", b.session)
        finally:
            self.big.start()
        for t in (a, b):
            wait_until(lambda t=t: s.api("DELETE", "/v1/sessions/current", t.session).status
                       == 204, "it is signed out", patience(20))
            self.assertProblem(s.api("GET", f"{t.path}/projects", t.session), 401)
        self.big_is_back(a)

    def test_who_am_i_tells_of_tenants_everywhere(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        s.postgres.query("insert into memberships (tenant_id, user_id, role) values"
                         f" ('{b.id}', '{a.user['id']}', 'viewer')")
        for place in ("big", "home"):
            self.move(a, place)
            got = self.expect(200, "GET", "/v1/me", a.session)
            self.assertEqual([(m["tenant"]["slug"], m["role"]) for m in got.json["memberships"]],
                             sorted([(a.slug, "owner"), (b.slug, "viewer")]))

    # ---- what is behind requests ----

    def left(self, tenant):
        """Leaves a job that makes a project; the request's id."""
        got = self.expect(204, "POST", f"{tenant.path}/debug/jobs?what=project", tenant.token)
        return got.headers["X-Request-Id"]

    def told(self, tenant):
        """Projects that its feed tells of, in order."""
        got = self.expect(200, "GET", f"{tenant.path}/events?limit=100&type=project.created",
                          tenant.token)
        return [event["payload"].get("name") for event in got.json["data"]]

    def done(self, request):
        return self.stack.jobs.wait_line(msg="job", request_id=request, outcome="done")

    def test_its_events_are_told_and_its_jobs_are_run(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        for t, there in ((a, self.big), (b, s.postgres)):
            self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": t.slug})
            eventually(lambda t=t: self.assertEqual(self.told(t), [t.slug]))
            request = self.left(t)
            self.assertEqual(self.done(request)["tenant_id"], t.id)
            eventually(lambda t=t: self.assertEqual(len(self.told(t)), 2))
            self.assertEqual(there.query(
                f"select state from jobs_past where request_id = '{request}'"), [["done"]])

    def polls(self, every):
        self.stack.pool.configure(jobs_poll=every)
        self.stack.jobs.stop()
        self.stack.jobs.start()

    def test_what_is_left_is_begun_where_it_is_since_it_calls(self):
        """The one who runs jobs looks by himself once an hour. Several in turn: a
        look may still follow the one before."""
        a, b = self.stack.signup(), self.stack.signup()
        self.place(a)
        self.addCleanup(self.polls, "100ms")
        self.polls("1h")
        for _ in range(5):
            for t in (a, b):
                self.done(self.left(t))

    def test_what_waits_is_counted_over_all_places(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        both = (self.big, s.postgres)

        def pending():
            return s.exporter.value("rowhouse_outbox_pending")
        # nobody relays while others have the lock; and what was there is told
        with self.big.transaction() as big, s.postgres.transaction() as home:
            for lock in (big, home):
                lock("select pg_advisory_xact_lock(events_lock())")
            before = sum(int(p.query("select pending from events_waiting()")[0][0]) for p in both)
            for t, n in ((a, 2), (b, 3)):
                for i in range(n):
                    self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": str(i)})
            eventually(lambda: self.assertEqual(pending(), before + 5))
        eventually(lambda: self.assertEqual(pending(), 0))
        self.assertEqual((self.told(a), self.told(b)), (["0", "1"], ["0", "1", "2"]))

    # ---- what the operator asks and does there ----

    def told_by(self, command, *operands):
        done = self.ctl(*operands, "--json", command=command)
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def test_an_operator_finds_jobs_wherever_they_are(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        jobs = {}
        for t, there in ((a, self.big), (b, s.postgres)):
            request = self.left(t)
            self.done(request)
            eventually(lambda: self.assertEqual(there.query(
                f"select state from jobs_past where request_id = '{request}'"), [["done"]]))
            jobs[t.id] = there.query(
                f"select id from jobs_past where request_id = '{request}'")[0][0]
        for t, of in ((a, ("--tenant", a.slug)), (b, ("--tenant", b.slug)),
                      (a, ("--placement", "big"))):
            listed = {job["id"] for job in self.told_by("job", "list", *of)["jobs"]}
            self.assertEqual(listed & set(jobs.values()), {jobs[t.id]}, of)
            self.assertEqual(self.told_by("job", "show", jobs[t.id], *of)["state"], "done")
        done = self.ctl("show", jobs[a.id], command="job")
        self.assertIn("there is no such job", done.stderr)
        # a bound is of its place, and told there
        self.told_by("job", "pause", "--tenant", a.slug)
        request = self.left(a)
        [[waits]] = self.big.query(f"select id from jobs where request_id = '{request}'")
        self.told_by("job", "cancel", waits, "--tenant", a.slug)
        self.assertEqual(self.big.query(
            f"select state from jobs_past where id = '{waits}'"), [["cancelled"]])
        self.told_by("job", "retry", waits, "--placement", "big")
        self.told_by("job", "resume", "--tenant", a.slug)
        self.done(request)
        self.assertEqual(self.told_by("job", "drain", "--placement", "big")["left"], 0)
        for operands, why in (
                (("--placement", "none"), "has no admin_database_url of placement none"),
                (("--placement", "big", "--tenant", a.slug), "knows its placement itself")):
            done = self.ctl("list", *operands, command="job")
            self.assertEqual((done.returncode, why in done.stderr), (1, True), done)

    def test_an_operator_finds_webhooks_wherever_they_are(self):
        s = self.stack
        t = s.signup()
        self.place(t)
        hook = self.expect(201, "POST", f"{t.path}/webhooks", t.token, {
            "url": "https://ctl.example/", "event_types": ["none.such"]}).json["id"]
        told = self.expect(202, "POST", f"{t.path}/webhooks/{hook}/test", t.token).json["id"]
        of = ("--tenant", t.slug)
        [row] = self.told_by("webhook", "list", *of)["webhooks"]
        self.assertEqual((row["id"], row["tenant"]), (hook, t.slug))
        self.assertNotIn(hook, self.ctl("list", command="webhook").stdout)
        self.assertEqual(self.told_by("webhook", "show", hook, *of)["id"], hook)
        [row] = self.told_by("webhook", "deliveries", hook, *of)["deliveries"]
        self.assertEqual(row["id"], told)
        for what, status in (("pause", "paused"), ("resume", "active")):
            self.told_by("webhook", what, hook, *of)
            self.assertEqual(self.big.query(
                f"select status from webhooks where id = '{hook}'"), [[status]])
        again = self.told_by("webhook", "replay", told, *of)["delivery_id"]
        self.assertEqual(self.big.query(
            f"select webhook_id from webhook_deliveries where id = '{again}'"), [[hook]])
        self.assertEqual(self.told_by("webhook", "replay", hook, "--since",
                                      "2026-01-01T00:00:00Z", *of)["deliveries"], 0)

    # ---- one of the two is stopped ----

    def test_home_is_away_and_a_placed_tenants_keys_go_on(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        for t in (a, b):
            self.expect(200, "GET", f"{t.path}/projects", t.token)
        s.postgres.stop()
        try:
            for _ in range(12):
                self.expect(201, "POST", f"{a.path}/projects", a.token, {"name": "On"})
                self.assertProblem(s.api("GET", f"{b.path}/projects", b.token), 503)
            self.done(self.left(a))
            eventually(lambda: self.assertEqual(len(self.told(a)), 13))
        finally:
            s.postgres.start()
        self.home_is_back()
        self.expect(200, "GET", f"{b.path}/projects", b.token)

    def test_a_placement_is_away_and_the_others_go_on(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        for t in (a, b):
            since = self.line(self.expect(200, "GET", f"{t.path}/projects", t.token))["time"]

        def heard():
            return [x for x in s.jobs.find_lines(level="warn") if x["time"] > since and
                    x["msg"].startswith("PostgreSQL of the placement big is away")]
        self.big.stop()
        try:
            for _ in range(12):
                self.expect(201, "POST", f"{b.path}/projects", b.token, {"name": "On"})
                got = s.api("GET", f"{a.path}/projects", a.token)
                self.assertProblem(got, 503)
                self.assertGreater(int(got.headers["Retry-After"]), 0)
                self.expect(200, "GET", "/readyz")
            self.done(self.left(b))
            eventually(lambda: self.assertEqual(len(self.told(b)), 13))
            wait_until(heard, "the log says so")
        finally:
            self.big.start()
        self.big_is_back(a)
        self.done(self.left(a))
        # each of the two has said it once
        self.assertLessEqual(len(heard()), 2)


class OwnRedis(Placed):

    settings = {"workers": 2, "limits": True, "redis_timeout": "2s", "redis_connect_timeout": "2s"}
    redis = Redis
    big_redis = Redis

    def hit(self, tenant):
        """What the cache answers, once it does."""
        def ask():
            got = self.expect(200, "GET", f"{tenant.path}/projects", tenant.token)
            line = self.line(got)
            return (got, line) if line["cache"] == "hit" else None
        got, line = wait_until(ask, "the page is cached")
        self.assertEqual(line["rt"], {"pg": 0, "redis": 1})
        return [p["name"] for p in got.json["data"]]

    def create(self, tenant, name):
        self.expect(201, "POST", f"{tenant.path}/projects", tenant.token, {"name": name})

    def test_its_keys_are_in_its_own(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        s.redis.cli("FLUSHALL")
        for t in (a, b):
            self.create(t, t.slug)
            self.assertEqual(self.hit(t), [t.slug])
        for t, its, other in ((a, self.bigs, s.redis), (b, s.redis, self.bigs)):
            self.assertTrue(its.cli("KEYS", f"{{{t.id}}}:e:*"))
            # a write that came here first has left a generation, of nothing
            self.assertEqual(other.cli("KEYS", f"{{{t.id}}}:e:*"), "")
            self.create(t, "New")
            got = self.expect(200, "GET", f"{t.path}/projects", t.token)
            self.assertEqual([p["name"] for p in got.json["data"]], ["New", t.slug])

    def test_what_was_cached_before_a_move_is_not_believed_after_it(self):
        s = self.stack
        t = s.signup()
        names = []
        for place in ("big", "home", "big"):
            self.create(t, place)
            names.insert(0, place)
            self.assertEqual(self.hit(t), names)
            self.move(t, place)
            got = self.expect(200, "GET", f"{t.path}/projects", t.token)
            self.assertEqual([p["name"] for p in got.json["data"]], names)
            self.assertNotEqual(self.line(got)["cache"], "hit")

    def test_its_plan_is_where_it_is(self):
        s = self.stack
        t = s.signup()

        def quota():
            got = self.expect(200, "GET", f"{t.path}/projects", t.token)
            return got.headers["RateLimit-Policy"]
        done = self.ctl("limit", t.slug, "--token", "71")
        self.assertEqual(done.returncode, 0, done)
        wait_until(lambda: '"token";q=71;' in quota(), "the plan is known")
        self.place(t)
        self.hit(t)
        self.assertIn('"token";q=71;', quota())
        done = self.ctl("limit", t.slug, "--token", "72")
        self.assertEqual(done.returncode, 0, done)
        wait_until(lambda: '"token";q=72;' in quota(), "the new plan is known")
        self.assertEqual(self.big.query(
            f"select token, away from tenant_limits where tenant_id = '{t.id}'"), [["72", "f"]])
        done = self.ctl("limit", t.slug, "--reset")
        self.assertEqual(done.returncode, 0, done)
        wait_until(lambda: '"token";q=3000;' in quota(), "there is no plan any more")
        self.move(t, "home")
        self.assertIn('"token";q=3000;', quota())

    def test_a_session_is_forgotten_there_too(self):
        s = self.stack
        t = s.signup()
        self.place(t)

        def cached():
            got = self.expect(200, "GET", f"{t.path}/projects", t.session)
            return self.line(got)["cache"] == "hit"
        wait_until(cached, "the page is cached for the session")
        self.expect(204, "DELETE", "/v1/sessions/current", t.session)
        self.assertProblem(s.api("GET", f"{t.path}/projects", t.session), 401)

    def test_one_is_away_and_the_other_goes_on(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        self.place(a)
        for t in (a, b):
            self.create(t, t.slug)
            self.hit(t)
        self.bigs.stop()
        try:
            self.create(a, "Without")
            self.expect(200, "GET", f"{a.path}/projects", a.token)
            self.assertEqual(self.hit(b), [b.slug])
        finally:
            self.bigs.start()
        self.assertEqual(self.hit(a), ["Without", a.slug])


if __name__ == "__main__":
    main()
