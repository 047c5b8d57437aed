"""Where things are: the source, what was built, the system's programs."""

import os
import shutil
import socket

SOURCE = os.path.abspath(os.environ.get("top_srcdir") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))


def _build():
    """make check names it; by hand, wherever somebody has configured one."""
    named = os.environ.get("top_builddir") or os.environ.get("ROWHOUSE_BUILD")
    if named:
        return os.path.abspath(named)
    home = os.environ.get("ROWHOUSE_HOME") or os.path.join(SOURCE, "var")
    for folder in (SOURCE, os.path.join(SOURCE, "build"), os.path.join(home, "build"),
                   os.path.join(SOURCE, "build-check", "plain")):
        if os.path.exists(os.path.join(folder, "config.status")):
            return os.path.abspath(folder)
    return SOURCE


BUILD = _build()

_BUILT = {
    "rowhouse-fcgi": "fcgi/api/rowhouse-fcgi",
    "rowhouse-fcgi-debug": "tests/e2e/rowhouse-fcgi-debug",
    "rowhouse-jobs": "fcgi/jobs/rowhouse-jobs",
    "rowhouse-jobs-debug": "tests/e2e/rowhouse-jobs-debug",
    "rowhouse-exporter": "fcgi/exporter/rowhouse-exporter",
    "rowhouse-ctl": "fcgi/ctl/rowhouse-ctl",
    "rowhouse-migrate": "migrate/rowhouse-migrate",
}


def _sanitized():
    try:
        with open(os.path.join(BUILD, "Makefile"), encoding="utf-8") as f:
            return any(line.startswith("RH_CFLAGS = ") and "-fsanitize=" in line
                       for line in f)
    except OSError:
        return False


SANITIZED = _sanitized()


def patience(seconds):
    """A bound on waiting: never what a test measures, only when it gives up, on
    a machine of two cores that does much else meanwhile."""
    return seconds * (5 if SANITIZED else 3)


def program(name):
    """The path of one of our programs."""
    return os.path.join(BUILD, _BUILT[name])


def system(*names):
    """The path of the first of the system's programs that is there, or None."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    return None


def free_port():
    """A TCP port of loopback that is ours until this process ends. It is kept by a
    socket that listens to nobody: a server that sets SO_REUSEADDR, as all do, may
    have the port beside it; another story, which looks here without, may not.
    Below the ports that quickstart looks for, and those that clients get."""
    low, high = 12000, 20000
    start = os.getpid() * 37 + len(_kept) * 101
    for step in range(high - low):
        port = low + (start + step) % (high - low)
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            s.close()
            continue
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kept.append(s)
        return port
    raise RuntimeError("no free port")


_kept = []
