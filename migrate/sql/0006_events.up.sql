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
create function events_relay(p_above bigint, p_most int,
	out busy boolean, out moved bigint, out first_pos bigint, out last_pos bigint,
	out first_seq bigint, out last_seq bigint, out drawn bigint, out begins bigint, out own bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off as $$
begin
	moved := 0;
	busy := not pg_try_advisory_xact_lock(public.events_lock());
	if busy then
		return;
	end if;
	begins := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
	first_pos := greatest((select last_value from public.event_pos) + 1, public.events_now());
	with gone as (
		delete from public.outbox_events where ctid = any (array(
			select ctid from public.outbox_events where seq > p_above order by seq limit p_most))
		returning *
	), told as (
		insert into public.events (tenant_id, pos, id, type, subject_id, payload, actor_id,
			trace_id, parent_span_id, request_id, created_at)
		select tenant_id, first_pos + row_number() over (order by seq) - 1, id, type, subject_id,
			payload, actor_id, trace_id, parent_span_id, request_id, created_at
		from gone)
	select count(*), min(seq), max(seq) into moved, first_seq, last_seq from gone;
	if moved > 0 then
		own := pg_current_xact_id()::text::bigint;
		last_pos := first_pos + moved - 1;
		-- a sequence rolls nothing back: positions of a batch that fails are not given again
		perform setval('public.event_pos', last_pos);
		perform set_config('rowhouse.relayed', first_pos || ' ' || last_pos, true);
	end if;
	drawn := (select last_value - (not is_called)::int from public.outbox_events_seq_seq);
end $$;
grant select on sequence outbox_events_seq_seq to rowhouse_auth;

-- For what hangs off the relay, in its transaction: null where nothing was moved.
create function relayed_first() returns bigint language sql stable as
	$$select nullif(split_part(current_setting('rowhouse.relayed', true), ' ', 1), '')::bigint$$;
create function relayed_last() returns bigint language sql stable as
	$$select nullif(split_part(current_setting('rowhouse.relayed', true), ' ', 2), '')::bigint$$;

-- How many wait for the relay, and how long the oldest has.
create function events_waiting(out pending bigint, out lag_ms bigint)
language sql security definer set search_path = pg_catalog, pg_temp as
	'select count(*), coalesce(greatest(0, floor(extract(epoch from
		clock_timestamp() - min(created_at)) * 1000)), 0)::bigint from public.outbox_events';

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
