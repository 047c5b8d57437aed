"""The bench's programme: see README.md. contrib/bench/run starts this."""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests/e2e"))

# pylint: disable=wrong-import-position
import seed
from harness.pool import SECRET_KEY
from measure import machine, measure, processes, pss_kib, run_pgbench, run_wrk, tree
from stand import HERE, OFF, Stand, described, wait_ready

HOME = os.environ["BENCH_HOME"]
LOG_MAX = 1 << 30


class Bench:
    """Runs, and the rows that they gave."""

    def __init__(self, stand, opts):
        self.stand, self.opts, self.rows, self.rep = stand, opts, [], 0

    def _keep(self, name, wl, conns, row):
        row.update(name=name, wl=wl, conns=conns, rep=self.rep)
        self.rows.append(row)
        with open(f"{HOME}/results.jsonl", "a", encoding="ascii") as f:
            f.write(json.dumps(row) + "\n")
        parts = " ".join(f"{k} {v:.1f}" for k, v in row["cpu_us"].items())
        print(f"{name:12} {wl} c{conns:<4} {row['rps']:7.0f}/s  p50 {row['p50']:.2f}"
              f" p99 {row['p99']:.2f} ms  us: {parts}  other {row['other']:.2f}"
              f"{'' if row['clean'] else ' NOISY'}"
              f"{' ERRORS %d' % row['errors'] if row['errors'] else ''}", flush=True)

    def _roots(self, app):
        s = self.stand
        roots = {"nginx": s.nginx.pid, "pg": s.cluster.daemon.pid,
                 "redis": s.redis.pid, "sink": s.sink.pid}
        if app:
            roots["app"] = app.pid
        return roots

    def wrk(self, name, wl, conns, requests=None):
        """One run against what nginx serves under this name."""
        s, secs = self.stand, self.opts.secs
        app = s.pools.get(name) or s.bares.get(name)
        url = f"http://127.0.0.1:{s.ports[name]}"
        tsv = requests or f"{HOME}/x/{wl}.tsv"
        if name in s.pools:
            app.trim()
        if self.opts.warm:
            run_wrk(url, tsv, conns, self.opts.warm)
        self._keep(name, wl, conns, measure(
            lambda: run_wrk(url, tsv, conns, secs), self._roots(app),
            self.opts.quiet))

    def pgbench(self, wl, clients):
        cluster = self.stand.cluster
        self._keep("pgbench", wl, clients, measure(
            lambda: run_pgbench(cluster, f"{HERE}/{wl.lower()}.sql", clients,
                                self.opts.secs), self._roots(None), self.opts.quiet))

    def ceilings(self, wl, conns):
        """nginx alone and libfcgi alone, with the body of this workload."""
        body = {"W2": "0", "W3": "1"}.get(wl)
        if body is None:
            return
        requests = f"{HOME}/static/{wl}.tsv"
        with open(requests, "w", encoding="ascii") as f:
            f.write(f"GET\t/{body}\t-\t\n")
        self.wrk(f"floor_{wl}", wl, conns, requests)
        for name in ("static", "bare_off", "bare_keep4", "bare_keep64"):
            if name != "bare_keep64" or conns <= 64:
                self.wrk(name, wl, conns, requests)

    def medians(self):
        """(name, wl, conns) to the medians; clean runs alone where there are any."""
        groups = {}
        for row in self.rows:
            groups.setdefault((row["name"], row["wl"], row["conns"]), []).append(row)
        return {key: _median(rows) for key, rows in groups.items()}

    def ratio(self, a, b, value):
        """Median over the repetitions of value(a) / value(b)."""
        def of(key):
            return {r["rep"]: value(r) for r in self.rows
                    if (r["name"], r["wl"], r["conns"]) == key}
        x, y = of(a), of(b)
        both = [x[rep] / y[rep] for rep in x if y.get(rep)]
        return statistics.median(both) if both else float("nan")


def _median(rows):
    clean = [r for r in rows if r["clean"]]
    use, mid = clean or rows, statistics.median
    out = {k: mid([r[k] for r in use])
           for k in ("rps", "p50", "p99", "max", "pss_kib", "bytes")}
    out["cpu_us"] = {k: mid([r["cpu_us"][k] for r in use]) for k in use[0]["cpu_us"]}
    out["errors"] = sum(r["errors"] for r in rows)
    out["clean"], out["runs"] = len(clean), len(rows)
    return out


# ---- the table ----

