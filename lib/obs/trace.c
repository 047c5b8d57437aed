#include "config.h"

#include "obs/trace.h"

#include <math.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "obs/span_record.h"

#define SAMPLED		0x01
#define RANDOM		0x02
#define MOST		((uint64_t)1 << 56)	/* a threshold that keeps nothing */

const char *const rh_sampled_by_names[RH_BY_COUNT] = {
	[RH_BY_PARENT] = "parent",
	[RH_BY_RATIO] = "ratio",
	[RH_BY_ERROR] = "error",
	[RH_BY_SLOW] = "slow",
	[RH_BY_SECURITY] = "security",
	[RH_BY_NONE] = "none",
};

static uint64_t
threshold_of(enum rh_sampler_kind root, double ratio)
{
	if (root == RH_SAMPLER_ALWAYS_ON || ratio >= 1)
		return 0;
	if (root == RH_SAMPLER_ALWAYS_OFF || !(ratio > 0))
		return MOST;
	/* not 1 - ratio: that would round a small one away */
	return MOST - (uint64_t)ldexp(ratio, 56);
}

void
rh_sampler_init(struct rh_sampler *sampler, enum rh_sampler_kind root,
    bool parent_based, double ratio)
{
	struct rh_buf state;

	*sampler = (struct rh_sampler){ .root = root,
	    .parent_based = parent_based, .ratio = ratio };
	if (root == RH_SAMPLER_RATIO)
		sampler->threshold = threshold_of(root, ratio);
	else
		sampler->threshold = threshold_of(root, 0.5);
	rh_buf_init_fixed(&state, sampler->state, sizeof(sampler->state));
	if (sampler->threshold < MOST)
		rh_tracestate_put_threshold(&state, RH_SLICE_NONE,
		    sampler->threshold);
	sampler->state_n = (unsigned)state.n;
}

/* The randomness that W3C level 2 promises: the low 56 bits. */
static uint64_t
randomness(const unsigned char trace_id[16])
{
	uint64_t r = 0;

	for (int i = 9; i < 16; i++)
		r = r << 8 | trace_id[i];
	return r;
}

static void
draw_id(unsigned char *id, size_t n)
{
	static const unsigned char zeros[16];

	do
		rh_random(id, n);
	while (memcmp(id, zeros, n) == 0);
}

static void
follow(struct rh_trace *t, struct rh_slice tracestate)
{
	unsigned members = 0;

	t->tracestate = rh_slice_trim(tracestate);
	if (!rh_tracestate_is_valid(t->tracestate, &members) || members == 0)
		t->tracestate = RH_SLICE_NONE;
}

/* The head decision where no parent makes it. */
static void
sample(struct rh_trace *t, const struct rh_sampler *sampler)
{
	struct rh_buf state;

	t->threshold = sampler->threshold;
	t->head = randomness(t->trace_id) >= sampler->threshold;
	t->by = t->head ? RH_BY_RATIO : RH_BY_NONE;
	if (!t->head || sampler->state_n == 0)
		return;
	if (!t->tracestate.p) {
		t->tracestate = (struct rh_slice){ sampler->state,
		    sampler->state_n };
		return;
	}
	rh_buf_init_fixed(&state, t->state, sizeof(t->state));
	rh_tracestate_put_threshold(&state, t->tracestate, t->threshold);
	if (!state.full)
		t->tracestate = rh_buf_get(&state);
}

static void
span_begin(struct rh_span *span, enum rh_span_kind kind, struct rh_slice name)
{
	span->kind = kind;
	span->name = name;
	span->end_ns = 0;
	span->error = false;
	span->error_text = RH_SLICE_NONE;
	span->nattrs = 0;
	span->attrs_dropped = 0;
}

/* Field by field: of 30 KiB a request uses a few hundred bytes. */
void
rh_trace_begin(struct rh_trace *t, const struct rh_sampler *sampler,
    struct rh_slice traceparent, struct rh_slice tracestate)
{
	struct rh_span *server = rh_trace_server(t);

	t->wall_ns = (uint64_t)rh_clock_wall_us() * 1000;
	t->mono_ns = rh_clock_mono_ns();
	t->error_known = false;
	t->by = RH_BY_NONE;
	t->head = false;
	t->threshold = 0;
	t->nspans = 1;
	t->spans_dropped = 0;
	t->tracestate = RH_SLICE_NONE;
	t->remote_parent = rh_traceparent_get(rh_slice_trim(traceparent),
	    t->trace_id, t->parent_id, &t->flags);
	if (t->remote_parent)
		follow(t, tracestate);
	else {
		draw_id(t->trace_id, sizeof(t->trace_id));
		memset(t->parent_id, 0, sizeof(t->parent_id));
		t->flags = RANDOM;
	}
	span_begin(server, RH_SPAN_SERVER, RH_SLICE("HTTP"));
	draw_id(server->id, sizeof(server->id));
	memcpy(server->parent_id, t->parent_id, sizeof(t->parent_id));
	server->start_ns = t->wall_ns;
	if (t->remote_parent && (sampler->parent_based || !t->on)) {
		t->head = t->flags & SAMPLED;
		t->by = t->head ? RH_BY_PARENT : RH_BY_NONE;
	} else if (t->on)
		sample(t, sampler);
}

