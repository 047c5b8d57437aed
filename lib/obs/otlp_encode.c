#include "config.h"

#include "obs/otlp.h"

#include <unistd.h>

#include "base/text.h"
#include "obs/span_record.h"
#include "obs/wire.h"

#define KEY(literal)	.key = literal, .key_n = sizeof(literal) - 1

struct out {
	struct rh_wire w;
	const struct rh_otlp_conf *conf;
};

/* KeyValue { key 1, value 2: AnyValue { string 1, int 3 } }, part by part. */
static void
attribute_parts(struct out *o, unsigned field, const struct rh_attr *attr)
{
	size_t pair = rh_wire_open(&o->w, field, NULL), value;

	rh_wire_text(&o->w, 1, "key",
	    (struct rh_slice){ attr->key, attr->key_n });
	value = rh_wire_open(&o->w, 2, "value");
	if (attr->is_int)
		rh_wire_int(&o->w, 3, "intValue", attr->number);
	else
		rh_wire_text(&o->w, 1, "stringValue", attr->text);
	rh_wire_close(&o->w, value);
	rh_wire_close(&o->w, pair);
}

static void
attribute(struct out *o, unsigned field, const struct rh_attr *attr)
{
	struct rh_slice key = { attr->key, attr->key_n };

	if (!(attr->is_int ?
	    rh_wire_pair_int(&o->w, field, key, attr->number) :
	    rh_wire_pair_text(&o->w, field, key, attr->text)))
		attribute_parts(o, field, attr);
}

static void
resource_text(struct out *o, const char *key, struct rh_slice text)
{
	if (text.n)
		attribute(o, 1, &(struct rh_attr){ .key = key,
		    .key_n = (uint8_t)strlen(key), .text = text });
}

/* OTEL_RESOURCE_ATTRIBUTES: the last of a key counts. */
static struct rh_slice
told(const struct rh_otlp_conf *conf, struct rh_slice key)
{
	struct rh_slice list = conf->resource, found = RH_SLICE_NONE;

	while (list.p) {
		struct rh_slice value = rh_slice_cut(&list, '\n');

		if (rh_slice_is(rh_slice_cut(&value, '='), key) && value.p)
			found = value;
	}
	return found;
}

static void
resource_default(struct out *o, const char *key, struct rh_slice text)
{
	if (!told(o->conf, rh_slice_of(key)).p)
		resource_text(o, key, text);
}

static void
resource_told(struct out *o)
{
	struct rh_slice list = o->conf->resource;

	while (list.p) {
		struct rh_slice value = rh_slice_cut(&list, '\n');
		struct rh_slice key = rh_slice_cut(&value, '=');
		char text[RH_RECORD_NAME_MAX + 1];

		if (key.n == 0 || key.n >= sizeof(text) ||
		    told(o->conf, key).p != value.p ||
		    rh_slice_has_prefix(key, RH_SLICE("telemetry.sdk.")))
			continue;
		memcpy(text, key.p, key.n);
		text[key.n] = '\0';
		resource_text(o, text, value);
	}
}

/*
 * The same for whoever has this slot of this pool, another for each slot
 * (RFC 9562, version 8).
 */
static void
instance_id(char to[RH_UUID_LEN], const struct rh_shipper_spec *spec)
{
	struct rh_uuid id = RH_UUID_NIL;

	unsigned place = spec->slot;

	if (spec->segment) {
		memcpy(id.b, rh_segment_id(spec->segment), sizeof(id.b));
		place = rh_segment_place(spec->segment, spec->slot);
	}
	id.b[14] ^= (unsigned char)(place >> 8);
	id.b[15] ^= (unsigned char)place;
	id.b[6] = (unsigned char)(0x80 | (id.b[6] & 0x0f));
	id.b[8] = (unsigned char)(0x80 | (id.b[8] & 0x3f));
	rh_uuid_put(to, id);
}

