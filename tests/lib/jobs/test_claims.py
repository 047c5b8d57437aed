#!/usr/bin/python3
"""The queue's functions over a real PostgreSQL, sessions of the application's as
workers: whose turn it is, what is bounded and never overshot, what is away."""

import os
import sys
import threading
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "e2e")]

# pylint: disable=wrong-import-position
from harness.postgres import Postgres, bin_dir  # noqa: E402

A, B, C = (f"0192f3e4-0000-7000-8000-00000000000{x}" for x in "abc")
NIL = "00000000-0000-0000-0000-000000000000"
HOLDER = "0192f3e4-0000-7000-8000-0000000001{:02d}"
# of the race
CLAIMERS, JOBS, BOUND = 4, 60, 3


def array(values, kind):
    return "'{" + ",".join(str(v) for v in values) + "}'::" + kind + "[]"


class Worker:
    """A session that claims, under a holder of its own."""

    def __init__(self, postgres, n=0):
        self.session, self.holder = postgres.session("rowhouse_app"), HOLDER.format(n)

    def claim(self, most=500, after=None, lanes=None):
        """[tenant, id, kind, attempt, priority, seq] of each; lanes: (tenant,
        priority, kind, above) of each."""
        where = "null, null, null, null"
        if lanes:
            where = ", ".join(array(x, t) for x, t in zip(
                zip(*lanes), ("uuid", "int", "text", "bigint")))
        return self.session.run(
            "select tenant_id, id, kind, attempt, priority, seq from"
            f" job_claim('{self.holder}', {most}, 60000,"
            f" {repr(after) if after else 'null'}, {where})")

    def over(self, rows):
        [[n]] = self.session.run(
            f"select job_over_all('{self.holder}', {array([r[0] for r in rows], 'uuid')},"
            f" {array([r[1] for r in rows], 'uuid')}, {array([r[3] for r in rows], 'int')})")
        return int(n)

    def asks(self, function, row, more=""):
        """What a function says of a job that it has; 'lost' where it raises."""
        [[said]] = self.session.run(
            "do $$ begin perform set_config('test.said', coalesce("
            f"{function}('{row[0]}', '{row[1]}', '{self.holder}', {row[3]}{more})::text,"
            " 'none'), false); exception when sqlstate 'RH409' then perform"
            " set_config('test.said', 'lost', false); end $$;"
            "select current_setting('test.said')")
        return said


