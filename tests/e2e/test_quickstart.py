#!/usr/bin/python3
"""contrib/quickstart: up, harmless when run again, two side by side, and
nothing left after stop."""

import json
import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

from harness import (BUILD, SOURCE, Client, TempDir, eventually, free_port,  # noqa: E402
                     main, patience, runs)

KEYS = ["base_url", "exporter_url", "tenant", "token", "log", "config", "segment",
        "database_url", "admin_database_url", "redis_url", "fcgi_socket", "web_conf",
        "pids"]
PIDS = ["fcgi", "jobs", "exporter", "nginx", "postgres", "redis"]


class Quickstart(unittest.TestCase):

    def setUp(self):
        self.temp = TempDir()
        os.chmod(self.temp.path, 0o755)
        self.addCleanup(self.temp.remove)

    def place(self, name):
        """The environment of one."""
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("OTEL_", "ROWHOUSE_", "PG"))}
        env.update(ROWHOUSE_HOME=f"{self.temp.path}/{name}", ROWHOUSE_BUILD=BUILD,
                   ROWHOUSE_PORT=str(free_port()), ROWHOUSE_WORKERS="2",
                   ROWHOUSE_EXPORTER_PORT=str(free_port()))
        self.addCleanup(self.run_it, env, "stop")
        return env

    def run_it(self, env, *operands):
        return subprocess.run([f"{SOURCE}/contrib/quickstart", *operands], env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=patience(120))

    def up(self, env, *options):
        done = self.run_it(env, "--no-build", *options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        path = f"{env['ROWHOUSE_HOME']}/quickstart.json"
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, encoding="utf-8") as f:
            return json.load(f)

    def works(self, env, q):
        self.assertEqual(list(q), KEYS)
        self.assertEqual(list(q["pids"]), PIDS)
        self.assertEqual(q["base_url"], f"http://127.0.0.1:{env['ROWHOUSE_PORT']}")
        self.assertEqual(q["tenant"], "demo")
        for name in ("log", "config", "segment", "fcgi_socket", "web_conf"):
            self.assertTrue(os.path.exists(q[name]), q[name])
        with Client(int(env["ROWHOUSE_PORT"])) as c:
            got = c.request("POST", "/v1/t/demo/projects", q["token"], {"name": "P"})
            self.assertEqual(got.status, 201, got)
            key = c.request("GET", "/v1/t/demo/api-keys", q["token"])
            self.assertEqual([k["role"] for k in key.json["data"]], ["owner"])
        # a Redis that was slow once is asked again by a later request
        eventually(lambda: self.has_redis(env, q))
        for url in (q["database_url"], q["admin_database_url"]):
            done = subprocess.run(["psql", "-X", "-A", "-t", url, "-c", "select 1"],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.stdout.strip(), "1", done.stderr)
        for name, pid in q["pids"].items():
            if pid is not None and os.geteuid() == 0:
                self.assertNotEqual(os.stat(f"/proc/{pid}").st_uid, 0, name)

    def has_redis(self, env, q):
        with Client(int(env["ROWHOUSE_PORT"])) as c:
            c.request("GET", "/v1/t/demo/projects", q["token"])
        with Client(int(env["ROWHOUSE_EXPORTER_PORT"])) as c:
            got = c.request("GET", "/metrics")
        self.assertIn(b"rowhouse_http_requests_total", got.body)
        self.assertEqual(q["redis_url"] is not None,
                         b'rowhouse_dependency_up{dependency="redis"} 1'
                         in got.body)

    def test_up_again_side_by_side_and_gone(self):
        one, two = self.place("one"), self.place("two")
        self.assertEqual(self.run_it(one, "status").returncode, 3)
        first = self.up(one)
        self.works(one, first)
        self.assertIsNotNone(first["redis_url"])
        self.assertIsNotNone(first["pids"]["jobs"])
        self.assertEqual(self.run_it(one, "status").returncode, 0)

        again = self.up(one)
        self.assertEqual(again, first)

        taken = {**two, "ROWHOUSE_PORT": one["ROWHOUSE_PORT"]}
        done = self.run_it(taken, "--no-build")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"port {one['ROWHOUSE_PORT']} is taken", done.stderr)

        second = self.up(two, "--no-redis", "--web", "apache")
        self.works(two, second)
        self.assertIsNone(second["redis_url"])
        self.assertIsNone(second["pids"]["redis"])

        self.stop(one, first)
        self.works(two, second)
        self.assertNotEqual(self.run_it(one, "status").returncode, 0)
        back = self.up(one)
        self.assertEqual(back["token"], first["token"])
        self.stop(one, back)
        self.stop(two, second)
        self.assertEqual(self.run_it(two, "stop").returncode, 0)

    def stop(self, env, q):
        done = self.run_it(env, "stop")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("killed", done.stdout)
        left = [f"{name} {pid}" for name, pid in q["pids"].items()
                if pid is not None and runs(pid)]
        self.assertEqual(left, [])
        home = os.path.realpath(env["ROWHOUSE_HOME"]).encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read()
            except OSError:
                continue
            self.assertNotIn(home, line, pid)
        self.assertFalse(os.path.exists(q["segment"]))

    def test_what_it_does_not_know(self):
        env = self.place("bad")
        for operands, more, word in (
                (("--colour",), {}, "--colour"), (("--web", "iis"), {}, "iis"),
                (("status",), {"ROWHOUSE_PORT": "http"}, "ROWHOUSE_PORT"),
                (("status",), {"ROWHOUSE_PORT": "80"}, "ROWHOUSE_PORT"),
                (("status",), {"ROWHOUSE_HOME": "/tmp/a b"}, "ROWHOUSE_HOME"),
                (("status",), {"ROWHOUSE_WORKERS": "many"}, "ROWHOUSE_WORKERS"),
                (("status",), {"ROWHOUSE_LIMITS": "no"}, "ROWHOUSE_LIMITS"),
                (("status",), {"ROWHOUSE_WEBHOOK_ALLOW": "all\n"}, "ROWHOUSE_WEBHOOK_ALLOW")):
            with self.subTest(operands=operands, more=more):
                done = self.run_it({**env, **more}, *operands)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(word, done.stderr)


if __name__ == "__main__":
    main()
