#include "config.h"

#include "obs/metric_shown.h"

#include <math.h>
#include <stdlib.h>

#include "base/text.h"
#include "obs/wire.h"

/* Numbers of client_model's metrics.proto. */
enum { FAMILY_NAME = 1, FAMILY_HELP, FAMILY_TYPE, FAMILY_METRIC };
enum { METRIC_LABEL = 1, METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM = 7 };
enum { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM = 4 };
enum {
	H_COUNT = 1, H_SUM, H_BUCKET, H_SCHEMA = 5, H_ZERO_THRESHOLD,
	H_ZERO_COUNT, H_POSITIVE_SPAN = 12, H_POSITIVE_DELTA
};

#define NS	1e9	/* of a second */

static void
number(struct rh_wire *w, unsigned field, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	rh_wire_fixed64(w, field, NULL, bits);
}

static uint32_t
zigzag(int32_t n)
{
	return (uint32_t)n << 1 ^ (uint32_t)(n >> 31);
}

/* ---- labels: taken apart again, as they stand in the segment rendered ---- */

static void
unescape(struct rh_buf *to, struct rh_slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '\\' && i + 1 < text.n) {
			c = text.p[++i];
			c = c == 'n' ? '\n' : c;
		}
		rh_buf_char(to, c);
	}
}

/* Cuts name="value" and the comma behind it off. */
static bool
next_label(struct rh_slice *labels, struct rh_slice *name,
    struct rh_slice *value)
{
	size_t end = 1;

	*name = rh_slice_cut(labels, '=');
	if (!labels->p || labels->n < 2 || *labels->p != '"')
		return false;
	while (end < labels->n && labels->p[end] != '"')
		end += labels->p[end] == '\\' ? 2 : 1;
	if (end >= labels->n)
		return false;
	*value = (struct rh_slice){ labels->p + 1, end - 1 };
	*labels = rh_slice_from(*labels, end + 1);
	if (labels->n && *labels->p == ',')
		*labels = rh_slice_from(*labels, 1);
	return true;
}

static void
put_labels(struct rh_wire *w, struct rh_slice labels)
{
	struct rh_slice name, value;

	while (labels.n && next_label(&labels, &name, &value)) {
		size_t pair = rh_wire_open(w, METRIC_LABEL, NULL), text;

		rh_wire_text(w, 1, NULL, name);
		text = rh_wire_open(w, 2, NULL);
		unescape(w->to, value);
		rh_wire_close(w, text);
		rh_wire_close(w, pair);
	}
}

/* ---- what a metric is worth ---- */

static void
put_value(struct rh_wire *w, unsigned kind, double value)
{
	size_t start = rh_wire_open(w, kind, NULL);

	number(w, 1, value);
	rh_wire_close(w, start);
}

static void
put_exemplar(struct rh_wire *w, const struct rh_exemplar *e)
{
	size_t start = rh_wire_open(w, 3, NULL), part = rh_wire_open(w, 1, NULL);
	char id[32];

	rh_hex_put(id, e->trace_id, 16);
	rh_wire_text(w, 1, NULL, RH_SLICE("trace_id"));
	rh_wire_text(w, 2, NULL, (struct rh_slice){ id, sizeof(id) });
	rh_wire_close(w, part);
	number(w, 2, (double)e->value_ns / NS);
	part = rh_wire_open(w, 3, NULL);
	rh_wire_int(w, 1, NULL, e->wall_us / 1000000);
	rh_wire_int(w, 2, NULL, e->wall_us % 1000000 * 1000);
	rh_wire_close(w, part);
	rh_wire_close(w, start);
}

static void
put_buckets(struct rh_wire *w, const struct rh_shown *s)
{
	uint64_t count = 0;

	for (unsigned i = 0; i <= RH_BUCKETS; i++) {
		size_t start = rh_wire_open(w, H_BUCKET, NULL);
		struct rh_exemplar e;

		count += s->cells[i];
		rh_wire_int(w, 1, NULL, (int64_t)count);
		number(w, 2, i < RH_BUCKETS ? (double)rh_bucket_ns[i] / NS :
		    (double)INFINITY);
		if (s->family->flags & RH_M_EXEMPLARS && s->cells[i] &&
		    rh_shown_exemplar(s, i, &e))
			put_exemplar(w, &e);
		rh_wire_close(w, start);
	}
}

static uint64_t
count_of(const struct rh_shown *s)
{
	uint64_t count = 0;

	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		count += s->cells[i];
	return count;
}

