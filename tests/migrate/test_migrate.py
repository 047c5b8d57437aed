#!/usr/bin/python3
"""rowhouse-migrate against a PostgreSQL of its own: whatever cuts it off,
another run ends where an undisturbed one does."""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "e2e"))

# pylint: disable=wrong-import-position
from harness.places import BUILD, patience
from harness.postgres import Postgres, bin_dir
from harness.proc import TempDir, wait_until

PROGRAM = os.path.join(BUILD, "migrate/rowhouse-migrate")
ADMIN = "rowhouse_owner"
CIC = "-- rowhouse: no-transaction\n"

BASIC = {
    "0001_people.up.sql": "-- why\ncreate table people (id int, name text);\n",
    "0001_people.down.sql": "drop table people;\n",
    "0002_index.up.sql": CIC + "create index concurrently people_id on people"
                               " (id);\ncreate unique index concurrently"
                               " people_name on only people (name);\n",
    "0002_index.down.sql": CIC + "drop index concurrently people_name;\n"
                                 "drop index concurrently people_id;\n",
    "0003_towns.up.sql": "create table towns (id int);\n"
                         "insert into towns values (1);\n",
    "0003_towns.down.sql": "drop table towns;\n",
}


class Migrating(unittest.TestCase):
    """A database and a folder for each test."""

    number = 0

    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres()
        cls.addClassCleanup(cls.postgres.close)

    def setUp(self):
        Migrating.number += 1
        self.database = f"story{Migrating.number}"
        self.postgres.query(f"create database {self.database} owner {ADMIN}",
                            database="postgres")
        temp = TempDir()
        self.addCleanup(temp.remove)
        self.temp = temp.path
        self.sql = os.path.join(self.temp, "sql")
        os.mkdir(self.sql)
        self.conf = os.path.join(self.temp, "rowhouse.conf")
        self.url = (f"postgresql:///{self.database}?host={self.postgres.dir}"
                    f"&user={ADMIN}")
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f'admin_database_url = "{self.url}"\nunknown_here = 1\n')

    def files(self, files, folder=None):
        """Writes the files, or takes one away where its text is None."""
        for name, text in files.items():
            path = os.path.join(folder or self.sql, name)
            if text is None:
                os.remove(path)
                continue
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)

    def query(self, sql, user="postgres"):
        return self.postgres.query(sql, user=user, database=self.database)

    def argv(self, *operands):
        return [PROGRAM, "-c", self.conf, "-d", self.sql, *operands]

    def environment(self):
        return {k: v for k, v in os.environ.items()
                if not k.endswith("DATABASE_URL") and not k.startswith("PG")}

    def start(self, *operands):
        child = subprocess.Popen(self.argv(*operands), env=self.environment(),
                                 stdin=subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end, child)
        return child

    @staticmethod
    def end(child):
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                pipe.close()

    def finish(self, child, status=0):
        out, err = child.communicate(timeout=patience(60))
        self.assertEqual(child.returncode, status, out + err)
        return out, err

    def migrate(self, *operands, status=0):
        """What it says on stdout, or on stderr where it fails."""
        out, err = self.finish(self.start(*operands), status)
        return err if status else out

    def states(self):
        out = json.loads(self.migrate("status", "--json"))
        return {m["version"]: m["state"] for m in out["migrations"]}

    def schema(self):
        """All that a migration can leave behind."""
        return (self.query(
            "select c.relname, c.relkind, coalesce(i.indisvalid, true)"
            " from pg_class c left join pg_index i on i.indexrelid = c.oid"
            " where relnamespace = 'public'::regnamespace order by 1"),
            self.query("select version, name, checksum, state"
                       " from rowhouse_migrations order by 1"))

    def busy(self, sql):
        """A session with a transaction open; commit it by closing stdin."""
        child = subprocess.Popen(
            self.postgres.psql("-A", "-t", database=self.database), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.end, child)
        child.stdin.write(f"begin;\n{sql};\nselect 'open';\n")
        child.stdin.flush()
        while child.stdout.readline().strip() != "open":
            self.assertIsNone(child.poll())
        return child

    def running(self, pattern):
        """Whether a migrator's statement like this is at work."""
        return self.query(
            "select 1 from pg_stat_activity where application_name ="
            " 'rowhouse-migrate' and state = 'active' and datname ="
            f" current_database() and query like '{pattern}'")