static void
resource(struct out *o, const struct rh_shipper_spec *spec)
{
	size_t start = rh_wire_open(&o->w, 1, "resource");
	char instance[RH_UUID_LEN], host[256] = "";

	instance_id(instance, spec);
	gethostname(host, sizeof(host) - 1);
	rh_wire_list(&o->w, "attributes");
	resource_text(o, "service.name", o->conf->service_name);
	resource_default(o, "service.version", rh_slice_of(spec->version));
	resource_default(o, "service.instance.id",
	    (struct rh_slice){ instance, sizeof(instance) });
	resource_default(o, "host.name", rh_slice_of(host));
	if (!told(o->conf, RH_SLICE("process.pid")).p)
		attribute(o, 1, &(struct rh_attr){ KEY("process.pid"),
		    .is_int = true, .number = spec->pid ? spec->pid : getpid() });
	resource_told(o);
	resource_text(o, "telemetry.sdk.name", RH_SLICE("rowhouse"));
	resource_text(o, "telemetry.sdk.language", RH_SLICE("c"));
	resource_text(o, "telemetry.sdk.version", RH_SLICE(PACKAGE_VERSION));
	rh_wire_list_end(&o->w);
	rh_wire_close(&o->w, start);
}

static struct rh_slice
cut_characters(struct rh_slice text, int64_t most)
{
	size_t n = 0;

	if (text.n <= (uint64_t)most)
		return text;
	for (; n < text.n && most; most--) {
		size_t step = rh_utf8_step((const unsigned char *)text.p + n,
		    text.n - n);

		n += step ? step : 1;
	}
	return (struct rh_slice){ text.p, n };
}

/* Attributes of a span or an event, counted against their limit. */
struct attrs {
	struct out *o;
	unsigned field;
	int64_t left;
	uint32_t dropped;
};

static void
span_attr(struct attrs *a, struct rh_attr *attr)
{
	if (a->left == 0) {
		a->dropped++;
		return;
	}
	a->left--;
	if (!attr->is_int)
		attr->text = cut_characters(attr->text,
		    a->o->conf->attr_text_max);
	attribute(a->o, a->field, attr);
}

/* Of the span's event, not its own: what the exception conventions name. */
static bool
is_of_exception(const struct rh_attr *attr)
{
	return attr->key[0] == 'e' && strncmp(attr->key, "exception.", 10) == 0;
}

static void
span_text(struct attrs *a, struct rh_attr attr)
{
	if (attr.text.n)
		span_attr(a, &attr);
}

/* Answers whether there are some of an exception, which are its event's. */
static bool
span_attributes(struct out *o, const struct rh_kept *kept,
    const struct rh_kept_span *span)
{
	struct attrs a = { o, 9, o->conf->attrs_max,
	    span->fixed.attrs_dropped };
	struct rh_kept_span walk = *span;
	bool exception = false;
	struct rh_attr attr;

	rh_wire_list(&o->w, "attributes");
	span_text(&a, (struct rh_attr){ KEY("rowhouse.request_id"),
	    .text = kept->request_id });
	span_text(&a, (struct rh_attr){ KEY("rowhouse.tenant.id"),
	    .text = kept->tenant_id });
	while (rh_kept_attr(&walk, &attr)) {
		if (is_of_exception(&attr))
			exception = true;
		else
			span_attr(&a, &attr);
	}
	if (span->fixed.kind == RH_SPAN_SERVER && kept->head.spans_dropped)
		span_attr(&a, &(struct rh_attr){ KEY("rowhouse.spans.dropped"),
		    .is_int = true, .number = kept->head.spans_dropped });
	rh_wire_list_end(&o->w);
	if (a.dropped)
		rh_wire_small(&o->w, 10, "droppedAttributesCount", a.dropped);
	return exception;
}

static void
exception_attributes(struct out *o, const struct rh_kept_span *span)
{
	struct attrs a = { o, 3, o->conf->event_attrs_max, 0 };
	struct rh_kept_span walk = *span;
	struct rh_attr attr;

	rh_wire_list(&o->w, "attributes");
	while (rh_kept_attr(&walk, &attr))
		if (is_of_exception(&attr))
			span_attr(&a, &attr);
	rh_wire_list_end(&o->w);
	if (a.dropped)
		rh_wire_small(&o->w, 4, "droppedAttributesCount", a.dropped);
}

