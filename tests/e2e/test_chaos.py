#!/usr/bin/python3
"""Whatever dies, nothing is lost: workers and masters of both pools, PostgreSQL,
Redis and the exporter are killed at random under load, and afterwards every
POST that was acknowledged is there once, its event is in the feed and with the
receiver of the webhook, and its job was done, once; all on the trace that the
client began.

ROWHOUSE_CHAOS_SECONDS says how long (40), ROWHOUSE_CHAOS_SEED repeats one;
contrib/bench/chaos goes on for ten minutes."""

import collections
import os
import random
import signal
import sys
import threading
import time
import uuid

sys.dont_write_bytecode = True

from harness import (Client, Jobs, Pool, Receiver, Redis, Story, main,  # noqa: E402
                     patience, program, wait_until)
from harness.proc import children  # noqa: E402

SECONDS = float(os.environ.get("ROWHOUSE_CHAOS_SECONDS", "40"))
SEED = int(os.environ.get("ROWHOUSE_CHAOS_SEED", time.time_ns() % 1000000))
TENANTS, WRITERS = 3, 6
# a POST is repeated until it is answered; these say that it may be
AGAIN = {409, 429, 500, 502, 503, 504}


class DebugPool(Pool):
    """With the routes and the kinds of fcgi/debug."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.program = program("rowhouse-fcgi-debug")


class Writer(threading.Thread):
    """POSTs one thing after the other, each until it is acknowledged: a task,
    or a job that makes a project. Each has a key, a name and a trace."""

    def __init__(self, chaos, n):
        super().__init__()
        self.chaos, self.n = chaos, n
        self.tenant, self.project = chaos.tenants[n % TENANTS]
        self.made = {"task": {}, "job": {}}     # name -> trace id
        self.seen = collections.Counter()       # statuses and failures
        self.fault = None

    def run(self):
        try:
            i = 0
            while not self.chaos.over.is_set():
                i += 1
                what = "job" if i % 3 == 0 else "task"
                self._post(what, f"{what}-{self.n}-{i}")
                time.sleep(0.01)
        except Exception as e:  # noqa: BLE001
            self.fault = f"writer {self.n}: {e!r}"

    def _post(self, what, name):
        trace = uuid.uuid4().hex
        path, body, good = {
            "task": (f"{self.project}/tasks", {"title": name}, 201),
            "job": (f"{self.tenant.path}/debug/jobs?what=project&key={name}", b"", 204),
        }[what]
        headers = {"Idempotency-Key": name,
                   "traceparent": f"00-{trace}-{os.urandom(8).hex()}-01"}
        end = time.monotonic() + patience(60)
        while time.monotonic() < end:
            try:
                with Client(self.chaos.stack.port) as c:
                    got = c.request("POST", path, self.tenant.token, body, headers)
            except (OSError, ValueError) as e:
                self.seen[type(e).__name__] += 1
                time.sleep(0.05)
                continue
            self.seen[got.status] += 1
            if got.status == good:
                self.made[what][name] = trace
                return
            if got.status not in AGAIN:
                raise AssertionError(f"{what} {name}: {got}")
            time.sleep(0.05)
        raise AssertionError(f"{what} {name}: not in {patience(60):.0f} s")


class Killer(threading.Thread):
    """Does one of its deeds after the other, at random, while it lasts. Each
    leaves everything running, so that the next finds something to kill."""

    def __init__(self, chaos, rng):
        super().__init__()
        self.chaos, self.stack, self.rng = chaos, chaos.stack, rng
        self.done = collections.Counter()
        self.fault = None

    def run(self):
        deeds = [self.worker, self.worker, self.jobs_worker, self.jobs_worker,
                 self.backend, self.master, self.jobs_master, self.postgres,
                 self.redis_killed, self.redis_frozen, self.exporter]
        try:
            # each once at least, as far as the time goes
            while not self.chaos.over.is_set():
                self.rng.shuffle(deeds)
                for deed in deeds:
                    if self.chaos.over.wait(self.rng.uniform(0.1, 1.2)):
                        return
                    deed()
                    self.done[deed.__name__] += 1
        except Exception as e:  # noqa: BLE001
            self.fault = f"the killer after {dict(self.done)}: {e!r}"
            self.chaos.over.set()

    def _kill_one(self, pids):
        try:
            if pids:
                os.kill(self.rng.choice(sorted(pids)), signal.SIGKILL)
        except ProcessLookupError:
            pass

    def worker(self):
        self._kill_one(self.stack.pool.answering())

    def jobs_worker(self):
        self._kill_one(self.stack.jobs.answering())

    def backend(self):
        """PostgreSQL recovers from it as from a crash."""
        self._kill_one(children(self.stack.postgres.daemon.pid))
        wait_until(self.stack.postgres.ready, "PostgreSQL is back")

    def master(self):
        self.stack.pool.daemon.kill()
        self.stack.pool.start()

    def jobs_master(self):
        self.stack.jobs.daemon.kill()
        self.stack.jobs.start()

    def postgres(self):
        self.stack.postgres.stop()
        time.sleep(self.rng.uniform(0, 1))
        self.stack.postgres.start()

    def redis_killed(self):
        self.stack.redis.kill()
        time.sleep(self.rng.uniform(0, 1))
        self.stack.redis.start()

    def redis_frozen(self):
        self.stack.redis.freeze()
        time.sleep(self.rng.uniform(0, 1))
        self.stack.redis.thaw()

    def exporter(self):
        self.stack.exporter.daemon.kill()
        self.stack.exporter.start()


class Chaos(Story):

    exporter = True
    pool = DebugPool
    redis = Redis
    # a commit that was told is there after a kill; only a machine's end loses it
    pg_settings = {"synchronous_commit": "on"}
    settings = {"workers": 4, "jobs_workers": 2, "trust_traceparent": "127.0.0.0/8",
                "redis_timeout": "100ms", "redis_connect_timeout": "100ms",
                "webhook_allow": "127.0.0.0/8", "webhook_retry": "200ms",
                # else what is told afterwards takes as long as the kills did
                "webhook_rate": 1000, "webhook_concurrency": 32}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.jobs = Jobs(cls.stack.pool)
        cls.stack.jobs.program = program("rowhouse-jobs-debug")
        cls.stack.jobs.start()

    def setUp(self):
        self.over = threading.Event()
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)
        self.tenants = []
        for _ in range(TENANTS):
            t = self.stack.signup()
            project = self.expect(201, "POST", f"{t.path}/projects", t.token,
                                  {"name": "P"}).headers["Location"]
            self.expect(201, "POST", f"{t.path}/webhooks", t.token,
                        {"url": self.receiver.url(), "event_types":
                         ["task.created", "project.created"]})
            self.tenants.append((t, project))

    def query(self, sql):
        return self.stack.postgres.query(sql)

    def count(self, sql):
        return int(self.query(f"select count(*) from {sql}")[0][0])

    def test_everything_acknowledged_is_there_told_and_done(self):
        print(f"ROWHOUSE_CHAOS_SEED={SEED}", file=sys.stderr)
        writers = [Writer(self, n) for n in range(WRITERS)]
        killer = Killer(self, random.Random(SEED))
        for thread in (*writers, killer):
            thread.start()
        self.over.wait(SECONDS)
        self.over.set()
        for thread in (*writers, killer):
            thread.join()
        self.assertEqual([x.fault for x in (*writers, killer) if x.fault], [])
        seen = sum((w.seen for w in writers), collections.Counter())
        print(f"deeds {dict(killer.done)}; answers {dict(seen)}", file=sys.stderr)
        made = {what: {k: v for w in writers for k, v in w.made[what].items()}
                for what in ("task", "job")}
        self.settled()
        self.kept(made["task"])
        self.worked(made["job"])
        self.told({**made["task"], **made["job"]})

    def settled(self):
        """Nothing waits any more."""
        wait_until(lambda: not self.count("outbox_events"), "all is relayed", 90.0)
        wait_until(lambda: not self.count("jobs"), "all jobs are over", 150.0)
        wait_until(lambda: not self.count("outbox_events"), "their events too", 90.0)
        wait_until(lambda: not self.count(
            "webhook_deliveries where state in ('waiting', 'sending')"),
            "all is delivered", 150.0)

    def kept(self, tasks):
        """Each task that was acknowledged is there once, and no other."""
        rows = collections.Counter(row[0] for row in self.query(
            "select title from tasks"))
        self.assertEqual({k: n for k, n in rows.items() if n != 1}, {})
        # one whose last answer was lost may be there besides
        self.assertEqual(set(tasks) - set(rows), set())

    def worked(self, jobs):
        """Each job that was acknowledged is done, and did what it does once."""
        states = collections.Counter(row[0] for row in self.query(
            "select state from jobs_past"))
        self.assertEqual(set(states), {"done"})
        effects = collections.Counter(row[0] for row in self.query(
            "select encode(trace_id, 'hex') from events e where type ="
            " 'project.created' and payload->>'name' is distinct from 'P'"))
        self.assertEqual({k: n for k, n in effects.items() if n != 1}, {})
        self.assertEqual(set(jobs.values()) - set(effects), set())

    def told(self, made):
        """Every event is with the receiver, on the trace that its client began,
        no more often than an attempt was begun."""
        told = collections.Counter(r.headers["webhook-id"] for r in
                                   self.receiver.got())
        events = {row[0]: row[1:] for row in self.query(
            "select e.id, encode(e.trace_id, 'hex'), d.state, d.attempt from events e"
            " left join webhook_deliveries d on d.tenant_id = e.tenant_id and"
            " d.event_id = e.id where e.type in ('task.created', 'project.created')"
            " and (e.payload->>'name' is distinct from 'P')")}
        traces = {trace for trace, _, _ in events.values()}
        self.assertEqual(set(made.values()) - traces, set(), "without an event")
        self.assertEqual({i: e for i, e in events.items() if e[1] != "delivered"}, {})
        self.assertEqual(set(events) - set(told), set(), "not delivered")
        self.assertEqual({i: (n, e) for i, e in events.items()
                          if (n := told[i]) > int(e[2])}, {}, "too often")
        for r in self.receiver.got():
            if r.headers["webhook-id"] in events:
                self.assertEqual(r.headers["traceparent"].split("-")[1],
                                 events[r.headers["webhook-id"]][0])


if __name__ == "__main__":
    main(needs=("redis-server",))
