#!/usr/bin/python3
"""The queue as clients and operators see it: /jobs, secrets, crons,
rowhouse-ctl job."""

import json
import os
import re
import subprocess
import sys
import uuid

sys.dont_write_bytecode = True

from harness import main, patience, program, wait_until  # noqa: E402
from test_events import TOLD  # noqa: E402
from test_jobs import JobsStory  # noqa: E402

NOWHERE = "01890a5d-ac96-774b-bcce-b302099a8057"
V7 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class JobsOfATenant(JobsStory):

    def setUp(self):
        super().setUp()
        self.flag = f"{self.stack.temp}/{uuid.uuid4()}"     # while it is there a job waits

    def job(self, what="steps", text=""):
        return self.expect(200, "POST", f"{self.t.path}/debug/job?what={what}&text={text}",
                           self.t.token).json["id"]

    def waiting(self):
        """One that runs until self.flag is gone."""
        open(self.flag, "x", encoding="ascii").close()
        self.addCleanup(lambda: os.path.exists(self.flag) and os.unlink(self.flag))
        job = self.job(text=self.flag)
        wait_until(lambda: self.read(job)["progress"] == 40, "it is at its second step", 30.0)
        return job

    def read(self, job):
        return self.expect(200, "GET", f"{self.t.path}/jobs/{job}", self.t.token).json

    def listed(self, query=""):
        return self.expect(200, "GET", f"{self.t.path}/jobs{query}", self.t.token).json

    def one(self, what, **more):
        """Leaves one; answers its id."""
        request = self.leave(what, **more)
        [[job]] = self.query(
            "select id from (select id, request_id from jobs union all select id,"
            f" request_id from jobs_past) j where request_id = '{request}'")
        return job

    def is_over(self, job, state):
        def there():
            got = self.read(job)
            return got if got["state"] == state else None
        return wait_until(there, f"{job} is {state}", 30.0)

    def tell(self, status, job, what, **more):
        return self.expect(status, "POST", f"{self.t.path}/jobs/{job}/{what}",
                           self.t.token, **more)

    def events(self, job):
        return [r[0] for r in self.query(
            f"select type from {TOLD} where subject_id = '{job}' order by created_at, id")]


