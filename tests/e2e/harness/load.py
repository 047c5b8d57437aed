"""A steady load of POSTs, to be watched while something happens to the pool."""

import threading
import time

from .proc import wait_until


class Load:
    """with Load(stack, tenant, clients=8) as load: … ; then load.check()

    Each client creates tasks of its own, one after another; titles tell them
    apart, so that a row that is lost or there twice shows itself."""

    def __init__(self, stack, tenant, clients=8, pause=0.0):
        self.stack, self.tenant, self.pause = stack, tenant, pause
        made = stack.api("POST", f"{tenant.path}/projects", tenant.token,
                         {"name": "Load"})
        if made.status != 201:
            raise AssertionError(f"projects: {made}")
        self.path = f"{made.headers['Location']}/tasks"
        self.done = threading.Event()
        self.made, self.odd = [0] * clients, [[] for _ in range(clients)]
        self.threads = [threading.Thread(target=self._client, args=(n,))
                        for n in range(clients)]

    def _client(self, n):
        try:
            with self.stack.client() as c:
                while not self.done.is_set():
                    got = c.request("POST", self.path, self.tenant.token,
                                    {"title": f"{n}-{self.made[n]}"})
                    if got.status != 201:
                        self.odd[n].append(repr(got))
                    self.made[n] += 1
                    if self.pause:
                        time.sleep(self.pause)
        except Exception as e:  # noqa: BLE001
            self.odd[n].append(repr(e))

    @property
    def count(self):
        return sum(self.made)

    def wait_more(self, count=100):
        """Until so many more were answered; at once where one was refused."""
        goal = self.count + count
        wait_until(lambda: self.count >= goal or any(self.odd),
                   f"{count} more requests are answered", 30.0)

    def check(self):
        """Ends it: nothing but 201, and each row is there once."""
        self.done.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()
        if any(self.odd):
            raise AssertionError([odd[:3] for odd in self.odd if odd])
        rows = self.stack.postgres.query(
            "select count(*), count(distinct title) from tasks where tenant_id ="
            f" '{self.tenant.id}'")
        if rows != [[str(self.count)] * 2]:
            raise AssertionError(f"{self.count} requests, rows: {rows}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()
