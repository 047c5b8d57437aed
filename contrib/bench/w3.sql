-- W3 as the pool sends it (lib/tenancy/authorize.c, fcgi/projects/projects_repo.c).
\set t random(1, 1000)
\set k random(1, 200)
\startpipeline
select authorize_key(decode(md5('k:' || :t) || md5('K:' || :t), 'hex'), md5('t:' || :t)::uuid, 'viewer');
select id, name, description, status, created_at, updated_at, version from projects where tenant_id = md5('t:' || :t)::uuid and id = md5('p:' || :t || ':' || :k)::uuid;
\endpipeline
