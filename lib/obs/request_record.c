#include "config.h"

#include "obs/request_record.h"

const char *const rh_work_names[RH_WORKS] = {
	[RH_WORK_REQUEST] = "request",
	[RH_WORK_JOB] = "job",
	[RH_WORK_WEBHOOK] = "webhook",
};

/* All of them together fit into a quarter of the smallest ring. */
static const uint16_t text_max[RH_RQ_TEXTS] = {
	[RH_RQ_ID] = 128, [RH_RQ_METHOD] = 16, [RH_RQ_ROUTE] = 128,
	[RH_RQ_PATH] = 512, [RH_RQ_TENANT] = 64, [RH_RQ_ROLE] = 16,
	[RH_RQ_CACHE] = 16, [RH_RQ_LIMITER] = 16, [RH_RQ_ERROR] = 384,
	[RH_RQ_REMOTE] = 64, [RH_RQ_AGENT] = 256,
	[RH_RQ_OUTCOME] = 16,
};

/* Cut before the character that would not fit whole. */
static struct rh_slice
cut(struct rh_slice text, size_t max)
{
	if (text.n <= max)
		return text;
	while (max && ((unsigned char)text.p[max] & 0xc0) == 0x80)
		max--;
	return (struct rh_slice){ text.p, max };
}

size_t
rh_request_measure(struct rh_request *rq)
{
	size_t n = sizeof(rq->f);

	rq->f.version = RH_REQUEST_VERSION;
	for (unsigned i = 0; i < RH_RQ_TEXTS; i++) {
		rq->text[i] = cut(rq->text[i], text_max[i]);
		rq->f.text_n[i] = (uint16_t)rq->text[i].n;
		n += rq->text[i].n;
	}
	return n;
}

void
rh_request_put(char *to, const struct rh_request *rq)
{
	memcpy(to, &rq->f, sizeof(rq->f));
	to += sizeof(rq->f);
	for (unsigned i = 0; i < RH_RQ_TEXTS; i++) {
		if (rq->text[i].n)
			memcpy(to, rq->text[i].p, rq->text[i].n);
		to += rq->text[i].n;
	}
}

void
rh_request_leave(struct rh_ring *ring, struct rh_request *rq)
{
	size_t n = rh_request_measure(rq);
	char *to = rh_ring_reserve(ring, n);

	if (!to)
		return;
	rh_request_put(to, rq);
	rh_ring_commit(ring, n, 1);
}

bool
rh_request_get(struct rh_request *rq, const void *record, size_t n)
{
	struct rh_slice rest = { record, n };

	if (n < sizeof(rq->f) || *(const uint8_t *)record != RH_REQUEST_VERSION)
		return false;
	memcpy(&rq->f, rest.p, sizeof(rq->f));
	rest = rh_slice_from(rest, sizeof(rq->f));
	for (unsigned i = 0; i < RH_RQ_TEXTS; i++) {
		if (rq->f.text_n[i] > rest.n || rq->f.text_n[i] > text_max[i])
			return false;
		rq->text[i] = (struct rh_slice){ rest.p, rq->f.text_n[i] };
		rest = rh_slice_from(rest, rq->f.text_n[i]);
	}
	return rq->f.by < RH_BY_COUNT && rq->f.what < RH_WORKS;
}

bool
rh_request_failed(const struct rh_request *rq)
{
	return rq->f.what == RH_WORK_REQUEST ? rq->f.status >= 500 :
	    rq->text[RH_RQ_ERROR].n > 0;
}

struct rh_request
rh_request_copy(const struct rh_request *rq, struct rh_arena *arena)
{
	struct rh_request copy = *rq;

	for (unsigned i = 0; i < RH_RQ_TEXTS; i++)
		copy.text[i] = rh_arena_slice(arena, rq->text[i]);
	return copy;
}
