-- Notes of a tenant.
--
-- Locks nothing that is in use: the table is new.
-- Undo: 1001_notes.down.sql drops it with all it holds.

create table notes (
	tenant_id  uuid not null references tenants,
	id         uuid not null,
	text       text not null,
	created_at timestamptz not null default now(),
	primary key (tenant_id, id)
);
create index notes_list on notes (tenant_id, created_at desc, id desc);

alter table notes enable row level security;
alter table notes force row level security;
create policy tenant on notes to rowhouse_app
	using (tenant_id = nullif(current_setting('rowhouse.tenant_id', true), '')::uuid);
grant select, insert on notes to rowhouse_app;
