-- Tenants, users, members, credentials, and who may do what.
--
-- Locks nothing that is in use: all of it is new.
-- Undo: 0001_tenancy.down.sql drops every tenant's data.
--
-- Three roles stand outside of the migrations (etc/postgresql/roles.sql):
--   rowhouse_owner  owns the tables and runs this
--   rowhouse_app    the application: owns nothing, bypasses nothing
--   rowhouse_auth   owns the SECURITY DEFINER functions below; nobody signs in as it
--
-- Row-level security is enabled and FORCED. The tenant is set by authorize_*()
-- for the transaction alone; afterwards the setting is '', hence the nullif.

create type member_role as enum ('viewer', 'member', 'admin', 'owner');

create table tenants (
	id         uuid primary key,
	slug       text collate "C" not null
	           constraint tenants_slug_form check (slug ~ '^[a-z][a-z0-9-]{1,38}[a-z0-9]$'),
	name       text not null,
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	version    bigint not null default 1,
	deleted_at timestamptz,
	constraint tenants_slug_key unique (slug)
);
comment on table tenants is 'no tenant_id: id is the tenant';
comment on constraint tenants_pkey on tenants is 'no tenant_id: id is the tenant';
comment on constraint tenants_slug_key on tenants is 'global: a slug names one tenant of all, for ever';

create table users (
	id            uuid primary key,
	email         text not null,
	name          text not null,
	password_hash text not null,
	created_at    timestamptz not null default now(),
	updated_at    timestamptz not null default now(),
	version       bigint not null default 1
);
create unique index users_email_key on users (lower(email));
comment on table users is 'no tenant_id: a user may be a member of several tenants';

create table sessions (
	id         uuid primary key,
	user_id    uuid not null references users on delete cascade,
	sha256     bytea not null constraint sessions_sha256_key unique,
	created_at timestamptz not null default now(),
	expires_at timestamptz not null
);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);
comment on table sessions is 'no tenant_id: a session is its user''s, in every tenant';

create table memberships (
	tenant_id  uuid not null references tenants,
	user_id    uuid not null references users on delete cascade,
	role       member_role not null,
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	version    bigint not null default 1,
	primary key (tenant_id, user_id)
);
create index memberships_list on memberships (tenant_id, created_at desc, user_id desc);
create index memberships_user on memberships (user_id);
comment on constraint memberships_user_id_fkey on memberships is 'users have no tenant';

create table api_keys (
	tenant_id  uuid not null references tenants,
	id         uuid not null,
	name       text not null,
	role       member_role not null,
	created_by uuid not null,
	sha256     bytea not null,
	expires_at timestamptz,
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	version    bigint not null default 1,
	primary key (tenant_id, id),
	foreign key (tenant_id, created_by) references memberships on delete cascade
);
create unique index api_keys_sha256_key on api_keys (sha256);
create index api_keys_list on api_keys (tenant_id, created_at desc, id desc);
create index api_keys_creator on api_keys (tenant_id, created_by);
comment on index api_keys_sha256_key is 'global: a key is found by its hash before its tenant is known';

-- What happened, written in the transaction that made it happen.
create table outbox_events (
	tenant_id      uuid not null,
	id             uuid not null,
	type           text not null,
	subject_id     uuid not null,
	payload        jsonb not null,
	actor_id       uuid,
	trace_id       bytea not null check (octet_length(trace_id) = 16),
	parent_span_id bytea not null check (octet_length(parent_span_id) = 8),
	request_id     text not null,
	created_at     timestamptz not null default now(),
	primary key (tenant_id, id)
);
comment on table outbox_events is 'no foreign key to tenants: an event outlives what it tells of';

-- ---- row-level security ----

alter table tenants       enable row level security;
alter table tenants       force row level security;
alter table users         enable row level security;
alter table users         force row level security;
alter table sessions      enable row level security;
alter table sessions      force row level security;
alter table memberships   enable row level security;
alter table memberships   force row level security;
alter table api_keys      enable row level security;
alter table api_keys      force row level security;
alter table outbox_events enable row level security;
alter table outbox_events force row level security;

