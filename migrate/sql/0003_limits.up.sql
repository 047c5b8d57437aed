-- Rate limits: what a tenant's plan allows, and counters for hosts that share
-- no Redis (limiter = postgres).
--
-- Locks nothing for longer than a moment: the tables are new, and two functions
-- are replaced under the eyes of those who use them.
-- Undo: 0003_limits.down.sql; plans are lost, and all have the configured limits.

-- ---- plans ----

-- A row only for a tenant that has other limits than the configured ones.
-- 0: as configured. Written by rowhouse-ctl.
create table tenant_limits (
	tenant_id    uuid primary key references tenants,
	tenant       integer not null default 0 check (tenant between 0 and 1000000000),
	token        integer not null default 0 check (token between 0 and 1000000000),
	tenant_write integer not null default 0 check (tenant_write between 0 and 1000000000),
	token_write  integer not null default 0 check (token_write between 0 and 1000000000),
	window_ms    integer not null default 0 check (window_ms = 0 or window_ms between 1000 and 3600000),
	updated_at   timestamptz not null default now()
);
alter table tenant_limits enable row level security;
alter table tenant_limits force row level security;
create policy tenant on tenant_limits to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy auth on tenant_limits to rowhouse_auth using (true);
grant select on tenant_limits to rowhouse_app, rowhouse_auth;

-- As in 0001, and where the tenant has a row above its five numbers stand
-- behind the token: "user role token tenant token tenant_write token_write window_ms".
-- So every host learns of a changed plan with the tenant's next request.
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
				select pg_catalog.concat(' ', l.tenant, ' ', l.token, ' ', l.tenant_write, ' ',
					l.token_write, ' ', l.window_ms) from public.tenant_limits l
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
		raise exception using errcode = 'RH401', message = 'session not known';
	end if;
	select m.role into r from public.memberships m
		join public.tenants t on t.id operator(pg_catalog.=) m.tenant_id
		where m.tenant_id operator(pg_catalog.=) p_tenant
		and m.user_id operator(pg_catalog.=) s.user_id and t.deleted_at is null;
	if not found then
		raise exception using errcode = 'RH404', message = 'not a member';
	end if;
	if r operator(pg_catalog.<) p_role then
		raise exception using errcode = 'RH403', message = 'role too low';
	end if;
	perform pg_catalog.set_config('rowhouse.tenant_id', p_tenant::pg_catalog.text, true);
	return pg_catalog.set_config('rowhouse.actor',
		pg_catalog.concat(s.user_id, ' ', r, ' ', s.id, ' ',
			pg_catalog.int8(pg_catalog.floor(
				pg_catalog.float8mul(pg_catalog.date_part('epoch', s.expires_at), 1000))), (
			select pg_catalog.concat(' ', l.tenant, ' ', l.token, ' ', l.tenant_write, ' ',
				l.token_write, ' ', l.window_ms) from public.tenant_limits l
			where l.tenant_id operator(pg_catalog.=) p_tenant)), true);
end $$;

-- ---- counters: GCRA, as lib/data/limit.h has it ----
--
-- A key's theoretical arrival time in nanoseconds. An ask is a transaction of
-- its own, in front of the request's in the same flush: it stays when the
-- request is rolled back, and its rows are locked for itself alone. Two keys
-- are always taken in the same order, the token's first.
--
-- A crash of the server empties both tables: everybody has his quota again.
-- Room on each page keeps the updates of a hot key on it (HOT), and no index
-- but the key's must be there.

create unlogged table rate_limits (
	key text collate "C" primary key,
	tat bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
comment on table rate_limits is 'no tenant_id: counted before it is known whose the caller is';

-- What was denied, so that the transaction behind it can know, also when a
-- pooler gives it to another session. What is granted leaves nothing here.
create unlogged table rate_denials (
	ask uuid primary key,
	at  timestamptz not null default now()
);
comment on table rate_denials is 'no tenant_id: counted before it is known whose the caller is';

alter table rate_limits  enable row level security;
alter table rate_limits  force row level security;
alter table rate_denials enable row level security;
alter table rate_denials force row level security;
create policy auth on rate_limits  to rowhouse_auth using (true);
create policy auth on rate_denials to rowhouse_auth using (true);
grant select, insert, update, delete on rate_limits, rate_denials to rowhouse_auth;

create function limit_now() returns bigint language sql volatile as
	$$select pg_catalog.int8mul(pg_catalog.int8(pg_catalog.float8mul(
		pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()), 1000000)), 1000)$$;

-- One request, all or nothing. denied: 0, or which of the two is used up.
-- used, used2: nanoseconds of the window that are taken, this request included
-- where it was granted; -1: not looked at.
--
-- Whoever waited for a row has an earlier stamp than it could have: it may be
-- denied what is free by now, and is never granted what is not.
create function limit_take(p_ask uuid,
	p_key text, p_step bigint, p_window bigint,
	p_key2 text, p_step2 bigint, p_window2 bigint,
	out denied bigint, out used bigint, out used2 bigint)
