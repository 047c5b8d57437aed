#!/usr/bin/python3
"""The relay over a real PostgreSQL: transactions held open on purpose, relays
killed, and still each event once, in the order of its subject's changes, and in
front of no reader."""

import os
import random
import signal
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "e2e"),
                os.path.join(HERE, "..", "..", "sql")]

# pylint: disable=wrong-import-position
from harness.places import SOURCE  # noqa: E402
from harness.pool import migrate, write_conf  # noqa: E402
from harness.postgres import Postgres, bin_dir  # noqa: E402
from harness.proc import wait_until  # noqa: E402
from harness.relay import Relay, relay  # noqa: E402
from migrated import statements  # noqa: E402

TENANT, OTHER = ("0192f3e4-0000-7000-8000-00000000000a",
                 "0192f3e4-0000-7000-8000-00000000000b")
DAY_MS = 86400000
DAY_US = DAY_MS * 1000
# of the race
WRITERS, ROUNDS, SUBJECTS, RELAYS = 5, 40, 4, 2
SQL = {s["name"]: s["sql"] for s in statements()}


class Case(unittest.TestCase):
    """A PostgreSQL of the class' own, its outbox and its feed emptied before
    each test."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres(migrated=True)
        cls.addClassCleanup(cls.postgres.close)
        cls.asker, cls.asking = cls.postgres.session(), threading.Lock()
        cls.addClassCleanup(cls.asker.close)
        cls.conf = f"{cls.postgres.dir}/rowhouse.conf"
        write_conf(cls.conf, {"admin_database_url": cls.postgres.admin_url})
        cls.query("insert into tenants (id, slug, name) values"
                  f" ('{TENANT}', 'one', 'T'), ('{OTHER}', 'two', 'T')")

    def setUp(self):
        self.query("truncate outbox_events, events, projects cascade")

    @classmethod
    def query(cls, sql):
        with cls.asking:
            return cls.asker.run(sql)

    # ---- who changes ----

    def subject(self):
        """A project of version 1 that nobody has told of."""
        return self.query("insert into projects (tenant_id, id, name) values"
                          f" ('{TENANT}', gen_random_uuid(), 'P') returning id")[0][0]

    def writer(self):
        """A session of the application's, with the API's own statement."""
        session = self.postgres.session("rowhouse_app")
        self.addCleanup(session.close)
        session.run(f"prepare p as {SQL['projects.update']}")
        return session

    @staticmethod
    def begin(session):
        session.run(f"begin; select set_config('rowhouse.tenant_id', '{TENANT}', true)"
                    " \\g /dev/null\n")

    @staticmethod
    def change(session, subject, name="N"):
        session.run(
            f"execute p('{TENANT}', gen_random_uuid(), substr(sha256('t'), 1, 16),"
            f" substr(sha256('p'), 1, 8), 'request', '{subject}', '{name}', null,"
            " null, 0) \\g /dev/null\n")

    def changed(self, session, subject, name="N"):
        self.begin(session)
        self.change(session, subject, name)
        session.run("commit")

    # ---- who relays and reads ----

    def relay(self, *arguments):
        return relay(self.postgres, *arguments)

    def start(self, *arguments):
        started = Relay(self.postgres, *arguments)
        self.addCleanup(started.close)
        return started

    def page(self, after, limit=100, session=None):
        """(pos, subject, name, version) behind a position, by the API's statement."""
        sql = (f"prepare page as {SQL['events.page']};"
               f"select set_config('rowhouse.tenant_id', '{TENANT}', true) \\g /dev/null\n"
               f"execute page('{TENANT}', {after}, {limit})")
        own = session or self.postgres.session("rowhouse_app")
        try:
            rows = own.run(f"begin; {sql}; commit; deallocate page")
        finally:
            if not session:
                own.close()
        return rows

    def feed(self):
        """(pos, subject, name, version) of all, in order."""
        return [(int(p), s, n, int(v)) for p, s, n, v in self.query(
            "select pos, subject_id, payload->>'name', payload->>'version'"
            " from events order by pos")]

    def names(self):
        return [name for _, _, name, _ in self.feed()]

    def drawn(self):
        return int(self.query("select last_value from outbox_events_seq_seq")[0][0])

    def waiting(self):
        return int(self.query("select count(*) from outbox_events")[0][0])


