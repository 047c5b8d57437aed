#!/usr/bin/python3
"""The segment survives its workers, and the exporter the segment: counts are
exact after any number of kills, and rubbish ends nobody."""

import os
import random
import struct
import sys
import threading
import unittest

sys.dont_write_bytecode = True

from harness import (Client, Exporter, Stack, Story, free_port,  # noqa: E402
                     main, patience, wait_until)
from harness.pool import sanitizer_reports, write_conf  # noqa: E402
from harness.survival import survive  # noqa: E402

KILLS = 40


class Kills(Story):

    exporter = True
    settings = {"workers": 10, "log_ring": "1m"}

    def test_counts_are_exact_after_any_number_of_kills(self):
        got = survive(self.stack, KILLS)
        self.assertGreater(got["answered"], KILLS)
        # what is accounted has its line, its count and its duration
        self.assertEqual(got["requests"], got["durations"])
        self.assertEqual(got["dropped"], 0)
        self.assertEqual(got["requests"], got["request lines"])
        self.assertEqual(got["written"],
                         got["request lines"] + got["other lines"])
        # each kill costs a request its line, or a client its answer
        self.assertLessEqual(abs(got["requests"] - got["answered"]),
                             2 * KILLS + 50)
        self.assertEqual(got["restarts"], KILLS)
        self.assertEqual(got["went back"], [])
        self.assertEqual(got["failed scrapes"], [])
        self.assertEqual(len(got["sizes"]), 1, got["sizes"])
        self.assertGreater(got["scrapes"], 1)
        self.assertTrue(self.stack.exporter.daemon.alive())


class Shown:
    """A segment's copy with an exporter of its own, for Exporter()."""

    def __init__(self, pool):
        self.temp, self.env = pool.temp, pool.env
        self.segment, self.conf = f"{pool.temp}/copy", f"{pool.temp}/copy.conf"
        self.exporter_port = free_port()
        with open(pool.segment, "rb") as f:
            self.good = f.read()
        (self.described, self.file_bytes) = struct.unpack_from("=QQ", self.good, 24)
        self.live, self.slot0, self.slot_bytes = struct.unpack_from(
            "=QQQ", self.good, 24 + 16 + 104 + 16 + 48)
        write_conf(self.conf, {
            "segment": self.segment,
            "exporter_listen": f"127.0.0.1:{self.exporter_port}"})
        self.put(0, self.good)

    def put(self, at, data):
        """Into the very file, under the exporter's eyes."""
        with open(self.segment, "r+b" if at else "wb") as f:
            f.seek(at)
            f.write(data)

    def restore(self):
        with open(self.segment, "r+b") as f:
            f.truncate(len(self.good))
            f.write(self.good)

    def replace(self, data):
        """As another pool would: by rename."""
        with open(f"{self.segment}.new", "wb") as f:
            f.write(data)
        os.replace(f"{self.segment}.new", self.segment)


