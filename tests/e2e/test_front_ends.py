#!/usr/bin/python3
"""The same pool behind each web server, with kept connections and without:
nobody is lost, and a kept connection pins no worker."""

import sys
import threading
import time

sys.dont_write_bytecode = True

from harness import (Apache, Client, HAProxy, Nginx, Story, main,  # noqa: E402
                     patience)


class Flow:
    """Run once for each web server by the classes below."""

    settings = {"workers": 4}

    def test_a_client_finds_its_way(self):
        t = self.stack.signup()
        made = self.expect(201, "POST", f"{t.path}/projects", t.token,
                           {"name": "Grüße, Ωmega"})
        path = made.headers["Location"]
        for i in range(25):
            self.expect(201, "POST", f"{path}/tasks", t.token, {"title": f"T{i}"})
        seen, page = [], f"{path}/tasks?limit=10"
        while page:
            got = self.expect(200, "GET", page, t.token)
            seen += [x["title"] for x in got.json["data"]]
            cursor = got.json["next_cursor"]
            page = cursor and f"{path}/tasks?limit=10&cursor={cursor}"
        self.assertEqual(seen, [f"T{i}" for i in reversed(range(25))])
        tag = self.expect(200, "GET", path, t.token).headers["ETag"]
        self.expect(304, "GET", path, t.token, headers={"If-None-Match": tag})
        self.expect(200, "PATCH", path, t.token, {"name": "New"}, {"If-Match": tag})
        self.assertProblem(self.stack.api("PATCH", path, t.token, {"name": "Newer"},
                                          {"If-Match": tag}), 412)
        self.expect(204, "DELETE", path, t.token)
        self.assertProblem(self.stack.api("GET", path, t.token), 404)

    def test_a_reply_carries_its_length(self):
        for path in ("/openapi.json", "/livez", "/none"):
            got = self.stack.api("GET", path)
            self.assertEqual(got.headers["Content-Length"], str(len(got.body)), path)

    def test_problems_come_through(self):
        t = self.stack.signup()
        self.assertProblem(self.stack.api("GET", t.path), 401)
        self.assertProblem(self.stack.api("GET", "/v1/t/none-such", t.token), 404)
        self.assertProblem(self.stack.api("GET", "/v1/t/a%2Fb", t.token), 404)
        self.assertProblem(self.stack.api("PUT", f"{t.path}/projects", t.token), 405)
        self.assertProblem(self.stack.api(
            "POST", f"{t.path}/projects", t.token, b"x" * (2 << 20),
            {"Content-Type": "application/json"}), 413)
        self.assertProblem(self.stack.api("POST", f"{t.path}/projects", t.token,
                                          b"{", {"Content-Type": "application/json"}), 400)

    def test_headers_over_our_limit_are_ours_to_refuse(self):
        many = {f"X-Pad-{i}": "x" * 12800 for i in range(4)}
        got = self.stack.api("GET", "/livez", headers=many)
        self.assertEqual(got.status, 431, got)
        self.expect(200, "GET", "/livez")

    def test_64_kept_clients_are_served_by_4_workers(self):
        t = self.stack.signup()
        worst, faults, lock = [0.0], [], threading.Lock()
        barrier = threading.Barrier(64)

        def one(n):
            slowest, bad = 0.0, []
            try:
                with Client(self.stack.port, timeout=60) as c:
                    barrier.wait(patience(60))
                    for i in range(15):
                        begun = time.monotonic()
                        got = c.request("GET", f"{t.path}/projects?limit={1 + n}",
                                        t.token)
                        slowest = max(slowest, time.monotonic() - begun)
                        if got.status != 200:
                            bad.append(f"{n}.{i}: {got}")
            except Exception as e:  # noqa: BLE001
                bad.append(f"{n}: {e!r}")
            with lock:
                worst[0] = max(worst[0], slowest)
                faults.extend(bad)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(faults, [])
        # a client that starves waits for a timeout of the web server's: a minute
        self.assertLess(worst[0], 50.0)

    def test_idle_connections_pin_no_worker(self):
        idle = [self.stack.client() for _ in range(12)]
        try:
            for c in idle:
                self.assertEqual(c.request("GET", "/livez").status, 200)
            for _ in range(3):
                for c in idle:
                    self.assertEqual(c.request("GET", "/livez").status, 200)
                with self.stack.client() as other:
                    self.assertEqual(other.request("GET", "/livez").status, 200)
        finally:
            for c in idle:
                c.close()


class NginxKept(Flow, Story):
    web, web_options = Nginx, {"keep": True}


class NginxClosing(Flow, Story):
    web, web_options = Nginx, {"keep": False}


class ApacheReusing(Flow, Story):
    web, web_options = Apache, {"reuse": True}


class ApacheClosing(Flow, Story):
    web, web_options = Apache, {"reuse": False}


class HAProxyReusing(Flow, Story):
    web = HAProxy


if __name__ == "__main__":
    main()
