-- W4 as the pool sends it (lib/tenancy/authorize.c, fcgi/tasks/tasks_repo.c, lib/serve/event.c).
\set t random(1, 1000)
\set k random(1, 200)
\startpipeline
select authorize_key(decode(md5('k:' || :t) || md5('K:' || :t), 'hex'), md5('t:' || :t)::uuid, 'member');
insert into tasks (tenant_id, id, project_id, title, body, status, assignee_id, due_at) values (md5('t:' || :t)::uuid, gen_random_uuid(), md5('p:' || :t || ':' || :k)::uuid, 'Task ' || :k || ' from the bench', 'Please look into case number ' || :k || ' and write down what you find.', 'open', null, null) returning created_at;
insert into outbox_events (tenant_id, id, type, subject_id, payload, actor_id, trace_id, parent_span_id, trace_flags, request_id) values (md5('t:' || :t)::uuid, gen_random_uuid(), 'task.created', md5('p:' || :t || ':' || :k)::uuid, replace('{"title": "Task ' || :k || e' from the bench", "body": "Please look into this case and write down what you find.", "status": "open", "due_at": null, "assignee_id": null, "version": 1, "created_at": \x01, "updated_at": \x01}', e'\x01', to_json(now())::text)::jsonb, actor_id(), '\x2300c25cef6f81223adff997774c1907'::bytea, '\x3adff997774c1907'::bytea, 2, '01932f0a-7e21-7c3f-9d7e-0b4c2f8a1d55');
\endpipeline
