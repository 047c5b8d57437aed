"""Two PostgreSQL clusters and one pool: home, and the placement "big"."""

import json
import subprocess
import threading
import time

from .places import patience, program
from .pool import Jobs, Pool, migrate, write_conf
from .postgres import Postgres
from .proc import wait_until
from .story import Story

# Where a tenant that made one of each has rows, once its events are told.
TABLES = ("memberships", "api_keys", "projects", "tasks", "events", "idempotency_keys")
# The last four: all tables are copied at a time, and at once; else a move is
# seconds of waiting for the next worker's turn.
LOGICAL = {"wal_level": "logical", "max_wal_senders": 20, "max_replication_slots": 20,
           "max_worker_processes": 24, "max_logical_replication_workers": 16,
           "max_sync_workers_per_subscription": 8, "wal_retrieve_retry_interval": "'20ms'"}


class DebugPool(Pool):
    """With the routes and the kinds of fcgi/debug."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.program = program("rowhouse-fcgi-debug")


class Placed(Story):
    """self.big is another cluster, which the pool knows as "big"; big_redis, a
    function that makes one, gives it a Redis, self.bigs. debug_jobs: whether
    there are jobs, of the kinds of fcgi/debug."""

    settings = {"workers": 2}
    big_redis = None
    debug_jobs = False
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
        if cls.debug_jobs:
            cls.pool = DebugPool
        super().setUpClass()
        cls.stack.pool.configure(move_database_url=cls.stack.postgres.super_url)
        if cls.debug_jobs:
            cls.stack.jobs = Jobs(cls.stack.pool)
            cls.stack.jobs.program = program("rowhouse-jobs-debug")
            cls.stack.jobs.start()

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

    def ctl(self, *operands, conf=None, command="tenant"):
        return subprocess.run(
            [program("rowhouse-ctl"), "-c", conf or self.stack.pool.conf, command, *operands],
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

    def home_is_back(self):
        """Each worker has a session there again: one that has none answers 503."""
        wait_until(lambda: int(self.stack.postgres.query(
            "select count(*) from pg_stat_activity where application_name like"
            " 'rowhouse-fcgi%'")[0][0]) >= self.settings["workers"],
            "home is back", patience(20))

    def big_is_back(self, tenant):
        """Whichever worker is asked for the tenant goes there again."""
        wait_until(lambda: all(self.stack.api(
            "GET", f"{tenant.path}/projects", tenant.token).status == 200 for _ in range(20)),
            "the placement is back", patience(20))

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


def is_put_off(got):
    """503, until its move is over."""
    return got.status == 503 and got.headers["Retry-After"] and \
        got.json["type"] == "urn:rowhouse:problem:tenant.moved"


class Clients:
    """Threads that ask, one after the other: what is answered 503 with a
    Retry-After was not done, and is asked for again."""

    def __init__(self, story, tenant, clients):
        self.stack, self.tenant = story.stack, tenant
        self.done = threading.Event()
        self.put_off = [0] * clients
        self.odd = []
        self.threads = [threading.Thread(target=self._client, args=(n,))
                        for n in range(clients)]

    def _client(self, n):
        try:
            with self.stack.client() as c:
                while not self.done.is_set() and not self.odd:
                    self.turn(n, c)
        except Exception as e:  # noqa: BLE001
            self.odd.append(repr(e))

    def turn(self, n, client):
        raise NotImplementedError

    def ask(self, n, client, status, *request):
        """The answer; None: nothing came of it, and it is the end."""
        while True:
            got = client.request(*request)
            if got.status == status:
                return got
            if not is_put_off(got):
                self.odd.append(repr(got))
                return None
            self.put_off[n] += 1
            if self.done.is_set():
                return None
            time.sleep(0.05)

    def end(self):
        """Nothing odd."""
        self.__exit__()
        if self.odd:
            raise AssertionError(self.odd[:3])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()


class Writers(Clients):
    """8 clients that create tasks of their own and end them, one after another:
    every other of them with an Idempotency-Key, every fourth with a session. The
    first changes the project of all, instead."""

    def __init__(self, story, tenant, clients=8):
        super().__init__(story, tenant, clients)
        made = story.expect(201, "POST", f"{tenant.path}/projects", tenant.token,
                            {"name": "Load"})
        self.project = made.headers["Location"]
        self.made, self.changed = [0] * clients, 0

    def turn(self, n, client):
        time.sleep(0.01)        # who moves has two processors with all of them
        token = self.tenant.session if n % 4 == 3 else self.tenant.token
        if n == 0:
            if self.ask(n, client, 200, "PATCH", self.project, token,
                        {"description": str(self.changed)}):
                self.changed += 1
            return
        title = f"{n}-{self.made[n]}"
        got = self.ask(n, client, 201, "POST", f"{self.project}/tasks", token, {"title": title},
                       {"Idempotency-Key": f"key-{title}"} if n % 2 else None)
        if got and self.ask(n, client, 200, "PATCH", got.headers["Location"], token,
                            {"status": "done"}):
            self.made[n] += 1

    def wait_more(self, count):
        goal = sum(self.made) + count
        wait_until(lambda: sum(self.made) >= goal or self.odd,
                   f"{count} more requests are answered", 60.0)

    def check(self, postgres):
        """Ends them: nothing odd, and each row is there once."""
        self.end()
        rows = postgres.query("select count(*), count(distinct title) from tasks where"
                              f" tenant_id = '{self.tenant.id}' and status = 'done'")
        if rows != [[str(sum(self.made))] * 2]:
            raise AssertionError(f"{sum(self.made)} were made, rows: {rows}")


class Leaver(Clients):
    """Leaves jobs that make a project each."""

    def __init__(self, story, tenant):
        super().__init__(story, tenant, 1)
        self.left = 0

    def turn(self, n, client):
        if self.ask(n, client, 204, "POST", f"{self.tenant.path}/debug/jobs?what=project",
                    self.tenant.token):
            self.left += 1
        time.sleep(0.02)

    def check(self, postgres):
        """Ends it: each job is done, and has done it once."""
        self.end()
        of_tenant = f"where tenant_id = '{self.tenant.id}'"

        def done():
            # of a worker that was elsewhere: its lease would be over in a minute
            postgres.query("update jobs set lease_until = least(lease_until, started_at"
                           f" + interval '3 s') {of_tenant} and state = 'running'")
            return not postgres.query(f"select 1 from jobs {of_tenant}")
        wait_until(done, "all jobs are over", 60.0, every=0.2)
        got = postgres.query(
            f"select (select count(*) from jobs_past {of_tenant} and state = 'done'),"
            f" (select count(*) from projects {of_tenant} and name like '{{%')")
        if got != [[str(self.left)] * 2]:
            raise AssertionError(f"{self.left} jobs were left; done, of effect: {got}")


class Reader(Clients):
    """Follows the tenant's feed by cursor, from its first event on."""

    def __init__(self, story, tenant):
        super().__init__(story, tenant, 1)
        self.events, self.cursor = [], ""

    def turn(self, n, client):
        got = self.ask(n, client, 200, "GET", f"{self.tenant.path}/events?limit=100{self.cursor}",
                       self.tenant.token)
        if not got:
            return
        self.events += got.json["data"]
        self.cursor = f"&cursor={got.json['next_cursor']}"
        if len(got.json["data"]) < 100:
            time.sleep(0.02)

    def check(self, postgres):
        """Ends it once all is told: each event once, of a subject each version
        behind the one before."""
        of_tenant = f"where tenant_id = '{self.tenant.id}'"
        wait_until(lambda: not postgres.query(f"select 1 from outbox_events {of_tenant}"),
                   "all is told", 60.0)
        told = [row[0] for row in postgres.query(
            f"select id from events {of_tenant} order by pos")]
        wait_until(lambda: len(self.events) >= len(told) or self.odd, "all is read", 60.0)
        self.end()
        seen = [event["id"] for event in self.events]
        if seen != told:
            raise AssertionError(f"told {len(told)}, read {len(seen)}, of these"
                                 f" {len(set(seen))} once; missed {set(told) - set(seen)}")
        versions = {}
        for event in self.events:
            version = event["payload"].get("version")
            if version is None:
                continue
            before = versions.get(event["subject_id"], 0)
            if version != before + 1:
                raise AssertionError(f"version {version} is told behind {before}: {event}")
            versions[event["subject_id"]] = version
        return versions