class Rubbish(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        with Stack(workers=2, log_ring="16k", span_ring="64k",
                   exporter=True) as s:
            t = s.signup()
            cls.ids = [s.api("GET", f"{t.path}/projects", t.token)
                       .headers["X-Request-Id"] for _ in range(30)][::9]
            wait_until(lambda: s.exporter.value(
                "rowhouse_http_requests_total") >= 30, "they are counted")
            s.pool.stop()
            cls.shown = Shown(s.pool)
            cls.shown.env = dict(s.pool.env)
        # the stack's folder is gone with it
        os.makedirs(cls.shown.temp, exist_ok=True)
        cls.addClassCleanup(s.temp_dir.remove)
        write_conf(cls.shown.conf, {
            "segment": cls.shown.segment,
            "exporter_listen": f"127.0.0.1:{cls.shown.exporter_port}"})
        cls.shown.put(0, cls.shown.good)
        cls.exporter = Exporter(cls.shown).start()
        cls.addClassCleanup(cls.exporter.stop)

    def ask(self, path="/metrics"):
        with Client(self.exporter.port) as c:
            got = c.request("GET", path, headers={
                "Accept": "application/openmetrics-text; version=1.0.0"})
        self.assertIn(got.status, (200, 503), got)
        return got

    def look(self):
        """At all that is read of requests and of the past, in both forms."""
        for path in ("/", "/?range=24h", "/requests", "/requests/" + "0" * 32,
                     "/requests/nobody", "/traces/nobody/otlp.json"):
            for accept in ("text/html", "application/json"):
                with Client(self.exporter.port) as c:
                    got = c.request("GET", path, headers={"Accept": accept})
                self.assertIn(got.status, (200, 404, 503), got)
        for i in self.ids:
            with Client(self.exporter.port) as c:
                got = c.request("GET", f"/requests/{i}")
            self.assertIn(got.status, (200, 404, 503), got)

    def tearDown(self):
        self.shown.restore()
        self.assertEqual(self.ask().status, 200)
        self.assertIn(b"rowhouse_http_requests_total", self.ask().body)
        self.assertTrue(self.exporter.daemon.alive(), self.exporter.daemon.said())
        self.assertEqual(sanitizer_reports(self.shown.temp), "")

    def test_random_bytes_anywhere(self):
        s, dice = self.shown, random.Random(1)
        parts = {"description": (0, s.described), "live": (s.live, s.slot0),
                 "a slot": (s.slot0, s.slot0 + s.slot_bytes),
                 "all slots": (s.slot0, len(s.good)), "all": (0, len(s.good))}
        for name, (low, high) in parts.items():
            for _ in range(6):
                n = dice.choice((8, 64, 4096, high - low))
                at = dice.randrange(low, max(low + 1, high - n))
                with self.subTest(name, at=at, n=n):
                    with open(s.segment, "r+b") as f:
                        f.seek(at)
                        f.write(dice.randbytes(min(n, len(s.good) - at)))
                    self.ask()
                    self.look()
                    # and for one that begins with it
                    with open(s.segment, "rb") as f:
                        s.replace(f.read())
                    self.ask()
                    s.restore()

    def test_rubbish_records_in_whole_rings(self):
        """Rings whose frames are true, and whose records are not."""
        s, dice = self.shown, random.Random(5)
        with open(s.segment, "rb") as f:
            good = f.read()
        ids = [i.encode() for i in self.ids]
        places = [m for i in ids for m in self.places(good, i)]
        self.assertTrue(places)
        for _ in range(40):
            at = dice.choice(places) + dice.randrange(-240, 300)
            s.put(at, dice.randbytes(dice.choice((1, 2, 8, 32))))
            self.look()
            if dice.random() < .3:
                s.restore()

    @staticmethod
    def places(data, what):
        at = data.find(what)
        while at >= 0:
            yield at
            at = data.find(what, at + 1)

    def test_another_size(self):
        s, dice = self.shown, random.Random(2)
        for size in (0, 1, 7, 100, s.described - 1, s.described, s.slot0,
                     len(s.good) - 1, len(s.good) + 1, 2 * len(s.good),
                     *(dice.randrange(len(s.good)) for _ in range(10))):
            with self.subTest(size=size):
                os.truncate(s.segment, size)
                self.assertEqual(self.ask().status, 503)
                self.assertEqual(self.ask("/").status, 200)
                s.restore()
                self.assertEqual(self.ask().status, 200)

    def test_cut_short_while_it_is_read(self):
        s, done = self.shown, threading.Event()

        def cut():
            dice = random.Random(3)
            while not done.is_set():
                os.truncate(s.segment, dice.randrange(s.live, len(s.good)))
                s.restore()

        thread = threading.Thread(target=cut)
        thread.start()
        try:
            for _ in range(60):
                self.ask()
            for _ in range(8):
                self.look()
        finally:
            done.set()
            thread.join(patience(20))

    def test_another_layout_version_is_refused_by_name(self):
        s = self.shown
        version = struct.unpack_from("=I", s.good, 8)[0]
        for other in (version + 1, version - 1, 0, 2 ** 32 - 1):
            with self.subTest(other=other):
                s.replace(s.good[:8] + struct.pack("=I", other) + s.good[12:])
                got = self.ask()
                self.assertEqual(got.status, 503)
                self.assertIn(f"has layout version {other}, this program "
                              f"knows {version}".encode(), got.body)
                s.replace(s.good)
                self.assertEqual(self.ask().status, 200)

    def test_what_is_no_segment(self):
        s, dice = self.shown, random.Random(4)
        for data in (b"", b"RHSEGMNT", b"#!/bin/sh\n", dice.randbytes(100),
                     dice.randbytes(len(s.good)), b"\0" * len(s.good),
                     b"\xff" * len(s.good), s.good[:8] + dice.randbytes(5000)):
            with self.subTest(data=data[:16], n=len(data)):
                s.replace(data)
                self.assertEqual(self.ask().status, 503)
                s.replace(s.good)


if __name__ == "__main__":
    main()
