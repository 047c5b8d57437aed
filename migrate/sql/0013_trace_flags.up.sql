-- What an event, and a webhook's delivery, leave of how their request's trace was
-- decided on. A job had it from the first: jobs.trace_flags. Without it a webhook
-- was kept by the ratio alone, also where the request's caller had said to keep it.
--
-- trace_flags: obs/trace.h, enum rh_trace_left: 1 it is kept, 2 its id is random,
-- 4 the ratio kept it, 8 it is always kept. Null: nobody said, as in rows from
-- before; then the id decides.
--
-- Locks outbox_events, events and webhook_deliveries for a moment; nothing is
-- rewritten. The release before this one goes on with it. Undo: 0013_trace_flags.down.sql.

alter table outbox_events      add column trace_flags smallint;
alter table events             add column trace_flags smallint;
alter table webhook_deliveries add column trace_flags smallint;

-- What writes an event gives the span's id and, behind it, a byte of flags; one
-- of the release before gives the id alone.
create function span_id(p_span bytea) returns bytea language sql immutable as
	'select pg_catalog.substr(p_span, 1, 8)';
create function span_flags(p_span bytea) returns smallint language sql immutable as
	'select case when pg_catalog.octet_length(p_span) operator(pg_catalog.>) 8
		then pg_catalog.get_byte(p_span, 8)::pg_catalog.int2 end';

create or replace function event_write(p_tenant uuid, p_id uuid, p_type text, p_subject uuid,
	p_payload jsonb, p_actor uuid, p_trace bytea, p_span bytea, p_request text)
returns void language sql security definer as
	'insert into public.outbox_events (tenant_id, id, type, subject_id, payload, actor_id,
		trace_id, parent_span_id, trace_flags, request_id)
	 values (p_tenant, p_id, p_type, p_subject, p_payload, p_actor, p_trace,
		public.span_id(p_span), public.span_flags(p_span), p_request)';

-- As 0006 has it, and the flags.
create or replace function events_relay(p_above bigint, p_most int,
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
			trace_id, parent_span_id, trace_flags, request_id, created_at)
		select tenant_id, first_pos + row_number() over (order by seq) - 1, id, type, subject_id,
			payload, actor_id, trace_id, parent_span_id, trace_flags, request_id, created_at
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

create or replace function move_arrive(p_tenant uuid) returns boolean language plpgsql as $$
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
		parent_span_id, trace_flags, request_id, created_at)
		select tenant_id, id, type, subject_id, payload, actor_id, trace_id,
			parent_span_id, trace_flags, request_id, created_at
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

-- As 0010 has it, and the flags. An endpoint is paused by what failed, which is
-- kept whatever its request's trace was.
create or replace function webhook_fan_out() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	n bigint;
begin
	if public.relayed_first() is null then
		return 0;
	end if;
	insert into public.webhook_deliveries (tenant_id, id, webhook_id, event_id, type, subject_id, payload,
		actor_id, happened_at, trace_id, parent_span_id, trace_flags, request_id)
	select e.tenant_id, public.uuid_v7(), w.id, e.id, e.type, e.subject_id, e.payload,
		e.actor_id, e.created_at, e.trace_id, e.parent_span_id,
		case when e.type = 'webhook.paused' then 9 else e.trace_flags end, e.request_id
	from unnest(public.relayed_tenants()) t(id)
	join public.webhooks w on w.tenant_id = t.id and w.status = 'active'
	join public.events e on e.tenant_id = t.id
		and e.pos between public.relayed_first() and public.relayed_last()
		and public.webhook_wants(w.event_types, e.type);
	get diagnostics n = row_count;
	return n;
end $$;

-- As 0011 has it; an event gets the flags that a job got.
create or replace function inbox_receive(p_sha256 bytea, p_id uuid, p_method text, p_path text, p_query text,
	p_headers text, p_content_type text, p_body bytea, p_remote text,
	p_trace bytea, p_span bytea, p_flags smallint, p_request text,
	p_event uuid, p_job uuid, p_kind text, p_attempts int, p_priority smallint, p_bytes bigint)
