"""A PostgreSQL cluster of the story's own, on a unix socket."""

import contextlib
import os
import pwd
import signal
import subprocess

from . import cluster
from .places import patience, system
from .pool import migrate, write_conf
from .proc import Daemon, TempDir, children, stands, wait_until

OWNER = "postgresql:///rowhouse?host={0}&user=rowhouse_owner"
APP = "postgresql:///rowhouse?host={0}&user=rowhouse_app"


def bin_dir():
    """Debian keeps the server's programs out of PATH, a folder a version."""
    base = "/usr/lib/postgresql"
    versions = sorted(os.listdir(base), key=int) if os.path.isdir(base) else []
    for version in reversed(versions):
        if os.path.exists(f"{base}/{version}/bin/postgres"):
            return f"{base}/{version}/bin"
    found = system("postgres")
    return os.path.dirname(found) if found else None


class Postgres:
    """With our roles and their database; migrated: and with our migrations in it.
    Postgres refuses to run as root: then it runs as postgres or nobody."""

    def __init__(self, settings=None, migrated=False):
        self.bin = bin_dir()
        self.temp = TempDir()
        self.dir = self.temp.path
        settings = settings or {}
        # what is to survive the machine is no matter of its memory
        self.store = TempDir(in_memory=settings.get("fsync") != "on")
        self.data = f"{self.store.path}/data"
        self.user = None
        if os.geteuid() == 0:
            self.user = next(u for u in ("postgres", "nobody") if _has_user(u))
            for path in self.dir, self.store.path:
                os.chown(path, pwd.getpwnam(self.user).pw_uid, -1)
        self.daemon = None
        cluster.copy("migrated" if migrated else "bare", f"{self.bin}/initdb", self.data,
                     self._new)
        self._configure(settings)
        self.start()

    def _new(self, kind):
        """What cluster.py is to keep."""
        if kind == "bare":
            self._init({})
        else:
            cluster.copy("bare", f"{self.bin}/initdb", self.data, self._new)
            self._configure({})
        self.start()
        if kind == "bare":
            self.psql_file(cluster.ROLES)
        else:
            conf = f"{self.dir}/migrate.conf"
            write_conf(conf, {"admin_database_url": self.admin_url,
                              "connect_timeout": "1min"})
            migrate(conf, "up", temp=self.dir)
        self.stop()
        return self.data

    def _run(self, argv, **kw):
        who = {}
        if self.user:
            pw = pwd.getpwnam(self.user)
            who = {"user": pw.pw_uid, "group": pw.pw_gid, "extra_groups": []}
        return subprocess.run(argv, check=True, cwd=self.dir, **who, **kw)

    def _init(self, settings):
        self._run([f"{self.bin}/initdb", "-D", self.data, "-U", "postgres",
                   "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                   "--no-sync", "--no-instructions"],
                  stdout=subprocess.DEVNULL)
        self._configure(settings)

    def _configure(self, settings):
        values = {
            "listen_addresses": "''", "port": 5432,
            "unix_socket_directories": f"'{self.dir}'",
            "fsync": "off", "full_page_writes": "off",
            "synchronous_commit": "off", "shared_buffers": "16MB",
            "max_connections": 100, "autovacuum": "off",
            "max_wal_senders": 0, "wal_level": "minimal",
            "jit": "off", "log_min_messages": "warning", **settings}
        with open(f"{self.data}/postgresql.conf", "a", encoding="ascii") as f:
            f.writelines(f"{k} = {v}\n" for k, v in values.items())

    @property
    def app_url(self):
        return APP.format(self.dir)

    @property
    def admin_url(self):
        return OWNER.format(self.dir)

    @property
    def super_url(self):
        return f"postgresql:///rowhouse?host={self.dir}&user=postgres"

    def start(self):
        self.daemon = Daemon([f"{self.bin}/postgres", "-D", self.data],
                             log=f"{self.dir}/pg.log",
                             user=self.user, cwd=self.dir)
        self.daemon.wait_for(self.ready, "PostgreSQL accepts connections")

    def ready(self):
        return subprocess.run(
            [f"{self.bin}/pg_isready", "-q", "-h", self.dir, "-U", "postgres",
             "-d", "postgres"], check=False).returncode == 0

    def stop(self):
        """Fast: sessions are cut, as a restart does it."""
        return self.daemon.stop(signal.SIGINT)

    def freeze(self):
        """Every process of it: who is connected hears nothing, and nothing ends.
        The first of them first: then it starts no other, and reaps none."""
        os.kill(self.daemon.pid, signal.SIGSTOP)
        wait_until(lambda: stands(self.daemon.pid), "the postmaster stands still")
        for pid in children(self.daemon.pid):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        """The first of them last, for the same reason."""
        for pid in (*children(self.daemon.pid), self.daemon.pid):
            os.kill(pid, signal.SIGCONT)

    def replace(self):
        """Another server with a copy of the data takes this one's place."""
        self.stop()
        old, self.data = self.data, f"{self.data}2"
        self._run(["cp", "-a", old, self.data])
        self.start()

    def psql(self, *options, user="postgres", database="rowhouse"):
        """Its command line. Debian's /usr/bin/psql is a script that looks for the
        one that is meant, and costs five times what that does."""
        return [f"{self.bin}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.dir,
                "-U", user, "-d", database, *options]

    def psql_file(self, path, database="postgres"):
        subprocess.run(
            self.psql("-f", path, database=database), check=True,
            stdout=subprocess.DEVNULL)

    def query(self, sql, user="postgres", database="rowhouse"):
        """Rows as lists of texts."""
        done = subprocess.run(
            self.psql("-A", "-t", "-F", "\t", "-c", sql, user=user, database=database),
            check=False, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"psql: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    @contextlib.contextmanager
    def transaction(self, user="postgres", database="rowhouse"):
        """Gives a function that runs statements in it; rolls back at the end."""
        psql = subprocess.Popen(
            self.psql("-A", "-t", user=user, database=database),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def run(sql):
            psql.stdin.write(f"{sql};\n\\echo done\n")
            psql.stdin.flush()
            for line in psql.stdout:
                if line == "done\n":
                    return
            raise AssertionError(f"psql ended: {sql}")

        try:
            run("begin")
            yield run
        finally:
            psql.communicate("rollback;\n", timeout=patience(20))

    def session(self, user="postgres", database="rowhouse"):
        """One that stays; with it as a block, or close()."""
        return Session(self, user, database)

    def close(self):
        if self.daemon.alive():
            self.stop()
        self.store.remove()
        self.temp.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Session:
    """A psql: what it began stays open from one run() to the next."""

    def __init__(self, postgres, user, database):
        self.psql = subprocess.Popen(
            postgres.psql("-A", "-t", "-F", "\t", user=user, database=database),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            # a notice would stand among the rows
            env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"})

    def run(self, sql):
        """Rows as lists of texts; those of all of its statements."""
        self.psql.stdin.write(f"{sql};\n\\echo done here\n")
        self.psql.stdin.flush()
        rows = []
        for line in self.psql.stdout:
            if line == "done here\n":
                return rows
            rows.append(line.rstrip("\n").split("\t"))
        raise AssertionError(f"psql ended: {sql}: {rows}")

    def close(self):
        """Ends it; what it has open is rolled back."""
        try:
            self.psql.communicate(timeout=patience(20))
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.psql.kill()
            self.psql.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _has_user(name):
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False
