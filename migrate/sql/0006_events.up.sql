-- What happened, in the order in which it is told: outbox_events becomes the
-- queue of what was not relayed yet, events the feed.
--
-- Locks outbox_events against everybody while it sorts, numbers and indexes what
-- has gathered there, some seconds a million rows; nothing else that is in use.
-- Undo: 0006_events.down.sql puts the events that are kept back into the outbox.

-- ---- the outbox ----
--
-- The number is drawn when the event is inserted, behind the row lock of its
-- subject: of one subject seq follows the changes. Over all subjects it does not
-- follow the commits, so nobody may read "what is above the last one I saw".

-- What is there is numbered in the order in which it stands in the table: so it is
-- put into that of the changes first.
set local synchronize_seqscans = off;
create index outbox_events_order on outbox_events (created_at, id);
cluster outbox_events using outbox_events_order;
drop index outbox_events_order;
alter table outbox_events add column seq bigint generated always as identity;
create index outbox_events_seq on outbox_events (seq);
-- a queue: every row dies soon, and the next step has to pass by
alter table outbox_events set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
	autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
	autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
	autovacuum_vacuum_cost_delay = 0);

-- ---- the feed ----
--
-- pos is given by the relay, one at a time, in the order in which it commits:
-- an event that commits late gets a later position, and no cursor passes it by.
-- It is the microsecond of its relay, or one more than the last where that is
-- more; so positions are partitioned by days of UTC, and a page that begins at a
-- cursor opens the days from there on alone.

create table events (
	tenant_id      uuid not null,
	pos            bigint not null,
	id             uuid not null,
	type           text not null,
	subject_id     uuid not null,
	payload        jsonb not null,
	actor_id       uuid,
	trace_id       bytea not null check (octet_length(trace_id) = 16),
	parent_span_id bytea not null check (octet_length(parent_span_id) = 8),
	request_id     text not null,
	created_at     timestamptz not null,
	primary key (tenant_id, pos)
) partition by range (pos);
create index events_type on events (tenant_id, type, pos);
create index events_id on events (tenant_id, id);
comment on table events is 'no foreign key to tenants: an event outlives what it tells of';

alter table events enable row level security;
alter table events force row level security;
create policy tenant on events to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy auth on events to rowhouse_auth using (true);
grant select on events to rowhouse_app;
grant select, insert on events to rowhouse_auth;
grant select, delete on outbox_events to rowhouse_auth;

-- A schema of their own, which nobody but the owner may use: days are read and
-- written through events, and by its policies.
create schema rowhouse_events;
comment on schema rowhouse_events is 'the days of public.events';
create table rowhouse_events.events_default partition of events default;
alter table rowhouse_events.events_default enable row level security;
alter table rowhouse_events.events_default force row level security;

-- The last position given. No row of a table: that would leave a dead one a batch.
create sequence event_pos as bigint minvalue 0 start 0;
grant select, update on sequence event_pos to rowhouse_auth;

-- ---- the relay ----

create function events_now() returns bigint language sql volatile
set search_path = pg_catalog, pg_temp as
	'select floor(extract(epoch from clock_timestamp()) * 1000000)::bigint';

-- The lock of those of whom there is one at a time.
create function events_lock() returns bigint language sql immutable as
	'select 7597121350183985713';

