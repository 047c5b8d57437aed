-- Forgets endpoints and deliveries: what waits is never delivered.
drop table webhook_attempts, webhook_deliveries, webhooks;
