#!/usr/bin/python3
"""The pool's life: it drains, replaces its dead, recycles, and loses nothing."""

import os
import signal
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True

from harness import (Client, Nginx, Stack, main, patience,  # noqa: E402
                     runs, wait_until)


def in_parallel(count, work):
    """work(n) in threads; answers what they returned, in order."""
    got = [None] * count

    def run(n):
        try:
            got[n] = work(n)
        except Exception as e:  # noqa: BLE001
            got[n] = e

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


class Noting(Nginx):
    """Notes whom it has given up, and whether the pool had been sent the request."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.notes = f"{self.dir}/access.log"
        with open(f"{self.dir}/nginx.conf", encoding="utf-8") as f:
            text = f.read()
        self.write("nginx.conf", text.replace(
            "access_log off;", "log_format sent '$request_method $status"
            f" $upstream_bytes_sent';\n\taccess_log {self.notes} sent;"))

    def given_up(self):
        """The methods of the requests that were sent and then given up."""
        with open(self.notes, encoding="ascii") as f:
            lines = [line.split() for line in f if line.endswith("\n")]
        # of a request that was sent twice, "0, 512"
        return {method for method, status, *sent in lines
                if status == "499" and sent[-1].isdigit() and int(sent[-1]) > 0}


class Pool(unittest.TestCase):

    def test_sigterm_lets_requests_end(self):
        with Stack(workers=2, timeout_write="5min", statement_timeout="5min",
                   shutdown_grace="5min") as s:
            t = s.signup()
            path = s.api("POST", f"{t.path}/projects", t.token,
                         {"name": "P"}).headers["Location"]
            with s.busy(path, t) as patch:
                os.kill(s.pool.pid, signal.SIGTERM)
                draining = "pool fcgi: draining after signal 15, for at most 300000 ms"
                s.pool.wait_line(msg=draining)
                # who has nothing to do leaves; the other one is waited for
                wait_until(lambda: len(s.pool.answering()) == 1, "one worker is left")
                self.assertTrue(s.pool.daemon.alive())
            s.pool.stop()
            self.assertEqual(patch().status, 200)
            self.assertEqual(patch().json["name"], "Busy")

    def test_nothing_is_left_after_the_end(self):
        with Stack(workers=3) as s:
            family = [s.pool.pid, *s.pool.workers()]
            s.pool.stop()
            self.assertEqual([p for p in family if runs(p)], [])
            self.assertFalse(os.path.exists(s.pool.socket))
            s.pool.start()
            wait_until(s.ready, "the pool is back")

    def test_workers_die_with_their_master(self):
        with Stack(workers=3) as s:
            family = s.pool.workers()
            os.kill(s.pool.pid, signal.SIGKILL)
            wait_until(lambda: not any(map(runs, family)),
                       "the workers are gone")
            s.pool.daemon.kill()
            s.pool.start()
            wait_until(s.ready, "the pool starts over what the dead one left")

    def test_a_killed_worker_is_replaced(self):
        with Stack(workers=2, web=Nginx) as s:
            t = s.signup()
            for _ in range(4):
                victim = self.serving_pid(s)
                os.kill(victim, signal.SIGKILL)
                wait_until(lambda: not runs(victim),
                           "the worker is gone")
                for _ in range(10):
                    got = s.api("GET", f"{t.path}/projects", t.token)
                    self.assertEqual(got.status, 200, got)
            wait_until(lambda: self.serving_pids(s, 20) >= 2,
                       "two workers serve again")

    def serving_pid(self, s):
        request_id = f"who-{os.urandom(8).hex()}"
        s.api("GET", "/livez", headers={"X-Request-Id": request_id})
        return s.pool.wait_line(request_id=request_id)["pid"]

    def serving_pids(self, s, tries):
        ids = [f"who-{os.urandom(8).hex()}" for _ in range(tries)]
        in_parallel(tries, lambda n: Client(s.port).request(
            "GET", "/readyz", headers={"X-Request-Id": ids[n]}))
        return len({s.pool.wait_line(request_id=i)["pid"] for i in ids})

    def test_kills_under_load_hang_nobody(self):
        with Stack(workers=4) as s:
            t = s.signup()
            done, slowest = threading.Event(), [0.0] * 16

            def client(n):
                odd = []
                with s.client() as c:
                    while not done.is_set():
                        begun = time.monotonic()
                        got = c.request("GET", f"{t.path}/projects", t.token)
                        slowest[n] = max(slowest[n], time.monotonic() - begun)
                        if got.status != 200:
                            odd.append(got.status)
                return odd

            def killer():
                killed = set()
                for _ in range(10):
                    victim = wait_until(lambda: next(
                        (line["pid"] for line in reversed(s.pool.find_lines(status=200))
                         if line["pid"] not in killed and runs(line["pid"])), None),
                        "a worker that serves")
                    killed.add(victim)
                    os.kill(victim, signal.SIGKILL)
                    time.sleep(0.1)
                time.sleep(0.5)
                done.set()

            got = in_parallel(17, lambda n: client(n) if n < 16 else killer())
            self.assertEqual([g for g in got if isinstance(g, Exception)], [])
            # what was in flight in a killed worker is lost, and told so
            lost = [status for odd in got[:16] for status in odd]
            self.assertLessEqual(len(lost), 20, lost)
            self.assertEqual(set(lost) - {503}, set())
            self.assertLess(max(slowest), patience(25.0))

    def test_recycling_loses_no_request(self):
        for keep in (True, False):
            with self.subTest(keep=keep), Stack(
                    workers=4, max_requests=50, log_ring="1m",
                    web_options={"keep": keep}) as s:
                t = s.signup()
                path = s.api("POST", f"{t.path}/projects", t.token,
                             {"name": "P"}).headers["Location"]

                def client(n):
                    with s.client() as c:
                        got = [c.request("POST", f"{path}/tasks", t.token,
                                         {"title": f"{n}-{i}"}) for i in range(125)]
                    return [g for g in got if g.status != 201]

                got = in_parallel(16, client)
                self.assertEqual(got, [[]] * 16)
                rows = s.postgres.query("select count(*), count(distinct title)"
                                        f" from tasks where tenant_id = '{t.id}'")
                self.assertEqual(rows, [["2000", "2000"]])
                self.wait_recycled(s)

    def wait_recycled(self, s):
        """2,000 requests at 50 a worker: some forty served them."""
        wait_until(lambda: len({line["pid"] for line in s.pool.find_lines(status=201)})
                   > 20, "lines of more than 20 workers")

    def test_a_client_that_left_is_not_served(self):
        """One worker is busy; what was given up meanwhile is not executed, and
        what had begun is."""
        with Stack(workers=1, timeout_write="5min", statement_timeout="5min") as s:
            t = s.signup()
            for keep in (True, False):
                with self.subTest(keep=keep), \
                        Noting(s.temp, s.pool.socket, keep=keep) as front:
                    self.leave_early(s, t, front)

    def leave_early(self, s, t, front):
        name = os.urandom(4).hex()
        path = s.api("POST", f"{t.path}/projects", t.token,
                     {"name": "P"}).headers["Location"]
        with s.postgres.transaction() as run:
            run("select 1 from projects where"
                f" id = '{path.rsplit('/', 1)[1]}' for update")
            begun = self.send(front.port, "PATCH", path, t, f"begun {name}")
            wait_until(lambda: s.postgres.query("select 1 from pg_stat_activity"
                       " where wait_event_type = 'Lock'"), "it waits for the lock")
            waits = self.send(front.port, "POST", f"{t.path}/projects", t,
                              f"ghost {name}")
            waits.close()
            begun.close()
            # both were sent to the pool, and given up there
            wait_until(lambda: {"PATCH", "POST"} <= front.given_up(),
                       "the front end knows that they left")
        wait_until(lambda: s.postgres.query(
            f"select count(*) from projects where name = 'begun {name}'"
            ) == [["1"]], "the request that had begun is executed to its end")
        s.pool.wait_line(request_id=f"ghost-{name}", status=499)
        self.assertEqual(s.api("GET", "/readyz").status, 200)
        rows = s.postgres.query(
            f"select count(*) from projects where name = 'ghost {name}'")
        self.assertEqual(rows, [["0"]])

    @staticmethod
    def send(port, method, path, t, name):
        """A request on its way; its client does not wait."""
        c = Client(port)
        c.conn.request(method, path, f'{{"name":"{name}"}}', {
            "Authorization": f"Bearer {t.token}",
            "Content-Type": "application/json",
            "X-Request-Id": name.replace(" ", "-")})
        return c


if __name__ == "__main__":
    main()