-- Moves up to p_most events, the lowest seq first, into the feed. p_above: those
-- up to there are moved or will never come, as the caller knows from the answers
-- before; it saves passing by what is dead. busy: another relay is at it.
--
-- drawn: the last seq given away so far. own: this transaction's number, 0 where
-- it has none, for nothing was moved. Who had drawn by the time of one answer has
-- a lower number than the own of a later one; once begins, below which nobody is
-- at work, has come to that, all that they drew is visible or nowhere. (The end of
-- a snapshot would not do: it is not above all who are at work.)
-- first_pos, last_pos: of what was moved, also for the statements behind this
-- one in its transaction: relayed_first(), relayed_last().
--
-- A tenant that is away here is on its way here, or gone: its events are another
-- place's to tell. passed: the first seq of those that were passed over, which
-- are the tenant's to have should its move be undone. The caller is not to go
-- above it; what stays there goes when the move is ended.
create function events_relay(p_above bigint, p_most int,
	out busy boolean, out moved bigint, out first_pos bigint, out last_pos bigint,
	out first_seq bigint, out last_seq bigint, out drawn bigint, out begins bigint, out own bigint,
	out passed bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off as $$
declare
	-- hardly ever: one look at an index (0007's) instead of one for each row
	some_away constant boolean := exists (select from public.tenant_limits where away);
	tenants uuid[];
begin
	moved := 0;
	busy := not pg_try_advisory_xact_lock(public.events_lock());
	if busy then
		return;
	end if;
	begins := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
	first_pos := greatest((select last_value from public.event_pos) + 1, public.events_now());
	-- one snapshot for all of it: who comes back meanwhile is moved, or passed over
	with gone as (
		delete from public.outbox_events where ctid = any (array(
			select o.ctid from public.outbox_events o where o.seq > p_above
			and (not some_away or not coalesce((select l.away from public.tenant_limits l
				where l.tenant_id = o.tenant_id), false))
			order by o.seq limit p_most))
		returning *
	), stays as (
		select o.seq from public.outbox_events o where some_away and o.seq > p_above
		and o.seq <= (select case when count(*) < p_most then bigint '9223372036854775807'
			else max(seq) end from gone)	-- so far the caller may go
		and (select l.away from public.tenant_limits l where l.tenant_id = o.tenant_id)
		order by o.seq limit 1
	), told as (
		insert into public.events (tenant_id, pos, id, type, subject_id, payload, actor_id,
			trace_id, parent_span_id, request_id, created_at)
		select tenant_id, first_pos + row_number() over (order by seq) - 1, id, type, subject_id,
			payload, actor_id, trace_id, parent_span_id, request_id, created_at
		from gone)
	select count(*), min(seq), max(seq), array_agg(distinct tenant_id), (select seq from stays)
		into moved, first_seq, last_seq, tenants, passed from gone;
	if moved > 0 then
		own := pg_current_xact_id()::text::bigint;
		last_pos := first_pos + moved - 1;
		-- a sequence rolls nothing back: positions of a batch that fails are not given again
		perform setval('public.event_pos', last_pos);
		perform set_config('rowhouse.relayed', first_pos || ' ' || last_pos, true);
		perform set_config('rowhouse.relayed_tenants', tenants::text, true);
	end if;
	drawn := (select last_value - (not is_called)::int from public.outbox_events_seq_seq);
end $$;
grant select on sequence outbox_events_seq_seq to rowhouse_auth;

-- For what hangs off the relay, in its transaction: null where nothing was moved.
create function relayed_first() returns bigint language sql stable as
	$$select nullif(split_part(current_setting('rowhouse.relayed', true), ' ', 1), '')::bigint$$;
create function relayed_last() returns bigint language sql stable as
	$$select nullif(split_part(current_setting('rowhouse.relayed', true), ' ', 2), '')::bigint$$;
-- Of whom it was: events are found by tenant and position, not by position alone.
create function relayed_tenants() returns uuid[] language sql stable as
	$$select nullif(current_setting('rowhouse.relayed_tenants', true), '')::uuid[]$$;

-- How many wait for the relay, and how long the oldest has.
create function events_waiting(out pending bigint, out lag_ms bigint)
language sql security definer set search_path = pg_catalog, pg_temp as
	'select count(*), coalesce(greatest(0, floor(extract(epoch from
		clock_timestamp() - min(created_at)) * 1000)), 0)::bigint from public.outbox_events o
	where not exists (select from public.tenant_limits l where l.tenant_id = o.tenant_id and l.away)';

