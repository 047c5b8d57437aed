#!/usr/bin/python3
"""The queue: what a request leaves is done behind it, once as far as it is in
PostgreSQL, under the request's ids; again after a failure, not after the last;
in turns between tenants; whatever dies."""

import contextlib
import os
import signal
import sys
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from harness import Jobs, Pool, Story, eventually, main, program, wait_until  # noqa: E402
from harness.proc import children, stands  # noqa: E402


class DebugPool(Pool):
    """With the routes and the kinds of fcgi/debug."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.program = program("rowhouse-fcgi-debug")


class JobsStory(Story):

    # one relays, and of the others one may be frozen
    settings = {"jobs_workers": 3, "workers": 2}
    exporter = True
    pool = DebugPool
    web_options = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.jobs = Jobs(cls.stack.pool)
        cls.stack.jobs.program = program("rowhouse-jobs-debug")
        cls.stack.jobs.start()

    def setUp(self):
        self.t = self.stack.signup()

    def leave(self, what, status=204, tenant=None, **more):
        """Leaves jobs; answers the request's id."""
        t = tenant or self.t
        query = "&".join(f"{k}={v}" for k, v in {"what": what, **more}.items())
        got = self.expect(status, "POST", f"{t.path}/debug/jobs?{query}", t.token)
        return got.headers["X-Request-Id"]

    def query(self, sql):
        return self.stack.postgres.query(sql)

    def over(self, request, n=1):
        """What became of its jobs, once all are over."""
        def rows():
            got = self.query("select state, attempt, coalesce(error, ''), result"
                             f" from jobs_past where request_id = '{request}'")
            return got if len(got) == n else None
        return wait_until(rows, f"{n} jobs of {request} are over", 30.0)

    def projects(self, tenant=None):
        t = tenant or self.t
        return int(self.query("select count(*) from projects where tenant_id ="
                              f" '{t.id}'")[0][0])

    def value(self, series):
        return self.stack.exporter.value(f"rowhouse_{series}")


