-- What a POST with an Idempotency-Key was answered, stored in the transaction
-- of what it did.
--
-- Locks nothing that is in use: the table is new.
-- Undo: 0004_idempotency.down.sql forgets the keys; a request that comes again
-- is then executed again.

create table idempotency_keys (
	tenant_id   uuid not null,	-- nil: outside of tenants, as a sign-up is
	id          bytea not null,	-- SHA-256 of who asked, and the key
	fingerprint bytea not null,	-- of what was asked; keyed, since bodies hold passwords
	status      smallint not null,
	head        text not null,	-- header fields, a line each
	body        bytea not null,
	sealed      boolean not null,	-- the body holds a secret: only who asked can open it
	created_at  timestamptz not null default now(),
	expires_at  timestamptz not null,
	primary key (tenant_id, id)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);
comment on table idempotency_keys is 'no foreign key to tenants: nil is none of them';

alter table idempotency_keys enable row level security;
alter table idempotency_keys force row level security;
create policy tenant on idempotency_keys to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy auth on idempotency_keys to rowhouse_auth using (true);
grant select, insert, delete on idempotency_keys to rowhouse_app;
-- an update is what "for update" asks for
grant select, insert, delete, update (expires_at) on idempotency_keys to rowhouse_auth;

-- Behind the authorization: is the key new (1), was it answered (2), or used
-- for something else (3)? A new one is the caller's until the transaction ends;
-- who comes meanwhile waits for that, p_wait_ms at most (55P03). A row is
-- written only with the answer, so nothing has to be updated or taken back.
--
-- p_idle_ms: a caller's host that vanishes must not keep the key.
create function idempotency_claim(p_tenant uuid, p_id bytea, p_fingerprint bytea,
	p_lock bigint, p_wait_ms int, p_idle_ms int,
	out outcome int, out status int, out head text, out body bytea, out sealed boolean)
language plpgsql as $$
declare
	k public.idempotency_keys;
	mine boolean := pg_try_advisory_xact_lock(p_lock);
	waits text;
begin
	perform set_config('idle_in_transaction_session_timeout', p_idle_ms::text, true);
	loop
		select * into k from public.idempotency_keys i
			where i.tenant_id = p_tenant and i.id = p_id;
		-- who finds the answer needs no lock, however many they are
		exit when mine or k.expires_at > now();
		waits := current_setting('lock_timeout');
		perform set_config('lock_timeout', p_wait_ms::text, true);
		perform pg_advisory_xact_lock(p_lock);
		perform set_config('lock_timeout', waits, true);
		mine := true;
	end loop;
	if k.expires_at > now() then
		outcome := case when k.fingerprint = p_fingerprint then 2 else 3 end;
		status := k.status;
		head := k.head;
		body := k.body;
		sealed := k.sealed;
	else
		outcome := 1;
		if k.id is not null then
			delete from public.idempotency_keys i where i.tenant_id = p_tenant and i.id = p_id;
		end if;
	end if;
	perform set_config('rowhouse.idempotency', outcome::text, true);
end $$;

-- Behind the claim: unless the key is new, the rest of the pipeline is skipped.
create function idempotency_guard() returns int language plpgsql stable as $$
begin
	if current_setting('rowhouse.idempotency', true) is distinct from '1' then
		raise exception using errcode = 'RH208', message = 'answered before';
	end if;
	return 1;
end $$;

-- The same outside of tenants. What it calls finds no table of the caller's.
create function idempotency_claim_outside(p_id bytea, p_fingerprint bytea,
	p_lock bigint, p_wait_ms int, p_idle_ms int,
	out outcome int, out status int, out head text, out body bytea, out sealed boolean)
language sql security definer set search_path = pg_catalog, pg_temp as
	'select * from public.idempotency_claim(''00000000-0000-0000-0000-000000000000'',
		p_id, p_fingerprint, p_lock, p_wait_ms, p_idle_ms)';

create function idempotency_store_outside(p_id bytea, p_fingerprint bytea,
	p_status smallint, p_head text, p_body bytea, p_sealed boolean, p_ttl_ms bigint)
returns void language sql security definer set search_path = pg_catalog, pg_temp as
	'insert into public.idempotency_keys (tenant_id, id, fingerprint, status, head, body, sealed, expires_at)
	 values (''00000000-0000-0000-0000-000000000000'', p_id, p_fingerprint, p_status, p_head,
		p_body, p_sealed, now() + p_ttl_ms * interval ''1 ms'')';

-- Of all tenants, the longest expired first; answers how many.
create function idempotency_purge(p_most int) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
	with gone as (
		delete from public.idempotency_keys where ctid = any (array(
			select ctid from public.idempotency_keys where expires_at <= now()
			order by expires_at limit p_most for update skip locked))
		returning 1)
	select count(*) from gone
$$;

grant create on schema public to rowhouse_auth;
do $$
declare
	f text;
begin
	foreach f in array array[
		'idempotency_claim_outside(bytea, bytea, bigint, int, int)',
		'idempotency_store_outside(bytea, bytea, smallint, text, bytea, boolean, bigint)',
		'idempotency_purge(int)']
	loop
		execute format('revoke all on function %s from public', f);
		execute format('grant execute on function %s to rowhouse_app', f);
		execute format('alter function %s owner to rowhouse_auth', f);
	end loop;
end $$;
revoke create on schema public from rowhouse_auth;
