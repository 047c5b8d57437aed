#!/usr/bin/python3
"""POSTs, 32 at a time, through each web server, while the pool is disturbed:
no reply but 201, and every row is there once.

ROWHOUSE_POSTS says how many in each story (1,000), ROWHOUSE_RECYCLE after how
many a worker is replaced (100); half of both under sanitizers, whose workers come
and go as often. contrib/bench/loss asks for more of both."""

import os
import signal
import socket
import sys
import threading
import unittest

sys.dont_write_bytecode = True

from harness import (SANITIZED, Apache, HAProxy, Nginx, Stack, main,  # noqa: E402
                     patience, wait_until)

POSTS = int(os.environ.get("ROWHOUSE_POSTS", 500 if SANITIZED else 1000))
RECYCLE = int(os.environ.get("ROWHOUSE_RECYCLE", 50 if SANITIZED else 100))
AT_A_TIME = 32
WORKERS = 4


class Posting:
    """All the POSTs: what goes on beside them asks it how far they are."""

    def __init__(self, stack):
        self.stack = stack
        self.tenant = stack.signup()
        self.path = stack.api("POST", f"{self.tenant.path}/projects",
                              self.tenant.token, {"name": "P"}).headers["Location"]
        self.faults, self.done = [], [0] * AT_A_TIME
        self.over = threading.Event()

    def count(self):
        return sum(self.done)

    def _post(self, n):
        try:
            with self.stack.client() as c:
                for i in range(n, POSTS, AT_A_TIME):
                    got = c.request("POST", f"{self.path}/tasks", self.tenant.token,
                                    {"title": f"T{i}"})
                    if got.status != 201:
                        self.faults.append(f"T{i}: {got}")
                    self.done[n] += 1
        except Exception as e:  # noqa: BLE001
            self.faults.append(f"client {n} after {self.done[n]}: {e!r}")

    def run(self, beside):
        """beside(self) has a thread of its own, and ends with self.over."""
        threads = [threading.Thread(target=self._post, args=(n,))
                   for n in range(AT_A_TIME)]
        other = threading.Thread(target=beside, args=(self,))
        other.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.over.set()
        other.join()

    def rows(self):
        """How many rows there are, and of how many different titles."""
        got = self.stack.postgres.query(
            "select count(*), count(distinct title) from tasks"
            f" where tenant_id = '{self.tenant.id}'")
        return [int(x) for x in got[0]]


# ---- what goes on beside the POSTs ----

def nothing(_):
    """The settings are disturbance enough."""


def clients_that_leave(posting):
    """They ask, and do not wait for the answer."""
    request = (b"GET /v1/me HTTP/1.1\r\nHost: x\r\n"
               b"Authorization: Bearer " + posting.tenant.token.encode() + b"\r\n\r\n")
    while not posting.over.wait(0.002):
        with socket.create_connection(("127.0.0.1", posting.stack.port),
                                      timeout=patience(10)) as s:
            s.sendall(request)


def reloads(posting):
    while not posting.over.wait(1.0):
        os.kill(posting.stack.pool.pid, signal.SIGHUP)


def an_upgrade(posting):
    while posting.count() < POSTS / 2 and not posting.over.wait(0.01):
        pass
    os.kill(posting.stack.pool.pid, signal.SIGUSR2)


# what it is called, the pool's settings, what goes on beside the POSTs
DISTURBANCES = (
    ("recycling", {}, clients_that_leave),
    ("reloads", {}, reloads),
    ("upgrade", {}, an_upgrade),
    ("recycling_past_the_cap", {"max_connections": AT_A_TIME // 2}, nothing),
)

FRONTS = (
    ("NginxKept", Nginx, {"keep": True}),
    ("NginxClosing", Nginx, {"keep": False}),
    ("HAProxyReusing", HAProxy, {}),
    ("ApacheReusing", Apache, {"reuse": True}),
)


def story(settings, beside):
    """The test of one disturbance behind one web server."""
    def test(self):
        with Stack(web=self.web, web_options=self.web_options, workers=WORKERS,
                   max_requests=RECYCLE, log_ring="4m", **settings) as stack:
            posting = Posting(stack)
            posting.run(beside)
            self.assertEqual(posting.faults, [])
            self.assertEqual(posting.rows(), [POSTS, POSTS])
            # so many had to come and go, or nothing was tried
            workers = POSTS // RECYCLE // 2
            wait_until(lambda: len({line["pid"] for line in
                                    stack.pool.find_lines(status=201)}) >= workers,
                       f"lines of {workers} workers", 60.0)
    return test


def stories():
    for name, web, options in FRONTS:
        members = {f"test_{what}": story(settings, beside)
                   for what, settings, beside in DISTURBANCES}
        yield type(name, (unittest.TestCase,),
                   {"web": web, "web_options": options, **members})


for _story in stories():
    globals()[_story.__name__] = _story
del _story


if __name__ == "__main__":
    main()