def table(bench):
    head = ("wl", "conns", "target", "req/s", "p50 ms", "p99 ms", "max ms",
            "app us", "nginx us", "pg us", "redis us", "sink us", "PSS MiB", "bytes",
            "clean runs", "errors")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (name, wl, conns), m in sorted(bench.medians().items(),
                                       key=lambda kv: (kv[0][1], kv[0][2])):
        us = m["cpu_us"]
        lines.append("| " + " | ".join((
            wl, str(conns), name, f"{m['rps']:.0f}", f"{m['p50']:.2f}",
            f"{m['p99']:.2f}", f"{m['max']:.0f}", f"{us.get('app', 0):.1f}",
            f"{us['nginx']:.1f}", f"{us['pg']:.1f}", f"{us['redis']:.1f}",
            f"{us['sink']:.1f}",
            f"{m['pss_kib'] / 1024:.1f}", f"{m['bytes']:.0f}",
            f"{m['clean']}/{m['runs']}", str(m["errors"]))) + " |")
    return "\n".join(lines)


def signals(bench):
    """What all signals cost: the pool's CPU with them over that without."""
    lines = []
    for wl in seed.WORKLOADS:
        got = bench.ratio(("pool", wl, 32), ("pool_off", wl, 32),
                          lambda r: r["cpu_us"]["app"])
        if got == got:	# not NaN
            lines.append(f"{wl} at 32 connections: all signals on cost the pool "
                         f"{(got - 1) * 100:+.1f} % of CPU a request")
    return "\n".join(lines)


def publish(bench, *more):
    text = "\n\n".join((time.strftime("%-d %b %Y, ") + described(), table(bench),
                        *[m for m in more if m])) + "\n"
    with open(f"{HOME}/table.md", "w", encoding="utf-8") as f:
        f.write(text)
    print("\n" + text + f"\nin {HOME}/table.md; each run in {HOME}/results.jsonl")


# ---- the programmes ----

def prepare(stand, *pools):
    """Starts the pools behind nginx; pools: (name, settings)."""
    seed.write_requests(f"{HOME}/x", SECRET_KEY)
    for name, settings in pools:
        stand.add_pool(name, **settings).start()
    stand.start_nginx()


def of_redis(stand):
    """One host: what it has not seen yet is cached at once."""
    return {"redis_url": stand.redis.url, "cache_quarantine": 0}


def compare(stand, opts):
    """The table: the pool, the pool without signals, the ceilings."""
    on, off = {"workers": opts.workers}, {"workers": opts.workers, **OFF}
    prepare(stand, ("pool", on), ("pool_redis", {**on, **of_redis(stand)}),
            ("pool_off", off))
    stand.save_bodies("pool")
    stand.add_static()
    for wl in ("W2", "W3"):
        stand.add_floor(f"floor_{wl}", opts.workers, wl)
    stand.add_bare("bare_off", 4, 0)
    stand.add_bare("bare_keep4", 4, 2)
    stand.add_bare("bare_keep64", 64, 64)
    stand.start_nginx()
    bench = Bench(stand, opts)
    try:
        for bench.rep in range(1, opts.reps + 1):
            print(f"--- repetition {bench.rep} of {opts.reps}", flush=True)
            _repetition(bench)
            stand.cluster.tidy()
        sixteen = _sixteen(bench)
    except TimeUp:
        publish(bench, signals(bench), f"Ended by the limit of {opts.limit} s.")
        return 1
    publish(bench, signals(bench), sixteen)
    return 0


def _repetition(bench):
    for wl in bench.opts.workloads:
        for conns in bench.opts.conns:
            bench.wrk("pool", wl, conns)
            bench.wrk("pool_redis", wl, conns)
            if conns == 32:
                bench.wrk("pool_off", wl, conns)
            bench.ceilings(wl, conns)
        if os.path.exists(f"{HERE}/{wl.lower()}.sql"):
            for clients in (4, 8):
                bench.pgbench(wl, clients)


def _sixteen(bench):
    """Memory of a pool of 16 that has done some of everything."""
    stand = bench.stand
    bench.rep = 0
    pool = stand.add_pool("pool_16", workers=16).start()
    stand.start_nginx()
    for wl in bench.opts.workloads:
        bench.wrk("pool_16", wl, 32)
    count = len(tree(processes(), pool.pid))
    return (f"A pool of 16 after load: {pss_kib(pool.pid) / 1024:.1f} MiB PSS in "
            f"{count} processes.")


