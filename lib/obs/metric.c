#include "config.h"

#include "obs/metric.h"

#include <math.h>
#include <stdio.h>

#include "base/crypto.h"
#include "obs/segment_file.h"

#define DIMS_MAX	32
#define FAMILIES_MAX	128
#define CELLS_MAX	(1u << 24)

/* A dimension while it is filled; a family of it freezes it. */
struct dim {
	struct rh_seg_dim d;
	struct rh_seg_text *values;
	unsigned room;
	bool frozen;
	/* what this process knows of the live values: hash to index */
	struct known { uint64_t hash; uint32_t index; } *known;
	unsigned nknown, known_room;	/* room is a power of two */
};

struct rh_metrics {
	struct rh_arena *arena;
	struct dim dims[DIMS_MAX];
	struct rh_seg_family families[FAMILIES_MAX];
	unsigned ndims, nfamilies;
	uint32_t ncells, nexemplars;
	struct rh_buf texts;
	const struct rh_segment *segment;
	uint64_t *unread;		/* the private page */
};

const uint64_t rh_bucket_ns[RH_BUCKETS] = {
	500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000,
	100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000,
	10000000000
};

struct rh_metrics *
rh_metrics_new(struct rh_arena *arena)
{
	struct rh_metrics *m = RH_NEW(arena, struct rh_metrics);

	m->arena = arena;
	rh_buf_init(&m->texts, arena, 4096, 4 << 20);
	return m;
}

static struct rh_seg_text
text(struct rh_metrics *m, const char *s)
{
	struct rh_seg_text t = { (uint32_t)m->texts.n, (uint32_t)strlen(s) };

	rh_buf_put(&m->texts, s, t.n);
	rh_assert(!m->texts.full);
	return t;
}

static struct dim *
dim_of(struct rh_metrics *m, int dim)
{
	rh_assert(dim >= 0 && (unsigned)dim < m->ndims);
	return &m->dims[dim];
}

int
rh_metrics_dim(struct rh_metrics *m, const char *keys, unsigned cap)
{
	struct dim *dim = &m->dims[m->ndims];

	rh_assert(!m->segment && m->ndims < DIMS_MAX && cap <= 65536);
	rh_assert(cap == 0 || !strchr(keys, ','));
	dim->d.keys = text(m, keys);
	dim->d.cap = cap;
	if (cap) {
		for (dim->known_room = 16; dim->known_room < 2 * cap;)
			dim->known_room *= 2;
		dim->known = rh_arena_zalloc(m->arena, dim->known_room,
		    sizeof(*dim->known));
	}
	return (int)m->ndims++;
}

/* Text format 0.0.4 and OpenMetrics escape a label's value alike. */
static void
put_label(struct rh_buf *to, struct rh_slice key, const char *value)
{
	rh_buf_slice(to, key);
	rh_buf_lit(to, "=\"");
	for (; *value; value++)
		if (*value == '\n')
			rh_buf_lit(to, "\\n");
		else {
			if (*value == '\\' || *value == '"')
				rh_buf_char(to, '\\');
			rh_buf_char(to, *value);
		}
	rh_buf_char(to, '"');
}

unsigned
rh_metrics_value(struct rh_metrics *m, int dim, const char *const values[])
{
	struct dim *d = dim_of(m, dim);
	struct rh_slice keys;
	/* the keys lie in texts, which may move while it grows */
	char copy[128];
	uint32_t start = (uint32_t)m->texts.n;

	rh_assert(!m->segment && !d->frozen && d->d.keys.n < sizeof(copy));
	memcpy(copy, m->texts.p + d->d.keys.at, d->d.keys.n);
	keys = (struct rh_slice){ copy, d->d.keys.n };
	for (unsigned i = 0; keys.p; i++) {
		if (i)
			rh_buf_char(&m->texts, ',');
		put_label(&m->texts, rh_slice_cut(&keys, ','), values[i]);
	}
	rh_assert(!m->texts.full);
	if (d->d.nvalues == d->room) {
		d->values = rh_arena_grow(m->arena, d->values,
		    d->room * sizeof(*d->values),
		    (d->room * 2 + 16) * sizeof(*d->values));
		d->room = d->room * 2 + 16;
	}
	/* what its owner adds is within the bound of a live dimension */
	if (d->known) {
		rh_assert(d->d.cap > 0);
		d->d.cap--;
	}
	d->values[d->d.nvalues] = (struct rh_seg_text){ start,
	    (uint32_t)m->texts.n - start };
	return d->d.nvalues++;
}

