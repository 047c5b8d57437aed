#include "config.h"

#include "exporter/fmt.h"
#include "exporter/request.h"
#include "exporter/timeline.h"

#define DEPTH_SHOWN	8

static uint64_t
span_ns(const struct rh_past_span *s)
{
	return s->fixed.end_ns > s->fixed.start_ns ?
	    s->fixed.end_ns - s->fixed.start_ns : 0;
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

/* ---- bars ---- */

static void
put_rect(struct view *v, const char *class, double place, double width)
{
	html_open(&v->h, "rect");
	html_attr_text(&v->h, "class", rh_slice_of(class));
	html_attr_printf(&v->h, "x", "%.1f", 1000 * place);
	html_attr_printf(&v->h, "width", "%.1f", 1000 * width);
	html_attr(&v->h, "height", "10");
	html_close(&v->h);
}

static void
put_bar(struct view *v, const struct timeline *t, const char *class,
    uint64_t start_ns, uint64_t end_ns)
{
	double from = RH_MIN(timeline_place(t, start_ns), 0.997);
	double to = timeline_place(t, RH_MAX(start_ns, end_ns));

	html_open(&v->h, "td");
	html_attr(&v->h, "class", "lane");
	html_open(&v->h, "svg");
	html_attr(&v->h, "viewBox", "0 0 1000 10");
	html_attr(&v->h, "preserveAspectRatio", "none");
	html_attr(&v->h, "aria-hidden", "true");
	for (unsigned i = 0; i < t->nfolds; i++)
		put_rect(v, "fold", t->folds[i].at, t->folds[i].width);
	put_rect(v, class, from, RH_MAX(to - from, 0.003));
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_times(struct view *v, const struct timeline *t, uint64_t start_ns,
    uint64_t ns)
{
	view_td(v, "num less", fmt_ns(v->arena, start_ns > t->start_ns ?
	    start_ns - t->start_ns : 0));
	view_td(v, "num", fmt_ns(v->arena, ns));
}

/* ---- legs ---- */

/* "job · attempt 2: retried · waited 3.01 s · jobs, slot 1" */
static void
put_caption(struct view *v, const struct request_leg *l)
{
	const struct rh_past_leg *leg = l->leg;

	html_open(&v->h, "small");
	html_text(&v->h, leg->is_other ? RH_SLICE("other") :
	    rh_slice_of(rh_work_names[leg->what]));
	if (l->attempt)
		html_printf(&v->h, " · attempt %u", l->attempt);
	if (l->outcome.n) {
		html_text(&v->h, l->attempt ? RH_SLICE(": ") :
		    RH_SLICE(" · "));
		html_say(&v->h, "span", "outcome", l->outcome);
	}
	if (leg->note && leg->what != RH_WORK_REQUEST) {
		html_lit(&v->h, " · waited ");
		html_text(&v->h, fmt_ns(v->arena, leg->note->f.waited_ns));
	}
	html_printf(&v->h, " · %s, slot %u", l->pool, l->slot);
	if (!leg->spans)
		html_lit(&v->h, " · its spans were not kept");
	html_close(&v->h);
}

static void
open_row(struct view *v, unsigned depth)
{
	html_open(&v->h, "tr");
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	html_attr_printf(&v->h, "class", "d%u", RH_MIN(depth,
	    (unsigned)DEPTH_SHOWN));
}

/* l: the leg that it begins; NULL: none. */
static void
put_span(struct view *v, const struct rh_past_span *s,
    const struct request_leg *l, const struct timeline *t)
{
	open_row(v, s->depth);
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
	if (l)
		put_caption(v, l);
	html_close(&v->h);
	put_bar(v, t, kind_of(s), s->fixed.start_ns, s->fixed.end_ns);
	put_times(v, t, s->fixed.start_ns, span_ns(s));
	html_close(&v->h);
}

/* Its record alone tells when it was. */
static void
put_gone(struct view *v, const struct request_leg *l, const struct timeline *t)
{
	open_row(v, l->leg->depth);
	html_open(&v->h, "span");
	html_attr(&v->h, "class", "key gone");
	html_close(&v->h);
	html_text(&v->h, l->name);
	if (l->failed)
		html_say(&v->h, "span", "failed", RH_SLICE(" failed"));
	put_caption(v, l);
	html_close(&v->h);
	put_bar(v, t, "gone", l->leg->start_ns, l->leg->end_ns);
	put_times(v, t, l->leg->start_ns, l->leg->note->f.ns);
	html_close(&v->h);
}

static void
put_leg(struct view *v, const struct request *r, const struct request_leg *l,
    const struct timeline *t)
{
	html_open(&v->h, "tbody");
	if (!l->leg->spans)
		put_gone(v, l, t);
	for (size_t i = 0; i < l->leg->nspans; i++)
		put_span(v, &l->leg->spans[i], i == 0 && r->found.nlegs > 1 ?
		    l : NULL, t);
	html_close(&v->h);
}

/* ---- the axis ---- */

static void
put_ticks(struct view *v, const struct timeline *t)
{
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "col");
	html_attr(&v->h, "class", "lane");
	html_open(&v->h, "div");
	html_attr(&v->h, "class", "ticks");
	for (unsigned i = 0; i <= 4; i++)
		html_say(&v->h, "span", "", i ? fmt_ns(v->arena,
		    timeline_since(t, i / 4.0)) : RH_SLICE("0"));
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_folds(struct view *v, const struct timeline *t)
{
	if (t->nfolds == 0)
		return;
	html_open(&v->h, "p");
	html_attr(&v->h, "class", "quiet");
	html_open(&v->h, "span");
	html_attr(&v->h, "class", "key fold");
	html_close(&v->h);
	html_lit(&v->h, "Folded, for nothing of it happened meanwhile: ");
	for (unsigned i = 0; i < t->nfolds; i++) {
		html_text(&v->h, i ? RH_SLICE(", ") : RH_SLICE(""));
		html_text(&v->h, fmt_ns(v->arena, t->folds[i].to_ns -
		    t->folds[i].from_ns));
	}
	html_lit(&v->h, ".");
	html_close(&v->h);
}

void
waterfall_put(struct view *v, const struct request *r)
{
	const struct rh_past_found *f = &r->found;
	struct timeline t;

	if (f->nspans == 0 && f->nlegs < 2)
		return;
	timeline_of(&t, f);
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Waterfall"));
	html_open(&v->h, "table");
	html_attr(&v->h, "class", "waterfall");
	html_open(&v->h, "thead");
	html_open(&v->h, "tr");
	view_th(v, "", "Span");
	put_ticks(v, &t);
	view_th(v, "num less", "From");
	view_th(v, "num", "Took");
	html_close(&v->h);
	html_close(&v->h);
	for (size_t i = 0; i < f->nlegs; i++)
		put_leg(v, r, &r->legs[i], &t);
	html_close(&v->h);
	put_folds(v, &t);
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
