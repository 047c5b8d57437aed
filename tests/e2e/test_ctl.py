#!/usr/bin/python3
"""rowhouse-ctl status: who does what, for a person and for a program."""

import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
from random import Random

sys.dont_write_bytecode = True

from harness import Pool, Story, TempDir, main, patience, program, \
    wait_until  # noqa: E402

# lib/obs/segment_file.h: slot0 and slot_bytes in the head; the request in
# flight behind the slot's first 64 bytes
RUBBISH_FROM, FLIGHT = 216, 64


def ctl(pool, *operands):
    return subprocess.run(
        [program("rowhouse-ctl"), "-c", pool.conf, *operands], env=pool.env,
        capture_output=True, text=True, check=False, timeout=patience(20))


class Lock:
    """A session that holds a table, so that requests for it wait."""

    def __init__(self, postgres, table):
        self.psql = subprocess.Popen(
            postgres.psql("-A", "-t"), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.psql.stdin.write(f"begin; lock table {table}; select 'held';\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline() == "held\n"

    def release(self):
        self.psql.stdin.close()
        self.psql.stdout.close()
        self.psql.wait(patience(10))


class Ctl(Story):

    settings = {"workers": 3, "statement_timeout": "5min",
                "timeout_write": "10min"}

    def status(self, *operands):
        done = ctl(self.stack.pool, "status", *operands)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def test_the_pool_and_its_workers(self):
        s = self.stack
        self.expect(200, "GET", "/readyz")
        got = json.loads(self.status("--json"))
        self.assertIs(got["running"], True)
        self.assertEqual(got["master_pid"], s.pool.pid)
        self.assertEqual((got["pool"], got["service"]), ("fcgi", "rowhouse"))
        version = s.pool.run_option("-V").stdout
        self.assertIn(f"{got['version']} ({got['revision']})", version)
        self.assertGreaterEqual(got["uptime_ms"], 0)
        self.assertEqual([w["slot"] for w in got["workers"]], [1, 2, 3])
        for w in got["workers"]:
            self.assertIn(w["pid"], s.pool.workers())
            self.assertIn(w["state"], ("starting", "idle", "busy"))
            self.assertGreater(w["resident_bytes"], 1 << 16)
            self.assertLess(w["resident_bytes"], 1 << 40)
            self.assertGreaterEqual(w["for_ms"], 0)
            self.assertGreaterEqual(w["generation"], 1)
        # nginx keeps the connection of /readyz; counted once it was passed on
        wait_until(lambda: json.loads(self.status("--json"))
                   ["kept_connections"] >= 1, "a connection is kept")
        wait_until(lambda: sum(w["requests"] for w in json.loads(
            self.status("--json"))["workers"]) >= 1, "a request is counted")
        text = self.status()
        self.assertIn(f"pool fcgi: running, rowhouse {got['version']}", text)
        self.assertIn(f"master {s.pool.pid}, up ", text)
        for w in got["workers"]:
            self.assertRegex(text, rf"(?m)^ +{w['slot']} +{w['pid']}  [a-z]+ ")

    def test_the_request_in_work(self):
        s = self.stack
        t = s.signup()
        lock = Lock(s.postgres, "projects")
        replies = []

        def post():
            with s.client() as c:
                replies.append(c.request(
                    "POST", f"{t.path}/projects", t.token, {"name": "Slow"},
                    {"X-Request-Id": "asked-by-the-operator"}))
        client = threading.Thread(target=post)
        client.start()
        try:
            wait_until(lambda: s.postgres.query(
                "select 1 from pg_stat_activity where wait_event_type = 'Lock'"),
                "the request waits for the lock")
            w = wait_until(self.busy, "the worker waits for PostgreSQL")
            r = w["request"]
            self.assertEqual(w["state"], "busy")
            self.assertEqual((r["phase"], r["method"], r["route"]),
                             ("querying", "POST", "/v1/t/{tenant}/projects"))
            self.assertEqual((r["request_id"], r["tenant"], r["path"]),
                             ("asked-by-the-operator", t.slug,
                              f"{t.path}/projects"))
            self.assertRegex(r["trace_id"], "^[0-9a-f]{32}$")
            self.assertIn("projects.", r["statement"])
            later = wait_until(lambda: self.busy(r["duration_ms"]),
                               "the request gets older")
            self.assertEqual(later["request"]["started_at"], r["started_at"])
            self.assertRegex(
                self.status(), rf"(?m)^ +{w['slot']} +{w['pid']}  busy .*"
                rf"  querying {r['statement']}  POST /v1/t/{{tenant}}/projects"
                rf"  tenant={t.slug}  request_id=asked-by-the-operator$")
        finally:
            lock.release()
            client.join(patience(30))
        self.assertEqual([reply.status for reply in replies], [201], replies)
        wait_until(lambda: all(w["request"] is None for w in json.loads(
            self.status("--json"))["workers"]), "nothing is in work")

    def busy(self, longer_than_ms=0):
        for w in json.loads(self.status("--json"))["workers"]:
            r = w["request"]
            if r and r["phase"] == "querying" and \
                    r["duration_ms"] > longer_than_ms:
                return w
        return None

    def test_restarts_have_their_reason(self):
        pid = json.loads(self.status("--json"))["workers"][0]["pid"]
        before = json.loads(self.status("--json"))["restarts"].get("killed", 0)
        os.kill(pid, signal.SIGKILL)
        got = wait_until(lambda: self.restarted(before), "it is replaced")
        self.assertNotIn(pid, [w["pid"] for w in got["workers"]])
        self.assertGreaterEqual(got["workers"][0]["generation"], 2)
        self.assertIn(f"restarts: killed {got['restarts']['killed']}",
                      self.status())

    def restarted(self, before):
        got = json.loads(self.status("--json"))
        done = got["restarts"].get("killed", 0) > before and \
            len(got["workers"]) == 3
        return got if done else None

    def test_watch_looks_until_it_is_interrupted(self):
        for options, first in ((("--json",), "{"), ((), "\n")):
            watch = subprocess.Popen(
                [program("rowhouse-ctl"), "-c", self.stack.pool.conf, "status",
                 "--watch", *options], env=self.stack.pool.env, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            lines = [watch.stdout.readline() for _ in range(2)]
            self.assertTrue(lines[0].startswith(first), lines)
            self.assertNotIn("\033", "".join(lines))
            if options:
                a, b = map(json.loads, lines)
                self.assertGreater(b["uptime_ms"], a["uptime_ms"])
            watch.send_signal(signal.SIGINT)
            _, said = watch.communicate(timeout=patience(20))
            self.assertEqual((watch.returncode, said), (0, ""))

    def test_a_pool_that_is_not_there(self):
        temp = TempDir()
        pool = Pool(temp.path, self.stack.postgres)
        self.stopped(pool, "there is no such segment")
        with pool:
            self.assertEqual(ctl(pool, "status").returncode, 0)
        wait_until(lambda: ctl(pool, "status").returncode == 3,
                   "a pool that has ended is not running")
        self.stopped(pool, "no process holds its segment")
        pool.start()
        pool.daemon.kill()
        wait_until(lambda: ctl(pool, "status").returncode == 3,
                   "a killed pool is not running")
        self.stopped(pool, "no process holds its segment")

    def stopped(self, pool, why):
        done = ctl(pool, "status")
        self.assertEqual((done.returncode, done.stderr), (3, ""), done)
        self.assertEqual(done.stdout, f"not running: {pool.segment}: {why}\n")
        done = ctl(pool, "status", "--json")
        self.assertEqual(done.returncode, 3, done)
        self.assertEqual(json.loads(done.stdout), {
            "running": False, "segment": pool.segment, "reason": why})

    def test_faults_have_a_reason(self):
        pool = self.stack.pool
        for operands, why in (((), "what to do"), (("dance",), "dance"),
                              (("status", "--loud"), "--loud"),
                              (("status", "2"), '"2"')):
            done = ctl(pool, *operands)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertIn(why, done.stderr)
        temp = TempDir()
        rubbish = Pool(temp.path, self.stack.postgres)
        for bytes_, why in ((b"", "no segment of Rowhouse"),
                            (b"x" * 8192, "no segment of Rowhouse")):
            with open(rubbish.segment, "wb") as f:
                f.write(bytes_)
            done = ctl(rubbish, "status")
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertIn(why, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done)

    def test_rubbish_in_the_slots_is_shown_and_harms_nothing(self):
        temp = TempDir()
        rubbish = Pool(temp.path, self.stack.postgres)
        shutil.copyfile(self.stack.pool.segment, rubbish.segment)
        with open(rubbish.segment, "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX, 1, 0)  # as a pool that lives in it
            f.seek(RUBBISH_FROM)
            slot0, slot_bytes = struct.unpack("<QQ", f.read(16))
            random = Random(1)
            for turn in range(20):
                for slot in range(4):
                    f.seek(slot0 + slot * slot_bytes)
                    f.write(random.randbytes(1400))
                    if turn % 2:                # a state and a phase that are
                        f.seek(slot0 + slot * slot_bytes)
                        f.write(struct.pack("<II", 1 + slot, 3))
                        f.seek(slot0 + slot * slot_bytes + FLIGHT)
                        f.write(struct.pack("<II", 2, 3))
                f.flush()
                text, as_json = ctl(rubbish, "status"), \
                    ctl(rubbish, "status", "--json")
                self.assertEqual((text.returncode, as_json.returncode), (0, 0),
                                 text.stderr + as_json.stderr)
                self.assertTrue(text.stdout.replace("\n", "").isprintable(),
                                text.stdout)
                self.assertIs(json.loads(as_json.stdout)["running"], True)

    def test_it_asks_for_no_secret(self):
        temp = TempDir()
        conf = f"{temp.path}/ctl.conf"
        with open(conf, "w", encoding="ascii") as f:
            f.write('database_url = "file:/nowhere"\n'
                    f'segment = "{self.stack.pool.segment}"\n')
        done = subprocess.run([program("rowhouse-ctl"), "-c", conf, "status"],
                              env=self.stack.pool.env, capture_output=True,
                              check=False, timeout=patience(20))
        self.assertEqual(done.returncode, 0, done)


if __name__ == "__main__":
    main()
