#!/usr/bin/python3
"""check_limiter.c needs a PostgreSQL with our migrations and a Redis, and
check_advance.c the Redis: starts them and runs both, the first once on PostgreSQL
itself and once behind a PgBouncer in transaction mode; answers what they did."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "e2e"))

from harness.places import BUILD, patience, system  # noqa: E402
from harness.pgbouncer import PgBouncer  # noqa: E402
from harness.postgres import Postgres, bin_dir  # noqa: E402
from harness.redis import Redis  # noqa: E402

EFFECTS = """
create table effects (k text);
grant select, insert on effects to rowhouse_app;
"""


def run(name, url, redis_url, **env):
    env = dict(os.environ, ROWHOUSE_TEST_URL=url, ROWHOUSE_TEST_REDIS=redis_url,
               CK_TIMEOUT_MULTIPLIER=str(patience(1)), **env)
    return subprocess.run([os.path.join(BUILD, "tests/lib/data", name)],
                          env=env, check=False, timeout=patience(600)).returncode


def main():
    if not bin_dir():
        print("skipped: the PostgreSQL server is not installed")
        return 77
    for name in ("redis-server", "pgbouncer"):
        if not system(name):
            print(f"skipped: {name} is not installed")
            return 77
    with Postgres(migrated=True) as postgres, Redis() as redis:
        postgres.query(EFFECTS)
        pooler = PgBouncer(postgres, size=5)
        try:
            return (run("check_advance", postgres.app_url, redis.url) or
                    run("check_limiter", postgres.app_url, redis.url) or
                    run("check_limiter", pooler.app_url, redis.url,
                        ROWHOUSE_TEST_POOLED="1"))
        finally:
            pooler.close()


if __name__ == "__main__":
    sys.exit(main())
