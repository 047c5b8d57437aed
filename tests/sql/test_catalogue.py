#!/usr/bin/python3
"""A walk through the catalogue: tenants first, policies forced, and a stated
reason for each exception."""

import sys
import unittest

sys.dont_write_bytecode = True

from migrated import A, B, Migrated  # noqa: E402

TABLES = """
select c.oid::regclass::text, c.relrowsecurity, c.relforcerowsecurity,
  exists (select from pg_attribute a where a.attrelid = c.oid
    and a.attname = 'tenant_id'), coalesce(obj_description(c.oid, 'pg_class'), ''),
  pg_get_userbyid(c.relowner)
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
order by 1"""

# rowhouse-migrate's own: what was applied, which is no tenant's
OUR_OWN = ("rowhouse_migrations",)
HASHES = ("password_hash", "sha256")


class Catalogue(Migrated):

    def tables(self):
        return [t for t in self.query(TABLES)
                if not t[0].startswith(OUR_OWN)]

    def tenant_tables(self):
        return [t[0] for t in self.tables() if t[3] == "t"]

    def test_row_level_security_is_enabled_and_forced(self):
        for name, enabled, forced, *_ in self.tables():
            self.assertEqual((enabled, forced), ("t", "t"), name)

    def test_a_table_without_tenant_id_says_why(self):
        for name, _, _, tenant, comment, _ in self.tables():
            if tenant == "f":
                self.assertTrue(comment.startswith("no tenant_id: "), name)

    def test_every_policy_of_the_application_is_the_tenants(self):
        rows = self.query(
            "select tablename, regexp_replace(qual, '\\s+', ' ', 'g') from pg_policies"
            " where roles && '{rowhouse_app,public}'::name[]")
        self.assertGreaterEqual({r[0] for r in rows}, set(self.tenant_tables()))
        for table, qual in rows:
            if table == "users":    # seen through memberships, which have it
                self.assertIn("memberships", qual)
            else:
                self.assertIn("NULLIF(current_setting('rowhouse.tenant_id'", qual)

    def test_unique_keys_start_with_the_tenant_or_say_why_not(self):
        """Primary keys, unique constraints, unique indexes."""
        rows = self.query(
            "select i.indexrelid::regclass, i.indrelid::regclass,"
            " coalesce(a.attname, ''), coalesce(obj_description(i.indexrelid,"
            " 'pg_class'), obj_description(k.oid, 'pg_constraint'),"
            " obj_description(i.indrelid, 'pg_class'), '')"
            " from pg_index i join pg_class c on c.oid = i.indrelid"
            " left join pg_attribute a on a.attrelid = i.indrelid"
            "  and a.attnum = i.indkey[0]"
            " left join pg_constraint k on k.conindid = i.indexrelid"
            "  and k.contype in ('p', 'u')"
            " where i.indisunique and c.relnamespace = 'public'::regnamespace")
        tenants = self.tenant_tables()
        for index, table, first, comment in rows:
            if table.startswith(OUR_OWN) or first == "tenant_id":
                continue
            wants = "global: " if table in tenants else ""
            self.assertTrue(comment and comment.startswith(wants),
                            (index, table, first, comment))

    def test_foreign_keys_start_with_the_tenant_or_say_why_not(self):
        rows = self.query(
            "select k.conname, k.conrelid::regclass, a.attname,"
            " coalesce(obj_description(k.oid, 'pg_constraint'), '')"
            " from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid"
            "  and a.attnum = k.conkey[1]"
            " where k.contype = 'f' and k.connamespace = 'public'::regnamespace")
        tenants = self.tenant_tables()
        for name, table, first, comment in rows:
            if table in tenants and first != "tenant_id":
                self.assertGreater(len(comment), 10, name)

    def test_foreign_keys_have_an_index_behind_them(self):
        """Else every delete of the parent reads the whole table."""
        rows = self.query(
            "select k.conname from pg_constraint k"
            " where k.contype = 'f' and k.connamespace = 'public'::regnamespace"
            " and not exists (select from pg_index i where i.indrelid = k.conrelid"
            "  and i.indnkeyatts >= cardinality(k.conkey)"
            "  and (i.indkey::int2[])[0:cardinality(k.conkey) - 1]::int2[]"
            "   @> k.conkey)")
        self.assertEqual(rows, [])

    def test_the_application_owns_and_bypasses_nothing(self):
        self.assertEqual(self.query(
            "select rolname from pg_roles where rolname in ('rowhouse_app',"
            " 'rowhouse_auth', 'rowhouse_owner') and (rolsuper or rolbypassrls or"
            " rolcreaterole or rolcreatedb)"), [])
        self.assertEqual(self.query(
            "select classid::regclass, objid from pg_shdepend where deptype = 'o'"
            " and refobjid = 'rowhouse_app'::regrole"), [])
        self.assertEqual(self.query(
            "select roleid::regrole from pg_auth_members"
            " where member = 'rowhouse_app'::regrole"), [])
        self.assertEqual(self.query(
            "select has_schema_privilege('rowhouse_app', 'public', 'create'),"
            " has_schema_privilege('rowhouse_auth', 'public', 'create')"),
            [["f", "f"]])
        self.assertEqual({t[5] for t in self.tables()}, {"rowhouse_owner"})

    def test_the_application_reads_no_hash(self):
        rows = self.query(
            "select a.attrelid::regclass, a.attname from pg_attribute a join"
            " pg_class c on c.oid = a.attrelid where c.relkind = 'r' and"
            " c.relnamespace = 'public'::regnamespace and a.attname in"
            f" ({', '.join(repr(h) for h in HASHES)})")
        self.assertGreaterEqual(len(rows), 3)
        for table, column in rows:
            self.assertEqual(self.query(
                f"select has_column_privilege('rowhouse_app', '{table}',"
                f" '{column}', 'select')"), [["f"]], (table, column))

    def test_a_definers_function_is_the_auth_roles_and_nobody_elses(self):
        rows = self.query(
            "select oid::regprocedure, proowner::regrole, exists (select from"
            " aclexplode(coalesce(proacl, acldefault('f', proowner))) where"
            " grantee = 0), coalesce(obj_description(oid, 'pg_proc'), '')"
            " from pg_proc where prosecdef and pronamespace = 'public'::regnamespace")
        self.assertGreater(len(rows), 10)
        for function, owner, everybody, comment in rows:
            wanted = "rowhouse_auth"
            if comment.startswith("the owner's: "):     # and says why
                wanted = "rowhouse_owner"
            self.assertEqual((owner, everybody), (wanted, "f"), function)

    def test_parts_of_a_table_are_reached_through_it_alone(self):
        """Partitions have the table's policies only where it is named."""
        rows = self.query(
            "select c.oid::regclass, c.relrowsecurity, c.relforcerowsecurity,"
            " c.relnamespace::regnamespace, pg_get_userbyid(c.relowner),"
            " c.relacl is null and not has_schema_privilege('rowhouse_app',"
            " c.relnamespace, 'usage') and not has_schema_privilege("
            " 'rowhouse_auth', c.relnamespace, 'usage') from pg_class c"
            " where c.relispartition and c.relkind in ('r', 'p')")
        self.assertGreater(len(rows), 3)
        for name, enabled, forced, schema, owner, closed in rows:
            self.assertEqual((enabled, forced, schema, owner, closed), (
                "t", "t", "rowhouse_events", "rowhouse_owner", "t"), name)

    def test_a_definers_function_trusts_no_search_path(self):
        """A temporary table of the caller's name must not stand in for ours."""
        rows = self.query(
            "select proname, prosrc from pg_proc where prosecdef and proconfig is"
            " null and pronamespace = 'public'::regnamespace and prosrc ~*"
            " '\\y(from|join|into|update) +(?!public\\.|pg_catalog\\.|set\\y|skip\\y|k\\y|s\\y|r\\y|actor\\y|plan\\y)"
            "[a-z_]+\\y(?!\\()'")
        self.assertEqual([r[0] for r in rows if r[0]], [])

    # ---- tenants apart ----

    def test_the_seed_has_rows_of_both_in_every_table(self):
        for table in self.tenant_tables():
            rows = self.query(f"select distinct tenant_id from {table} order by 1")
            self.assertEqual(rows, [[A], [B]], table)

    def test_a_tenant_sees_its_own_rows_alone(self):
        for table in self.tenant_tables():
            for tenant in (A, B):
                self.assertEqual(self.as_tenant(
                    tenant, f"select distinct tenant_id from {table}"),
                    [[tenant]], table)
        self.assertEqual(self.as_tenant(A, "select id from tenants"), [[A]])
        self.assertEqual(self.as_tenant(
            A, "select distinct left(email, 2) from users order by 1"),
            [["m1"], ["u1"]])

    def test_without_a_tenant_nothing_is_seen(self):
        for table in self.tenant_tables() + ["tenants"]:
            column = "id" if table == "tenants" else "tenant_id"
            self.assertEqual(self.as_tenant(None, f"select {column} from {table}"),
                             [], table)
        self.assertEqual(self.as_tenant(None, "select id from users"), [])
        with self.assertRaisesRegex(AssertionError, "permission denied"):
            self.as_tenant(A, "select id from sessions")

    def test_no_row_goes_into_another_tenant(self):
        for table in self.tenant_tables():
            if self.query(f"select has_any_column_privilege('rowhouse_app',"
                          f" '{table}', 'insert')") == [["f"]]:
                continue
            columns = self.query(
                "select string_agg(attname, ', ' order by attnum) from pg_attribute"
                f" where attrelid = '{table}'::regclass and attnum > 0 and not"
                " attisdropped and attidentity = '' and attgenerated = ''")[0][0]
            kind = self.query(f"select atttypid::regtype from pg_attribute where"
                              f" attrelid = '{table}'::regclass and attname = 'id'")
            new = {"uuid": "gen_random_uuid()", "bytea": "sha256('x')"}[kind[0][0]]
            self.query(f"create table if not exists seed_{table} as select {columns}"
                       f" from {table} where tenant_id = '{B}' limit 1;"
                       f"update seed_{table} set id = {new};"
                       f"grant select on seed_{table} to rowhouse_app")
            try:
                with self.assertRaisesRegex(AssertionError, "row-level security"):
                    self.as_tenant(A, f"insert into {table} ({columns})"
                                      f" select * from seed_{table}")
            finally:
                self.query(f"drop table seed_{table}")

    def test_no_row_is_moved_or_removed_across(self):
        for table in self.tenant_tables():
            if self.query("select has_table_privilege('rowhouse_app',"
                          f" '{table}', 'delete')") == [["t"]]:
                self.assertEqual(self.as_tenant(
                    A, f"delete from {table} where tenant_id = '{B}' returning 1"),
                    [], table)
            if self.query("select has_column_privilege('rowhouse_app',"
                          f" '{table}', 'tenant_id', 'update')") == [["t"]]:
                with self.assertRaisesRegex(AssertionError, "row-level security"):
                    self.as_tenant(A, f"update {table} set tenant_id = '{B}'")

    def test_what_is_written_is_checked(self):
        """By domains: whoever writes it, and what was there before."""
        for sql in ("update tasks set status = 'late'", "update projects set status = ''",
                    "update outbox_events set trace_id = '\\x00'",
                    "update outbox_events set parent_span_id = '\\x00'"):
            with self.assertRaisesRegex(AssertionError, "violates check constraint"):
                self.query(sql)

    def test_a_key_says_who_it_is_and_the_tenants_plan(self):
        key, user = self.query(
            "insert into api_keys (tenant_id, id, name, role, created_by, sha256, expires_at)"
            " select tenant_id, gen_random_uuid(), 'k', 'admin', created_by, sha256('says'),"
            f" '2100-01-01 00:00:00.0015Z' from api_keys where tenant_id = '{A}' limit 1"
            " returning id, created_by")[0]
        ask = f"select authorize_key(sha256('says'), '{A}', 'viewer')"
        told = f"{user} admin {key} 4102444800001 1 0 0 0 0"
        self.assertEqual(self.query(ask, user="rowhouse_app"), [[told]])
        self.query(f"update api_keys set role = 'member', expires_at = null where id = '{key}'")
        self.assertEqual(self.query(ask, user="rowhouse_app"),
                         [[f"{user} member {key} 0 1 0 0 0 0"]])
        for wants, tenant, code in (("admin", A, "role too low"), ("viewer", B, "another tenant")):
            with self.assertRaisesRegex(AssertionError, code):
                self.query(f"select authorize_key(sha256('says'), '{tenant}', '{wants}')",
                           user="rowhouse_app")
        self.query(f"update tenant_limits set away = true where tenant_id = '{A}'")
        for asks in ("authorize_key(sha256('says')", "authorize_key('of nobody'",
                     "authorize_session('of nobody'"):
            with self.assertRaisesRegex(AssertionError, "not served here"):
                self.query(f"select {asks}, '{A}', 'viewer')", user="rowhouse_app")
        self.query(f"update tenant_limits set away = false where tenant_id = '{A}';"
                   f"delete from api_keys where id = '{key}'")

    def test_an_event_is_whole(self):
        rows = self.query(
            "select attname, attnotnull from pg_attribute where attrelid ="
            " 'outbox_events'::regclass and attname in ('tenant_id', 'id',"
            " 'trace_id', 'parent_span_id', 'request_id')")
        self.assertEqual(sorted(rows), [[n, "t"] for n in sorted((
            "tenant_id", "id", "trace_id", "parent_span_id", "request_id"))])


if __name__ == "__main__":
    unittest.main(verbosity=2)
