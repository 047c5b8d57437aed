-- Forgets inboxes and what they recorded: their URLs answer 404 from then on.
drop function inbox_purge(bigint, int);
drop function inbox_replay_guard(uuid, uuid, uuid, text);
drop function inbox_receive(bytea, uuid, text, text, text, text, text, bytea, text, bytea, bytea,
	smallint, text, uuid, uuid, text, int, smallint, bigint);
drop table inbox_requests, inboxes;
