"""Two PostgreSQL clusters and one pool: home, and the placement "big"."""

import json
import subprocess
import threading
import time

from .places import patience, program
from .pool import migrate, write_conf
from .postgres import Postgres
from .proc import wait_until
from .story import Story

# All tables of a tenant's, but the signpost that stays where it was.
TABLES = ("memberships", "api_keys", "projects", "tasks", "outbox_events", "idempotency_keys")
LOGICAL = {"wal_level": "logical", "max_wal_senders": 10, "max_replication_slots": 10}


class Placed(Story):
    """self.big is another cluster, which the pool knows as "big"; big_redis, a
    function that makes one, gives it a Redis, self.bigs."""

    settings = {"workers": 2}
    big_redis = None
    pg_settings = LOGICAL

    @classmethod
    def setUpClass(cls):
        cls.big = Postgres(LOGICAL)
        cls.addClassCleanup(cls.big.close)
        cls.bigs = cls.big_redis() if cls.big_redis else None
        if cls.bigs:
            cls.addClassCleanup(cls.bigs.close)
            cls.bigs.start()
        cls.settings = {**cls.settings, "placement big": cls.placement()}
        conf = f"{cls.big.dir}/rowhouse.conf"
        write_conf(conf, {"placement big": cls.placement()})
        migrate(conf, "-p", "big", "up", temp=cls.big.dir)
        super().setUpClass()
        cls.stack.pool.configure(move_database_url=cls.stack.postgres.super_url)

    @classmethod
    def placement(cls):
        return {"database_url": cls.big.app_url, "admin_database_url": cls.big.admin_url,
                "move_database_url": cls.big.super_url,
                "redis_url": cls.bigs.url if cls.bigs else ""}

    def rows(self, postgres, tenant):
        """How many of the tenant's there are, by table; those of none left out."""
        counts = json.loads(postgres.query(
            f"select move_count('{tenant.id}', '-infinity')")[0][0])
        return {table: n for table, n in counts.items() if n}

    def ctl(self, *operands, conf=None):
        return subprocess.run(
            [program("rowhouse-ctl"), "-c", conf or self.stack.pool.conf, "tenant", *operands],
            env=self.stack.pool.env, capture_output=True, text=True, check=False,
            timeout=patience(120))

    def move(self, tenant, place):
        """What rowhouse-ctl tells of it."""
        done = self.ctl("move", tenant.slug, place, "--json")
        self.assertEqual(done.returncode, 0, done)
        got = json.loads(done.stdout)
        self.assertEqual((got["tenant"], got["tenant_id"], got["to"]),
                         (tenant.slug, tenant.id, place))
        return got

    def place(self, tenant):
        self.move(tenant, "big")

    def nothing_left(self):
        """Of a replication, anywhere."""
        for postgres in (self.stack.postgres, self.big):
            self.assertEqual(postgres.query(
                "select pubname::text from pg_publication union all select subname::text"
                " from pg_subscription union all select slot_name::text from"
                " pg_replication_slots"), [])
        self.assertEqual(self.stack.postgres.query(
            "select slug from tenants where move_from is not null or move_to is not null"), [])

    def line(self, reply):
        """What the log says of a reply."""
        return self.stack.pool.wait_line(request_id=reply.headers["X-Request-Id"])


class Writers:
    """8 clients that create tasks of their own, one after another: every other
    of them with an Idempotency-Key, every fourth with a session. What is
    answered 503 with a Retry-After was not done, and is asked for again."""

    def __init__(self, story, tenant, clients=8):
        self.stack, self.tenant = story.stack, tenant
        made = story.expect(201, "POST", f"{tenant.path}/projects", tenant.token,
                            {"name": "Load"})
        self.path = f"{made.headers['Location']}/tasks"
        self.done = threading.Event()
        self.made, self.put_off = [0] * clients, [0] * clients
        self.odd = []
        self.threads = [threading.Thread(target=self._client, args=(n,))
                        for n in range(clients)]

    def _client(self, n):
        token = self.tenant.session if n % 4 == 3 else self.tenant.token
        try:
            with self.stack.client() as c:
                while not self.done.is_set():
                    title = f"{n}-{self.made[n]}"
                    got = c.request("POST", self.path, token, {"title": title},
                                    {"Idempotency-Key": f"key-{title}"} if n % 2 else None)
                    if got.status == 201:
                        self.made[n] += 1
                    elif got.status == 503 and got.headers["Retry-After"] and \
                            got.json["type"] == "urn:rowhouse:problem:tenant.moved":
                        self.put_off[n] += 1
                        time.sleep(0.05)
                    else:
                        self.odd.append(repr(got))
                        return
        except Exception as e:  # noqa: BLE001
            self.odd.append(repr(e))

    def wait_more(self, count):
        goal = sum(self.made) + count
        wait_until(lambda: sum(self.made) >= goal or self.odd,
                   f"{count} more requests are answered", 60.0)

    def check(self, postgres):
        """Ends them: nothing odd, and each row is there once."""
        self.__exit__()
        if self.odd:
            raise AssertionError(self.odd[:3])
        rows = postgres.query("select count(*), count(distinct title) from tasks where"
                              f" tenant_id = '{self.tenant.id}'")
        if rows != [[str(sum(self.made))] * 2]:
            raise AssertionError(f"{sum(self.made)} were made, rows: {rows}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()
