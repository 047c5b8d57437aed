-- Webhooks out: who wants to be told of which events, and what became of each
-- telling.
--
-- A delivery is one event for one endpoint, and the queue of its own attempts;
-- an attempt is written once, for the log. Secrets are sealed: a signature needs
-- them in clear, a copy of the database must not have them.
--
-- Locks nothing that is in use: the tables are new.
-- Undo: 0008_webhooks.down.sql forgets endpoints and deliveries, those that wait
-- as well.

create table webhooks (
	tenant_id        uuid not null references tenants (id),
	id               uuid not null,
	url              text not null check (char_length(url) between 1 and 2048),
	event_types      text[] not null check (cardinality(event_types) <= 64),	-- empty: all; 'task.*': all of them
	description      text not null default '' check (char_length(description) <= 500),
	status           text not null default 'active' check (status in ('active', 'paused')),
	paused_reason    text check (paused_reason in ('asked', 'failing', 'gone')),
	secret           bytea not null,	-- sealed
	old_secret       bytea,			-- signs beside it until then
	old_secret_until timestamptz,
	failing_since    timestamptz,		-- of the first failure since the last success
	rate_per_s       int check (rate_per_s between 1 and 1000),	-- null: the operator's default
	concurrency      int check (concurrency between 1 and 100),	-- null: likewise
	created_at       timestamptz not null default now(),
	updated_at       timestamptz not null default now(),
	version          int not null default 1,
	primary key (tenant_id, id),
	check ((status = 'paused') = (paused_reason is not null))
);
create index webhooks_page on webhooks (tenant_id, created_at desc, id desc);
create index webhooks_paused on webhooks (tenant_id) where status = 'paused' and paused_reason <> 'asked';

create table webhook_deliveries (
	tenant_id      uuid not null,
	id             uuid not null,
	webhook_id     uuid not null,
	event_id       uuid not null,		-- webhook-id: the same over attempts and replays
	type           text not null,
	subject_id     uuid not null,
	payload        jsonb not null,
	actor_id       uuid,
	happened_at    timestamptz not null,	-- of the event
	state          text not null default 'waiting'
			check (state in ('waiting', 'sending', 'delivered', 'failed', 'cancelled')),
	attempt        int not null default 0,	-- how many have begun; whose lease it is
	due_at         timestamptz not null default now(),
	holder         uuid,			-- the worker that has it; null: none
	lease_until    timestamptz,
	status         smallint,		-- of the last reply; null: there was none
	latency_ms     int,
	error          text,			-- why the last attempt was none: refused.address, timeout, …
	trace_id       bytea not null check (octet_length(trace_id) = 16),
	parent_span_id bytea not null check (octet_length(parent_span_id) = 8),
	request_id     text not null,
	created_at     timestamptz not null default now(),
	finished_at    timestamptz,
	primary key (tenant_id, id),
	foreign key (tenant_id, webhook_id) references webhooks (tenant_id, id) on delete cascade,
	check ((state = 'sending') = (holder is not null)),
	check ((state = 'sending') = (lease_until is not null)),
	check ((state in ('delivered', 'failed', 'cancelled')) = (finished_at is not null))
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
	autovacuum_vacuum_cost_delay = 0);
create index webhook_deliveries_page on webhook_deliveries (tenant_id, webhook_id, created_at desc, id desc);
create index webhook_deliveries_due on webhook_deliveries (due_at) where state = 'waiting';
create index webhook_deliveries_held on webhook_deliveries (holder) where state = 'sending';
create index webhook_deliveries_age on webhook_deliveries (finished_at) where finished_at is not null;

create table webhook_attempts (
	tenant_id   uuid not null,
	delivery_id uuid not null,
	attempt     int not null,
	started_at  timestamptz not null,
	status      smallint,
	latency_ms  int not null,
	error       text,
	reply       bytea not null check (octet_length(reply) <= 1024),	-- the first bytes of its body
	primary key (tenant_id, delivery_id, attempt),
	foreign key (tenant_id, delivery_id) references webhook_deliveries (tenant_id, id) on delete cascade
);

alter table webhooks           enable row level security;
alter table webhooks           force row level security;
alter table webhook_deliveries enable row level security;
alter table webhook_deliveries force row level security;
alter table webhook_attempts   enable row level security;
alter table webhook_attempts   force row level security;
create policy tenant on webhooks to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy tenant on webhook_deliveries to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy tenant on webhook_attempts to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy auth on webhooks           to rowhouse_auth using (true);
create policy auth on webhook_deliveries to rowhouse_auth using (true);
create policy auth on webhook_attempts   to rowhouse_auth using (true);
-- A UUID of version 7, of this moment (RFC 9562 section 5.7): of those that are
-- not made by the application.
create function uuid_v7() returns uuid language sql volatile as $$
	select pg_catalog.encode(pg_catalog.set_bit(pg_catalog.set_bit(
		overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) placing
			substring(pg_catalog.int8send((extract(epoch from
				pg_catalog.clock_timestamp()) * 1000)::bigint) from 3)
			from 1 for 6),
		52, 1), 53, 1), 'hex')::uuid
$$;

-- Hangs off the relay: of each endpoint that was paused by itself a job tells the
-- tenant's owners and admins. Answers how many.
create function webhooks_tell_pauses() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	n bigint;
begin
	if public.relayed_first() is null then
		return 0;
	end if;
	-- few are paused: from them on, by the index of a tenant's types
	insert into public.jobs (tenant_id, id, kind, state, priority, args, run_at, max_attempts,
		trace_id, parent_span_id, trace_flags, request_id)
	select e.tenant_id, public.uuid_v7(), 'webhooks.tell_pause', 'ready', 0,
		jsonb_build_object('webhook_id', e.subject_id, 'event_id', e.id), now(), 8,
		e.trace_id, e.parent_span_id, 1, e.request_id
	from (select distinct w.tenant_id from public.webhooks w
			where w.status = 'paused' and w.paused_reason <> 'asked') p
	join lateral (select * from public.events f
		where f.tenant_id = p.tenant_id and f.type = 'webhook.paused'
		and f.pos between public.relayed_first() and public.relayed_last()
		offset 0) e on true;
	get diagnostics n = row_count;
	return n;
end $$;

grant select, insert, update, delete on webhooks to rowhouse_app;
grant select, insert, update (state, attempt, due_at, finished_at, error) on webhook_deliveries to rowhouse_app;
grant select on webhook_attempts to rowhouse_app;
grant select, insert, update, delete on webhooks, webhook_deliveries, webhook_attempts to rowhouse_auth;

grant create on schema public to rowhouse_auth;
revoke all on function webhooks_tell_pauses() from public;
grant execute on function webhooks_tell_pauses() to rowhouse_app;
alter function webhooks_tell_pauses() owner to rowhouse_auth;
revoke create on schema public from rowhouse_auth;
