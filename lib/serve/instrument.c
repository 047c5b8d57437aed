#include "config.h"

#include "serve/instrument.h"

#include "serve/server.h"

#define NAME_MAX_BYTES	100

/* The exporter's own, of what it sees in the segment. */
static const char *const reserved[] = { "workers", "build_info" };

static bool
is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return n && n <= NAME_MAX_BYTES && s[n] == '\0' && *s >= 'a' && *s <= 'z';
}

static bool
is_total(const char *name)
{
	struct rh_slice s = rh_slice_of(name), end = RH_SLICE("_total");

	return s.n >= end.n && rh_slice_is(rh_slice_from(s, s.n - end.n), end);
}

static bool
is_taken(const struct rh_metrics *m, const char *name)
{
	for (size_t i = 0; i < RH_COUNT(reserved); i++) {
		if (strcmp(name, reserved[i]) == 0)
			return true;
	}
	return rh_metrics_has(m, name);
}

static const char *
fault_of(const struct rh_metrics *m, const struct rh_instrument *i)
{
	if (!is_name(i->name) || (i->label && !is_name(i->label)))
		return "a name is lower-case letters, digits and _";
	if (is_total(i->name) != (i->kind == RH_M_COUNTER))
		return "counters end in _total, and nothing else does";
	if (!i->help || !i->label != !i->values || (i->values && !i->values[0]))
		return "it needs a help, and a label its values";
	if (is_taken(m, i->name))
		return "the name is taken";
	return NULL;
}

static int
dim_of(struct rh_metrics *m, const struct rh_instrument *i)
{
	int dim;

	if (!i->label)
		return -1;
	dim = rh_metrics_dim(m, i->label, 0);
	for (const char *const *value = i->values; *value; value++)
		rh_metrics_value(m, dim, value);
	return dim;
}

bool
rh_instruments_register(struct rh_metrics *m, struct rh_instrument *table,
    struct rh_buf *why)
{
	for (struct rh_instrument *i = table; i->name; i++) {
		const char *fault = fault_of(m, i);

		if (fault) {
			rh_buf_printf(why, "metric %s: %s\n", i->name, fault);
			return false;
		}
		i->family = rh_metrics_family(m, &(struct rh_family_spec){
		    .kind = i->kind, .flags = i->flags, .name = i->name,
		    .help = i->help, .dim_a = dim_of(m, i), .dim_b = -1 });
	}
	return true;
}

void
rh_call_count(struct rh_call *c, const struct rh_instrument *counter,
    unsigned value, uint64_t n)
{
	rh_count(&c->server->tally, counter->family, value, 0, n);
}

void
rh_call_gauge(struct rh_call *c, const struct rh_instrument *gauge,
    unsigned value, uint64_t to)
{
	rh_gauge_set(&c->server->tally, gauge->family, value, to);
}

void
rh_call_observe(struct rh_call *c, const struct rh_instrument *histogram,
    unsigned value, uint64_t ns)
{
	const struct rh_exemplar_of exemplar = { c->trace->trace_id, c->start_us };
	/* one that the end of the request alone decides on may yet be dropped */
	bool kept = histogram->flags & RH_M_EXEMPLARS && c->trace->on &&
	    c->trace->head;

	rh_observe(&c->server->tally, histogram->family, value, 0, ns,
	    kept ? &exemplar : NULL);
}
