-- What delivers webhooks: new events become deliveries, those that are due are
-- claimed, what became of an attempt is written down, an endpoint that is gone or
-- fails for days is paused.
--
-- All is done over all tenants, since whoever delivers is nobody's: so these are
-- functions of the role that sees all, and rowhouse_app may call them alone. What
-- they do to a delivery names holder and attempt, and finds nothing once another
-- has it.
--
-- Locks webhook_deliveries while its index is made. Undo:
-- 0010_deliveries.down.sql; deliveries wait then.

-- An endpoint's turn: what waits there, by when it is due. One probe finds the
-- next endpoint, however many deliveries the one before has waiting.
create index webhook_deliveries_turn on webhook_deliveries (tenant_id, webhook_id, due_at)
	where state = 'waiting';
create index webhook_deliveries_tests on webhook_deliveries (tenant_id, webhook_id, due_at)
	where state = 'waiting' and type = 'webhook.test';
create index webhook_deliveries_sending on webhook_deliveries (tenant_id, webhook_id)
	where state = 'sending';

-- When an endpoint may be told the next, by whoever delivers.
create table webhook_paces (
	tenant_id  uuid not null,
	webhook_id uuid not null,
	next_at    timestamptz not null,
	primary key (tenant_id, webhook_id)
) with (fillfactor = 50);
comment on table webhook_paces is 'no foreign key to tenants: rows outlive their webhook by a day';
alter table webhook_paces enable row level security;
alter table webhook_paces force row level security;
create policy tenant on webhook_paces to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy auth on webhook_paces to rowhouse_auth using (true);
grant select on webhook_paces to rowhouse_app;
grant select, insert, update, delete on webhook_paces to rowhouse_auth;

-- ---- new events ----

-- Empty: all; itself; 'task.*'. A test is for the endpoint that is tested.
create function webhook_wants(p_types text[], p_type text) returns boolean language sql immutable as $$
	select p_type <> 'webhook.test' and (p_types = '{}' or p_type = any (p_types)
		or split_part(p_type, '.', 1) || '.*' = any (p_types))
$$;

-- Behind the relay's move, in its transaction: so a delivery comes exactly once.
-- A tenant that has no webhooks costs one probe a batch.
create function webhook_fan_out() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	n bigint;
begin
	if public.relayed_first() is null then
		return 0;
	end if;
	insert into public.webhook_deliveries (tenant_id, id, webhook_id, event_id, type, subject_id, payload,
		actor_id, happened_at, trace_id, parent_span_id, request_id)
	select e.tenant_id, public.uuid_v7(), w.id, e.id, e.type, e.subject_id, e.payload,
		e.actor_id, e.created_at, e.trace_id, e.parent_span_id, e.request_id
	from unnest(public.relayed_tenants()) t(id)
	join public.webhooks w on w.tenant_id = t.id and w.status = 'active'
	join public.events e on e.tenant_id = t.id
		and e.pos between public.relayed_first() and public.relayed_last()
		and public.webhook_wants(w.event_types, e.type);
	get diagnostics n = row_count;
	return n;
end $$;

-- ---- claims ----

-- Takes up to p_most deliveries that are due. Endpoints take turns, from the one
-- after p_tenant, p_webhook on and round. An endpoint has as many on their way at
-- a time, and is told as many in a second, as it or the operator says: who counts
-- that has its lock, and another passes by. Of what is free a tenant leaves as much
-- as it has, and of that part an endpoint likewise: so there is always some for
-- others, whoever stalls. Who is away is served elsewhere. One that
-- is paused gets tests alone.
--
-- Behind them a row without an id: how far it came, for the next claim. One looks
-- at a thousand endpoints at the most, for those that wait cost a look each.
create function webhook_claim(p_holder uuid, p_most int, p_lease_ms bigint, p_tenant uuid, p_webhook uuid,
	p_concurrency int, p_rate int)
