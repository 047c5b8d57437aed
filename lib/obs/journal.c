#include "config.h"

#include "obs/journal.h"

#include "obs/segment_file.h"

static struct rh_seg_journal *
kept(const struct rh_segment *s, unsigned slot, enum rh_seg_journals which)
{
	return (struct rh_seg_journal *)((char *)rh_segment_slot(s, slot) +
	    s->head->journal) + which;
}

static void
bind(struct rh_journal *j, const struct rh_segment *segment, unsigned slot,
    enum rh_seg_journals which)
{
	*j = (struct rh_journal){ .kept = NULL };
	if (!segment)
		return;
	j->kept = kept(segment, slot, which);
	j->slot = (char *)rh_segment_slot(segment, slot);
	j->slot_bytes = segment->head->slot_bytes;
}

void
rh_journal_bind(struct rh_journal *j, const struct rh_segment *segment,
    unsigned slot)
{
	bind(j, segment, slot, RH_SEG_OF_REQUESTS);
}

void
rh_journal_bind_spans(struct rh_journal *j, const struct rh_segment *segment,
    unsigned slot)
{
	bind(j, segment, slot, RH_SEG_OF_SPANS);
}

void
rh_journal_open(struct rh_journal *j)
{
	j->n = 0;
	j->log = NULL;
}

/* With metrics off the cells are nobody's, and not in the slot. */
static void
become(struct rh_journal *j, uint64_t *word, uint64_t value)
{
	size_t at = (size_t)((uintptr_t)word - (uintptr_t)j->slot);

	if (!j->kept || at >= j->slot_bytes) {
		__atomic_store_n(word, value, __ATOMIC_RELAXED);
		return;
	}
	rh_assert(j->n < RH_COUNT(j->kept->stores));
	j->kept->stores[j->n].at = at;
	j->kept->stores[j->n++].value = value;
}

void
rh_journal_count(struct rh_journal *j, const struct rh_tally *t,
    struct rh_family f, unsigned a, unsigned b, uint64_t n)
{
	uint64_t *cell = t->cells + f.cell + a * f.stride_a + b * f.stride_b;

	become(j, cell, *cell + n);
}

void
rh_journal_observe(struct rh_journal *j, const struct rh_tally *t,
    struct rh_family f, unsigned a, unsigned b, uint64_t ns,
    const struct rh_exemplar_of *exemplar)
{
	uint64_t *cells = t->cells + f.cell + a * f.stride_a + b * f.stride_b;
	unsigned bucket = rh_bucket_of(ns);

	become(j, cells + bucket, cells[bucket] + 1);
	become(j, cells + RH_BUCKETS + 1, cells[RH_BUCKETS + 1] + ns);
	if (exemplar)
		rh_exemplar_set(t, f, a, b, ns, exemplar);
}

void
rh_journal_line(struct rh_journal *j, struct rh_line *line)
{
	struct rh_log *log = line->log;
	uint64_t items_in, head;

	if (!j->kept || !log->ring) {
		rh_line_close(line);
		return;
	}
	if (!rh_line_put(line, &items_in, &head)) {
		if (log->tally)
			rh_journal_count(j, log->tally, log->lines, 1, 0, 1);
		return;
	}
	become(j, (uint64_t *)&log->ring->items_in, items_in);
	become(j, (uint64_t *)&log->ring->head, head);
	j->log = log;
}

void
rh_journal_record(struct rh_journal *j, struct rh_ring *ring, size_t n)
{
	uint64_t items_in, head;

	if (!j->kept) {
		rh_ring_commit(ring, n, 1);
		return;
	}
	rh_ring_prepare(ring, n, 1, &items_in, &head);
	become(j, (uint64_t *)&ring->items_in, items_in);
	become(j, (uint64_t *)&ring->head, head);
}

void
rh_journal_release(struct rh_journal *j, struct rh_ring *ring,
    const struct rh_ring_cursor *cursor)
{
	become(j, (uint64_t *)&ring->items_out, cursor->items_out);
	become(j, (uint64_t *)&ring->tail, cursor->tail);
}

void
rh_journal_flight(struct rh_journal *j, struct rh_flight *flight)
{
	if (flight)
		become(j, &flight->accounted, 1);
}

/* In the order put: a ring's head is seen after all that it shows. */
static void
store(const struct rh_seg_journal *kept, char *slot, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__atomic_store_n((uint64_t *)(void *)(slot +
		    kept->stores[i].at), kept->stores[i].value,
		    __ATOMIC_RELEASE);
}

void
rh_journal_commit(struct rh_journal *j)
{
	if (!j->kept)
		return;
	atomic_store_explicit(&j->kept->armed, j->n, memory_order_release);
	store(j->kept, j->slot, j->n);
	atomic_store_explicit(&j->kept->armed, 0, memory_order_release);
	if (j->log)
		rh_log_ring_bell(j->log);
}

/* A cell, a ring's, or the one of the flight. */
static bool
is_word(const struct rh_seg_head *h, uint64_t at)
{
	if (at % 8)
		return false;
	return (at >= h->cells && at <= h->slot_bytes - 8) ||
	    at == sizeof(struct rh_slot) + offsetof(struct rh_flight, accounted);
}

/* Nothing that a rubbish file says leads out of the slot's words. */
static bool
is_sound(const struct rh_segment *s, const struct rh_seg_journal *kept,
    unsigned n)
{
	if (n > RH_COUNT(kept->stores))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!is_word(s->head, kept->stores[i].at))
			return false;
	return true;
}

void
rh_journal_settle(const struct rh_segment *s, unsigned slot)
{
	for (unsigned i = 0; i < RH_SEG_JOURNALS; i++) {
		struct rh_seg_journal *k = kept(s, slot, i);
		unsigned n = atomic_load(&k->armed);

		if (n && is_sound(s, k, n))
			store(k, (char *)rh_segment_slot(s, slot), n);
		atomic_store(&k->armed, 0);
	}
}
