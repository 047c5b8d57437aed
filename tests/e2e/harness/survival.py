"""Workers killed under load, and what the counters say of it meanwhile."""

import os
import random
import signal
import threading
import time

from .client import Client
from .places import patience
from .proc import wait_until

COUNTERS = ("_total", "_bucket", "_count", "_sum")


def series(text):
    """Name with labels to value, of what never goes back."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(" # ")[0].rsplit(" ", 1)
            if name.split("{")[0].endswith(COUNTERS):
                found[name] = float(value)
    return found


def total(shown, name):
    return int(sum(v for k, v in shown.items() if k.split("{")[0] == name))


class Lines:
    """In the place of Pool.lines: counts them, keeps none."""

    def __init__(self, before):
        self.requests = self.others = 0
        for line in before:
            self.append(line)

    def append(self, line):
        if line["msg"] == "request":
            self.requests += 1
        else:
            self.others += 1

    def __len__(self):
        return self.requests + self.others


class Watch(threading.Thread):
    """Scrapes on and on: what went back, the worst time, the file's sizes."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.done = stack, threading.Event()
        self.back, self.sizes, self.failed = [], set(), []
        self.scrapes, self.worst = 0, 0.0

    def run(self):
        before = {}
        with Client(self.stack.exporter.port) as c:
            while not self.done.is_set():
                begun = time.monotonic()
                got = c.request("GET", "/metrics")
                self.worst = max(self.worst, time.monotonic() - begun)
                self.scrapes += 1
                if got.status != 200:
                    self.failed.append(got.status)
                    continue
                now = series(got.body.decode())
                self.back += [(k, v, now.get(k)) for k, v in before.items()
                              if now.get(k, -1) < v]
                before = now
                self.sizes.add(os.stat(self.stack.pool.segment).st_size)
                time.sleep(0.02)

    def stop(self):
        self.done.set()
        self.join(patience(20))


class Load:
    """Clients that ask for one page until told to stop."""

    def __init__(self, stack, tenant, clients):
        self.done, self.answered = threading.Event(), [0] * clients
        self.odd = []
        self.threads = [threading.Thread(target=self._ask, daemon=True, args=(
            stack, tenant, n)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self, stack, tenant, n):
        with stack.client() as c:
            while not self.done.is_set():
                got = c.request("GET", f"{tenant.path}/projects", tenant.token)
                self.answered[n] += got.status == 200
                if got.status != 200:
                    self.odd.append(got.status)

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join(patience(30))


def _name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return ""


def kill_workers(pool, count, rest, age):
    """kill -9 one after the other, each at least so many seconds old: younger
    ones a pool takes for a crash loop, and slows down."""
    born, killed = {}, set()
    for _ in range(count):
        def old(now=time.monotonic):
            alive = [p for p in pool.workers()
                     if p not in killed and _name(p).startswith("rh-worker")]
            for pid in alive:
                born.setdefault(pid, now())
            return [p for p in alive if now() - born[p] >= age]
        victim = random.choice(wait_until(old, "a worker to kill", 30.0))
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)
        time.sleep(rest)


KILLED = 'rowhouse_worker_restarts_total{pool="fcgi",reason="killed"}'


def _settled(stack, lines, kills):
    """The last scrape, once the dead are buried and the reader has all that was
    counted: the line of a request that is counted may still lie in its ring.
    With it the lines as they were then: more may follow, as of a pool that
    says that all is well again."""
    for _ in range(1200):
        now = series(stack.exporter.metrics())
        requests, others = lines.requests, lines.others
        if total(now, "rowhouse_http_requests_total") == requests and \
                now.get(KILLED) == kills and \
                now['rowhouse_log_lines_total{outcome="written"}'] == \
                requests + others:
            break
        time.sleep(patience(0.05))
    return now, requests, others


def survive(stack, kills, clients=8, rest=0.05, age=0.0, load=Load):
    """Kills under load. Answers what there is to judge, as a dict."""
    tenant, pool = stack.signup(), stack.pool
    with pool._fresh:
        pool.lines = lines = Lines(pool.lines)
    watch = Watch(stack)
    watch.start()
    asking = load(stack, tenant, clients)
    begun = time.monotonic()
    try:
        kill_workers(pool, kills, rest, age)
    finally:
        asking.stop()
    seconds = time.monotonic() - begun
    wait_until(stack.ready, "the pool answers again", 30.0)

    now, requests, others = _settled(stack, lines, kills)
    watch.stop()
    return {
        "kills": kills, "seconds": seconds, "answered": sum(asking.answered),
        "refused": asking.odd, "scrapes": watch.scrapes,
        "failed scrapes": watch.failed, "worst scrape ms": watch.worst * 1e3,
        "went back": watch.back, "sizes": watch.sizes,
        "requests": total(now, "rowhouse_http_requests_total"),
        "durations": total(now, "rowhouse_http_request_duration_seconds_count"),
        "request lines": requests, "other lines": others,
        "written": int(now['rowhouse_log_lines_total{outcome="written"}']),
        "dropped": int(now['rowhouse_log_lines_total{outcome="dropped"}']),
        "restarts": int(now.get(KILLED, 0)),
    }
