#include "config.h"

#include "obs/otlp.h"

#include <unistd.h>

#include "base/text.h"
#include "obs/span_record.h"

/*
 * Both encodings in one walk. In protobuf a field is its number; in JSON its
 * name, and an element of a list has none (NULL).
 */
struct out {
	struct rh_buf *to;
	bool json;
	const struct rh_otlp_conf *conf;
};

enum wire { VARINT, FIXED64, BYTES, FIXED32 = 5 };

static void
varint(struct rh_buf *to, uint64_t n)
{
	for (; n > 0x7f; n >>= 7)
		rh_buf_char(to, (char)(n | 0x80));
	rh_buf_char(to, (char)n);
}

static unsigned
varint_bytes(uint64_t n)
{
	unsigned bytes = 1;

	for (; n > 0x7f; n >>= 7)
		bytes++;
	return bytes;
}

static void
tag(struct rh_buf *to, unsigned field, enum wire wire)
{
	varint(to, field << 3 | wire);
}

static void
separate(struct rh_buf *to)
{
	char last = to->n ? to->p[to->n - 1] : '{';

	if (last != '{' && last != '[')
		rh_buf_char(to, ',');
}

static void
name(struct out *o, const char *member)
{
	separate(o->to);
	if (member) {
		rh_buf_json(o->to, rh_slice_of(member));
		rh_buf_char(o->to, ':');
	}
}

/* Most messages are so short that their length takes one byte: it is kept free. */
static size_t
message_open(struct out *o, unsigned field, const char *member)
{
	if (o->json) {
		name(o, member);
		rh_buf_char(o->to, '{');
	} else {
		tag(o->to, field, BYTES);
		rh_buf_char(o->to, 0);
	}
	return o->to->n;
}

static void
message_close(struct out *o, size_t start)
{
	size_t n = o->to->n - start;
	unsigned more = varint_bytes(n) - 1;

	if (o->json) {
		rh_buf_char(o->to, '}');
		return;
	}
	if (!rh_buf_room(o->to, more))
		return;
	if (more)
		memmove(o->to->p + start + more, o->to->p + start, n);
	o->to->n = start - 1;
	varint(o->to, n);
	o->to->n += n;
}

static void
list_open(struct out *o, const char *member)
{
	if (o->json) {
		name(o, member);
		rh_buf_char(o->to, '[');
	}
}

static void
list_close(struct out *o)
{
	if (o->json)
		rh_buf_char(o->to, ']');
}

/* A protobuf string is UTF-8, or the whole request is refused. */
static void
utf8(struct rh_buf *to, struct rh_slice text)
{
	while (text.n) {
		size_t n = rh_utf8_step((const unsigned char *)text.p, text.n);

		if (n)
			rh_buf_put(to, text.p, n);
		else
			rh_buf_lit(to, "\357\277\275");
		text = rh_slice_from(text, n ? n : 1);
	}
}

static void
text_field(struct out *o, unsigned field, const char *member,
    struct rh_slice text)
{
	size_t start;

	if (o->json) {
		name(o, member);
		rh_buf_json(o->to, text);
		return;
	}
	if (rh_utf8_is(text)) {
		tag(o->to, field, BYTES);
		varint(o->to, text.n);
		rh_buf_slice(o->to, text);
		return;
	}
	start = message_open(o, field, member);
	utf8(o->to, text);
	message_close(o, start);
}

static void
id_field(struct out *o, unsigned field, const char *member,
    struct rh_slice id)
{
	if (o->json) {
		name(o, member);
		rh_buf_char(o->to, '"');
		rh_buf_hex(o->to, id.p, id.n);
		rh_buf_char(o->to, '"');
		return;
	}
	tag(o->to, field, BYTES);
	varint(o->to, id.n);
	rh_buf_slice(o->to, id);
}

static void
little_endian(struct rh_buf *to, uint64_t n, unsigned bytes)
{
	for (; bytes--; n >>= 8)
		rh_buf_char(to, (char)n);
}

