-- Projects and their tasks.
--
-- Locks nothing that is in use: both tables are new.
-- Undo: 0002_projects.down.sql drops them with all they hold.

create table projects (
	tenant_id   uuid not null references tenants,
	id          uuid not null,
	name        text not null,
	description text not null default '',
	status      text not null default 'active'
	            constraint projects_status check (status in ('active', 'archived')),
	created_at  timestamptz not null default now(),
	updated_at  timestamptz not null default now(),
	version     bigint not null default 1,
	primary key (tenant_id, id)
);
create index projects_list on projects (tenant_id, created_at desc, id desc);
create index projects_by_status on projects (tenant_id, status, created_at desc, id desc);

create table tasks (
	tenant_id   uuid not null,	-- a tenant's, since its project is
	id          uuid not null,
	project_id  uuid not null,
	title       text not null,
	body        text,
	status      text not null default 'open'
	            constraint tasks_status check (status in ('open', 'doing', 'done')),
	assignee_id uuid,
	due_at      timestamptz,
	created_at  timestamptz not null default now(),
	updated_at  timestamptz not null default now(),
	version     bigint not null default 1,
	primary key (tenant_id, id),
	constraint tasks_project foreign key (tenant_id, project_id) references projects on delete cascade,
	constraint tasks_assignee foreign key (tenant_id, assignee_id) references memberships
		on delete set null (assignee_id)
);
create index tasks_of_project on tasks (tenant_id, project_id, created_at desc, id desc);
-- Search (q=) has no index: a GIN index of words costs every insert a quarter
-- more and stalls all writers for up to a second when its pending list is
-- merged. It reads the tenant's tasks along tasks_list, the newest first, until
-- the page is full.
create index tasks_list on tasks (tenant_id, created_at desc, id desc);
create index tasks_by_status on tasks (tenant_id, status, created_at desc, id desc);
create index tasks_by_assignee on tasks (tenant_id, assignee_id, created_at desc, id desc)
	where assignee_id is not null;

alter table projects enable row level security;
alter table projects force row level security;
alter table tasks    enable row level security;
alter table tasks    force row level security;
create policy tenant on projects to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
create policy tenant on tasks to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);

grant select, insert, update, delete on projects, tasks to rowhouse_app;
