drop function job_turn(uuid, bigint, uuid, uuid, int, uuid, int, text, bigint);
alter table jobs
	alter column args type jsonb, alter column max_attempts type int, alter column progress type smallint,
	alter column trace_id type bytea, alter column parent_span_id type bytea,
	add constraint jobs_state_check check (state in ('scheduled', 'ready', 'running')),
	add constraint jobs_priority_check check (priority > -32768),
	add constraint jobs_args_check check (pg_column_size(args) <= 65536),
	add constraint jobs_max_attempts_check check (max_attempts > 0),
	add constraint jobs_progress_check check (progress between 0 and 100),
	add constraint jobs_trace_id_check check (octet_length(trace_id) = 16),
	add constraint jobs_parent_span_id_check check (octet_length(parent_span_id) = 8),
	add constraint jobs_check check ((state = 'running') = (holder is not null)),
	add constraint jobs_check1 check ((state = 'running') = (lease_until is not null));
alter table jobs_past
	add constraint jobs_past_state_check check (state in ('done', 'dead', 'cancelled')),
	add constraint jobs_past_result_check check (pg_column_size(result) <= 65536);
create or replace function job_over(p_tenant uuid, p_id uuid, p_holder uuid, p_attempt int, p_state job_state,
	p_result jsonb, p_error text)
returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
	with gone as (
		delete from public.jobs j where j.tenant_id = p_tenant and j.id = p_id
		and j.attempt = p_attempt and j.holder is not distinct from p_holder
		and not exists (select from public.tenant_limits l where l.away and l.tenant_id = p_tenant)
		returning j.*)
	insert into public.jobs_past (tenant_id, id, kind, state, priority, args, unique_key,
		attempt, max_attempts, progress, result, error, actor_id, trace_id,
		parent_span_id, trace_flags, request_id, created_at, started_at)
	select tenant_id, id, kind, p_state, priority, args, unique_key, attempt, max_attempts,
		case when p_state = 'done' then 100 else progress end, p_result,
		coalesce(p_error, case when p_state <> 'done' then error end), actor_id,
		trace_id, parent_span_id, trace_flags, request_id, created_at, started_at
	from gone;
	if not found and p_state = 'done' then
		raise exception using errcode = 'RH409', constraint = 'job_lost', message = 'another has it by now';
	end if;
	return found;
end $$;
create or replace function job_claim(p_holder uuid, p_most int, p_lease_ms bigint, p_after uuid,
	p_tenants uuid[], p_priorities int[], p_kinds text[], p_above bigint[])
