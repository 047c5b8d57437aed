#!/usr/bin/python3
"""check_redis.c, check_redis_away.c and check_redis_cluster.c start and end
redis-servers: gives them a folder, and runs them."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "e2e"))

from harness.places import BUILD, patience, system  # noqa: E402
from harness.proc import TempDir  # noqa: E402

if __name__ == "__main__":
    if not system("redis-server"):
        print("skipped: redis-server is not installed")
        sys.exit(77)
    temp = TempDir()
    status = 0
    try:
        for name in sys.argv[1:] or ("check_redis", "check_redis_away",
                                    "check_redis_cluster"):
            done = subprocess.run(
                [os.path.join(BUILD, "tests/lib/data", name)], check=False,
                # a cluster is made, resharded and loses two masters
                env=dict(os.environ, ROWHOUSE_TEST_DIR=temp.path,
                         CK_TIMEOUT_MULTIPLIER=str(patience(1))),
                timeout=patience(600))
            status = status or done.returncode
    finally:
        temp.remove()
    sys.exit(status)
