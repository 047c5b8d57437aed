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
grant select, insert, update, delete on webhooks to rowhouse_app;
grant select, insert, update (state, attempt, due_at, finished_at, error) on webhook_deliveries to rowhouse_app;
grant select on webhook_attempts to rowhouse_app;
grant select, insert, update, delete on webhooks, webhook_deliveries, webhook_attempts to rowhouse_auth;
