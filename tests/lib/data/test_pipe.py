#!/usr/bin/python3
"""check_pipe.c and check_hold.c need a PostgreSQL: starts one, runs them, answers
what they did."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "e2e"))

from harness.places import BUILD, patience  # noqa: E402
from harness.postgres import Postgres, bin_dir  # noqa: E402

TABLES = """
create table things (k text primary key);
create table later (k text unique deferrable initially deferred);
"""

if __name__ == "__main__":
    if not bin_dir():
        print("skipped: the PostgreSQL server is not installed")
        sys.exit(77)
    with Postgres() as postgres:
        postgres.query(TABLES)
        env = dict(os.environ, ROWHOUSE_TEST_URL=postgres.super_url,
                   CK_TIMEOUT_MULTIPLIER=str(patience(1)))
        done = [subprocess.run([os.path.join(BUILD, "tests/lib/data", name)],
                               env=env, check=False, timeout=patience(300))
                for name in ("check_pipe", "check_hold")]
    sys.exit(max(d.returncode for d in done))
