"""Our programs: migrate, the pool, the exporter."""

import json
import os
import signal
import subprocess
import threading

from .places import SANITIZED, SOURCE, free_port, patience, program
from .proc import Daemon, children, name_of, wait_until

SECRET_KEY = "0123456789abcdef0123456789abcdef"


def environment(temp, **more):
    """What our programs get: nothing of the caller's telemetry settings."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("OTEL_", "PG", "ROWHOUSE_", "DATABASE_",
                                "ADMIN_DATABASE_", "REDIS_"))}
    if SANITIZED:
        env["ASAN_OPTIONS"] = ":".join(filter(None, [
            env.get("ASAN_OPTIONS"), "detect_leaks=1", f"log_path={temp}/asan"]))
        env["UBSAN_OPTIONS"] = ":".join(filter(None, [
            env.get("UBSAN_OPTIONS"), "print_stacktrace=1",
            f"log_path={temp}/ubsan"]))
    env.update({k: str(v) for k, v in more.items()})
    return env


def sanitizer_reports(temp):
    """What the sanitizers wrote of programs that ran in temp."""
    found = ""
    for name in sorted(os.listdir(temp)):
        if name.startswith(("asan.", "ubsan.")):
            with open(f"{temp}/{name}", encoding="utf-8", errors="replace") as f:
                found += f"{name}:\n{f.read()}\n"
    return found


def directive(name, value):
    """A line of rowhouse.conf: numbers as they are, the rest in quotes; a
    dict is a section, "placement big" its name."""
    if isinstance(value, dict):
        return f"{name} {{\n" + "".join(
            directive(*inner) for inner in value.items()) + "}\n"
    if isinstance(value, bool):
        value = "on" if value else "off"
    if isinstance(value, (int, float)):
        return f"{name} = {value}\n"
    value = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} = "{value}"\n'


def write_conf(path, settings):
    """rowhouse.conf of these settings."""
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(directive(*setting) for setting in settings.items())
    os.chmod(path, 0o600)


def migrate(conf, *operands, temp, check=True):
    """rowhouse-migrate with the source's own migrations."""
    done = subprocess.run(
        [program("rowhouse-migrate"), "-c", conf, *operands],
        env=environment(temp,
                        ROWHOUSE_MIGRATIONS=os.path.join(SOURCE, "migrate/sql")),
        capture_output=True, text=True, check=False, timeout=patience(120))
    if check and done.returncode:
        raise AssertionError(f"rowhouse-migrate {' '.join(operands)}: "
                             f"{done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Pool:
    """rowhouse-fcgi. Its lines on stdout are in self.lines, parsed."""

    NAME = "pool"
    DEFAULTS = {
        "listen_mode": "0666", "workers": 2, "limits": False,
        "secret_key": SECRET_KEY, "trace_ratio": 1, "shutdown_grace": "20s",
        "connect_timeout": "3s", "password_hashers": 4,
        # a machine that pauses makes any request slow, and a slow one has a line
        # more, and its trace is kept: who asks for that says when
        "slow": "10min",
        # one host: what is asked for once is cached
        "cache_quarantine": 0,
    }

    def __init__(self, temp, postgres, env=None, **settings):
        self.temp = temp
        self.conf = f"{temp}/rowhouse.conf"
        self.socket = f"{temp}/fcgi.sock"
        self.segment = f"{temp}/segment"
        self.exporter_port = free_port()
        self.settings = {
            **self.DEFAULTS, "listen": f"unix:{self.socket}",
            "segment": self.segment,
            "exporter_listen": f"127.0.0.1:{self.exporter_port}",
            "database_url": postgres.app_url,
            "admin_database_url": postgres.admin_url, **settings}
        write_conf(self.conf, self.settings)
        self.env = environment(temp, **(env or {}))
        self.program = program("rowhouse-fcgi")
        self.daemon = self._reader = None

    def configure(self, **settings):
        """Writes other values into the file; they count from the next start,
        or from a reload."""
        self.restore({**self.settings, **settings})

    def restore(self, settings):
        """These values and no others."""
        self.settings = dict(settings)
        write_conf(self.conf, self.settings)

    def start(self):
        if self._reader:
            # what it still has to read is of the pool before
            self._reader.join(patience(10))
        self.lines, self.torn = [], []
        self._fresh = threading.Condition()
        argv, pass_fds = self.launch([self.program, "-c", self.conf])
        self.daemon = Daemon(argv, log=f"{self.temp}/{self.NAME}.err",
                             env=self.env, stdout=subprocess.PIPE,
                             pass_fds=pass_fds)
        self._reader = threading.Thread(target=self._read, daemon=True,
                                        args=(self.daemon.child.stdout,))
        self._reader.start()
        self.daemon.wait_for(self._is_up, "the pool listens and has its workers")
        return self

    def _is_up(self):
        return (os.path.exists(self.socket) and
                len(self.answering()) >= self._at_rest() and
                len(self.workers()) > self._at_rest())

    def launch(self, argv):
        """How it is started: the command, and the descriptors it gets."""
        return argv, ()

    def _at_rest(self):
        """How many workers there are before a request comes, at the least; the
        log's writer, which is forked before them, is none. A test that compares
        who is there before and afterwards has to begin with all of them: one is
        forked after the other, and each has its name a moment later still."""
        return {"dynamic": self.settings.get("workers_min", 1),
                "ondemand": 0}.get(self.settings.get("pool"),
                                   self.settings["workers"])

    def _read(self, stdout):
        for line in stdout:
            try:
                parsed = json.loads(line)
            except ValueError:
                parsed = None
            with self._fresh:
                if isinstance(parsed, dict):
                    self.lines.append(parsed)
                else:
                    self.torn.append(line)
                self._fresh.notify_all()
        stdout.close()

    @property
    def pid(self):
        return self.daemon.pid

    def workers(self):
        """Pids of the master's children."""
        try:
            return children(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return []

    def answering(self):
        """Pids of the workers alone: the log's writer is none."""
        return {pid for pid in self.workers()
                if name_of(pid).startswith("rh-worker")}

    def find_lines(self, **fields):
        """The lines that have these fields with these values."""
        with self._fresh:
            return [line for line in self.lines
                    if all(line.get(k) == v for k, v in fields.items())]

    def forget_errors(self):
        with self._fresh:
            self.lines = [x for x in self.lines if x.get("level") != "error"]

    def wait_line(self, seconds=30.0, **fields):
        """The first such line, once it is there."""
        return wait_until(lambda: self.find_lines(**fields),
                          f"a line with {fields}", seconds)[0]

    def stop(self, status=0):
        """SIGTERM: drains, and ends with 0."""
        got = self.daemon.stop(signal.SIGTERM)
        self._reader.join(patience(10))
        said = self.daemon.said()
        reports = sanitizer_reports(self.temp)
        if reports:
            raise AssertionError(f"sanitizers:\n{reports}")
        if got != status:
            raise AssertionError(f"{self.daemon.name} ended with {got}, "
                                 f"not {status}\n{said}")
        if self.torn:
            raise AssertionError(f"stdout had what is no line: {self.torn[:3]}")

    def run_option(self, *options, conf=None):
        """Runs it to its end: -t, -T, -V."""
        return subprocess.run(
            [self.program, "-c", conf or self.conf, *options],
            env=self.env, capture_output=True, text=True, check=False,
            timeout=patience(20))

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if self.daemon and self.daemon.alive():
            if kind:
                self.daemon.kill()
            else:
                self.stop()


class Jobs(Pool):
    """rowhouse-jobs beside a pool: its configuration, its segment."""

    NAME = "jobs"

    def __init__(self, pool, env=None):
        self.temp, self.conf, self.segment = pool.temp, pool.conf, pool.segment
        self.exporter_port = pool.exporter_port
        self.settings = pool.settings
        self.env = {**pool.env, **(env or {})}
        self.program = program("rowhouse-jobs")
        self.daemon = self._reader = None

    def _is_up(self):
        return len(self.answering()) >= self.settings.get("jobs_workers", 3)


class Exporter:
    """rowhouse-exporter beside a pool."""

    def __init__(self, pool):
        self.pool = pool
        self.port = pool.exporter_port
        self.daemon = None

    def start(self):
        self.daemon = Daemon([program("rowhouse-exporter"), "-c", self.pool.conf],
                             log=f"{self.pool.temp}/exporter.err",
                             env=self.pool.env)
        self.daemon.wait_for(lambda: _answers(self.port), "the exporter listens")
        return self

    def metrics(self, accept="text/plain"):
        """The text of /metrics."""
        from .client import Client
        with Client(self.port) as c:
            got = c.request("GET", "/metrics", headers={"Accept": accept})
        if got.status != 200:
            raise AssertionError(f"/metrics: {got}")
        return got.body.decode()

    def value(self, series):
        """The sum of all series that start with this text; 0 if none."""
        return sum(float(line.rsplit(" # ", 1)[0].rsplit(" ", 1)[1])
                   for line in self.metrics().splitlines()
                   if line.startswith(series) and not line.startswith("#"))

    def settle(self):
        """Until whatever was answered is counted. A reply is out before that; but
        its worker stays inside the request until it has counted, and a dead one's
        until the master has."""
        wait_until(lambda: self.value("rowhouse_http_requests_in_flight") == 0,
                   "what was answered is counted")

    def stop(self):
        got = self.daemon.stop()
        if got:
            raise AssertionError(f"rowhouse-exporter ended with {got}\n"
                                 f"{self.daemon.said()}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.daemon and self.daemon.alive():
            self.stop()


def _answers(port):
    import socket
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False
