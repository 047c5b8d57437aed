-- What the bench reads: 1,000 tenants of 200 projects, 40 tasks in each of a
-- tenant's first dozen. Run by a superuser; the API keys come from seed.py.
--
-- Ids are md5 of integers: any row can be named without a look-up, by pgbench
-- too. Projects are an hour apart and were written in the order of time, all
-- tenants in turn, as a live system would have done it.
\set ON_ERROR_STOP on
begin;
set local synchronous_commit = off;
set local maintenance_work_mem = '512MB';
set local session_replication_role = replica;	-- rows are consistent as they are made

create function pg_temp.born(t int, k int) returns timestamptz immutable language sql as
	$$ select to_timestamp(1735689600 + k * 3600 + ((t * 7919 + k * 104729) % 3600)) $$;

insert into tenants (id, slug, name)
	select md5('t:' || t)::uuid, 't' || lpad(t::text, 4, '0'), 'Tenant number ' || t
	from generate_series(1, 1000) t;
insert into users (id, email, name, password_hash)
	select md5('u:' || t)::uuid, 'user@t' || t || '.example', 'User ' || t, '-'
	from generate_series(1, 1000) t;
insert into memberships (tenant_id, user_id, role)
	select md5('t:' || t)::uuid, md5('u:' || t)::uuid, 'owner'
	from generate_series(1, 1000) t;
-- pgbench cannot hash a token: a second key of each tenant, whose hash it can name
insert into api_keys (tenant_id, id, name, role, created_by, sha256)
	select md5('t:' || t)::uuid, md5('K:' || t)::uuid, 'pgbench', 'member', md5('u:' || t)::uuid,
		decode(md5('k:' || t) || md5('K:' || t), 'hex')
	from generate_series(1, 1000) t;

insert into projects (tenant_id, id, name, description, status, created_at, updated_at, version)
	select md5('t:' || t)::uuid, md5('p:' || t || ':' || k)::uuid, 'Project ' || k || ' of tenant ' || t,
		'The "' || substr(md5(k::text || t), 1, 8) || '" workstream: plan, build and verify milestone '
			|| k || '; owner notes kept here, see the wiki.',
		(array['active', 'active', 'active', 'active', 'archived'])[1 + (k + t) % 5],
		pg_temp.born(t, k), pg_temp.born(t, k), 1 + (k * t) % 4
	from generate_series(1, 200) k, generate_series(1, 1000) t;

-- half a million rows: their indexes are quicker made afterwards
create temp table later on commit drop as
	select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as made
	from pg_index i where i.indrelid = 'tasks'::regclass and not i.indisprimary;
select 'drop index ' || name from later \gexec
insert into tasks (tenant_id, id, project_id, title, body, status, assignee_id, created_at, updated_at)
	select md5('t:' || t)::uuid, md5('a:' || t || ':' || k || ':' || n)::uuid, md5('p:' || t || ':' || k)::uuid,
		'Task ' || n || ' of project ' || k, 'Do the thing number ' || n || ' and report back.',
		(array['open', 'doing', 'done'])[1 + n % 3], case when n % 2 = 0 then md5('u:' || t)::uuid end,
		pg_temp.born(t, k) + n * interval '1 min', pg_temp.born(t, k) + n * interval '1 min'
	from generate_series(1, 12) k, generate_series(1, 1000) t, generate_series(1, 40) n;
select made from later \gexec
commit;