uint64_t
rh_trace_now(const struct rh_trace *t)
{
	return t->wall_ns + (rh_clock_mono_ns() - t->mono_ns);
}

static struct rh_span *
scratch(struct rh_trace *t, enum rh_span_kind kind, struct rh_slice name)
{
	span_begin(&t->scratch, kind, name);
	memcpy(t->scratch.id, rh_trace_server(t)->id, sizeof(t->scratch.id));
	return &t->scratch;
}

struct rh_span *
rh_span_open(struct rh_trace *t, enum rh_span_kind kind, struct rh_slice name)
{
	struct rh_span *span;

	if (!t->on)
		return scratch(t, kind, name);
	if (t->nspans == RH_SPANS_MAX) {
		t->spans_dropped++;
		return scratch(t, kind, name);
	}
	span = &t->spans[t->nspans++];
	span_begin(span, kind, name);
	draw_id(span->id, sizeof(span->id));
	memcpy(span->parent_id, rh_trace_server(t)->id,
	    sizeof(span->parent_id));
	span->start_ns = rh_trace_now(t);
	return span;
}

void
rh_span_close(struct rh_trace *t, struct rh_span *span)
{
	if (t->on)
		span->end_ns = rh_trace_now(t);
}

static struct rh_attr *
attr_add(struct rh_span *span, const char *key)
{
	struct rh_attr *attr;

	if (span->nattrs == RH_ATTRS_MAX) {
		span->attrs_dropped++;
		return NULL;
	}
	attr = &span->attrs[span->nattrs++];
	attr->key = key;
	return attr;
}

void
rh_span_text(struct rh_span *span, const char *key, struct rh_slice text)
{
	struct rh_attr *attr = text.p ? attr_add(span, key) : NULL;

	if (attr) {
		attr->is_int = false;
		attr->text = text;
	}
}

void
rh_span_int(struct rh_span *span, const char *key, int64_t number)
{
	struct rh_attr *attr = attr_add(span, key);

	if (attr) {
		attr->is_int = true;
		attr->number = number;
	}
}

void
rh_span_fail(struct rh_span *span, struct rh_slice error_type,
    struct rh_slice text)
{
	span->error = true;
	span->error_text = text;
	rh_span_text(span, "error.type", error_type);
}

bool
rh_trace_decide(struct rh_trace *t, struct rh_trace_facts facts)
{
	if (!t->on)
		return false;
	if (facts.error) {
		t->by = RH_BY_ERROR;
		t->error_known = true;
	} else if (facts.slow)
		t->by = RH_BY_SLOW;
	else if (facts.security)
		t->by = RH_BY_SECURITY;
	return t->by != RH_BY_NONE;
}

/* Cut before the character that would not fit whole. */
static size_t
cut(struct rh_slice text, size_t max)
{
	if (text.n <= max)
		return text.n;
	while (max && ((unsigned char)text.p[max] & 0xc0) == 0x80)
		max--;
	return max;
}

/* Whole members only, W3C 3.3.1.5; off the end. */
static size_t
cut_tracestate(struct rh_slice state)
{
	size_t n = RH_TRACESTATE_MAX;

	if (state.n <= n)
		return state.n;
	while (n && state.p[n] != ',')
		n--;
	return n;
}

static size_t
attr_bytes(const struct rh_attr *attr)
{
	return sizeof(struct rh_record_attr) +
	    RH_MIN(strlen(attr->key), RH_RECORD_NAME_MAX) + 1 +
	    (attr->is_int ? sizeof(attr->number) :
	    RH_MIN(attr->text.n, RH_RECORD_TEXT_MAX));
}

static size_t
span_bytes(const struct rh_span *span)
{
	size_t n = sizeof(struct rh_record_span) +
	    RH_MIN(span->name.n, RH_RECORD_NAME_MAX) +
	    RH_MIN(span->error_text.n, RH_RECORD_TEXT_MAX);

	for (unsigned i = 0; i < span->nattrs; i++)
		n += attr_bytes(&span->attrs[i]);
	return n;
}

static char *
put(char *to, const void *bytes, size_t n)
{
	if (n)
		memcpy(to, bytes, n);
	return to + n;
}

static char *
put_attr(char *to, const struct rh_attr *attr)
{
	struct rh_record_attr fixed = { .is_int = attr->is_int,
	    .key_n = (uint8_t)RH_MIN(strlen(attr->key), RH_RECORD_NAME_MAX) };

	if (!attr->is_int)
		fixed.text_n = (uint16_t)cut(attr->text, RH_RECORD_TEXT_MAX);
	to = put(to, &fixed, sizeof(fixed));
	to = put(to, attr->key, fixed.key_n);
	*to++ = '\0';
	if (attr->is_int)
		return put(to, &attr->number, sizeof(attr->number));
	return put(to, attr->text.p, fixed.text_n);
}

