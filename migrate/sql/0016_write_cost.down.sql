-- Each request opens tenant_limits again, and each write reads its checks.
--
-- Locks api_keys for a moment, outbox_events while it is indexed, tasks and projects against
-- all while they are read for their checks: some seconds
-- for ten million rows.
create function tenant_must_be_here(p_tenant uuid) returns void language plpgsql as $$
begin
	if exists (select from public.tenant_limits
		where tenant_id operator(pg_catalog.=) p_tenant and away) then
		perform public.tenant_refuse();
	end if;
end $$;

create or replace function authorize_key(p_sha256 bytea, p_tenant uuid, p_role member_role)
returns text language plpgsql security definer as $$
declare
	actor text;
	k record;
begin
	select pg_catalog.set_config('rowhouse.actor',
			pg_catalog.concat(created_by, ' ', role, ' ', id, ' ',
				coalesce(pg_catalog.int8(pg_catalog.floor(
				pg_catalog.float8mul(pg_catalog.date_part('epoch', expires_at), 1000))), 0), (
				select case when l.away then public.tenant_refuse() else
					pg_catalog.concat(' ', l.tenant, ' ', l.token, ' ', l.tenant_write, ' ',
					l.token_write, ' ', l.window_ms) end from public.tenant_limits l
				where l.tenant_id operator(pg_catalog.=) p_tenant)), true)
		into actor from public.api_keys
		where sha256 operator(pg_catalog.=) p_sha256
		and tenant_id operator(pg_catalog.=) p_tenant
		and role operator(pg_catalog.>=) p_role
		and (expires_at is null or expires_at operator(pg_catalog.>) pg_catalog.now())
		and pg_catalog.set_config('rowhouse.tenant_id', p_tenant::pg_catalog.text, true) is not null;
	if actor is not null then
		return actor;
	end if;
	perform public.tenant_must_be_here(p_tenant);
	select tenant_id, expires_at into k
		from public.api_keys where sha256 operator(pg_catalog.=) p_sha256;
	if not found or k.expires_at operator(pg_catalog.<=) pg_catalog.now() then
		raise exception using errcode = 'RH401', message = 'key not known';
	end if;
	if p_tenant is null or k.tenant_id operator(pg_catalog.<>) p_tenant then
		raise exception using errcode = 'RH404', message = 'key of another tenant';
	end if;
	raise exception using errcode = 'RH403', message = 'role too low';
end $$;

create or replace function authorize_session(p_sha256 bytea, p_tenant uuid, p_role member_role)
returns text language plpgsql security definer as $$
declare
	s record;
	r public.member_role;
begin
	select id, user_id, expires_at into s from public.sessions
		where sha256 operator(pg_catalog.=) p_sha256
		and expires_at operator(pg_catalog.>) pg_catalog.now();
	if not found then
		perform public.tenant_must_be_here(p_tenant);
		raise exception using errcode = 'RH401', message = 'session not known';
	end if;
	select m.role into r from public.memberships m
		join public.tenants t on t.id operator(pg_catalog.=) m.tenant_id
		where m.tenant_id operator(pg_catalog.=) p_tenant
		and m.user_id operator(pg_catalog.=) s.user_id and t.deleted_at is null;
	if not found then
		perform public.tenant_must_be_here(p_tenant);
		raise exception using errcode = 'RH404', message = 'not a member';
	end if;
	if r operator(pg_catalog.<) p_role then
		perform public.tenant_must_be_here(p_tenant);
		raise exception using errcode = 'RH403', message = 'role too low';
	end if;
	perform pg_catalog.set_config('rowhouse.tenant_id', p_tenant::pg_catalog.text, true);
	return pg_catalog.set_config('rowhouse.actor',
		pg_catalog.concat(s.user_id, ' ', r, ' ', s.id, ' ',
			pg_catalog.int8(pg_catalog.floor(
				pg_catalog.float8mul(pg_catalog.date_part('epoch', s.expires_at), 1000))), (
			select case when l.away then public.tenant_refuse() else
				pg_catalog.concat(' ', l.tenant, ' ', l.token, ' ', l.tenant_write, ' ',
				l.token_write, ' ', l.window_ms) end from public.tenant_limits l
			where l.tenant_id operator(pg_catalog.=) p_tenant)), true);
end $$;

alter table tenant_limits drop column plan;
alter table api_keys drop column actor;
drop function key_actor(uuid, member_role, uuid, timestamptz);

alter table outbox_events drop constraint outbox_events_pkey;
alter table outbox_events add constraint outbox_events_pkey primary key (tenant_id, id);
create index outbox_events_seq on outbox_events (seq);

alter index tasks_of_project    reset (deduplicate_items);
alter index tasks_list          reset (deduplicate_items);
alter index tasks_by_status     reset (deduplicate_items);
alter index tasks_by_assignee   reset (deduplicate_items);
alter index projects_list       reset (deduplicate_items);
alter index projects_by_status  reset (deduplicate_items);

alter table tasks alter column status type text,
	add constraint tasks_status check (status in ('open', 'doing', 'done'));
alter table projects alter column status type text,
	add constraint projects_status check (status in ('active', 'archived'));
alter table outbox_events
	alter column trace_id type bytea, alter column parent_span_id type bytea,
	add constraint outbox_events_trace_id_check check (octet_length(trace_id) = 16),
	add constraint outbox_events_parent_span_id_check check (octet_length(parent_span_id) = 8);
drop domain task_status, project_status, event_trace_id, event_span_id;
