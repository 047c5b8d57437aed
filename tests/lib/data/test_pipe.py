#!/usr/bin/python3
"""check_pipe.c, check_apart.c, check_session.c and check_hold.c need a PostgreSQL,
and check_pooled.c a PgBouncer in front of it: starts both, runs them, answers what
they did."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "e2e"))

from harness.pgbouncer import PgBouncer  # noqa: E402
from harness.places import BUILD, patience, system  # noqa: E402
from harness.postgres import Postgres, bin_dir  # noqa: E402

TABLES = """
create table things (k text primary key);
create table later (k text unique deferrable initially deferred);
"""


def run(name, url, **env):
    env = dict(os.environ, ROWHOUSE_TEST_URL=url,
               CK_TIMEOUT_MULTIPLIER=str(patience(1)), **env)
    return subprocess.run([os.path.join(BUILD, "tests/lib/data", name)],
                          env=env, check=False, timeout=patience(300)).returncode


def main():
    if not bin_dir():
        print("skipped: the PostgreSQL server is not installed")
        return 77
    if not system("pgbouncer"):
        print("skipped: pgbouncer is not installed")
        return 77
    with Postgres() as postgres:
        postgres.query(TABLES)
        done = [run(name, postgres.super_url) for name in ("check_pipe", "check_apart", "check_session", "check_hold")]
        # one connection to the server: who comes next is given the last one's
        pooler = PgBouncer(postgres, size=1)
        try:
            done.append(run("check_pooled", pooler.app_url,
                            ROWHOUSE_TEST_DIRECT=postgres.super_url))
        finally:
            pooler.close()
    return max(done)


if __name__ == "__main__":
    sys.exit(main())
