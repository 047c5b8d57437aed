"""All of it: PostgreSQL, migrated; Redis, where it is wanted; the pool; a web server; the exporter."""

import contextlib
import itertools
import os
import threading

from .client import Client
from .pgbouncer import PgBouncer
from .pool import Exporter, Jobs, Pool
from .postgres import Postgres
from .proc import TempDir, wait_until
from .web import Nginx


class Tenant:
    """What a sign-up answers, with the owner's session and his API key."""

    def __init__(self, slug, email, password, signup, key=None):
        self.slug, self.email, self.password = slug, email, password
        self.id = signup["tenant"]["id"]
        self.user = signup["user"]
        self.session = signup["token"]
        self.token = key or self.session
        self.path = f"/v1/t/{slug}"


class Stack:
    """with Stack(workers=4) as s: s.signup(); s.api("GET", "/livez")

    web: a class of web.py or None; web_options go to it; pool: a class like
    Pool, for another way to start it; exporter: whether; bouncer: whether the
    pool reaches PostgreSQL through PgBouncer; redis: a Redis, which it then
    starts and ends; jobs: whether rowhouse-jobs runs beside it; env: more for
    our programs; settings: rowhouse.conf."""

    def __init__(self, web=Nginx, web_options=None, exporter=False, env=None,
                 pg_settings=None, pool=Pool, bouncer=False, redis=None, jobs=False,
                 **settings):
        self.temp_dir = TempDir()
        self.temp = self.temp_dir.path
        self.postgres = self.pool = self.web = self.exporter = self.bouncer = None
        self._count = itertools.count(1)
        self._client = None
        self._wanted = (web, web_options or {}, exporter, env, settings)
        self._pg_settings = pg_settings
        self._pool = pool
        self._bouncer = bouncer
        self.redis = redis
        self.jobs = None
        self._jobs = jobs

    def start(self):
        web, web_options, exporter, env, settings = self._wanted
        self.postgres = Postgres(self._pg_settings, migrated=True)
        if self.redis:
            self.redis.start()
            # one that is late is not away, but in a story about that: else what
            # is counted, cached and told is another's as soon as it stands still
            settings = {"redis_url": self.redis.url, "redis_timeout": "10s",
                        "redis_connect_timeout": "10s", **settings}
        if self._bouncer:
            self.bouncer = PgBouncer(self.postgres)
        self.pool = self._pool(self.temp, self.bouncer or self.postgres, env=env,
                               **settings)
        self.pool.start()
        if self._jobs:
            self.jobs = Jobs(self.pool).start()
        if web:
            self.web = web(self.temp, self.pool.socket, **web_options).start()
            wait_until(self.ready, "/readyz answers 200", 60.0)
        if exporter:
            self.exporter = Exporter(self.pool).start()
        return self

    def ready(self):
        with Client(self.web.port) as c:
            return c.request("GET", "/readyz").status == 200

    @property
    def port(self):
        return self.web.port

    def client(self):
        """A connection of its own: one for each thread."""
        return Client(self.web.port)

    def api(self, method, path, token=None, body=None, headers=None):
        """Answers a Reply: unpacks into status, headers, json."""
        if self._client is None:
            self._client = self.client()
        return self._client.request(method, path, token, body, headers)

    def signup(self, slug=None, key=True, password="correct horse battery"):
        """A new tenant with its owner; key: an owner's API key as well."""
        n = next(self._count)
        slug = slug or f"t{os.getpid()}-{n}"
        email = f"owner@{slug}.example"
        got = self.api("POST", "/v1/signup", body={
            "email": email, "password": password, "name": "Owner",
            "tenant": {"slug": slug, "name": slug}})
        if got.status != 201:
            raise AssertionError(f"signup: {got}")
        tenant = Tenant(slug, email, password, got.json)
        if key:
            tenant.token = self.key(tenant, "owner")
        return tenant

    def key(self, tenant, role):
        """An API key of a role."""
        got = self.api("POST", f"{tenant.path}/api-keys", tenant.session,
                       {"name": role, "role": role})
        if got.status != 201:
            raise AssertionError(f"api-keys: {got}")
        return got.json["key"]

    def leave_job(self, tenant):
        """The id of a job of no program's, that waits for tomorrow."""
        [[job]] = self.postgres.query(
            "insert into jobs (tenant_id, id, kind, state, priority, args, run_at,"
            " max_attempts, trace_id, parent_span_id, trace_flags, request_id)"
            f" values ('{tenant.id}', gen_random_uuid(), 'k', 'scheduled', 0, '{{}}',"
            " now() + interval '1 day', 8, substr(sha256('t'), 1, 16),"
            " substr(sha256('p'), 1, 8), 0, 'left-before') returning id")
        return job

    @contextlib.contextmanager
    def busy(self, path, tenant):
        """PATCHes path, and keeps that request in flight until the block ends,
        by a lock on the row. Gives a function: the reply, once it is there."""
        answer = []

        def patch():
            with Client(self.web.port, timeout=90.0) as c:
                answer.append(c.request("PATCH", path, tenant.token,
                                        {"name": "Busy"}))

        def reply():
            thread.join()
            return answer[0]

        thread = threading.Thread(target=patch)
        with self.postgres.transaction() as lock:
            lock(f"select 1 from projects where id = '{path.rsplit('/', 1)[1]}'"
                 " for update")
            thread.start()
            wait_until(lambda: self.postgres.query(
                "select 1 from pg_stat_activity where wait_event_type = 'Lock'"),
                "the request waits for the lock")
            yield reply
        thread.join()

    def stop(self):
        """In the order of a deployment's end; the pool must end with 0."""
        if self._client:
            self._client.close()
        try:
            for part in (self.web, self.exporter, self.jobs, self.pool):
                if part and part.daemon and part.daemon.alive():
                    part.stop()
        finally:
            self.close()

    def close(self):
        """Whatever still runs is ended."""
        for part in (self.web, self.exporter, self.jobs, self.pool):
            if part and part.daemon and part.daemon.alive():
                part.daemon.kill()
        for part in (self.bouncer, self.redis, self.postgres):
            if part:
                part.close()
        self.temp_dir.remove()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, *_):
        if kind:
            self.close()
        else:
            self.stop()
