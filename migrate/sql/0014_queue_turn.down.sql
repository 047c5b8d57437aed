drop function job_turn(uuid, bigint, uuid, uuid, int, uuid, int, text, bigint, bigint);