class Api(JobsOfATenant):

    def test_they_are_an_admins(self):
        job = self.one("nothing", delay_ms=600000)
        calls = [("GET", "/jobs"), ("GET", f"/jobs/{job}"),
                 ("POST", f"/jobs/{job}/retry"), ("POST", f"/jobs/{job}/cancel")]
        for role, status in (("viewer", 403), ("member", 403), ("admin", 200)):
            key = self.stack.key(self.t, role)
            for method, path in calls[:3] if role == "admin" else calls:
                self.expect(status, method, self.t.path + path, key)

    def test_of_another_tenant_there_are_none(self):
        job, other = self.one("nothing", delay_ms=600000), self.stack.signup()
        for method, path in (("GET", ""), ("POST", "/retry"), ("POST", "/cancel")):
            for t in (other, self.t):       # its path with our token, ours with its job
                got = self.stack.api(method, f"{t.path}/jobs/{job}{path}", other.token)
                self.assertProblem(got, 404)
        got = self.stack.api("GET", f"{other.path}/jobs", other.token)
        self.assertEqual(got.json["data"], [])
        self.assertProblem(self.stack.api("GET", f"{self.t.path}/jobs/{NOWHERE}", self.t.token), 404)
        for what in ("retry", "cancel"):
            self.assertProblem(self.tell(404, NOWHERE, what), 404)
        self.assertEqual(self.read(job)["state"], "scheduled")

    def test_one_is_followed_from_its_request_to_its_result(self):
        job = self.waiting()
        got = self.read(job)
        self.assertEqual((got["state"], got["attempt"], got["kind"], got["sealed"],
                          got["args"], got["result"], got["finished_at"]),
                         ("running", 1, "debug.steps", False, {"text": self.flag}, None, None))
        line = self.stack.pool.wait_line(msg="request", request_id=got["request_id"])
        self.assertEqual((got["trace_id"], got["actor_id"]),
                         (line["trace_id"], self.t.user["id"]))
        os.unlink(self.flag)
        got = self.is_over(job, "done")
        self.assertEqual((got["progress"], got["result"], got["error"], got["run_at"]),
                         (100, {"steps": 2}, None, None))
        self.assertLess(got["created_at"], got["started_at"])
        self.assertLess(got["started_at"], got["finished_at"])

    def test_all_are_one_list(self):
        over = [self.leave("nothing", n=6), self.leave("final", n=2)]
        self.over(over[0], 6)
        self.over(over[1], 2)
        self.leave("nothing", n=3, delay_ms=600000)
        everything, path = [], f"{self.t.path}/jobs?limit=4"
        while path:
            got = self.expect(200, "GET", path, self.t.token).json
            everything += got["data"]
            path = got["next_cursor"] and \
                f"{self.t.path}/jobs?limit=4&cursor={got['next_cursor']}"
        ids = [j["id"] for j in everything]
        self.assertEqual(len(set(ids)), 11)
        self.assertEqual(ids, sorted(ids, reverse=True))
        self.assertEqual([j["state"] for j in everything[:3]], ["scheduled"] * 3)
        self.assertNotIn("args", everything[0])
        for query, n in (("state=done", 6), ("state=dead", 2), ("state=scheduled", 3),
                         ("state=cancelled", 0), ("state=running", 0), ("kind=debug.final", 2),
                         ("kind=debug.nothing", 9), ("kind=debug.nothing&state=done", 6),
                         ("kind=debug.nothing&state=scheduled", 3), ("kind=none", 0),
                         ("kind=debug.nothing&state=dead", 0), ("kind=debug.final&state=dead", 2),
                         ("state=done&limit=4", 4)):
            self.assertEqual(len(self.listed("?" + query)["data"]), n, query)
        cursor = self.listed("?state=done&limit=4")["next_cursor"]
        self.assertEqual(len(self.listed(f"?state=done&cursor={cursor}")["data"]), 2)
        for query in (f"state=dead&cursor={cursor}", f"cursor={cursor}", "state=over",
                      "kind=", "limit=0", "limit=101"):
            self.expect(400, "GET", f"{self.t.path}/jobs?{query}", self.t.token)

    def test_retried_it_is_tried_again_and_attempts_are_counted_on(self):
        job = self.one("late")
        got = self.is_over(job, "dead")
        self.assertEqual((got["attempt"], got["max_attempts"], got["error"]),
                         (1, 1, "request.timeout"))
        again = self.tell(200, job, "retry", headers={"Idempotency-Key": job}).json
        self.assertEqual((again["id"], again["state"], again["attempt"], again["max_attempts"],
                          again["trace_id"], again["created_at"]),
                         (job, "ready", 1, 2, got["trace_id"], got["created_at"]))
        # the same request once more is no second retry
        self.assertEqual(self.tell(200, job, "retry", headers={"Idempotency-Key": job}).json, again)
        wait_until(lambda: (lambda j: (j["state"], j["attempt"]) == ("dead", 2))(
            self.read(job)), "it is dead again", 30.0)
        self.assertEqual(self.events(job), ["job.retried"])
        lines = [self.stack.jobs.wait_line(msg="job", job_id=job, attempt=n) for n in (1, 2)]
        self.assertEqual({line["trace_id"] for line in lines}, {got["trace_id"]})
        self.assertNotEqual(lines[0]["span_id"], lines[1]["span_id"])

    def test_what_waits_for_later_is_due_once_it_is_retried(self):
        job = self.one("nothing", delay_ms=600000)
        self.assertIn(self.tell(200, job, "retry").json["state"], ("scheduled", "ready"))
        self.is_over(job, "done")
        self.assertProblem(self.tell(409, job, "retry"), 409)
        self.assertProblem(self.tell(409, job, "cancel"), 409)
        self.assertEqual(self.events(job), ["job.retried"])

    def test_one_whose_key_is_taken_is_not_put_back(self):
        job = self.one("nothing", delay_ms=600000, key="k")
        self.tell(200, job, "cancel")
        other = self.one("nothing", delay_ms=600000, key="k")
        self.assertIn("key", self.assert_conflict(self.tell(409, job, "retry")))
        self.tell(200, other, "cancel")
        self.tell(200, job, "retry")
        self.is_over(job, "done")

    def assert_conflict(self, reply):
        self.assertProblem(reply, 409)
        return reply.json["detail"]

    def test_what_waits_is_cancelled_at_once(self):
        job = self.one("nothing", delay_ms=600000)
        got = self.tell(200, job, "cancel").json
        self.assertEqual((got["state"], got["cancelling"], got["attempt"]),
                         ("cancelled", False, 0))
        self.assertIsNotNone(got["finished_at"])
        self.assertEqual(self.read(job), got)
        self.assert_conflict(self.tell(409, job, "cancel"))
        self.assertEqual(self.events(job), ["job.cancelled"])
        self.tell(200, job, "retry")
        self.assertEqual(self.is_over(job, "done")["attempt"], 1)

    def test_what_runs_is_asked_to_stop(self):
        job = self.waiting()
        self.assert_conflict(self.tell(409, job, "retry"))
        got = self.tell(200, job, "cancel").json
        self.assertEqual((got["state"], got["cancelling"]), ("running", True))
        got = self.is_over(job, "cancelled")
        self.assertEqual((got["attempt"], got["progress"], got["cancelling"]), (1, 40, False))
        self.stack.jobs.wait_line(msg="job", job_id=job, outcome="cancelled")