class Commands(Migrating):
    def test_up_applies_all_and_again_nothing(self):
        self.files(BASIC)
        self.assertEqual(self.states(), {1: "pending", 2: "pending",
                                         3: "pending"})
        out = self.migrate("up")
        self.assertEqual([line.split(":")[0] for line in out.splitlines()],
                         ["0001_people", "0002_index", "0003_towns"])
        self.assertEqual(self.states(), {1: "applied", 2: "applied",
                                         3: "applied"})
        before = self.schema()
        self.assertIn("nothing to do", self.migrate("up"))
        self.assertEqual(self.schema(), before)
        self.assertEqual(self.migrate("verify"),
                         "verified: 3 applied, 0 pending\n")
        self.assertEqual(self.query("select obj_description("
                                    "'rowhouse_migrations'::regclass) <> ''"),
                         [["t"]])

    def test_down_goes_back_and_up_again(self):
        self.files(BASIC)
        self.migrate("up")
        full = self.schema()
        self.assertIn("0003_towns: reverted", self.migrate("down", "1"))
        self.assertEqual(self.states()[3], "pending")
        self.migrate("down", "9")
        self.assertEqual(self.query(
            "select relname from pg_class where relname ~ 'people|towns'"), [])
        self.assertIn("nothing is applied",
                      self.migrate("down", "1", status=1))
        self.migrate("up")
        self.assertEqual(self.schema(), full)

    def test_status_reads_like_a_table(self):
        self.files(BASIC)
        self.migrate("up")
        self.migrate("down", "1")
        lines = self.migrate("status").splitlines()
        self.assertEqual([line.split()[:2] for line in lines[1:]],
                         [["0001_people", "applied"], ["0002_index", "applied"],
                          ["0003_towns", "pending"]])

    def test_status_changes_nothing(self):
        self.files(BASIC)
        self.migrate("status")
        self.migrate("verify")
        self.assertEqual(self.query("select 1 from pg_class where relname ="
                                    " 'rowhouse_migrations'"), [])

    def test_another_folder_joins(self):
        self.files(BASIC)
        more = os.path.join(self.temp, "more")
        os.mkdir(more)
        self.files({"1001_app.up.sql": "create table app ();"}, more)
        self.assertIn("1001_app: applied", self.migrate("up", "-d", more))
        self.assertIn("1001_app: is applied, but there is no file of it",
                      self.migrate("verify", status=1))
        self.assertIn("nothing to do", self.migrate("up"))
        self.assertIn("there is no .down.sql",
                      self.migrate("down", "1", "-d", more, status=1))

    def test_the_folder_of_the_environment(self):
        self.files(BASIC)
        done = subprocess.run(
            [PROGRAM, "-c", self.conf, "verify"], capture_output=True,
            env={**self.environment(), "ROWHOUSE_MIGRATIONS": self.sql},
            check=True, text=True)
        self.assertEqual(done.stdout, "verified: 0 applied, 3 pending\n")

    def test_operands_are_checked(self):
        self.files(BASIC)
        for operands in ((), ("sideways",), ("down",), ("down", "0"),
                         ("down", "x"), ("up", "1"), ("up", "--force")):
            with self.subTest(operands=operands):
                self.assertIn("what to do",
                              self.migrate(*operands, status=1))

    def test_a_url_is_needed_and_never_shown(self):
        self.files(BASIC)
        rows = {"": "no database: set admin_database_url",
                "postgresql://u:hush@[x/": "cannot be read",
                "host=/nonexistent password=hush": "/nonexistent"}
        for url, says in rows.items():
            with self.subTest(url=url):
                with open(self.conf, "w", encoding="ascii") as f:
                    f.write(f'admin_database_url = "{url}"\n')
                said = self.migrate("up", status=1)
                self.assertIn(says, said)
                self.assertNotIn("hush", said)

    def test_the_applications_url_serves_where_there_is_no_admins(self):
        self.files(BASIC)
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f'database_url = "{self.url}"\n')
        self.assertIn("0003_towns: applied", self.migrate("up"))


