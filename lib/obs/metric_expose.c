#include "config.h"

#include "obs/metric.h"

#include "base/text.h"
#include "obs/metric_shown.h"

/* The same digits in both formats, or a scraper's choice would rename series. */
static const struct rh_slice bounds[RH_BUCKETS + 1] = {
	RH_SLICE_INIT("0.0005"), RH_SLICE_INIT("0.001"), RH_SLICE_INIT("0.0025"),
	RH_SLICE_INIT("0.005"), RH_SLICE_INIT("0.01"), RH_SLICE_INIT("0.025"),
	RH_SLICE_INIT("0.05"), RH_SLICE_INIT("0.1"), RH_SLICE_INIT("0.25"),
	RH_SLICE_INIT("0.5"), RH_SLICE_INIT("1.0"), RH_SLICE_INIT("2.5"),
	RH_SLICE_INIT("5.0"), RH_SLICE_INIT("10.0"), RH_SLICE_INIT("+Inf"),
};

/* What a dead process last set its gauges to holds no longer. */
static bool
counts(const struct rh_shown *s, unsigned slot)
{
	return s->family->kind != RH_M_GAUGE ||
	    atomic_load_explicit(&rh_seg_slot(s->segment, slot)->pid,
		memory_order_relaxed);
}

bool
rh_shown_sum(struct rh_shown *s)
{
	struct rh_family at = s->family->at;
	uint64_t any = 0;

	memset(s->cells, 0, sizeof(s->cells));
	s->unknown = false;
	for (unsigned i = 0; i < s->segment->head->slots; i++)
		if (counts(s, i))
			s->unknown |= !rh_seg_cells_add(s->segment, i,
			    s->family, at.cell + s->a * at.stride_a +
			    s->b * at.stride_b, s->cells, at.stride_b);
	for (unsigned i = 0; i < at.stride_b; i++)
		any |= s->cells[i];
	return !s->unknown && (any || !(s->family->flags & RH_M_SPARSE));
}

static void
put_escaped(struct rh_buf *to, struct rh_slice value)
{
	size_t step;

	for (; value.n; value = rh_slice_from(value, step)) {
		step = rh_utf8_step((const unsigned char *)value.p, value.n);
		if (step == 0) {
			rh_buf_lit(to, "\xef\xbf\xbd");
			step = 1;
		} else if (*value.p == '\n') {
			rh_buf_lit(to, "\\n");
		} else {
			if (*value.p == '"' || *value.p == '\\')
				rh_buf_char(to, '\\');
			rh_buf_put(to, value.p, step);
		}
	}
}

static struct rh_seg_name *
live_name(const struct rh_shown *s, const struct rh_seg_dim *dim, uint32_t i)
{
	return i < dim->nvalues ? NULL :
	    rh_seg_names(s->segment, dim) + (i - dim->nvalues);
}

/* A value that nobody has completed yet is not shown. */
static bool
is_complete(const struct rh_shown *s, int dim, uint32_t i)
{
	struct rh_seg_name *name;

	if (dim < 0)
		return true;
	name = live_name(s, rh_seg_dim(s->segment->head, dim), i);
	return !name || atomic_load_explicit(&name->n, memory_order_acquire);
}

static void
put_value(const struct rh_shown *s, int dim, uint32_t i)
{
	const struct rh_seg_head *head = s->segment->head;
	const struct rh_seg_dim *d = rh_seg_dim(head, dim);
	struct rh_seg_name *name = live_name(s, d, i);

	if (!name) {
		rh_buf_slice(s->to, rh_seg_value(head, d->value + i));
		return;
	}
	rh_buf_slice(s->to, rh_seg_text(head, d->keys));
	rh_buf_lit(s->to, "=\"");
	put_escaped(s->to, (struct rh_slice){ name->bytes,
	    RH_MIN(name->n, sizeof(name->bytes)) });
	rh_buf_char(s->to, '"');
}

