"""The relay of the outbox, as the program of tests/lib/jobs."""

import os
import signal
import subprocess

from .places import BUILD, patience
from .pool import environment

PROGRAM = os.path.join(BUILD, "tests/lib/jobs/relay")


def _environment(postgres):
    return environment(postgres.dir, ROWHOUSE_TEST_URL=postgres.app_url)


def relay(postgres, *arguments):
    """Runs it to its end: drain, tend KEEP_MS. Its lines as numbers."""
    done = subprocess.run([PROGRAM, *arguments], env=_environment(postgres),
                          check=False, capture_output=True, text=True,
                          timeout=patience(120))
    if done.returncode:
        raise AssertionError(f"relay {arguments}: {done.returncode} {done.stderr}")
    return [[int(n) for n in line.split()] for line in done.stdout.splitlines()]


class Relay:
    """relay run, until it is stopped or killed."""

    def __init__(self, postgres, *arguments):
        self.path = f"{postgres.dir}/relay.log"
        with open(self.path, "ab") as log:
            self.child = subprocess.Popen(
                [PROGRAM, "run", *arguments], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=_environment(postgres))

    def end(self, signo=signal.SIGTERM):
        """Answers its exit status."""
        self.child.send_signal(signo)
        try:
            return self.child.wait(patience(30))
        finally:
            if self.child.poll() is None:
                self.child.kill()
                self.child.wait()

    def close(self):
        if self.child.poll() is None:
            self.end(signal.SIGKILL)

    def said(self):
        with open(self.path, encoding="utf-8") as log:
            return log.read()