returns table (tenant_id uuid, id uuid, webhook_id uuid, event_id uuid, type text, subject_id uuid,
	payload text, actor_id uuid, happened_at timestamptz, attempt int, trace_id bytea,
	parent_span_id bytea, request_id text, waited_ms bigint, url text, secret bytea, old_secret bytea)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off as $$
declare
	last_id constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
	begins constant timestamptz := clock_timestamp();
	steps int := 0;
	free int := p_most;
	round boolean := false;
	nil constant uuid := '00000000-0000-0000-0000-000000000000';
	first_t constant uuid := coalesce(p_tenant, nil);
	first_w constant uuid := coalesce(p_webhook, nil);
	t uuid := first_t;
	w uuid := first_w;
	hook public.webhooks;
	tenants int;	-- of this tenant, on their way by p_holder
	part int;	-- what it may have more
	sending int;	-- of this endpoint, on their way by anybody
	n int;
	base timestamptz;
	rate int;
begin
	while free > 0 and steps < 1000 loop
		steps := steps + 1;
		select d.tenant_id, d.webhook_id into t, w from public.webhook_deliveries d
			where d.state = 'waiting' and (d.tenant_id, d.webhook_id) > (t, w)
			order by d.tenant_id, d.webhook_id limit 1;
		if not found then
			t := nil;
			w := nil;
			exit when round;
			round := true;
			continue;
		end if;
		exit when round and (t, w) > (first_t, first_w);
		continue when not exists (select from public.webhook_deliveries d where d.tenant_id = t
			and d.webhook_id = w and d.state = 'waiting' and d.due_at <= begins);
		if exists (select from public.tenant_limits l where l.tenant_id = t and l.away) then
			w := last_id;
			continue;
		end if;
		tenants := (select count(*) from public.webhook_deliveries d
			where d.tenant_id = t and d.state = 'sending' and d.holder = p_holder);
		if tenants >= free and tenants > 0 then
			w := last_id;
			continue;
		end if;
		select * into hook from public.webhooks h
			where h.tenant_id = t and h.id = w and (h.status = 'active' or exists (
				select from public.webhook_deliveries d where d.tenant_id = t and d.webhook_id = w
				and d.state = 'waiting' and d.type = 'webhook.test' and d.due_at <= begins));
		continue when not found or not pg_try_advisory_xact_lock(1752133739, hashtext(w::text));
		sending := (select count(*) from public.webhook_deliveries d
			where d.tenant_id = t and d.webhook_id = w and d.state = 'sending');
		part := greatest((free - tenants) / 2, (tenants = 0)::int);
		rate := coalesce(hook.rate_per_s, p_rate);
		base := greatest(begins - interval '1 second', coalesce((select p.next_at
			from public.webhook_paces p where p.tenant_id = t and p.webhook_id = w), '-infinity'));
		n := least(greatest((part - sending) / 2, (sending = 0)::int),
			floor(extract(epoch from begins - base) * rate)::int,
			coalesce(hook.concurrency, p_concurrency) - sending);
		continue when n <= 0;
		return query with due as materialized (
			select d.tenant_id, d.id, d.due_at from public.webhook_deliveries d
			where d.tenant_id = t and d.webhook_id = w and d.state = 'waiting' and d.due_at <= begins
			and (hook.status = 'active' or d.type = 'webhook.test')
			order by d.due_at limit n for update skip locked)
		update public.webhook_deliveries d set state = 'sending', holder = p_holder,
			attempt = d.attempt + 1, lease_until = begins + p_lease_ms * interval '1 ms'
		from due where d.tenant_id = due.tenant_id and d.id = due.id
		returning d.tenant_id, d.id, d.webhook_id, d.event_id, d.type, d.subject_id, d.payload::text,
			d.actor_id, d.happened_at, d.attempt, d.trace_id, d.parent_span_id, d.request_id,
			(extract(epoch from begins - due.due_at) * 1000)::bigint, hook.url, hook.secret,
			case when hook.old_secret_until > now() then hook.old_secret end;
		get diagnostics n = row_count;
		continue when n = 0;
		free := free - n;
		insert into public.webhook_paces as p (tenant_id, webhook_id, next_at)
			values (t, w, base + n * interval '1 second' / rate)
			on conflict on constraint webhook_paces_pkey do update set next_at = excluded.next_at;
	end loop;
	tenant_id := t;
	webhook_id := w;
	return next;