create policy tenant on tenants to rowhouse_app
	using (id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy tenant on memberships to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy tenant on api_keys to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy tenant on outbox_events to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
-- a user is seen by the tenants of which it is a member, and by no other
create policy member on users for select to rowhouse_app
	using (exists (select from memberships m where m.user_id = users.id));

create policy auth on tenants       to rowhouse_auth using (true);
create policy auth on users         to rowhouse_auth using (true);
create policy auth on sessions      to rowhouse_auth using (true);
create policy auth on memberships   to rowhouse_auth using (true);
create policy auth on api_keys      to rowhouse_auth using (true);
create policy auth on outbox_events to rowhouse_auth using (true);

grant usage on schema public to rowhouse_app, rowhouse_auth;
grant select, update (name, updated_at, version, deleted_at) on tenants to rowhouse_app;
grant select (id, email, name, created_at, updated_at, version) on users to rowhouse_app;
grant select, delete, update (role, updated_at, version) on memberships to rowhouse_app;
grant select (tenant_id, id, name, role, created_by, expires_at, created_at, updated_at, version),
	insert, delete, update (sha256, role, updated_at, version) on api_keys to rowhouse_app;
grant select, insert on outbox_events to rowhouse_app;
grant select, insert on tenants, users, memberships to rowhouse_auth;
grant update (password_hash) on users to rowhouse_auth;
grant select, insert, delete on sessions to rowhouse_auth;
grant select on api_keys to rowhouse_auth;
grant insert on outbox_events to rowhouse_auth;

-- ---- authorization: the first statement of every request ----
--
-- Class RH: RH401 not known, RH403 role too low, RH404 another tenant's. They
-- raise, so that the server skips the rest of the pipeline and rolls back.
-- Operators are qualified instead of SET search_path, which costs a fifth.

-- Each answers "user role token expiry" (ms since 1970, 0: never), which is also what stands in rowhouse.actor
-- for the statements behind it. The caller that may pass costs one statement;
-- why another may not is looked up afterwards.

create function authorize_key(p_sha256 bytea, p_tenant uuid, p_role member_role)
returns text language plpgsql security definer as $$
declare
	actor text;
	k record;
begin
	select pg_catalog.set_config('rowhouse.actor',
			pg_catalog.concat(created_by, ' ', role, ' ', id, ' ',
				coalesce(pg_catalog.int8(pg_catalog.floor(
				pg_catalog.float8mul(pg_catalog.date_part('epoch', expires_at), 1000))), 0)), true)
		into actor from public.api_keys
		where sha256 operator(pg_catalog.=) p_sha256
		and tenant_id operator(pg_catalog.=) p_tenant
		and role operator(pg_catalog.>=) p_role
		and (expires_at is null or expires_at operator(pg_catalog.>) pg_catalog.now())
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

create function authorize_session(p_sha256 bytea, p_tenant uuid, p_role member_role)
returns text language plpgsql security definer as $$
declare
	s record;
	r public.member_role;
begin
	select id, user_id, expires_at into s from public.sessions
		where sha256 operator(pg_catalog.=) p_sha256
		and expires_at operator(pg_catalog.>) pg_catalog.now();
	if not found then
		raise exception using errcode = 'RH401', message = 'session not known';
	end if;
	select m.role into r from public.memberships m
		join public.tenants t on t.id operator(pg_catalog.=) m.tenant_id
		where m.tenant_id operator(pg_catalog.=) p_tenant
		and m.user_id operator(pg_catalog.=) s.user_id and t.deleted_at is null;
	if not found then
		raise exception using errcode = 'RH404', message = 'not a member';
	end if;
	if r operator(pg_catalog.<) p_role then
		raise exception using errcode = 'RH403', message = 'role too low';
	end if;
	perform pg_catalog.set_config('rowhouse.tenant_id', p_tenant::pg_catalog.text, true);
	return pg_catalog.set_config('rowhouse.actor',
		pg_catalog.concat(s.user_id, ' ', r, ' ', s.id, ' ',
			pg_catalog.int8(pg_catalog.floor(
				pg_catalog.float8mul(pg_catalog.date_part('epoch', s.expires_at), 1000)))), true);
end $$;

-- Who it was that authorize_*() let in: for the statements behind it.
create function actor_id() returns uuid language sql stable as
	$$select pg_catalog.left(current_setting('rowhouse.actor', true), 36)::uuid$$;
create function actor_role() returns member_role language sql stable as
	$$select pg_catalog.split_part(current_setting('rowhouse.actor', true), ' ', 2)::member_role$$;

-- The first request that a host sees of a tenant: by its slug, answering its id.
-- An unknown slug goes the way of a tenant that the token does not belong to.
create function tenant_find(p_slug text) returns uuid
language sql stable security definer as
	'select id from public.tenants where slug operator(pg_catalog.=) p_slug collate "C"';

-- A session's user, or the one who made a key: for routes outside of a tenant.
create function authorize_user(p_sha256 bytea)
returns text language plpgsql security definer as $$
declare
	actor text;
begin
	select pg_catalog.concat(user_id, '  ', id) into actor from public.sessions
		where sha256 operator(pg_catalog.=) p_sha256
		and expires_at operator(pg_catalog.>) pg_catalog.now();
	if not found then
		select pg_catalog.concat(created_by, ' ', role, ' ', id) into actor from public.api_keys
			where sha256 operator(pg_catalog.=) p_sha256
			and (expires_at is null or expires_at operator(pg_catalog.>) pg_catalog.now());
	end if;
	if not found then
		raise exception using errcode = 'RH401', message = 'token not known';
	end if;
	return actor;
end $$;

-- ---- members: nobody gives or takes a role above their own, the last owner stays ----
--
-- Both lock the tenant's row, so that two owners cannot see each other off.

create function member_guard(p_tenant uuid, p_user uuid, p_version bigint, p_becomes member_role)
returns void language plpgsql as $$
declare
	m record;
begin
	perform from tenants where id = p_tenant for update;
	select role, version into m from memberships
		where tenant_id = p_tenant and user_id = p_user;
	if not found then
		raise exception using errcode = 'RH404', constraint = 'member_missing', message = 'no such member';
	end if;
	if m.role > actor_role() or p_becomes > actor_role() then
		raise exception using errcode = 'RH403', constraint = 'role_above_own', message = 'role above the caller''s';
	end if;
	if p_version <> 0 and m.version <> p_version then
		raise exception using errcode = 'RH412', message = 'another version';
	end if;
	if m.role = 'owner' and p_becomes is distinct from 'owner' and not exists (
		select from memberships where tenant_id = p_tenant and role = 'owner' and user_id <> p_user) then
		raise exception using errcode = 'RH409', constraint = 'member_last_owner', message = 'the last owner';
	end if;
end $$;

create function member_set_role(p_tenant uuid, p_user uuid, p_version bigint, p_role member_role)
returns setof memberships language plpgsql as $$
begin
	perform member_guard(p_tenant, p_user, p_version, p_role);
	-- a member's keys are never worth more than the member
	update api_keys set role = p_role, updated_at = now(), version = version + 1
		where tenant_id = p_tenant and created_by = p_user and role > p_role;
	return query update memberships set role = p_role, updated_at = now(), version = version + 1
		where tenant_id = p_tenant and user_id = p_user returning *;
end $$;

create function member_remove(p_tenant uuid, p_user uuid, p_version bigint)
returns setof memberships language plpgsql as $$
begin
	perform member_guard(p_tenant, p_user, p_version, null);
	return query delete from memberships
		where tenant_id = p_tenant and user_id = p_user returning *;
end $$;

-- ---- signing up, in and out ----

create function event_write(p_tenant uuid, p_id uuid, p_type text, p_subject uuid,
	p_payload jsonb, p_actor uuid, p_trace bytea, p_span bytea, p_request text)
returns void language sql security definer as
	'insert into public.outbox_events (tenant_id, id, type, subject_id, payload, actor_id,
		trace_id, parent_span_id, request_id)
	 values (p_tenant, p_id, p_type, p_subject, p_payload, p_actor, p_trace, p_span, p_request)';

