-- Webhooks in: inboxes, each with a URL that records whatever is sent to it.
--
-- The URL's token is a secret like an API key: it is found by its hash, and
-- kept sealed beside it, since who manages an inbox wants to see its URL again.
-- A copy of the database has neither.
--
-- Locks nothing that is in use: the tables are new.
-- Undo: 0011_inboxes.down.sql forgets inboxes and all that they recorded.

create table inboxes (
	tenant_id     uuid not null references tenants,
	id            uuid not null,
	name          text not null default '',
	sha256        bytea not null,		-- of the token
	sealed        bytea not null,		-- the token, for its owners' eyes
	forward_url   text,			-- null: what comes stays here
	answer_status smallint not null default 200
	              check (answer_status between 200 and 599),
	answer_type   text not null default 'text/plain'
	              check (answer_type in ('text/plain', 'application/json')),	-- nothing that a browser would run
	answer_body   text not null default '',
	quota         int not null check (quota > 0),	-- so many are kept, the newest
	kept          int not null default 0,	-- are
	kept_bytes    bigint not null default 0,
	expires_at    timestamptz,		-- null: never
	created_at    timestamptz not null default now(),
	updated_at    timestamptz not null default now(),
	version       bigint not null default 1,
	primary key (tenant_id, id)
) with (fillfactor = 70);			-- its counts change with each request
create unique index inboxes_sha256_key on inboxes (sha256);
create index inboxes_list on inboxes (tenant_id, created_at desc, id desc);
create index inboxes_expiry on inboxes (expires_at) where expires_at is not null;
comment on index inboxes_sha256_key is 'global: an inbox is found by its token''s hash before its tenant is known';

create table inbox_requests (
	tenant_id      uuid not null,
	id             uuid not null,
	inbox_id       uuid not null,
	method         text not null,
	path           text not null,		-- behind the token: "" or "/more"
	query          text,			-- null: there was no "?"
	headers        json not null,		-- by name, as they came; secrets masked
	content_type   text,
	body           bytea not null,
	size           int not null,		-- of the body
	cost           int not null,		-- of all of it: what the tenant's bound counts
	remote         text,
	job_id         uuid,			-- that forwards it; null: none does
	trace_id       bytea not null check (octet_length(trace_id) = 16),
	parent_span_id bytea not null check (octet_length(parent_span_id) = 8),
	request_id     text not null,
	received_at    timestamptz not null default now(),
	primary key (tenant_id, id),
	constraint inbox_requests_inbox foreign key (tenant_id, inbox_id) references inboxes on delete cascade
);
-- Search reads an inbox's requests along it, the newest first.
create index inbox_requests_page on inbox_requests (tenant_id, inbox_id, received_at desc, id desc);
create index inbox_requests_age on inbox_requests (received_at);

alter table inboxes        enable row level security;
alter table inboxes        force row level security;
alter table inbox_requests enable row level security;
alter table inbox_requests force row level security;
create policy tenant on inboxes to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy tenant on inbox_requests to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy auth on inboxes        to rowhouse_auth using (true);
create policy auth on inbox_requests to rowhouse_auth using (true);
grant select (tenant_id, id, name, sealed, forward_url, answer_status, answer_type, answer_body,
		quota, kept, kept_bytes, expires_at, created_at, updated_at, version),
	insert, delete, update (name, forward_url, answer_status, answer_type, answer_body, quota,
		kept, kept_bytes, expires_at, updated_at, version) on inboxes to rowhouse_app;
grant select, delete on inbox_requests to rowhouse_app;
grant select, update, delete on inboxes to rowhouse_auth;
grant select, insert, delete on inbox_requests to rowhouse_auth;