static uint32_t
dim_size(struct rh_metrics *m, int dim)
{
	if (dim < 0)
		return 1;
	dim_of(m, dim)->frozen = true;
	return m->dims[dim].d.nvalues + m->dims[dim].d.cap;
}

struct rh_family
rh_metrics_family(struct rh_metrics *m, const struct rh_family_spec *spec)
{
	uint32_t na = dim_size(m, spec->dim_a), nb = dim_size(m, spec->dim_b);
	uint32_t width = rh_seg_width(spec->kind);
	struct rh_seg_family *f = &m->families[m->nfamilies];

	rh_assert(!m->segment && m->nfamilies < FAMILIES_MAX);
	rh_assert(spec->dim_a >= 0 || spec->dim_b < 0);
	*f = (struct rh_seg_family){ .kind = spec->kind, .flags = spec->flags,
	    .dim_a = spec->dim_a, .dim_b = spec->dim_b,
	    .name = text(m, spec->name), .help = text(m, spec->help) };
	f->at = (struct rh_family){ m->ncells, nb * width, width,
	    m->nexemplars };
	m->ncells += na * nb * width;
	if (spec->kind == RH_M_HISTOGRAM && spec->flags & RH_M_EXEMPLARS)
		m->nexemplars += na * nb * (RH_BUCKETS + 1);
	rh_assert(m->ncells < CELLS_MAX);
	m->nfamilies++;
	return f->at;
}

static uint64_t native_ns[RH_NATIVE_CELLS];	/* the bounds, rounded down */

struct rh_family
rh_metrics_native(struct rh_metrics *m, const struct rh_family_spec *histogram)
{
	int dim = rh_metrics_dim(m, "native", 0);
	struct rh_family_spec spec = *histogram;

	rh_assert(histogram->kind == RH_M_HISTOGRAM && histogram->dim_b < 0 &&
	    histogram->dim_a >= 0);
	for (int i = 0; i < RH_NATIVE_CELLS; i++) {
		char text[16];

		native_ns[i] = (uint64_t)(1e9 * exp2(RH_NATIVE_FIRST +
		    (double)i / (1 << RH_NATIVE_SCHEMA)));
		snprintf(text, sizeof(text), "%d", i);
		rh_metrics_value(m, dim, (const char *[]){ text });
	}
	spec.kind = RH_M_COUNTER;
	spec.flags = RH_M_SPARSE | RH_M_NATIVE;
	spec.dim_b = dim;
	return rh_metrics_family(m, &spec);
}

