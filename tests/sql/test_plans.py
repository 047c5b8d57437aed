#!/usr/bin/python3
"""Plans of the hot statements where one tenant is 200 times another: a session
that has planned for the small one reads no more for the big one than a fresh
plan does, and the policy costs no buffers. Buffers, for they are the same on
every machine."""

import functools
import json
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

from migrated import A, B, SANITIZED, Migrated, statements  # noqa: E402

SMALL, BIG = A, B
# where our own code is sanitized the plans are PostgreSQL's all the same
TASKS = {SMALL: 1000, BIG: 20000 if SANITIZED else 200000}
PROJECTS = {SMALL: 50, BIG: 2000}
KEYS = {SMALL: 5, BIG: 5000}
EVENTS = {SMALL: 100, BIG: 20000}
JOBS = {SMALL: 50, BIG: 10000}   # that wait
RUNNING = {SMALL: 2, BIG: 30}
PAST = {SMALL: 100, BIG: 20000}
HOOKS = {SMALL: 2, BIG: 40}
DELIVERIES = {SMALL: 50, BIG: 500}      # of each; and of one
MANY = {SMALL: 50, BIG: 2000 if SANITIZED else 10000}
INBOXES = {SMALL: 2, BIG: 100}
RECEIVED = {SMALL: 50, BIG: 500}        # by each
TWICE = 2
# The session plans anew for each of the first five; the sixth may be generic.
TIMES = 6

# statement: its arguments, of what stands in parameters(). A page is the first
# and one from the midst.
PAGE = ("infinity", "max"), ("middle_at", "middle")
HOT = {
    "authorize.key": ["tenant, key, role"],
    "authorize.session": ["tenant, session, role"],
    "members.page": [f"tenant, {at}, {n}, limit" for at, n in PAGE],
    "api_keys.page": [f"tenant, {at}, {n}, limit" for at, n in PAGE],
    "projects.create": ["tenant, event, trace, span, request, event, title, none, none"],
    "projects.update": ["tenant, event, trace, span, request, project, title, none, none,"
                        " zero"],
    "tasks.create": ["tenant, event, project, title, title, open, assignee, none"],
    "tasks.delete": ["tenant, event, trace, span, request, task, zero"],
    "projects.page": [f"tenant, {at}, {n}, limit" for at, n in PAGE],
    "projects.page_status": [f"tenant, {at}, {n}, limit, active" for at, n in PAGE],
    "projects.show": ["tenant, project"],
    "projects.exists": ["tenant, project"],
    "tasks.page": [f"tenant, {at}, {n}, limit" for at, n in PAGE],
    "tasks.page_status": [f"tenant, {at}, {n}, limit, open" for at, n in PAGE],
    "tasks.page_assignee": [f"tenant, {at}, {n}, limit, none, assignee" for at, n in PAGE],
    "tasks.page_of_project": [f"tenant, {at}, {n}, limit, project" for at, n in PAGE],
    "tasks.search": ["tenant, infinity, max, limit, none, none, often",
                     "tenant, infinity, max, limit, open, none, often",
                     "tenant, infinity, max, limit, none, none, never"],
    "tasks.show": ["tenant, task"],
    "events.page": ["tenant, zero, limit", "tenant, middle_pos, limit"],
    "events.page_type": ["tenant, zero, limit, rare", "tenant, middle_pos, limit, rare"],
    "events.show": ["tenant, told"],
    "jobs.page": ["tenant, middle_job, limit"],
    # not by kind among what waits: that is read whole, at the worst
    "jobs.page_live": ["tenant, max, limit, ready, none"],
    "jobs.page_running": ["tenant, max, limit, none", "tenant, max, limit, seldom"],
    "jobs.page_done_kind": ["tenant, max, limit, seldom"],
    "jobs.page_failed": ["tenant, max, limit, dead"],
    "jobs.page_failed_kind": ["tenant, max, limit, dead, seldom"],
    "jobs.show": ["tenant, middle_job"],
    "webhooks.page": ["tenant, infinity, max, limit"],
    "webhooks.show": ["tenant, hook"],
    "deliveries.page": ["tenant, infinity, max, limit, hook",
                        "tenant, middle_due, middle_delivery, limit, hook"],
    "deliveries.page_some": ["tenant, infinity, max, limit, hook, failed, none",
                             "tenant, infinity, max, limit, hook, none, rare"],
    "deliveries.show": ["tenant, middle_delivery"],
    "deliveries.attempts": ["tenant, middle_delivery"],
    "inboxes.page": ["tenant, infinity, max, limit"],
    "inboxes.show": ["tenant, inbox"],
    "inbox_requests.page": ["tenant, inbox, infinity, max, limit",
                            "tenant, inbox, middle_received, middle_request, limit"],
    "inbox_requests.search": ["tenant, inbox, infinity, max, limit, put, none",
                              "tenant, inbox, infinity, max, limit, none, never"],
    "inbox_requests.show": ["tenant, inbox, middle_request"],
    "tasks.update": ["tenant, event, trace, span, request, task, title, no, none, none,"
                     " no, none, no, none, zero"],
}


