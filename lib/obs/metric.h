/*
 * metric - counters, gauges and histograms in the slots of the segment.
 *
 * Shape    families by name; a family's series are the product of its one or
 *          two dimensions; a dimension is a list of rendered label sets
 *          (method="GET",route="/v1/me"). The layout is fixed before the
 *          segment is made; only a live dimension (tenants) gains values
 *          later, up to its bound, then everything else is "other"
 * Units    histograms take nanoseconds and show seconds
 * Owner    the registry belongs to the master's arena and is inherited; a
 *          cell has one writer, the process (or its shipper thread) of the
 *          slot, and is never reset, so counters survive workers
 * Source   Prometheus text format 0.0.4, OpenMetrics 1.0, and client_model's
 *          metrics.proto (io.prometheus.client) with native histograms
 *
 * Counting is an addition to a relaxed atomic: no lock, no lookup. With
 * metrics = off the cells are a private page that nobody reads.
 */
#ifndef RH_OBS_METRIC_H
#define RH_OBS_METRIC_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

struct rh_metrics;
struct rh_segment;

enum rh_metric_kind { RH_M_COUNTER, RH_M_GAUGE, RH_M_HISTOGRAM };

enum rh_metric_flag {
	RH_M_SPARSE = 1 << 0,		/* series that are zero are not shown */
	RH_M_EXEMPLARS = 1 << 1,	/* a histogram's buckets keep one each */
	RH_M_NANOSECONDS = 1 << 2,	/* a counter of ns, shown in seconds */
	RH_M_MAX = 1 << 3,		/* a gauge: the largest of the slots, not the sum */
	RH_M_NATIVE = 1 << 4,		/* rh_metrics_native's own */
	RH_M_HIDDEN = 1 << 5,		/* in no exposition: for metric_read.h */
};

/* 0.5 ms to 10 s, RH_BUCKETS bounds and one bucket more for the rest. */
#define RH_BUCKETS 14
extern const uint64_t rh_bucket_ns[RH_BUCKETS];

/* What the hot path needs to find a cell; filled in by rh_metrics_family. */
struct rh_family {
	uint32_t cell;		/* of the first series, in uint64_t */
	uint32_t stride_a;	/* cells from one value of dimension a to the next */
	uint32_t stride_b;
	uint32_t exemplar;	/* index of the first exemplar in the slot */
};

struct rh_family_spec {
	enum rh_metric_kind kind;
	unsigned flags;
	const char *name;	/* without "rowhouse_" and without _total's meaning lost: as in DESIGN 11 */
	const char *help;
	int dim_a, dim_b;	/* of rh_metrics_dim; -1: none */
};

struct rh_metrics *rh_metrics_new(struct rh_arena *arena);
/*
 * keys: "method,route". cap 0: fixed, its values are added before the first
 * family that uses it. Else live, with a single key and at most cap values,
 * those added beforehand among them.
 */
int rh_metrics_dim(struct rh_metrics *m, const char *keys, unsigned cap);
/* One value for each key. Before the segment is made; answers its index. */
unsigned rh_metrics_value(struct rh_metrics *m, int dim,
    const char *const values[]);
struct rh_family rh_metrics_family(struct rh_metrics *m,
    const struct rh_family_spec *spec);
/*
 * The exponential buckets of the histogram that was just made, which has one
 * dimension: Prometheus' native histogram of RH_NATIVE_SCHEMA, shown in
 * protobuf alone. It is counted in before the histogram:
 * rh_count(t, native, a, rh_native_of(ns), 1).
 */
#define RH_NATIVE_SCHEMA	3	/* each bound 2^(1/8) times the one before */
#define RH_NATIVE_FIRST		(-15)	/* 2^-15 s, 31 us: what is below counts as zero */
#define RH_NATIVE_LAST		12	/* 2^12 s: longer than any deadline */
#define RH_NATIVE_CELLS	\
	(1 + ((RH_NATIVE_LAST - RH_NATIVE_FIRST) << RH_NATIVE_SCHEMA))
struct rh_family rh_metrics_native(struct rh_metrics *m,
    const struct rh_family_spec *histogram);
unsigned rh_native_of(uint64_t ns);
bool rh_metrics_has(const struct rh_metrics *m, const char *name);
/*
 * A value of a live dimension, from any process at any time: its index, or
 * that of "other" (0, added first by its owner) once the bound is reached.
 */
unsigned rh_metrics_value_live(struct rh_metrics *m, int dim,
    struct rh_slice value);

/* Where this process counts: its slot's cells, or a private page (segment NULL). */
struct rh_tally {
	uint64_t *cells;
	struct rh_exemplar *exemplars;	/* NULL: none kept */
};
void rh_tally_bind(struct rh_tally *tally, struct rh_metrics *m,
    const struct rh_segment *segment, unsigned slot);

struct rh_exemplar_of {
	const unsigned char *trace_id;	/* 16 bytes, of a kept trace only */
	int64_t wall_us;
};

static inline void
rh_count(const struct rh_tally *t, struct rh_family f, unsigned a, unsigned b,
    uint64_t n)
{
	uint64_t *cell = t->cells + f.cell + a * f.stride_a + b * f.stride_b;

	__atomic_store_n(cell, *cell + n, __ATOMIC_RELAXED);
}

static inline void
rh_gauge_set(const struct rh_tally *t, struct rh_family f, unsigned a,
    uint64_t value)
{
	__atomic_store_n(t->cells + f.cell + a * f.stride_a, value,
	    __ATOMIC_RELAXED);
}

/* A gauge set to this by any process is not shown. */
#define RH_GAUGE_UNKNOWN	UINT64_MAX

/* Which of the cells a duration counts in. */
unsigned rh_bucket_of(uint64_t ns);
/* That of its bucket. */
void rh_exemplar_set(const struct rh_tally *t, struct rh_family f, unsigned a,
    unsigned b, uint64_t ns, const struct rh_exemplar_of *exemplar);
/* exemplar NULL: none. */
void rh_observe(const struct rh_tally *t, struct rh_family f, unsigned a,
    unsigned b, uint64_t ns, const struct rh_exemplar_of *exemplar);

enum rh_exposition {
	RH_EXPO_PROMETHEUS, RH_EXPO_OPENMETRICS,
	RH_EXPO_PROTOBUF,	/* MetricFamily messages, each behind its length */
};
/*
 * All families of an opened segment, summed over its slots (gauges: over those
 * that have a process); for OpenMetrics and protobuf with exemplars, for
 * OpenMetrics with "# EOF" left to the caller, who has series of its own to
 * add (workers, process_*, build_info).
 */
void rh_metrics_expose(struct rh_buf *to, const struct rh_segment *segment,
    enum rh_exposition format);
/* Counters and gauges that stand there as Prometheus text, as protobuf. */
void rh_metrics_text_to_protobuf(struct rh_buf *to, struct rh_slice text);
/* One family alone, as Prometheus text; nothing where there is none. */
void rh_metrics_expose_family(struct rh_buf *to,
    const struct rh_segment *segment, const char *name);

#endif
