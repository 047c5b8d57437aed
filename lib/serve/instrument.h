/*
 * instrument - a metric of a resource's own: a counter, a gauge or a histogram.
 *
 * Shape    rows of a table in the resource, ended by { 0 }; at most one label
 *          with its values in a list, so that the number of series is known
 *          when the pool starts. Shown as rowhouse_NAME
 * Units    histograms take nanoseconds and show seconds
 * Errors   at start-up: a name that is taken, or none by Prometheus' rules; a
 *          counter that does not end in _total, or anything else that does
 * Owner    static tables of the application; start-up fills in .family, and
 *          each worker then counts in its own cells
 * Source   Prometheus, metric and label naming
 *
 *	enum { WORDS };
 *	static struct rh_instrument instruments[] = {
 *		[WORDS] = { .kind = RH_M_COUNTER, .name = "notes_words_total",
 *		    .help = "words of the notes that were written" },
 *		{ 0 }
 *	};
 *	rh_call_count(c, &instruments[WORDS], 0, 3);
 */
#ifndef RH_SERVE_INSTRUMENT_H
#define RH_SERVE_INSTRUMENT_H

#include "obs/metric.h"

struct rh_call;

struct rh_instrument {
	const char *name;		/* without rowhouse_ */
	enum rh_metric_kind kind;
	unsigned flags;			/* enum rh_metric_flag */
	const char *help;
	const char *label;		/* NULL: one series */
	const char *const *values;	/* of the label, ended by NULL */
	struct rh_family family;
};

/* value: the index in .values, 0 without a label. */
void rh_call_count(struct rh_call *c, const struct rh_instrument *counter,
    unsigned value, uint64_t n);
/* A gauge is the sum over the workers, or the largest with RH_M_MAX. */
void rh_call_gauge(struct rh_call *c, const struct rh_instrument *gauge,
    unsigned value, uint64_t to);
/* With RH_M_EXEMPLARS the bucket names this request's trace, if it is kept so far. */
void rh_call_observe(struct rh_call *c, const struct rh_instrument *histogram,
    unsigned value, uint64_t ns);

/*
 * Before the segment is made: the table's families. False with the fault in
 * *why.
 */
RH_MUST_CHECK bool rh_instruments_register(struct rh_metrics *m,
    struct rh_instrument *table, struct rh_buf *why);

#endif
