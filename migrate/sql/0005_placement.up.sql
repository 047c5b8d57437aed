-- Placement: a tenant on a database of its own, and how it gets there.
--
-- Locks tenants and tenant_limits for a moment: columns without a value.
-- Functions are replaced under the eyes of those who use them.
-- Undo: 0005_placement.down.sql; it refuses while a tenant is placed elsewhere.
--
-- Every placement is a whole database with all of the migrations. Home (the
-- main database_url) is where slugs, users, passwords and sessions are true.
-- Where a tenant was, or is about to be, its rows in tenants and tenant_limits
-- stay as a signpost: away.

alter table tenants
	add column placement text collate "C"	-- null: home. Of home's row alone
	           constraint tenants_placement check (placement ~ '^[a-z][a-z0-9_-]{0,30}$' and placement <> 'home'),
	add column move_from text collate "C",	-- a move is at work: rowhouse-ctl tenant move
	add column move_to   text collate "C";
alter table tenant_limits add column away boolean not null default false;

-- ---- who is not served here ----

-- RH307: by now the tenant is elsewhere, or is on its way. Who is asked raises
-- it instead of what it would have said; the caller looks up where, and asks there.
create function tenant_refuse() returns text language plpgsql as $$
begin
	raise exception using errcode = 'RH307', message = 'the tenant is not served here';
end $$;

create function tenant_must_be_here(p_tenant uuid) returns void language plpgsql as $$
begin
	if exists (select from public.tenant_limits
		where tenant_id operator(pg_catalog.=) p_tenant and away) then
		perform public.tenant_refuse();
	end if;
end $$;

-- As in 0003, with away in the row that was read for the plan: so a tenant that
-- is here costs nothing more, and a caller who is refused one look.
create or replace function authorize_key(p_sha256 bytea, p_tenant uuid, p_role member_role)
returns text language plpgsql security definer as $$
declare
	actor text;
	k record;
begin
	select pg_catalog.set_config('rowhouse.actor',
			pg_catalog.concat(created_by, ' ', role, ' ', id, ' ',
				coalesce(pg_catalog.int8(pg_catalog.floor(
				pg_catalog.float8mul(pg_catalog.date_part('epoch', expires_at), 1000))), 0), (
				select case when l.away then public.tenant_refuse() else
					pg_catalog.concat(' ', l.tenant, ' ', l.token, ' ', l.tenant_write, ' ',
					l.token_write, ' ', l.window_ms) end from public.tenant_limits l
				where l.tenant_id operator(pg_catalog.=) p_tenant)), true)
		into actor from public.api_keys
		where sha256 operator(pg_catalog.=) p_sha256
		and tenant_id operator(pg_catalog.=) p_tenant
		and role operator(pg_catalog.>=) p_role
		and (expires_at is null or expires_at operator(pg_catalog.>) pg_catalog.now())
		and pg_catalog.set_config('rowhouse.tenant_id', p_tenant::pg_catalog.text, true) is not null;
	if actor is not null then
		return actor;
	end if;
	perform public.tenant_must_be_here(p_tenant);
	select tenant_id, expires_at into k
		from public.api_keys where sha256 operator(pg_catalog.=) p_sha256;
	if not found or k.expires_at operator(pg_catalog.<=) pg_catalog.now() then
		raise exception using errcode = 'RH401', message = 'key not known';
	end if;
	if p_tenant is null or k.tenant_id operator(pg_catalog.<>) p_tenant then
		raise exception using errcode = 'RH404', message = 'key of another tenant';
	end if;
	raise exception using errcode = 'RH403', message = 'role too low';
end $$;

create or replace function authorize_session(p_sha256 bytea, p_tenant uuid, p_role member_role)
returns text language plpgsql security definer as $$
declare
	s record;
	r public.member_role;
begin
	select id, user_id, expires_at into s from public.sessions
		where sha256 operator(pg_catalog.=) p_sha256
		and expires_at operator(pg_catalog.>) pg_catalog.now();
	if not found then
		perform public.tenant_must_be_here(p_tenant);
		raise exception using errcode = 'RH401', message = 'session not known';
	end if;
	select m.role into r from public.memberships m
		join public.tenants t on t.id operator(pg_catalog.=) m.tenant_id
		where m.tenant_id operator(pg_catalog.=) p_tenant
		and m.user_id operator(pg_catalog.=) s.user_id and t.deleted_at is null;
	if not found then
		perform public.tenant_must_be_here(p_tenant);
		raise exception using errcode = 'RH404', message = 'not a member';
	end if;
	if r operator(pg_catalog.<) p_role then
		perform public.tenant_must_be_here(p_tenant);
		raise exception using errcode = 'RH403', message = 'role too low';
	end if;
	perform pg_catalog.set_config('rowhouse.tenant_id', p_tenant::pg_catalog.text, true);
	return pg_catalog.set_config('rowhouse.actor',
		pg_catalog.concat(s.user_id, ' ', r, ' ', s.id, ' ',
			pg_catalog.int8(pg_catalog.floor(
				pg_catalog.float8mul(pg_catalog.date_part('epoch', s.expires_at), 1000))), (
			select case when l.away then public.tenant_refuse() else
				pg_catalog.concat(' ', l.tenant, ' ', l.token, ' ', l.tenant_write, ' ',
				l.token_write, ' ', l.window_ms) end from public.tenant_limits l
			where l.tenant_id operator(pg_catalog.=) p_tenant)), true);
