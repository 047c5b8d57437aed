-- W2 as the pool sends it (lib/tenancy/authorize.c, fcgi/projects/projects_repo.c).
\set t random(1, 1000)
\set k random(30, 150)
\set s 1735689600 + :k * 3600 + ((:t * 7919 + :k * 104729) % 3600)
\startpipeline
select authorize_key(decode(md5('k:' || :t) || md5('K:' || :t), 'hex'), md5('t:' || :t)::uuid, 'viewer');
select id, name, description, status, created_at, updated_at, version from projects where tenant_id = md5('t:' || :t)::uuid and (created_at, id) < (to_timestamp(:s), md5('p:' || :t || ':' || :k)::uuid) order by created_at desc, id desc limit 21;
\endpipeline
