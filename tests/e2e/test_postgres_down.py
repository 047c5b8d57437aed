#!/usr/bin/python3
"""PostgreSQL goes and comes back; nothing of ours is restarted."""

import sys

sys.dont_write_bytecode = True

from harness import Story, main, wait_until  # noqa: E402


class PostgresDown(Story):

    settings = {"workers": 3, "connect_timeout": "1s"}

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
            wait_until(s.ready, "/readyz answers 200 again")
            wait_until(lambda: all(
                s.api("GET", f"{t.path}/projects", t.token).status == 200
                for _ in range(12)), "all workers serve again")
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
        wait_until(lambda: all(
            s.api("GET", f"{t.path}/projects", t.token).status == 200
            for _ in range(12)), "all workers serve again")


if __name__ == "__main__":
    main()