/* ---- native buckets ---- */

const struct rh_seg_family *
rh_shown_native(const struct rh_seg_head *head, unsigned i)
{
	const struct rh_seg_family *f = rh_seg_family(head, i), *next = f + 1;

	return f->kind == RH_M_HISTOGRAM && f->dim_b < 0 &&
	    next->flags & RH_M_NATIVE && next->kind == RH_M_COUNTER &&
	    next->dim_a == f->dim_a && next->dim_b >= 0 &&
	    rh_seg_dim_size(head, next->dim_b) == RH_NATIVE_CELLS ? next : NULL;
}

/* Read after the classic ones, which are counted after them: never fewer. */
static uint64_t
native_read(const struct rh_shown *s, uint64_t cells[RH_NATIVE_CELLS])
{
	struct rh_family at = s->native->at;
	uint64_t all = 0;

	atomic_thread_fence(memory_order_acquire);
	memset(cells, 0, RH_NATIVE_CELLS * sizeof(*cells));
	for (unsigned slot = 0; slot < s->segment->head->slots; slot++)
		rh_assert(rh_seg_cells_add(s->segment, slot, s->native,
		    at.cell + s->a * at.stride_a, cells, RH_NATIVE_CELLS));
	for (unsigned i = 0; i < RH_NATIVE_CELLS; i++)
		all += cells[i];
	return all;
}

static void
put_span(struct rh_wire *w, int32_t offset, uint32_t length)
{
	size_t start = rh_wire_open(w, H_POSITIVE_SPAN, NULL);

	rh_wire_small(w, 1, NULL, zigzag(offset));
	rh_wire_small(w, 2, NULL, length);
	rh_wire_close(w, start);
}

/* Runs of buckets that are not empty; offsets from the end of the one before. */
static void
put_spans(struct rh_wire *w, const uint64_t cells[RH_NATIVE_CELLS])
{
	const int32_t first = RH_NATIVE_FIRST * (1 << RH_NATIVE_SCHEMA) + 1;
	int32_t end = 0;

	for (unsigned i = 1, n; i < RH_NATIVE_CELLS; i += n ? n : 1) {
		for (n = 0; i + n < RH_NATIVE_CELLS && cells[i + n]; n++)
			;
		if (n) {
			int32_t start = first + (int32_t)i - 1;

			put_span(w, start - end, n);
			end = start + (int32_t)n;
		}
	}
	/* a histogram that has observed nothing is told from one without buckets */
	if (end == 0)
		put_span(w, 0, 0);
}

static void
put_deltas(struct rh_wire *w, const uint64_t cells[RH_NATIVE_CELLS])
{
	int64_t before = 0;

	for (unsigned i = 1; i < RH_NATIVE_CELLS; i++) {
		int64_t delta = (int64_t)cells[i] - before;

		if (!cells[i])
			continue;
		rh_wire_int(w, H_POSITIVE_DELTA, NULL,
		    (int64_t)((uint64_t)delta << 1 ^ (uint64_t)(delta >> 63)));
		before = (int64_t)cells[i];
	}
}

static void
put_histogram(struct rh_wire *w, const struct rh_shown *s)
{
	size_t start = rh_wire_open(w, METRIC_HISTOGRAM, NULL);
	uint64_t cells[RH_NATIVE_CELLS];
	uint64_t count = s->native ? native_read(s, cells) : count_of(s);

	rh_wire_int(w, H_COUNT, NULL, (int64_t)count);
	number(w, H_SUM, (double)s->cells[RH_BUCKETS + 1] / NS);
	put_buckets(w, s);
	if (s->native) {
		rh_wire_small(w, H_SCHEMA, NULL, zigzag(RH_NATIVE_SCHEMA));
		number(w, H_ZERO_THRESHOLD, ldexp(1, RH_NATIVE_FIRST));
		rh_wire_int(w, H_ZERO_COUNT, NULL, (int64_t)cells[0]);
		put_spans(w, cells);
		put_deltas(w, cells);
	}
	rh_wire_close(w, start);
}

/* ---- families ---- */