class Files(Migrating):
    def refused(self, says, *operands):
        self.assertIn(says, self.migrate(*(operands or ("up",)), status=1))

    def test_names_and_numbers(self):
        rows = (
            ({"1_x.up.sql": ""}, "1_x.up.sql: not named"),
            ({"0001_X.up.sql": ""}, "0001_X.up.sql: not named"),
            ({"0001_x.sql": ""}, "0001_x.sql: not named"),
            ({"0001_x.up.sql": "", "0001_y.up.sql": ""}, "already"),
            ({"0001_x.up.sql": "", "0003_y.up.sql": ""}, "a gap"),
            ({"0001_x.down.sql": ""}, "has no .up.sql"),
            ({"readme.txt": ""}, "no migrations in it"),
        )
        for files, says in rows:
            with self.subTest(says=says):
                self.files(files)
                self.refused(says)
                self.files({name: None for name in files})
        os.rmdir(self.sql)
        self.refused("No such file or directory")
        os.mkdir(self.sql)

    def test_a_changed_file_is_refused_and_named(self):
        self.files(BASIC)
        self.migrate("up")
        self.files({"0001_people.up.sql": "create table people ();",
                    "0003_towns.up.sql": "select 1;",
                    "0004_more.up.sql": "select 1;"})
        said = self.migrate("up", status=1)
        self.assertIn("0001_people.up.sql: has changed", said)
        self.assertIn("0003_towns.up.sql: has changed", said)
        self.assertEqual(self.states(), {1: "changed", 2: "applied",
                                         3: "changed", 4: "pending"})
        self.refused("0003_towns: has changed", "verify")

    def test_a_gap_in_what_is_applied_is_named_and_filled(self):
        self.files(BASIC)
        self.migrate("up")
        self.query("delete from rowhouse_migrations where version = 2;"
                   "drop index people_id; drop index people_name")
        self.refused("0002_index: is not applied, but a later one is", "verify")
        self.migrate("up")
        self.migrate("verify")

    def test_an_error_names_file_and_line_and_leaves_nothing(self):
        self.files({"0001_x.up.sql": "-- \u00e9\ncreate table x (id int);\n"
                                     "select 'a\nb', nope;\n"})
        said = self.migrate("up", status=1)
        self.assertRegex(said, r"0001_x\.up\.sql:4: column \"nope\" does not")
        self.assertEqual(self.query("select 1 from pg_class where relname = 'x'"),
                         [])
        self.assertEqual(self.states(), {1: "pending"})

    def test_a_file_may_not_end_its_transaction(self):
        self.files({"0001_x.up.sql": "create table x (); commit;"})
        self.refused("ends the transaction that it runs in")

    def test_only_what_may_run_twice_runs_outside_of_a_transaction(self):
        rows = {"create index concurrently on x (id)": False,
                "create index i on x (id)": False,
                "insert into x values (1)": False,
                "drop index concurrently if exists \"I;x\"": True,
                "vacuum; /* ; /* ; */ */ analyze -- ;\n; set a.b = ';'": True,
                "alter type mood add value if not exists 'so so'": True,
                "alter type mood add value 'sad'": False}
        self.query("create type mood as enum ('glad')")
        self.query(f"alter type mood owner to {ADMIN}")
        for sql, fine in rows.items():
            with self.subTest(sql=sql):
                self.files({"0001_x.up.sql": CIC + sql,
                            "0001_x.down.sql": "select 1"})
                if fine:
                    self.migrate("up")
                    self.migrate("down", "1")
                else:
                    self.refused("may not stand outside of a transaction")
                    self.assertEqual(self.states(), {1: "pending"})

    def test_a_foreign_index_is_not_taken_for_ours(self):
        self.files(BASIC)
        self.files({"0001_people.up.sql": "create table people (id int, name"
                    " text); create index people_name on people (id)"})
        self.refused("the index people_name is there already")
        self.assertEqual(self.states()[2], "pending")

    def test_the_sources_own(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "../../migrate/sql")
        self.sql = source
        self.migrate("up")
        self.migrate("verify")
        self.migrate("down", "999")
        self.migrate("up")