language plpgsql security definer as $$
declare
	stamp bigint := public.limit_now();
	r bigint;
	s bigint;
begin
	denied := 0;
	used2 := -1;
	insert into public.rate_limits as l (key, tat) values (p_key, stamp operator(pg_catalog.+) p_step)
		on conflict (key) do update set tat = greatest(l.tat, stamp) operator(pg_catalog.+) p_step
		where l.tat operator(pg_catalog.<=) (stamp operator(pg_catalog.+) p_window operator(pg_catalog.-) p_step)
		returning tat into r;
	if r is null then
		denied := 1;
		used := public.limit_denied(p_ask, p_key, p_window);
		return;
	end if;
	used := r operator(pg_catalog.-) stamp;
	if p_key2 is null then
		return;
	end if;
	insert into public.rate_limits as l (key, tat) values (p_key2, stamp operator(pg_catalog.+) p_step2)
		on conflict (key) do update set tat = greatest(l.tat, stamp) operator(pg_catalog.+) p_step2
		where l.tat operator(pg_catalog.<=) (stamp operator(pg_catalog.+) p_window2 operator(pg_catalog.-) p_step2)
		returning tat into s;
	if s is not null then
		used2 := s operator(pg_catalog.-) stamp;
		return;
	end if;
	denied := 2;
	used2 := public.limit_denied(p_ask, p_key2, p_window2);
	-- the row is still ours alone: as if it had not been asked for
	update public.rate_limits set tat = tat operator(pg_catalog.-) p_step
		where key operator(pg_catalog.=) p_key;
	used := used operator(pg_catalog.-) p_step;
end $$;

-- Notes a denial; answers how much of the window is taken. A clock that was set
-- back, or a window that became shorter, leaves a time too far ahead: mended, by
-- a clock read while the row is held. By one read before waiting for it, others'
-- times look like that, too, and to draw those back would grant them twice.
create function limit_denied(p_ask uuid, p_key text, p_window bigint)
returns bigint language plpgsql as $$
declare
	stamp bigint := public.limit_now();
	r bigint;
begin
	insert into public.rate_denials (ask) values (p_ask);
	r := (select tat from public.rate_limits where key operator(pg_catalog.=) p_key);
	if r operator(pg_catalog.>) (stamp operator(pg_catalog.+) p_window) then
		r := stamp operator(pg_catalog.+) p_window;
		update public.rate_limits set tat = r where key operator(pg_catalog.=) p_key;
	end if;
	return greatest(r operator(pg_catalog.-) stamp, 0);
end $$;

-- First in the request's own transaction: what was denied is not executed.
create function limit_guard(p_ask uuid) returns boolean
language plpgsql stable security definer as $$
begin
	if exists (select from public.rate_denials where ask operator(pg_catalog.=) p_ask) then
		raise exception using errcode = 'RH429', message = 'over the rate';
	end if;
	return true;
end $$;

create function limit_give(p_key text, p_step bigint, p_key2 text, p_step2 bigint)
returns void language plpgsql security definer as $$
begin
	update public.rate_limits set tat = tat operator(pg_catalog.-) p_step
		where key operator(pg_catalog.=) p_key;
	update public.rate_limits set tat = tat operator(pg_catalog.-) p_step2
		where key operator(pg_catalog.=) p_key2;
end $$;

-- What is idle says no more than no row. Denials are kept for longer than a
-- pooler may hold a transaction back. A bounded number at a time.
create function limit_purge() returns bigint
language plpgsql security definer as $$
declare
	stamp bigint := public.limit_now();
	r bigint;
	s bigint;
begin
	delete from public.rate_limits where key operator(pg_catalog.=) any (array(
		select key from public.rate_limits where tat operator(pg_catalog.<) stamp
		limit 1000 for update skip locked));
	get diagnostics r = row_count;
	delete from public.rate_denials where ask operator(pg_catalog.=) any (array(
		select ask from public.rate_denials
		where rate_denials.at operator(pg_catalog.<) (pg_catalog.now() operator(pg_catalog.-) interval '10 minutes')
		limit 1000 for update skip locked));
	get diagnostics s = row_count;
	return r operator(pg_catalog.+) s;
end $$;

-- as in 0001: a function's new owner must be able to create where it stands
grant create on schema public to rowhouse_auth;
do $$
declare
	f text;
begin
	foreach f in array array[
		'limit_take(uuid, text, bigint, bigint, text, bigint, bigint)', 'limit_guard(uuid)',
		'limit_give(text, bigint, text, bigint)', 'limit_purge()', 'limit_now()',
		'limit_denied(uuid, text, bigint)']
	loop
		execute format('revoke all on function %s from public', f);
		execute format('alter function %s owner to rowhouse_auth', f);
	end loop;
	grant execute on function limit_take(uuid, text, bigint, bigint, text, bigint, bigint),
		limit_guard(uuid), limit_give(text, bigint, text, bigint), limit_purge() to rowhouse_app;
end $$;
revoke create on schema public from rowhouse_auth;