returns table (tenant_id uuid, id uuid, kind text, args text, attempt int, max_attempts int,
	actor_id uuid, trace_id bytea, parent_span_id bytea, trace_flags smallint,
	request_id text, waited_ms bigint, priority smallint, seq bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
#variable_conflict use_column
declare
	nobody constant uuid := '00000000-0000-0000-0000-000000000000';
	bounded constant boolean := exists (select from public.job_controls)
		or exists (select from public.job_kinds);
	fenced constant boolean := exists (select from public.tenant_limits l where l.away);
	tenants uuid[] := p_tenants;
	ranks int[] := array(select -p from unnest(p_priorities) p);
	kinds text[] := p_kinds;
	above bigint[] := p_above;
	of_lane bigint[];
	of_tenant bigint[];
	of_kind bigint[];
	of_all bigint[];
	busy boolean := false;
	-- of what is bounded behind the count of what runs: who had made room has ended
	begins timestamptz := clock_timestamp();
	n_tenants int;
	n_lanes int;
begin
	if p_tenants is null then
		-- behind those who were there when it became due
		update public.jobs j set state = 'ready', seq = nextval('public.jobs_seq_seq')
		where j.ctid = any (array(
			select d.ctid from public.jobs d where d.state = 'scheduled' and d.run_at <= now()
			order by d.run_at limit 1000 for update skip locked)) and j.state = 'scheduled';
		with recursive lane(t, r, k, s, n, round) as (
			select coalesce(p_after, nobody), 32768, ''::text collate "C", 0::bigint, 0, false
			union all
			select x.t, x.r, x.k, x.s, lane.n + 1, x.round
			from lane, lateral (
				(select j.tenant_id, (-j.priority)::int, j.kind, j.seq, lane.round
				from public.jobs j where j.state = 'ready'
				and (j.tenant_id, -j.priority, j.kind) > (lane.t, lane.r, lane.k)
				order by j.tenant_id, (-j.priority), j.kind, j.seq limit 1)
				union all
				(select j.tenant_id, (-j.priority)::int, j.kind, j.seq, true
				from public.jobs j where not lane.round and j.state = 'ready'
				order by j.tenant_id, (-j.priority), j.kind, j.seq limit 1)
				limit 1) x(t, r, k, s, round)
			where not x.round or x.t <= p_after)
		select array_agg(y.t order by y.turn, y.r, y.s), array_agg(y.r order by y.turn, y.r, y.s),
			array_agg(y.k order by y.turn, y.r, y.s), null
		into tenants, ranks, kinds, above from (
			select x.*, min(x.n) over (partition by x.t) as turn, min(x.r) over (partition by x.t) as top
			from (select l.t, l.r, l.k, l.s, l.n from lane l where l.n > 0
				and not (fenced and exists (select from public.tenant_limits a
					where a.tenant_id = l.t and a.away))
				and not (bounded and exists (select from public.job_controls c
					where c.paused and c.tenant_id in (l.t, nobody) and c.kind in (l.k, '')))
				limit case when bounded then 4096 else 512 end) x) y
		where bounded or y.r = y.top;
	elsif fenced or bounded then
		select array_agg(l.t order by l.n), array_agg(l.r order by l.n),
			array_agg(l.k order by l.n), array_agg(l.above order by l.n)
		into tenants, ranks, kinds, above
		from unnest(tenants, ranks, kinds, above) with ordinality as l(t, r, k, above, n)
		where not exists (select from public.tenant_limits a where a.tenant_id = l.t and a.away)
		and not exists (select from public.job_controls c
			where c.paused and c.tenant_id in (l.t, nobody) and c.kind in (l.k, ''));
	end if;
	if bounded and tenants is not null then
		busy := not pg_try_advisory_xact_lock(7007, 1);
		select array_agg(y.t order by y.n), array_agg(y.r order by y.n),
			array_agg(y.k order by y.n), array_agg(y.above order by y.n),
			array_agg(y.of_lane order by y.n), array_agg(y.of_tenant order by y.n),
			array_agg(y.of_kind order by y.n), array_agg(y.of_all order by y.n)
		into tenants, ranks, kinds, above, of_lane, of_tenant, of_kind, of_all from (
			select l.*, m.of_lane, m.of_tenant, m.of_kind, m.of_all, min(l.r) over (partition by l.t) as top
			from unnest(tenants, ranks, kinds, above) with ordinality as l(t, r, k, above, n)
			join public.job_rooms(tenants, kinds) m on m.n = l.n
			where coalesce(least(m.of_lane, m.of_tenant, m.of_kind, m.of_all) > 0 and not busy, true)) y
		where y.r = y.top;
		begins := clock_timestamp();
		-- somebody waits: there may be room by then
		perform set_config('rowhouse.jobs_again_ms', case when busy then '5' else '50' end, true);
	end if;
	if tenants is null then
		return;
	end if;
	n_lanes := cardinality(tenants);
	n_tenants := case when n_lanes = 1 then 1 else (select count(distinct t) from unnest(tenants) t) end;
	if not bounded then
		return query with lane as materialized (
			select l.*, case when n_lanes = 1 then p_most else ceil(ceil(p_most::float8 / n_tenants)
				/ count(*) over (partition by l.t))::int end as part
			from unnest(tenants, ranks, kinds, above) with ordinality as l(t, r, k, above, n)
			order by l.n)
		update public.jobs j set state = 'running', holder = p_holder, attempt = j.attempt + 1,
			lease_until = now() + p_lease_ms * interval '1 ms', started_at = begins
		where j.ctid = any (array(select d.ctid from lane w, lateral (
			select x.ctid from public.jobs x where x.state = 'ready' and x.tenant_id = w.t
			and -x.priority = w.r and x.kind = w.k and x.seq > coalesce(w.above, 0)
			order by x.tenant_id, (-x.priority), x.kind, x.seq limit w.part for update skip locked) d limit p_most))
		returning j.tenant_id, j.id, j.kind, j.args::text, j.attempt, j.max_attempts, j.actor_id,
			j.trace_id, j.parent_span_id, j.trace_flags, j.request_id,
			(date_part('epoch', now() - greatest(j.run_at, j.created_at)) * 1000)::bigint,
			j.priority, j.seq;
		return;
	end if;
	return query with lane as materialized (
		select l.*, ceil(ceil(p_most::float8 / n_tenants) / count(*) over (partition by l.t))::int as part
		from unnest(tenants, ranks, kinds, above, of_lane, of_tenant, of_kind, of_all) with ordinality
			as l(t, r, k, above, of_lane, of_tenant, of_kind, of_all, n)
		order by l.n),
	due as materialized (
		select d.ctid as at, d.seq as s, w.* from lane w, lateral (
			select x.ctid, x.seq from public.jobs x where x.state = 'ready' and x.tenant_id = w.t
			and -x.priority = w.r and x.kind = w.k and x.seq > coalesce(w.above, 0)
			order by x.tenant_id, (-x.priority), x.kind, x.seq
			limit least(w.part, w.of_lane, w.of_tenant, w.of_kind, w.of_all) for update skip locked) d limit p_most),
	counted as (
		select d.*, row_number() over (partition by d.t, d.k order by d.n, d.s) as in_lane,
			row_number() over (partition by d.t order by d.n, d.s) as in_tenant,
			row_number() over (partition by d.k order by d.n, d.s) as in_kind,
			row_number() over (order by d.n, d.s) as in_all
		from due d)
	update public.jobs j set state = 'running', holder = p_holder, attempt = j.attempt + 1,
		lease_until = now() + p_lease_ms * interval '1 ms', started_at = begins
	where j.ctid = any (array(select c.at from counted c
		where coalesce(c.in_lane <= c.of_lane, true) and coalesce(c.in_tenant <= c.of_tenant, true)
		and coalesce(c.in_kind <= c.of_kind, true) and coalesce(c.in_all <= c.of_all, true)))
	returning j.tenant_id, j.id, j.kind, j.args::text, j.attempt, j.max_attempts, j.actor_id,
		j.trace_id, j.parent_span_id, j.trace_flags, j.request_id,
		(date_part('epoch', now() - greatest(j.run_at, j.created_at)) * 1000)::bigint,
		j.priority, j.seq;
	perform public.job_spend(p_holder, begins);
end $$;
drop domain job_args, job_result, job_attempts, job_percent, job_trace_id, job_span_id;
