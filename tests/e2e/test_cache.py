#!/usr/bin/python3
"""First pages from Redis: what they cost, and that no read that begins after a
write's reply is older than the write, whoever wrote and whoever died."""

import contextlib
import concurrent.futures
import datetime
import os
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True

from harness import Redis, Story, main, wait_until  # noqa: E402


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Cached(Story):

    redis = Redis
    settings = {"workers": 3}

    def line_of(self, got):
        return self.stack.pool.wait_line(
            request_id=got.headers["X-Request-Id"], msg="request")

    def made(self, path, token, **body):
        return self.expect(201, "POST", path, token, body).json

    def read(self, path, token, status=200):
        """The reply and what the cache had to do with it."""
        got = self.expect(status, "GET", path, token)
        return got, self.line_of(got)["cache"]

    def first(self, path, token):
        """The reply that is to be kept: once the tombstone of the write before it
        has gone, which goes behind that write's reply."""
        def missed():
            got, cache = self.read(path, token)
            if cache == "bypass":
                return None
            self.assertEqual(cache, "miss")
            return got
        return wait_until(missed, f"{path} may be kept")

    def warmed(self, path, token):
        """Once the page is there: the fill is sent behind the reply."""
        def hit():
            got, cache = self.read(path, token)
            return got if cache == "hit" else None
        return wait_until(hit, f"{path} is cached")


class Pages(Cached):

    def setUp(self):
        self.t = self.stack.signup()
        self.project = self.made(f"{self.t.path}/projects", self.t.token, name="P")
        self.tasks = f"{self.t.path}/projects/{self.project['id']}/tasks"

    def test_a_hit_costs_one_round_trip_to_redis_alone(self):
        path = f"{self.t.path}/projects"
        fresh = self.first(path, self.t.token)
        self.assertEqual(self.line_of(fresh)["rt"], {"pg": 1, "redis": 1})
        hit = self.warmed(path, self.t.token)
        line = self.line_of(hit)
        self.assertEqual(line["rt"], {"pg": 0, "redis": 1})
        self.assertEqual(hit.body, fresh.body)
        for key in ("user_id", "role", "token_id", "tenant_id"):
            self.assertEqual(line[key], self.line_of(fresh)[key])
        self.assertRegex(hit.headers["Server-Timing"],
                         r"^total;dur=[\d.]+, pg;dur=0\.000, redis;dur=[\d.]+$")
        own = {"X-Request-Id", "traceresponse", "Server-Timing", "Date", "RateLimit"}
        self.assertEqual({k: v for k, v in hit.headers.items() if k not in own},
                         {k: v for k, v in fresh.headers.items() if k not in own})

    def test_a_write_costs_one_of_each(self):
        got = self.expect(201, "POST", self.tasks, self.t.token, {"title": "T"})
        self.assertEqual(self.line_of(got)["rt"], {"pg": 1, "redis": 1})

    def test_what_is_no_first_page_goes_past_it(self):
        for query in ("?status=active", "?limit=2&status=active"):
            _, cache = self.read(f"{self.t.path}/projects{query}", self.t.token)
            self.assertEqual(cache, "bypass")
        _, cache = self.read(f"{self.t.path}/members", self.t.token)
        self.assertEqual(cache, "off")

    def test_each_limit_is_a_page_of_its_own(self):
        for i in range(3):
            self.made(f"{self.t.path}/projects", self.t.token, name=f"Q{i}")
        for limit in (1, 2, 3):
            got = self.warmed(f"{self.t.path}/projects?limit={limit}", self.t.token)
            self.assertEqual(len(got.json["data"]), limit)
            next_page = got.headers["Link"].split("<")[1].split(">")[0]
            self.assertEqual(len(self.expect(200, "GET", next_page, self.t.token)
                                 .json["data"]), min(limit, 4 - limit))

    def test_of_all_that_miss_at_once_one_rebuilds_it(self):
        path = f"{self.t.path}/projects"
        self.first(path, self.t.token)

        def ask(_):
            with self.stack.client() as c:
                return c.request("GET", path, self.t.token)
        for _ in range(5):
            body = self.warmed(path, self.t.token).body
            self.stack.redis.cli("FLUSHALL")
            with concurrent.futures.ThreadPoolExecutor(12) as clients:
                replies = list(clients.map(ask, range(24)))
            self.assertEqual({(r.status, r.body) for r in replies}, {(200, body)})
            said = [self.line_of(r)["cache"] for r in replies]
            self.assertEqual(said.count("miss"), 1, said)
            self.assertLessEqual(set(said), {"miss", "bypass", "hit"})

    def test_head_has_the_length_and_no_body(self):
        got = self.warmed(f"{self.t.path}/projects", self.t.token)
        head = self.stack.api("HEAD", f"{self.t.path}/projects", self.t.token)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Length"], str(len(got.body)))

    def test_every_change_is_seen_by_the_next_read(self):
        t = self.t
        task = self.made(self.tasks, t.token, title="T0")
        pages = (f"{t.path}/projects", f"{t.path}/tasks", self.tasks)
        changes = (
            ("POST", f"{t.path}/projects", {"name": "New"}),
            ("PATCH", f"{t.path}/projects/{self.project['id']}", {"name": "Renamed"}),
            ("POST", self.tasks, {"title": "T1"}),
            ("PATCH", f"{t.path}/tasks/{task['id']}", {"status": "done"}),
            ("DELETE", f"{t.path}/tasks/{task['id']}", None),
            ("DELETE", f"{t.path}/projects/{self.project['id']}", None))
        for method, path, body in changes:
            with self.subTest(change=f"{method} {path}"):
                for page in pages:
                    self.warmed(page, t.token)
                got = self.stack.api(method, path, t.token, body)
                self.assertIn(got.status, (200, 201, 204), got)
                for page, resource in zip(pages, ("projects", "tasks", "tasks")):
                    status = 404 if method == "DELETE" and page == self.tasks and \
                        "/projects/" in path else 200
                    seen = self.expect(status, "GET", page, t.token)
                    if status == 200:
                        self.assertEqual(
                            [(x["id"], x["version"]) for x in seen.json["data"]],
                            self.truth(resource))

    def truth(self, table):
        return [(i, int(v)) for i, v in self.stack.postgres.query(
            f"select id, version from {table} where tenant_id = '{self.t.id}'"
            " order by created_at desc, id desc limit 20")]

    def test_a_foreign_token_is_404_beside_a_cached_page(self):
        self.warmed(f"{self.t.path}/projects", self.t.token)
        other = self.stack.signup()
        self.assertProblem(self.stack.api("GET", f"{self.t.path}/projects", other.token), 404)
        self.assertProblem(self.stack.api("GET", f"{self.t.path}/projects", None), 401)


