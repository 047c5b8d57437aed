#!/usr/bin/python3
"""check_limiter.c needs a PostgreSQL with our migrations and a Redis: starts
them, runs it, once on PostgreSQL itself and once behind a PgBouncer in
transaction mode; answers what it did."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "e2e"))

from harness import Daemon, TempDir, free_port  # noqa: E402
from harness.places import BUILD, patience, system  # noqa: E402
from harness.pool import migrate, write_conf  # noqa: E402
from harness.postgres import Postgres, bin_dir  # noqa: E402

EFFECTS = """
create table effects (k text);
grant select, insert on effects to rowhouse_app;
"""


def redis(temp):
    """On a unix socket; keeps nothing."""
    path = f"{temp}/redis.sock"
    daemon = Daemon([system("redis-server"), "--port", "0", "--unixsocket", path,
                     "--save", "", "--appendonly", "no", "--dir", temp],
                    log=f"{temp}/redis.log")
    daemon.wait_for(lambda: os.path.exists(path), "Redis listens")
    return daemon, f"unix://{path}"


def pgbouncer(temp, postgres):
    """Transaction mode, few servers: a session's segments are spread over them."""
    port = free_port()
    with open(f"{temp}/pgbouncer.ini", "w", encoding="ascii") as f:
        f.write(f"[databases]\nrowhouse = host={postgres.dir} port=5432"
                " user=rowhouse_app\n"
                "[pgbouncer]\npool_mode = transaction\nlisten_addr = 127.0.0.1\n"
                f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\n"
                "max_client_conn = 200\ndefault_pool_size = 5\n")
    # it refuses to run as root
    daemon = Daemon([system("pgbouncer"), f"{temp}/pgbouncer.ini"],
                    log=f"{temp}/pgbouncer.log", user=postgres.user)
    url = f"postgresql://rowhouse_app@127.0.0.1:{port}/rowhouse"
    daemon.wait_for(lambda: subprocess.run(
        ["psql", "-X", "-q", "-c", "select 1", url], check=False,
        capture_output=True).returncode == 0, "PgBouncer serves")
    return daemon, url


def run(url, redis_url, **env):
    env = dict(os.environ, ROWHOUSE_TEST_URL=url, ROWHOUSE_TEST_REDIS=redis_url,
               **env)
    return subprocess.run([os.path.join(BUILD, "tests/lib/data/check_limiter")],
                          env=env, check=False, timeout=patience(240)).returncode


def main():
    if not bin_dir():
        print("skipped: the PostgreSQL server is not installed")
        return 77
    for name in ("redis-server", "pgbouncer"):
        if not system(name):
            print(f"skipped: {name} is not installed")
            return 77
    with Postgres() as postgres, TempDir() as temp:
        conf = f"{temp.path}/rowhouse.conf"
        write_conf(conf, {"admin_database_url": postgres.admin_url})
        migrate(conf, "up", temp=temp.path)
        postgres.query(EFFECTS)
        server, redis_url = redis(temp.path)
        pooler, pooled_url = pgbouncer(temp.path, postgres)
        with server, pooler:
            return (run(postgres.app_url, redis_url) or
                    run(pooled_url, redis_url, ROWHOUSE_TEST_POOLED="1"))


if __name__ == "__main__":
    sys.exit(main())
