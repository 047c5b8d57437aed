#include "config.h"

#include "serve/duty.h"

struct rh_uuid
rh_duty_holder(const struct rh_server *s)
{
	const struct rh_segment *segment = s->host->segment;
	unsigned place = rh_segment_place(segment, s->slot);
	struct rh_uuid id;

	memcpy(id.b, rh_segment_id(segment), sizeof(id.b));
	id.b[14] ^= (unsigned char)(place >> 8);
	id.b[15] ^= (unsigned char)place;
	return id;
}

struct rh_pipe *
rh_duty_begin(struct rh_server *s)
{
	/* or the master would take the last one for one that hangs */
	s->pg_obs.flight = NULL;
	return rh_pg_begin(s->pg, s->arena, NULL);
}

void
rh_duty_end(struct rh_server *s, const char *what, const struct rh_err *err,
    bool *failed)
{
	if (err && !*failed)
		rh_log_say(&s->log, RH_LOG_WARN,
		    "%s: %s: %s; it is tried again", what, err->code,
		    err->cause ? err->cause : err->detail);
	*failed = err != NULL;
	rh_pg_end(s->pg);
	s->pg_obs.flight = s->flight;
}
