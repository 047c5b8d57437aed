-- Nobody is told any more: what waits goes on waiting.
drop function webhook_forget(bigint, int);
drop function webhook_rescue(uuid, uuid[], boolean, int, bigint, int);
drop function webhook_settle(uuid, uuid[], uuid[], int[], bigint[], int[], int[], text[], text[], int[],
	bigint[], boolean[], bigint);
drop function webhook_claim(uuid, int, bigint, uuid, uuid, int, int);
drop function webhook_fan_out();
drop function webhook_wants(text[], text);
drop table webhook_paces;
drop index webhook_deliveries_sending;
drop index webhook_deliveries_tests;
drop index webhook_deliveries_turn;
