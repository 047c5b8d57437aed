#!/usr/bin/python3
"""rowhouse-jobs, the second pool: the same master, segment, log and metrics. It
starts before the first or after it, drains, reloads, and follows the first one
into another segment; neither feels the other's end."""

import os
import signal
import sys

sys.dont_write_bytecode = True

from harness import Jobs, Story, eventually, main, wait_until  # noqa: E402

DONE = "pool jobs: all workers are new"
SEATS = 'rowhouse_workers{pool="jobs",state="idle"}'


def restarts(reason, pool="jobs"):
    return (f'rowhouse_worker_restarts_total{{pool="{pool}",'
            f'reason="{reason}"}}')


class JobsPool(Story):

    settings = {"jobs_workers": 3}
    exporter = True
    jobs = True

    def setUp(self):
        self.pool, self.jobs_pool = self.stack.pool, self.stack.jobs
        if not self.jobs_pool.daemon.alive():
            self.jobs_pool.start()
        self.all_idle()

    def all_idle(self):
        eventually(lambda: self.assertEqual(self.stack.exporter.value(SEATS), 3))

    def value(self, series):
        return self.stack.exporter.value(series)

    def test_both_pools_are_in_one_segment(self):
        eventually(self.shows_both)
        self.jobs_pool.wait_line(msg="pool jobs: 3 workers")
        self.assertEqual(self.pool.find_lines(msg="pool jobs: 3 workers"), [])

    def shows_both(self):
        text = self.stack.exporter.metrics()
        for series in ('rowhouse_workers{pool="fcgi",state="idle"} 2',
                       'rowhouse_workers{pool="jobs",state="idle"} 3',
                       'process_resident_memory_bytes{pool="jobs"} ',
                       'process_cpu_seconds_total{pool="jobs"} ',
                       'rowhouse_listen_queue_length{pool="fcgi"} '):
            self.assertIn(f"\n{series}", text)
        self.assertEqual(text.count("# TYPE process_max_fds "), 1)
        self.assertNotIn('rowhouse_listen_queue_length{pool="jobs"}', text)
        self.assertIn('rowhouse_dependency_up{dependency="postgresql"} 1', text)

    def test_a_killed_worker_is_replaced_and_counted_there_alone(self):
        killed, others = self.value(restarts("killed")), self.value(
            restarts("killed", "fcgi"))
        pids = self.jobs_pool.answering()
        os.kill(min(pids), signal.SIGKILL)
        eventually(lambda: self.assertEqual(
            self.value(restarts("killed")), killed + 1))
        self.all_idle()
        self.assertEqual(len(self.jobs_pool.answering() & pids), 2)
        self.assertEqual(self.value(restarts("killed", "fcgi")), others)

    def test_a_reload_replaces_all_of_its_workers_and_none_of_the_others(self):
        pids, others = self.jobs_pool.answering(), self.pool.answering()
        before = len(self.jobs_pool.find_lines(msg=DONE))
        os.kill(self.jobs_pool.pid, signal.SIGHUP)
        wait_until(lambda: len(self.jobs_pool.find_lines(msg=DONE)) > before,
                   "all workers were replaced", 30.0)
        self.assertEqual(self.jobs_pool.answering() & pids, set())
        self.assertEqual(self.pool.answering(), others)

    def test_the_program_on_disk_takes_over_under_the_same_pid(self):
        pid, pids = self.jobs_pool.pid, self.jobs_pool.answering()
        before = len(self.jobs_pool.find_lines(msg=DONE))
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda: len(self.jobs_pool.find_lines(msg=DONE)) > before,
                   "all workers are the new program's", 60.0)
        self.all_idle()
        self.assertTrue(self.jobs_pool.daemon.alive())
        self.assertEqual(self.jobs_pool.answering() & pids, set())

    def test_its_end_and_start_leave_the_first_pool_as_it_is(self):
        others, inode = self.pool.answering(), os.stat(self.pool.segment).st_ino
        self.jobs_pool.stop()
        eventually(lambda: self.assertEqual(self.value(SEATS), 0))
        self.expect(200, "GET", "/readyz")
        self.jobs_pool.start()
        self.all_idle()
        self.assertEqual(os.stat(self.pool.segment).st_ino, inode)
        self.assertEqual(self.pool.answering(), others)

    def test_a_second_one_is_refused(self):
        second = Jobs(self.pool).run_option()
        self.assertEqual(second.returncode, 1, second)
        self.assertIn("a pool that is running", second.stderr)

    def test_a_killed_master_takes_its_workers_along(self):
        pids = self.jobs_pool.answering()
        self.jobs_pool.daemon.kill()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}")
                                   for pid in pids), "its workers end")
        self.jobs_pool.start()
        self.all_idle()

    def test_postgresql_comes_and_goes(self):
        up = 'rowhouse_dependency_up{dependency="postgresql"} '
        self.stack.postgres.stop()
        wait_until(lambda: [x for x in self.jobs_pool.find_lines(level="warn")
                            if x["msg"].startswith("PostgreSQL is away")],
                   "its log says so")
        eventually(lambda: self.assertIn(f"{up}0", self.stack.exporter.metrics()))
        self.stack.postgres.start()
        eventually(lambda: self.assertIn(f"{up}1", self.stack.exporter.metrics()))
        self.all_idle()


class AnotherSegment(Story):
    """The first pool's own restart, and its upgrade, with another layout."""

    settings = {"jobs_workers": 1}
    exporter = True
    jobs = True

    def follow(self, change):
        s, inode = self.stack, os.stat(self.stack.pool.segment).st_ino
        pid = s.jobs.pid
        change()
        wait_until(lambda: os.stat(s.pool.segment).st_ino != inode,
                   "the segment is another file", 60.0)
        eventually(lambda: self.assertEqual(s.exporter.value(
            'rowhouse_workers{pool="jobs",state="idle"}'), 1), 60.0)
        self.assertEqual(s.jobs.pid, pid)
        self.assertTrue(s.jobs.daemon.alive())
        s.jobs.wait_line(level="warn", msg="the segment was laid out anew by"
                         " another pool: this one starts over in it")

    def test_it_follows(self):
        s = self.stack

        def restart():
            s.pool.stop()
            s.pool.configure(workers=3)
            s.pool.start()

        def upgrade():
            s.pool.configure(workers=4)
            os.kill(s.pool.pid, signal.SIGUSR2)

        self.follow(restart)
        self.follow(upgrade)

    def test_ahead_of_the_first_pool_it_is_refused(self):
        s, was = self.stack, dict(self.stack.pool.settings)
        s.jobs.stop()
        s.pool.configure(workers=was["workers"] + 1)
        early = s.jobs.run_option()
        self.assertEqual(early.returncode, 1, early)
        self.assertIn("belongs to the pool fcgi", early.stderr)
        s.pool.restore(was)
        s.jobs.start()
        eventually(lambda: self.assertEqual(s.exporter.value(
            'rowhouse_workers{pool="jobs",state="idle"}'), 1))


if __name__ == "__main__":
    main()
