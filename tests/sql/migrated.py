"""A PostgreSQL with our migrations in it, two tenants, and our statements."""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "e2e"))

# pylint: disable=wrong-import-position
from harness.places import BUILD, SANITIZED, patience  # noqa: E402
from harness.pool import environment  # noqa: E402
from harness.postgres import Postgres, bin_dir  # noqa: E402

A, B = ("0192f3e4-0000-7000-8000-00000000000a",
        "0192f3e4-0000-7000-8000-00000000000b")


def statements():
    """What the API registers: dicts of name, global, sql, resource."""
    done = subprocess.run([os.path.join(BUILD, "tests/sql/statements")],
                          check=True, capture_output=True, text=True,
                          env=environment("/tmp"), timeout=patience(30))
    return [json.loads(line) for line in done.stdout.splitlines()]


def literal(text):
    return "'" + text.replace("'", "''") + "'"


class Migrated(unittest.TestCase):
    """self.postgres, migrated up; seeded with two tenants, A and B, with a row
    in every table of a tenant's (test_catalogue checks that it is every)."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not bin_dir():
            raise unittest.SkipTest("the PostgreSQL server is not installed")
        cls.postgres = Postgres(migrated=True)
        cls.addClassCleanup(cls.postgres.close)
        for tenant, n in ((A, 1), (B, 2)):
            cls.seed(tenant, n)

    @classmethod
    def seed(cls, tenant, n):
        user = f"0192f3e4-0000-7000-8000-0000000001{n:02x}"
        cls.query(
            f"select signup('{user}', 'u{n}@example.test', 'U', 'x', '{tenant}',"
            f" 'tenant-{n}', 'T', gen_random_uuid(), sha256('s{n}'), now() +"
            f" interval '1 day', gen_random_uuid(), substr(sha256('t'), 1, 16),"
            f" substr(sha256('p'), 1, 8), 'r')")
        cls.query(
            f"with u as (insert into users (id, email, name, password_hash)"
            f"  select gen_random_uuid(), 'm{n}.' || i || '@example.test', 'M', 'x'"
            f"  from generate_series(1, 500) i returning id)"
            f" insert into memberships (tenant_id, user_id, role)"
            f" select '{tenant}', id, 'member' from u;"
            f"insert into api_keys (tenant_id, id, name, role, created_by, sha256)"
            f" select '{tenant}', gen_random_uuid(), 'k', 'owner', '{user}',"
            f" sha256(('k{n}' || i)::bytea) from generate_series(1, 500) i;"
            f"insert into projects (tenant_id, id, name) select '{tenant}',"
            f" gen_random_uuid(), 'p' from generate_series(1, 300);"
            f"insert into tasks (tenant_id, id, project_id, title, assignee_id)"
            f" select '{tenant}', gen_random_uuid(), p.id, 'word', '{user}'"
            f" from projects p, generate_series(1, 20)"
            f" where p.tenant_id = '{tenant}';"
            f"insert into tenant_limits (tenant_id, tenant) values ('{tenant}', {n});"
            f"insert into idempotency_keys (tenant_id, id, fingerprint, status,"
            f" head, body, sealed, expires_at) select '{tenant}',"
            f" sha256(i::text::bytea), sha256('f'), 201, '', '', false, now()"
            f" from generate_series(1, 100) i;"
            f"insert into events (tenant_id, pos, id, type, subject_id, payload,"
            f" trace_id, parent_span_id, request_id, created_at) select '{tenant}',"
            f" events_now() + i, gen_random_uuid(), 'task.created', gen_random_uuid(),"
            f" '{{}}', substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 'r', now()"
            f" from generate_series(1, 300) i;"
            f"insert into jobs (tenant_id, id, kind, state, priority, args, run_at,"
            f" max_attempts, trace_id, parent_span_id, trace_flags, request_id)"
            f" select '{tenant}', gen_random_uuid(), 'k', 'ready', 0, '{{}}', now(), 8,"
            f" substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 0, 'r'"
            f" from generate_series(1, 100) i;"
            f"insert into jobs_past (tenant_id, id, kind, state, priority, args, attempt,"
            f" max_attempts, trace_id, parent_span_id, trace_flags, request_id, created_at)"
            f" select '{tenant}', gen_random_uuid(), 'k', 'done', 0, '{{}}', 1, 8,"
            f" substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 0, 'r', now()"
            f" from generate_series(1, 100) i;"
            f"insert into job_controls (tenant_id, kind) select '{tenant}', 'k' || i"
            f" from generate_series(1, 100) i;"
            f"insert into job_rates (tenant_id, kind, tokens, at) select '{tenant}', 'k' || i,"
            f" 1, now() from generate_series(1, 100) i;"
            f"insert into job_crons (tenant_id, name, id, kind, schedule, args, next_at)"
            f" select '{tenant}', 'c' || i, gen_random_uuid(), 'k', '@daily', '{{}}',"
            f" now() + interval '1 day' from generate_series(1, 50) i;"
            f"insert into webhooks (tenant_id, id, url, event_types, secret) select"
            f" '{tenant}', gen_random_uuid(), 'https://example.test/', '{{}}', 's'"
            f" from generate_series(1, 50) i;"
            f"insert into webhook_deliveries (tenant_id, id, webhook_id, event_id, type,"
            f" subject_id, payload, happened_at, trace_id, parent_span_id, request_id)"
            f" select '{tenant}', gen_random_uuid(), w.id, gen_random_uuid(),"
            f" 'task.created', gen_random_uuid(), '{{}}', now(),"
            f" substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 'r'"
            f" from webhooks w, generate_series(1, 10) where w.tenant_id = '{tenant}';"
            f"insert into webhook_attempts (tenant_id, delivery_id, attempt, started_at,"
            f" latency_ms, reply) select '{tenant}', id, 1, now(), 1, ''"
            f" from webhook_deliveries where tenant_id = '{tenant}';"
            f"insert into webhook_paces (tenant_id, webhook_id, next_at) select"
            f" '{tenant}', id, now() from webhooks where tenant_id = '{tenant}';"
            f"insert into inboxes (tenant_id, id, sha256, sealed, quota) select"
            f" '{tenant}', gen_random_uuid(), sha256(('i{n}' || i)::bytea), '', 100"
            f" from generate_series(1, 50) i;"
            f"insert into inbox_requests (tenant_id, id, inbox_id, method, path,"
            f" headers, body, size, cost, trace_id, parent_span_id, request_id)"
            f" select '{tenant}', gen_random_uuid(), i.id, 'POST', '', '{{}}', 'b', 1,"
            f" 257, substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 'r'"
            f" from inboxes i, generate_series(1, 20) where i.tenant_id = '{tenant}'")

    @classmethod
    def query(cls, sql, user="postgres"):
        return cls.postgres.query(sql, user=user)

    def as_tenant(self, tenant, sql):
        """Rows of the last statement, as the application in that tenant."""
        setting = (f"select set_config('rowhouse.tenant_id', '{tenant}', true) \\g"
                   " /dev/null\n") if tenant else ""
        done = subprocess.run(
            self.postgres.psql("-A", "-t", "-F", "\t", user="rowhouse_app"),
            input=f"begin;\n{setting}{sql};\n", text=True, capture_output=True,
            check=False)
        if done.returncode:
            raise AssertionError(f"psql: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]
