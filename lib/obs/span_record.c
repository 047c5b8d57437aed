#include "config.h"

#include "obs/span_record.h"

/* ---- written ---- */

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
	return sizeof(struct rh_record_attr) + attr->key_n + 1u +
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
	    .key_n = attr->key_n };

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
		.link_flags = t->link_flags, .threshold = t->threshold,
	};

	memcpy(head.trace_id, t->trace_id, sizeof(head.trace_id));
	memcpy(head.link_trace_id, t->link_trace_id,
	    sizeof(head.link_trace_id));
	memcpy(head.link_span_id, t->link_span_id, sizeof(head.link_span_id));
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
	for (unsigned i = 0; i < t->nspans; i++)
		rh_span_tell(&t->spans[i]);
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

/* ---- read ---- */

static bool
take(struct rh_slice *rest, void *to, size_t n)
{
	if (rest->n < n)
		return false;
	memcpy(to, rest->p, n);
	*rest = rh_slice_from(*rest, n);
	return true;
}

static bool
take_text(struct rh_slice *rest, struct rh_slice *text, size_t n)
{
	if (rest->n < n)
		return false;
	*text = (struct rh_slice){ rest->p, n };
	*rest = rh_slice_from(*rest, n);
	return true;
}

bool
rh_kept_open(struct rh_kept *kept, const void *record, size_t n)
{
	kept->rest = (struct rh_slice){ record, n };
	if (!take(&kept->rest, &kept->head, sizeof(kept->head)) ||
	    kept->head.version != RH_RECORD_VERSION)
		return false;
	kept->spans_left = kept->head.spans;
	return take_text(&kept->rest, &kept->tracestate,
	    kept->head.tracestate_n) &&
	    take_text(&kept->rest, &kept->request_id,
	    kept->head.request_id_n) &&
	    take_text(&kept->rest, &kept->tenant_id, kept->head.tenant_id_n);
}

static bool
take_attr(struct rh_slice *rest, struct rh_attr *attr)
{
	struct rh_record_attr fixed;
	struct rh_slice key;

	if (!take(rest, &fixed, sizeof(fixed)) ||
	    !take_text(rest, &key, fixed.key_n + 1u) || key.p[fixed.key_n])
		return false;
	attr->key = key.p;
	attr->key_n = fixed.key_n;
	attr->is_int = fixed.is_int;
	attr->number = 0;
	attr->text = RH_SLICE_NONE;
	if (attr->is_int)
		return take(rest, &attr->number, sizeof(attr->number));
	return take_text(rest, &attr->text, fixed.text_n);
}

/* As take_attr, for who only wants to know that it is whole. */
static bool
pass_attr(struct rh_slice *rest)
{
	struct rh_record_attr fixed;
	size_t n;

	if (rest->n < sizeof(fixed))
		return false;
	memcpy(&fixed, rest->p, sizeof(fixed));
	n = sizeof(fixed) + fixed.key_n + 1u +
	    (fixed.is_int ? sizeof(int64_t) : fixed.text_n);
	if (rest->n < n || rest->p[sizeof(fixed) + fixed.key_n])
		return false;
	*rest = rh_slice_from(*rest, n);
	return true;
}

bool
rh_kept_span(struct rh_kept *kept, struct rh_kept_span *span)
{
	struct rh_slice rest = kept->rest;

	if (kept->spans_left == 0 ||
	    !take(&rest, &span->fixed, sizeof(span->fixed)) ||
	    !take_text(&rest, &span->name, span->fixed.name_n) ||
	    !take_text(&rest, &span->error_text, span->fixed.error_text_n))
		return false;
	span->rest = rest;
	span->attrs_left = span->fixed.attrs;
	for (unsigned i = 0; i < span->fixed.attrs; i++)
		if (!pass_attr(&rest))
			return false;
	kept->rest = rest;
	kept->spans_left--;
	return true;
}

bool
rh_kept_attr(struct rh_kept_span *span, struct rh_attr *attr)
{
	if (span->attrs_left == 0 || !take_attr(&span->rest, attr))
		return false;
	span->attrs_left--;
	return true;
}
