/*
 * journal - what is to be told of a request, its log line and its counts: all
 * of it or nothing, wherever its process is killed.
 *
 * Shape    a page in the slot holds what shared words are to become. Once it
 *          is armed the request is accounted: if the process does not live to
 *          store the words, its master does, or the next pool. A second page
 *          is for a batch of spans: what became of them, and that the ring is
 *          done with them
 * Errors   none
 * Owner    one of each a process, for its slot; from _open to _commit it
 *          writes no other line, and touches each cell once
 *
 * Values, not differences, so that storing them twice does no harm. Without a
 * segment it counts and logs at once.
 */
#ifndef RH_OBS_JOURNAL_H
#define RH_OBS_JOURNAL_H

#include "obs/flight.h"
#include "obs/log.h"
#include "obs/metric.h"

struct rh_seg_journal;

struct rh_journal {
	struct rh_seg_journal *kept;	/* in the slot; NULL: no segment */
	char *slot;
	size_t slot_bytes;
	unsigned n;
	struct rh_log *log;		/* whose line is to be shown */
};

void rh_journal_bind(struct rh_journal *j, const struct rh_segment *segment,
    unsigned slot);
/* The slot's second one, of whoever reads its span ring. */
void rh_journal_bind_spans(struct rh_journal *j,
    const struct rh_segment *segment, unsigned slot);
void rh_journal_open(struct rh_journal *j);
/* As rh_count, rh_observe and rh_line_close do. */
void rh_journal_count(struct rh_journal *j, const struct rh_tally *t,
    struct rh_family f, unsigned a, unsigned b, uint64_t n);
void rh_journal_observe(struct rh_journal *j, const struct rh_tally *t,
    struct rh_family f, unsigned a, unsigned b, uint64_t ns,
    const struct rh_exemplar_of *exemplar);
void rh_journal_line(struct rh_journal *j, struct rh_line *line);
/* A record that was written into a ring of the slot is shown with the rest. */
void rh_journal_record(struct rh_journal *j, struct rh_ring *ring, size_t n);
/* As rh_ring_release, of a ring of the slot. */
void rh_journal_release(struct rh_journal *j, struct rh_ring *ring,
    const struct rh_ring_cursor *cursor);
/* And with all that, the slot's request in flight has become an accounted one. */
void rh_journal_flight(struct rh_journal *j, struct rh_flight *flight);
void rh_journal_commit(struct rh_journal *j);

/*
 * Of a slot whose process is dead, and whoever read its span ring: ends what
 * they had armed.
 */
void rh_journal_settle(const struct rh_segment *segment, unsigned slot);

#endif