/* What ended a span is told at its end. */
static void
span_events(struct out *o, const struct rh_kept_span *span)
{
	size_t start;

	if (o->conf->events_max == 0) {
		rh_wire_small(&o->w, 12, "droppedEventsCount", 1);
		return;
	}
	rh_wire_list(&o->w, "events");
	start = rh_wire_open(&o->w, 11, NULL);
	rh_wire_fixed64(&o->w, 1, "timeUnixNano", span->fixed.end_ns);
	rh_wire_text(&o->w, 2, "name", RH_SLICE("exception"));
	exception_attributes(o, span);
	rh_wire_close(&o->w, start);
	rh_wire_list_end(&o->w);
}

static bool
is_zero(const unsigned char id[8])
{
	static const unsigned char zeros[8];

	return memcmp(id, zeros, sizeof(zeros)) == 0;
}

static void
span_status(struct out *o, const struct rh_kept_span *span)
{
	size_t start;

	if (!span->fixed.error)
		return;
	start = rh_wire_open(&o->w, 15, "status");
	if (span->error_text.n)
		rh_wire_text(&o->w, 2, "message", span->error_text);
	rh_wire_small(&o->w, 3, "code", 2);
	rh_wire_close(&o->w, start);
}

/*
 * Low byte: W3C's flags, sampled because it was kept; 0x100 says that 0x200,
 * the parent is remote, is known.
 */
static uint32_t
span_flags(const struct rh_kept *kept, const struct rh_kept_span *span)
{
	bool remote = span->fixed.kind == RH_SPAN_SERVER &&
	    kept->head.remote_parent;

	return (kept->head.flags & 2u) | 1 | 0x100 | (remote ? 0x200 : 0);
}

/*
 * To the caller's context that was not taken for a parent. Whether he is
 * remote is known: he is.
 */
static void
span_links(struct out *o, const struct rh_kept *kept,
    const struct rh_kept_span *span)
{
	const struct rh_record_head *head = &kept->head;
	size_t start;

	if (span->fixed.kind != RH_SPAN_SERVER || is_zero(head->link_span_id))
		return;
	if (o->conf->links_max == 0) {
		rh_wire_small(&o->w, 14, "droppedLinksCount", 1);
		return;
	}
	rh_wire_list(&o->w, "links");
	start = rh_wire_open(&o->w, 13, NULL);
	rh_wire_id(&o->w, 1, "traceId", (struct rh_slice){
	    (const char *)head->link_trace_id, sizeof(head->link_trace_id) });
	rh_wire_id(&o->w, 2, "spanId", (struct rh_slice){
	    (const char *)head->link_span_id, sizeof(head->link_span_id) });
	rh_wire_fixed32(&o->w, 6, "flags", head->link_flags | 0x300u);
	rh_wire_close(&o->w, start);
	rh_wire_list_end(&o->w);
}

static void
span(struct out *o, const struct rh_kept *kept, struct rh_kept_span *s,
    struct rh_slice tracestate)
{
	size_t start = rh_wire_open(&o->w, 2, NULL);

	rh_wire_id(&o->w, 1, "traceId", (struct rh_slice){
	    (const char *)kept->head.trace_id, sizeof(kept->head.trace_id) });
	rh_wire_id(&o->w, 2, "spanId", (struct rh_slice){
	    (const char *)s->fixed.id, sizeof(s->fixed.id) });
	if (tracestate.n)
		rh_wire_text(&o->w, 3, "traceState", tracestate);
	if (!is_zero(s->fixed.parent_id))
		rh_wire_id(&o->w, 4, "parentSpanId", (struct rh_slice){
		    (const char *)s->fixed.parent_id,
		    sizeof(s->fixed.parent_id) });
	rh_wire_text(&o->w, 5, "name", s->name);
	rh_wire_small(&o->w, 6, "kind", s->fixed.kind);
	rh_wire_fixed64(&o->w, 7, "startTimeUnixNano", s->fixed.start_ns);
	rh_wire_fixed64(&o->w, 8, "endTimeUnixNano", s->fixed.end_ns);
	if (span_attributes(o, kept, s))
		span_events(o, s);
	span_links(o, kept, s);
	span_status(o, s);
	rh_wire_fixed32(&o->w, 16, "flags", span_flags(kept, s));
	rh_wire_close(&o->w, start);
}