class Order(Case):

    def test_an_event_is_moved_whole(self):
        subject = self.subject()
        columns = ("tenant_id, id, type, subject_id, payload, actor_id, trace_id,"
                   " parent_span_id, request_id, created_at")
        writer = self.writer()
        for i in range(5):
            self.changed(writer, subject, f"n{i}")
        self.query("insert into outbox_events (tenant_id, id, type, subject_id, payload,"
                   " actor_id, trace_id, parent_span_id, request_id) values"
                   f" ('{OTHER}', gen_random_uuid(), 'x.done', gen_random_uuid(),"
                   " '{\"name\": \"x\", \"version\": 1}', gen_random_uuid(),"
                   " substr(sha256('u'), 1, 16), substr(sha256('q'), 1, 8), 'other')")
        before = self.query(f"select {columns} from outbox_events order by seq")
        [[moved, first, last, _]] = self.relay("drain")
        self.assertEqual((moved, last - first), (6, 5))
        self.assertEqual(self.query(f"select {columns} from events order by pos"), before)
        self.assertEqual([p for p, *_ in self.feed()], list(range(first, last + 1)))
        self.assertEqual(self.waiting(), 0)
        self.assertEqual(self.relay("drain"), [])

    def test_a_batch_at_a_time(self):
        self.query("insert into outbox_events (tenant_id, id, type, subject_id, payload,"
                   " trace_id, parent_span_id, request_id)"
                   f" select '{TENANT}', gen_random_uuid(), 'x.done', gen_random_uuid(),"
                   " jsonb_build_object('name', i, 'version', i), substr(sha256('u'), 1, 16),"
                   " substr(sha256('q'), 1, 8), 'r' from generate_series(1, 1800) i")
        self.assertEqual([moved for moved, *_ in self.relay("drain")], [500, 1000, 300])
        self.assertEqual([v for *_, v in self.feed()], list(range(1, 1801)))

    def test_a_late_commit_comes_later_and_nobody_waits_for_it(self):
        a, b = self.subject(), self.subject()
        late, quick = self.writer(), self.writer()
        self.begin(late)
        self.change(late, a, "late")
        self.changed(quick, b, "quick")
        self.relay("drain")
        self.assertEqual(self.names(), ["quick"])
        [row] = self.page(0)
        after = int(row[-1])
        self.assertEqual(self.page(after), [])
        late.run("commit")
        self.relay("drain")
        self.assertEqual(self.names(), ["quick", "late"])
        [row] = self.page(after)
        self.assertGreater(int(row[-1]), after)
        self.assertEqual(row[2], a)

    def test_what_is_rolled_back_is_never_told(self):
        subject = self.subject()
        writer = self.writer()
        self.begin(writer)
        self.change(writer, subject, "never")
        writer.run("rollback")
        self.changed(writer, subject, "told")
        self.relay("drain")
        self.assertEqual([(n, v) for _, _, n, v in self.feed()], [("told", 2)])

    def test_positions_are_the_relays_time_and_never_go_back(self):
        writer, subject = self.writer(), self.subject()
        self.changed(writer, subject, "now")
        before = int(self.query("select events_now()")[0][0])
        self.relay("drain")
        [(pos, *_)] = self.feed()
        self.assertLessEqual(before, pos)
        self.assertLessEqual(pos, int(self.query("select events_now()")[0][0]))
        # as a clock that was an hour ahead leaves it
        ahead = pos + 3600 * 1000000
        self.query(f"select setval('event_pos', {ahead})")
        for name in ("a", "b"):
            self.changed(writer, subject, name)
            self.relay("drain")
        self.assertEqual([p for p, *_ in self.feed()], [pos, ahead + 1, ahead + 2])
        self.query(f"select setval('event_pos', {pos})")

    def test_nobody_passes_by_what_is_dead_while_an_old_snapshot_is_held(self):
        """above follows although somebody reads; not past one who writes."""
        subjects = [self.subject() for _ in range(3)]
        with self.postgres.session() as reader:
            reader.run("begin isolation level repeatable read; select 1")
            writer, slow = self.writer(), self.writer()
            running = self.start()
            first = self.drawn()
            for i in range(20):
                self.changed(writer, subjects[0], f"n{i}")
                wait_until(lambda n=1 + i: len(self.feed()) == n, "it is told")
            self.begin(slow)
            self.change(slow, subjects[1], "slow")
            held = self.drawn()
            # what comes behind it is told, again and again
            for i in range(20):
                self.changed(writer, subjects[0], f"m{i}")
                wait_until(lambda n=21 + i: len(self.feed()) == n, "the next one is told")
            self.assertNotIn("slow", self.names())
            slow.run("commit")
            wait_until(lambda: "slow" in self.names(), "the slow one is told")
            self.assertEqual(self.names()[-1], "slow")
            self.changed(writer, subjects[0], "end")
            wait_until(lambda: self.names()[-1] == "end", "the last one is told")
            self.assertEqual(running.end(), 0)
        above = [int(line.split()[3]) for line in running.said().splitlines()]
        self.assertEqual(len(above), 42)
        self.assertEqual(above, sorted(above))
        self.assertGreater(above[19], first)
        self.assertLess(above[39], held)


