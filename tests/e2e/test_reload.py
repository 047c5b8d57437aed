#!/usr/bin/python3
"""SIGHUP: another configuration, other workers, and not a request lost. A bad
configuration changes nothing."""

import os
import signal
import sys

sys.dont_write_bytecode = True

from harness import Load, Story, eventually, main, wait_until  # noqa: E402

DONE = "pool fcgi: all workers are new"
RESTARTS = 'rowhouse_worker_restarts_total{pool="fcgi",reason="reload"}'
POSTS = 'rowhouse_http_requests_total{method="POST"'


def reload(stack):
    """SIGHUP, and until it is through."""
    before = len(stack.pool.find_lines(msg=DONE))
    os.kill(stack.pool.pid, signal.SIGHUP)
    wait_until(lambda: len(stack.pool.find_lines(msg=DONE)) > before,
               "all workers were replaced", 60.0)


class Reload(Story):

    # who is kept in flight is to be there until all others are new
    settings = {"workers": 4, "log_ring": "1m", "timeout_write": "5min",
                "statement_timeout": "5min"}
    exporter = True

    def tearDown(self):
        """Each test finds the configuration that the pool started with."""
        self.stack.pool.restore(self.good)
        reload(self.stack)

    def setUp(self):
        self.good = dict(self.stack.pool.settings)

    def test_under_load_nothing_is_lost(self):
        s, before = self.stack, self.stack.pool.answering()
        t = s.signup()
        restarts = s.exporter.value(RESTARTS)
        with Load(s, t) as load:
            counts = []
            for _ in range(3):
                load.wait_more(50)
                reload(s)
                counts.append(s.exporter.value(POSTS))
            load.wait_more(50)
            load.check()
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(s.pool.answering() & before, set())
        self.assertEqual(len(s.pool.answering()), 4)
        eventually(lambda: self.assertGreaterEqual(
            s.exporter.value(POSTS), load.count))
        eventually(lambda: self.assertEqual(s.exporter.value(RESTARTS), restarts + 12))

    def test_what_a_reload_may_change_changes(self):
        s = self.stack
        t = s.signup()
        path = f"{t.path}/projects"
        self.assertNotIn("RateLimit", s.api("GET", path, t.token).headers)
        # twice: what the first one read is given back by the second
        for n, name in enumerate(("second", "third")):
            s.pool.configure(service_name=name, limits=True, limit_token=77 + n)
            reload(s)
            got = s.api("GET", path, t.token, headers={"X-Request-Id": f"the-{name}"})
            self.assertIn(f'"token";q={77 + n};', got.headers["RateLimit-Policy"])
            line = s.pool.wait_line(request_id=f"the-{name}")
            self.assertEqual(line["service"], name)
            s.pool.wait_line(msg=DONE, service=name)

    def test_workers_are_scheduled_as_said(self):
        """The master, which has to answer under load, as who started it."""
        s = self.stack
        started = os.sched_getscheduler(0)
        for said, policy in ((None, os.SCHED_BATCH), ("other", started)):
            if said:
                s.pool.configure(worker_scheduling=said)
                reload(s)
            self.assertEqual({os.sched_getscheduler(pid) for pid in
                              s.pool.answering()}, {policy})
            self.assertEqual(os.sched_getscheduler(s.pool.pid), started)

    def test_what_needs_a_restart_is_named_and_stays(self):
        s = self.stack
        s.pool.configure(workers=3, max_connections=7, slow="2s")
        reload(s)
        self.assertEqual(len(s.pool.answering()), 4)
        s.pool.wait_line(level="warn", msg="a reload does not change these,"
                         " a restart does: workers, max_connections")

    def test_a_bad_configuration_changes_nothing(self):
        s, before = self.stack, self.stack.pool.answering()
        with open(s.pool.conf, encoding="utf-8") as f:
            line = f.read().count("\n") + 1
        with open(s.pool.conf, "a", encoding="utf-8") as f:
            f.write("slow = never\nno_such_thing = 1\n")
        os.kill(s.pool.pid, signal.SIGHUP)
        for at, what in ((line, "slow: "), (line + 1, "no_such_thing")):
            wait_until(lambda: [
                x for x in s.pool.find_lines(level="error")
                if f"{s.pool.conf}:{at}: " in x["msg"] and what in x["msg"]],
                f"line {at} is named")
        os.unlink(s.pool.conf)
        os.kill(s.pool.pid, signal.SIGHUP)
        wait_until(lambda: [x for x in s.pool.find_lines(level="error")
                            if "No such file" in x["msg"]], "it is missed")
        self.assertEqual(s.api("GET", "/readyz").status, 200)
        self.assertEqual(s.pool.answering(), before)

    def test_a_request_in_flight_is_waited_for(self):
        s, before = self.stack, self.stack.pool.answering()
        t = s.signup()
        path = s.api("POST", f"{t.path}/projects", t.token,
                     {"name": "P"}).headers["Location"]
        done = len(s.pool.find_lines(msg=DONE))
        with s.busy(path, t) as patch:
            os.kill(s.pool.pid, signal.SIGHUP)
            # the others are replaced meanwhile
            wait_until(lambda: len(s.pool.answering() & before) == 1, "one old worker", 60.0)
            self.assertEqual(s.api("GET", "/readyz").status, 200)
            self.assertEqual(len(s.pool.find_lines(msg=DONE)), done)
        self.assertEqual(patch().status, 200)
        wait_until(lambda: len(s.pool.find_lines(msg=DONE)) > done, "it is through", 60.0)
        self.assertEqual(s.pool.answering() & before, set())


class LoneWorker(Story):

    settings = {"workers": 1}
    web_options = {"keep": False}

    def test_it_is_replaced_too(self):
        s = self.stack
        with Load(s, s.signup(), clients=4) as load:
            for _ in range(3):
                load.wait_more(20)
                reload(s)
            load.check()
        # and the story's end is a SIGTERM in the middle of one more
        os.kill(s.pool.pid, signal.SIGHUP)


if __name__ == "__main__":
    main()
