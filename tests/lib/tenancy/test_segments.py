#!/usr/bin/python3
"""Segments of many tenants at random, pipelined over a few sessions, while the
server's processes are killed under them: no tenant sees another's row, neither
straight nor through PgBouncer. ROWHOUSE_SEGMENTS: how many (20000; 10000 under sanitizers)."""

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "e2e"))

from harness.pgbouncer import PgBouncer  # noqa: E402
from harness.places import BUILD, SANITIZED, patience, system  # noqa: E402
from harness.pool import environment  # noqa: E402
from harness.postgres import Postgres, bin_dir  # noqa: E402

SEGMENTS = int(os.environ.get("ROWHOUSE_SEGMENTS", 10000 if SANITIZED else 20000))
TENANTS, PROJECTS = 100, 20
SESSIONS = 4
KILL_EVERY = 0.1       # seconds


def token(n):
    return hashlib.sha256(f"segments {n}".encode()).hexdigest()


def tenant_id(n):
    return f"0192f3e4-0000-7000-8000-{n:012x}"


class Segments(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres(migrated=True)
        cls.addClassCleanup(cls.postgres.close)
        for n in range(1, TENANTS + 1):
            user = f"0192f3e4-0000-7000-8001-{n:012x}"
            cls.postgres.query(
                f"select signup('{user}', 'u{n}@example.test', 'U', 'x', '{tenant_id(n)}',"
                f" 'tenant-{n}', 'T', gen_random_uuid(), sha256('s{n}'), now() +"
                f" interval '1 day', gen_random_uuid(), substr(sha256('t'), 1, 16),"
                f" substr(sha256('p'), 1, 8), 'r');"
                f"insert into api_keys (tenant_id, id, name, role, created_by, sha256)"
                f" values ('{tenant_id(n)}', gen_random_uuid(), 'k', 'owner', '{user}',"
                f" '\\x{token(n)}');"
                f"insert into projects (tenant_id, id, name) select '{tenant_id(n)}',"
                f" gen_random_uuid(), 'tenant-{n}' from generate_series(1, {PROJECTS})")
        cls.tenants = "".join(f"{tenant_id(n)} tenant-{n} {token(n)}\n"
                              for n in range(1, TENANTS + 1))

    def kill(self, over, killed):
        """Now and then, one of the server's processes for the application."""
        while not over.wait(KILL_EVERY):
            got = self.postgres.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where"
                " usename = 'rowhouse_app' order by random() limit 1")
            killed.extend(got)

    def run_against(self, url):
        """What the sessions said, summed up."""
        over, killed = threading.Event(), []
        killer = threading.Thread(target=self.kill, args=(over, killed))
        runs = [subprocess.Popen(
            [os.path.join(BUILD, "tests/lib/tenancy/segments"),
             str(SEGMENTS // SESSIONS), str(random.randrange(1 << 30))],
            env=environment(self.postgres.dir, ROWHOUSE_TEST_URL=url),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(SESSIONS)]
        killer.start()
        try:
            for run in runs:
                run.stdin.write(self.tenants)
                run.stdin.close()
                run.stdin = None
            said = [run.communicate(timeout=patience(60 + SEGMENTS / 200))[0]
                    for run in runs]
        finally:
            over.set()
            killer.join()
            for run in runs:
                run.kill()
                run.wait()
        self.assertEqual([run.returncode for run in runs], [0] * SESSIONS)
        total = {k: sum(json.loads(s)[k] for s in said) for k in json.loads(said[0])}
        print(f"{total}, {len(killed)} killed")
        self.assertEqual(total["segments"], SEGMENTS // SESSIONS * SESSIONS)
        self.assertEqual((total["foreign"], total["strange"]), (0, 0))
        # each kind of them was there
        self.assertGreater(total["rows"], SEGMENTS)
        self.assertGreater(min(total["refused"], total["faults"], len(killed)), 0)

    def test_straight(self):
        self.run_against(self.postgres.app_url)

    def test_through_pgbouncer(self):
        bouncer = PgBouncer(self.postgres, size=SESSIONS // 2)
        self.addCleanup(bouncer.close)
        self.run_against(bouncer.app_url)


if __name__ == "__main__":
    if not bin_dir() or not system("pgbouncer"):
        print("skipped: PostgreSQL or PgBouncer is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