class Away(Case):
    """A tenant that is on its way, at its old place and where it comes to."""

    def setUp(self):
        super().setUp()
        self.running = self.start()
        self.before = len(self.running.said().splitlines())
        self.addCleanup(self.query, f"delete from tenant_limits where tenant_id = '{TENANT}'")

    def fence(self, away):
        self.query(f"select move_fence('{TENANT}', {away})")

    def insert(self, tenant, name, seq=None):
        self.query(
            f"insert into outbox_events (tenant_id, id, type, subject_id, payload, trace_id,"
            f" parent_span_id, request_id{', seq' if seq else ''}) overriding system value"
            f" values ('{tenant}', gen_random_uuid(), 'x.done', '{TENANT}',"
            f" '{{\"name\": \"{name}\", \"version\": 1}}', substr(sha256('u'), 1, 16),"
            f" substr(sha256('q'), 1, 8), 'r'{f', {seq}' if seq else ''})")

    def others(self, *names):
        """Told one after the other, whatever the tenant's are."""
        for name in names:
            self.insert(OTHER, name)
            wait_until(lambda name=name: name in self.names(), f"{name} is told")

    def its(self):
        return [row[0] for row in self.query(
            "select payload->>'name' from events where tenant_id ="
            f" '{TENANT}' order by pos")]

    def eleven(self):
        lines = self.running.said().splitlines()[self.before:]
        return lines if len(lines) == 11 else None

    def test_where_it_was_nothing_of_it_is_told_nor_forgotten(self):
        self.insert(TENANT, "a")
        wait_until(lambda: self.its() == ["a"], "it is told")
        self.fence(True)
        self.insert(TENANT, "b")
        first = self.drawn()
        self.insert(TENANT, "c")
        self.others(*(f"o{i}" for i in range(10)))
        self.assertEqual(self.its(), ["a"])
        self.assertEqual(self.query("select pending from events_waiting()"), [["0"]])
        lines = wait_until(self.eleven, "its steps are on its log")
        self.assertLess(max(int(line.split()[3]) for line in lines), first)
        # its move is undone
        self.fence(False)
        self.insert(TENANT, "d")
        wait_until(lambda: "d" in self.its(), "the last one is told")
        self.assertEqual(self.its(), ["a", "b", "c", "d"])
        self.assertEqual(self.running.end(), 0)

    def test_where_it_comes_to_it_is_told_of_in_order_from_the_switch_on(self):
        self.others(*(f"o{i}" for i in range(10)))
        ahead = int(self.query("select events_now()")[0][0]) + 3600 * 1000000
        self.addCleanup(self.query, "select setval('event_pos', 0)")
        self.query("select move_tenant_take(jsonb_set(move_tenant"
                   f"('{TENANT}')::jsonb, '{{pos}}', '{ahead}')::text)")
        # with the numbers of another place, below those that are done with here
        for seq, name in ((3, "c"), (1, "a"), (2, "b")):
            self.insert(TENANT, name, seq)
        self.query("insert into jobs (tenant_id, id, seq, kind, state, priority, args, run_at,"
                   " max_attempts, trace_id, parent_span_id, trace_flags, request_id) values"
                   f" ('{TENANT}', gen_random_uuid(), 5000, 'x', 'ready', 0, '{{}}', now(), 1,"
                   " substr(sha256('u'), 1, 16), substr(sha256('q'), 1, 8), 0, 'r')")
        self.addCleanup(self.query, "delete from jobs")
        self.others("p0", "p1")
        self.assertEqual(self.its(), [])
        self.query(f"select move_arrive('{TENANT}')")
        self.insert(TENANT, "d")
        wait_until(lambda: "d" in self.its(), "the last one is told")
        self.assertEqual(self.its(), ["a", "b", "c", "d"])
        self.assertGreater(min(int(row[0]) for row in self.query(
            f"select pos from events where tenant_id = '{TENANT}'")), ahead)
        [[next_job]] = self.query("select nextval(pg_get_serial_sequence('jobs', 'seq'))")
        self.assertGreater(int(next_job), 5000)
        self.assertEqual(self.running.end(), 0)

    def test_who_is_here_does_not_arrive(self):
        self.running.end()
        self.insert(TENANT, "a")
        before = self.query("select seq from outbox_events")
        self.query(f"select move_arrive('{TENANT}')")
        self.assertEqual(self.query("select seq from outbox_events"), before)