class Secrets(JobsOfATenant):

    SECRET = "hunter2-and-some-more"

    def test_the_database_has_them_sealed_alone(self):
        job = self.job("secret", self.SECRET)
        got = self.is_over(job, "done")
        self.assertEqual((got["args"], got["sealed"], got["result"]),
                         (None, True, {"bytes": len(self.SECRET)}))
        [[args]] = self.query(f"select args from jobs_past where id = '{job}'")
        self.assertRegex(args, r'^\{"rowhouse\.sealed": "[A-Za-z0-9_-]+"\}$')
        self.assertNotIn(self.SECRET, args)

    def test_what_was_sealed_otherwise_fails_once_and_says_why(self):
        """As after a change of secret_key: here it is another row's."""
        self.expect(204, "POST", f"{self.t.path}/debug/cron?name=s&what=secret&text=x"
                    "&schedule=0+0+1+1+*", self.t.token)
        self.query("update job_crons set id = gen_random_uuid(), next_at = now() where"
                   f" tenant_id = '{self.t.id}'")
        def jobs():
            return self.query("select state, attempt, error from jobs_past where tenant_id ="
                              f" '{self.t.id}' and kind = 'debug.secret'")
        self.assertEqual(wait_until(jobs, "it is over", 30.0), [["dead", "1", "job.sealed"]])


