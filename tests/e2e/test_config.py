#!/usr/bin/python3
"""rowhouse.conf: tested, printed, and refused with every fault named."""

import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

from harness import Pool, TempDir, main, patience, program  # noqa: E402


class NoPostgres:
    app_url = "postgresql://rowhouse_app:hush-hush@/rowhouse?host=/nowhere"
    admin_url = "postgresql://rowhouse_owner:hush-hush@/rowhouse?host=/nowhere"


class Config(unittest.TestCase):

    def setUp(self):
        self.temp = TempDir()
        self.addCleanup(self.temp.remove)
        self.pool = Pool(self.temp.path, NoPostgres)

    def write(self, text):
        path = f"{self.temp.path}/bad.conf"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_t_accepts_a_good_file(self):
        done = self.pool.run_option("-t")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_T_prints_what_reads_back_and_no_secret(self):
        done = self.pool.run_option("-T")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("hush-hush", done.stdout)
        self.assertNotIn("0123456789abcdef0123456789abcdef", done.stdout)
        self.assertIn("workers", done.stdout)
        # masked secrets stand in comments
        again = self.pool.run_option("-t", conf=self.write(
            done.stdout.replace("# ", "").replace("********", "x" * 40)))
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_all_faults_are_named_at_once(self):
        conf = self.write(
            'workers = 0\n'
            'no_such_thing = 1\n'
            'slow = "soon"\n'
            'prepared_statements = "sometimes"\n'
            'limits = maybe\n'
            'trace_ratio = 2\n')
        done = self.pool.run_option("-t", conf=conf)
        self.assertEqual(done.returncode, 1)
        for line, name in enumerate(("workers", "no_such_thing", "slow",
                                     "prepared_statements", "limits",
                                     "trace_ratio"), 1):
            self.assertRegex(done.stderr, rf"bad\.conf:{line}: .*{name}")
        for name in ("database_url", "secret_key"):
            self.assertIn(name, done.stderr)

    def test_faults_of_placements_are_named(self):
        conf = self.write(
            'database_url = "x"\n'
            'secret_key = "0123456789abcdef0123456789abcdef"\n'
            'placement big {\n'
            '    database_url = "y"\n'
            '    redis_url = "nonsense"\n'
            '    workers = 3\n'
            '}\n'
            'placement Big { database_url = "" }\n'
            'placement home { database_url = "z" }\n')
        done = self.pool.run_option("-t", conf=conf)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"bad\.conf:6: workers: ")
        for said in ('"Big" is no name', "Big has no database_url", '"home" is no name',
                     "a redis_url: begins with neither"):
            self.assertIn(said, done.stderr)

    def test_placements_are_printed_without_their_secrets(self):
        self.pool.configure(**{"placement big": {"database_url": "user=hush-hush"}})
        done = self.pool.run_option("-T")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("placement big {\n", done.stdout)
        self.assertNotIn("hush-hush", done.stdout)

    def test_a_fault_keeps_the_pool_from_starting(self):
        done = self.pool.run_option(conf=self.write("workers = none\n"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("bad.conf:1:", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_no_file_is_a_fault(self):
        done = self.pool.run_option("-t", conf=f"{self.temp.path}/none.conf")
        self.assertEqual(done.returncode, 1)
        self.assertIn("none.conf", done.stderr)

    def test_variables_come_from_the_environment(self):
        conf = self.write('workers = "${HOUSES:-3}"\n'
                          'database_url = "postgresql:///x"\n'
                          'secret_key = "${KEY}"\n')
        self.pool.env.update(KEY="k" * 32)
        done = self.pool.run_option("-T", conf=conf)
        self.assertRegex(done.stdout, r'(?m)^workers = "?3"?$', done.stderr)
        self.pool.env.update(HOUSES="5")
        done = self.pool.run_option("-T", conf=conf)
        self.assertRegex(done.stdout, r'(?m)^workers = "?5"?$', done.stderr)
        del self.pool.env["KEY"]
        done = self.pool.run_option("-t", conf=conf)
        self.assertEqual(done.returncode, 1)
        self.assertIn("KEY", done.stderr)

    def test_all_programs_have_the_options(self):
        for name in ("rowhouse-fcgi", "rowhouse-exporter", "rowhouse-migrate",
                     "rowhouse-ctl"):
            for option, status in (("-t", 0), ("-T", 0), ("-V", 0), ("-h", 0),
                                   ("-?", 1)):
                with self.subTest(f"{name} {option}"):
                    done = subprocess.run(
                        [program(name), "-c", self.pool.conf, option],
                        env=self.pool.env, capture_output=True, text=True,
                        check=False, timeout=patience(20))
                    self.assertEqual(done.returncode, status, done.stderr)
                    self.assertTrue(done.stdout or done.stderr)


if __name__ == "__main__":
    main()
