-- What a request costs PostgreSQL besides its rows: who may, checks, keys.
--
-- The application is told who may by authorize_*(), each request. Of what that took, a quarter was
-- the tenant's row of tenant_limits, which hardly any tenant has: it is
-- looked for where the table has a page at all. A tenth was to put together what
-- stands in rowhouse.actor: a key has it as a column.
--
-- A table's checks are parsed and planned by each statement that writes it (a tenth of
-- POST task), a domain's once a session.
--
-- The outbox had two indexes. (seq, tenant_id) is the relay's order, and names the tenant
-- to who replicates its rows.
--
-- A page of an index that is full is searched for keys that are the same; where the
-- last column is an id there are none.
--
-- Locks api_keys against all while it is written anew, a second for 100,000 keys;
-- outbox_events while what waits there is indexed; tasks, projects and tenant_limits for a moment:
-- nothing of theirs is read. What tasks and projects hold was tested by the checks that they
-- had, so the domains' are "not valid": of what is written each value is tested.
-- The release before this one goes on with it. Undo: 0016_write_cost.down.sql; nothing is lost.

-- ---- checks ----
--
-- A constraint comes behind the column's change: a domain that has one would have
-- the table written anew.

create domain task_status as text;
create domain project_status as text;
create domain event_trace_id as bytea;
create domain event_span_id as bytea;
alter table tasks
	drop constraint tasks_status, alter column status type task_status;
alter table projects
	drop constraint projects_status, alter column status type project_status;
alter table outbox_events
	drop constraint outbox_events_trace_id_check, drop constraint outbox_events_parent_span_id_check,
	alter column trace_id type event_trace_id, alter column parent_span_id type event_span_id;
alter domain task_status add constraint tasks_status
	check (value in ('open', 'doing', 'done')) not valid;
alter domain project_status add constraint projects_status
	check (value in ('active', 'archived')) not valid;
alter domain event_trace_id add constraint outbox_events_trace_id_check
	check (octet_length(value) = 16) not valid;
alter domain event_span_id add constraint outbox_events_parent_span_id_check
	check (octet_length(value) = 8) not valid;

-- ---- the outbox ----

alter table outbox_events drop constraint outbox_events_pkey;
drop index outbox_events_seq;
alter table outbox_events add constraint outbox_events_pkey primary key (seq, tenant_id);
comment on constraint outbox_events_pkey on outbox_events is
	'global: the relay reads all tenants'' in this order; nobody finds an event of the outbox by its id';

-- ---- indexes ----

alter index tasks_of_project    set (deduplicate_items = off);
alter index tasks_list          set (deduplicate_items = off);
alter index tasks_by_status     set (deduplicate_items = off);
alter index tasks_by_assignee   set (deduplicate_items = off);
alter index projects_list       set (deduplicate_items = off);
alter index projects_by_status  set (deduplicate_items = off);

-- ---- who may ----

-- "user role token expiry", as 0001 has it. Immutable as far as no role is given another name.
create function key_actor(p_user uuid, p_role member_role, p_key uuid, p_expires timestamptz)
returns text language sql immutable as $$
	select pg_catalog.concat_ws(' ', p_user, p_role, p_key, coalesce(pg_catalog.int8(pg_catalog.floor(
		pg_catalog.float8mul(pg_catalog.date_part('epoch', p_expires), 1000))), 0))
$$;
alter table api_keys add column actor text
	generated always as (key_actor(created_by, role, id, expires_at)) stored;
-- What 0003 has stand behind that.
alter table tenant_limits add column plan text generated always as
	(' ' || tenant || ' ' || token || ' ' || tenant_write || ' ' || token_write || ' ' || window_ms) stored;

-- As in 0005. A table that nobody ever wrote to has no page, and a row that is
-- committed is in one: a transaction that found none had begun before the fence of
-- a move stood, and is waited for (move_running).
create or replace function authorize_key(p_sha256 bytea, p_tenant uuid, p_role member_role)
returns text language plpgsql security definer as $$
declare
	actor text;
	plan text;
	k record;
begin
	if pg_catalog.pg_relation_size('public.tenant_limits') operator(pg_catalog.>) 0 then
		select case when l.away then public.tenant_refuse() else l.plan end
			into plan from public.tenant_limits l
			where l.tenant_id operator(pg_catalog.=) p_tenant;
	end if;
	select pg_catalog.set_config('rowhouse.actor',
			a.actor operator(pg_catalog.||) coalesce(plan, ''), true)
		into actor from public.api_keys a
		where a.sha256 operator(pg_catalog.=) p_sha256
		and a.tenant_id operator(pg_catalog.=) p_tenant
		and a.role operator(pg_catalog.>=) p_role
		and (a.expires_at is null or a.expires_at operator(pg_catalog.>) pg_catalog.now())
		and pg_catalog.set_config('rowhouse.tenant_id', p_tenant::pg_catalog.text, true) is not null;
	if actor is not null then
		return actor;
	end if;
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

-- The same: who may pass costs one statement, why another may not is looked up afterwards.
create or replace function authorize_session(p_sha256 bytea, p_tenant uuid, p_role member_role)
returns text language plpgsql security definer as $$
declare
	actor text;
	plan text;
	s record;
begin
	if pg_catalog.pg_relation_size('public.tenant_limits') operator(pg_catalog.>) 0 then
		select case when l.away then public.tenant_refuse() else l.plan end
			into plan from public.tenant_limits l
			where l.tenant_id operator(pg_catalog.=) p_tenant;
	end if;
	select pg_catalog.set_config('rowhouse.actor',
			pg_catalog.concat(m.user_id, ' ', m.role, ' ', e.id, ' ',
				pg_catalog.int8(pg_catalog.floor(
				pg_catalog.float8mul(pg_catalog.date_part('epoch', e.expires_at), 1000))), plan), true)
		into actor from public.sessions e, public.memberships m, public.tenants t
		where e.sha256 operator(pg_catalog.=) p_sha256
		and e.expires_at operator(pg_catalog.>) pg_catalog.now()
		and m.tenant_id operator(pg_catalog.=) p_tenant
		and m.user_id operator(pg_catalog.=) e.user_id
		and m.role operator(pg_catalog.>=) p_role
		and t.id operator(pg_catalog.=) p_tenant and t.deleted_at is null
		and pg_catalog.set_config('rowhouse.tenant_id', p_tenant::pg_catalog.text, true) is not null;
	if actor is not null then
		return actor;
	end if;
	select user_id into s from public.sessions
		where sha256 operator(pg_catalog.=) p_sha256
		and expires_at operator(pg_catalog.>) pg_catalog.now();
	if not found then
		raise exception using errcode = 'RH401', message = 'session not known';
	end if;
	if not exists (select from public.memberships m
		join public.tenants t on t.id operator(pg_catalog.=) m.tenant_id
		where m.tenant_id operator(pg_catalog.=) p_tenant
		and m.user_id operator(pg_catalog.=) s.user_id and t.deleted_at is null) then
		raise exception using errcode = 'RH404', message = 'not a member';
	end if;
	raise exception using errcode = 'RH403', message = 'role too low';
end $$;
-- Who is away is told so first, by both.
drop function tenant_must_be_here(uuid);
