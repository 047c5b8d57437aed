#!/usr/bin/python3
"""A team installs the library and writes routes of its own: what it did not
write is there all the same."""

import concurrent.futures
import glob
import os
import shutil
import subprocess
import sys
from unittest.mock import patch

sys.dont_write_bytecode = True

from harness import BUILD, SOURCE, Client, Exporter, Nginx, Pool, Redis, Story, TempDir, \
    eventually, main, patience  # noqa: E402
from harness.pool import environment  # noqa: E402

EXAMPLES = os.path.join(SOURCE, "contrib/examples")


def variable(name):
    """Of the build's Makefile."""
    with open(os.path.join(BUILD, "Makefile"), encoding="utf-8") as f:
        return next(line.split("=", 1)[1].strip() for line in f
                    if line.startswith(f"{name} = "))


def run(argv, **env):
    done = subprocess.run(
        argv, env={**environment("/tmp"), "MAKEFLAGS": "", **env},
        capture_output=True, text=True, check=False, timeout=patience(300))
    if done.returncode:
        raise AssertionError(f"{' '.join(argv)}: {done.returncode}\n"
                             f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


class Installed:
    """make install into a folder of the story's, the example built on that."""

    def __init__(self):
        self.temp = TempDir()
        self.root = f"{self.temp.path}/root"
        run(["make", "-s", "-C", BUILD, "install", f"DESTDIR={self.root}"])
        self.program = self.build("notes")
        self.folder = os.path.dirname(self.program)

    def build(self, name):
        folder = f"{self.temp.path}/{name}"
        if os.path.exists(folder):
            return f"{folder}/{name}"
        shutil.copytree(f"{EXAMPLES}/{name}", folder)
        os.chmod(folder, 0o755)         # the source may be read-only
        run(["make", "-s", "-C", folder, f"CC={variable('CC')}",
             f"CFLAGS={variable('RH_CFLAGS')}",
             f"LDFLAGS={variable('RH_LDFLAGS')}"],
            PKG_CONFIG_PATH=os.path.dirname(self.find("rowhouse.pc")),
            PKG_CONFIG_SYSROOT_DIR=self.root)
        return f"{folder}/{name}"

    def find(self, name):
        return glob.glob(f"{self.root}/**/{name}", recursive=True)[0]

    def migrate(self, conf, *operands):
        return run([self.find("*bin/rowhouse-migrate"), "-c", conf,
                    "-d", os.path.dirname(self.find("0001_*.up.sql")),
                    "-d", f"{self.folder}/sql", *operands])


class ExamplePool(Pool):

    def __init__(self, program, *args, **settings):
        super().__init__(*args, **settings)
        self.program = program

    def start(self):
        with patch("harness.pool.program", lambda name: self.program):
            return super().start()


class Example(Story):
    """self.stack is the API, where tenants sign up; self.notes the example
    beside it, on the same database, behind an nginx of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.installed = Installed()
        temp = TempDir()
        cls.pool = ExamplePool(cls.installed.program, temp.path,
                             cls.stack.postgres, limits=True, limit_token=40)
        cls.installed.migrate(cls.pool.conf, "up")
        cls.pool.start()
        cls.addClassCleanup(cls.pool.stop)
        cls.web = Nginx(temp.path, cls.pool.socket).start()
        cls.addClassCleanup(cls.web.stop)
        cls.exporter = Exporter(cls.pool).start()
        cls.addClassCleanup(cls.exporter.stop)

    def notes(self, method, path, token=None, body=None):
        with Client(self.web.port) as c:
            return c.request(method, path, token, body)

    def test_notes_are_written_and_listed(self):
        t = self.stack.signup()
        for i in range(3):
            got = self.notes("POST", f"{t.path}/notes", t.token, {"text": f"N{i}"})
            self.assertEqual(got.status, 201, got)
            self.assertEqual(got.headers["Location"],
                             f"{t.path}/notes/{got.json['id']}")
        page = self.notes("GET", f"{t.path}/notes?limit=2", t.token)
        self.assertEqual(page.status, 200, page)
        self.assertEqual([n["text"] for n in page.json["data"]], ["N2", "N1"])
        page = self.notes("GET", f"{t.path}/notes?limit=2&cursor="
                                 f"{page.json['next_cursor']}", t.token)
        self.assertEqual([n["text"] for n in page.json["data"]], ["N0"])
        self.assertIsNone(page.json["next_cursor"])
        events = self.stack.postgres.query(
            "select type from outbox_events where tenant_id ="
            f" '{t.id}' and type like 'note.%'")
        self.assertEqual(events, [["note.created"]] * 3)

    def test_what_is_wrong_is_a_problem(self):
        t = self.stack.signup()
        for body, status in (({"text": ""}, 422), ({}, 422), ({"more": 1}, 422),
                             (b"no type", 415)):
            self.assertProblem(self.notes("POST", f"{t.path}/notes", t.token,
                                          body), status)
        self.assertProblem(self.notes("PUT", f"{t.path}/notes", t.token), 405)
        self.assertProblem(self.notes("GET", f"{t.path}/projects", t.token), 404)

    def test_tenants_and_roles_are_kept_apart(self):
        a, b = self.stack.signup(), self.stack.signup()
        self.notes("POST", f"{a.path}/notes", a.token, {"text": "A's"})
        foreign = self.notes("GET", f"{a.path}/notes", b.token)
        absent = self.notes("GET", "/v1/t/no-such-tenant/notes", b.token)
        self.assertProblem(foreign, 404)
        for ids in ("request_id", "trace_id", "instance"):
            foreign.json.pop(ids), absent.json.pop(ids)
        self.assertEqual(foreign.json, absent.json)
        self.assertProblem(self.notes("POST", f"{a.path}/notes", b.token,
                                      {"text": "B's"}), 404)
        self.assertProblem(self.notes("GET", f"{a.path}/notes"), 401)
        viewer = self.stack.key(a, "viewer")
        self.assertEqual(len(self.notes("GET", f"{a.path}/notes",
                                        viewer).json["data"]), 1)
        self.assertProblem(self.notes("POST", f"{a.path}/notes", viewer,
                                      {"text": "no"}), 403)

    def test_limits_are_inherited(self):
        t = self.stack.signup()
        got = self.notes("GET", f"{t.path}/notes", t.token)
        self.assertIn('"token";q=40;w=60', got.headers["RateLimit-Policy"])
        self.assertIn('"token";r=39', got.headers["RateLimit"])
        replies = []
        # two in three seconds come back: it is less than is asked, however slowly
        while len(replies) < 1000 and (not replies or replies[-1].status == 200):
            replies.append(self.notes("GET", f"{t.path}/notes", t.token))
        self.assertEqual({r.status for r in replies}, {200, 429})
        self.assertGreaterEqual(len(replies), 40)
        self.assertProblem(replies[-1], 429)
        self.assertGreater(int(replies[-1].headers["Retry-After"]), 0)

    def test_signals_are_inherited(self):
        t = self.stack.signup()
        self.notes("GET", f"{t.path}/notes", t.token)
        got = self.notes("GET", f"{t.path}/notes", t.token)
        line = self.pool.wait_line(request_id=got.headers["X-Request-Id"],
                                   msg="request")
        self.assertEqual(line["route"], "/v1/t/{tenant}/notes")
        self.assertEqual((line["tenant"], line["tenant_id"]), (t.slug, t.id))
        self.assertEqual((line["status"], line["version"]), (200, "1.0"))
        self.assertEqual(line["rt"], {"pg": 1, "redis": 0})
        self.assertRegex(got.headers["traceresponse"], f"^00-{line['trace_id']}-")
        route = 'method="GET",route="/v1/t/{tenant}/notes"'

        def counted():
            self.assertGreaterEqual(self.exporter.value(
                f"rowhouse_http_requests_total{{{route},status=\"200\"}}"), 2)
            self.assertGreaterEqual(self.exporter.value(
                'rowhouse_db_query_duration_seconds_count'
                '{statement="notes.page",outcome="ok"}'), 2)
        eventually(counted)

    def test_a_resource_has_metrics_of_its_own(self):
        t = self.stack.signup()
        self.exporter.settle()
        before = {n: self.exporter.value(
            f'rowhouse_notes_written_total{{length="{n}"}}') for n in ("short", "long")}
        for text in ("brief", "x" * 141, "terse"):
            self.assertEqual(self.notes("POST", f"{t.path}/notes", t.token,
                                        {"text": text}).status, 201)
        self.assertProblem(self.notes("POST", f"{t.path}/notes", t.token, {}), 422)
        self.exporter.settle()
        for name, n in (("short", 2), ("long", 1)):
            self.assertEqual(self.exporter.value(
                f'rowhouse_notes_written_total{{length="{name}"}}'),
                before[name] + n, name)

    def test_forty_lines_greet_the_tenant(self):
        t, other = self.stack.signup(), self.stack.signup()
        temp = TempDir()
        pool = ExamplePool(self.installed.build("hello"), temp.path,
                           self.stack.postgres).start()
        self.addCleanup(pool.stop)
        web = Nginx(temp.path, pool.socket).start()
        self.addCleanup(web.stop)
        with Client(web.port) as c:
            got = c.request("GET", f"{t.path}/hello", t.token)
            self.assertEqual(got.status, 200, got)
            foreign = c.request("GET", f"{t.path}/hello", other.token)
        self.assertProblem(foreign, 404)
        self.assertRegex(got.json["greeting"], "^Hello, .")

    def report(self, **settings):
        """The example with the cache: ask(method, path, token, body), made(reason)."""
        temp = TempDir()
        pool = ExamplePool(self.installed.build("report"), temp.path,
                           self.stack.postgres, workers=6, redis_timeout="5s",
                           redis_retry="50ms", **settings).start()
        self.addCleanup(pool.stop)
        web = Nginx(temp.path, pool.socket).start()
        self.addCleanup(web.stop)
        exporter = Exporter(pool).start()
        self.addCleanup(exporter.stop)

        def ask(method, path, token, body=None):
            with Client(web.port) as c:
                return c.request(method, path, token, body)

        def value(series):
            exporter.settle()
            return exporter.value(f"rowhouse_{series}")

        def rt(reply):
            return pool.wait_line(request_id=reply.headers["X-Request-Id"],
                                  msg="request")["rt"]
        return ask, value, rt

    def at_once(self, ask, *request):
        """Six of it: the replies that were 200, and how many were not yet."""
        with concurrent.futures.ThreadPoolExecutor(6) as threads:
            replies = list(threads.map(lambda _: ask(*request), range(6)))
        self.assertLessEqual({r.status for r in replies}, {200, 409}, replies)
        done = [r for r in replies if r.status == 200]
        self.assertTrue(done)
        self.assertEqual({str(r.json) for r in done}, {str(done[0].json)})
        return done[0].json, len(replies) - len(done)

    def test_one_makes_what_all_are_shown_and_a_run_happens_once(self):
        redis = Redis().start()
        self.addCleanup(redis.close)
        ask, value, rt = self.report(redis_url=redis.url)
        t, other = self.stack.signup(), self.stack.signup()
        path, runs = f"{t.path}/report", f"{t.path}/report/runs"
        # whom the database does not let in has nobody ask Redis for him
        self.assertProblem(ask("GET", path, other.token), 404)
        self.assertProblem(ask("POST", runs, self.stack.key(t, "viewer"),
                               {"message": "a"}), 403)
        self.assertEqual(redis.cli("KEYS", f"*{t.id}*"), "")

        shown, held = self.at_once(ask, "GET", path, t.token)
        self.assertEqual(value('reports_made_total{reason="shown"}'), 1)
        got = ask("GET", path, t.token)
        self.assertEqual((got.status, got.json), (200, shown))
        self.assertEqual(rt(got), {"pg": 1, "redis": 1})
        self.assertEqual(value('lock_attempts_total{result="held"}'), held)
        self.assertGreaterEqual(value('lock_attempts_total{result="acquired"}'), 1)
        self.assertEqual(value('lock_attempts_total{result="off"}'), 0)
        cached = 'cache_requests_total{cache="application",result="%s"}'
        self.assertGreaterEqual(value(cached % "hit"), 1)
        self.assertGreaterEqual(value(cached % "miss"), 1)

        ran, _ = self.at_once(ask, "POST", runs, t.token, {"message": "a"})
        self.assertEqual(value('reports_made_total{reason="run"}'), 1)
        self.assertEqual(ask("POST", runs, t.token, {"message": "a"}).json, ran)
        self.assertNotEqual(ask("POST", runs, t.token, {"message": "b"}).json, ran)
        self.assertEqual(value('reports_made_total{reason="run"}'), 2)

        redis.stop()
        for _ in range(2):
            self.assertEqual(ask("GET", path, t.token).status, 200)
        self.assertProblem(ask("POST", runs, t.token, {"message": "a"}), 503)
        self.assertEqual(value('reports_made_total{reason="shown"}'), 3)
        self.assertEqual(value('reports_made_total{reason="run"}'), 2)
        self.assertEqual(value('lock_attempts_total{result="off"}'), 2)
        redis.start()

        def kept():
            self.assertEqual(rt(ask("GET", path, t.token)), {"pg": 1, "redis": 1})
        eventually(kept)

    def test_without_redis_each_makes_its_own_and_no_run_is_promised(self):
        ask, value, rt = self.report()
        t, other = self.stack.signup(), self.stack.signup()
        for made in (1, 2):
            got = ask("GET", f"{t.path}/report", t.token)
            self.assertEqual(got.status, 200, got)
            self.assertEqual(value('reports_made_total{reason="shown"}'), made)
        self.assertEqual(rt(got), {"pg": 1, "redis": 0})
        run = ("POST", f"{t.path}/report/runs")
        self.assertProblem(ask(*run, t.token, {"message": "a"}), 503)
        self.assertProblem(ask(*run, other.token, {"message": "a"}), 404)
        self.assertEqual(value('reports_made_total{reason="run"}'), 0)

    def test_a_placed_tenant_keeps_its_in_its_own_redis_or_in_none(self):
        shared, own = Redis().start(), Redis().start()
        self.addCleanup(shared.close)
        self.addCleanup(own.close)
        there = {"database_url": self.stack.postgres.app_url}
        ask, value, rt = self.report(redis_url=shared.url, **{
            "placement own": {**there, "redis_url": own.url},
            "placement bare": {**there, "redis_url": ""}})
        home, placed, bare = (self.stack.signup() for _ in range(3))
        for t, place in ((placed, "own"), (bare, "bare")):
            self.stack.postgres.query(
                f"update tenants set placement = '{place}' where id = '{t.id}'")

        def kept(redis, tenant):
            return redis.cli("KEYS", f"{{{tenant.id}}}:c:report") != ""
        for t in (home, placed, bare):
            shown = [ask("GET", f"{t.path}/report", t.token) for _ in range(3)]
            self.assertEqual([r.status for r in shown], [200] * 3)
            self.assertEqual(len({str(r.json) for r in shown}), 3 if t is bare else 1)
            self.assertEqual((kept(shared, t), kept(own, t)), (t is home, t is placed))
            self.assertEqual(rt(shown[-1]), {"pg": 1, "redis": 0 if t is bare else 1})
        self.assertEqual(value('lock_attempts_total{result="acquired"}'), 2)
        run = {"message": "a"}
        self.assertProblem(ask("POST", f"{bare.path}/report/runs", bare.token, run), 503)
        own.stop()
        self.assertEqual(ask("GET", f"{placed.path}/report", placed.token).status, 200)
        self.assertProblem(ask("POST", f"{placed.path}/report/runs", placed.token, run), 503)
        self.assertEqual(ask("POST", f"{home.path}/report/runs", home.token, run).status, 200)

    def test_its_reference_is_its_own(self):
        got = self.notes("GET", "/openapi.json")
        self.assertEqual(got.status, 200, got)
        self.assertEqual(got.json["info"]["title"], "Notes")
        self.assertEqual(set(got.json["paths"]), {
            "/livez", "/readyz", "/openapi.json", "/v1/t/{tenant}/notes"})

    def test_zz_its_migration_goes_back(self):
        """Last by its name: the table is gone afterwards."""
        self.installed.migrate(self.pool.conf, "down", "1")
        self.assertEqual(self.stack.postgres.query(
            "select to_regclass('notes'), to_regclass('projects')"),
            [["", "projects"]])
        self.installed.migrate(self.pool.conf, "up")


if __name__ == "__main__":
    main(needs=["redis-server"])