class Failing(Case):

    def test_another_relay_is_not_in_the_way(self):
        writer, subject = self.writer(), self.subject()
        self.changed(writer, subject)
        with self.postgres.session() as other:
            other.run("begin; select pg_advisory_xact_lock(events_lock()) \\g /dev/null\n")
            self.assertEqual(self.relay("drain"), [])
            self.assertEqual((self.waiting(), self.feed()), (1, []))
            other.run("commit")
        self.assertEqual(len(self.relay("drain")), 1)
        self.assertEqual(len(self.feed()), 1)

    def test_what_hangs_off_the_relay_is_done_with_it_or_not_at_all(self):
        self.query("create table heard (pos bigint, id uuid);"
                   "grant select on heard to rowhouse_app")
        self.addCleanup(self.query, "drop table heard; drop function hear()")
        self.query(
            "create function hear() returns bigint language sql security definer as"
            " 'insert into heard select pos, id from events where pos between"
            "  relayed_first() and relayed_last() returning pos';"
            "alter function hear() owner to postgres")
        writer, subject = self.writer(), self.subject()
        running = self.start("select hear(), 1 / (select (count(*) <> 1 or"
                             " relayed_first() is null)::int from heard)")
        self.changed(writer, subject, "one")
        wait_until(lambda: len(self.feed()) == 1, "the first is told")
        self.changed(writer, subject, "two")    # which divides by zero
        wait_until(lambda: "22012" in running.said(), "the relay has failed", 20)
        self.assertEqual((self.waiting(), self.names()), (1, ["one"]))
        self.query("truncate heard")
        wait_until(lambda: self.names() == ["one", "two"], "the second is told", 20)
        self.assertEqual(self.query("select pos, id from heard"),
                         self.query("select pos, id from events where payload->>'name' = 'two'"))
        self.assertEqual(running.end(), 0)

    def test_a_relay_killed_within_its_transaction_has_done_nothing(self):
        writer, subject = self.writer(), self.subject()
        for i in range(3):
            self.changed(writer, subject, f"n{i}")
        running = self.start("select 1 from (select pg_sleep(600)) s")
        asleep = ("select pid from pg_stat_activity where application_name = 'relay'"
                  " and wait_event = 'PgSleep'")
        wait_until(lambda: self.query(asleep), "it is in the midst")
        running.end(signal.SIGKILL)
        # the server sees it only when it wants to answer
        self.query(f"select pg_terminate_backend(pid) from ({asleep}) s")
        wait_until(lambda: not self.query("select 1 from pg_stat_activity where"
                                          " application_name = 'relay'"),
                   "its transaction is over")
        self.assertEqual((self.waiting(), self.feed()), (3, []))
        self.relay("drain")
        self.assertEqual(self.names(), ["n0", "n1", "n2"])

    def test_a_server_that_was_set_back_loses_nothing(self):
        """A relay outlives its server's number: it begins again from the first."""
        writer, subject = self.writer(), self.subject()
        running = self.start()
        for i in range(5):
            self.changed(writer, subject, f"n{i}")
            wait_until(lambda n=i + 1: len(self.feed()) == n, "it is told")
        self.query("alter sequence outbox_events_seq_seq restart with 1")
        for i in range(3):
            self.changed(writer, subject, f"m{i}")
            wait_until(lambda n=6 + i: len(self.feed()) == n, "it is told", 30)
        self.assertEqual(running.end(), 0)


