-- One job at a time, for less.
--
-- job_turn as 0012 has it, and besides:
--
-- p_until: where the next of the lane is to be found, as its worker believes; null: no
-- idea. A scan of an index tests all the entries of a page that it might need, some
-- hundred for the one that it takes. Is nobody there, it is looked for behind it.
--
-- Whether anything is bounded, or anybody away, was three probes of indexes in a
-- statement of their own, at each job. A table that nobody ever wrote to has no
-- page, and an index that never had an entry has one: that is asked first, and
-- the rows only where there may be some. A row that is committed is in a page
-- that is counted, so what holds now is never passed by.
--
-- Each setting of a function is made and taken back at each call. Left are those
-- that a plan needs: without a scan of the table there is no order but the
-- index's that is as cheap.
--
-- The function of 0012 stays, for the release before this one.
-- Locks nothing. Undo: 0014_queue_turn.down.sql; nothing is lost.

create function job_turn(p_holder uuid, p_lease_ms bigint, p_tenant uuid, p_id uuid, p_attempt int,
	p_lane_tenant uuid, p_lane_priority int, p_lane_kind text, p_above bigint, p_until bigint)
returns table (tenant_id uuid, id uuid, kind text, args text, attempt int, max_attempts int,
	actor_id uuid, trace_id bytea, parent_span_id bytea, trace_flags smallint,
	request_id text, waited_ms bigint, priority smallint, seq bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
	rank constant int := -p_lane_priority;
	until bigint := coalesce(p_until, 9223372036854775807);
begin
	if pg_relation_size('public.job_controls') > 0 or pg_relation_size('public.job_kinds') > 0
		or pg_relation_size('public.tenant_limits_away') > 8192 then
		if exists (select from public.job_controls) or exists (select from public.job_kinds)
			or exists (select from public.tenant_limits l where l.away) then
			if p_id is not null then
				perform public.job_over_all(p_holder, array[p_tenant], array[p_id], array[p_attempt]);
			end if;
			return query select * from public.job_claim(p_holder, 1, p_lease_ms, null, array[p_lane_tenant],
				array[p_lane_priority], array[p_lane_kind], array[p_above]);
			return;
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
		return query update public.jobs j set state = 'running', holder = p_holder, attempt = j.attempt + 1,
			lease_until = now() + p_lease_ms * interval '1 ms', started_at = clock_timestamp()
		where j.ctid = (select x.ctid from public.jobs x where x.state = 'ready'
			and x.tenant_id = p_lane_tenant and -x.priority = rank and x.kind = p_lane_kind
			and x.seq > p_above and x.seq <= until
			order by x.tenant_id, (-x.priority), x.kind, x.seq limit 1 for update skip locked)
		returning j.tenant_id, j.id, j.kind, j.args::text, j.attempt, j.max_attempts::int, j.actor_id,
			j.trace_id::bytea, j.parent_span_id::bytea, j.trace_flags, j.request_id,
			(date_part('epoch', now() - greatest(j.run_at, j.created_at)) * 1000)::bigint,
			j.priority, j.seq;
		exit when found or until = 9223372036854775807;
		until := 9223372036854775807;
	end loop;
end $$;

grant create on schema public to rowhouse_auth;
do $$
declare
	f constant text := 'job_turn(uuid, bigint, uuid, uuid, int, uuid, int, text, bigint, bigint)';
begin
	execute format('revoke all on function %s from public', f);
	execute format('grant execute on function %s to rowhouse_app', f);
	execute format('alter function %s owner to rowhouse_auth', f);
end $$;
revoke create on schema public from rowhouse_auth;