end $$;

-- ---- what became of it ----

-- Many at once. Outcomes: 0 delivered, 1 again after p_pauses ms, 2 failed for
-- good. p_gone: the receiver says that it is no more, and its endpoint is paused;
-- so is one that has failed for p_give_up_ms without a success. What waits there
-- goes on waiting, for the endpoint may be resumed. Answers how many endpoints were paused.
create function webhook_settle(p_holder uuid, p_tenants uuid[], p_ids uuid[], p_attempts int[],
	p_started bigint[], p_statuses int[], p_latencies int[], p_errors text[], p_replies text[],
	p_outcomes int[], p_pauses bigint[], p_gone boolean[], p_give_up_ms bigint)
returns bigint language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	s record;
	hook public.webhooks;
	reason text;
	paused bigint := 0;
begin
	for s in with said as materialized (
			select * from unnest(p_tenants, p_ids, p_attempts, p_started, p_statuses, p_latencies,
				p_errors, p_replies, p_outcomes, p_pauses, p_gone) as x(tenant_id, id, attempt,
				started, status, latency, error, reply, outcome, pause, gone)),
		over as (
			update public.webhook_deliveries d set holder = null, lease_until = null,
				state = case x.outcome when 0 then 'delivered' when 1 then 'waiting' else 'failed' end,
				due_at = now() + x.pause * interval '1 ms',
				finished_at = case when x.outcome <> 1 then now() end,
				status = x.status, latency_ms = x.latency, error = x.error
			from said x where d.tenant_id = x.tenant_id and d.id = x.id and d.attempt = x.attempt
			and d.state = 'sending' and d.holder = p_holder
			returning d.*, x.started, x.reply, x.outcome, x.gone),
		told as (
			insert into public.webhook_attempts (tenant_id, delivery_id, attempt, started_at, status,
				latency_ms, error, reply)
			select o.tenant_id, o.id, o.attempt, to_timestamp(o.started / 1e6), o.status,
				o.latency_ms, o.error, decode(o.reply, 'hex')
			from over o on conflict do nothing)
		select o.tenant_id, o.webhook_id, bool_or(o.outcome = 0) as ok, bool_or(o.gone) as gone,
			(array_agg(o.trace_id order by o.gone desc))[1] as trace_id,
			(array_agg(o.parent_span_id order by o.gone desc))[1] as parent_span_id,
			(array_agg(o.request_id order by o.gone desc))[1] as request_id
		from over o group by o.tenant_id, o.webhook_id order by o.tenant_id, o.webhook_id
	loop
		if s.ok and not s.gone then
			update public.webhooks h set failing_since = null
				where h.tenant_id = s.tenant_id and h.id = s.webhook_id and h.failing_since is not null;
			continue;
		end if;
		update public.webhooks h set failing_since = now()
			where h.tenant_id = s.tenant_id and h.id = s.webhook_id and h.failing_since is null;
		reason := case when s.gone then 'gone' else 'failing' end;
		update public.webhooks h set status = 'paused', paused_reason = reason, updated_at = now(),
			version = h.version + 1
			where h.tenant_id = s.tenant_id and h.id = s.webhook_id and h.status = 'active'
			and (s.gone or h.failing_since < now() - p_give_up_ms * interval '1 ms')
			returning * into hook;
		continue when not found;
		paused := paused + 1;
		insert into public.outbox_events (tenant_id, id, type, subject_id, payload, trace_id,
			parent_span_id, request_id)
		values (hook.tenant_id, gen_random_uuid(), 'webhook.paused', hook.id,
			jsonb_build_object('id', hook.id, 'status', 'paused', 'paused_reason', reason,
				'version', hook.version), s.trace_id, s.parent_span_id, s.request_id);
	end loop;
	return paused;