static void
small_field(struct out *o, unsigned field, const char *member, uint32_t n)
{
	if (o->json) {
		name(o, member);
		rh_buf_u64(o->to, n);
		return;
	}
	tag(o->to, field, VARINT);
	varint(o->to, n);
}

static void
flags_field(struct out *o, unsigned field, const char *member, uint32_t n)
{
	if (o->json) {
		small_field(o, field, member, n);
		return;
	}
	tag(o->to, field, FIXED32);
	little_endian(o->to, n, 4);
}

/* 64 bits are a string in JSON: a double would round them. */
static void
quoted(struct out *o, const char *member, int64_t n)
{
	name(o, member);
	rh_buf_char(o->to, '"');
	rh_buf_i64(o->to, n);
	rh_buf_char(o->to, '"');
}

static void
time_field(struct out *o, unsigned field, const char *member, uint64_t ns)
{
	if (o->json) {
		quoted(o, member, (int64_t)ns);
		return;
	}
	tag(o->to, field, FIXED64);
	little_endian(o->to, ns, 8);
}

static void
int_field(struct out *o, unsigned field, const char *member, int64_t n)
{
	if (o->json) {
		quoted(o, member, n);
		return;
	}
	tag(o->to, field, VARINT);
	varint(o->to, (uint64_t)n);
}

/* KeyValue { key 1, value 2: AnyValue { string 1, int 3 } } */
static void
attribute(struct out *o, unsigned field, const struct rh_attr *attr)
{
	size_t pair = message_open(o, field, NULL), value;

	text_field(o, 1, "key", rh_slice_of(attr->key));
	value = message_open(o, 2, "value");
	if (attr->is_int)
		int_field(o, 3, "intValue", attr->number);
	else
		text_field(o, 1, "stringValue", attr->text);
	message_close(o, value);
	message_close(o, pair);
}

static void
resource_text(struct out *o, const char *key, struct rh_slice text)
{
	if (text.n)
		attribute(o, 1, &(struct rh_attr){ .key = key, .text = text });
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

	if (spec->segment)
		memcpy(id.b, rh_segment_id(spec->segment), sizeof(id.b));
	id.b[14] ^= (unsigned char)(spec->slot >> 8);
	id.b[15] ^= (unsigned char)spec->slot;
	id.b[6] = (unsigned char)(0x80 | (id.b[6] & 0x0f));
	id.b[8] = (unsigned char)(0x80 | (id.b[8] & 0x3f));
	rh_uuid_put(to, id);
}