def tune(stand, opts):
    """How many workers: each number in turn, by repetitions."""
    names = {n: f"pool_{n}" for n in opts.tune}
    prepare(stand, *((name, {"workers": n}) for n, name in names.items()))
    for pool in stand.pools.values():
        pool.daemon.stop(seconds=60)
    bench = Bench(stand, opts)
    try:
        for bench.rep in range(1, opts.reps + 1):
            for name in names.values():
                pool = stand.pools[name].start()
                wait_ready(stand.ports[name])
                for wl in opts.workloads:
                    for conns in opts.conns:
                        bench.wrk(name, wl, conns)
                pool.daemon.stop(seconds=60)
            stand.cluster.tidy()
    except TimeUp:
        pass
    publish(bench)
    return 0


def serve(stand, opts):
    """For another program that measures: all of it stays up."""
    prepare(stand, ("pool", {"workers": opts.workers, "log": opts.log, **(
        OFF if opts.off else {}), **(
        of_redis(stand) if opts.redis else {})}))
    pool, x = stand.pools["pool"], f"{HOME}/x"
    with open(f"{x}/pids", "w", encoding="ascii") as f:
        f.write(f"{pool.pid}\n")
    with open(f"{x}/env", "w", encoding="ascii") as f:
        f.write(f"export X_NAME=rowhouse X_URL=http://127.0.0.1:{stand.ports['pool']}"
                f" X_PIDS={x}/pids X_TOKENS={x}/tokens X_REQS={x}\n")
    print(f"bench: serves http://127.0.0.1:{stand.ports['pool']} for "
          f"{opts.limit // 60} minutes; lines in {pool.log}\n"
          f". {x}/env   then the peers' run.sh", flush=True)
    try:
        while pool.daemon.alive():
            time.sleep(1)
            if os.path.getsize(pool.log) > LOG_MAX:
                pool.trim()
    except (TimeUp, KeyboardInterrupt):
        return 0
    print(f"bench: the pool ended\n{pool.daemon.said()}", file=sys.stderr)
    return 1


# ---- the command line ----

class TimeUp(Exception):
    """--limit has passed."""


def numbers(text):
    return [int(x) for x in text.replace(",", " ").split()]


def options():
    p = argparse.ArgumentParser(prog="contrib/bench/run", description=(
        "Measures the pool behind nginx beside its ceilings on this machine. "
        "BENCH_HOME (/tmp/rowhouse-bench) keeps the seeded cluster, table.md "
        "and results.jsonl; BENCH_LOGS (/dev/shm/rowhouse-bench) the log lines."))
    p.add_argument("--reps", type=int, default=3, help="repetitions (3)")
    p.add_argument("--secs", type=int, default=4, help="seconds of a run (4)")
    p.add_argument("--warm", type=int, default=1, help="seconds before it (1)")
    p.add_argument("--conns", type=numbers, default=[32, 128], help='"32 128"')
    p.add_argument("--workloads", type=str.split, default=list(seed.WORKLOADS),
                   help='"W1 W2 W3 W4"')
    p.add_argument("--workers", type=int, default=4, help="of the pool (4)")
    p.add_argument("--quiet", type=float, default=20,
                   help="most seconds to wait for a quiet machine before a run (20)")
    p.add_argument("--limit", type=int, default=1800, help="seconds for all of it (1800)")
    p.add_argument("--tune", type=numbers, metavar="N,N", help="compare pools of so many workers instead")
    p.add_argument("--serve", action="store_true",
                   help="start everything, write $BENCH_HOME/x, and wait")
    p.add_argument("--redis", action="store_true", help="with --serve: the pool has a Redis")
    p.add_argument("--off", action="store_true", help="with --serve: no signals")
    p.add_argument("--log", help="with --serve: the file of the log lines")
    p.add_argument("--clean", action="store_true", help="remove the seeded cluster and end")
    return p.parse_args()


def _time_up(*_):
    raise TimeUp


def _ended(signo, _):
    raise SystemExit(128 + signo)


def main():
    opts = options()
    if opts.clean:
        shutil.rmtree(f"{HOME}/pg", ignore_errors=True)
        return 0
    for signo in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(signo, _ended)
    signal.signal(signal.SIGALRM, _time_up)
    signal.alarm(opts.limit)
    if not opts.serve:
        open(f"{HOME}/results.jsonl", "w", encoding="ascii").close()
    logs = os.environ.get("BENCH_LOGS", "/dev/shm/rowhouse-bench")
    try:
        with Stand(HOME, logs) as stand:
            try:
                return (serve if opts.serve else tune if opts.tune else compare)(
                    stand, opts)
            finally:
                signal.alarm(0)
    except TimeUp:
        print(f"bench: not ready within {opts.limit} s", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
