"""The empty route beside a bare libfcgi loop. contrib/bench/empty starts this."""

import argparse
import os
import re
import signal
import statistics
import sys

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests/e2e"))

# pylint: disable=wrong-import-position
from harness.places import free_port
from harness.pool import SECRET_KEY, migrate, write_conf
from harness.postgres import Postgres
from harness.proc import Daemon
from harness.web import Apache, HAProxy, snippet
from measure import measure, run_wrk
from stand import OFF, Bare, Pool, Stand, ask, described, wait_ready

HOME = os.environ["BENCH_HOME"]
WORKERS = 4
SPARE = 16		# of a bare loop that has a process for each connection


class EmptyStand(Stand):
    """The stand with a cluster that has no rows, as nobody asks for one, and
    with more web servers."""

    def __init__(self, home, logs):
        super().__init__(home, logs)
        self.fronts = {}

    def __enter__(self):
        try:
            os.makedirs(self.logs, exist_ok=True)
            os.makedirs(f"{self.home}/static", exist_ok=True)
            self.sink_port = free_port()
            self.sink = Daemon([f"{self.home}/bin/sink", str(self.sink_port)],
                               log=f"{self.home}/sink.log")
            self.cluster = Postgres()
            conf = f"{self.home}/migrate.conf"
            write_conf(conf, {"secret_key": SECRET_KEY,
                              "database_url": self.cluster.app_url,
                              "admin_database_url": self.cluster.admin_url})
            migrate(conf, "up", temp=self.home)
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *args):
        for front in self.fronts.values():
            if front.daemon and front.daemon.alive():
                front.stop()
        super().__exit__(*args)

    def add_server(self, name, socket, keep):
        """nginx in front of any FastCGI socket, with the files of etc/nginx."""
        upstream = snippet("nginx/rowhouse-upstream.conf", socket).replace(
            "upstream rowhouse ", f"upstream {name} ")
        site = snippet("nginx/rowhouse.conf", socket).replace(
            "fastcgi_pass rowhouse;", f"fastcgi_pass {name};")
        if not keep:
            upstream = re.sub(r"(?m)^\s*keepalive.*$", "", upstream)
            site = site.replace("fastcgi_keep_conn on;", "fastcgi_keep_conn off;")
        port = self.ports[name] = free_port()
        self.servers.append(f"{upstream}server {{\n\tlisten 127.0.0.1:{port} "
                            f"backlog=1024;\n{site}}}\n")

    def add_front(self, name, web, socket):
        """Another web server in front of it."""
        front = self.fronts[name] = web(self.home, socket).start()
        self.ports[name] = front.port

    def body_of_bare(self, name):
        """As many bytes as the pool's whole reply has, less bare.c's head."""
        got = ask(self.ports[name], "GET", "/livez")
        n = sum(len(k) + len(v) + 4 for k, v in got.headers.items()
                if k not in ("Server", "Date", "Connection"))
        n += len("Status: 200 OK\r\n\r\n") + len(got.body)
        head = "Content-Type: application/json\r\nContent-Length: 300\r\n\r\n"
        for i in range(2):
            with open(f"{self.home}/static/{i}", "w", encoding="ascii") as f:
                f.write("x" * (n - len(head)))


def prepare(stand, opts):
    """Starts all of it; answers the rows: (name, conns, process whose CPU it
    is, the bare loop's row to compare with)."""
    pools = {"pool": stand.add_pool("pool", workers=WORKERS).start(),
             "quiet": stand.add_pool("quiet", workers=WORKERS, **OFF).start()}
    stand.start_nginx()
    stand.body_of_bare("pool")
    rows = []
    for name, pool in pools.items():
        stand.add_server(f"{name}_off", pool.socket, False)
    for name, processes in [("bare_off", WORKERS)] + [
            (f"bare_keep{n}", n + SPARE) for n in opts.conns]:
        stand.bares[name] = Bare(stand, name, processes)
        stand.add_server(name, stand.bares[name].socket, name != "bare_off")
    stand.start_nginx()
    for name, web in (("haproxy", HAProxy), ("apache", Apache)):
        stand.add_front(name, web, pools["pool"].socket)
        wait_ready(stand.ports[name])
    for n in opts.conns:
        bare = f"bare_keep{n}"
        rows += [(bare, n, stand.bares[bare], None), ("pool", n, pools["pool"], bare),
                 ("quiet", n, pools["quiet"], bare),
                 ("bare_off", n, stand.bares["bare_off"], None),
                 ("pool_off", n, pools["pool"], "bare_off"),
                 ("quiet_off", n, pools["quiet"], "bare_off"),
                 ("haproxy", n, pools["pool"], None),
                 ("apache", n, pools["pool"], None)]
    return rows