-- ---- the days ----

create function events_day(p_day bigint) returns text language sql immutable
set search_path = pg_catalog, pg_temp as
	$$select 'events_' || to_char(date '1970-01-01' + p_day::int, 'YYYYMMDD')$$;

-- One step of keeping house: makes one day's partition, of today and of p_ahead
-- days to come; or drops one of which all events are older than p_keep_ms; or
-- forgets some of that age that had no partition. more: there is more to do.
--
-- A partition is attached and dropped under a lock that waits for readers, and
-- for which others wait: 100 ms, then it fails (55P03) and is tried later.
create function events_tend(p_keep_ms bigint, p_ahead int,
	out made text, out dropped text, out forgotten bigint, out more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
	day_us constant bigint := 86400000000;
	at constant bigint := public.events_now();
	oldest constant bigint := at - p_keep_ms * 1000;
	name text;
	most constant int := 10000;
begin
	perform pg_advisory_xact_lock(public.events_lock());
	forgotten := 0;
	more := true;
	for day in at / day_us .. at / day_us + p_ahead loop
		name := public.events_day(day);
		continue when to_regclass('rowhouse_events.' || name) is not null;
		-- a move would see them go, and not come back
		continue when exists (select from pg_publication where pubname like 'rowhouse\_move\_%')
			and exists (select from public.events where pos >= day * day_us and pos < (day + 1) * day_us);
		execute format('create table rowhouse_events.%I (like public.events including defaults'
			' including constraints)', name);
		-- what came while it was not there
		execute format('with late as (delete from public.events where pos >= %s and pos < %s'
			' returning *) insert into rowhouse_events.%I select * from late',
			day * day_us, (day + 1) * day_us, name);
		execute format('alter table rowhouse_events.%I enable row level security,'
			' force row level security', name);
		execute format('alter table public.events attach partition rowhouse_events.%I'
			' for values from (%s) to (%s)', name, day * day_us, (day + 1) * day_us);
		made := name;
		return;
	end loop;
	-- names sort as their days do
	name := (select min(c.relname::text) from pg_class c
		where c.relnamespace = 'rowhouse_events'::regnamespace and c.relkind = 'r'
		and c.relname ~ '^events_[0-9]{8}$');
	if name < public.events_day(oldest / day_us) then
		execute format('drop table rowhouse_events.%I', name);
		dropped := name;
		return;
	end if;
	delete from public.events where (tenant_id, pos) in (
		select tenant_id, pos from public.events
		where pos < oldest and tableoid = 'rowhouse_events.events_default'::regclass limit most);
	get diagnostics forgotten = row_count;
	more := forgotten = most;
end $$;
comment on function events_tend(bigint, int) is
	'the owner''s: only who owns a table adds partitions to it and drops them';

grant create on schema public to rowhouse_auth;
do $$
declare
	f text;
begin
	foreach f in array array['events_relay(bigint, int)', 'events_waiting()',
		'events_tend(bigint, int)']
	loop
		execute format('revoke all on function %s from public', f);
		execute format('grant execute on function %s to rowhouse_app', f);
		if f not like 'events_tend%' then
			execute format('alter function %s owner to rowhouse_auth', f);
		end if;
	end loop;
	while (select more from events_tend(365 * 86400000::bigint, 3)) loop
	end loop;
end $$;
revoke create on schema public from rowhouse_auth;

-- ---- a move takes them along ----
--
-- As in 0005, and more: a partitioned table goes as one, whatever its partitions
-- are here and there. An unlogged one stays: what is lost with a crash may be lost.
create or replace function move_tables() returns setof regclass language sql stable as $$
	select c.oid::regclass from pg_class c
	join pg_index i on i.indrelid = c.oid and i.indisprimary
	join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnum = any (i.indkey)
	where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
	and c.relnamespace = 'public'::regnamespace and c.relname <> 'tenant_limits'
	order by c.relname
$$;

create or replace function move_publish(p_tenant uuid) returns boolean language plpgsql as $$
begin
	if not exists (select from pg_publication where pubname = move_name(p_tenant)) then
		execute (select format('create publication %I for table ', move_name(p_tenant)) ||
			string_agg(format('%s where (tenant_id = %L)', t, p_tenant), ', ') ||
			' with (publish_via_partition_root = true)' from move_tables() t);
	end if;
	return true;
end $$;

-- With the last position given here: there it goes on behind that, and who reads
-- by cursor misses none.
create or replace function move_tenant(p_tenant uuid) returns text language sql stable as $$
	select jsonb_build_object('tenant', to_jsonb(t), 'pos', (select last_value from event_pos),
		'plan', coalesce(to_jsonb(l), jsonb_build_object('tenant_id', t.id, 'tenant', 0, 'token', 0,
			'tenant_write', 0, 'token_write', 0, 'window_ms', 0, 'updated_at', now())))::text
	from tenants t left join tenant_limits l on l.tenant_id = t.id where t.id = p_tenant
$$;
create or replace function move_tenant_take(p_what text) returns boolean language plpgsql as $$
begin
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
	-- in front of the relay, which reads it, and sets it
	perform pg_advisory_xact_lock(events_lock());
	perform setval('event_pos', greatest((select last_value from event_pos),
		(p_what::jsonb ->> 'pos')::bigint));
	return true;
end $$;

-- What may expire meanwhile goes here and there at its own time, and is not
-- counted; events are kept for a day at least.
create or replace function move_count(p_tenant uuid, p_alive timestamptz) returns text language plpgsql as $$
declare
	counts jsonb := '{}';
	t regclass;
	n bigint;
begin
	for t in select move_tables() loop
		execute format('select count(*) from %s where tenant_id = $1%s', t, case t
			when 'idempotency_keys'::regclass then ' and expires_at > $2'
			when 'events'::regclass then
				' and pos > extract(epoch from $2 - interval ''1 day'') * 1000000'
			else '' end)
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
		-- a ctid is one of each partition's
		execute format('delete from %s where tenant_id = $1 and ctid = any'
			' (array(select ctid from %s where tenant_id = $1 limit $2))', t, t)
			using p_tenant, p_most;
		get diagnostics n = row_count;
		gone := gone + n;
	end loop;
	return gone;
end $$;

-- It is served here from now on. Its events that were not relayed yet are drawn
-- anew, in their order: behind all that was drawn here, where no relay has been,
-- and in front of what comes. Rows that have a number of another sequence's are
-- followed by higher ones. (Far higher: others may draw in this moment.)
--
-- Not for a tenant that has writers here: theirs would be in front of it.
create function move_arrive(p_tenant uuid) returns boolean language plpgsql as $$
declare
	t regclass;
	col text;
	numbers text;
	highest bigint;
	last bigint;
begin
	if not exists (select from tenant_limits where tenant_id = p_tenant and away) then
		return true;
	end if;
	with gone as (delete from outbox_events where tenant_id = p_tenant returning *)
	insert into outbox_events (tenant_id, id, type, subject_id, payload, actor_id, trace_id,
		parent_span_id, request_id, created_at)
		select tenant_id, id, type, subject_id, payload, actor_id, trace_id,
			parent_span_id, request_id, created_at
		from gone order by seq;
	for t, col in select c.t, a.attname from move_tables() c(t)
		join pg_attribute a on a.attrelid = c.t and a.attidentity <> '' loop
		numbers := pg_get_serial_sequence(t::text, col);
		execute format('select max(%I) from %s where tenant_id = $1', col, t)
			into highest using p_tenant;
		execute format('select last_value from %s', numbers) into last;
		if highest > last then
			perform setval(numbers, highest + 10000);
		end if;
	end loop;
	return move_fence(p_tenant, false);
end $$;
revoke all on function move_arrive(uuid) from public;