bool
rh_shown_labels(const struct rh_shown *s)
{
	if (s->family->dim_a < 0)
		return false;
	put_value(s, s->family->dim_a, s->a);
	if (s->family->dim_b >= 0) {
		rh_buf_char(s->to, ',');
		put_value(s, s->family->dim_b, s->b);
	}
	return true;
}

/* rowhouse_name_suffix{labels,le="…"} and a space */
static void
put_sample(const struct rh_shown *s, struct rh_slice suffix, struct rh_slice le)
{
	bool some = s->family->dim_a >= 0 || le.n;

	rh_buf_lit(s->to, "rowhouse_");
	rh_buf_slice(s->to, s->name);
	rh_buf_slice(s->to, suffix);
	if (some)
		rh_buf_char(s->to, '{');
	if (rh_shown_labels(s) && le.n)
		rh_buf_char(s->to, ',');
	if (le.n) {
		rh_buf_lit(s->to, "le=\"");
		rh_buf_slice(s->to, le);
		rh_buf_char(s->to, '"');
	}
	if (some)
		rh_buf_char(s->to, '}');
	rh_buf_char(s->to, ' ');
}

/* A whole copy, or none: its writer may be at it. */
static bool
exemplar_get(const struct rh_exemplar *e, struct rh_exemplar *copy)
{
	uint32_t seq = atomic_load_explicit(&e->seq, memory_order_acquire);

	copy->trace_id[0] = atomic_load_explicit(&e->trace_id[0],
	    memory_order_relaxed);
	copy->trace_id[1] = atomic_load_explicit(&e->trace_id[1],
	    memory_order_relaxed);
	copy->value_ns = atomic_load_explicit(&e->value_ns,
	    memory_order_relaxed);
	copy->wall_us = atomic_load_explicit(&e->wall_us,
	    memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	return seq % 2 == 0 && copy->wall_us > 0 &&
	    atomic_load_explicit(&e->seq, memory_order_relaxed) == seq;
}

bool
rh_shown_exemplar(const struct rh_shown *s, unsigned bucket,
    struct rh_exemplar *newest)
{
	struct rh_family at = s->family->at;
	uint32_t index = at.exemplar + bucket + (RH_BUCKETS + 1) *
	    ((s->a * at.stride_a + s->b * at.stride_b) / at.stride_b);
	const struct rh_exemplar *from;
	struct rh_exemplar e;

	newest->wall_us = 0;
	for (unsigned i = 0; i < s->segment->head->slots; i++) {
		from = rh_seg_exemplars(s->segment, i) + index;
		if (rh_seg_is_written(s->segment, i, from) &&
		    rh_seg_is_written(s->segment, i, &from->wall_us) &&
		    exemplar_get(from, &e) && e.wall_us > newest->wall_us)
			*newest = e;
	}
	return newest->wall_us &&
	    (bucket == RH_BUCKETS || newest->value_ns <= rh_bucket_ns[bucket]) &&
	    (bucket == 0 || newest->value_ns > rh_bucket_ns[bucket - 1]);
}

static void
put_exemplar(const struct rh_shown *s, unsigned bucket)
{
	struct rh_exemplar newest;

	if (!rh_shown_exemplar(s, bucket, &newest))
		return;
	rh_buf_lit(s->to, " # {trace_id=\"");
	rh_buf_hex(s->to, newest.trace_id, 16);
	rh_buf_lit(s->to, "\"} ");
	rh_buf_fixed(s->to, newest.value_ns, 9);
	rh_buf_char(s->to, ' ');
	rh_buf_fixed(s->to, (uint64_t)newest.wall_us, 6);
}

static void
put_histogram(const struct rh_shown *s)
{
	uint64_t count = 0;
	bool exemplars = s->format == RH_EXPO_OPENMETRICS &&
	    s->family->flags & RH_M_EXEMPLARS;

	for (unsigned i = 0; i <= RH_BUCKETS; i++) {
		count += s->cells[i];
		put_sample(s, RH_SLICE("_bucket"), bounds[i]);
		rh_buf_u64(s->to, count);
		if (exemplars && s->cells[i])
			put_exemplar(s, i);
		rh_buf_char(s->to, '\n');
	}
	put_sample(s, RH_SLICE("_count"), RH_SLICE_NONE);
	rh_buf_u64(s->to, count);
	rh_buf_char(s->to, '\n');
	put_sample(s, RH_SLICE("_sum"), RH_SLICE_NONE);
	rh_buf_fixed(s->to, s->cells[RH_BUCKETS + 1], 9);
	rh_buf_char(s->to, '\n');
}

static void
put_series(const struct rh_shown *s)
{
	if (s->family->kind == RH_M_HISTOGRAM) {
		put_histogram(s);
		return;
	}
	put_sample(s, RH_SLICE_NONE, RH_SLICE_NONE);
	if (s->family->flags & RH_M_NANOSECONDS)
		rh_buf_fixed(s->to, s->cells[0], 9);
	else
		rh_buf_u64(s->to, s->cells[0]);
	rh_buf_char(s->to, '\n');
}

static void
put_head(const struct rh_shown *s)
{
	static const char *const kinds[] = { " counter\n", " gauge\n",
	    " histogram\n" };
	struct rh_slice help = rh_seg_text(s->segment->head, s->family->help);
	struct rh_slice total = RH_SLICE("_total"), name = s->name;

	/* OpenMetrics names the family without what its samples end in */
	if (s->format == RH_EXPO_OPENMETRICS &&
	    s->family->kind == RH_M_COUNTER && name.n > total.n &&
	    memcmp(name.p + name.n - total.n, total.p, total.n) == 0)
		name.n -= total.n;
	rh_buf_lit(s->to, "# HELP rowhouse_");
	rh_buf_slice(s->to, name);
	rh_buf_char(s->to, ' ');
	rh_buf_slice(s->to, help);
	rh_buf_lit(s->to, "\n# TYPE rowhouse_");
	rh_buf_slice(s->to, name);
	rh_buf_put(s->to, kinds[s->family->kind],
	    strlen(kinds[s->family->kind]));
}

void
rh_shown_each(struct rh_shown *s, void (*put)(const struct rh_shown *))
{
	const struct rh_seg_head *head = s->segment->head;
	uint32_t na = rh_seg_dim_size(head, s->family->dim_a);
	uint32_t nb = rh_seg_dim_size(head, s->family->dim_b);

	for (s->a = 0; s->a < na; s->a++) {
		if (!is_complete(s, s->family->dim_a, s->a))
			continue;
		for (s->b = 0; s->b < nb; s->b++)
			if (is_complete(s, s->family->dim_b, s->b) &&
			    rh_shown_sum(s))
				put(s);
	}
}

static void
expose_family(struct rh_shown *s)
{
	s->name = rh_seg_text(s->segment->head, s->family->name);
	if (s->family->flags & (RH_M_NATIVE | RH_M_HIDDEN))
		return;
	if (s->format == RH_EXPO_PROTOBUF) {
		rh_shown_protobuf(s);
		return;
	}
	put_head(s);
	rh_shown_each(s, put_series);
}

void
rh_metrics_expose(struct rh_buf *to, const struct rh_segment *segment,
    enum rh_exposition format)
{
	struct rh_shown s = { .segment = segment, .to = to, .format = format };

	for (unsigned i = 0; i < segment->head->nfamilies; i++) {
		s.family = rh_seg_family(segment->head, i);
		s.native = NULL;
		if (i + 1 < segment->head->nfamilies)
			s.native = rh_shown_native(segment->head, i);
		expose_family(&s);
	}
}

void
rh_metrics_expose_family(struct rh_buf *to, const struct rh_segment *segment,
    const char *name)
{
	struct rh_shown s = { .segment = segment, .to = to,
		.format = RH_EXPO_PROMETHEUS };

	for (unsigned i = 0; i < segment->head->nfamilies; i++) {
		s.family = rh_seg_family(segment->head, i);
		if (rh_slice_is(rh_seg_text(segment->head, s.family->name),
		    rh_slice_of(name)))
			expose_family(&s);
	}
}
