#!/usr/bin/python3
"""Every statement of the API: it can be prepared, it is a tenant's or says why
not, a change writes an event, a list walks an index."""

import json
import re
import sys
import unittest

sys.dont_write_bytecode = True

from migrated import A, Migrated, literal, statements  # noqa: E402

STATEMENTS = statements()

# A tenant's statement names it, in sight, in one of three ways:
#   tenant_id = $1           of a table (with an alias or without)
#   id = $1                  of the table tenants
#   values ($1, / select $1, into a table's first column, tenant_id
#   function(… $1 …)         of one of these functions, as their tenant
TENANT_ID = re.compile(r"\b(?:\w+\.)?tenant_id = \$1\b")
OF_TENANTS = re.compile(r"\b(?:from|update) tenants\b.*\bid = \$1\b")
INSERTED = re.compile(
    r"insert into \w+ \(tenant_id,[^)]*\)\s+(?:values \(|select )\$1\b")
TENANT_ARGUMENT = {     # function: which of its arguments is the tenant
    "authorize_key": 2, "authorize_session": 2, "member_set_role": 1, "member_remove": 1,
    "idempotency_claim": 1, "session_adopt": 2,
    "inbox_replay_guard": 1,
    "job_enter": 1, "job_over": 1, "job_fail": 1, "job_extend": 1,
    "job_retry": 1, "job_cancel": 1, "job_cron_fire": 1,
}
WRITES = re.compile(r"\b(?:insert into|update|delete from) (\w+)\b")
WRITING_FUNCTIONS = {"member_set_role", "member_remove", "signup",
                     "session_open", "session_close", "password_rehash",
                     "limit_take", "limit_give", "limit_purge",
                     "idempotency_claim", "idempotency_store_outside",
                     "idempotency_purge", "session_adopt", "session_shut",
                     "events_relay", "events_tend", "webhooks_tell_pauses",
                     "job_claim", "job_turn", "job_turn_one", "job_over", "job_over_all",
                     "job_fail", "job_give_back", "job_extend", "job_forget",
                     "job_kinds_say", "job_retry", "job_cancel", "job_cron_fire",
                     "webhook_fan_out", "webhook_claim", "webhook_settle",
                     "webhook_rescue", "webhook_forget",
                     "inbox_receive", "inbox_purge"}
CALLING_THEM = {"idempotency_claim_outside", "job_rescue", "webhook_take"}
# A change without an event, and why.
SILENT = {
    "accounts.signup": "the function writes tenant.created itself",
    "accounts.rehash": "a user's, in no tenant; nothing changed for anybody",
    "accounts.session_open": "a user's, in no tenant",
    "accounts.session_close": "a user's, in no tenant",
    "accounts.session_shut": "a user's, in no tenant",
    "place.session_adopt": "a session that was opened at home",
    "limiter.take": "a request that is counted is no change",
    "limiter.give": "the same, taken back",
    "limiter.purge": "what is idle says no more than no row",
    "idempotency.claim": "forgets a key that has expired",
    "idempotency.claim_outside": "the same",
    "idempotency.store": "a reply is no change; its request's event is beside it",
    "idempotency.store_outside": "the same",
    "idempotency.purge": "forgets keys that have expired",
    "relay.move": "tells what happened",
    "relay.tend": "forgets what was told long ago",
    "webhooks.tell_pauses": "leaves a job for an event that was told",
    "jobs.add": "a job is no resource's change; what it does has its own events",
    "jobs.claim": "the same", "jobs.turn": "the same", "jobs.over": "the same",
    "jobs.over_all": "the same",
    "jobs.fail": "the same", "jobs.give_back": "the same", "jobs.extend": "the same",
    "jobs.rescue": "the same", "jobs.forget": "the same",
    "jobs.kinds": "what a program says of itself",
    "crons.set": "a schedule is a part of what its route has changed, and told",
    "crons.drop": "the same", "crons.fire": "a job is no resource's change",
    "deliveries.fan_out": "tells what happened", "deliveries.claim": "the same",
    "deliveries.settle": "the function writes webhook.paused itself",
    "deliveries.rescue": "tells what happened once more",
    "deliveries.forget": "forgets what was told long ago",
    "inboxes.receive": "the function writes inbox.received itself",
    "inboxes.purge": "forgets what has expired, and what is old",
}
# Inserts whose event is a statement of its own behind them (rh_event_send);
# tests/e2e/test_events.py sees that it is there.
SENT_BEHIND = {"tasks.create"}


def without_event(sql):
    """The statement but for the event, which has $1 of its own."""
    return re.sub(r"insert into outbox_events .*? from \w+", "", sql)


def calls(sql):
    """(function, arguments) of each call with plain arguments."""
    return [(m[1], [a.strip() for a in m[2].split(",")])
            for m in re.finditer(r"\b(\w+)\(([^()]*)\)", sql)]


def is_a_tenants(sql):
    sql = without_event(sql)
    return bool(TENANT_ID.search(sql) or OF_TENANTS.search(sql) or
                INSERTED.search(sql) or any(
                    f in TENANT_ARGUMENT and len(a) >= TENANT_ARGUMENT[f] and
                    a[TENANT_ARGUMENT[f] - 1] == "$1" for f, a in calls(sql)))


def changes(sql):
    """The tables, and functions, by which a statement changes something."""
    return ({t for t in WRITES.findall(sql) if t != "outbox_events"} |
            {f for f, _ in calls(sql) if f in WRITING_FUNCTIONS | CALLING_THEM})


