#!/usr/bin/python3
"""coherence.c races readers and writers over a PostgreSQL and a Redis: starts
the one, runs it once for each way in which things go wrong.

    test_coherence.py [--rounds N] [--hosts N] [SCENARIO...]
"""

import argparse
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "e2e"))

from harness.places import BUILD, patience, system  # noqa: E402
from harness.postgres import Postgres, bin_dir  # noqa: E402

SCENARIOS = ("plain", "kills", "flushes", "restarts", "freezes",
             "restores", "cuts", "evictions", "all")
TABLES = """
create table pages (k int primary key, v bigint not null) with (fillfactor = 20);
insert into pages select g, 1 from generate_series(0, 63) g;
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--hosts", type=int, choices=(1, 2), default=0,
                        help="with segments of their own; else one, and once two")
    parser.add_argument("scenarios", nargs="*", default=SCENARIOS)
    args = parser.parse_args()
    if not bin_dir() or not system("redis-server"):
        print("skipped: the PostgreSQL or the Redis server is not installed")
        return 77
    broken = []
    with Postgres() as postgres:
        postgres.query(TABLES)
        env = dict(os.environ, ROWHOUSE_TEST_URL=postgres.super_url)
        runs = [(scenario, args.hosts or 1) for scenario in args.scenarios]
        if not args.hosts and args.scenarios is SCENARIOS:
            runs.append(("flushes", 2))
        for scenario, hosts in runs:
            done = subprocess.run(
                [os.path.join(BUILD, "tests/lib/data/coherence"), scenario,
                 str(args.rounds), str(hosts)],
                env=env, check=False, timeout=patience(300))
            sys.stdout.flush()
            if done.returncode:
                broken.append(f"{scenario} on {hosts}")
    if broken:
        print("does not hold:", *broken)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
