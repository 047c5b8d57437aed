-- Forgets all crons; jobs are as they were.
drop function job_cron_fire(uuid, text, timestamptz, timestamptz, uuid, text, int, int, bytea, bytea, int, text);
drop function job_cron_due(int);
drop table job_crons;
drop function job_cancel(uuid, uuid);
drop function job_retry(uuid, uuid);
drop function job_told(uuid, text, job_state, int, int, timestamptz, text);
drop index jobs_past_kind, jobs_past_failed, jobs_past_failed_kind;