class Queue(JobsStory):

    def control(self, kind, column, value):
        self.query(f"insert into job_controls (tenant_id, kind, {column}) values"
                   f" ('{self.t.id}', '{kind}', {value})")

    def test_what_is_paused_waits_and_goes_on(self):
        other = self.stack.signup()
        self.control("", "paused", True)
        request = self.leave("nothing", n=10)
        # left later, and by somebody else
        self.over(self.leave("nothing", n=10, tenant=other), 10)
        self.assertEqual(self.query("select count(*) from jobs where state = 'ready'"
                                    f" and request_id = '{request}'"), [["10"]])
        self.query("delete from job_controls")
        self.over(request, 10)

    def test_so_many_at_a_time_as_the_bound_says(self):
        """What jobs_past has of two that ran at once overlaps."""
        self.control("debug.project", "concurrency", 1)
        requests = [self.leave("project", n=10) for _ in range(2)]
        for request in requests:
            self.over(request, 10)
        self.assertEqual(self.query(
            "select count(*) from jobs_past a join jobs_past b using (tenant_id)"
            f" where tenant_id = '{self.t.id}' and a.id <> b.id and a.started_at"
            " < b.started_at and b.started_at < a.finished_at"), [["0"]])
        self.query("delete from job_controls")

    def test_of_a_tenant_that_is_away_nothing_is_done_here(self):
        request = self.leave("nothing", delay_ms=600000)
        self.query(f"select move_fence('{self.t.id}', true);"
                   f"update jobs set run_at = now() where request_id = '{request}'")
        other = self.stack.signup()
        self.over(self.leave("nothing", tenant=other))
        self.assertEqual(self.query(
            f"select attempt from jobs where request_id = '{request}'"), [["0"]])
        self.query(f"select move_fence('{self.t.id}', false)")
        self.over(request)


    def test_it_is_done_behind_the_request_under_its_ids(self):
        request = self.leave("project")
        self.assertEqual(self.over(request), [["done", "1", "", '{"made": 1}']])
        self.assertEqual(self.projects(), 1)
        of_request = self.stack.pool.wait_line(request_id=request)
        line = self.stack.jobs.wait_line(msg="job", request_id=request)
        self.assertEqual(line["trace_id"], of_request["trace_id"])
        self.assertNotEqual(line["span_id"], of_request["span_id"])
        for name, value in {"kind": "debug.project", "outcome": "done",
                            "attempt": 1, "tenant_id": self.t.id,
                            "sampled": True}.items():
            self.assertEqual(line[name], value, line)
        [[actor, events_trace]] = self.query(
            "select actor_id, encode(trace_id, 'hex') from (select tenant_id, type,"
            " actor_id, trace_id from outbox_events union all select tenant_id, type,"
            " actor_id, trace_id from events) e where"
            f" tenant_id = '{self.t.id}' and type = 'project.created'")
        self.assertEqual((actor, events_trace),
                         (self.t.user["id"], line["trace_id"]))

    def test_its_counts_are_in_the_metrics(self):
        def counts():
            return [self.value('jobs_total{kind="debug.nothing",outcome="done"}'),
                    self.value('job_duration_seconds_count{kind="debug.nothing"}')]
        before = counts()
        self.over(self.leave("nothing", n=10), 10)
        eventually(lambda: self.assertEqual(
            counts(), [n + 10 for n in before]))

    def test_a_request_that_fails_leaves_none(self):
        request = self.leave("no_such", 400)
        self.assertEqual(self.query("select count(*) from jobs where request_id ="
                                    f" '{request}'"), [["0"]])

    def test_what_fails_is_tried_again_and_dead_after_the_last(self):
        request = self.leave("fails")
        self.assertEqual(self.over(request), [["dead", "2", "debug.failed", ""]])
        self.assertEqual(self.projects(), 0)
        eventually(lambda: self.assertEqual(
            sorted(line["outcome"] for line in self.stack.jobs.find_lines(
                msg="job", request_id=request)), ["dead", "retried"]))
        dead = self.stack.jobs.wait_line(request_id=request, outcome="dead")
        self.assertEqual((dead["error"], dead["level"]), ("debug.failed", "error"))

    def test_what_says_that_it_is_final_is_dead_at_once(self):
        self.assertEqual(self.over(self.leave("final")),
                         [["dead", "1", "debug.failed", ""]])
        self.assertEqual(self.projects(), 0)

    def test_what_takes_too_long_in_the_database_is_stopped(self):
        self.assertEqual(self.over(self.leave("late")),
                         [["dead", "1", "request.timeout", ""]])

    def test_a_worker_that_dies_of_it_is_told_and_the_job_tried_again(self):
        request = self.leave("dies_once")
        self.assertEqual(self.over(request),
                         [["done", "2", "", '{"made": 1}']])
        self.assertEqual(self.projects(), 1)
        line = self.stack.jobs.wait_line(msg="job", request_id=request,
                                         signal="SIGSEGV")
        self.assertEqual((line["kind"], line["outcome"]),
                         ("debug.dies_once", "lost"))
        self.assertIn("crash_segv", line["backtrace"])
        self.stack.jobs.wait_line(msg="job", request_id=request, attempt=2,
                                  outcome="done", trace_id=line["trace_id"])

    def test_a_unique_key_has_one_at_a_time(self):
        first = self.leave("nothing", key="k", delay_ms=600000)
        self.leave("nothing", 409, key="k")
        self.query("update jobs set run_at = now() where request_id ="
                   f" '{first}'")
        self.over(first)
        self.over(self.leave("nothing", key="k"))

    def test_what_is_for_later_waits_until_then(self):
        request = self.leave("nothing", delay_ms=1500)
        self.over(request)
        of_request = self.stack.pool.wait_line(request_id=request)
        line = self.stack.jobs.wait_line(msg="job", request_id=request)
        # both are of one clock
        self.assertGreater(line["time"], of_request["time"])
        self.assertEqual(self.query(
            "select started_at >= created_at + interval '1 s' from jobs_past"
            f" where request_id = '{request}'"), [["t"]])

    def test_what_nobody_called_for_is_found_by_polling(self):
        for _ in range(3):
            request = self.leave("nothing", delay_ms=600000)
            self.query("update jobs set state = 'ready', run_at = now()"
                       f" where request_id = '{request}'")
            self.over(request)

    def test_another_program_s_kind_waits_for_it(self):
        request = self.leave("nothing", delay_ms=600000)
        self.query("update jobs set kind = 'unknown', run_at = now() where"
                   f" request_id = '{request}'")
        line = self.stack.jobs.wait_line(msg="job", request_id=request)
        self.assertEqual((line["kind"], line["outcome"]), ("unknown", "retried"))
        self.query("update jobs set kind = 'debug.nothing', run_at = now(),"
                   f" state = 'scheduled' where request_id = '{request}'")
        self.over(request)

    def test_tenants_take_turns(self):
        """A's thousands wait before B's ten come, and these are not behind them:
        nobody works until all wait, so it is the order alone that counts."""
        a, b = self.t, self.stack.signup()
        self.stack.jobs.stop()
        seed = self.leave("slow", delay_ms=600000, tenant=a)
        self.query(
            "insert into jobs (tenant_id, id, kind, state, priority, args, run_at,"
            " max_attempts, trace_id, parent_span_id, trace_flags, request_id)"
            " select tenant_id, gen_random_uuid(), 'debug.nothing', 'ready', 0, args,"
            " now(), 8, trace_id, parent_span_id, 0, 'of-a' from jobs,"
            f" generate_series(1, 20000) where request_id = '{seed}'")
        request = self.leave("nothing", n=10, tenant=b)
        self.stack.jobs.start()
        self.over(request, 10)
        [[passed]] = self.query(
            "select count(*) from jobs_past where request_id = 'of-a' and"
            " finished_at <= (select max(finished_at) from jobs_past where"
            f" request_id = '{request}')")
        self.assertLess(int(passed), 20000)
        self.query(f"delete from jobs where request_id = '{seed}'")
        self.over("of-a", 20000)


