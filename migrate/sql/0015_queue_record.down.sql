drop function job_turn_one(uuid, bigint, uuid, uuid, int, uuid, int, text, bigint, bigint);
drop type job_turned;