/*
 * What the trace was kept with, so that who counts spans can weigh them: all
 * of the remarkable ones are, of the others the sampler's share.
 */
static struct rh_slice
tracestate_of(const struct rh_kept *kept, struct rh_buf *room)
{
	uint64_t threshold = 0;

	if (kept->head.by == RH_BY_PARENT)
		return kept->tracestate;
	if (kept->head.by == RH_BY_RATIO)
		threshold = kept->head.threshold;
	rh_tracestate_put_threshold(room, kept->tracestate, threshold);
	return room->full ? RH_SLICE_NONE : rh_buf_get(room);
}

static unsigned
record(struct out *o, const char *bytes, size_t n)
{
	char memory[RH_TRACESTATE_MAX + 64];
	struct rh_slice tracestate;
	struct rh_kept_span s;
	struct rh_kept kept;
	struct rh_buf room;
	unsigned spans = 0;

	if (!rh_kept_open(&kept, bytes, n))
		return 0;
	rh_buf_init_fixed(&room, memory, sizeof(memory));
	tracestate = tracestate_of(&kept, &room);
	for (; rh_kept_span(&kept, &s); spans++)
		span(o, &kept, &s, tracestate);
	return spans;
}

static void
scope(struct out *o, const struct rh_shipper_spec *spec)
{
	size_t start = rh_wire_open(&o->w, 1, "scope");

	rh_wire_text(&o->w, 1, "name", RH_SLICE("rowhouse"));
	if (spec->version)
		rh_wire_text(&o->w, 2, "version", rh_slice_of(spec->version));
	rh_wire_close(&o->w, start);
}

static unsigned
records_all(struct out *o, const char *records, size_t n)
{
	unsigned spans = 0;
	uint32_t length;

	for (size_t at = 0; n - at >= sizeof(length); at += length) {
		memcpy(&length, records + at, sizeof(length));
		at += sizeof(length);
		if (length > n - at)
			break;
		spans += record(o, records + at, length);
	}
	return spans;
}

static unsigned
resource_spans(struct out *o, const struct rh_otlp_part *part)
{
	size_t empty = o->w.to->n, of_resource, of_scope;
	unsigned spans;

	o->conf = part->spec->conf;
	of_resource = rh_wire_open(&o->w, 1, NULL);
	resource(o, part->spec);
	rh_wire_list(&o->w, "scopeSpans");
	of_scope = rh_wire_open(&o->w, 2, NULL);
	scope(o, part->spec);
	rh_wire_list(&o->w, "spans");
	spans = records_all(o, part->records, part->n);
	rh_wire_list_end(&o->w);
	rh_wire_close(&o->w, of_scope);
	rh_wire_list_end(&o->w);
	rh_wire_close(&o->w, of_resource);
	if (spans == 0)
		o->w.to->n = empty;
	return spans;
}

unsigned
rh_otlp_encode_parts(struct rh_buf *to, enum rh_otlp_protocol protocol,
    const struct rh_otlp_part *parts, size_t nparts)
{
	struct out o = { { to, protocol == RH_OTLP_JSON }, NULL };
	size_t empty = to->n;
	unsigned spans = 0;

	if (o.w.json)
		rh_buf_char(to, '{');
	rh_wire_list(&o.w, "resourceSpans");
	for (size_t i = 0; i < nparts; i++)
		spans += resource_spans(&o, &parts[i]);
	rh_wire_list_end(&o.w);
	if (o.w.json)
		rh_buf_char(to, '}');
	if (spans == 0)
		to->n = empty;
	return spans;
}

unsigned
rh_otlp_encode(struct rh_buf *to, enum rh_otlp_protocol protocol,
    const struct rh_shipper_spec *spec, const void *records, size_t n)
{
	const struct rh_otlp_part part = { spec, records, n };

	return rh_otlp_encode_parts(to, protocol, &part, 1);
}
