#include "config.h"

#include "serve/postmortem.h"

#include <stdlib.h>
#include <string.h>

#include "obs/journal.h"
#include "serve/server.h"

/*
 * What the worker had kept and not shipped, or was shipping, into the ring of
 * who tells of it: a replacement may be long in coming, and nobody else reads
 * that one now. What finds no room there waits for the replacement all the same.
 */
struct bequest {
	struct rh_ring *from, *to;
	char *bytes;		/* a record */
	struct rh_journal journal;
	/* its cells, which have no other writer now; ours has rh-ship */
	struct rh_tally tally;
	struct rh_family spans;
};

/*
 * One record moves: it is in our ring before it leaves its own, so that a kill
 * in between gives it twice, and never loses it. False: there is no other, or
 * it would cost one that our ring still has to tell.
 */
static bool
inherit_one(struct bequest *b)
{
	struct rh_ring_cursor at;
	uint64_t missed;
	unsigned items;
	size_t n;

	rh_ring_begin(b->from, &at);
	n = rh_ring_next(b->from, &at, b->bytes, b->from->size / 4, &items,
	    &missed);
	if (n && !rh_ring_has_room(b->to, n))
		return false;
	if (n) {
		memcpy(rh_ring_reserve(b->to, n), b->bytes, n);
		rh_ring_commit(b->to, n, items);
	}
	rh_journal_open(&b->journal);
	if (missed)
		rh_journal_count(&b->journal, &b->tally, b->spans,
		    RH_SPANS_DROPPED, 0, missed);
	rh_journal_release(&b->journal, b->from, &at);
	rh_journal_commit(&b->journal);
	return n > 0;
}

void
rh_postmortem_spans(struct rh_server *s, unsigned slot)
{
	const struct rh_host *h = s->host;
	size_t size = rh_segment_ring_bytes(h->segment, RH_SEG_SPANS);
	struct bequest b = { .from = rh_segment_spans(h->segment, slot),
		.to = rh_segment_spans(h->segment, s->slot),
		.spans = h->series.spans };

	/* its own, which its shipper goes on with */
	if (slot == s->slot)
		return;
	/* a worker that wrote wherever it liked may have done so here */
	if (!rh_ring_is_sound(b.from, size, RH_RING_OVERWRITE))
		rh_ring_init(b.from, size, RH_RING_OVERWRITE);
	if (h->otlp.disabled || !rh_ring_has(b.from) ||
	    !(b.bytes = malloc(size / 4)))
		return;
	rh_tally_bind(&b.tally, h->metrics, h->conf->metrics ? h->segment :
	    NULL, slot);
	rh_journal_bind_spans(&b.journal, h->segment, slot);
	while (inherit_one(&b))
		;
	rh_ring_dared(b.from);
	free(b.bytes);
}
