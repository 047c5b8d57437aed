#include "config.h"

#include "obs/metric_read.h"

#include <math.h>

#include "obs/segment_file.h"

int
rh_metric_find(const struct rh_segment *segment, const char *name)
{
	const struct rh_seg_head *head = segment->head;

	for (unsigned i = 0; i < head->nfamilies; i++)
		if (rh_slice_is(rh_seg_text(head, rh_seg_family(head, i)->name),
		    rh_slice_of(name)))
			return (int)i;
	return -1;
}

void
rh_metric_size(const struct rh_segment *segment, int metric, unsigned *na,
    unsigned *nb)
{
	const struct rh_seg_family *f;

	*na = *nb = 0;
	if (metric < 0)
		return;
	f = rh_seg_family(segment->head, (unsigned)metric);
	*na = rh_seg_dim_size(segment->head, f->dim_a);
	*nb = rh_seg_dim_size(segment->head, f->dim_b);
}

bool
rh_metric_sum(const struct rh_segment *segment, int metric, unsigned a,
    unsigned b, uint64_t cells[RH_METRIC_CELLS])
{
	const struct rh_seg_family *f;
	bool known = true;
	unsigned na, nb;

	memset(cells, 0, RH_METRIC_CELLS * sizeof(*cells));
	rh_metric_size(segment, metric, &na, &nb);
	if (a >= na || b >= nb)
		return false;
	f = rh_seg_family(segment->head, (unsigned)metric);
	for (unsigned i = 0; i < segment->head->slots; i++) {
		if (f->kind == RH_M_GAUGE &&
		    !atomic_load_explicit(&rh_seg_slot(segment, i)->pid,
			memory_order_relaxed))
			continue;
		known &= rh_seg_cells_add(segment, i, f, f->at.cell +
		    a * f->at.stride_a + b * f->at.stride_b, cells,
		    f->at.stride_b);
	}
	return known;
}

void
rh_metric_workers(const struct rh_segment *segment, int metric, unsigned a,
    unsigned *workers, unsigned *nonzero)
{
	uint64_t cells[RH_METRIC_CELLS];
	const struct rh_seg_family *f;
	unsigned na, nb;

	*workers = *nonzero = 0;
	rh_metric_size(segment, metric, &na, &nb);
	if (a >= na || nb == 0)
		return;
	f = rh_seg_family(segment->head, (unsigned)metric);
	for (unsigned i = 1; i < rh_segment_slots(segment); i++) {
		cells[0] = 0;
		if (!rh_slot_serves(rh_segment_slot(segment, i)) ||
		    !rh_seg_cells_add(segment, rh_segment_place(segment, i), f,
		    f->at.cell + a * f->at.stride_a, cells, f->at.stride_b))
			continue;
		++*workers;
		*nonzero += cells[0] != 0;
	}
}

uint64_t
rh_metric_total(const struct rh_segment *segment, const char *name)
{
	int metric = rh_metric_find(segment, name);
	uint64_t cells[RH_METRIC_CELLS], total = 0;
	unsigned na, nb;

	rh_metric_size(segment, metric, &na, &nb);
	for (unsigned a = 0; a < na; a++)
		for (unsigned b = 0; b < nb; b++)
			if (rh_metric_sum(segment, metric, a, b, cells))
				total += cells[0];
	return total;
}

/* What follows key=" up to the next quote that is not escaped. */
static struct rh_slice
fixed_label(struct rh_slice set, const char *key, struct rh_arena *arena)
{
	struct rh_slice want = rh_slice_of(rh_arena_printf(arena, "%s=\"", key));
	const char *at = set.n ? memmem(set.p, set.n, want.p, want.n) : NULL;
	struct rh_buf b;

	if (!at)
		return RH_SLICE_NONE;
	rh_buf_init(&b, arena, 32, set.n + 1);
	at += want.n;
	for (; at < set.p + set.n && *at != '"'; at++) {
		if (*at == '\\' && at + 1 < set.p + set.n && *++at == 'n')
			rh_buf_char(&b, '\n');
		else
			rh_buf_char(&b, *at);
	}
	return rh_buf_get(&b);
}

static struct rh_slice
live_label(const struct rh_segment *segment, const struct rh_seg_dim *dim,
    unsigned i, struct rh_arena *arena)
{
	const struct rh_seg_name *name = rh_seg_names(segment, dim) + i;
	uint32_t n = atomic_load_explicit(&name->n, memory_order_acquire);

	if (n == 0)
		return RH_SLICE_NONE;
	return rh_arena_slice(arena, (struct rh_slice){ name->bytes,
	    RH_MIN(n, (uint32_t)RH_SEG_NAME_MAX) });
}

struct rh_slice
rh_metric_label(const struct rh_segment *segment, int metric, char dimension,
    unsigned i, const char *key, struct rh_arena *arena)
{
	const struct rh_seg_head *head = segment->head;
	const struct rh_seg_family *f;
	const struct rh_seg_dim *d;
	int dim;

	if (metric < 0)
		return RH_SLICE_NONE;
	f = rh_seg_family(head, (unsigned)metric);
	dim = dimension == 'a' ? f->dim_a : f->dim_b;
	if (dim < 0 || i >= rh_seg_dim_size(head, dim))
		return RH_SLICE_NONE;
	d = rh_seg_dim(head, dim);
	return i < d->nvalues ?
	    fixed_label(rh_seg_value(head, d->value + i), key, arena) :
	    live_label(segment, d, i - d->nvalues, arena);
}

uint64_t
rh_quantile_ns(const uint64_t buckets[RH_BUCKETS + 1], double q)
{
	double all = 0, below = 0, rank, low, width;
	unsigned i;

	for (i = 0; i <= RH_BUCKETS; i++)
		all += (double)buckets[i];
	if (all <= 0)
		return 0;
	rank = q * all;
	for (i = 0; i < RH_BUCKETS && below + (double)buckets[i] < rank; i++)
		below += (double)buckets[i];
	/* above all bounds nothing is known but that */
	if (i == RH_BUCKETS)
		return rh_bucket_ns[RH_BUCKETS - 1];
	low = i ? (double)rh_bucket_ns[i - 1] : 0;
	width = (double)rh_bucket_ns[i] - low;
	return (uint64_t)(low + (buckets[i] ? width * (rank - below) /
	    (double)buckets[i] : width));
}

double
rh_share_below(const uint64_t buckets[RH_BUCKETS + 1], uint64_t ns)
{
	unsigned in = rh_bucket_of(ns);
	double all = 0, below = 0, low, high;

	for (unsigned i = 0; i <= RH_BUCKETS; i++) {
		all += (double)buckets[i];
		if (i < in)
			below += (double)buckets[i];
	}
	if (all <= 0)
		return NAN;
	if (in == RH_BUCKETS)
		return below / all;
	low = in ? (double)rh_bucket_ns[in - 1] : 0;
	high = (double)rh_bucket_ns[in];
	return (below + (double)buckets[in] * ((double)ns - low) /
	    (high - low)) / all;
}