static void
put_series(const struct rh_shown *s)
{
	struct rh_wire w = { s->to, false };
	size_t start = rh_wire_open(&w, FAMILY_METRIC, NULL);
	char labels[1024];
	struct rh_shown copy = *s;
	struct rh_buf text;

	rh_buf_init_fixed(&text, labels, sizeof(labels));
	copy.to = &text;
	rh_shown_labels(&copy);
	put_labels(&w, rh_buf_get(&text));
	if (s->family->kind == RH_M_HISTOGRAM)
		put_histogram(&w, s);
	else
		put_value(&w, s->family->kind == RH_M_COUNTER ?
		    METRIC_COUNTER : METRIC_GAUGE, (double)s->cells[0] /
		    (s->family->flags & RH_M_NANOSECONDS ? NS : 1));
	rh_wire_close(&w, start);
}

static void
put_head(struct rh_wire *w, const char *prefix, struct rh_slice name,
    struct rh_slice help, uint32_t type)
{
	size_t start = rh_wire_open(w, FAMILY_NAME, NULL);

	rh_buf_slice(w->to, rh_slice_of(prefix));
	rh_buf_slice(w->to, name);
	rh_wire_close(w, start);
	rh_wire_text(w, FAMILY_HELP, NULL, help);
	rh_wire_small(w, FAMILY_TYPE, NULL, type);
}

void
rh_shown_protobuf(struct rh_shown *s)
{
	static const uint32_t types[] = {
		[RH_M_COUNTER] = TYPE_COUNTER, [RH_M_GAUGE] = TYPE_GAUGE,
		[RH_M_HISTOGRAM] = TYPE_HISTOGRAM,
	};
	struct rh_wire w = { s->to, false };
	size_t empty = s->to->n, start = rh_wire_frame(&w), series;

	put_head(&w, "rowhouse_", s->name,
	    rh_seg_text(s->segment->head, s->family->help),
	    types[s->family->kind]);
	series = s->to->n;
	rh_shown_each(s, put_series);
	/* a family without a metric is refused */
	if (s->to->n == series)
		s->to->n = empty;
	else
		rh_wire_close(&w, start);
}

/* ---- from text ---- */

struct family {
	struct rh_slice name, help;
	uint32_t type;
	size_t start;	/* in the buffer; SIZE_MAX: nothing yet */
};

static void
family_end(struct rh_wire *w, struct family *f)
{
	if (f->start != SIZE_MAX)
		rh_wire_close(w, f->start);
	*f = (struct family){ .type = TYPE_GAUGE, .start = SIZE_MAX };
}

/* A broken text may end with it, and strtod looks for an end. */
static double
number_of(struct rh_slice text)
{
	char copy[64];
	size_t n = RH_MIN(text.n, sizeof(copy) - 1);

	memcpy(copy, text.p, n);
	copy[n] = '\0';
	return strtod(copy, NULL);
}

/* "name{labels} value", "name value" */
static void
put_line(struct rh_wire *w, struct family *f, struct rh_slice line)
{
	struct rh_slice labels = RH_SLICE_NONE;
	size_t at = line.n, start;

	while (at && line.p[at - 1] != ' ')
		at--;
	for (size_t i = 0; i < at && !labels.p; i++)
		if (line.p[i] == '{')
			labels = (struct rh_slice){ line.p + i + 1,
			    at > i + 3 ? at - i - 3 : 0 };
	if (f->start == SIZE_MAX) {
		f->start = rh_wire_frame(w);
		put_head(w, "", f->name, f->help, f->type);
	}
	start = rh_wire_open(w, FAMILY_METRIC, NULL);
	put_labels(w, labels);
	put_value(w, f->type == TYPE_COUNTER ? METRIC_COUNTER : METRIC_GAUGE,
	    number_of(rh_slice_from(line, at)));
	rh_wire_close(w, start);
}

void
rh_metrics_text_to_protobuf(struct rh_buf *to, struct rh_slice text)
{
	struct rh_slice help = RH_SLICE("# HELP "), type = RH_SLICE("# TYPE ");
	struct rh_wire w = { to, false };
	struct family f = { .start = SIZE_MAX };

	while (text.n) {
		struct rh_slice line = rh_slice_cut(&text, '\n');

		if (rh_slice_has_prefix(line, help)) {
			family_end(&w, &f);
			f.help = rh_slice_from(line, help.n);
			f.name = rh_slice_cut(&f.help, ' ');
		} else if (rh_slice_has_prefix(line, type)) {
			line = rh_slice_from(line, type.n);
			rh_slice_cut(&line, ' ');
			if (rh_slice_is(line, RH_SLICE("counter")))
				f.type = TYPE_COUNTER;
		} else if (line.n && *line.p != '#')
			put_line(&w, &f, line);
	}
	family_end(&w, &f);
}
