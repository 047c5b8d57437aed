"""PostgreSQL clusters that are made once, and copied: "bare", as initdb and
etc/postgresql/roles.sql leave it, and "migrated", with our migrations in it. A
copy is a fifth of the work. They lie in the build, named by whatever they are
made of and by their day: a migration may ask for the date."""

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import time

from .places import BUILD, SOURCE, program

HOME = os.path.join(BUILD, "tests/e2e")
ROLES = os.path.join(SOURCE, "etc/postgresql/roles.sql")
SQL = os.path.join(SOURCE, "migrate/sql")


def copy(kind, initdb, to, make):
    """One of this kind at this path. Where there is none yet, make(kind) makes it,
    and answers where; who comes meanwhile waits."""
    while True:
        with _locked(kind, fcntl.LOCK_SH):
            kept = _name(kind, initdb)
            if os.path.exists(kept):
                subprocess.run(["cp", "-a", kept, to], check=True)
                return
        with _locked(kind, fcntl.LOCK_EX):
            if not os.path.exists(_name(kind, initdb)):
                _keep(kind, make(kind), _name(kind, initdb))


def _keep(kind, made, name):
    """By its name, whole or not at all. Those that were made of something else go,
    and what is left of one whose maker was killed."""
    for old in glob.glob(os.path.join(HOME, f"cluster-{kind}-*")):
        shutil.rmtree(old)
    subprocess.run(["mv", made, f"{name}.new"], check=True)
    os.rename(f"{name}.new", name)


@contextlib.contextmanager
def _locked(kind, how):
    """Copies are made side by side, but not while one is made or forgotten."""
    with open(os.path.join(HOME, f"cluster-{kind}.lock"), "ab") as f:
        fcntl.flock(f, how)
        yield


def _name(kind, initdb):
    texts = [ROLES]
    programs = [initdb]
    if kind == "migrated":
        texts += sorted(glob.glob(os.path.join(SQL, "*.up.sql")))
        programs.append(program("rowhouse-migrate"))
    made_of = hashlib.sha256(f"{time.strftime('%F', time.gmtime())} {os.geteuid()}".encode())
    for path in texts:
        with open(path, "rb") as f:
            made_of.update(f.read())
    for path in programs:
        is_now = os.stat(path)
        made_of.update(f"{path} {is_now.st_size} {is_now.st_mtime_ns}".encode())
    return os.path.join(HOME, f"cluster-{kind}-{made_of.hexdigest()[:16]}")
