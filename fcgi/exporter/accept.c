#include "config.h"

#include "exporter/accept.h"

#define UNSAID	(-1)

/* "0.75" in thousandths; 1000 where it cannot be read. */
static int
weight(struct rh_slice s)
{
	int q = 0, scale = 1000;

	if (s.n == 0 || (s.p[0] != '0' && s.p[0] != '1'))
		return 1000;
	q = (s.p[0] - '0') * 1000;
	for (size_t i = 2; i < s.n && i < 5; i++) {
		if (s.p[1] != '.' || s.p[i] < '0' || s.p[i] > '9')
			return 1000;
		scale /= 10;
		q += (s.p[i] - '0') * scale;
	}
	return RH_MIN(q, 1000);
}

struct element {
	struct rh_slice name, version, proto, encoding;
	int q;
};

static bool
next(struct rh_slice *list, struct element *e)
{
	struct rh_slice rest, parameter, key;

	if (!list->p)
		return false;
	rest = rh_slice_cut(list, ',');
	e->name = rh_slice_trim(rh_slice_cut(&rest, ';'));
	e->version = e->proto = e->encoding = RH_SLICE_NONE;
	e->q = 1000;
	while (rest.p) {
		parameter = rh_slice_trim(rh_slice_cut(&rest, ';'));
		key = rh_slice_trim(rh_slice_cut(&parameter, '='));
		if (!parameter.p)
			continue;
		if (rh_slice_is_nocase(key, RH_SLICE("q")))
			e->q = weight(rh_slice_trim(parameter));
		else if (rh_slice_is_nocase(key, RH_SLICE("version")))
			e->version = rh_slice_trim(parameter);
		else if (rh_slice_is_nocase(key, RH_SLICE("proto")))
			e->proto = rh_slice_trim(parameter);
		else if (rh_slice_is_nocase(key, RH_SLICE("encoding")))
			e->encoding = rh_slice_trim(parameter);
	}
	return true;
}

static bool
version_is_ours(struct rh_slice v)
{
	return !v.p || rh_slice_is(v, RH_SLICE("1.0.0")) ||
	    rh_slice_is(v, RH_SLICE("0.0.1")) ||
	    rh_slice_is(v, RH_SLICE("\"1.0.0\""));
}

/* What Prometheus asks for where it takes native histograms. */
static bool
is_protobuf(const struct element *e)
{
	return rh_slice_is_nocase(e->name,
	    RH_SLICE("application/vnd.google.protobuf")) &&
	    rh_slice_is(e->proto, RH_SLICE("io.prometheus.client.MetricFamily")) &&
	    rh_slice_is(e->encoding, RH_SLICE("delimited"));
}

enum rh_exposition
accept_exposition(struct rh_slice accept)
{
	int open = UNSAID, plain = UNSAID, text = UNSAID, any = UNSAID;
	int protobuf = UNSAID;
	struct element e;

	while (next(&accept, &e)) {
		if (rh_slice_is_nocase(e.name,
		    RH_SLICE("application/openmetrics-text")) &&
		    version_is_ours(e.version))
			open = RH_MAX(open, e.q);
		else if (is_protobuf(&e))
			protobuf = RH_MAX(protobuf, e.q);
		else if (rh_slice_is_nocase(e.name, RH_SLICE("text/plain")))
			plain = RH_MAX(plain, e.q);
		else if (rh_slice_is_nocase(e.name, RH_SLICE("text/*")))
			text = RH_MAX(text, e.q);
		else if (rh_slice_is_nocase(e.name, RH_SLICE("*/*")))
			any = RH_MAX(any, e.q);
	}
	/* the most specific word counts */
	plain = plain != UNSAID ? plain : text != UNSAID ? text : any;
	if (protobuf > 0 && protobuf >= open && protobuf >= plain)
		return RH_EXPO_PROTOBUF;
	return open > 0 && open >= plain ? RH_EXPO_OPENMETRICS :
	    RH_EXPO_PROMETHEUS;
}

bool
accept_json(struct rh_slice accept)
{
	int json = UNSAID, html = UNSAID;
	struct element e;

	while (next(&accept, &e)) {
		if (rh_slice_is_nocase(e.name, RH_SLICE("application/json")))
			json = RH_MAX(json, e.q);
		else if (rh_slice_is_nocase(e.name, RH_SLICE("text/html")))
			html = RH_MAX(html, e.q);
	}
	return json > 0 && json >= html;
}

bool
accept_gzip(struct rh_slice accept_encoding)
{
	int gzip = UNSAID, any = UNSAID;
	struct element e;

	while (next(&accept_encoding, &e)) {
		if (rh_slice_is_nocase(e.name, RH_SLICE("gzip")) ||
		    rh_slice_is_nocase(e.name, RH_SLICE("x-gzip")))
			gzip = RH_MAX(gzip, e.q);
		else if (rh_slice_is(e.name, RH_SLICE("*")))
			any = RH_MAX(any, e.q);
	}
	return (gzip != UNSAID ? gzip : any) > 0;
}