static void
resource(struct out *o, const struct rh_shipper_spec *spec)
{
	size_t start = message_open(o, 1, "resource");
	char instance[RH_UUID_LEN], host[256] = "";

	instance_id(instance, spec);
	gethostname(host, sizeof(host) - 1);
	list_open(o, "attributes");
	resource_text(o, "service.name", o->conf->service_name);
	resource_default(o, "service.version", rh_slice_of(spec->version));
	resource_default(o, "service.instance.id",
	    (struct rh_slice){ instance, sizeof(instance) });
	resource_default(o, "host.name", rh_slice_of(host));
	if (!told(o->conf, RH_SLICE("process.pid")).p)
		attribute(o, 1, &(struct rh_attr){ .key = "process.pid",
		    .is_int = true, .number = getpid() });
	resource_told(o);
	resource_text(o, "telemetry.sdk.name", RH_SLICE("rowhouse"));
	resource_text(o, "telemetry.sdk.language", RH_SLICE("c"));
	resource_text(o, "telemetry.sdk.version", RH_SLICE(PACKAGE_VERSION));
	list_close(o);
	message_close(o, start);
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

/* A span's attributes, counted against the limit. */
struct attrs {
	struct out *o;
	int64_t left;
	uint32_t dropped;
};

static void
span_attr(struct attrs *a, struct rh_attr attr)
{
	if (a->left == 0) {
		a->dropped++;
		return;
	}
	a->left--;
	if (!attr.is_int)
		attr.text = cut_characters(attr.text, a->o->conf->attr_text_max);
	attribute(a->o, 9, &attr);
}

static void
span_text(struct attrs *a, const char *key, struct rh_slice text)
{
	if (text.n)
		span_attr(a, (struct rh_attr){ .key = key, .text = text });
}

static void
span_attributes(struct out *o, const struct rh_kept *kept,
    struct rh_kept_span *span)
{
	struct attrs a = { o, o->conf->attrs_max, span->fixed.attrs_dropped };
	struct rh_attr attr;

	list_open(o, "attributes");
	span_text(&a, "rowhouse.request_id", kept->request_id);
	span_text(&a, "rowhouse.tenant.id", kept->tenant_id);
	while (rh_kept_attr(span, &attr))
		span_attr(&a, attr);
	if (span->fixed.kind == RH_SPAN_SERVER && kept->head.spans_dropped)
		span_attr(&a, (struct rh_attr){ .key =
		    "rowhouse.spans.dropped", .is_int = true,
		    .number = kept->head.spans_dropped });
	list_close(o);
	if (a.dropped)
		small_field(o, 10, "droppedAttributesCount", a.dropped);
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
	start = message_open(o, 15, "status");
	if (span->error_text.n)
		text_field(o, 2, "message", span->error_text);
	small_field(o, 3, "code", 2);
	message_close(o, start);
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

static void
span(struct out *o, const struct rh_kept *kept, struct rh_kept_span *s,
    struct rh_slice tracestate)
{
	size_t start = message_open(o, 2, NULL);

	id_field(o, 1, "traceId", (struct rh_slice){
	    (const char *)kept->head.trace_id, sizeof(kept->head.trace_id) });
	id_field(o, 2, "spanId", (struct rh_slice){
	    (const char *)s->fixed.id, sizeof(s->fixed.id) });
	if (tracestate.n)
		text_field(o, 3, "traceState", tracestate);
	if (!is_zero(s->fixed.parent_id))
		id_field(o, 4, "parentSpanId", (struct rh_slice){
		    (const char *)s->fixed.parent_id,
		    sizeof(s->fixed.parent_id) });
	text_field(o, 5, "name", s->name);
	small_field(o, 6, "kind", s->fixed.kind);
	time_field(o, 7, "startTimeUnixNano", s->fixed.start_ns);
	time_field(o, 8, "endTimeUnixNano", s->fixed.end_ns);
	span_attributes(o, kept, s);
	span_status(o, s);
	flags_field(o, 16, "flags", span_flags(kept, s));
	message_close(o, start);
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
	size_t start = message_open(o, 1, "scope");

	text_field(o, 1, "name", RH_SLICE("rowhouse"));
	if (spec->version)
		text_field(o, 2, "version", rh_slice_of(spec->version));
	message_close(o, start);
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

unsigned
rh_otlp_encode(struct rh_buf *to, enum rh_otlp_protocol protocol,
    const struct rh_shipper_spec *spec, const void *records, size_t n)
{
	struct out o = { to, protocol == RH_OTLP_JSON, spec->conf };
	size_t empty = to->n, of_resource, of_scope;
	unsigned spans;

	if (o.json)
		rh_buf_char(to, '{');
	list_open(&o, "resourceSpans");
	of_resource = message_open(&o, 1, NULL);
	resource(&o, spec);
	list_open(&o, "scopeSpans");
	of_scope = message_open(&o, 2, NULL);
	scope(&o, spec);
	list_open(&o, "spans");
	spans = records_all(&o, records, n);
	list_close(&o);
	message_close(&o, of_scope);
	list_close(&o);
	message_close(&o, of_resource);
	list_close(&o);
	if (o.json)
		rh_buf_char(to, '}');
	if (spans == 0)
		to->n = empty;
	return spans;
}
