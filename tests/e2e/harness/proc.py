"""Processes and folders that end with the story."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time

from .places import patience


def wait_until(condition, what, seconds=30.0, every=0.02):
    """Calls condition until it answers something true; answers that. It is asked
    once more when the time is over: who was not let run until then has not
    waited."""
    end = time.monotonic() + patience(seconds)
    while True:
        over = time.monotonic() > end
        got = condition()
        if got:
            return got
        if over:
            raise AssertionError(f"waited {patience(seconds):.0f} s in vain: {what}")
        time.sleep(every)


def eventually(check, seconds=30.0, every=0.05):
    """Calls check until it no longer raises AssertionError."""
    end = time.monotonic() + patience(seconds)
    while True:
        over = time.monotonic() > end
        try:
            return check()
        except AssertionError:
            if over:
                raise
        time.sleep(every)


MEMORY = "/dev/shm"


class TempDir:
    """/tmp/rh-XXXX: short, because a unix socket's path holds 107 bytes; in_memory,
    for thousands of files that are soon forgotten, where there is plenty of it."""

    def __init__(self, in_memory=False):
        self.path = tempfile.mkdtemp(
            prefix="rh-", dir=MEMORY if in_memory and _is_plenty(MEMORY) else "/tmp")
        os.chmod(self.path, 0o755)
        atexit.register(self.remove)

    def remove(self):
        if os.environ.get("ROWHOUSE_KEEP_TMP"):
            return
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def _is_plenty(folder):
    try:
        is_now = os.statvfs(folder)
    except OSError:
        return False
    return is_now.f_bavail * is_now.f_frsize >= 4 << 30 and os.access(folder, os.W_OK)


_running = []


def _end_all():
    for daemon in list(_running):
        daemon.kill()


atexit.register(_end_all)
# A story that is ended from outside ends what it started.
signal.signal(signal.SIGTERM, lambda *_: os._exit((_end_all(), 143)[1]))


class Daemon:
    """A child in the foreground, in a session of its own. stdout goes to a pipe
    (stdout=PIPE), or with stderr to the file log."""

    def __init__(self, argv, log, env=None, stdout=None, cwd=None, user=None,
                 pass_fds=()):
        self.argv, self.log = argv, log
        self.name = os.path.basename(argv[0])
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=out,
                env=env, cwd=cwd or "/", start_new_session=True, pass_fds=pass_fds,
                **({"user": user, "group": user_group(user), "extra_groups": []}
                   if user else {}))
        self.pid = self.child.pid
        _running.append(self)

    def alive(self):
        return self.child.poll() is None

    def said(self):
        """The last of what it said on stderr."""
        try:
            with open(self.log, "rb") as f:
                return f.read()[-4000:].decode("utf-8", "replace")
        except OSError:
            return ""

    def wait_for(self, condition, what, seconds=60.0):
        """wait_until, but at once in vain where the process ends."""
        def ready():
            if not self.alive():
                raise AssertionError(f"{self.name} ended with "
                                     f"{self.child.returncode} before: {what}\n"
                                     f"{self.said()}")
            return condition()
        try:
            return wait_until(ready, what, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.said()}") from None

    def stop(self, signo=signal.SIGTERM, seconds=60.0):
        """Signals, waits, answers the exit status; kills what does not end."""
        if self.alive():
            self.child.send_signal(signo)
        try:
            status = self.child.wait(patience(seconds))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not end within {patience(seconds):.0f} s of "
                f"{signal.Signals(signo).name}\n{self.said()}") from None
        self._forget()
        return status

    def kill(self):
        """The whole session: what a killed master left is ended as well."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.child.wait()
        self._forget()

    def _forget(self):
        if self in _running:
            _running.remove(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.alive():
            self.stop()


def user_group(user):
    import pwd
    return pwd.getpwnam(user).pw_gid


def children(pid):
    """The pids of a process' children, in order. Where one ends while the list is
    read, the kernel may leave out another: so the same has to be read twice."""
    found = _children(pid)
    while (again := _children(pid)) != found:
        found = again
    return found


def _children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
            found += [int(p) for p in f.read().split()]
    return sorted(found)


def name_of(pid):
    """As the process has named itself; "" where it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return ""


def stands(pid):
    """Whether all threads of this process have been stopped."""
    states = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii",
                  errors="replace") as f:
            states.append(f.read().rsplit(")", 1)[1].split()[0])
    return all(state in "Tt" for state in states)


def runs(pid):
    """Whether this process runs: a zombie that init has yet to reap does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