class Crons(JobsOfATenant):

    def cron(self, status, **query):
        query = "&".join(f"{k}={v}" for k, v in query.items())
        return self.expect(status, "POST", f"{self.t.path}/debug/cron?{query}", self.t.token)

    def rows(self):
        return self.query("select name, schedule, next_at > now(), last_at, extract(hour from"
                          " next_at at time zone 'utc')::int from job_crons where tenant_id ="
                          f" '{self.t.id}' order by name")

    def made(self, kind="debug.secret"):
        return self.query("select id, request_id, encode(trace_id, 'hex') from (select id, kind,"
                          " tenant_id, request_id, trace_id from jobs union all select id, kind,"
                          " tenant_id, request_id, trace_id from jobs_past) j where tenant_id ="
                          f" '{self.t.id}' and kind = '{kind}'")

    def test_it_is_set_changed_and_dropped(self):
        self.cron(204, name="a", schedule="0+3+*+*+*")
        self.assertEqual(self.rows(), [["a", "0 3 * * *", "t", "", "3"]])
        self.cron(204, name="a", schedule="0+4+*+*+*")
        self.assertEqual(self.rows(), [["a", "0 4 * * *", "t", "", "4"]])
        for schedule in ("0+24+*+*+*", "@reboot", "0+0+30+2+*"):
            got = self.cron(422, name="b", schedule=schedule)
            self.assertProblem(got, 422)
        self.cron(204, name="a")
        self.cron(404, name="a")
        self.assertEqual(self.rows(), [])

    def test_what_is_due_becomes_one_job_under_ids_of_its_own(self):
        self.cron(204, name="a", schedule="0+3+*+*+*", text="abc")
        self.query("update job_crons set next_at = next_at - interval '3 days' where"
                   f" tenant_id = '{self.t.id}'")
        wait_until(lambda: self.rows()[0][2] == "t", "it has moved on", 30.0)
        # of the three occurrences that were missed there is one
        [[job, request, trace]] = self.made()
        self.assertEqual(self.is_over(job, "done")["result"], {"bytes": 3})
        self.assertRegex(request, V7)
        self.assertEqual(self.rows()[0][4], "3")
        self.assertNotEqual(self.rows()[0][3], "")
        line = self.stack.jobs.wait_line(msg="cron", request_id=request)
        self.assertEqual((line["trace_id"], line["job_id"], line["cron"], line["tenant_id"]),
                         (trace, job, "a", self.t.id))
        run = self.stack.jobs.wait_line(msg="job", request_id=request)
        self.assertEqual(run["trace_id"], trace)

    def test_an_occurrence_is_one_however_many_look(self):
        self.query("insert into job_crons (tenant_id, name, id, kind, schedule, args, next_at)"
                   f" select '{self.t.id}', 'c' || i, gen_random_uuid(), 'debug.nothing',"
                   " '@yearly', '{}', now() - interval '1 s' from generate_series(1, 150) i")
        wait_until(lambda: {r[2] for r in self.rows()} == {"t"}, "all have moved on", 30.0)
        self.assertEqual(len(self.made("debug.nothing")), 150)

    def test_a_tenant_that_is_away_is_passed_over(self):
        due = f"select count(*) from job_cron_due(1000) where tenant_id = '{self.t.id}'"
        fired = (f"select job_cron_fire('{self.t.id}', 'a', next_at, now(), gen_random_uuid(),"
                 " '{}', 0, 8, substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 0, 'r')"
                 f" from job_crons where tenant_id = '{self.t.id}'")
        with self.stack.postgres.session() as psql:
            psql.run("begin")       # nobody else sees it
            psql.run("insert into job_crons (tenant_id, name, id, kind, schedule, args, next_at)"
                     f" values ('{self.t.id}', 'a', gen_random_uuid(), 'debug.nothing',"
                     " '@yearly', '{}', now())")
            for away, of in ((True, ["0", "f"]), (False, ["1", "t"])):
                psql.run(f"insert into tenant_limits (tenant_id, away) values ('{self.t.id}',"
                         f" {away}) on conflict (tenant_id) do update set away = {away}")
                self.assertEqual([psql.run(due), psql.run(fired)], [[[x]] for x in of])
            psql.run("rollback")
        self.assertEqual(self.rows(), [])


