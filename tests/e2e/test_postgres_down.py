#!/usr/bin/python3
"""PostgreSQL goes and comes back under load; nothing of ours is restarted."""

import concurrent.futures
import sys

sys.dont_write_bytecode = True

from harness import Story, Witness, main, patience, wait_until  # noqa: E402

# What a request may take that finds the server gone: as the settings below.
# Longer than a busy machine lets a server stand that is there.
CONNECT_S, STATEMENT_S, WORKERS = 3, 3, 3


class PostgresDown(Story):

    settings = {"workers": WORKERS, "connect_timeout": f"{CONNECT_S}s",
                "statement_timeout": f"{STATEMENT_S}s"}

    def answers(self, tenant):
        """Every worker, for each has a connection of its own."""
        s = self.stack
        wait_until(s.ready, "/readyz answers 200 again", 60.0)
        seen = len(s.pool.lines)

        def serve():
            with concurrent.futures.ThreadPoolExecutor(8) as clients:
                for got in clients.map(lambda _: self.ask(tenant), range(16)):
                    if got.status != 200:
                        return False
            return s.pool.answering() <= {
                line["pid"] for line in s.pool.lines[seen:]
                if line.get("status") == 200 and line.get("rt", {}).get("pg")}
        wait_until(serve, "all workers serve again", 60.0)

    def ask(self, tenant):
        with self.stack.client() as c:
            return c.request("GET", f"{tenant.path}/projects", tenant.token)

    def test_503_while_it_is_down_and_back_by_itself(self):
        s = self.stack
        t = s.signup()
        before = s.pool.workers()
        for _ in range(2):
            s.postgres.stop()
            for _ in range(12):
                got = s.api("GET", f"{t.path}/projects", t.token)
                self.assertProblem(got, 503)
                self.assertGreater(int(got.headers["Retry-After"]), 0)
                self.expect(200, "GET", "/livez")
            self.assertProblem(s.api("GET", "/readyz"), 503)
            got = s.api("POST", f"{t.path}/projects", t.token, {"name": "Lost"})
            self.assertProblem(got, 503)
            s.postgres.start()
            self.answers(t)
        self.assertEqual(s.pool.workers(), before)
        rows = s.postgres.query("select count(*) from projects where name = 'Lost'")
        self.assertEqual(rows, [["0"]])

    def test_sessions_that_are_cut_cost_at_most_a_503(self):
        s = self.stack
        t = s.signup()
        s.postgres.query("select pg_terminate_backend(pid) from pg_stat_activity"
                         " where usename = 'rowhouse_app'")
        for _ in range(12):
            got = s.api("GET", f"{t.path}/projects", t.token)
            self.assertIn(got.status, (200, 503), got)
        self.answers(t)

    def witnessed(self, what, disturb, mend, failures, seconds=1.0, until=()):
        """16 clients while it happens: before it and afterwards all is well; in
        between a request fails as it should and in a time that is bounded. until:
        what has to be seen in between."""
        s = self.stack
        t = s.signup()
        pids = s.pool.answering()
        with Witness(s, t) as w:
            wait_until(lambda: w.count > 200, "they are at work", 60.0)
            with w.phase(what, seconds, [(("livez",), {200}), *until]) as seen:
                disturb()
            with w.phase("mended", 0.0):
                mend()
                self.answers(t)
            with w.phase("well", 1.0, [(("page", "one", "livez"), {200}),
                                       (("write",), {201})]) as well:
                pass
            w.check()
        print(f"{what}:\n{w.report()}")
        self.assertEqual(w.phases["before"].of("page", "one", "write", "livez"), {200, 201})
        self.assertEqual(well.of("page", "one", "write", "livez"), {200, 201})
        self.assertLessEqual(seen.of("page", "one", "write"), {200, 201} | failures)
        self.assertEqual(seen.of("livez"), {200})
        # each worker finds out for itself, and clients wait in line for one; and
        # once more as long, for what else may stand still
        self.assertLess(seen.quantile(.99) / 1000,
                        patience(2 * 16 / WORKERS * (STATEMENT_S + 1 + CONNECT_S)))
        self.assertEqual(s.pool.answering(), pids)
        return seen

    def test_stopped(self):
        p = self.stack.postgres
        seen = self.witnessed("stopped", p.stop, p.start, {503},
                              until=[(("write",), {503})])
        self.assertIn(503, seen.of("write"))

    def test_frozen(self):
        """Who waits for an answer has 503 or 504; the others have it at once."""
        p = self.stack.postgres
        seen = self.witnessed("frozen", p.freeze, p.thaw, {503, 504},
                              seconds=2.0 * (STATEMENT_S + 1 + CONNECT_S),
                              until=[(("write",), {503, 504})])
        self.assertTrue(seen.of("write") & {503, 504})

    def test_restarted(self):
        p = self.stack.postgres

        def restart():
            p.stop()
            p.start()
        self.witnessed("restarted", restart, lambda: None, {503})

    def test_replaced(self):
        self.witnessed("replaced", self.stack.postgres.replace, lambda: None, {503})


if __name__ == "__main__":
    main()
