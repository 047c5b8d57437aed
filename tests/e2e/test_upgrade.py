#!/usr/bin/python3
"""SIGUSR2: the program on disk takes the pool over, under its own pid, and not a
request is lost. One that would not start is not taken."""

import os
import shutil
import signal
import sys

sys.dont_write_bytecode = True

from harness import Load, Pool, Redis, Story, eventually, main, runs, wait_until  # noqa: E402

DONE = "pool fcgi: all workers are new"
POSTS = 'rowhouse_http_requests_total{method="POST"'


class CopiedPool(Pool):
    """Its program is a copy, for the story to replace."""

    def start(self):
        if not self.program.startswith(self.temp):
            built, self.program = self.program, f"{self.temp}/rowhouse-fcgi"
            shutil.copy(built, self.program)
        return super().start()

    def replace(self, text=None):
        """As an installation does it: the same program anew, or a script."""
        aside = f"{self.program}.new"
        if text is None:
            shutil.copy(self.program, aside)
        else:
            with open(aside, "w", encoding="ascii") as f:
                f.write(text)
            os.chmod(aside, 0o755)
        os.rename(aside, self.program)

    def runs_what_is_on_disk(self, pid):
        """True also of one that has ended meanwhile: it has no program."""
        try:
            return os.path.samefile(f"/proc/{pid}/exe", self.program)
        except (FileNotFoundError, ProcessLookupError):
            return not runs(pid)


class Upgraded(Story):

    pool = CopiedPool

    def refusals(self):
        return [x for x in self.stack.pool.find_lines(level="error")
                if "no upgrade, the old program goes on" in x["msg"]]

    def upgrade(self):
        """SIGUSR2, and until it is through."""
        pool = self.stack.pool
        before = len(pool.find_lines(msg=DONE))
        os.kill(pool.pid, signal.SIGUSR2)
        wait_until(lambda: len(pool.find_lines(msg=DONE)) > before or
                   self.refusals(), "the upgrade is through", 60.0)
        self.assertEqual(self.refusals(), [])

    def assertAllNew(self, before):
        pool = self.stack.pool
        self.assertTrue(pool.runs_what_is_on_disk(pool.pid))
        # the log's writer follows at its own pace
        wait_until(lambda: not any(map(runs, before)), "the old ones are gone")
        for pid in set(pool.workers()) - set(before):
            # one that ends has no program, and may not look like it for a while
            wait_until(lambda p=pid: pool.runs_what_is_on_disk(p),
                       f"{pid} runs what is on disk, or ends")