class Cut(Migrating):
    """kill -9, and what others do at the same time."""

    def undisturbed(self):
        self.migrate("up")
        return self.schema()

    def again(self, *operands):
        """As soon as the server has noticed: the lock is waited for."""
        return self.migrate(*(operands or ("up",)))

    def kill(self, child, pattern):
        wait_until(lambda: self.running(pattern), f"{pattern} runs")
        child.send_signal(signal.SIGKILL)
        child.communicate()

    def test_killed_in_a_transaction(self):
        self.files({**BASIC, "0003_towns.up.sql":
                    "create table towns (id int);\nselect pg_sleep(coalesce("
                    "nullif(current_setting('story.nap', true), ''), '0')"
                    "::float);\ninsert into towns values (1);\n"})
        self.query(f"alter role {ADMIN} in database {self.database}"
                   " set story.nap = '600'")
        child = self.start("up")
        self.kill(child, "%pg_sleep%")
        self.query(f"alter role {ADMIN} in database {self.database}"
                   " reset story.nap")
        self.again()
        self.assertEqual(self.query("select * from towns"), [["1"]])
        self.assertEqual(set(self.states().values()), {"applied"})
        after = self.schema()
        self.migrate("down", "3")
        self.assertEqual(self.undisturbed(), after)

    def killed_in(self, pattern, *operands):
        """An open transaction holds the concurrent statement in its wait."""
        busy = self.busy("insert into people values (7, 'x')")
        child = self.start(*operands)
        self.kill(child, pattern)
        state = self.query("select state from rowhouse_migrations"
                           " where version = 2")
        busy.stdin.close()
        busy.wait(patience(20))
        return state

    def test_killed_in_a_concurrent_index(self):
        for name in ("people_id", "people_name"):
            with self.subTest(name=name):
                self.files(BASIC)
                self.migrate("up")
                want = self.schema()
                self.migrate("down", "2")
                if name == "people_name":
                    # the first index is done when the kill comes
                    self.query("create index people_id on people (id)")
                    self.query(f"alter table people owner to {ADMIN}")
                    self.query("insert into rowhouse_migrations (version, name,"
                               " checksum, state) values (2, 'index', 'x',"
                               " 'running')")
                state = self.killed_in(f"%concurrently {name}%", "up")
                self.assertEqual(state, [["running"]])
                self.assertIn("0002_index: applied", self.again())
                self.assertEqual(self.schema(), want)

    def test_killed_on_the_way_down_then_down_or_up(self):
        for then in (("down", "1"), ("up",)):
            with self.subTest(then=then):
                self.files(BASIC)
                self.migrate("up")
                want = self.schema()
                self.migrate("down", "1")
                state = self.killed_in("drop index concurrently people_name%",
                                       "down", "1")
                self.assertEqual(state, [["reverting"]])
                self.again(*then)
                self.migrate("up")
                self.assertEqual(self.schema(), want)
                self.query("truncate people")

    def test_an_invalid_index_of_a_failed_run(self):
        self.files(BASIC)
        self.files({"0002_index.up.sql": None, "0002_index.down.sql": None,
                    "0003_towns.up.sql": None, "0003_towns.down.sql": None})
        self.migrate("up")
        self.query("insert into people values (1, 'a'), (2, 'a')")
        self.files(BASIC)
        said = self.migrate("up", status=1)
        self.assertIn("0002_index.up.sql:3: could not create unique index", said)
        self.assertEqual(self.query("select indisvalid from pg_index where"
                                    " indexrelid = 'people_name'::regclass"),
                         [["f"]])
        self.assertIn("0002_index: was cut off on its way up",
                      self.migrate("verify", status=1))
        self.query("delete from people where id = 2")
        self.migrate("up")
        self.assertEqual(self.query("select indisvalid from pg_index where"
                                    " indexrelid = 'people_name'::regclass"),
                         [["t"]])

    def test_a_table_in_use_is_tried_for_again(self):
        self.files(BASIC)
        self.migrate("up")
        busy = self.busy("lock table people in access share mode")
        self.files({"0004_more.up.sql": "alter table people add age int;"})
        child = self.start("up")
        line = child.stderr.readline() + child.stderr.readline()
        self.assertIn("canceling statement due to lock timeout", line)
        self.assertIn("trying again in", line)
        busy.stdin.close()
        out, _ = self.finish(child)
        self.assertIn("0004_more: applied", out)

    def test_two_migrators_do_the_work_once(self):
        self.files(BASIC)
        self.migrate("up")
        self.migrate("down", "2")
        busy = self.busy("insert into people values (7, 'x')")
        first = self.start("up")
        wait_until(lambda: self.running("%concurrently people_id%"), "at work")
        second = self.start("up")
        self.assertIn("waiting for another rowhouse-migrate",
                      second.stderr.readline())
        busy.stdin.close()
        self.assertIn("0003_towns: applied", self.finish(first)[0])
        self.assertIn("nothing to do", self.finish(second)[0])
        self.migrate("verify")

    def test_many_migrators_on_a_new_database(self):
        self.files(BASIC)
        outs = [self.finish(child)[0]
                for child in [self.start("up") for _ in range(6)]]
        self.assertEqual(sum("0001_people: applied" in out for out in outs), 1)
        self.assertEqual(sum("nothing to do" in out for out in outs), 5)
        self.migrate("verify")


if __name__ == "__main__":
    if not bin_dir():
        print("skipped: the PostgreSQL server is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
