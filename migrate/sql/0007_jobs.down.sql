-- Forgets all jobs: those that wait are never done.
drop function job_forget(bigint, int);
drop function job_waiting();
drop function job_rescue(uuid, int, boolean);
drop function job_extend(uuid, uuid, uuid, int, bigint, smallint);
drop function job_give_back(uuid, uuid[], uuid[], int[]);
drop function job_fail(uuid, uuid, uuid, int, text, boolean);
drop function job_over_all(uuid, uuid[], uuid[], int[]);
drop function job_over(uuid, uuid, uuid, int, job_state, jsonb, text);
drop function job_enter(uuid, uuid, uuid, int);
drop function job_next_ms();
drop function job_claim(uuid, int, bigint, uuid);
drop function job_pause(int);
drop table job_controls, jobs_past, jobs;
drop type job_state;
