-- A job's turn as one value.
--
-- job_turn answered a row of 14 columns of a set. For one row that is a scan of a
-- function, a store of tuples and, for each column, its type looked up four
-- times and told to the client: 90,000 of 585,000 instructions of a job.
-- job_turn_one answers one composite value, or null, of what its worker does not know by
-- the lane. The rest is job_turn of 0014.
--
-- How long it waited is a difference that its reader takes: both ends are columns.
--
-- The function of 0014 stays, for the release before this one.
-- Locks nothing. Undo: 0015_queue_record.down.sql; nothing is lost.

create type job_turned as (id uuid, args text, attempt int, max_attempts int, actor_id uuid,
	trace_id bytea, parent_span_id bytea, trace_flags smallint, request_id text,
	due_at timestamptz, started_at timestamptz, seq bigint);

create function job_turn_one(p_holder uuid, p_lease_ms bigint, p_tenant uuid, p_id uuid, p_attempt int,
	p_lane_tenant uuid, p_lane_priority int, p_lane_kind text, p_above bigint, p_until bigint)
returns job_turned
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
	rank constant int := -p_lane_priority;
	until bigint := coalesce(p_until, 9223372036854775807);
	turned public.job_turned;
begin
	if pg_relation_size('public.job_controls') > 0 or pg_relation_size('public.job_kinds') > 0
		or pg_relation_size('public.tenant_limits_away') > 8192 then
		if exists (select from public.job_controls) or exists (select from public.job_kinds)
			or exists (select from public.tenant_limits l where l.away) then
			if p_id is not null then
				perform public.job_over_all(p_holder, array[p_tenant], array[p_id], array[p_attempt]);
			end if;
			select c.id, c.args, c.attempt, c.max_attempts, c.actor_id, c.trace_id, c.parent_span_id,
				c.trace_flags, c.request_id, now() - c.waited_ms * interval '1 ms', now(), c.seq
			into turned
			from public.job_claim(p_holder, 1, p_lease_ms, null, array[p_lane_tenant],
				array[p_lane_priority], array[p_lane_kind], array[p_above]) c;
			return case when turned.id is not null then turned end;
		end if;
	end if;
	if p_id is not null then
		with gone as (
			delete from public.jobs j where j.tenant_id = p_tenant and j.id = p_id
			and j.attempt = p_attempt and j.holder = p_holder
			returning j.tenant_id, j.id, j.kind, j.priority, j.args, j.unique_key, j.attempt,
				j.max_attempts, j.actor_id, j.trace_id, j.parent_span_id, j.trace_flags,
				j.request_id, j.created_at, j.started_at)
		insert into public.jobs_past (tenant_id, id, kind, state, priority, args, unique_key,
			attempt, max_attempts, progress, actor_id, trace_id, parent_span_id,
			trace_flags, request_id, created_at, started_at)
		select tenant_id, id, kind, 'done', priority, args, unique_key, attempt, max_attempts,
			100, actor_id, trace_id, parent_span_id, trace_flags, request_id,
			created_at, started_at
		from gone;
	end if;
	loop
		update public.jobs j set state = 'running', holder = p_holder, attempt = j.attempt + 1,
			lease_until = now() + p_lease_ms * interval '1 ms', started_at = clock_timestamp()
		where j.ctid = (select x.ctid from public.jobs x where x.state = 'ready'
			and x.tenant_id = p_lane_tenant and -x.priority = rank and x.kind = p_lane_kind
			and x.seq > p_above and x.seq <= until
			order by x.tenant_id, (-x.priority), x.kind, x.seq limit 1 for update skip locked)
		returning j.id, j.args::text, j.attempt, j.max_attempts::int, j.actor_id,
			j.trace_id::bytea, j.parent_span_id::bytea, j.trace_flags, j.request_id,
			greatest(j.run_at, j.created_at), j.started_at, j.seq
		into turned;
		if found then
			return turned;
		end if;
		exit when until = 9223372036854775807;
		until := 9223372036854775807;
	end loop;
	return null;
end $$;

grant create on schema public to rowhouse_auth;
do $$
declare
	f constant text := 'job_turn_one(uuid, bigint, uuid, uuid, int, uuid, int, text, bigint, bigint)';
begin
	execute format('revoke all on function %s from public', f);
	execute format('grant execute on function %s to rowhouse_app', f);
	execute format('alter function %s owner to rowhouse_auth', f);
end $$;
revoke create on schema public from rowhouse_auth;
