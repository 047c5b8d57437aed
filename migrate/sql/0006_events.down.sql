-- The feed goes; what it keeps goes back into the outbox, and is relayed once
-- more should it ever come again.
drop function events_tend(bigint, int);
drop function events_day(bigint);
drop function events_waiting();
drop function relayed_tenants();
drop function relayed_last();
drop function relayed_first();
drop function events_relay(bigint, int);
drop function events_lock();
drop function events_now();
drop sequence event_pos;
drop index outbox_events_seq;
alter table outbox_events alter column seq drop identity;
alter table outbox_events drop column seq;
alter table outbox_events reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
	autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold,
	autovacuum_analyze_scale_factor, autovacuum_analyze_threshold, autovacuum_vacuum_cost_delay);
alter table outbox_events no force row level security;
alter table events no force row level security;
insert into outbox_events (tenant_id, id, type, subject_id, payload, actor_id, trace_id,
	parent_span_id, request_id, created_at)
	select tenant_id, id, type, subject_id, payload, actor_id, trace_id,
		parent_span_id, request_id, created_at
	from events order by pos on conflict do nothing;
alter table outbox_events force row level security;
revoke select, delete on outbox_events from rowhouse_auth;
drop table events;
drop schema rowhouse_events;

-- ---- moves, as in 0005 ----

drop function move_arrive(uuid);
create or replace function move_tables() returns setof regclass language sql stable as $$
	select c.oid::regclass from pg_class c
	join pg_index i on i.indrelid = c.oid and i.indisprimary
	join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnum = any (i.indkey)
	where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relname <> 'tenant_limits'
	order by c.relname
$$;

create or replace function move_publish(p_tenant uuid) returns boolean language plpgsql as $$
begin
	if not exists (select from pg_publication where pubname = move_name(p_tenant)) then
		execute (select format('create publication %I for table ', move_name(p_tenant)) ||
			string_agg(format('%s where (tenant_id = %L)', t, p_tenant), ', ') from move_tables() t);
	end if;
	return true;
end $$;

create or replace function move_tenant(p_tenant uuid) returns text language sql stable as $$
	select jsonb_build_object('tenant', to_jsonb(t),
		'plan', coalesce(to_jsonb(l), jsonb_build_object('tenant_id', t.id, 'tenant', 0, 'token', 0,
			'tenant_write', 0, 'token_write', 0, 'window_ms', 0, 'updated_at', now())))::text
	from tenants t left join tenant_limits l on l.tenant_id = t.id where t.id = p_tenant
$$;

create or replace function move_tenant_take(p_what text) returns boolean language sql as $$
	insert into tenants (id, slug, name, created_at, updated_at, version, deleted_at)
		select id, slug, name, created_at, updated_at, version, deleted_at
		from jsonb_populate_record(null::tenants, p_what::jsonb -> 'tenant')
		on conflict (id) do update set name = excluded.name, updated_at = excluded.updated_at,
			version = excluded.version, deleted_at = excluded.deleted_at;
	insert into tenant_limits (tenant_id, tenant, token, tenant_write, token_write, window_ms, updated_at, away)
		select tenant_id, tenant, token, tenant_write, token_write, window_ms, updated_at, true
		from jsonb_populate_record(null::tenant_limits, p_what::jsonb -> 'plan')
		on conflict (tenant_id) do update set tenant = excluded.tenant, token = excluded.token,
			tenant_write = excluded.tenant_write, token_write = excluded.token_write,
			window_ms = excluded.window_ms, updated_at = excluded.updated_at, away = true;
	select true
$$;

create or replace function move_count(p_tenant uuid, p_alive timestamptz) returns text language plpgsql as $$
declare
	counts jsonb := '{}';
	t regclass;
	n bigint;
begin
	for t in select move_tables() loop
		execute format('select count(*) from %s where tenant_id = $1%s', t,
			case when t = 'idempotency_keys'::regclass then ' and expires_at > $2' else '' end)
			into n using p_tenant, p_alive;
		counts := counts || jsonb_build_object(t::text, n);
	end loop;
	return counts::text;
end $$;

create or replace function move_clear(p_tenant uuid, p_most int) returns bigint language plpgsql as $$
declare
	t regclass;
	n bigint;
	gone bigint := 0;
begin
	if not exists (select from tenant_limits where tenant_id = p_tenant and away) then
		raise exception 'tenant % is served here', p_tenant;
	end if;
	perform set_config('session_replication_role', 'replica', true);
	for t in select move_tables() loop
		execute format('delete from %s where ctid = any (array(select ctid from %s where tenant_id = $1 limit $2))', t, t)
			using p_tenant, p_most;
		get diagnostics n = row_count;
		gone := gone + n;
	end loop;
	return gone;
end $$;
