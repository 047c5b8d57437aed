-- Forgets endpoints and deliveries: what waits is never delivered.
drop function webhooks_tell_pauses();
drop function uuid_v7();
drop table webhook_attempts, webhook_deliveries, webhooks;