static char *
put_span(char *to, const struct rh_span *span, uint64_t end_ns)
{
	struct rh_record_span fixed = {
		.start_ns = span->start_ns,
		.end_ns = RH_MAX(span->end_ns ? span->end_ns : end_ns,
		    span->start_ns),
		.kind = (uint8_t)span->kind, .error = span->error,
		.attrs = (uint8_t)span->nattrs,
		.attrs_dropped = (uint16_t)span->attrs_dropped,
		.name_n = (uint8_t)cut(span->name, RH_RECORD_NAME_MAX),
		.error_text_n =
		    (uint16_t)cut(span->error_text, RH_RECORD_TEXT_MAX),
	};

	memcpy(fixed.id, span->id, sizeof(fixed.id));
	memcpy(fixed.parent_id, span->parent_id, sizeof(fixed.parent_id));
	to = put(to, &fixed, sizeof(fixed));
	to = put(to, span->name.p, fixed.name_n);
	to = put(to, span->error_text.p, fixed.error_text_n);
	for (unsigned i = 0; i < span->nattrs; i++)
		to = put_attr(to, &span->attrs[i]);
	return to;
}

static struct rh_record_head
head_of(const struct rh_trace *t, struct rh_slice request_id,
    struct rh_slice tenant_id)
{
	struct rh_record_head head = {
		.version = RH_RECORD_VERSION, .by = (uint8_t)t->by,
		.flags = t->flags, .remote_parent = t->remote_parent,
		.tracestate_n = (uint16_t)cut_tracestate(t->tracestate),
		.request_id_n = (uint8_t)cut(request_id, RH_RECORD_NAME_MAX),
		.tenant_id_n = (uint8_t)cut(tenant_id, RH_RECORD_NAME_MAX),
		.threshold = t->threshold,
	};

	memcpy(head.trace_id, t->trace_id, sizeof(head.trace_id));
	return head;
}

/*
 * How many spans fit into a record, which may take a quarter of the ring; the
 * SERVER span, the first, is the last to go. *n: the bytes it takes.
 */
static unsigned
fitting(const struct rh_trace *t, const struct rh_ring *ring, size_t *n)
{
	size_t most = ring->size / 4 - 64;
	unsigned spans = 0;

	while (spans < t->nspans) {
		size_t more = span_bytes(&t->spans[spans]);

		if (*n + more > most)
			break;
		*n += more;
		spans++;
	}
	return spans;
}

void
rh_trace_end(struct rh_trace *t, struct rh_ring *ring, bool keep,
    uint64_t end_ns, struct rh_slice request_id, struct rh_slice tenant_id)
{
	struct rh_record_head head;
	size_t n = sizeof(head);
	char *start, *to;

	if (!t->on || !keep || !ring)
		return;
	rh_trace_server(t)->end_ns = end_ns;
	head = head_of(t, request_id, tenant_id);
	n += (size_t)head.tracestate_n + head.request_id_n + head.tenant_id_n;
	head.spans = (uint16_t)fitting(t, ring, &n);
	head.spans_dropped =
	    (uint16_t)(t->nspans - head.spans + t->spans_dropped);
	start = rh_ring_reserve(ring, n);
	if (!start)
		return;
	to = put(start, &head, sizeof(head));
	to = put(to, t->tracestate.p, head.tracestate_n);
	to = put(to, request_id.p, head.request_id_n);
	to = put(to, tenant_id.p, head.tenant_id_n);
	for (unsigned i = 0; i < head.spans; i++)
		to = put_span(to, &t->spans[i], end_ns);
	rh_ring_commit(ring, (size_t)(to - start),
	    (unsigned)head.spans + head.spans_dropped);
}

static void
put_ids(char *to, const struct rh_trace *t, const unsigned char span_id[8],
    unsigned flags)
{
	to[0] = to[1] = '0';
	to[2] = to[35] = to[52] = '-';
	rh_hex_put(to + 3, t->trace_id, sizeof(t->trace_id));
	rh_hex_put(to + 36, span_id, 8);
	to[53] = '0';
	to[54] = (char)('0' + flags);
}

void
rh_traceparent_put(char to[RH_TRACEPARENT_LEN], const struct rh_trace *t,
    const struct rh_span *span)
{
	put_ids(to, t, span->id, (t->flags & RANDOM) |
	    (t->head || t->error_known ? SAMPLED : 0));
}

void
rh_traceresponse_put(char to[RH_TRACEPARENT_LEN], const struct rh_trace *t,
    bool kept)
{
	put_ids(to, t, rh_trace_server(t)->id,
	    (t->flags & RANDOM) | (kept ? SAMPLED : 0));
}
