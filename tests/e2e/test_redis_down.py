#!/usr/bin/python3
"""Redis goes and comes back under load: no client sees an error, and nobody
waits for it for long."""

import sys

sys.dont_write_bytecode = True

import test_api  # noqa: E402
import test_events  # noqa: E402
from harness import Redis, Story, Witness, again, main, patience, wait_until  # noqa: E402

# All of the API once more, with a Redis.
globals().update(again(test_api, redis=Redis))
globals().update(again(test_events, redis=Redis))


class RedisDown(Story):

    redis = Redis
    # as short as an operator has it
    settings = {"workers": 4, "limits": True, "limit_tenant": 1000000,
                "limit_token": 1000000, "redis_timeout": "50ms",
                "redis_connect_timeout": "100ms", "redis_retry": "50ms"}

    def is_used(self, tenant):
        """By the cache and by the limiter, in a request from now on."""
        got = self.expect(200, "GET", f"{tenant.path}/projects", tenant.token)
        line = self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"],
                                         msg="request")
        return (line["cache"], line["limiter"]) == ("hit", "redis")

    def witnessed(self, what, disturb, mend=lambda: None):
        """16 clients while it happens."""
        s = self.stack
        t = s.signup()
        pids = s.pool.answering()
        wait_until(lambda: self.is_used(t), "Redis is made use of", 60.0)
        with Witness(s, t) as w:
            wait_until(lambda: w.count > 200, "they are at work", 60.0)
            with w.phase(what) as seen:
                disturb()
            with w.phase("mended"):
                mend()
            w.check()
        # a lease whose answer came too late is nobody's, and ends by itself: in
        # the time that the longest request may take, and a statement
        wait_until(lambda: self.is_used(t), "Redis is made use of again", 60.0)
        print(f"{what}:\n{w.report()}")
        for phase in w.phases.values():
            self.assertEqual(phase.of("page", "one", "write", "livez") - {200, 201}, set())
        # a worker loses a short timeout, once; then nobody waits: where the machine
        # stands still for seconds only a hang is longer than this
        self.assertLess(seen.quantile(.99) / 1000, patience(5))
        self.assertEqual(s.pool.answering(), pids)

    def test_stopped(self):
        r = self.stack.redis
        self.witnessed("stopped", r.kill, r.start)

    def test_frozen(self):
        r = self.stack.redis
        self.witnessed("frozen", r.freeze, r.thaw)

    def test_flushed(self):
        r = self.stack.redis
        self.witnessed("flushed", lambda: [r.cli("FLUSHALL") for _ in range(20)])

    def test_scripts_flushed(self):
        r = self.stack.redis
        self.witnessed("its scripts flushed", lambda: [r.cli("SCRIPT", "FLUSH") for _ in range(20)])

    def test_restarted(self):
        r = self.stack.redis
        self.witnessed("restarted", r.restart)

    def test_replaced(self):
        """By one that has another run id, and nothing in it."""
        r = self.stack.redis

        def replace():
            r.kill()
            r.start()
        self.witnessed("replaced", replace)

    def test_full(self):
        """It takes no more: what is asked to be kept is not."""
        r = self.stack.redis

        def fill():
            r.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
            r.cli("CONFIG", "SET", "maxmemory", "1")
        self.witnessed("full", fill, lambda: r.cli("CONFIG", "SET", "maxmemory", "0"))


if __name__ == "__main__":
    main()
