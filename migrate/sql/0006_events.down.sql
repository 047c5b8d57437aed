-- The feed goes; what it keeps goes back into the outbox, and is relayed once
-- more should it ever come again.
drop function events_tend(bigint, int);
drop function events_day(bigint);
drop function events_waiting();
drop function relayed_last();
drop function relayed_first();
drop function events_relay(bigint, int);
drop function events_lock();
drop function events_now();
drop sequence event_pos;
drop index outbox_events_seq;
alter table outbox_events alter column seq drop identity;
alter table outbox_events drop column seq;
alter table outbox_events reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
	autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold,
	autovacuum_analyze_scale_factor, autovacuum_analyze_threshold, autovacuum_vacuum_cost_delay);
alter table outbox_events no force row level security;
alter table events no force row level security;
insert into outbox_events (tenant_id, id, type, subject_id, payload, actor_id, trace_id,
	parent_span_id, request_id, created_at)
	select tenant_id, id, type, subject_id, payload, actor_id, trace_id,
		parent_span_id, request_id, created_at
	from events order by pos on conflict do nothing;
alter table outbox_events force row level security;
revoke select, delete on outbox_events from rowhouse_auth;
drop table events;
drop schema rowhouse_events;