end $$;

-- ---- at home: where a tenant lives, whose a session is ----

create function tenant_where(p_slug text) returns table (id uuid, placement text)
language sql stable security definer as
	'select id, placement from public.tenants where slug operator(pg_catalog.=) p_slug collate "C"';

create function session_find(p_sha256 bytea)
returns table (id uuid, user_id uuid, created_at timestamptz, expires_at timestamptz)
language sql stable security definer as
	'select id, user_id, created_at, expires_at from public.sessions
	 where sha256 operator(pg_catalog.=) p_sha256
	 and expires_at operator(pg_catalog.>) pg_catalog.now()';

-- ---- at a placement: sessions of home ----

-- Of a member alone, whose row stands here. One that was shut here stays so.
create function session_adopt(p_sha256 bytea, p_tenant uuid, p_id uuid, p_user uuid,
	p_created timestamptz, p_expires timestamptz)
returns boolean language plpgsql security definer as $$
begin
	if not exists (select from public.memberships
		where tenant_id operator(pg_catalog.=) p_tenant and user_id operator(pg_catalog.=) p_user) then
		raise exception using errcode = 'RH404', message = 'not a member';
	end if;
	insert into public.sessions (id, user_id, sha256, created_at, expires_at)
		values (p_id, p_user, p_sha256, p_created, p_expires)
		on conflict do nothing;
	return true;
end $$;

-- Not deleted: a request that has looked it up at home a moment ago would bring
-- it back. It is purged like all that have expired.
create function session_shut(p_sha256 bytea, p_id uuid, p_user uuid)
returns boolean language plpgsql security definer as $$
begin
	if exists (select from public.users where id operator(pg_catalog.=) p_user) then
		insert into public.sessions (id, user_id, sha256, expires_at)
			values (p_id, p_user, p_sha256, '-infinity')
			on conflict (sha256) do update set expires_at = '-infinity';
	end if;
	return true;
end $$;

-- As memberships_of_token, for a user whose session is home's.
create function memberships_of_user(p_user uuid)
returns table (tenant_id uuid, slug text, name text, role member_role)
language sql stable security definer as $$
	select t.id, t.slug, t.name, m.role
	from public.memberships m
	join public.tenants t on t.id operator(pg_catalog.=) m.tenant_id and t.deleted_at is null
	where m.user_id operator(pg_catalog.=) p_user
	order by 2
	limit 1000
$$;

grant update (expires_at) on sessions to rowhouse_auth;
grant create on schema public to rowhouse_auth;
do $$
declare
	f text;
begin
	foreach f in array array['tenant_where(text)', 'session_find(bytea)',
		'session_adopt(bytea, uuid, uuid, uuid, timestamptz, timestamptz)',
		'session_shut(bytea, uuid, uuid)', 'memberships_of_user(uuid)']
	loop
		execute format('revoke all on function %s from public', f);
		execute format('grant execute on function %s to rowhouse_app', f);
		execute format('alter function %s owner to rowhouse_auth', f);
	end loop;
end $$;
revoke create on schema public from rowhouse_auth;

-- ---- a move: rowhouse-ctl tenant move, as a superuser ----
--
-- None of these is anybody's else: they see all tenants. What they are told to
-- do twice they do once.

-- Of the publication, the slot and the subscription.
create function move_name(p_tenant uuid) returns text language sql immutable as
	$$select 'rowhouse_move_' || replace(p_tenant::text, '-', '')$$;

-- What goes by replication: all tables of tenants, an application's too. The
-- row of tenant_limits says who is away, and is copied by hand.
create function move_tables() returns setof regclass language sql stable as $$
	select c.oid::regclass from pg_class c
	join pg_index i on i.indrelid = c.oid and i.indisprimary
	join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnum = any (i.indkey)
	where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relname <> 'tenant_limits'
	order by c.relname
$$;

create function move_publish(p_tenant uuid) returns boolean language plpgsql as $$
begin
	if not exists (select from pg_publication where pubname = move_name(p_tenant)) then
		execute (select format('create publication %I for table ', move_name(p_tenant)) ||
			string_agg(format('%s where (tenant_id = %L)', t, p_tenant), ', ') from move_tables() t);
	end if;
	return true;
