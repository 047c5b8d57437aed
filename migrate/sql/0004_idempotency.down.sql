-- Forgets which requests were answered: one that comes again is executed again.
drop function idempotency_purge(int);
drop function idempotency_store_outside(bytea, bytea, smallint, text, bytea, boolean, bigint);
drop function idempotency_claim_outside(bytea, bytea, bigint, int, int);
drop function idempotency_guard();
drop function idempotency_claim(uuid, bytea, bytea, bigint, int, int);
drop table idempotency_keys;
