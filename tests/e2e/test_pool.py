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


class Pool(unittest.TestCase):

    def test_sigterm_lets_requests_end(self):
        with Stack(workers=2) as s:
            t = s.signup()
            path = s.api("POST", f"{t.path}/projects", t.token,
                         {"name": "P"}).headers["Location"]
            # a lock that somebody else holds keeps the request in flight
            holder = threading.Thread(target=s.postgres.query, args=(
                f"begin; update projects set name = 'H' where id = "
                f"'{path.rsplit('/', 1)[1]}'; select pg_sleep(2); commit",))
            holder.start()
            self.wait_locked(s, "pg_sleep")
            answer = []
            waiter = threading.Thread(target=lambda: answer.append(
                Client(s.port).request("PATCH", path, t.token, {"name": "Q"})))
            waiter.start()
            self.wait_locked(s, "update", waiting=True)
            s.pool.stop()
            waiter.join()
            holder.join()
            self.assertEqual(answer[0].status, 200, answer)
            self.assertEqual(answer[0].json["name"], "Q")

    def wait_locked(self, s, word, waiting=False):
        lock = "and wait_event_type = 'Lock'" if waiting else ""
        wait_until(lambda: s.postgres.query(
            "select 1 from pg_stat_activity where state <> 'idle' and"
            f" pid <> pg_backend_pid() and query ilike '%{word}%' {lock}"),
            f"a session in {word}")

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
            self.assertLess(max(slowest), patience(15.0))

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
        with Stack(workers=1) as s:
            t = s.signup()
            for keep in (True, False):
                with self.subTest(keep=keep), \
                        Nginx(s.temp, s.pool.socket, keep=keep) as front:
                    self.leave_early(s, t, front.port)

    def leave_early(self, s, t, port):
        name = os.urandom(4).hex()
        path = s.api("POST", f"{t.path}/projects", t.token,
                     {"name": "P"}).headers["Location"]
        with s.postgres.transaction() as run:
            run("select 1 from projects where"
                f" id = '{path.rsplit('/', 1)[1]}' for update")
            begun = self.send(port, "PATCH", path, t, f"begun {name}")
            self.wait_locked(s, "update", waiting=True)
            waits = self.send(port, "POST", f"{t.path}/projects", t, f"ghost {name}")
            # in the socket, or with a front end that waits for a connection
            time.sleep(patience(0.3))
            waits.close()
            begun.close()
            time.sleep(patience(0.3))
        wait_until(lambda: s.postgres.query(
            f"select count(*) from projects where name = 'begun {name}'"
            ) == [["1"]], "the request that had begun is executed to its end")
        # whoever comes next was behind the ghost
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
            "Content-Type": "application/json"})
        return c


if __name__ == "__main__":
    main()
