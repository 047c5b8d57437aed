#!/usr/bin/python3
"""Who sends or reads slowly waits alone: headers that are not all there hold no
worker, a body or a reply holds one for body_timeout at most."""

import sys
import threading
import time

sys.dont_write_bytecode = True

from harness import Story, fcgi, main, patience, wait_until  # noqa: E402

PATIENT = "5min"    # longer than a story, whatever the machine


class Drip(threading.Thread):
    """Sends what is left of each connection, a byte at a time, until told."""

    def __init__(self, rests, every=0.05):
        super().__init__(daemon=True)
        self.rests, self.every = [[c, data] for c, data in rests], every
        self.closed, self.done = set(), threading.Event()
        self.start()

    def run(self):
        while not self.done.is_set():
            for rest in self.rests:
                c, data = rest
                if len(data) > 1 and c not in self.closed:
                    rest[1] = data[1:]
                    if not c.send(data[:1]):
                        self.closed.add(c)
            time.sleep(self.every)

    def stop(self):
        self.done.set()
        self.join(patience(20))


class Slow(Story):

    settings = {"workers": 2}

    def setUp(self):
        self.open = []
        self.tenant = self.stack.signup()
        self.before = self.stack.pool.workers()

    def tearDown(self):
        for c in self.open:
            c.close()
        for _ in range(4):
            self.expect(200, "GET", "/readyz")
        self.assertEqual(self.stack.pool.workers(), self.before)

    def connect(self):
        self.open.append(fcgi.Connection(self.stack.pool.socket))
        return self.open[-1]

    def post(self, keep=False):
        body = b'{"name":"Slow"}'
        return fcgi.request(fcgi.get(f"{self.tenant.path}/projects", [
            ("HTTP_AUTHORIZATION", f"Bearer {self.tenant.token}"),
            ("CONTENT_TYPE", "application/json"),
            ("CONTENT_LENGTH", str(len(body)))], "POST"), body, keep)

    def kept(self):
        """A connection that has been answered once, and is everybody's."""
        c = self.connect()
        c.send(fcgi.request(fcgi.get(), keep=True))
        self.assertEqual(c.status(), 200)
        return c

    def others_are_served(self, count=40):
        for _ in range(count):
            self.expect(200, "GET", f"{self.tenant.path}/projects",
                        self.tenant.token)

    def half_a_body(self):
        c, whole = self.connect(), self.post()
        c.send(whole[:-20])
        return c, whole[-20:]


class Patient(Slow):
    """No deadline passes: who is answered, is answered beside the slow."""

    settings = {"workers": 2, "header_timeout": PATIENT, "body_timeout": PATIENT,
                "timeout_write": PATIENT}

    def test_slow_headers_and_a_slow_body_hold_one_worker(self):
        whole = self.post()
        slow = [self.kept() if n % 2 else self.connect() for n in range(50)]
        for n, c in enumerate(slow):
            c.send(whole[:1 + n])
        body, rest = self.half_a_body()
        drip = Drip([(c, whole[1 + n:200 + n]) for n, c in enumerate(slow)])
        try:
            self.others_are_served()
        finally:
            drip.stop()
        # they were there all the time, and lost nothing by it
        self.assertEqual(drip.closed, set())
        self.assertTrue(body.send(rest))
        self.assertEqual(body.status(), 201)
        self.finish(slow, drip, whole)

    def finish(self, slow, drip, whole):
        """Those whose headers came slowly are answered like all others."""
        for n, (c, left) in enumerate(drip.rests):
            sent = 200 + n - len(left)
            self.assertTrue(c.send(whole[sent:]), n)
        for c in slow:
            self.assertEqual(c.status(), 201)


class Bounded(Slow):
    """All workers are held, and are free again by themselves."""

    settings = {"workers": 2, "header_timeout": "3s", "body_timeout": "3s"}

    def test_headers_that_drip_for_ever_are_given_up(self):
        whole = self.post()
        slow = [self.kept() if n % 2 else self.connect() for n in range(8)]
        drip = Drip([(c, whole) for c in slow], every=0.2)
        try:
            for c in slow:
                status = c.status()     # closed, or a 4xx; or it waits for ever
                self.assertTrue(status == 0 or 400 <= status < 500, status)
        finally:
            drip.stop()

    def test_bodies_hold_their_workers_no_longer_than_body_timeout(self):
        slow = [self.half_a_body() for _ in range(4)]
        drip = Drip([(c, rest) for c, rest in slow], every=0.5)
        try:
            self.others_are_served(10)
        finally:
            drip.stop()
        for c, _ in slow:
            status = c.status()
            self.assertTrue(status == 0 or 400 <= status < 500, status)
        rows = self.stack.postgres.query(
            "select count(*) from projects where name = 'Slow' and tenant_id ="
            f" '{self.tenant.id}'")
        self.assertEqual(rows, [["0"]])

    def test_readers_hold_their_workers_no_longer_than_body_timeout(self):
        for n in range(60):
            self.expect(201, "POST", f"{self.tenant.path}/projects",
                        self.tenant.token,
                        {"name": f"P{n}", "description": "d" * 10000})
        page = fcgi.get(f"{self.tenant.path}/projects", [
            ("QUERY_STRING", "limit=100"), ("HTTP_AUTHORIZATION",
                                            f"Bearer {self.tenant.token}")])
        page[1] = ("REQUEST_URI", f"{self.tenant.path}/projects?limit=100")
        deaf = [self.connect() for _ in range(4)]
        for c in deaf:
            c.send(fcgi.request(page))
        self.others_are_served(5)
        # nothing was read, and all four have been given up; a line may tell of
        # one as slow before
        wait_until(lambda: len([x for x in self.stack.pool.find_lines(
            tenant=self.tenant.slug, msg="request") if x["bytes_out"] > 600000])
            == len(deaf), "the lines of those requests")
        for c in deaf:
            got, last = 0, None
            while record := c.record():
                got, last = got + len(record[2]), record[0]
            self.assertNotEqual(last, fcgi.END)
            self.assertLess(got, 600000)


if __name__ == "__main__":
    main()