class Race(Case):

    def test_each_once_in_order_and_seen_by_who_reads_on(self):
        self.query("create table heard (n bigint generated always as identity, pos bigint, id uuid)")
        self.query(
            "create function hear() returns bigint language sql security definer as"
            " 'insert into heard (pos, id) select pos, id from events where pos between"
            "  relayed_first() and relayed_last() order by pos returning pos'")
        self.addCleanup(self.query, "drop table heard; drop function hear()")
        subjects = sorted(self.subject() for _ in range(SUBJECTS))
        pinned = self.subject()
        self.failure, self.over = [], threading.Event()
        with self.postgres.session() as snapshot:
            snapshot.run("begin isolation level repeatable read; select 1")
            holder = self.writer()
            self.begin(holder)
            self.change(holder, pinned, "pinned")
            killer = self.thread(self.kill_relays)
            reader = self.thread(self.read_on)
            writers = [self.thread(self.write, subjects, seed) for seed in range(WRITERS)]
            for t in writers:
                t.join()
            self.assertNotIn("pinned", self.names())
            holder.run("commit")
        wait_until(lambda: self.failure or self.waiting() == 0, "all is told", 60)
        self.over.set()
        killer.join()
        reader.join()
        self.assertEqual(self.failure, [])
        self.judge(subjects, pinned)

    def judge(self, subjects, pinned):
        feed = self.feed()
        versions = dict(self.query("select id, version from projects"))
        for subject in (*subjects, pinned):
            told = [v for _, s, _, v in feed if s == subject]
            self.assertEqual(told, list(range(2, int(versions[subject]) + 1)), subject)
        print(f"{len(feed)} events of {len(versions)} subjects, {self.killed} relays killed,"
              f" {len(self.read)} read in {self.pages} pages")
        self.assertGreater(len(feed), WRITERS * ROUNDS // 4)
        self.assertEqual(self.read, [(p, s) for p, s, _, _ in feed])
        self.assertEqual(self.query("select pos, id from heard order by n"),
                         self.query("select pos, id from events order by pos"))

    def thread(self, run, *args):
        def guarded():
            try:
                run(*args)
            except BaseException as e:  # pylint: disable=broad-exception-caught
                self.failure.append(repr(e))
        t = threading.Thread(target=guarded)
        t.start()
        self.addCleanup(self.over.set)
        return t

    def write(self, subjects, seed):
        """Transactions of one to three subjects, in one order, so that none is a
        deadlock's; some last, some come to nothing."""
        rng = random.Random(seed)
        with self.postgres.session("rowhouse_app") as session:
            session.run(f"prepare p as {SQL['projects.update']}")
            for i in range(ROUNDS):
                self.begin(session)
                for subject in sorted(rng.sample(subjects, rng.randint(1, 2))):
                    self.change(session, subject, f"{seed}.{i}")
                    if rng.random() < 0.3:
                        time.sleep(rng.random() * 0.02)
                if rng.random() < 0.1:
                    time.sleep(rng.random() * 0.3)
                session.run("rollback" if rng.random() < 0.1 else "commit")

    def kill_relays(self):
        """Several at a time; whoever dies has a successor."""
        rng = random.Random(7)
        self.killed = 0
        relays = [self.start("select hear()") for _ in range(RELAYS)]
        while not self.over.wait(0.05 + rng.random() * 0.4):
            i = rng.randrange(RELAYS)
            if rng.random() < 0.5:
                relays[i].end(signal.SIGKILL)
                relays[i] = self.start("select hear()")
            else:
                self.query("select pg_terminate_backend(pid) from pg_stat_activity"
                           " where application_name = 'relay' limit 1")
            self.killed += 1
        for running in relays:
            # one that has just begun does not heed the signal yet, and dies of it
            self.assertIn(running.end(), (0, -signal.SIGTERM))

    def read_on(self):
        """A client of the feed, from one cursor to the next, a few at a time."""
        self.read, self.pages, after = [], 0, 0
        with self.postgres.session("rowhouse_app") as session:
            while True:
                last = self.over.is_set()
                rows = self.page(after, 7, session)
                self.pages += 1
                self.read += [(int(r[-1]), r[2]) for r in rows]
                if rows:
                    after = int(rows[-1][-1])
                elif last:
                    return


class Days(Case):

    def days(self):
        return [r[0] for r in self.query(
            "select relname from pg_class where relnamespace ="
            " 'rowhouse_events'::regnamespace and relkind = 'r' order by 1")]

    def day(self, ahead):
        return self.query(f"select events_day(events_now() / {DAY_US} + {ahead})")[0][0]

    def event(self, pos, n=1):
        self.query("insert into events (tenant_id, pos, id, type, subject_id, payload,"
                   " trace_id, parent_span_id, request_id, created_at)"
                   f" select '{TENANT}', {pos} + i, gen_random_uuid(), 'x.done',"
                   " gen_random_uuid(), '{\"name\": \"x\", \"version\": 1}',"
                   " substr(sha256('u'), 1, 16), substr(sha256('q'), 1, 8), 'r', now()"
                   f" from generate_series(0, {n - 1}) i")

    def where(self):
        """Partition: how many."""
        return {p.split(".")[1]: int(n) for p, n in self.query(
            "select tableoid::regclass, count(*) from events group by 1")}

    def make(self, ahead):
        """A day's partition, as it was made ahead of that day."""
        name = self.day(ahead)
        start = int(self.query(f"select (events_now() / {DAY_US} + {ahead}) * {DAY_US}")[0][0])
        self.query(f"create table rowhouse_events.{name} (like events including all);"
                   f"alter table rowhouse_events.{name} owner to rowhouse_owner;"
                   f"alter table events attach partition rowhouse_events.{name}"
                   f" for values from ({start}) to ({start + DAY_US})")
        return name, start

    def test_days_are_made_ahead_and_take_what_came_before_them(self):
        tomorrow = self.day(1)
        noon = int(self.query(f"select (events_now() / {DAY_US} + 1) * {DAY_US}"
                              f" + {DAY_US} / 2")[0][0])
        self.query(f"drop table rowhouse_events.{tomorrow}")
        self.event(noon, 10)
        self.assertEqual(self.where(), {"events_default": 10})
        self.relay("tend", str(30 * DAY_MS))
        self.assertEqual(self.where(), {tomorrow: 10})
        self.assertLessEqual({self.day(0), tomorrow, self.day(2)}, set(self.days()))
        self.assertEqual(self.query(
            "select relrowsecurity, relforcerowsecurity from pg_class"
            f" where relname = '{tomorrow}'"), [["t", "t"]])
        # and whoever comes later finds nothing to do
        self.assertEqual(self.relay("tend", str(30 * DAY_MS)), [[600000]])

    def test_days_that_are_over_are_dropped_whole(self):
        old, start = self.make(-5)
        kept, _ = self.make(-3)
        self.event(start, 10)
        self.event(start - 20 * DAY_US, 10)     # of a day that there was none for
        self.event(start + 2 * DAY_US)
        self.assertEqual(self.where(), {old: 10, "events_default": 10, kept: 1})
        # also where midnight comes in between
        self.relay("tend", str(4 * DAY_MS))
        self.assertEqual(self.where(), {kept: 1})
        self.assertNotIn(old, self.days())
        self.assertIn(kept, self.days())
        self.relay("tend", str(30 * DAY_MS))
        self.assertIn(kept, self.days())
        self.query(f"drop table rowhouse_events.{kept}")

    def test_who_reads_is_waited_for_a_moment_and_holds_nobody_up(self):
        old, _ = self.make(-9)
        with self.postgres.session() as reader:
            reader.run("begin; select count(*) from events \\g /dev/null\n")
            self.assertEqual(self.relay("tend", str(2 * DAY_MS))[-1], [5000])
            self.assertIn(old, self.days())
            # the relay and other readers go on
            self.changed(self.writer(), self.subject(), "meanwhile")
            self.relay("drain")
            self.assertEqual(self.names(), ["meanwhile"])
            reader.run("commit")
        self.assertEqual(self.relay("tend", str(2 * DAY_MS))[-1], [600000])
        self.assertNotIn(old, self.days())

    def test_a_relay_without_a_day_for_it_goes_on(self):
        today = self.day(0)
        self.query(f"drop table rowhouse_events.{today}")
        self.changed(self.writer(), self.subject(), "homeless")
        self.relay("drain")
        self.assertEqual(self.names(), ["homeless"])
        self.relay("tend", str(30 * DAY_MS))
        self.assertEqual(self.names(), ["homeless"])
        self.assertNotIn("events_default", self.where())


class Upgrade(Case):

    def test_what_had_gathered_is_numbered_in_the_order_of_the_changes(self):
        writer, subject = self.writer(), self.subject()
        self.changed(writer, subject, "in the feed")
        self.relay("drain")
        self.changed(writer, subject, "in the outbox")
        writer.close()
        newer = [name for name in os.listdir(os.path.join(SOURCE, "migrate/sql"))
                 if name.endswith(".up.sql") and name >= "0006"]
        migrate(self.conf, "down", str(len(newer)), temp=self.postgres.dir)
        self.assertEqual(self.query("select payload->>'name' from outbox_events order by 1"),
                         [["in the feed"], ["in the outbox"]])
        # they stand there in another order
        self.query("insert into outbox_events (tenant_id, id, type, subject_id, payload,"
                   " trace_id, parent_span_id, request_id, created_at)"
                   f" select '{TENANT}', gen_random_uuid(), 'x.done', gen_random_uuid(),"
                   " jsonb_build_object('name', 'n', 'version', i), substr(sha256('u'), 1, 16),"
                   " substr(sha256('q'), 1, 8), 'r', now() - interval '1 hour' - i * interval '1 second'"
                   " from generate_series(1, 700) i")
        migrate(self.conf, "up", temp=self.postgres.dir)
        self.query("select setval('event_pos', events_now())")
        self.relay("drain")
        told = [v for _, _, n, v in self.feed() if n == "n"]
        self.assertEqual(told, list(range(700, 0, -1)))
        self.assertEqual(self.names()[-2:], ["in the feed", "in the outbox"])
        self.changed(self.writer(), subject, "afterwards")
        self.relay("drain")
        self.assertEqual(self.names()[-1], "afterwards")


if __name__ == "__main__":
    if not bin_dir():
        print("skipped: the PostgreSQL server is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
