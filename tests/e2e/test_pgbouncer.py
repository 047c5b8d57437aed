#!/usr/bin/python3
"""The same API through PgBouncer in transaction mode, where two of a worker's
transactions seldom meet the same connection to the server; so do the pool of jobs'."""

import sys

sys.dont_write_bytecode = True

import test_api  # noqa: E402
import test_events  # noqa: E402
import test_idempotency  # noqa: E402
import test_inboxes  # noqa: E402
import test_jobs  # noqa: E402
import test_jobs_api  # noqa: E402
import test_webhooks  # noqa: E402
from harness import again, main  # noqa: E402

for module, only in ((test_api, None), (test_events, None),
                     (test_jobs, ("Queue",)),
                     (test_jobs_api, ("Api", "Crons")),
                     (test_webhooks, ("Api", "Delivered")),
                     (test_inboxes, ("Inboxes", "Forward")),
                     (test_idempotency, ("Replay", "AtOnce"))):
    globals().update(again(module, only, bouncer=True))


class JobsKilled(test_jobs.JobsStory):
    bouncer = True
    test_killed_workers_lose_nothing_and_do_nothing_twice = \
        test_jobs.WhateverDies.test_killed_workers_lose_nothing_and_do_nothing_twice


if __name__ == "__main__":
    main(needs=["pgbouncer"])
