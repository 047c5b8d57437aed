-- As 0012 has it.
create or replace function job_turn(p_holder uuid, p_lease_ms bigint, p_tenant uuid, p_id uuid, p_attempt int,
	p_lane_tenant uuid, p_lane_priority int, p_lane_kind text, p_above bigint)
returns table (tenant_id uuid, id uuid, kind text, args text, attempt int, max_attempts int,
	actor_id uuid, trace_id bytea, parent_span_id bytea, trace_flags smallint,
	request_id text, waited_ms bigint, priority smallint, seq bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
#variable_conflict use_column
declare
	rank constant int := -p_lane_priority;
begin
	if exists (select from public.job_controls) or exists (select from public.job_kinds)
		or exists (select from public.tenant_limits l where l.away) then
		if p_id is not null then
			perform public.job_over_all(p_holder, array[p_tenant], array[p_id], array[p_attempt]);
		end if;
		return query select * from public.job_claim(p_holder, 1, p_lease_ms, null, array[p_lane_tenant],
			array[p_lane_priority], array[p_lane_kind], array[p_above]);
		return;
	end if;
	if p_id is not null then
		with gone as (
			delete from public.jobs j where j.tenant_id = p_tenant and j.id = p_id
			and j.attempt = p_attempt and j.holder is not distinct from p_holder
			returning j.*)
		insert into public.jobs_past (tenant_id, id, kind, state, priority, args, unique_key,
			attempt, max_attempts, progress, actor_id, trace_id, parent_span_id,
			trace_flags, request_id, created_at, started_at)
		select tenant_id, id, kind, 'done', priority, args, unique_key, attempt, max_attempts,
			100, actor_id, trace_id, parent_span_id, trace_flags, request_id,
			created_at, started_at
		from gone;
	end if;
	return query update public.jobs j set state = 'running', holder = p_holder, attempt = j.attempt + 1,
		lease_until = now() + p_lease_ms * interval '1 ms', started_at = clock_timestamp()
	where j.ctid = (select x.ctid from public.jobs x where x.state = 'ready'
		and x.tenant_id = p_lane_tenant and -x.priority = rank and x.kind = p_lane_kind
		and x.seq > p_above
		order by x.tenant_id, (-x.priority), x.kind, x.seq limit 1 for update skip locked)
	returning j.tenant_id, j.id, j.kind, j.args::text, j.attempt, j.max_attempts::int, j.actor_id,
		j.trace_id::bytea, j.parent_span_id::bytea, j.trace_flags, j.request_id,
		(date_part('epoch', now() - greatest(j.run_at, j.created_at)) * 1000)::bigint,
		j.priority, j.seq;
end $$;
