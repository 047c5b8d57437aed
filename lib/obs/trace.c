#include "config.h"

#include "obs/trace.h"

#include <math.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"

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

/*
 * What all who decide on this trace share: rv, where somebody drew one, else
 * the low 56 bits that W3C level 2 promises; presumed to be random also where
 * the flag does not say so, as the specification has it.
 */
static uint64_t
randomness(const struct rh_trace *t, const struct rh_ot *ot)
{
	uint64_t r = 0;

	if (ot->has_rv)
		return ot->rv;
	for (int i = 9; i < 16; i++)
		r = r << 8 | t->trace_id[i];
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

/* By way of the stack, as tracestate may stand in t->state by now. */
static void
restate(struct rh_trace *t, uint64_t threshold)
{
	char memory[RH_TRACESTATE_MAX];
	struct rh_buf state;

	rh_buf_init_fixed(&state, memory, sizeof(memory));
	rh_tracestate_put_threshold(&state, t->tracestate, threshold);
	memcpy(t->state, memory, state.n);
	t->tracestate = state.n ? (struct rh_slice){ t->state, state.n } :
	    RH_SLICE_NONE;
}

/* The head decision where no parent makes it. */
static void
sample(struct rh_trace *t, const struct rh_sampler *sampler)
{
	struct rh_ot ot = rh_tracestate_ot(t->tracestate);

	t->threshold = sampler->threshold;
	t->head = randomness(t, &ot) >= sampler->threshold;
	t->by = t->head ? RH_BY_RATIO : RH_BY_NONE;
	if (t->head && !t->tracestate.p)
		t->tracestate = (struct rh_slice){ sampler->state,
		    sampler->state_n };
	else if (t->head || ot.has_th)
		restate(t, t->head ? t->threshold : RH_THRESHOLD_NONE);
}

/* The parent's, with his th unless it belies his flag. */
static void
obey(struct rh_trace *t)
{
	struct rh_ot ot = rh_tracestate_ot(t->tracestate);

	t->head = t->flags & SAMPLED;
	t->by = t->head ? RH_BY_PARENT : RH_BY_NONE;
	if (ot.has_th && (ot.th == RH_THRESHOLD_NONE ||
	    t->head != (randomness(t, &ot) >= ot.th)))
		restate(t, RH_THRESHOLD_NONE);
}

static void
span_begin(struct rh_span *span, enum rh_span_kind kind, struct rh_slice name)
{
	span->kind = kind;
	span->name = name;
	span->end_ns = 0;
	span->error = false;
	span->error_text = RH_SLICE_NONE;
	span->later.tell = NULL;
	span->nattrs = 0;
	span->attrs_dropped = 0;
}

static void
start_anew(struct rh_trace *t)
{
	draw_id(t->trace_id, sizeof(t->trace_id));
	memset(t->parent_id, 0, sizeof(t->parent_id));
	t->flags = RANDOM;
}

static void
link_to_caller(struct rh_trace *t)
{
	memcpy(t->link_trace_id, t->trace_id, sizeof(t->trace_id));
	memcpy(t->link_span_id, t->parent_id, sizeof(t->parent_id));
	t->link_flags = t->flags;
}

/* Parent, link, or neither. */
static void
join(struct rh_trace *t, const struct rh_trace_caller *caller)
{
	bool is_valid = rh_traceparent_get(rh_slice_trim(caller->traceparent),
	    t->trace_id, t->parent_id, &t->flags);

	t->remote_parent = is_valid && caller->trusted;
	t->tracestate = RH_SLICE_NONE;
	memset(t->link_span_id, 0, sizeof(t->link_span_id));
	if (t->remote_parent) {
		follow(t, caller->tracestate);
		return;
	}
	if (is_valid)
		link_to_caller(t);
	start_anew(t);
}

/* Field by field: of 30 KiB a request uses a few hundred bytes. */
static void
begin(struct rh_trace *t, const struct rh_sampler *sampler, bool obeys,
    const struct rh_trace_caller *caller)
{
	struct rh_span *server = rh_trace_server(t);

	t->error_known = t->kept_known = false;
	t->by = RH_BY_NONE;
	t->head = false;
	t->threshold = 0;
	t->nspans = 1;
	t->spans_dropped = 0;
	t->wall_ns = caller->wall_ns ? caller->wall_ns :
	    (uint64_t)rh_clock_wall_us() * 1000;
	t->mono_ns = caller->mono_ns ? caller->mono_ns : rh_clock_mono_ns();
	join(t, caller);
	span_begin(server, RH_SPAN_SERVER, RH_SLICE("HTTP"));
	draw_id(server->id, sizeof(server->id));
	memcpy(server->parent_id, t->parent_id, sizeof(t->parent_id));
	server->start_ns = t->wall_ns;
	if (t->remote_parent && (obeys || !t->on))
		obey(t);
	else if (t->on)
		sample(t, sampler);
}

void
rh_trace_begin(struct rh_trace *t, const struct rh_sampler *sampler,
    const struct rh_trace_caller *caller)
{
	begin(t, sampler, sampler->parent_based, caller);
}

int
rh_trace_left(const struct rh_trace *t)
{
	int left = t->flags & RANDOM;

	if (t->head || t->kept_known || t->error_known)
		left |= RH_LEFT_SAMPLED;
	if (t->kept_known || t->error_known)
		left |= RH_LEFT_ALWAYS;
	else if (t->head && t->by == RH_BY_RATIO)
		left |= RH_LEFT_RATIO;
	return left;
}

/* As its ids came in traceparent, and how it was decided in tracestate. */
void
rh_trace_resume(struct rh_trace *t, const struct rh_sampler *sampler,
    const struct rh_trace_origin *origin)
{
	bool is_said = origin->left != RH_LEFT_UNSAID;
	char parent[RH_TRACEPARENT_LEN + 1];
	struct rh_trace_caller caller = { .trusted = true,
		.wall_ns = origin->wall_ns, .mono_ns = origin->mono_ns };
	struct rh_buf b;

	rh_buf_init_fixed(&b, parent, sizeof(parent));
	rh_buf_lit(&b, "00-");
	rh_buf_hex(&b, (const unsigned char *)origin->trace_id.p,
	    origin->trace_id.n);
	rh_buf_char(&b, '-');
	rh_buf_hex(&b, (const unsigned char *)origin->span_id.p,
	    origin->span_id.n);
	rh_buf_lit(&b, "-0");
	rh_buf_char(&b, (char)('0' + (is_said ? origin->left & 3 : 0)));
	caller.traceparent = rh_buf_get(&b);
	if (is_said && origin->left & RH_LEFT_ALWAYS)
		caller.tracestate = RH_SLICE("ot=th:0");
	else if (is_said && origin->left & RH_LEFT_RATIO)
		caller.tracestate =
		    (struct rh_slice){ sampler->state, sampler->state_n };
	begin(t, sampler, is_said, &caller);
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

static struct rh_span *
child(struct rh_trace *t, enum rh_span_kind kind, struct rh_slice name)
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
	return span;
}

struct rh_span *
rh_span_open(struct rh_trace *t, enum rh_span_kind kind, struct rh_slice name)
{
	struct rh_span *span = child(t, kind, name);

	if (t->on)
		span->start_ns = rh_trace_now(t);
	return span;
}

struct rh_span *
rh_span_past(struct rh_trace *t, enum rh_span_kind kind, struct rh_slice name,
    uint64_t from_ns, uint64_t to_ns)
{
	struct rh_span *span = child(t, kind, name);

	span->start_ns = t->wall_ns + (from_ns - t->mono_ns);
	span->end_ns = t->wall_ns + (to_ns - t->mono_ns);
	return span;
}

void
rh_span_close(struct rh_trace *t, struct rh_span *span)
{
	if (t->on)
		span->end_ns = rh_trace_now(t);
}

static struct rh_attr *
attr_add(struct rh_span *span, const char *key, uint8_t key_n)
{
	struct rh_attr *attr;

	if (span->nattrs == RH_ATTRS_MAX) {
		span->attrs_dropped++;
		return NULL;
	}
	attr = &span->attrs[span->nattrs++];
	attr->key = key;
	attr->key_n = key_n;
	return attr;
}

void
rh_span_put_text(struct rh_span *span, const char *key, uint8_t key_n,
    struct rh_slice text)
{
	struct rh_attr *attr = text.p ? attr_add(span, key, key_n) : NULL;

	if (attr) {
		attr->is_int = false;
		attr->text = text;
	}
}

void
rh_span_put_int(struct rh_span *span, const char *key, uint8_t key_n,
    int64_t number)
{
	struct rh_attr *attr = attr_add(span, key, key_n);

	if (attr) {
		attr->is_int = true;
		attr->number = number;
	}
}

void
rh_span_tell(struct rh_span *span)
{
	struct rh_span_later later = span->later;

	span->later.tell = NULL;
	if (later.tell)
		later.tell(span, &later);
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
		/* kept whatever the head said: whoever is called now counts once */
		if (!t->error_known)
			restate(t, 0);
		t->by = RH_BY_ERROR;
		t->error_known = true;
	} else if (facts.slow)
		t->by = RH_BY_SLOW;
	else if (facts.security)
		t->by = RH_BY_SECURITY;
	return t->by != RH_BY_NONE;
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
