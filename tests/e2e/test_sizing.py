#!/usr/bin/python3
"""The pool's size follows its load; a crash loop is slowed; what is too much is
turned away at once."""

import os
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True

from harness import (Client, Story, eventually, main, patience,  # noqa: E402
                     runs, wait_until)


class Lock:
    """A row that somebody else has: whoever wants it keeps a worker busy."""

    def __init__(self, postgres, row):
        self.psql = subprocess.Popen(
            postgres.psql("-A", "-t"), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.psql.stdin.write(f"begin; select id from projects where id ="
                              f" '{row}' for update;\n")
        self.psql.stdin.flush()
        self.psql.stdout.readline()

    def release(self):
        self.psql.communicate("rollback;\n", timeout=patience(60))


class Calls:
    """Requests in threads of their own, a connection each."""

    def __init__(self, port, count, *request, **more):
        self.replies = []
        self.threads = [threading.Thread(
            target=self._one, args=(port, request, more)) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _one(self, port, request, more):
        with Client(port, timeout=90) as c:
            self.replies.append(c.request(*request, **more))

    def answered(self, status):
        return [r for r in list(self.replies) if r.status == status]

    def join(self):
        for thread in self.threads:
            thread.join()
        return self.replies


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            return f.read().strip()
    except OSError:
        return ""


class Sizing(Story):

    exporter = True
    settings = {"workers": 2, "statement_timeout": "60s",
                "timeout_read": "60s", "timeout_write": "60s"}

    def setUp(self):
        self.tenant = self.stack.signup()
        self.path = self.expect(201, "POST", f"{self.tenant.path}/projects",
                                self.tenant.token, {"name": "P"}
                                ).headers["Location"]

    def restart(self, **settings):
        pool = self.stack.pool
        if pool.daemon.alive():
            pool.stop()
        pool.configure(**{"pool": "static", "workers_min": 1, "queue_max": 0,
                          "max_memory": 0, **settings})
        pool.start()

    def workers(self):
        return [pid for pid in self.stack.pool.workers()
                if name_of(pid).startswith("rh-worker")]

    def wait_workers(self, least, most=None):
        most = least if most is None else most
        wait_until(lambda: least <= len(self.workers()) <= most,
                   f"{least} to {most} workers", 60.0)

    def gauge(self, state):
        return self.stack.exporter.value(
            f'rowhouse_workers{{pool="fcgi",state="{state}"}}')

    def queue(self):
        return self.stack.exporter.value(
            'rowhouse_listen_queue_length{pool="fcgi"}')

    def block(self, count):
        """So many workers are busy until the lock is released."""
        lock = Lock(self.stack.postgres, self.path.rsplit("/", 1)[1])
        self.addCleanup(lambda: lock.psql.poll() is None and lock.release())
        calls = Calls(self.stack.port, count, "PATCH", self.path,
                      self.tenant.token, {"name": "Q"})
        return lock, calls

    def test_dynamic_follows_its_load(self):
        self.restart(pool="dynamic", workers=6, workers_spare_min=1,
                     workers_spare_max=1, idle_timeout="300ms")
        self.wait_workers(1)
        lock, calls = self.block(5)
        self.wait_workers(6)
        eventually(lambda: self.assertEqual(self.gauge("busy"), 5))
        eventually(lambda: self.assertEqual(self.gauge("idle"), 1))
        lock.release()
        self.assertEqual([r.status for r in calls.join()], [200] * 5)
        self.wait_workers(1)
        self.expect(200, "GET", self.path, self.tenant.token)

    def test_ondemand_starts_from_nobody_and_goes_back(self):
        self.restart(pool="ondemand", workers=4, idle_timeout="200ms")
        for _ in range(2):
            self.assertEqual(self.workers(), [])
            # nginx keeps its connection: the second round is on it
            self.expect(200, "GET", self.path, self.tenant.token)
            self.wait_workers(0)
        self.assertEqual(self.stack.exporter.value(
            'rowhouse_worker_restarts_total{pool="fcgi",reason="exit"'), 0)
        lock, calls = self.block(3)
        self.wait_workers(3)
        lock.release()
        self.assertEqual([r.status for r in calls.join()], [200] * 3)
        self.wait_workers(0)

    def test_recycling_by_memory_loses_no_request(self):
        self.restart(workers=3, max_memory="64k")
        name = 'rowhouse_worker_restarts_total{pool="fcgi",reason="memory"}'
        before = self.stack.exporter.value(name)

        def client(n, odd):
            with self.stack.client() as c:
                for i in range(30):
                    got = c.request("POST", f"{self.path}/tasks",
                                    self.tenant.token, {"title": f"{n}-{i}"})
                    if got.status != 201:
                        odd.append(got)

        odd = []
        threads = [threading.Thread(target=client, args=(n, odd))
                   for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(odd, [])
        rows = self.stack.postgres.query(
            "select count(*), count(distinct title) from tasks where"
            f" tenant_id = '{self.tenant.id}'")
        self.assertEqual(rows, [["240", "240"]])
        wait_until(lambda: self.stack.exporter.value(name) - before >= 5,
                   "workers were replaced")

    def test_a_crash_loop_is_slowed_and_the_master_listens(self):
        self.restart(workers=4)
        self.wait_workers(4)
        good = self.workers()[0]
        killed, held = set(), 0
        # until the pool waits 800 ms and more before the next try, and has been
        # seen to wait
        while not self.slowed(4) or held < 2:
            held = max(held, self.gauge("backoff"))
            for pid in self.workers():
                if pid != good and pid not in killed:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
        # three at once are one step; each further step is one worker, but for
        # one that is up for a second before we come to kill it
        steps = len([line for line in self.stack.pool.find_lines(level="error")
                     if " in a row)" in line["msg"]])
        self.assertLess(len(killed), 3 * steps)
        self.assertEqual(len(self.slowed(2)), 1)
        self.assertTrue(runs(good))
        self.expect(200, "GET", self.path, self.tenant.token)
        # its own signals it hears at once, whatever it waits for
        began = time.monotonic()
        self.stack.pool.stop()
        self.assertLess(time.monotonic() - began, patience(20))
        self.restart(workers=2)

    def slowed(self, step):
        return [line for line in self.stack.pool.find_lines(level="error")
                if f"({step} in a row)" in line["msg"]]

    def test_what_is_over_queue_max_is_turned_away_at_once(self):
        self.restart(workers=2, queue_max=4, listen_backlog=64)
        lock, busy = self.block(2)
        eventually(lambda: self.assertEqual(self.gauge("busy"), 2))
        calls = Calls(self.stack.port, 10, "GET", self.path,
                      self.tenant.token)
        wait_until(lambda: len(calls.replies) == 6, "six are turned away")
        # the bound is reached: the next ones are over it, and nobody else
        for n in range(3):
            with Client(self.stack.port) as c:
                got = c.request("POST", f"{self.path}/tasks",
                                self.tenant.token, {"title": "T"},
                                {"X-Request-Id": f"turned-away-{n}"})
            self.assertTurnedAway(got)
            line = self.stack.pool.wait_line(request_id=f"turned-away-{n}")
            self.assertEqual((line["status"], line["route"], line["rt"]["pg"]),
                             (503, "/v1/t/{tenant}/projects/{id}/tasks", 0))
        for got in calls.replies:
            self.assertTurnedAway(got)
        lock.release()
        self.assertEqual([r.status for r in busy.join()], [200] * 2)
        self.assertEqual(len([r for r in calls.join() if r.status == 200]), 4)
        self.expect(200, "GET", self.path, self.tenant.token)

    def test_a_reload_sets_the_bound(self):
        self.restart(workers=2, listen_backlog=64)
        pool = self.stack.pool
        lock, busy = self.block(2)
        eventually(lambda: self.assertEqual(self.gauge("busy"), 2))
        pool.configure(**{**pool.settings, "queue_max": 4})
        os.kill(pool.pid, signal.SIGHUP)
        pool.wait_line(msg="pool fcgi: reloading")
        calls = Calls(self.stack.port, 10, "GET", self.path,
                      self.tenant.token)
        wait_until(lambda: len(calls.replies) == 6, "six are turned away")
        for got in list(calls.replies):
            self.assertTurnedAway(got)
        lock.release()
        self.assertEqual([r.status for r in busy.join()], [200] * 2)
        self.assertEqual(len([r for r in calls.join() if r.status == 200]), 4)

    def assertTurnedAway(self, got):
        self.assertProblem(got, 503)
        self.assertEqual(got.json["type"].rsplit(":", 1)[1], "pool.overloaded")
        self.assertGreaterEqual(int(got.headers["Retry-After"]), 1)

    def test_the_queue_has_a_length(self):
        self.restart(workers=1)
        eventually(lambda: self.assertEqual(self.queue(), 0))
        worker = self.workers()[0]
        os.kill(worker, signal.SIGSTOP)
        try:
            calls = Calls(self.stack.port, 7, "GET", "/livez")
            eventually(lambda: self.assertGreater(self.queue(), 0))
        finally:
            os.kill(worker, signal.SIGCONT)
        self.assertEqual({r.status for r in calls.join()}, {200})
        eventually(lambda: self.assertEqual(self.queue(), 0))


if __name__ == "__main__":
    main()