end $$;

-- Its slot stands already: so this may be rolled back.
create function move_subscribe(p_tenant uuid, p_conninfo text) returns boolean language plpgsql as $$
begin
	execute format('create subscription %I connection %L publication %I with'
		' (slot_name = %L, create_slot = false, copy_data = true, synchronous_commit = ''on'')',
		move_name(p_tenant), p_conninfo, move_name(p_tenant), move_name(p_tenant));
	return true;
end $$;

-- Its slots are the source's to drop: move_unpublish.
create function move_unsubscribe(p_tenant uuid) returns boolean language plpgsql as $$
begin
	if exists (select from pg_subscription where subname = move_name(p_tenant)
		and subdbid = (select oid from pg_database where datname = current_database())) then
		execute format('alter subscription %I disable', move_name(p_tenant));
		execute format('alter subscription %I set (slot_name = none)', move_name(p_tenant));
		execute format('drop subscription %I', move_name(p_tenant));
	end if;
	return true;
end $$;

-- False: somebody still reads from the slot; again in a moment.
create function move_unpublish(p_tenant uuid) returns boolean language plpgsql as $$
begin
	if exists (select from pg_replication_slots where slot_name = move_name(p_tenant) and active) then
		return false;
	end if;
	perform pg_drop_replication_slot(slot_name) from pg_replication_slots
		where slot_name = move_name(p_tenant);
	execute format('drop publication if exists %I', move_name(p_tenant));
	return true;
end $$;

create function move_fence(p_tenant uuid, p_away boolean) returns boolean language sql as $$
	insert into tenant_limits (tenant_id, away) values (p_tenant, p_away)
		on conflict (tenant_id) do update set away = excluded.away, updated_at = now()
		returning true
$$;

-- Transactions at work in this database: who has not seen the fence is among
-- them. Then, how many of these are left.
create function move_running() returns text language sql volatile as $$
	select coalesce(string_agg(l.virtualtransaction, ' '), '') from pg_locks l
	join pg_stat_activity a on a.pid = l.pid and a.datname = current_database()
		and a.backend_type = 'client backend'
	where l.locktype = 'virtualxid' and l.granted and l.pid <> pg_backend_pid()
$$;
create function move_left(p_running text) returns bigint language sql volatile as $$
	select count(*) from pg_locks l where l.locktype = 'virtualxid' and l.granted
		and l.virtualtransaction = any (string_to_array(p_running, ' '))
$$;

-- Members, without their hashes: those are home's.
create function move_users(p_tenant uuid) returns text language sql stable as $$
	select coalesce(jsonb_agg(to_jsonb(u) || '{"password_hash": ""}'), '[]')::text
	from users u where u.id in (select user_id from memberships where tenant_id = p_tenant)
$$;
create function move_users_take(p_users text) returns boolean language sql as $$
	insert into users select * from jsonb_populate_recordset(null::users, p_users::jsonb)
		on conflict (id) do nothing;
	select true
$$;

-- The tenant's own row, and its plan; where they are taken it is away.
create function move_tenant(p_tenant uuid) returns text language sql stable as $$
	select jsonb_build_object('tenant', to_jsonb(t),
		'plan', coalesce(to_jsonb(l), jsonb_build_object('tenant_id', t.id, 'tenant', 0, 'token', 0,
			'tenant_write', 0, 'token_write', 0, 'window_ms', 0, 'updated_at', now())))::text
	from tenants t left join tenant_limits l on l.tenant_id = t.id where t.id = p_tenant
$$;
create function move_tenant_take(p_what text) returns boolean language sql as $$
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

-- Rows by table. What may expire meanwhile is purged here and there at its own
-- time, and not counted.
create function move_count(p_tenant uuid, p_alive timestamptz) returns text language plpgsql as $$
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

-- At most so many rows of each table: how many it were. Never where the tenant
-- is served. No trigger runs: what refers to a row goes with it, or stays home's.
create function move_clear(p_tenant uuid, p_most int) returns bigint language plpgsql as $$
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

-- At a placement: who is no member of anything there any more, and his sessions.
create function move_users_drop(p_most int) returns bigint language plpgsql as $$
declare
	n bigint;
begin
	delete from users where id = any (array(select u.id from users u
		where not exists (select from memberships m where m.user_id = u.id) limit p_most));
	get diagnostics n = row_count;
	return n;
end $$;

do $$
declare
	f regprocedure;
begin
	for f in select oid from pg_proc where pronamespace = 'public'::regnamespace and proname like 'move\_%'
	loop
		execute format('revoke all on function %s from public', f);
	end loop;
end $$;