class Claims(unittest.TestCase):

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres(migrated=True)
        cls.addClassCleanup(cls.postgres.close)
        cls.admin = cls.postgres.session()
        cls.addClassCleanup(cls.admin.close)
        # a worker is nobody's, and sees no rows
        cls.query("create function test_jobs() returns setof jobs language sql"
                  " security definer as 'select * from jobs'")
        cls.query("insert into tenants (id, slug, name) values " + ", ".join(
            f"('{t}', 't-{t[-1]}', 'T')" for t in (A, B, C)))

    def setUp(self):
        self.query("truncate jobs, jobs_past, job_controls, job_rates, job_kinds,"
                   " tenant_limits")
        self.w = self.worker()

    def worker(self, n=0):
        w = Worker(self.postgres, n)
        self.addCleanup(w.session.close)
        return w

    @classmethod
    def query(cls, sql):
        return cls.admin.run(sql)

    def leave(self, tenant, n=1, kind="k", priority=0):
        self.query(
            "insert into jobs (tenant_id, id, kind, state, priority, args, run_at,"
            " max_attempts, trace_id, parent_span_id, trace_flags, request_id)"
            f" select '{tenant}', gen_random_uuid(), '{kind}', 'ready', {priority},"
            " '{}', now(), 8, substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 0,"
            f" 'r' from generate_series(1, {n})")

    def control(self, tenant, kind, **values):
        self.query(f"insert into job_controls (tenant_id, kind, {', '.join(values)})"
                   f" values ('{tenant}', '{kind}', {', '.join(map(str, values.values()))})"
                   " on conflict (tenant_id, kind) do update set " +
                   ", ".join(f"{k} = excluded.{k}" for k in values))

    def away(self, tenant, away=True):
        self.query(f"select move_fence('{tenant}', {away})")

    def count(self, rows, by=0):
        got = {}
        for r in rows:
            got[r[by]] = got.get(r[by], 0) + 1
        return got

    # ---- whose turn it is ----

    def test_tenants_have_the_same_part_whatever_they_have_waiting(self):
        self.leave(A, 300)
        self.leave(B, 10)
        self.leave(C, 10)
        self.assertEqual(self.count(self.w.claim(15)), {A: 5, B: 5, C: 5})

    def test_the_one_after_who_was_served_is_next_and_round(self):
        for t in (A, B, C):
            self.leave(t, 5)
        turns = [self.w.claim(1, after)[0][0] for after in (None, A, B, C)]
        self.assertEqual(turns, [A, B, C, A])

    def test_a_tenant_s_higher_priority_goes_first(self):
        self.leave(A, 5, priority=0)
        self.leave(A, 2, priority=7)
        self.leave(A, 5, priority=-7)
        got = [[r[4] for r in self.w.claim(3)] for _ in range(4)]
        self.assertEqual(got, [["7"] * 2, ["0"] * 3, ["0"] * 2, ["-7"] * 3])

    def test_a_flood_of_one_kind_does_not_hold_up_the_tenant_s_others(self):
        self.leave(A, 300, "flood")
        self.leave(A, 2, "later")
        self.assertEqual(self.count(self.w.claim(10), 2), {"flood": 5, "later": 2})

    def test_of_one_kind_the_first_is_the_first(self):
        self.leave(A, 20)
        first = sorted(int(r[5]) for r in self.w.claim(5))
        left = self.query("select min(seq) from jobs where state = 'ready'")
        self.assertLess(first[-1], int(left[0][0]))

    def test_it_goes_on_behind_what_it_had(self):
        self.leave(A, 20)
        rows = self.w.claim(5)
        mark = max(int(r[5]) for r in rows)
        more = self.w.claim(5, lanes=[(A, 0, "k", mark)])
        self.assertEqual(min(int(r[5]) for r in more), mark + 1)
        self.assertEqual(self.w.over(rows + more), 10)
        # nothing is behind the last: but a look finds what was left out
        self.assertEqual(self.w.claim(5, lanes=[(A, 0, "k", mark + 1000)]), [])
        self.assertEqual(len(self.w.claim(500)), 10)

    def test_what_was_due_later_comes_behind_who_waits(self):
        self.leave(A, 3)
        self.query("update jobs set state = 'scheduled', run_at = now() where seq ="
                   " (select min(seq) from jobs)")
        [first] = self.query("select min(seq) from jobs where state = 'ready'")
        self.assertEqual([r[5] for r in self.w.claim(1)], first)
        self.assertEqual(len(self.w.claim(5)), 2)

    def test_several_workers_share_and_none_has_another_s(self):
        self.leave(A, 200)
        self.w.session.run("begin")
        mine = self.w.claim(50)
        others = self.worker(1).claim(50)
        self.w.session.run("commit")
        self.assertEqual(len({r[1] for r in mine + others}), 100)

    # ---- what is bounded ----

    def test_what_is_paused_is_not_claimed_and_the_rest_is(self):
        self.leave(A, 5, "k")
        self.leave(A, 5, "other")
        self.leave(B, 5, "k")
        for tenant, kind, wanted in ((A, "k", {A: 5, B: 5}), (A, "", {B: 5}),
                                     (NIL, "k", {A: 5}), (NIL, "", {})):
            with self.subTest(tenant=tenant, kind=kind):
                self.query("truncate job_controls; update jobs set state = 'ready',"
                           " holder = null, lease_until = null")
                self.control(tenant, kind, paused=True)
                self.assertEqual(self.count(self.w.claim()), wanted)
                self.assertEqual(self.w.claim(lanes=[(tenant, 0, kind or "k", 0)]), [])
        self.control(NIL, "", paused=False)
        self.assertEqual(len(self.w.claim()), 15)

    def test_a_bound_counts_all_that_its_row_speaks_of(self):
        for tenant, kind, wanted in ((A, "k", 2 + 5 + 10), (A, "", 2 + 10),
                                     (NIL, "k", 2 + 5 + 5), (NIL, "", 2)):
            with self.subTest(tenant=tenant, kind=kind):
                self.query("truncate jobs, job_controls")
                for t, k in ((A, "k"), (A, "other"), (B, "k"), (B, "other")):
                    self.leave(t, 5, k)
                self.control(tenant, kind, concurrency=2)
                rows = self.w.claim()
                self.assertEqual(len(rows), wanted)
                self.assertEqual(self.w.claim(), [])
                self.assertEqual(self.w.over(rows), wanted)

    def test_a_kind_s_own_bound_is_each_tenant_s_and_a_row_goes_before_it(self):
        self.query("select job_kinds_say('{k,free}', '{1,NULL}', '{NULL,NULL}')")
        for t in (A, B):
            self.leave(t, 5)
            self.leave(t, 5, "free")
        self.control(B, "k", concurrency=3)
        got = self.w.claim()
        self.assertEqual(self.count([r for r in got if r[2] == "k"]), {A: 1, B: 3})
        self.assertEqual(self.count([r for r in got if r[2] == "free"]), {A: 5, B: 5})
        self.query("select job_kinds_say('{k,free}', '{NULL,NULL}', '{NULL,NULL}')")
        self.assertEqual(self.query("select * from job_kinds"), [])

    def test_a_higher_priority_that_has_no_room_does_not_hold_up_the_rest(self):
        self.leave(A, 5, "k", priority=9)
        self.leave(A, 5, "free")
        self.control(A, "k", paused=True)
        self.assertEqual(self.count(self.w.claim(), 2), {"free": 5})

    def test_no_more_begin_than_the_rate_has_let_in(self):
        """A token in 1,000 s, which nobody waits for: the bucket's clock is set."""
        self.leave(A, 5)
        self.leave(B, 5)
        self.control(NIL, "k", rate_per_s=0.001)
        self.assertEqual([len(self.w.claim()) for _ in range(3)], [1, 0, 0])
        self.query("update job_rates set at = at - interval '1000 s'")
        self.assertEqual([len(self.worker(n).claim()) for n in (1, 2)], [1, 0])
        self.control(NIL, "k", rate_per_s=40000)
        self.query("update job_rates set tokens = 4")
        self.assertGreaterEqual(len(self.w.claim()), 4)

    def test_claims_that_race_never_overshoot(self):
        """Each looks at what all have as soon as it has its own."""
        self.leave(A, JOBS)
        self.leave(B, JOBS)
        self.control(NIL, "k", concurrency=BOUND)
        self.control(A, "", concurrency=BOUND - 1)
        seen, failed = [], []

        def work(n):
            w = self.worker(n)
            try:
                while self.left(w):
                    rows = w.claim(5)
                    seen.append(self.running(w))
                    if rows and w.over(rows) != len(rows):
                        raise AssertionError("another had it")
            except BaseException as e:  # pylint: disable=broad-except
                failed.append(e)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(CLAIMERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])
        self.assertLessEqual(max(all_ for all_, _ in seen), BOUND)
        self.assertLessEqual(max(of_a for _, of_a in seen), BOUND - 1)
        self.assertEqual(self.query("select count(*) from jobs_past where attempt = 1"),
                         [[str(2 * JOBS)]])

    @staticmethod
    def left(w):
        return w.session.run("select exists(select from test_jobs())") == [["t"]]

    @staticmethod
    def running(w):
        """All, and A's: as one statement sees them."""
        [[all_, of_a]] = w.session.run(
            "select count(*), count(*) filter (where tenant_id ="
            f" '{A}') from test_jobs() where state = 'running'")
        return int(all_), int(of_a)

    # ---- one at a time ----

    def turn(self, done=None, lane=(A, 0, "k"), above=0, until="null"):
        """The job that was had, if any, is done, and the lane's next is had."""
        was = f"'{done[0]}', '{done[1]}', {done[3]}" if done else "null, null, null"
        return self.w.session.run(
            f"select '{lane[0]}', (t).id, '{lane[2]}', (t).attempt, {lane[1]}, (t).seq"
            f" from (select job_turn_one('{self.w.holder}', 60000, {was}, '{lane[0]}',"
            f" {lane[1]}, '{lane[2]}', {above}, {until}) as t offset 0) x"
            " where (t).id is not null")

    def test_who_is_not_where_he_is_thought_to_be_is_found_behind(self):
        self.leave(B, 5)
        self.leave(A, 5)
        seqs = [int(r[0]) for r in self.query(
            f"select seq from jobs where tenant_id = '{A}' order by seq")]
        row = None
        for seq, until in zip(seqs, (seqs[0] - 1, 0, seqs[4] + 1, seqs[3], "null")):
            [row] = self.turn(row, above=row[5] if row else 0, until=until)
            self.assertEqual(int(row[5]), seq)
        self.assertEqual(self.turn(row, above=row[5], until=seqs[4] + 8), [])
        self.assertEqual(self.query("select count(*) from jobs_past"), [["5"]])

    def test_a_turn_settles_what_was_had_and_goes_on_behind_it_in_its_lane(self):
        self.leave(A, 3)
        self.leave(A, 1, priority=1)
        self.leave(B, 1)
        [first] = self.turn()
        [second] = self.turn(first, above=first[5])
        self.assertLess(int(first[5]), int(second[5]))
        self.assertEqual(self.query("select id, state, attempt, progress from jobs_past"),
                         [[first[1], "done", "1", "100"]])
        # another's is passed by, and not settled
        other = self.worker(1)
        [[*_, seq]] = other.claim(1, lanes=[(A, 0, "k", 0)])
        self.assertEqual(self.turn(second, above=second[5]), [])
        self.assertGreater(int(seq), int(second[5]))
        self.assertEqual(self.query("select count(*) from jobs_past"), [["2"]])
        self.assertEqual(self.query("select tenant_id, priority from jobs where state ="
                                    " 'ready' order by tenant_id"), [[A, "1"], [B, "0"]])

    def test_a_turn_settles_nothing_that_is_anothers_by_now(self):
        self.leave(A, 2)
        [first] = self.turn()
        self.query(f"update jobs set attempt = attempt + 1 where id = '{first[1]}'")
        self.assertEqual(len(self.turn(first, above=first[5])), 1)
        self.assertEqual(self.query("select count(*) from jobs_past"), [["0"]])

    def test_a_turn_heeds_bounds_pauses_and_who_is_away(self):
        self.leave(A, 4)
        self.control(A, "k", concurrency=1)
        [first] = self.turn()
        self.assertEqual(self.turn(above=first[5]), [])
        [second] = self.turn(first, above=first[5])
        self.query("truncate job_controls")
        self.control(A, "k", paused="true")
        self.assertEqual(self.turn(second, above=second[5]), [])
        self.assertEqual(self.query("select count(*) from jobs_past"), [["2"]])
        self.query("truncate job_controls")
        [third] = self.turn(above=second[5])
        self.away(A)
        self.assertEqual(self.turn(third, above=third[5]), [])
        self.assertEqual(self.query("select count(*) from jobs_past"), [["2"]])

    # ---- who is away ----

    def test_of_a_tenant_that_is_away_nothing_is_claimed_counted_or_rescued(self):
        self.leave(A, 5)
        self.leave(B, 5)
        of_a = [r for r in self.w.claim(4) if r[0] == A]
        self.away(A)
        self.assertEqual(self.count(self.w.claim()), {B: 3})
        self.assertEqual(self.w.claim(lanes=[(A, 0, "k", 0)]), [])
        self.assertEqual(self.w.session.run("select kind, n from job_waiting()"), [])
        self.query("update jobs set lease_until = now() - interval '1 s' where"
                   " state = 'running'")
        self.assertEqual(self.w.session.run(
            f"select job_rescue(null, 100, true), job_rescue('{self.w.holder}', 100, true)"),
            [["5", "0"]])
        self.assertEqual(self.query(f"select count(*) from jobs where tenant_id = '{A}'"
                                    " and state = 'running'"), [[str(len(of_a))]])
        self.assertEqual(len(of_a), 2)
        self.away(A, False)
        self.assertEqual(self.count(self.w.claim()), {A: 3})

    def test_its_workers_may_not_finish_what_they_had(self):
        self.leave(A, 3)
        self.leave(B, 1)
        rows = self.w.claim()
        mine = [r for r in rows if r[0] == A]
        self.away(A)
        self.assertEqual(self.w.asks("job_enter", mine[0]), "lost")
        self.assertEqual(self.w.asks("job_over", mine[0], ", 'done', null, null"), "lost")
        self.assertEqual(self.w.asks("job_fail", mine[0], ", 'e', false"), "none")
        self.assertEqual(self.w.over(rows), 1)
        self.away(A, False)
        self.assertEqual(self.w.asks("job_enter", mine[0]), "true")
        self.assertEqual(self.w.over(mine), 3)

    def test_what_became_of_its_jobs_is_not_forgotten_here(self):
        for t in (A, B):
            self.leave(t, 2)
        self.w.over(self.w.claim())
        self.away(A)
        self.query("update jobs_past set finished_at = now() - interval '1 h'")
        self.assertEqual(self.w.session.run("select job_forget(1000, 100)"), [["2"]])
        self.assertEqual(self.query("select distinct tenant_id from jobs_past"), [[A]])

    # ---- whose it is ----

    def test_a_lease_that_is_over_is_another_s_and_the_late_word_counts_nothing(self):
        self.leave(A)
        [mine] = self.w.claim()
        self.query("update jobs set lease_until = now() - interval '1 s' where"
                   " state = 'running'")
        other = self.worker(1)
        self.assertEqual(other.session.run("select job_rescue(null, 10, true)"), [["1"]])
        self.query("update jobs set run_at = now()")
        [theirs] = other.claim()
        self.assertEqual(theirs[3], "2")
        self.assertEqual(self.w.asks("job_enter", mine), "lost")
        self.assertEqual(self.w.asks("job_over", mine, ", 'done', null, null"), "lost")
        self.assertEqual(self.w.asks("job_fail", mine, ", 'e', false"), "none")
        self.assertEqual(self.w.asks("job_extend", mine, ", 1000, null"), "none")
        self.assertEqual(self.w.over([mine]), 0)
        self.assertEqual(other.asks("job_enter", theirs), "true")
        self.assertEqual(other.over([theirs]), 1)


if __name__ == "__main__":
    if not bin_dir():
        sys.exit(77)
    unittest.main()
