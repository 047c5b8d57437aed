-- Nobody is placed any more. Refused while a tenant is: its rows are elsewhere.
do $$
begin
	if exists (select from tenants where placement is not null or move_to is not null) or
		exists (select from tenant_limits where away) then
		raise exception 'a tenant is placed elsewhere, or was here: move it home first, and remove what is away';
	end if;
end $$;

do $$
declare
	f regprocedure;
begin
	for f in select oid from pg_proc where pronamespace = 'public'::regnamespace and proname like 'move\_%'
	loop
		execute format('drop function %s', f);
	end loop;
end $$;
drop function memberships_of_user(uuid);
drop function session_shut(bytea, uuid, uuid);
drop function session_adopt(bytea, uuid, uuid, uuid, timestamptz, timestamptz);
drop function session_find(bytea);
drop function tenant_where(text);
revoke update (expires_at) on sessions from rowhouse_auth;

-- as 0003 has them
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
				select pg_catalog.concat(' ', l.tenant, ' ', l.token, ' ', l.tenant_write, ' ',
					l.token_write, ' ', l.window_ms) from public.tenant_limits l
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
				pg_catalog.float8mul(pg_catalog.date_part('epoch', s.expires_at), 1000))), (
			select pg_catalog.concat(' ', l.tenant, ' ', l.token, ' ', l.tenant_write, ' ',
				l.token_write, ' ', l.window_ms) from public.tenant_limits l
			where l.tenant_id operator(pg_catalog.=) p_tenant)), true);
end $$;
drop function tenant_must_be_here(uuid);
drop function tenant_refuse();
alter table tenant_limits drop column away;
alter table tenants drop column move_to, drop column move_from, drop column placement;
