-- More of the queue: what clients and operators do to a job, and cron.
--
-- Locks jobs_past against writes while its indexes are made, as long as it takes to read it.
-- Undo: 0009_jobs_more.down.sql forgets all crons.

-- A list of jobs walks the primary keys, for ids are UUIDv7: jobs, where each
-- index is paid at every claim, gets no other. What failed is little of what is
-- over, and its indexes cost the rest nothing.
create index jobs_past_kind on jobs_past (tenant_id, kind, id);
create index jobs_past_failed on jobs_past (tenant_id, id) where state <> 'done';
create index jobs_past_failed_kind on jobs_past (tenant_id, kind, id) where state <> 'done';

-- As an event tells it: no arguments, no result.
create function job_told(p_id uuid, p_kind text, p_state job_state, p_attempt int, p_max_attempts int,
	p_run_at timestamptz, p_request_id text) returns jsonb language sql stable as $$
	select pg_catalog.jsonb_build_object('id', p_id, 'kind', p_kind, 'state', p_state, 'attempt', p_attempt,
		'max_attempts', p_max_attempts, 'run_at', p_run_at, 'request_id', p_request_id)
$$;

-- What is dead or cancelled is put back, with an attempt more where there is none
-- left: attempts are counted on, so that no two of a job have one number. What
-- waits for later is due now. Null: there is no such job.
create function job_retry(p_tenant uuid, p_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	j public.jobs;
	p public.jobs_past;
begin
	update public.jobs x set run_at = now()
		where x.tenant_id = p_tenant and x.id = p_id and x.state = 'scheduled'
		returning * into j;
	if not found then
		delete from public.jobs_past x where x.tenant_id = p_tenant and x.id = p_id
			and x.state <> 'done' returning * into p;
		if not found then
			if exists (select from public.jobs x where x.tenant_id = p_tenant and x.id = p_id)
				or exists (select from public.jobs_past x where x.tenant_id = p_tenant and x.id = p_id) then
				raise exception using errcode = 'RH409', constraint = 'job_not_retried',
					message = 'it is ready, runs or is done';
			end if;
			return null;
		end if;
		insert into public.jobs (tenant_id, id, kind, state, priority, args, unique_key, run_at,
			attempt, max_attempts, error, actor_id, trace_id, parent_span_id, trace_flags,
			request_id, created_at)
			values (p.tenant_id, p.id, p.kind, 'ready', p.priority, p.args, p.unique_key, now(),
				p.attempt, greatest(p.max_attempts, p.attempt + 1), p.error, p.actor_id,
				p.trace_id, p.parent_span_id, p.trace_flags, p.request_id, p.created_at)
			returning * into j;
	end if;
	return public.job_told(j.id, j.kind, j.state, j.attempt, j.max_attempts, j.run_at, j.request_id);
end $$;

-- What waits is over at once; what runs is asked to stop, and says so itself.
-- Null: there is no such job.
create function job_cancel(p_tenant uuid, p_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	j public.jobs;
begin
	select * into j from public.jobs x where x.tenant_id = p_tenant and x.id = p_id for update;
	if not found then
		if exists (select from public.jobs_past x where x.tenant_id = p_tenant and x.id = p_id) then
			raise exception using errcode = 'RH409', constraint = 'job_is_over', message = 'it is over';
		end if;
		return null;
	end if;
	if j.state = 'running' then
		update public.jobs x set cancel = true where x.tenant_id = p_tenant and x.id = p_id;
	else
		delete from public.jobs x where x.tenant_id = p_tenant and x.id = p_id;
		insert into public.jobs_past (tenant_id, id, kind, state, priority, args, unique_key,
			attempt, max_attempts, progress, error, actor_id, trace_id, parent_span_id,
			trace_flags, request_id, created_at, started_at)
			values (j.tenant_id, j.id, j.kind, 'cancelled', j.priority, j.args, j.unique_key,
				j.attempt, j.max_attempts, j.progress, j.error, j.actor_id, j.trace_id,
				j.parent_span_id, j.trace_flags, j.request_id, j.created_at, j.started_at);
		j.state := 'cancelled';
	end if;
	return public.job_told(j.id, j.kind, j.state, j.attempt, j.max_attempts, j.run_at, j.request_id);
end $$;

-- ---- cron ----

create table job_crons (
	tenant_id  uuid not null,
	name       text not null check (char_length(name) between 1 and 100),
	id         uuid not null,		-- what sealed arguments are bound to
	kind       text not null,
	schedule   text not null check (char_length(schedule) between 1 and 200),	-- as lib/jobs/cron.h reads it
	args       jsonb not null check (pg_column_size(args) <= 65536),
	actor_id   uuid,			-- who set it
	next_at    timestamptz not null,
	last_at    timestamptz,			-- the last occurrence that left a job
	paused     boolean not null default false,
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	primary key (tenant_id, name)
);
comment on table job_crons is 'no foreign key to tenants: those of a deleted one are passed over';
create index job_crons_due on job_crons (next_at) where not paused;
alter table job_crons enable row level security;
alter table job_crons force row level security;
create policy tenant on job_crons to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy auth on job_crons to rowhouse_auth using (true);
grant select, insert, delete on job_crons to rowhouse_app;
grant update (id, kind, schedule, args, actor_id, next_at, updated_at) on job_crons to rowhouse_app;
grant select, insert, update, delete on job_crons to rowhouse_auth;

-- Over all tenants, since a worker is nobody's. Not of tenants that are away
-- (0005), or deleted.
create function job_cron_due(p_most int)
returns table (tenant_id uuid, name text, id uuid, kind text, schedule text, args text,
	next_at timestamptz, today timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
	select c.tenant_id, c.name, c.id, c.kind, c.schedule, c.args::text, c.next_at, now()
	from public.job_crons c join public.tenants t on t.id = c.tenant_id and t.deleted_at is null
	where not c.paused and c.next_at <= now()
	and not exists (select from public.tenant_limits l where l.tenant_id = c.tenant_id and l.away)
	order by c.next_at limit p_most
$$;

-- Its job, and when it is due next (null: never), in one: of those who come for
-- the same occurrence one alone finds it. False: another did.
create function job_cron_fire(p_tenant uuid, p_name text, p_was timestamptz, p_next timestamptz,
	p_id uuid, p_args text, p_priority int, p_max_attempts int, p_trace bytea, p_span bytea,
	p_flags int, p_request text)
returns boolean language sql security definer set search_path = pg_catalog, pg_temp as $$
	with c as (
		update public.job_crons x set last_at = p_was, next_at = coalesce(p_next, p_was),
			paused = p_next is null
		where x.tenant_id = p_tenant and x.name = p_name and x.next_at = p_was and not x.paused
		and not exists (select from public.tenant_limits l where l.tenant_id = p_tenant and l.away)
		returning x.*), j as (
		insert into public.jobs (tenant_id, id, kind, state, priority, args, run_at, max_attempts,
			actor_id, trace_id, parent_span_id, trace_flags, request_id)
		select c.tenant_id, p_id, c.kind, 'ready', p_priority, p_args::jsonb, now(),
			p_max_attempts, c.actor_id, p_trace, p_span, p_flags, p_request
		from c returning 1)
	select exists (select from j)
$$;

grant create on schema public to rowhouse_auth;
do $$
declare
	f text;
begin
	foreach f in array array['job_retry(uuid, uuid)', 'job_cancel(uuid, uuid)', 'job_cron_due(int)',
		'job_cron_fire(uuid, text, timestamptz, timestamptz, uuid, text, int, int, bytea, bytea, int, text)']
	loop
		execute format('revoke all on function %s from public', f);
		execute format('grant execute on function %s to rowhouse_app', f);
		execute format('alter function %s owner to rowhouse_auth', f);
	end loop;
end $$;
revoke create on schema public from rowhouse_auth;
