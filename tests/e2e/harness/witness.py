"""What clients see while something happens to a server behind the pool."""

import collections
import contextlib
import threading
import time

from .proc import wait_until


class Seen:
    """Of one phase: how often each (request, status), and the latencies."""

    def __init__(self):
        self.statuses = collections.Counter()
        self.ms = []
        self.unlike = []

    def of(self, *kinds):
        """The statuses of these requests."""
        return {status for kind, status in self.statuses if kind in kinds}

    def quantile(self, q):
        ms = sorted(self.ms)
        return ms[min(len(ms) - 1, int(q * len(ms)))] if ms else 0.0

    def __str__(self):
        counts = ", ".join(f"{kind} {status}: {n}" for (kind, status), n
                           in sorted(self.statuses.items()))
        return (f"{counts}; p50 {self.quantile(.5):.0f} ms, p99 {self.quantile(.99):.0f} ms,"
                f" max {max(self.ms, default=0):.0f} ms")


class Witness:
    """with Witness(stack, tenant) as w: with w.phase("stopped"): …

    Each client reads a page, reads one row, writes a task, asks /livez, in
    turns. A request counts for the phase in which it began; one that began
    between two of them, for that in which it ended."""

    def __init__(self, stack, tenant, clients=16, pause=0.01):
        self.stack, self.tenant, self.pause = stack, tenant, pause
        made = stack.api("POST", f"{tenant.path}/projects", tenant.token, {"name": "Seen"})
        if made.status != 201:
            raise AssertionError(f"projects: {made}")
        self.project = made.headers["Location"]
        self.phases = collections.defaultdict(Seen)
        self.now = "before"
        self._opened = set()
        self.created = []
        self.died = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.threads = [threading.Thread(target=self._client, args=(n,))
                        for n in range(clients)]

    def _asks(self, n):
        count = 0
        t = self.tenant
        while True:
            count += 1
            title = f"{n}-{count}"
            yield "page", ("GET", f"{t.path}/projects", t.token), None
            yield "one", ("GET", self.project, t.token), None
            yield "write", ("POST", f"{self.project}/tasks", t.token, {"title": title}), title
            yield "livez", ("GET", "/livez"), None

    def _client(self, n):
        try:
            with self.stack.client() as c:
                for kind, ask, title in self._asks(n):
                    if self._over.is_set():
                        return
                    self._ask(c, kind, ask, title)
                    time.sleep(self.pause)
        except Exception as e:  # noqa: BLE001
            self.died.append(repr(e))

    def _ask(self, c, kind, ask, title):
        phase, began = self.now, time.monotonic()
        got = c.request(*ask)
        with self._lock:
            seen = self.phases[phase if phase in self._opened else self.now]
            seen.statuses[kind, got.status] += 1
            seen.ms.append((time.monotonic() - began) * 1000)
            if got.status >= 500 and (got.json is None or got.json["status"] != got.status or
                                      (got.status == 503 and "Retry-After" not in got.headers)):
                seen.unlike.append(repr(got))
            if title and got.status == 201:
                self.created.append(title)

    @property
    def count(self):
        with self._lock:
            return sum(len(seen.ms) for seen in self.phases.values())

    @contextlib.contextmanager
    def phase(self, name, seconds=1.0, until=()):
        """What happens in the block, and for so long after it, is of this phase. It
        lasts longer where the machine is slow: until each pair in until, of kinds
        and statuses, was seen in it."""
        self._opened.add(name)
        self.now = name
        seen = self.phases[name]
        yield seen
        time.sleep(seconds)

        def missing():
            with self._lock:
                return [pair for pair in until if not seen.of(*pair[0]) & pair[1]]
        wait_until(lambda: self.died or not missing(),
                   f"{name}: {until} are seen", 60.0)
        self.now = f"after {name}"

    def end(self):
        self._over.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()

    def report(self):
        return "\n".join(f"{name}: {seen}" for name, seen in self.phases.items())

    def check(self):
        """Ends it. All failures were problems as they should be; what was said to
        be written is there, once."""
        self.end()
        if self.died:
            raise AssertionError(self.died[:3])
        for name, seen in self.phases.items():
            if seen.unlike:
                raise AssertionError((name, seen.unlike[:3]))
        rows = [r[0] for r in self.stack.postgres.query(
            f"select title from tasks where tenant_id = '{self.tenant.id}'")]
        if len(rows) != len(set(rows)) or not set(self.created) <= set(rows):
            raise AssertionError(f"{len(self.created)} created, {len(rows)} rows,"
                                 f" {len(set(rows))} titles")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()
