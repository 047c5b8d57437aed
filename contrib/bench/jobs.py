"""jobs - what the queue does in a second: jobs that do nothing, durable.

A PostgreSQL of its own with fsync, synchronous_commit and full_page_writes on;
rowhouse-jobs with the kinds of fcgi/debug, its log lines, metrics and a tenth of
the traces. Jobs wait before it starts, and its rate is between the first claim
and the last commit, as jobs_past has them. Rounds take turns, so that ratios
hold on a machine that others use; figures are medians. With each round stands
what a small fixed loop took of the CPU before and after it: a virtual machine's
speed drifts by two, and a figure is to be read beside it.

    ROWHOUSE_BUILD=build contrib/bench/jobs [--rounds 3] [--only batched,singly]
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests/e2e"))

# pylint: disable=wrong-import-position
from harness import Jobs, Pool, Stack, program, wait_until  # noqa: E402
from harness.proc import children  # noqa: E402

DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
           "shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "on",
           "checkpoint_timeout": "30min", "autovacuum_naptime": "5s",
           "wal_buffers": "16MB"}
A, B = ("0192f3e4-0000-7000-8000-00000000000a",
        "0192f3e4-0000-7000-8000-00000000000b")
# ids are UUIDv7, as the product's are: made one after the other, they lie so in an index
ID = """(lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
 || '7' || lpad(to_hex(i % 4096), 3, '0') || '8' || substr(md5(random()::text), 1, 15))::uuid"""
ADD = """insert into jobs (tenant_id, id, kind, state, priority, args, run_at,
 max_attempts, trace_id, parent_span_id, trace_flags, request_id)
 select {tenant}, {id}, 'debug.nothing', 'ready', 0, '{{"n": 1}}',
 clock_timestamp(), 8, uuid_send(gen_random_uuid()),
 substr(uuid_send(gen_random_uuid()), 1, 8), 0, '{name}' from generate_series(1, {n}) i"""


def loop_ms():
    """The machine's speed just now: a fixed loop's CPU time, the best of five."""
    took = []
    for _ in range(5):
        began = time.process_time()
        n = 0
        for i in range(200000):
            n += i & 7
        took.append(1000 * (time.process_time() - began))
    return min(took)


def cpu_s(pid):
    """Of a process and of all below it, those that have ended too."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            ticks = f.read().rsplit(") ", 1)[1].split()[11:15]
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended since it was listed
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") + sum(
        map(cpu_s, children(pid)))


class DebugPool(Pool):
    """With the kinds of fcgi/debug: both programs are to have the same."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.program = program("rowhouse-fcgi-debug")


class Unread(Jobs):
    """Its lines are taken and thrown away: to parse them was 3 % of the machine."""

    def _read(self, stdout):
        while stdout.read1(1 << 20):
            pass
        stdout.close()


class Queue:
    """The stack, and its queue filled and emptied."""

    def __init__(self, **settings):
        self.stack = Stack(web=None, pool=DebugPool, pg_settings=DURABLE,
                           workers=1, trace_ratio=0.1, **settings)

    def __enter__(self):
        self.stack.__enter__()
        self.jobs = Unread(self.stack.pool)
        self.jobs.program = program("rowhouse-jobs-debug")
        # a psql and a backend for each look at it took a tenth of the machine
        self.asks = self.stack.postgres.session()
        return self

    def __exit__(self, *what):
        if self.jobs.daemon:
            self.jobs.daemon.kill()
        self.asks.close()
        self.stack.__exit__(*what)

    def query(self, sql):
        return self.stack.postgres.query(sql)

    def fill(self, n, name="bench", tenant=f"'{A}'"):
        self.query(ADD.format(tenant=tenant, id=ID, n=n, name=name))

    def left(self):
        return self.asks.run("select exists(select from jobs)")[0][0] == "t"

    def wait(self, n, limit):
        """Until so many are over; cheap to ask, or asking is what is measured."""
        wait_until(lambda: not self.left(), f"{n} jobs are over", limit, 0.1)

    def rate(self):
        """Jobs a second, and how many."""
        [[n, s]] = self.query(
            "select count(*), extract(epoch from max(finished_at) -"
            " min(started_at)) from jobs_past where state = 'done'")
        return int(n) / float(s), int(n)

    def drain(self, n, limit=120):
        before = cpu_s(self.stack.postgres.daemon.pid)
        self.jobs.start()
        self.wait(n, limit)
        print("    CPU a job: rowhouse-jobs"
              f" {1e6 * cpu_s(self.jobs.pid) / n:.1f} us, PostgreSQL"
              f" {1e6 * (cpu_s(self.stack.postgres.daemon.pid) - before) / n:.1f} us")
        self.jobs.stop()
        rate, done = self.rate()
        if done != n:
            raise AssertionError(f"{done} of {n} jobs are done")
        return rate



def drained(n, workers=5, batch=500, tenants=1, pinned=False):
    """Jobs a second, of n that wait. One of the workers is the courier, who runs none."""
    with Queue(jobs_workers=workers, jobs_batch=batch) as q:
        pin = q.stack.postgres.session() if pinned else None
        if pin:
            pin.run("begin isolation level repeatable read; select 1 from jobs limit 1")
        q.fill(n, tenant=f"md5((i % {tenants})::text)::uuid")
        rate = q.drain(n)
        if pin:
            pin.close()
        return rate


def batched(opts):
    return drained(opts.jobs)


def of_many_tenants(opts):
    return drained(opts.jobs, tenants=1000)


def singly(opts):
    return drained(opts.jobs // 5, workers=opts.singly_workers, batch=1)


def long(_):
    return drained(300000)


def pinned(_):
    return drained(300000, pinned=True)


def waited(q, name, n):
    """Until n jobs are over: how long each waited for its begin, in ms."""
    wait_until(lambda: q.query("select count(*) from jobs_past where request_id ="
                               f" '{name}'")[0][0] == str(n), f"{name} are over", 60)
    return [float(r[0]) for r in q.query(
        "select 1000 * extract(epoch from started_at - created_at) from jobs_past"
        f" where request_id = '{name}'")]


def tens(q, name, n):
    """Each of n times: ten of B's, at any moment; how long their median waited."""
    got = []
    for i in range(n):
        # workers look by a clock of their own: never twice at the same moment of it
        time.sleep(random.uniform(0.02, 0.17))
        q.fill(10, f"{name}-{i}", f"'{B}'")
        got.append(statistics.median(waited(q, f"{name}-{i}", 10)))
    return got