class WhateverDies(JobsStory):

    def test_killed_workers_lose_nothing_and_do_nothing_twice(self):
        requests = [self.leave("project", n=10) for _ in range(6)]
        for _ in range(6):
            pids = self.stack.jobs.answering()
            if pids:
                os.kill(min(pids), signal.SIGKILL)
            time.sleep(0.05)
        for request in requests:
            rows = self.over(request, 10)
            self.assertEqual({r[0] for r in rows}, {"done"}, rows)
        self.assertEqual(self.projects(), 60)

    def test_a_killed_pool_lets_go_of_what_it_had(self):
        request = self.leave("slow")
        wait_until(lambda: self.query("select 1 from jobs where state = 'running'"
                                      f" and request_id = '{request}'"), "it runs")
        self.stack.jobs.daemon.kill()
        self.stack.jobs.start()
        self.assertEqual(self.over(request)[0][:2], ["done", "2"])

    def test_a_lease_that_is_over_is_another_s(self):
        """Of a host that is gone: nobody has its slots again."""
        request = self.leave("project", delay_ms=600000)
        self.query("update jobs set state = 'running', attempt = 1, holder ="
                   " gen_random_uuid(), lease_until = now() - interval '1 s' where"
                   f" request_id = '{request}'")
        self.assertEqual(self.over(request)[0][:2], ["done", "2"])
        self.assertEqual(self.projects(), 1)

    def test_a_worker_that_was_frozen_past_its_lease_does_nothing_late(self):
        request = self.leave("freezes_once")
        pid = wait_until(self.frozen, "a worker is frozen")
        self.query("update jobs set lease_until = now() - interval '1 s' where"
                   f" request_id = '{request}' and state = 'running'")
        self.assertEqual(self.over(request), [["done", "2", "", '{"made": 1}']])
        with contextlib.suppress(ProcessLookupError):   # the master may be tired of it
            os.kill(pid, signal.SIGCONT)
        self.stack.jobs.wait_line(msg="job", request_id=request, attempt=1,
                                  outcome="lost")
        self.assertEqual(self.projects(), 1)

    def frozen(self):
        """Not one that something else holds up for a moment."""
        def still():
            return {pid for pid in children(self.stack.jobs.pid) if stands(pid)}
        first = still()
        time.sleep(0.8)
        return next(iter(first & still()), None)

    def test_postgresql_restarts_under_it(self):
        requests = [self.leave("project", n=10) for _ in range(3)]
        self.stack.postgres.stop()
        self.stack.postgres.start()
        for request in requests:
            self.assertEqual({r[0] for r in self.over(request, 10)}, {"done"})
        self.assertEqual(self.projects(), 30)


class Called(JobsStory):
    """One worker runs jobs, and looks by himself once an hour: what is begun, he
    was called for. Several in a row: a look may still follow the one before."""

    settings = {**JobsStory.settings, "jobs_workers": 2, "jobs_poll": "1h"}

    def test_what_a_request_leaves_is_begun_since_it_calls(self):
        for _ in range(8):
            self.over(self.leave("nothing"))

    def test_what_a_job_leaves_is_begun_since_it_calls(self):
        for _ in range(8):
            self.over(self.leave("leaves"), 2)

    def test_a_call_to_who_was_frozen_is_heard_afterwards(self):
        for _ in range(3):
            self.over(self.leave("nothing"))
            pids = children(self.stack.jobs.pid)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: all(stands(pid) for pid in pids), "they stand")
            request = self.leave("nothing")
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            self.over(request)

    def test_a_call_to_nobody_is_heard_by_who_comes(self):
        self.stack.jobs.stop()
        request = self.leave("nothing")
        self.stack.jobs.start()
        self.over(request)


if __name__ == "__main__":
    main()