-- All of a request to an inbox's URL, in one round trip: finds the inbox and its
-- tenant, makes room, records, tells, leaves the job that forwards it. No row:
-- there is no such inbox, or it has expired, or its tenant is gone.
--
-- The newest are kept: past the inbox's quota, and past what the tenant may
-- keep in bytes, the inbox's oldest go. Where even all of them are not enough,
-- for other inboxes hold the rest, nothing is recorded: full. away: the tenant
-- is on its way to another database, or there already.
--
-- p_event null: it is not told. p_job null: it is not forwarded.
create function inbox_receive(p_sha256 bytea, p_id uuid, p_method text, p_path text, p_query text,
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
				parent_span_id, request_id)
			values (i.tenant_id, p_event, 'inbox.received', i.id, jsonb_build_object(
				'id', p_id, 'inbox_id', i.id, 'method', p_method, 'path', p_path,
				'content_type', p_content_type, 'size', octet_length(p_body),
				'received_at', now()), p_trace, p_span, p_request);
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

-- In front of the job that sends a recorded request again: there is one, and
-- somewhere to send it.
create function inbox_replay_guard(p_tenant uuid, p_inbox uuid, p_request uuid, p_url text)
returns int language plpgsql stable as $$
declare
	i record;
begin
	select x.forward_url into i from public.inboxes x
		where x.tenant_id = p_tenant and x.id = p_inbox;
	if not found then
		raise exception using errcode = 'RH404', constraint = 'inbox_missing', message = 'no such inbox';
	end if;
	if not exists (select from public.inbox_requests r where r.tenant_id = p_tenant
		and r.inbox_id = p_inbox and r.id = p_request) then
		raise exception using errcode = 'RH404', constraint = 'inbox_request_missing',
			message = 'no such request';
	end if;
	if coalesce(p_url, i.forward_url) is null then
		raise exception using errcode = 'RH409', constraint = 'inbox_nowhere',
			message = 'nowhere to send it to';
	end if;
	return 1;
end $$;

-- One step of keeping house, an inbox at a time: what it recorded longer ago
-- than p_keep_ms, up to p_most; all of it and then itself, once it has expired
-- that long ago. Answers how many rows went; an inbox that somebody is at is
-- left for later.
create function inbox_purge(p_keep_ms bigint, p_most int) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	since constant timestamptz := now() - p_keep_ms * interval '1 ms';
	i public.inboxes;
	over boolean := true;
	n bigint;
	bytes bigint;
begin
	select x.* into i from public.inboxes x where x.expires_at < since
		order by x.expires_at limit 1 for update skip locked;
	if not found then
		over := false;
		select x.* into i from public.inboxes x join (
			select r.tenant_id, r.inbox_id from public.inbox_requests r
			where r.received_at < since order by r.received_at limit 1) o
			on x.tenant_id = o.tenant_id and x.id = o.inbox_id
			for update of x skip locked;
		if not found then
			return 0;
		end if;
	end if;
	with gone as (
		delete from public.inbox_requests r where r.ctid = any (array(
			select o.ctid from public.inbox_requests o
			where o.tenant_id = i.tenant_id and o.inbox_id = i.id
			and (over or o.received_at < since)
			order by o.received_at, o.id limit p_most))
		returning r.cost)
	select count(*), coalesce(sum(cost), 0) into n, bytes from gone;
	if over and n < p_most then
		delete from public.inboxes x where x.tenant_id = i.tenant_id and x.id = i.id;
		return n + 1;
	end if;
	update public.inboxes x set kept = x.kept - n, kept_bytes = x.kept_bytes - bytes
		where x.tenant_id = i.tenant_id and x.id = i.id;
	return n;
end $$;

grant create on schema public to rowhouse_auth;
do $$
declare
	f text;
begin
	foreach f in array array[
		'inbox_receive(bytea, uuid, text, text, text, text, text, bytea, text, bytea, bytea,
			smallint, text, uuid, uuid, text, int, smallint, bigint)',
		'inbox_purge(bigint, int)']
	loop
		execute format('revoke all on function %s from public', f);
		execute format('grant execute on function %s to rowhouse_app', f);
		execute format('alter function %s owner to rowhouse_auth', f);
	end loop;
end $$;
revoke create on schema public from rowhouse_auth;