end $$;

-- What nobody works at: all that p_holder has but for p_but, or, without a
-- holder, whatever has a lease that is over. Where it was begun, that attempt is
-- over, and the next one due after p_pause_ms, if there is one; else it is as if
-- it had not been claimed. What the holder had is waited for: a session of his that
-- is at work still may settle it. Answers how many.
create function webhook_rescue(p_holder uuid, p_but uuid[], p_begun boolean, p_attempts int, p_pause_ms bigint,
	p_most int)
returns bigint language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	left_over public.webhook_deliveries[];
	n bigint;
begin
	if p_holder is null then
		left_over := array(select x from public.webhook_deliveries x where x.state = 'sending'
			and x.lease_until < now() limit p_most for update skip locked);
	else
		left_over := array(select x from public.webhook_deliveries x where x.state = 'sending'
			and x.holder = p_holder and x.id <> all (p_but) limit p_most for update);
	end if;
	if p_begun then
		insert into public.webhook_attempts (tenant_id, delivery_id, attempt, started_at, latency_ms, error, reply)
		select l.tenant_id, l.id, l.attempt, now(), 0, 'worker.died', '' from unnest(left_over) l
		on conflict do nothing;
	end if;
	update public.webhook_deliveries d set holder = null, lease_until = null,
		attempt = d.attempt - (not p_begun)::int,
		state = case when p_begun and d.attempt >= p_attempts then 'failed' else 'waiting' end,
		finished_at = case when p_begun and d.attempt >= p_attempts then now() end,
		due_at = case when p_begun then now() + p_pause_ms * interval '1 ms' else d.due_at end,
		error = case when p_begun then 'worker.died' else d.error end
	from unnest(left_over) l where d.tenant_id = l.tenant_id and d.id = l.id;
	get diagnostics n = row_count;
	return n;
end $$;

-- Old: what is over since p_keep_ms is forgotten, with its attempts; what has
-- waited for so long, at an endpoint that is paused, has failed. Answers how many.
create function webhook_forget(p_keep_ms bigint, p_most int) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
	with late as (
		update public.webhook_deliveries d set state = 'failed', error = 'expired', finished_at = now()
		where d.ctid = any (array(select o.ctid from public.webhook_deliveries o
			where o.state = 'waiting' and o.due_at < now() - p_keep_ms * interval '1 ms'
			order by o.due_at limit p_most for update skip locked))
		returning 1), gone as (
		delete from public.webhook_deliveries d where d.ctid = any (array(
			select o.ctid from public.webhook_deliveries o
			where o.finished_at < now() - p_keep_ms * interval '1 ms'
			order by o.finished_at limit p_most for update skip locked))
		returning 1), paces as (
		delete from public.webhook_paces p where p.next_at < now() - interval '1 day')
	select (select count(*) from late) + (select count(*) from gone)
$$;

grant create on schema public to rowhouse_auth;
do $$
declare
	f text;
begin
	foreach f in array array['webhook_fan_out()', 'webhook_claim(uuid, int, bigint, uuid, uuid, int, int)',
		'webhook_settle(uuid, uuid[], uuid[], int[], bigint[], int[], int[], text[], text[], int[],'
			' bigint[], boolean[], bigint)',
		'webhook_rescue(uuid, uuid[], boolean, int, bigint, int)', 'webhook_forget(bigint, int)']
	loop
		execute format('revoke all on function %s from public', f);
		execute format('grant execute on function %s to rowhouse_app', f);
		execute format('alter function %s owner to rowhouse_auth', f);
	end loop;
end $$;
revoke create on schema public from rowhouse_auth;
