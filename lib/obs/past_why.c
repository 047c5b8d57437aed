#include "config.h"

#include "obs/past.h"

static void
put_ms(struct rh_buf *to, uint64_t ns)
{
	if (ns >= 1000000000)
		rh_buf_printf(to, "%.2f s", (double)ns / 1e9);
	else
		rh_buf_printf(to, "%.3g ms", (double)ns / 1e6);
}

/* Who decided before it. */
static const char *
cause_of(const struct rh_request *rq)
{
	return rq->f.what == RH_WORK_REQUEST ? "its caller" :
	    "the request that left it";
}

static void
put_not_kept(struct rh_buf *to, const struct rh_request *rq)
{
	if (!rq->f.traced) {
		rh_buf_lit(to, "Nothing of it was recorded: traces are off.");
		return;
	}
	rh_buf_lit(to, "It did not fail, was not slow");
	if (rq->f.slow_ns) {
		rh_buf_lit(to, " (that is ");
		put_ms(to, rq->f.slow_ns);
		rh_buf_lit(to, " or more)");
	}
	if (rq->f.what == RH_WORK_REQUEST)
		rh_buf_lit(to, " and touched nothing of security");
	rh_buf_lit(to, "; ");
	if (rq->f.remote_parent && rq->f.parent_based)
		rh_buf_printf(to, "%s does not keep the trace.",
		    cause_of(rq));
	else if (rq->f.ratio <= 0)
		rh_buf_lit(to, "of the others none is kept.");
	else
		rh_buf_printf(to, "of the others %.3g %% are kept, and this"
		    " one was not drawn.", rq->f.ratio * 100);
}

void
rh_past_why(struct rh_buf *to, const struct rh_request *rq)
{
	switch ((enum rh_sampled_by)rq->f.by) {
	case RH_BY_ERROR:
		rh_buf_lit(to, "It failed");
		if (rq->f.status)
			rh_buf_printf(to, ", with status %u", rq->f.status);
		rh_buf_char(to, '.');
		break;
	case RH_BY_SLOW:
		rh_buf_lit(to, "It was slow: ");
		put_ms(to, rq->f.ns);
		if (rq->f.slow_ns) {
			rh_buf_lit(to, ", where ");
			put_ms(to, rq->f.slow_ns);
			rh_buf_lit(to, " are too many");
		}
		rh_buf_char(to, '.');
		break;
	case RH_BY_SECURITY:
		rh_buf_lit(to, "It touched security: a refusal, a sign-in, or a"
		    " change of keys, members or roles.");
		break;
	case RH_BY_PARENT:
		rh_buf_slice(to, rq->f.what == RH_WORK_REQUEST ?
		    RH_SLICE("Its caller keeps the trace.") :
		    RH_SLICE("The request that left it keeps the trace."));
		break;
	case RH_BY_RATIO:
		rh_buf_printf(to, "It was drawn: of requests that are not"
		    " remarkable %.3g %% are kept.", rq->f.ratio * 100);
		break;
	case RH_BY_NONE:
	case RH_BY_COUNT:
		put_not_kept(to, rq);
		break;
	}
}