def scatter(beside, alone):
    """Where nine of ten ratios of medians are, if the same were drawn again."""
    ratios = sorted(statistics.median(random.choices(beside, k=len(beside)))
                    / statistics.median(random.choices(alone, k=len(alone)))
                    for _ in range(1000))
    return ratios[50], ratios[-51]


def fairness(opts):
    """B's ten, left by another host: on the idle queue, and behind A's hundreds of
    thousands. Ratio of the medians, of --tens each."""
    with Queue(jobs_workers=3) as q:
        q.jobs.start()
        alone = tens(q, "alone", opts.tens)
        q.fill(opts.flood, "flood", f"'{A}'")
        beside = tens(q, "beside", opts.tens)
        if not q.left():
            raise AssertionError("A's were over before: give it more (--flood)")
    for name, got in (("alone", alone), ("beside A", beside)):
        print(f"    {name}: median {statistics.median(got):.1f} ms, nine of ten"
              f" {statistics.quantiles(got, n=10)[-1]:.1f} ms, at most {max(got):.1f} ms")
    low, high = scatter(beside, alone)
    print(f"    the ratio is {low:.2f} to {high:.2f}, as far as so many say")
    return statistics.median(beside) / statistics.median(alone)


def graphile(opts):
    """graphile-worker, on a PostgreSQL with the same settings."""
    with Queue() as q:
        q.query("alter database rowhouse set search_path = public")
        before, ours = cpu_s(q.stack.postgres.daemon.pid), os.times()
        url = f"postgres://postgres@/rowhouse?host={q.stack.postgres.dir}"
        done = subprocess.run(["node", "jobs.mjs", str(opts.jobs)], cwd=opts.node,
                              env={**os.environ, "PGURL": url}, text=True,
                              capture_output=True, timeout=300, check=False)
        if done.returncode:
            raise AssertionError(f"graphile-worker: {done.stderr[-2000:]}")
        now = os.times()
        node = (now.children_user + now.children_system - ours.children_user
                - ours.children_system)
        print(f"    CPU a job, its enqueueing included: node {1e6 * node / opts.jobs:.1f}"
              " us, PostgreSQL"
              f" {1e6 * (cpu_s(q.stack.postgres.daemon.pid) - before) / opts.jobs:.1f} us")
    return float(done.stdout.split()[-1])


def install(to):
    """graphile-worker from npm; False: it is not to be had, and why is said."""
    if not shutil.which("npm"):
        print("graphile-worker is not measured: npm is not installed")
        return False
    shutil.copy(f"{HERE}/jobs.mjs", to)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent",
                           "graphile-worker@0.18", "pg"], cwd=to, text=True,
                          capture_output=True, timeout=300, check=False)
    if done.returncode:
        print(f"graphile-worker is not measured: npm: {done.stderr[-500:]}")
    return done.returncode == 0


MEASURED = {f.__name__: f for f in (
    batched, graphile, of_many_tenants, singly, long, pinned, fairness)}


def show(got):
    for name, values in got.items():
        if values:
            print(f"{name:16} {statistics.median(values):10.{2 if name == 'fairness' else 0}f}"
                  f"   of {', '.join(f'{v:.2f}' if name == 'fairness' else f'{v:.0f}' for v in values)}")
    for what, over, under in (("batched / graphile", "batched", "graphile"),
                              ("pinned / long", "pinned", "long")):
        if got.get(over) and got.get(under):
            ratio = statistics.median(a / b for a, b in zip(got[over], got[under]))
            print(f"{what}: {ratio:.2f}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--jobs", type=int, default=100000)
    p.add_argument("--flood", type=int, default=600000,
                   help="A's jobs: enough to last for all of B's tens")
    p.add_argument("--tens", type=int, default=40,
                   help="so many times are ten of B's left, alone and behind A's")
    p.add_argument("--singly-workers", type=int, default=9)
    p.add_argument("--only", default=",".join(MEASURED))
    opts = p.parse_args()
    wanted = opts.only.split(",")
    with tempfile.TemporaryDirectory() as opts.node:
        if "graphile" in wanted and not install(opts.node):
            wanted.remove("graphile")
        got = {name: [] for name in wanted}
        for i in range(opts.rounds):
            for name in wanted:
                print(f"round {i + 1}: {name}", flush=True)
                before = loop_ms()
                got[name].append(MEASURED[name](opts))
                print(f"    {got[name][-1]:.2f}; the loop: {before:.1f} ms before,"
                      f" {loop_ms():.1f} ms after", flush=True)
    show(got)


if __name__ == "__main__":
    main()