def run(stand, opts, row):
    """One run of wrk."""
    name, conns, app, _ = row
    front = stand.fronts.get(name)
    url = f"http://127.0.0.1:{stand.ports[name]}"
    requests = f"{HOME}/static/empty.tsv"
    with open(requests, "w", encoding="ascii") as f:
        f.write("GET\t/livez\t-\t\n")
    if isinstance(app, Pool):
        app.trim()
    if opts.warm:
        run_wrk(url, requests, conns, opts.warm)
    got = measure(lambda: run_wrk(url, requests, conns, opts.secs),
                  {"app": app.pid, "front": (front.daemon if front else
                                             stand.nginx).pid}, opts.quiet)
    print(f"{name:12} c{conns:<4} {got['rps']:7.0f}/s  app {got['cpu_us']['app']:.1f} us"
          f"  p99 {got['p99']:.2f} max {got['max']:.1f} ms  errors {got['errors']}"
          f"  other {got['other']:.2f}", flush=True)
    return got


def table(rows, got):
    """Medians, and the medians of the ratios within a repetition."""
    mid = statistics.median
    lines = ["| behind | conns | req/s | x bare | CPU us | x bare | p99 ms | worst ms | errors |",
             "|---" * 9 + "|"]
    for name, conns, _, beside in rows:
        mine = got[name, conns]
        ratio = ["", ""]
        if beside:
            other = got[beside, conns]
            ratio = [f"{mid(a['rps'] / b['rps'] for a, b in zip(mine, other)):.2f}",
                     f"{mid(a['cpu_us']['app'] / b['cpu_us']['app'] for a, b in zip(mine, other)):.2f}"]
        lines.append(
            f"| {name} | {conns} | {mid(r['rps'] for r in mine):.0f} | {ratio[0]} | "
            f"{mid(r['cpu_us']['app'] for r in mine):.1f} | {ratio[1]} | "
            f"{mid(r['p99'] for r in mine):.1f} | {max(r['max'] for r in mine):.0f} | "
            f"{sum(r['errors'] for r in mine)} |")
    return "\n".join(lines)


def options():
    p = argparse.ArgumentParser(prog="contrib/bench/empty", description=(
        "Measures the empty route beside a bare libfcgi loop on this machine."))
    p.add_argument("--reps", type=int, default=5, help="repetitions (5)")
    p.add_argument("--secs", type=int, default=3, help="seconds of a run (3)")
    p.add_argument("--warm", type=int, default=1, help="seconds before it (1)")
    p.add_argument("--conns", type=lambda t: [int(x) for x in t.split(",")],
                   default=[32, 128], help="32,128")
    p.add_argument("--only", type=lambda t: t.split(","), help="rows: pool,bare_keep32,…")
    p.add_argument("--quiet", type=float, default=20,
                   help="most seconds to wait for a quiet machine before a run (20)")
    return p.parse_args()


def main():
    opts = options()
    logs = os.environ.get("BENCH_LOGS", "/dev/shm/rowhouse-bench")
    for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signo, lambda *_: sys.exit(1))
    with EmptyStand(HOME, logs) as stand:
        rows = [r for r in prepare(stand, opts) if not opts.only or r[0] in opts.only]
        got = {(r[0], r[1]): [] for r in rows}
        for rep in range(1, opts.reps + 1):
            print(f"--- repetition {rep} of {opts.reps}", flush=True)
            for row in rows:
                got[row[0], row[1]].append(run(stand, opts, row))
        text = table(rows, got)
    with open(f"{HOME}/empty.md", "w", encoding="utf-8") as f:
        f.write(described() + "\n\n" + text + "\n")
    print(f"\n{text}\n\nin {HOME}/empty.md")


if __name__ == "__main__":
    main()