create function signup(p_user uuid, p_email text, p_name text, p_hash text,
	p_tenant uuid, p_slug text, p_tenant_name text,
	p_session uuid, p_sha256 bytea, p_expires timestamptz,
	p_event uuid, p_trace bytea, p_span bytea, p_request text)
returns timestamptz language plpgsql security definer as $$
begin
	insert into public.users (id, email, name, password_hash)
		values (p_user, p_email, p_name, p_hash);
	insert into public.tenants (id, slug, name) values (p_tenant, p_slug, p_tenant_name);
	insert into public.memberships (tenant_id, user_id, role) values (p_tenant, p_user, 'owner');
	insert into public.sessions (id, user_id, sha256, expires_at)
		values (p_session, p_user, p_sha256, p_expires);
	perform public.event_write(p_tenant, p_event, 'tenant.created', p_tenant,
		pg_catalog.jsonb_build_object('id', p_tenant, 'slug', p_slug, 'name', p_tenant_name,
			'owner_id', p_user), p_user, p_trace, p_span, p_request);
	return pg_catalog.now();
end $$;

create function password_find(p_email text)
returns table (id uuid, email text, name text, created_at timestamptz, updated_at timestamptz,
	version bigint, password_hash text)
language sql stable security definer as
	'select id, email, name, created_at, updated_at, version, password_hash from public.users
	 where pg_catalog.lower(email) operator(pg_catalog.=) pg_catalog.lower(p_email)';