class TheRule(unittest.TestCase):
    """The check itself: what it lets through and what not."""

    def test_what_is_a_tenants(self):
        for sql, good in (
                ("select 1 from x where tenant_id = $1", True),
                ("select 1 from x m where m.tenant_id = $1 and id = $2", True),
                ("select 1 from tenants where id = $1", True),
                ("update tenants set name = $2 where id = $1", True),
                ("insert into x (tenant_id, id) values ($1, $2)", True),
                ("insert into x (tenant_id, id) select $1, $2", True),
                ("select * from authorize_key($2, $1, $3)", True),
                ("select 1 from x where id = $1", False),
                ("select 1 from x where tenant_id = $10", False),
                ("select 1 from x where tenant_id = $2", False),
                ("select * from authorize_key($1, $2, $3)", False),
                ("select * from other($1)", False),
                ("insert into x (id, tenant_id) values ($1, $2)", False),
                ("with e as (insert into outbox_events (tenant_id, id) select $1,"
                 " $2 from x) select 1", False)):
            self.assertEqual(is_a_tenants(sql), good, sql)


# lists that are sorted, and why
SORTED = {"jobs.page_running": "as many as run: test_plans.py looks at them beside all that waits"}


class Statements(Migrated):

    def test_there_are_statements_each_with_a_name_of_its_own(self):
        names = [s["name"] for s in STATEMENTS]
        self.assertGreater(len(names), 30)
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            self.assertRegex(name, r"^[a-z_]+\.[a-z_]+$")

    def test_each_can_be_prepared_by_the_application(self):
        faults = []
        for s in STATEMENTS:
            try:
                self.query(f"prepare p as {s['sql']}", user="rowhouse_app")
            except AssertionError as e:
                faults.append(f"{s['name']}: {e}")
        self.assertEqual(faults, [])

    def test_each_is_a_tenants_or_says_why_not(self):
        for s in STATEMENTS:
            if s["global"] is None:
                self.assertTrue(is_a_tenants(s["sql"]), s)
            else:
                self.assertGreater(len(s["global"]), 10, s)
                self.assertFalse(is_a_tenants(s["sql"]), s)

    def test_each_change_writes_its_event(self):
        for s in STATEMENTS:
            event = "insert into outbox_events" in s["sql"]
            if s["name"] in SILENT or s["name"] in SENT_BEHIND:
                self.assertTrue(changes(s["sql"]) and not event, s)
            elif s["name"] == "outbox.add":
                self.assertTrue(event and not changes(s["sql"]), s)
            else:
                self.assertEqual(bool(changes(s["sql"])), event, s)
        self.assertLessEqual(set(SILENT), {s["name"] for s in STATEMENTS})

    def test_an_event_is_named_for_what_happened(self):
        for s in STATEMENTS:
            for name in re.findall(r"select \$1, \$2::uuid, '([^']*)'", s["sql"]):
                self.assertRegex(name, r"^[a-z_]+\.[a-z]+(ed|e|t)$", s)

    def test_no_function_that_changes_something_goes_unlisted(self):
        """What the application may execute, that is not stable: listed above."""
        rows = self.query(
            "select proname from pg_proc where pronamespace = 'public'::regnamespace"
            " and provolatile = 'v' and has_function_privilege('rowhouse_app',"
            " oid, 'execute') and prosrc ~* '\\y(insert into|delete from|update [a-z_.]+( [a-z]+)? set)\\y'")
        self.assertEqual({r[0] for r in rows}, WRITING_FUNCTIONS)

    def test_each_list_walks_an_index_in_order(self):
        self.query("analyze")
        lists = [s for s in STATEMENTS
                 if re.search(r"\blimit \$\d+\s*$", s["sql"]) and s["name"] not in SORTED]
        self.assertGreater(len(lists), 5)
        for s in lists:
            plan = self.plan(s)
            text = json.dumps(plan)
            self.assertNotIn('"Sort"', text, (s["name"], plan))
            for scan in self.driving(plan):
                self.assertNotIn("Seq Scan", scan["Node Type"], (s["name"], plan))
                cond = scan.get("Index Cond", "")
                self.assertIn("tenant_id", cond, (s["name"], plan))
                # where the page before ended: two columns, a position, an id
                self.assertRegex(cond, r"ROW\(|\(pos > |\(id < ", (s["name"], plan))

    def plan(self, s):
        """Under the policy, for any parameters, as a session that has seen many."""
        values = {"uuid": literal(A), "timestamp with time zone": "'infinity'",
                  "bigint": "10", "text": "'active'"}
        types = self.query(f"prepare p as {s['sql']}; select"
                           " unnest(parameter_types)::text from"
                           " pg_prepared_statements where name = 'p'",
                           user="rowhouse_app")
        arguments = ", ".join(values[t[0]] for t in types)
        rows = self.as_tenant(A, f"set local plan_cache_mode = force_generic_plan;"
                                 f"prepare p as {s['sql']};"
                                 f"explain (format json) execute p({arguments})")
        return json.loads("".join(r[0] for r in rows))[0]["Plan"]

    def driving(self, plan):
        """The scans that the rows come from, in their order: one, or one a
        partition."""
        if "Plans" not in plan:
            return [plan]
        parts = [p for p in plan["Plans"] if p["Parent Relationship"] == "Member"]
        if not parts:
            parts = [next(p for p in plan["Plans"]
                          if p["Parent Relationship"] in ("Outer", "Subquery"))]
        return [scan for p in parts for scan in self.driving(p)]


if __name__ == "__main__":
    unittest.main(verbosity=2)
