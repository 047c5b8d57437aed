#!/usr/bin/python3
"""The same API through PgBouncer in transaction mode, where two of a worker's
transactions seldom meet the same connection to the server."""

import sys

sys.dont_write_bytecode = True

import test_api  # noqa: E402
import test_events  # noqa: E402
from harness import again, main  # noqa: E402

globals().update(again(test_api, bouncer=True))
globals().update(again(test_events, bouncer=True))

if __name__ == "__main__":
    main(needs=["pgbouncer"])