class Ctl(JobsOfATenant):

    def ctl(self, *operands, status=0, stderr=""):
        pool = self.stack.pool
        done = subprocess.run([program("rowhouse-ctl"), "-c", pool.conf, "job", *operands],
                              env=pool.env, capture_output=True, text=True, check=False,
                              timeout=patience(60))
        self.assertEqual(done.returncode, status, done)
        self.assertRegex(done.stderr, stderr if stderr else "^$", done)
        return done.stdout

    def of(self, *operands, **more):
        return json.loads(self.ctl(*operands, "--tenant", self.t.slug, "--json", **more))

    def test_jobs_are_listed_shown_cancelled_and_retried(self):
        job = self.one("nothing", delay_ms=600000)
        [got] = self.of("list")["jobs"]
        self.assertEqual((got["id"], got["tenant"], got["kind"], got["state"]),
                         (job, self.t.slug, "debug.nothing", "scheduled"))
        self.assertEqual(self.of("list", "--state", "dead")["jobs"], [])
        self.assertEqual(self.of("list", "--kind", "none")["jobs"], [])
        self.assertEqual(json.loads(self.ctl("show", job, "--json"))["args"], {"of": "debug"})
        self.assertIn("state         scheduled\n", self.ctl("show", job))
        self.assertRegex(self.ctl("list", "--tenant", self.t.slug), f"\n{job} {self.t.slug} ")
        self.assertEqual(self.of("cancel", job)["state"], "cancelled")
        self.ctl("cancel", job, status=1, stderr="it is over")
        # told as it is by then
        self.assertIn(self.of("retry", job)["state"], ("ready", "running", "done"))
        self.is_over(job, "done")
        self.ctl("retry", job, status=1, stderr="nothing to be tried again")
        for what in ("show", "retry", "cancel"):
            self.ctl(what, NOWHERE, status=1, stderr="there is no such job")
            self.ctl(what, "x", status=1, stderr="wants a job's id")
        self.ctl("list", "--tenant", "nobody", status=1, stderr='there is no tenant "nobody"')
        self.ctl("undo", status=1, stderr="job: wants list")
        self.ctl("list", "--all", status=1, stderr="job list has no option --all")

    def test_dead_letters_are_retried_by_kind(self):
        request = self.leave("final", n=3)
        self.over(request, 3)
        self.assertEqual(self.of("retry", "--all", "--kind", "debug.late"), {"retried": 0})
        self.assertEqual(self.of("retry", "--all", "--kind", "debug.final"), {"retried": 3})
        wait_until(lambda: self.query("select count(*) from jobs_past where attempt = 2 and"
                                      f" request_id = '{request}'") == [["3"]],
                   "each was tried again", 30.0)
        # of those that share a key one alone can wait
        for _ in range(2):
            self.one("nothing", delay_ms=600000, key="k")
            self.assertEqual(self.of("cancel", "--all"), {"cancelled": 1})
        self.assertEqual(self.of("retry", "--all", "--state", "cancelled"), {"retried": 1})

    def test_what_bounds_them_is_set_and_shown(self):
        def controls():
            return [[c["kind"], c["paused"], c["concurrency"], c["rate_per_s"]]
                    for c in self.of("limit")["controls"]]
        self.of("pause")
        self.of("limit", "--kind", "k", "--concurrency", "3", "--rate", "0.5")
        self.assertEqual(controls(), [[None, True, 0, None], ["k", False, 3, 0.5]])
        self.of("pause", "--kind", "k")
        self.of("limit", "--kind", "k", "--concurrency", "0")
        self.of("resume")
        self.assertEqual(controls(), [["k", True, 0, 0.5]])
        self.assertIn("yes", self.ctl("limit", "--tenant", self.t.slug))
        self.of("resume", "--kind", "k")
        self.assertEqual(json.loads(self.ctl("limit", "--kind", "k", "--rate", "0", "--tenant",
                                             self.t.slug, "--json")), {"controls": []})
        for rate in ("x", "-1", "nan", "inf", "1e99", ""):
            self.ctl("limit", "--rate", rate, status=1, stderr="--rate: wants a number")
        self.ctl("limit", "--concurrency", "-1", status=1, stderr="--concurrency: ")

    def test_of_each_tenant_is_a_row_of_nobodys(self):
        self.ctl("limit", "--kind", "ctl.each", "--concurrency", "2")
        self.assertEqual(self.query("select tenant_id, concurrency from job_controls where"
                                    " kind = 'ctl.each'"),
                         [["00000000-0000-0000-0000-000000000000", "2"]])
        self.ctl("limit", "--kind", "ctl.each", "--concurrency", "0")

    def test_to_drain_is_to_wait_until_none_is_left(self):
        job = self.waiting()
        self.one("nothing", delay_ms=600000)
        done = self.ctl("drain", "--tenant", self.t.slug, "--timeout", "300ms", "--json",
                        status=1, stderr="not drained: 1 wait or run still")
        self.assertEqual(json.loads(done), {"left": 1, "later": 1})
        self.assertEqual(self.of("drain", "--kind", "debug.late"), {"left": 0, "later": 0})
        os.unlink(self.flag)
        self.assertEqual(self.of("drain", "--timeout", "50s"), {"left": 0, "later": 1})
        self.assertEqual(self.read(job)["state"], "done")

    def test_crons_are_listed(self):
        self.expect(204, "POST", f"{self.t.path}/debug/cron?name=nightly&schedule=@yearly",
                    self.t.token)
        [got] = self.of("cron", "list")["crons"]
        self.assertEqual((got["name"], got["schedule"], got["kind"], got["last_at"],
                          got["paused"]), ("nightly", "@yearly", "debug.secret", None, False))
        self.assertIn("nightly", self.ctl("cron", "list"))


if __name__ == "__main__":
    main()