class Upgrade(Upgraded):

    # who is kept in flight is to be there until all others are new
    settings = {"workers": 4, "log_ring": "1m", "timeout_write": "5min",
                "statement_timeout": "5min"}
    exporter = True

    def test_the_same_layout_keeps_all_and_counts_on(self):
        s, t = self.stack, self.stack.signup()
        pid, inode = s.pool.pid, os.stat(s.pool.segment).st_ino
        with Load(s, t) as load:
            counts = []
            for _ in range(2):
                load.wait_more(50)
                before = s.pool.workers()
                s.pool.replace()
                self.upgrade()
                counts.append(s.exporter.value(POSTS))
                self.assertAllNew(before)
            load.wait_more(50)
            load.check()
        self.assertEqual(s.pool.pid, pid)
        self.assertEqual(os.stat(s.pool.segment).st_ino, inode)
        self.assertGreater(counts[0], 50)
        self.assertEqual(counts, sorted(counts))
        eventually(lambda: self.assertGreaterEqual(
            s.exporter.value(POSTS), load.count))
        # each request has its line, whoever wrote it out
        wait_until(lambda: len(s.pool.find_lines(
            msg="request", tenant=t.slug, route="/v1/t/{tenant}/projects/{id}/tasks"))
            >= load.count, "a line for each request")
        self.assertEqual(s.pool.torn, [])

    def test_another_layout_takes_over_too(self):
        """What a reload cannot change, an upgrade does."""
        s, t = self.stack, self.stack.signup()
        with Load(s, t) as load:
            for workers, connections in ((6, 300), (3, 1024), (4, 512)):
                load.wait_more(50)
                before = s.pool.workers()
                s.pool.configure(workers=workers, max_connections=connections)
                self.upgrade()
                self.assertAllNew(before)
                self.assertEqual(len(s.pool.answering()), workers)
            load.wait_more(50)
            load.check()

    def test_a_pool_that_follows_its_load_is_taken_over(self):
        s, t = self.stack, self.stack.signup()
        good = dict(s.pool.settings)
        with Load(s, t) as load:
            for change in ({"pool": "dynamic"}, {"workers": 5},
                           {"pool": "ondemand", "idle_timeout": "100ms"},
                           {"workers": 4}, {"pool": "static"}):
                load.wait_more(50)
                before = s.pool.workers()
                s.pool.configure(**change)
                self.upgrade()
                self.assertAllNew(before)
            load.wait_more(50)
            load.check()
        s.pool.restore(good)
        self.upgrade()

    def test_requests_in_flight_are_waited_for(self):
        s, t = self.stack, self.stack.signup()
        for connections in (512, 513):
            s.pool.configure(max_connections=connections)
            path = s.api("POST", f"{t.path}/projects", t.token,
                         {"name": f"P{connections}"}).headers["Location"]
            before = s.pool.answering()
            done = len(s.pool.find_lines(msg=DONE))
            with s.busy(path, t) as patch:
                os.kill(s.pool.pid, signal.SIGUSR2)
                wait_until(lambda: len(s.pool.answering() & before) == 1,
                           "one old worker", 60.0)
                self.expect(200, "GET", "/readyz")
                self.assertEqual(len(s.pool.find_lines(msg=DONE)), done)
            self.assertEqual(patch().status, 200)
            wait_until(lambda: len(s.pool.find_lines(msg=DONE)) > done,
                       "it is through", 60.0)

    def test_what_would_not_start_is_not_taken(self):
        s = self.stack
        # without what an earlier upgrade has left to be reaped
        before = wait_until(self.settled, "no child ends any more")
        good = dict(s.pool.settings)
        with open(s.pool.program, "rb") as f:
            program = f.read()

        def refused(*said):
            count = len(self.refusals())
            os.kill(s.pool.pid, signal.SIGUSR2)
            wait_until(lambda: len(self.refusals()) > count, "it is refused")
            for text in said:
                self.assertTrue([x for x in s.pool.find_lines(level="error")
                                 if text in x["msg"]], text)
            self.assertEqual(s.pool.workers(), before)
            self.expect(200, "GET", "/readyz")

        s.pool.configure(slow="never")
        refused(f"{s.pool.conf}:", "slow: ", "its trial ended with exit status 1")
        s.pool.restore({**good, "database_url": "host=/nowhere"})
        refused("PostgreSQL is away")
        s.pool.restore(good)
        s.pool.replace("#!/bin/sh\nkill -SEGV $$\n")
        refused("its trial ended with signal 11")
        os.unlink(s.pool.program)
        refused("cannot run")
        with open(s.pool.program, "wb") as f:
            f.write(program)
        os.chmod(s.pool.program, 0o755)
        s.pool.forget_errors()
        self.upgrade()
        self.assertAllNew(before)

    def settled(self):
        """The master's children, where there are workers and the log's writer and
        all run what is on disk."""
        pool = self.stack.pool
        found = pool.workers()
        return len(found) == pool.settings["workers"] + 1 and all(
            runs(pid) and pool.runs_what_is_on_disk(pid) for pid in found) and found


class Known(Upgraded):
    """The limiter asks Redis nothing here: what a write asks is the cache's."""

    settings = {"workers": 2, "limiter": "shm", "timeout_other": "5min"}
    redis = Redis

    def line_of(self, got):
        return self.stack.pool.wait_line(
            request_id=got.headers["X-Request-Id"], msg="request")

    def asked(self, projects, token, name):
        got = self.expect(201, "POST", projects, token, {"name": name})
        return self.line_of(got)["rt"]["redis"]

    def test_what_nobody_reads_is_known_to_the_same_layout(self):
        t = self.stack.signup()
        projects = f"{t.path}/projects"
        self.assertEqual([self.asked(projects, t.token, n) for n in "abc"], [1, 0, 0])
        self.upgrade()
        self.assertEqual(self.asked(projects, t.token, "d"), 0)

    def test_nothing_is_known_of_before_another(self):
        t = self.stack.signup()
        projects = f"{t.path}/projects"
        self.assertEqual([self.asked(projects, t.token, n) for n in "ab"], [1, 0])
        self.stack.pool.configure(workers=3)
        self.upgrade()
        self.assertEqual([self.asked(projects, t.token, n) for n in "cd"], [1, 0])
        # one of theirs might have been in a write that Redis was not told of
        got = self.expect(200, "GET", projects, t.token)
        self.assertEqual(self.line_of(got)["cache"], "bypass")


if __name__ == "__main__":
    main()