returns table (outcome int, tenant_id uuid, slug text, status smallint, type text, body text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	i public.inboxes;
	took constant int := octet_length(p_body) + octet_length(p_headers) + octet_length(p_path)
		+ coalesce(octet_length(p_query), 0) + 256;
	total bigint;
	gone int;
begin
	select x.* into i from public.inboxes x where x.sha256 = p_sha256
		and (x.expires_at is null or x.expires_at > now()) for update;
	if not found then
		return;
	end if;
	select t.slug into slug from public.tenants t where t.id = i.tenant_id and t.deleted_at is null;
	if not found then
		return;
	end if;
	tenant_id := i.tenant_id;
	status := i.answer_status;
	type := i.answer_type;
	body := i.answer_body;
	if exists (select from public.tenant_limits l where l.tenant_id = i.tenant_id and l.away) then
		outcome := 2;
		return next;
		return;
	end if;
	select sum(x.kept_bytes) into total from public.inboxes x where x.tenant_id = i.tenant_id;
	if total - i.kept_bytes + took > p_bytes then
		outcome := 3;
		return next;
		return;
	end if;
	while i.kept >= i.quota or total + took > p_bytes loop
		delete from public.inbox_requests r where r.ctid = (
			select o.ctid from public.inbox_requests o
			where o.tenant_id = i.tenant_id and o.inbox_id = i.id
			order by o.received_at, o.id limit 1) returning r.cost into gone;
		exit when not found;
		i.kept := i.kept - 1;
		i.kept_bytes := i.kept_bytes - gone;
		total := total - gone;
	end loop;
	update public.inboxes x set kept = i.kept + 1, kept_bytes = i.kept_bytes + took
		where x.tenant_id = i.tenant_id and x.id = i.id;
	if i.forward_url is null then
		p_job := null;
	end if;
	insert into public.inbox_requests (tenant_id, id, inbox_id, method, path, query, headers,
			content_type, body, size, cost, remote, job_id, trace_id, parent_span_id, request_id)
		values (i.tenant_id, p_id, i.id, p_method, p_path, p_query, p_headers::json,
			p_content_type, p_body, octet_length(p_body), took, p_remote, p_job, p_trace,
			p_span, p_request);
	if p_event is not null then
		insert into public.outbox_events (tenant_id, id, type, subject_id, payload, trace_id,
				parent_span_id, trace_flags, request_id)
			values (i.tenant_id, p_event, 'inbox.received', i.id, jsonb_build_object(
				'id', p_id, 'inbox_id', i.id, 'method', p_method, 'path', p_path,
				'content_type', p_content_type, 'size', octet_length(p_body),
				'received_at', now()), p_trace, p_span, p_flags, p_request);
	end if;
	if p_job is not null then
		insert into public.jobs (tenant_id, id, kind, state, priority, args, run_at,
				max_attempts, trace_id, parent_span_id, trace_flags, request_id)
			values (i.tenant_id, p_job, p_kind, 'ready', p_priority,
				jsonb_build_object('inbox_id', i.id, 'request_id', p_id), now(),
				p_attempts, p_trace, p_span, p_flags, p_request);
	end if;
	outcome := case when p_job is null then 1 else 4 end;
	return next;
end $$;

-- webhook_claim, with the flags beside it; its rows in their order.
create function webhook_take(p_holder uuid, p_most int, p_lease_ms bigint, p_tenant uuid, p_webhook uuid,
	p_concurrency int, p_rate int)
returns table (tenant_id uuid, id uuid, webhook_id uuid, event_id uuid, type text, subject_id uuid,
	payload text, actor_id uuid, happened_at timestamptz, attempt int, trace_id bytea,
	parent_span_id bytea, request_id text, waited_ms bigint, url text, secret bytea, old_secret bytea,
	trace_flags smallint)
language sql security definer set search_path = pg_catalog, pg_temp as $$
	select c.*, (select d.trace_flags from public.webhook_deliveries d
		where d.tenant_id = c.tenant_id and d.id = c.id)
	from public.webhook_claim(p_holder, p_most, p_lease_ms, p_tenant, p_webhook, p_concurrency, p_rate) c
$$;
revoke all on function webhook_take(uuid, int, bigint, uuid, uuid, int, int) from public;
grant execute on function webhook_take(uuid, int, bigint, uuid, uuid, int, int) to rowhouse_app;
grant create on schema public to rowhouse_auth;
alter function webhook_take(uuid, int, bigint, uuid, uuid, int, int) owner to rowhouse_auth;
revoke create on schema public from rowhouse_auth;