class Principals(Cached):
    """Whoever may no longer read is refused by the next request."""

    def setUp(self):
        self.t = self.stack.signup()
        self.path = f"{self.t.path}/projects"

    def test_a_revoked_key(self):
        made = self.made(f"{self.t.path}/api-keys", self.t.token, name="K", role="viewer")
        self.warmed(self.path, made["key"])
        self.expect(204, "DELETE", f"{self.t.path}/api-keys/{made['id']}", self.t.token)
        self.read_status(made["key"], 401)

    def test_a_rotated_key(self):
        made = self.made(f"{self.t.path}/api-keys", self.t.token, name="K", role="viewer")
        self.warmed(self.path, made["key"])
        again = self.expect(200, "POST", f"{self.t.path}/api-keys/{made['id']}/rotate",
                            self.t.token).json
        self.read_status(made["key"], 401)
        self.read_status(again["key"], 200)

    def test_a_session_that_is_signed_out(self):
        session = self.expect(201, "POST", "/v1/sessions", body={
            "email": self.t.email, "password": self.t.password}).json["token"]
        self.warmed(self.path, session)
        got = self.expect(204, "DELETE", "/v1/sessions/current", session)
        self.assertEqual(self.line_of(got)["rt"], {"pg": 1, "redis": 1})
        self.read_status(session, 401)

    def test_a_tenant_that_is_closed(self):
        self.warmed(self.path, self.t.session)
        self.expect(204, "DELETE", self.t.path, self.t.session)
        self.read_status(self.t.session, 404)

    def test_a_key_that_expires(self):
        for seconds in (6, 24, 96):     # some machines need longer for what is before it
            at = now() + datetime.timedelta(seconds=seconds)
            made = self.made(f"{self.t.path}/api-keys", self.t.token, name="K",
                             role="viewer", expires_at=at.isoformat().replace("+00:00", "Z"))
            if self.is_hit_before(at, made["key"]):
                break
        else:
            self.fail("its page is never cached while it lives")
        while now() < at:
            time.sleep(0.05)
        self.read_status(made["key"], 401)

    def is_hit_before(self, at, token):
        while now() < at:
            got = self.stack.api("GET", self.path, token)
            if got.status == 401:       # it may end on the way there
                self.assertGreaterEqual(now(), at)
                return False
            self.assertEqual(got.status, 200, got)
            if self.line_of(got)["cache"] == "hit":
                return True
        return False

    def read_status(self, token, status):
        for _ in range(4):
            got = self.stack.api("GET", self.path, token)
            self.assertEqual(got.status, status, got)