/* The first bound that is not below; what is past the last counts there. */
unsigned
rh_native_of(uint64_t ns)
{
	unsigned low = 0, high = RH_NATIVE_CELLS - 1;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (ns <= native_ns[middle])
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool
rh_metrics_has(const struct rh_metrics *m, const char *name)
{
	for (unsigned i = 0; i < m->nfamilies; i++) {
		const struct rh_seg_text *t = &m->families[i].name;
		struct rh_slice taken = { m->texts.p + t->at, t->n };

		if (rh_slice_is(taken, rh_slice_of(name)))
			return true;
	}
	return false;
}

void
rh_metrics_count(const struct rh_metrics *m, struct rh_seg_head *head)
{
	head->ndims = m->ndims;
	head->nfamilies = m->nfamilies;
	for (unsigned i = 0; i < m->ndims; i++)
		head->nvalues += m->dims[i].d.nvalues;
	head->ntexts = m->texts.n;
	head->ncells = m->ncells;
	head->nexemplars = m->nexemplars;
}

void
rh_metrics_describe(const struct rh_metrics *m, struct rh_buf *to,
    uint64_t names_at)
{
	struct rh_seg_dim d;
	uint32_t value = 0;

	for (unsigned i = 0; i < m->ndims; i++) {
		d = m->dims[i].d;
		d.value = value;
		d.names_at = (uint32_t)names_at;
		value += d.nvalues;
		names_at += d.cap * sizeof(struct rh_seg_name);
		rh_buf_put(to, &d, sizeof(d));
	}
	for (unsigned i = 0; i < m->ndims; i++)
		rh_buf_put(to, m->dims[i].values, m->dims[i].d.nvalues *
		    sizeof(*m->dims[i].values));
	rh_buf_put(to, m->families, m->nfamilies * sizeof(*m->families));
	rh_buf_put(to, m->texts.p, m->texts.n);
}

void
rh_metrics_attach(struct rh_metrics *m, const struct rh_segment *s)
{
	m->segment = s;
}

static bool
text_is_sound(const struct rh_seg_head *head, struct rh_seg_text t)
{
	return t.at <= head->ntexts && t.n <= head->ntexts - t.at;
}

static bool
dim_is_sound(const struct rh_seg_head *head, const struct rh_seg_dim *d)
{
	return text_is_sound(head, d->keys) && d->value <= head->nvalues &&
	    d->nvalues <= head->nvalues - d->value && d->cap <= 65536 &&
	    d->names_at >= head->live && d->names_at % 64 == 0 &&
	    d->names_at + d->cap * sizeof(struct rh_seg_name) <= head->slot0;
}

/*
 * Families stand one behind the other, from *next on: shared cells would let a
 * small file ask for endless text.
 */
static bool
family_is_sound(const struct rh_seg_head *head, const struct rh_seg_family *f,
    struct rh_family *next)
{
	int dims = (int)head->ndims;
	uint64_t width = rh_seg_width(f->kind), na, nb;

	if (f->kind > RH_M_HISTOGRAM || f->dim_a < -1 || f->dim_a >= dims ||
	    f->dim_b < -1 || f->dim_b >= dims || !text_is_sound(head, f->name) ||
	    !text_is_sound(head, f->help))
		return false;
	na = rh_seg_dim_size(head, f->dim_a);
	nb = rh_seg_dim_size(head, f->dim_b);
	if (f->at.stride_b != width || f->at.stride_a != nb * width ||
	    f->at.cell != next->cell || f->at.exemplar != next->exemplar ||
	    na * nb * width > head->ncells - next->cell)
		return false;
	next->cell += (uint32_t)(na * nb * width);
	if (!(f->flags & RH_M_EXEMPLARS) || f->kind != RH_M_HISTOGRAM)
		return true;
	if (na * nb * (RH_BUCKETS + 1) > head->nexemplars - next->exemplar)
		return false;
	next->exemplar += (uint32_t)(na * nb * (RH_BUCKETS + 1));
	return true;
}

bool
rh_metrics_are_sound(const struct rh_seg_head *head)
{
	const struct rh_seg_text *values = (const struct rh_seg_text *)
	    ((const char *)head + head->values);
	struct rh_family next = { .cell = 0 };

	if (head->ncells > CELLS_MAX || head->nexemplars > CELLS_MAX)
		return false;
	for (unsigned i = 0; i < head->nvalues; i++)
		if (!text_is_sound(head, values[i]))
			return false;
	for (int i = 0; i < (int)head->ndims; i++)
		if (!dim_is_sound(head, rh_seg_dim(head, i)))
			return false;
	for (unsigned i = 0; i < head->nfamilies; i++)
		if (!family_is_sound(head, rh_seg_family(head, i), &next))
			return false;
	return true;
}

/* The entry of hash, or the free one where it belongs. */
static struct known *
known_find(const struct dim *d, uint64_t hash)
{
	unsigned mask = d->known_room - 1, i = (unsigned)hash & mask;

	while (d->known[i].hash && d->known[i].hash != hash)
		i = (i + 1) & mask;
	return &d->known[i];
}

static void
known_add(struct dim *d, uint64_t hash, uint32_t index)
{
	struct known *k = known_find(d, hash);

	d->nknown += !k->hash;
	*k = (struct known){ hash, index };
}

/*
 * The table fills from the front and nothing ever leaves it, so a value's
 * place is the first with its hash or the first free one, for every process.
 * Answers cap when all are taken by others.
 */
static unsigned
name_claim(struct dim *d, struct rh_seg_name *names, uint64_t hash)
{
	uint64_t there;
	unsigned i;

	for (i = 0; i < d->d.cap; i++) {
		there = 0;
		if (atomic_compare_exchange_strong_explicit(&names[i].hash,
		    &there, hash, memory_order_acq_rel, memory_order_acquire) ||
		    there == hash)
			return i;
		known_add(d, there, d->d.nvalues + i);
	}
	return i;
}

unsigned
rh_metrics_value_live(struct rh_metrics *m, int dim, struct rh_slice value)
{
	struct dim *d = dim_of(m, dim);
	struct rh_seg_name *names;
	struct known *k;
	uint64_t hash;
	unsigned i;

	if (!m->segment || value.n == 0 || value.n > RH_SEG_NAME_MAX)
		return 0;
	/* tenants choose their names; without the key none can choose a collision */
	hash = rh_siphash(rh_segment_id(m->segment), value.p, value.n);
	hash += !hash;
	k = known_find(d, hash);
	names = rh_seg_names(m->segment, rh_seg_dim(m->segment->head, dim));
	if (k->hash && atomic_load_explicit(&names[k->index - d->d.nvalues].n,
	    memory_order_relaxed))
		return k->index;
	if (d->nknown == d->d.cap && !k->hash)
		return 0;
	if ((i = name_claim(d, names, hash)) == d->d.cap)
		return 0;
	memcpy(names[i].bytes, value.p, value.n);
	atomic_store_explicit(&names[i].n, (uint32_t)value.n,
	    memory_order_release);
	known_add(d, hash, d->d.nvalues + i);
	return d->d.nvalues + i;
}

void
rh_tally_bind(struct rh_tally *tally, struct rh_metrics *m,
    const struct rh_segment *segment, unsigned slot)
{
	if (!segment) {
		if (!m->unread)
			m->unread = rh_arena_zalloc(m->arena, m->ncells + 1,
			    sizeof(*m->unread));
		*tally = (struct rh_tally){ m->unread, NULL };
		return;
	}
	*tally = (struct rh_tally){ rh_segment_cells(segment, slot),
		m->nexemplars ?
		    rh_seg_exemplars(segment, segment->first + slot) :
		    NULL };
}

static void
exemplar_put(struct rh_exemplar *e, uint64_t ns,
    const struct rh_exemplar_of *of)
{
	uint32_t seq = atomic_load_explicit(&e->seq, memory_order_relaxed) | 1;
	uint64_t id[2];

	memcpy(id, of->trace_id, sizeof(id));
	atomic_store_explicit(&e->seq, seq, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&e->trace_id[0], id[0], memory_order_relaxed);
	atomic_store_explicit(&e->trace_id[1], id[1], memory_order_relaxed);
	atomic_store_explicit(&e->value_ns, ns, memory_order_relaxed);
	atomic_store_explicit(&e->wall_us, of->wall_us, memory_order_relaxed);
	atomic_store_explicit(&e->seq, seq + 1, memory_order_release);
}

unsigned
rh_bucket_of(uint64_t ns)
{
	unsigned bucket = 0;

	for (unsigned i = 0; i < RH_BUCKETS; i++)
		bucket += ns > rh_bucket_ns[i];
	return bucket;
}

void
rh_exemplar_set(const struct rh_tally *t, struct rh_family f, unsigned a,
    unsigned b, uint64_t ns, const struct rh_exemplar_of *exemplar)
{
	uint32_t series = (a * f.stride_a + b * f.stride_b) / f.stride_b;

	if (t->exemplars)
		exemplar_put(t->exemplars + f.exemplar + series *
		    (RH_BUCKETS + 1) + rh_bucket_of(ns), ns, exemplar);
}

void
rh_observe(const struct rh_tally *t, struct rh_family f, unsigned a,
    unsigned b, uint64_t ns, const struct rh_exemplar_of *exemplar)
{
	uint64_t *cells = t->cells + f.cell + a * f.stride_a + b * f.stride_b;
	unsigned bucket = rh_bucket_of(ns);

	__atomic_store_n(cells + bucket, cells[bucket] + 1, __ATOMIC_RELAXED);
	__atomic_store_n(cells + RH_BUCKETS + 1, cells[RH_BUCKETS + 1] + ns,
	    __ATOMIC_RELAXED);
	if (exemplar)
		rh_exemplar_set(t, f, a, b, ns, exemplar);
}