create function password_rehash(p_user uuid, p_old text, p_new text) returns void
language sql security definer as
	'update public.users set password_hash = p_new
	 where id operator(pg_catalog.=) p_user and password_hash operator(pg_catalog.=) p_old';

create function session_open(p_id uuid, p_user uuid, p_sha256 bytea, p_expires timestamptz)
returns void language sql security definer as
	'insert into public.sessions (id, user_id, sha256, expires_at)
	 values (p_id, p_user, p_sha256, p_expires)';

create function session_close(p_sha256 bytea) returns setof uuid
language sql security definer as
	'delete from public.sessions where sha256 operator(pg_catalog.=) p_sha256 returning id';

-- the token's own user: its memberships, or for a key the one of its tenant
create function memberships_of_token(p_sha256 bytea)
returns table (tenant_id uuid, slug text, name text, role member_role)
language sql stable security definer as $$
	select t.id, t.slug, t.name, m.role
	from public.sessions s
	join public.memberships m on m.user_id operator(pg_catalog.=) s.user_id
	join public.tenants t on t.id operator(pg_catalog.=) m.tenant_id and t.deleted_at is null
	where s.sha256 operator(pg_catalog.=) p_sha256
	union all
	select t.id, t.slug, t.name, k.role
	from public.api_keys k
	join public.tenants t on t.id operator(pg_catalog.=) k.tenant_id
	where k.sha256 operator(pg_catalog.=) p_sha256
	order by 2
	limit 1000
$$;

create function user_of_token(p_sha256 bytea)
returns table (id uuid, email text, name text, created_at timestamptz, updated_at timestamptz,
	version bigint)
language sql stable security definer as $$
	select id, email, name, created_at, updated_at, version from public.users
	where id operator(pg_catalog.=) coalesce(
		(select user_id from public.sessions where sha256 operator(pg_catalog.=) p_sha256),
		(select created_by from public.api_keys where sha256 operator(pg_catalog.=) p_sha256))
$$;

-- a function's new owner must be able to create where it stands, for this moment
grant create on schema public to rowhouse_auth;
do $$
declare
	f text;
begin
	foreach f in array array[
		'authorize_key(bytea, uuid, member_role)', 'authorize_session(bytea, uuid, member_role)',
		'authorize_user(bytea)', 'tenant_find(text)',
		'event_write(uuid, uuid, text, uuid, jsonb, uuid, bytea, bytea, text)',
		'signup(uuid, text, text, text, uuid, text, text, uuid, bytea, timestamptz, uuid, bytea, bytea, text)',
		'password_find(text)', 'password_rehash(uuid, text, text)',
		'session_open(uuid, uuid, bytea, timestamptz)', 'session_close(bytea)',
		'memberships_of_token(bytea)', 'user_of_token(bytea)']
	loop
		execute format('revoke all on function %s from public', f);
		execute format('grant execute on function %s to rowhouse_app', f);
		execute format('alter function %s owner to rowhouse_auth', f);
	end loop;
	-- inside signup only: the application writes events under its tenant's policy
	revoke all on function event_write(uuid, uuid, text, uuid, jsonb, uuid, bytea, bytea, text)
		from rowhouse_app;
end $$;
revoke create on schema public from rowhouse_auth;