class Plans(Migrated):

    @classmethod
    def seed(cls, tenant, n):
        user = f"0192f3e4-0000-7000-8000-0000000001{n:02x}"
        cls.query(
            f"select signup('{user}', 'u{n}@example.test', 'U', 'x', '{tenant}',"
            f" 'tenant-{n}', 'T', gen_random_uuid(), sha256('s{n}'), now() +"
            f" interval '1 day', gen_random_uuid(), substr(sha256('t'), 1, 16),"
            f" substr(sha256('p'), 1, 8), 'r');"
            f"insert into api_keys (tenant_id, id, name, role, created_by, sha256)"
            f" select '{tenant}', gen_random_uuid(), 'k', 'owner', '{user}',"
            f" sha256(('key{n}.' || i)::bytea) from generate_series(1, {KEYS[tenant]}) i")
        # a project in twenty is archived, a task in a hundred assigned
        cls.query(
            f"insert into projects (tenant_id, id, name, status, created_at)"
            f" select '{tenant}', gen_random_uuid(), 'p', case when i % 20 = 0 then"
            f" 'archived' else 'active' end, now() - i * interval '1 minute'"
            f" from generate_series(1, {PROJECTS[tenant]}) i")
        cls.query(
            f"with p as (select array_agg(id) ids from projects where"
            f" tenant_id = '{tenant}') insert into tasks (tenant_id, id, project_id,"
            f" title, body, status, assignee_id, created_at)"
            f" select '{tenant}', gen_random_uuid(), ids[1 + i % {PROJECTS[tenant]}],"
            f" 'Title ' || i, 'A body of some words', case when i % 10 = 0 then 'open'"
            f" else 'done' end, case when i % 100 = 0 then '{user}'::uuid end,"
            f" now() - i * interval '1 second'"
            f" from p, generate_series(1, {TASKS[tenant]}) i")
        # some of a day for which there is no partition
        cls.query(
            f"insert into events (tenant_id, pos, id, type, subject_id, payload,"
            f" trace_id, parent_span_id, request_id, created_at) select '{tenant}',"
            f" events_now() - case when i % 10 = 0 then 259200000000 else 0 end + i,"
            f" gen_random_uuid(), case when i % 100 = 0 then 'task.deleted' else"
            f" 'task.updated' end, gen_random_uuid(), '{{}}', substr(sha256('t'), 1, 16),"
            f" substr(sha256('p'), 1, 8), 'r', now() from generate_series(1,"
            f" {EVENTS[tenant]}) i")

        # a job in a hundred is of a rare kind, one in fifty is dead
        columns = ("tenant_id, id, kind, state, priority, args, max_attempts, trace_id,"
                   " parent_span_id, trace_flags, request_id")
        values = ("0, '{}', 8, substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 0, 'r'")
        cls.query(
            f"insert into jobs ({columns}, run_at) select '{tenant}', gen_random_uuid(),"
            f" case when i % 100 = 0 then 'rare' else 'k' end, 'ready', {values}, now()"
            f" from generate_series(1, {JOBS[tenant]}) i;"
            f"insert into jobs_past ({columns}, attempt, created_at) select '{tenant}',"
            f" gen_random_uuid(), case when i % 100 = 0 then 'rare' else 'k' end,"
            f" (case when i % 50 = 0 then 'dead' else 'done' end)::job_state, {values}, 1,"
            f" now() from generate_series(1, {PAST[tenant]}) i;"
            f"update jobs set state = 'running', holder = gen_random_uuid(), lease_until = now()"
            f" where (tenant_id, id) in (select tenant_id, id from jobs where"
            f" tenant_id = '{tenant}' limit {RUNNING[tenant]})")
        cls.seed_webhooks(tenant)
        cls.seed_inboxes(tenant, n)

    @classmethod
    def seed_webhooks(cls, tenant):
        """A delivery in a hundred failed, or was of a rare type; one of the
        endpoints has most of them."""
        cls.query(
            f"insert into webhooks (tenant_id, id, url, event_types, secret) select"
            f" '{tenant}', gen_random_uuid(), 'https://example.test/', '{{}}', 's'"
            f" from generate_series(1, {HOOKS[tenant]}) i;"
            f"with w as (select id, row_number() over (order by id) = 1 as first"
            f" from webhooks where tenant_id = '{tenant}')"
            f" insert into webhook_deliveries (tenant_id, id, webhook_id, event_id, type,"
            f" subject_id, payload, happened_at, trace_id, parent_span_id, request_id, state,"
            f" finished_at, created_at) select '{tenant}', gen_random_uuid(), w.id,"
            f" gen_random_uuid(), case when i % 100 = 0 then 'task.deleted' else"
            f" 'task.updated' end, gen_random_uuid(), '{{}}', now(),"
            f" substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 'r',"
            f" case when i % 100 = 0 then 'failed' else 'delivered' end, now(),"
            f" now() - i * interval '1 second' from w, generate_series(1,"
            f" {MANY[tenant]}) i where first or i <= {DELIVERIES[tenant]};"
            f"insert into webhook_attempts (tenant_id, delivery_id, attempt, started_at,"
            f" latency_ms, reply) select '{tenant}', id, a, now(), 1, ''"
            f" from webhook_deliveries, generate_series(1, 2) a"
            f" where tenant_id = '{tenant}'")

    @classmethod
    def seed_inboxes(cls, tenant, n):
        """A request in a hundred is a PUT."""
        cls.query(
            f"insert into inboxes (tenant_id, id, sha256, sealed, quota) select"
            f" '{tenant}', gen_random_uuid(), sha256(('i{n}' || i)::bytea), '', 1000"
            f" from generate_series(1, {INBOXES[tenant]}) i;"
            f"insert into inbox_requests (tenant_id, id, inbox_id, method, path,"
            f" headers, body, size, cost, trace_id, parent_span_id, request_id, received_at)"
            f" select '{tenant}', gen_random_uuid(), x.id, case when i % 100 = 0 then"
            f" 'PUT' else 'POST' end, '', '{{}}', 'b', 1, 257, substr(sha256('t'), 1, 16),"
            f" substr(sha256('p'), 1, 8), 'r', now() - i * interval '1 second'"
            f" from inboxes x, generate_series(1, {RECEIVED[tenant]}) i"
            f" where x.tenant_id = '{tenant}'")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.query("vacuum analyze")
        cls.statements = {s["name"]: s["sql"] for s in statements()}

    @functools.lru_cache(maxsize=None)      # what is changed is rolled back
    def parameters(self, tenant):
        """What a request of this tenant has for them, as SQL."""
        n = {SMALL: 1, BIG: 2}[tenant]
        (task, middle_at, project), = self.query(
            f"select id, created_at, project_id from tasks where tenant_id = '{tenant}'"
            f" order by created_at desc, id desc offset {TASKS[tenant] // 2} limit 1")
        (told, middle_pos), = self.query(
            f"select id, pos from events where tenant_id = '{tenant}' order by pos"
            f" offset {EVENTS[tenant] // 2} limit 1")
        (past_job,), = self.query(
            f"select id from jobs_past where tenant_id = '{tenant}' order by id"
            f" offset {PAST[tenant] // 2} limit 1")
        (hook, delivery, middle_due), = self.query(
            f"select webhook_id, id, created_at from webhook_deliveries where webhook_id ="
            f" (select webhook_id from webhook_deliveries where tenant_id = '{tenant}'"
            f" group by 1 order by count(*) desc, 1 limit 1) order by created_at desc, id desc"
            f" offset {MANY[tenant] // 2} limit 1")
        (inbox, request, middle_received), = self.query(
            f"select inbox_id, id, received_at from inbox_requests where tenant_id ="
            f" '{tenant}' order by inbox_id, received_at desc, id desc"
            f" offset {RECEIVED[tenant] // 2} limit 1")
        return {
            "hook": f"'{hook}'", "middle_delivery": f"'{delivery}'",
            "middle_due": f"'{middle_due}'", "failed": "'failed'",
            "inbox": f"'{inbox}'", "middle_request": f"'{request}'",
            "middle_received": f"'{middle_received}'", "put": "'PUT'",
            "ready": "'ready'", "seldom": "'rare'", "dead": "'dead'",
            "middle_job": f"'{past_job}'",
            "told": f"'{told}'", "middle_pos": middle_pos, "rare": "'task.deleted'",
            "tenant": f"'{tenant}'", "key": f"sha256('key{n}.1')",
            "session": f"sha256('s{n}')", "role": "'viewer'",
            "infinity": "'infinity'", "max": "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "middle_at": f"'{middle_at}'", "middle": f"'{task}'", "limit": "21",
            "active": "'active'", "open": "'open'", "none": "null", "no": "false",
            "zero": "0", "often": "'title'", "never": "'nowhere'", "title": "'Changed'",
            "assignee": f"'0192f3e4-0000-7000-8000-0000000001{n:02x}'",
            "task": f"'{task}'", "project": f"'{project}'", "request": "'request'",
            "event": "gen_random_uuid()", "trace": "substr(sha256('t'), 1, 16)",
            "span": "substr(sha256('p'), 1, 8)"}

    def session(self, user, script):
        """What the script answers, in a session of its own."""
        done = subprocess.run(
            self.postgres.psql("-A", "-t", user=user),
            input=script, text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def run_as(self, tenant, command, end, arguments):
        """A transaction of that tenant: the command on the prepared statement."""
        given = self.parameters(tenant)
        values = ", ".join(given[name.strip()] for name in arguments.split(","))
        return ("begin;\n"
                f"select set_config('rowhouse.tenant_id', '{tenant}', true) \\g /dev/null\n"
                f"{command} execute p({values}){end}\nrollback;\n")

    def buffers(self, name, arguments, before, user="rowhouse_app"):
        """Those that the big tenant's costs, after these tenants have had it, and it
        itself: the catalogue that a session reads with a plan's first use is no plan's."""
        script = f"prepare p as {self.statements[name]};\n"
        for tenant in [*before, BIG]:
            script += self.run_as(tenant, "", " \\g /dev/null\n", arguments)
        script += self.run_as(BIG, "explain (analyze, buffers, format json)", ";", arguments)
        plan = json.loads(self.session(user, script))[0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], plan

    def each(self):
        self.assertLessEqual(set(HOT), set(self.statements))
        for name, calls in HOT.items():
            for arguments in calls:
                with self.subTest(statement=name, arguments=arguments):
                    yield name, arguments

    def test_a_plan_made_for_a_small_tenant_is_good_for_a_big_one(self):
        for name, arguments in self.each():
            fresh, _ = self.buffers(name, arguments, [])
            kept, plan = self.buffers(name, arguments, [SMALL] * TIMES)
            print(f"{name} ({arguments}): {kept} buffers, fresh {fresh}")
            self.assertGreater(fresh, 0)
            self.assertLessEqual(kept, TWICE * fresh, plan)

    def test_the_policy_reads_nothing_more(self):
        for name, arguments in self.each():
            bare, _ = self.buffers(name, arguments, [SMALL] * TIMES, user="postgres")
            under, plan = self.buffers(name, arguments, [SMALL] * TIMES)
            print(f"{name} ({arguments}): {under} buffers, without the policy {bare}")
            self.assertLessEqual(under, TWICE * bare, plan)

    def test_a_page_is_as_cheap_wherever_it_begins(self):
        for name in ("projects.page", "tasks.page", "tasks.page_of_project"):
            first, middle = (self.buffers(name, arguments, [SMALL] * TIMES)[0]
                             for arguments in HOT[name])
            self.assertLessEqual(middle, TWICE * first + 2, name)

    def test_what_runs_is_found_beside_all_that_waits(self):
        for arguments in HOT["jobs.page_running"]:
            read, plan = self.buffers("jobs.page_running", arguments, [SMALL] * TIMES)
            self.assertLess(read, JOBS[BIG] // 10, plan)


if __name__ == "__main__":
    unittest.main(verbosity=2)
