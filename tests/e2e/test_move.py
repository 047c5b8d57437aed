#!/usr/bin/python3
"""rowhouse-ctl tenant move: under load, killed at each step, undone."""

import subprocess
import sys

sys.dont_write_bytecode = True

from harness import main, patience, program  # noqa: E402
from harness.placed import Leaver, Placed, Reader, Writers  # noqa: E402
from harness.pool import write_conf  # noqa: E402


STEPS = ("makes room where it goes", "publishes its rows", "subscribes to them", "copies its rows",
         "catches up", "pauses", "switches", "is served where it goes", "ends the replication",
         "removes its rows where it was")


class Move(Placed):

    settings = {"workers": 4, "jobs_workers": 2}
    debug_jobs = True

    def test_under_load_there_and_back(self):
        """Whoever writes, reads the feed and leaves jobs feels a pause, no more."""
        s = self.stack
        t, other = s.signup(), s.signup()
        home, big = s.postgres, self.big
        with Reader(self, t) as reader, Writers(self, t) as w, Leaver(self, t) as leaver:
            for place, here, there in (("big", home, big), ("home", big, home)):
                w.wait_more(200)
                got = self.move(t, place)
                print(f"to {place}: {got['rows']}, paused for {got['paused_ms']} ms,"
                      f" put off: {sum(w.put_off)}")
                self.assertGreater(got["rows"]["tasks"], 200)
                w.wait_more(200)
                self.assertEqual(self.rows(here, t), {})
                self.nothing_left()
            w.check(home)
            leaver.check(home)
            versions = reader.check(home)
        self.assertGreater(leaver.left, 0)
        self.assertEqual(versions[w.project.rsplit("/", 1)[1]], w.changed + 1)
        self.assertEqual(self.rows(big, t), {})
        self.expect(200, "GET", f"{other.path}/projects", other.token)
        self.assertEqual(self.rows(big, other), {})

    def test_one_that_is_there_already_stays(self):
        t = self.stack.signup()
        self.assertEqual(self.move(t, "home")["paused_ms"], 0)
        self.expect(200, "GET", f"{t.path}/projects", t.token)

    def test_what_cannot_be_done_is_said(self):
        s = self.stack
        t = s.signup()
        for operands, said in ((("move", t.slug, "nowhere"), 'has no placement "nowhere"'),
                               (("move", "nobody-has-this", "big"), "there is no tenant"),
                               (("move", t.slug, "--abort"), "no move of it is under way"),
                               (("move", t.slug), "tenant: wants")):
            done = self.ctl(*operands)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertIn(said, done.stderr)
        conf = f"{s.temp}/other.conf"
        for said, home, place in (
                ("not a superuser's", s.postgres.admin_url, {}),
                ("the database of another place", s.postgres.super_url,
                 {"move_database_url": s.postgres.super_url})):
            write_conf(conf, {**s.pool.settings, "move_database_url": home,
                              "placement big": {**self.placement(), **place}})
            done = self.ctl("move", t.slug, "big", conf=conf)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertIn(said, done.stderr)
        self.nothing_left()
        self.expect(200, "GET", f"{t.path}/projects", t.token)

    def restart_home(self, how):
        s = self.stack
        s.postgres.query(f"alter system {how}")
        s.postgres.stop()
        s.postgres.start()
        self.home_is_back()

    def test_a_source_that_cannot_replicate_is_told_so_first(self):
        t = self.stack.signup()
        self.restart_home("set wal_level = 'replica'")
        try:
            done = self.ctl("move", t.slug, "big")
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertIn("home: needs wal_level = logical", done.stderr)
            self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": "Here"})
            self.assertEqual(self.rows(self.big, t), {})
        finally:
            self.restart_home("reset all")
        self.nothing_left()

    # ---- killed ----

    def killed_at(self, step, tenant, place):
        """True: it was killed when it said so, or a moment later."""
        child = subprocess.Popen(
            [program("rowhouse-ctl"), "-c", self.stack.pool.conf, "tenant", "move", tenant.slug,
             place], env=self.stack.pool.env, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        said = []
        for line in child.stderr:
            said.append(line)
            if line.endswith(f": {step}\n"):
                child.kill()
                break
        child.stderr.close()
        child.wait(patience(120))
        self.assertTrue(said and said[-1].endswith(f": {step}\n"), said)

    def tenant(self):
        t = self.stack.signup()
        made = self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": "Kept"})
        self.expect(201, "POST", f"{made.headers['Location']}/tasks", t.token, {"title": "Kept"})
        return t

    def ask(self, tenant):
        """Whatever is under way: it is served, or put off."""
        got = self.stack.api("GET", f"{tenant.path}/tasks", tenant.token)
        if got.status == 503:
            self.assertGreater(int(got.headers["Retry-After"]), 0)
        else:
            self.assertEqual((got.status, [x["title"] for x in got.json["data"]]),
                             (200, ["Kept"]), got)

    def served(self, tenant, there, here):
        got = self.expect(200, "GET", f"{tenant.path}/tasks", tenant.token)
        self.assertEqual([x["title"] for x in got.json["data"]], ["Kept"])
        self.assertEqual(self.rows(there, tenant)["tasks"], 1)
        self.assertEqual(self.rows(here, tenant), {})
        self.nothing_left()

    def test_it_is_killed_at_each_step_and_run_again(self):
        home, big = self.stack.postgres, self.big
        t = self.tenant()
        place, there, here = "big", big, home
        for step in STEPS:
            with self.subTest(step=step, place=place):
                self.killed_at(step, t, place)
                self.ask(t)
                done = self.ctl("move", t.slug, place)
                self.assertEqual(done.returncode, 0, done)
                self.served(t, there, here)
            place, there, here = ("home", home, big) if place == "big" else ("big", big, home)

    def test_it_is_killed_and_undone(self):
        home, big = self.stack.postgres, self.big
        t = self.tenant()
        for step in STEPS[:6]:
            with self.subTest(step=step):
                self.killed_at(step, t, "big")
                done = self.ctl("move", t.slug, "--abort")
                if done.returncode:     # it had gone on for a moment
                    self.assertIn("it is served there already", done.stderr)
                    self.move(t, "big")
                    self.move(t, "home")
                self.served(t, home, big)


if __name__ == "__main__":
    main()
