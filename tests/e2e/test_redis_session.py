#!/usr/bin/python3
"""Redis is there, away, and back: workers open it, say so, and need it for
nothing."""

import sys

sys.dont_write_bytecode = True

from harness import Redis, Stack, Story, main, wait_until  # noqa: E402

UP = 'rowhouse_dependency_up{dependency="redis"}'


class RedisSession(Story):

    settings = {"workers": 3, "redis_timeout": "50ms",
                "redis_connect_timeout": "100ms", "redis_retry": "20ms"}
    exporter = True

    @staticmethod
    def redis():
        return Redis("hush-hush")

    def is_up(self, value):
        return self.stack.exporter.value(UP) == value

    def test_away_and_back_and_ready_all_the_time(self):
        s = self.stack
        t = s.signup()
        # the gauge is up with the first of them
        wait_until(lambda: self.is_up(1), "the workers have their Redis")
        wait_until(lambda: s.redis.cli("CLIENT", "LIST").count("name=rowhouse-fcgi")
                   == 3, "each worker has a session")
        before = s.pool.workers()
        for end, start in ((s.redis.kill, s.redis.start),
                           (s.redis.freeze, s.redis.thaw)):
            s.pool.lines.clear()
            end()
            for _ in range(12):
                self.expect(200, "GET", "/readyz")
                self.expect(200, "GET", f"{t.path}/projects", t.token)
            start()
            wait_until(lambda: self.is_up(1), "the workers have it again")
        s.redis.kill()
        wait_until(lambda: self.is_up(0), "all workers know that it is away")
        # others are of slow requests
        line = wait_until(lambda: [x for x in s.pool.find_lines(level="warn")
                                   if "Redis is away" in x["msg"]], "a line says so")[0]
        self.assertNotIn("hush", line["msg"])
        self.expect(200, "GET", "/readyz")
        s.redis.start()
        wait_until(lambda: self.is_up(1), "the workers have it again")
        wait_until(lambda: any(x["msg"] == "Redis is back" for x in s.pool.lines),
                   "a line says so")
        self.assertEqual(s.pool.workers(), before)

    def test_the_secret_is_not_printed(self):
        done = self.stack.pool.run_option("-T")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("redis_url", done.stdout)
        self.assertNotIn("hush-hush", done.stdout)


class NoRedis(Story):

    settings = {"workers": 2}
    exporter = True

    def test_nothing_is_said_of_what_is_not_configured(self):
        self.stack.signup()
        self.assertNotIn('dependency="redis"', self.stack.exporter.metrics())
        self.assertEqual([x for x in self.stack.pool.find_lines(level="warn")
                          if "Redis" in x["msg"]], [])

    def test_a_url_that_cannot_be_is_a_fault(self):
        pool = self.stack.pool
        settings = dict(pool.settings)
        for url, why in (("rediss://r.example", "etc/stunnel"),
                         ("redis://hush-hush@r.example", "without a password"),
                         ("r.example:6379", "neither redis:// nor unix://")):
            pool.configure(redis_url=url)
            done = pool.run_option("-t")
            pool.restore(settings)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, rf"rowhouse\.conf: redis_url: .*{why}")
            self.assertNotIn("hush", done.stderr)

    def test_a_pool_starts_without_the_redis_it_is_told_of(self):
        with Stack(workers=2, redis_url="redis://127.0.0.1:1") as s:
            s.signup()
            s.pool.wait_line(level="warn", msg="Redis is away: 127.0.0.1:1:"
                             " Connection refused")


if __name__ == "__main__":
    main(needs=("redis-server",))
