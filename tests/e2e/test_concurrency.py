#!/usr/bin/python3
"""One tenant's slow requests leave workers to the others."""

import contextlib
import os
import signal
import sys
import threading

sys.dont_write_bytecode = True

from harness import Client, Story, eventually, fcgi, main, wait_until  # noqa: E402


class Concurrency(Story):

    settings = {"workers": 4, "tenant_concurrency": "50%", "timeout_write": "60s",
                "statement_timeout": "60s"}
    exporter = True

    def project(self, t):
        got = self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": "P"})
        return got.headers["Location"]

    @contextlib.contextmanager
    def two_inside(self, t, path):
        """Two requests of the tenant wait for a lock until the block ends; gives
        the list that has their replies then."""
        got = []

        def write():
            with Client(self.stack.port, timeout=90.0) as c:
                got.append(c.request("PATCH", path, t.token, {"name": "Q"}))

        threads = [threading.Thread(target=write) for _ in range(2)]
        with self.stack.postgres.transaction() as run:
            run("select 1 from projects where"
                f" id = '{path.rsplit('/', 1)[1]}' for update")
            for thread in threads:
                thread.start()
            self.waiting(2)
            yield got
        for thread in threads:
            thread.join()

    def waiting(self, count):
        wait_until(lambda: self.stack.postgres.query(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
            ) == [[str(count)]], f"{count} sessions wait for a lock")

    def busy(self):
        return self.stack.exporter.value(
            'rowhouse_ratelimit_decisions_total{backend="shm",decision="busy"}')

    def test_a_tenant_has_its_share_and_others_theirs(self):
        s = self.stack
        a, b = s.signup(), s.signup()
        path = self.project(a)
        before = self.busy()
        with self.two_inside(a, path) as got:
            for _ in range(5):
                refused = s.api("GET", path, a.token)
                self.assertProblem(refused, 429,
                                   type="urn:rowhouse:problem:tenant.busy")
                self.assertEqual(refused.headers["Retry-After"], "1")
                self.expect(200, "GET", f"{b.path}/projects", b.token)
            self.expect(200, "GET", "/v1/me", a.session)
        self.assertEqual([g.status for g in got], [200, 200], got)
        eventually(lambda: self.assertEqual(self.busy(), before + 5))
        self.expect(200, "GET", path, a.token)

    def test_killed_workers_take_no_place(self):
        s, a = self.stack, self.stack.signup()
        path = self.project(a)
        with self.two_inside(a, path) as got:
            killed = s.pool.answering()
            for pid in killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(got) == 2, "both lost their connection")
        wait_until(s.ready, "the pool serves again")
        wait_until(lambda: s.api("GET", path, a.token).status == 200,
                   "the tenant is served again")
        with self.two_inside(a, path) as got:
            self.assertProblem(s.api("GET", path, a.token), 429)
        self.assertEqual([g.status for g in got], [200, 200], got)


class OneAtATime(Story):

    settings = {"workers": 3, "tenant_concurrency": "1"}

    def test_who_waits_for_each_answer_is_never_too_many(self):
        """The worker that has answered is not inside any more, whatever it still
        has to do: another one may have the next request before it is done."""
        t, path = self.stack.signup(), self.stack.pool.socket
        ask = fcgi.request(fcgi.get(t.path, [
            ("HTTP_AUTHORIZATION", f"Bearer {t.token}")]), keep=True)
        got = []
        # on one connection it would be the same worker's
        with fcgi.Connection(path) as one, fcgi.Connection(path) as other:
            for _ in range(3000):
                for c in (one, other):
                    c.send(ask)
                    got.append(c.status())
        self.assertEqual(set(got), {200}, got.count(429))


if __name__ == "__main__":
    main()
