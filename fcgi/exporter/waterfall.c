#include "config.h"

#include "exporter/fmt.h"
#include "exporter/request.h"

#define DEPTH_SHOWN	8

static uint64_t
span_ns(const struct rh_past_span *s)
{
	return s->fixed.end_ns > s->fixed.start_ns ?
	    s->fixed.end_ns - s->fixed.start_ns : 0;
}

struct scale {
	uint64_t start_ns, ns;
};

/* From the first start to the last end; what a rubbish clock says is cut. */
static struct scale
scale_of(const struct rh_past_found *f)
{
	struct scale s = { UINT64_MAX, 1 };
	uint64_t end = 0;

	for (size_t i = 0; i < f->nspans; i++) {
		s.start_ns = RH_MIN(s.start_ns, f->spans[i].fixed.start_ns);
		end = RH_MAX(end, f->spans[i].fixed.end_ns);
	}
	if (end > s.start_ns)
		s.ns = end - s.start_ns;
	return s;
}

static const char *
kind_of(const struct rh_past_span *s)
{
	struct rh_slice system = rh_past_attr(s, "db.system.name");

	if (s->fixed.error)
		return "error";
	if (rh_slice_is(system, RH_SLICE("postgresql")))
		return "pg";
	if (rh_slice_is(system, RH_SLICE("redis")))
		return "redis";
	return s->fixed.kind == RH_SPAN_SERVER ? "server" :
	    s->fixed.kind == RH_SPAN_CLIENT ? "client" :
	    s->fixed.kind == RH_SPAN_CONSUMER ? "job" :
	    s->fixed.kind == RH_SPAN_PRODUCER ? "job" : "own";
}

static const char *
word_of(const struct rh_past_span *s)
{
	static const char *const words[] = { "", "internal", "server",
		"client", "producer", "consumer" };

	return s->fixed.kind < RH_COUNT(words) ? words[s->fixed.kind] : "";
}

static void
put_attrs(struct view *v, const struct rh_past_span *s)
{
	html_open(&v->h, "dl");
	html_attr(&v->h, "class", "fields");
	view_pair(v, "span_id", fmt_hex(v->arena, s->fixed.id, 8));
	view_pair(v, "kind", rh_slice_of(word_of(s)));
	if (s->fixed.error)
		view_pair(v, "failed", s->error_text.n ? s->error_text :
		    RH_SLICE("yes"));
	for (unsigned i = 0; i < s->nattrs; i++) {
		const struct rh_attr *a = &s->attrs[i];

		view_pair(v, rh_arena_strdup(v->arena, rh_slice_of(a->key)),
		    a->is_int ? rh_slice_of(rh_arena_printf(v->arena, "%lld",
		    (long long)a->number)) : a->text);
	}
	html_close(&v->h);
}

static void
put_bar(struct view *v, const struct rh_past_span *s, const struct scale *all)
{
	double x = 1000.0 * (double)(s->fixed.start_ns - all->start_ns) /
	    (double)all->ns;
	double width = RH_MAX(3.0, 1000.0 * (double)span_ns(s) /
	    (double)all->ns);

	html_open(&v->h, "td");
	html_attr(&v->h, "class", "lane");
	html_open(&v->h, "svg");
	html_attr(&v->h, "viewBox", "0 0 1000 10");
	html_attr(&v->h, "preserveAspectRatio", "none");
	html_attr(&v->h, "aria-hidden", "true");
	html_open(&v->h, "rect");
	html_attr_text(&v->h, "class", rh_slice_of(kind_of(s)));
	html_attr_printf(&v->h, "x", "%.1f", RH_MIN(x, 1000 - 3.0));
	html_attr_printf(&v->h, "width", "%.1f", width);
	html_attr(&v->h, "height", "10");
	html_close(&v->h);
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_span(struct view *v, const struct rh_past_span *s,
    const struct scale *all)
{
	html_open(&v->h, "tr");
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	html_attr_printf(&v->h, "class", "d%u", RH_MIN(s->depth,
	    (unsigned)DEPTH_SHOWN));
	html_open(&v->h, "details");
	html_open(&v->h, "summary");
	html_open(&v->h, "span");
	html_attr_printf(&v->h, "class", "key %s", kind_of(s));
	html_close(&v->h);
	html_text(&v->h, s->name);
	if (s->fixed.error)
		html_say(&v->h, "span", "failed", RH_SLICE(" failed"));
	html_close(&v->h);
	put_attrs(v, s);
	html_close(&v->h);
	html_close(&v->h);
	put_bar(v, s, all);
	view_td(v, "num less", fmt_ns(v->arena,
	    s->fixed.start_ns - all->start_ns));
	view_td(v, "num", fmt_ns(v->arena, span_ns(s)));
	html_close(&v->h);
}

static void
put_ticks(struct view *v, const struct scale *all)
{
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "col");
	html_attr(&v->h, "class", "lane");
	html_open(&v->h, "div");
	html_attr(&v->h, "class", "ticks");
	for (unsigned i = 0; i <= 4; i++)
		html_say(&v->h, "span", "", i ? fmt_ns(v->arena,
		    all->ns / 4 * i) : RH_SLICE("0"));
	html_close(&v->h);
	html_close(&v->h);
}

void
waterfall_put(struct view *v, const struct request *r)
{
	const struct rh_past_found *f = &r->found;
	struct scale all = scale_of(f);

	if (f->nspans == 0)
		return;
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Waterfall"));
	html_open(&v->h, "table");
	html_attr(&v->h, "class", "waterfall");
	html_open(&v->h, "thead");
	html_open(&v->h, "tr");
	view_th(v, "", "Span");
	put_ticks(v, &all);
	view_th(v, "num less", "From");
	view_th(v, "num", "Took");
	html_close(&v->h);
	html_close(&v->h);
	html_open(&v->h, "tbody");
	for (size_t i = 0; i < f->nspans; i++)
		put_span(v, &f->spans[i], &all);
	html_close(&v->h);
	html_close(&v->h);
	if (f->spans_dropped) {
		html_open(&v->h, "p");
		html_attr(&v->h, "class", "quiet");
		html_printf(&v->h, "%u more had no room in the record.",
		    f->spans_dropped);
		html_close(&v->h);
	}
	html_close(&v->h);
}

/* ---- SQL, by the statement's name ---- */

void
statements_put(struct view *v, const struct request *r)
{
	struct statement statements[STATEMENTS_MAX];
	size_t n = request_statements(r, statements);

	if (n == 0)
		return;
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Statements"));
	for (size_t i = 0; i < n; i++) {
		html_open(&v->h, "div");
		html_attr(&v->h, "class", "statement");
		html_open(&v->h, "h3");
		html_say(&v->h, "code", "", statements[i].name);
		html_open(&v->h, "span");
		html_attr(&v->h, "class", "quiet");
		html_printf(&v->h, " %u × ", statements[i].calls);
		html_text(&v->h, fmt_ns(v->arena, statements[i].ns));
		html_close(&v->h);
		html_close(&v->h);
		html_open(&v->h, "pre");
		html_attr(&v->h, "tabindex", "0");
		html_say(&v->h, "code", "", statements[i].text);
		html_close(&v->h);
		html_close(&v->h);
	}
	html_close(&v->h);
}