class Race(Cached):
    """Writers who read what they wrote, while workers are killed under them."""

    # What a worker that was killed in a write leaves in Redis keeps the page from
    # everybody for as long as that write could have taken, and five seconds.
    settings = {"workers": 4, "timeout_read": "2s", "timeout_write": "2s",
                "timeout_other": "2s", "statement_timeout": "2s"}
    clients, kills = 8, 10

    def test_who_wrote_reads_it(self):
        s, t = self.stack, self.stack.signup()
        over, stale, counts = threading.Event(), [], {"read": 0, "failed": 0}
        lock = threading.Lock()

        def client(n):
            rng = random.Random(n)
            with s.client() as c:
                while not over.is_set():
                    made = c.request("POST", f"{t.path}/projects", t.token, {"name": f"{n}"})
                    if made.status != 201:      # its worker was killed
                        with lock:
                            counts["failed"] += 1
                        continue
                    for _ in range(rng.randrange(1, 8)):
                        got = c.request("GET", f"{t.path}/projects?limit=100", t.token)
                        if got.status != 200:
                            continue
                        with lock:
                            counts["read"] += 1
                            page = got.json["data"]
                            if made.json["id"] not in (p["id"] for p in page) and (
                                    not page or page[-1]["created_at"] <=
                                    made.json["created_at"]):
                                stale.append((made.json["id"], got.headers["X-Request-Id"]))

        def hits():
            return len(s.pool.find_lines(cache="hit", tenant=t.slug))

        def hit_again(before):
            wait_until(lambda: hits() > before or stale, "a page is a hit again", 60.0)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(self.clients)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(self.kills):
                hit_again(hits())
                victims = wait_until(lambda: sorted(s.pool.answering()), "a worker", 30.0)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random.choice(victims), signal.SIGKILL)
            hit_again(hits())
        finally:
            over.set()
            for thread in threads:
                thread.join()
        print(f"{counts['read']} reads, {hits()} hits, {self.kills} kills,"
              f" {counts['failed']} failed")
        self.assertEqual(stale, [])
        self.assertGreater(counts["read"], self.kills)


class OfSeveralHosts(Cached):
    """What Redis does not know is in doubt; tests/lib/data races two hosts."""

    settings = {"workers": 2, "cache_quarantine": "100ms"}

    def waits(self, ms):
        return self.stack.postgres.query(
            "select 1 from pg_stat_activity where wait_event_type = 'Lock' and"
            f" usename = 'rowhouse_app' and query_start < now() - interval '{ms} ms'")

    def test_a_slow_write_is_told_to_redis_before_its_reply(self):
        t = self.stack.signup()
        project = self.made(f"{t.path}/projects", t.token, name="Old")["id"]
        self.warmed(f"{t.path}/projects", t.token)
        said = []
        writer = threading.Thread(target=lambda: said.append(self.stack.api(
            "PATCH", f"{t.path}/projects/{project}", t.token, {"name": "New"})))
        with self.stack.postgres.transaction() as held:
            held(f"select 1 from projects where id = '{project}' for update")
            writer.start()
            wait_until(lambda: self.waits(100), "the write waits")
        writer.join()
        self.assertEqual(said[0].status, 200, said[0])
        self.assertEqual(self.line_of(said[0])["rt"], {"pg": 1, "redis": 2})
        got, _ = self.read(f"{t.path}/projects", t.token)
        self.assertEqual([p["name"] for p in got.json["data"]], ["New"])
        self.warmed(f"{t.path}/projects", t.token)


class Unread(Cached):
    """The limiter asks Redis nothing here: what a write asks is the cache's."""

    settings = {"workers": 2, "limiter": "shm"}

    def write(self, tasks, token, title):
        got = self.expect(201, "POST", tasks, token, {"title": title})
        return self.line_of(got)["rt"]

    def test_a_write_of_what_nobody_reads_asks_redis_once(self):
        t = self.stack.signup()
        project = self.made(f"{t.path}/projects", t.token, name="P")["id"]
        tasks = f"{t.path}/projects/{project}/tasks"
        self.assertEqual(self.write(tasks, t.token, "0"), {"pg": 1, "redis": 1})
        for i in range(1, 5):
            self.assertEqual(self.write(tasks, t.token, str(i)), {"pg": 1, "redis": 0})
        self.warmed(tasks, t.token)
        self.assertEqual(self.write(tasks, t.token, "5"), {"pg": 1, "redis": 1})
        got, _ = self.read(tasks, t.token)
        self.assertEqual([task["title"] for task in got.json["data"]],
                         ["5", "4", "3", "2", "1", "0"])


class Off(Cached):

    settings = {"workers": 2, "cache_ttl": "0ms"}

    def test_nothing_is_kept(self):
        t = self.stack.signup()
        for _ in range(3):
            got, cache = self.read(f"{t.path}/projects", t.token)
            self.assertEqual((cache, self.line_of(got)["rt"]["pg"]), ("off", 1))
        self.assertNotIn(":e:", self.stack.redis.cli("KEYS", "*"))


if __name__ == "__main__":
    main()
