#include "config.h"

#include <math.h>

#include "ctl/trace.h"
#include "exporter/fmt.h"
#include "exporter/timeline.h"
#include "obs/metric_read.h"

enum { TOOK_COLUMNS = 10, NAME_MIN = 24, NAME_SHARE = 40 };

struct screen {
	struct rh_buf *to;
	struct rh_arena *arena;
	unsigned name, lane;	/* columns of the waterfall's parts */
	bool colours;
};

static const char bold[] = "\033[1m", red[] = "\033[31m",
    blue[] = "\033[34m", dim[] = "\033[2m", off[] = "\033[0m";

static void
colour(struct screen *s, const char *which)
{
	if (s->colours)
		rh_buf_slice(s->to, rh_slice_of(which));
}

/* Anyone may have written the segment: nothing of it may move the cursor. */
static void
put_plain(struct screen *s, struct rh_slice text)
{
	for (size_t i = 0; i < text.n; i++)
		rh_buf_char(s->to, text.p[i] >= ' ' && text.p[i] < 0x7f ?
		    text.p[i] : '?');
}

static void
put(struct screen *s, const char *before, struct rh_slice text)
{
	rh_buf_slice(s->to, rh_slice_of(before));
	rh_buf_slice(s->to, text);
}

/* Columns of a text of ours: characters, not bytes. */
static unsigned
columns_of(struct rh_slice text)
{
	unsigned n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
	return n;
}

static void
put_right(struct screen *s, struct rh_slice text, unsigned columns)
{
	for (unsigned n = columns_of(text); n < columns; n++)
		rh_buf_char(s->to, ' ');
	rh_buf_slice(s->to, text);
}

/* ---- head ---- */

static void
put_some(struct screen *s, const char *before, struct rh_slice text)
{
	if (text.n == 0)
		return;
	rh_buf_slice(s->to, rh_slice_of(before));
	put_plain(s, text);
}

static void
put_head(struct screen *s, const struct request *r)
{
	const struct rh_request *rq = r->rq;
	struct rh_buf why;

	colour(s, rh_request_failed(rq) ? red : bold);
	if (rq->f.what == RH_WORK_REQUEST)
		rh_buf_printf(s->to, "%u ", rq->f.status);
	else
		put_some(s, "", rq->text[RH_RQ_OUTCOME]);
	colour(s, off);
	colour(s, bold);
	put_some(s, rq->f.what == RH_WORK_REQUEST ? "" : " ",
	    rq->text[RH_RQ_METHOD]);
	rh_buf_char(s->to, ' ');
	put_plain(s, rq->f.what == RH_WORK_REQUEST ? rq->text[RH_RQ_PATH] :
	    rq->text[RH_RQ_ROUTE]);
	colour(s, off);
	put(s, "  ", fmt_ns(s->arena, rq->f.ns));
	put(s, "  ", fmt_time(s->arena, rq->f.start_us));
	rh_buf_lit(s->to, " UTC\n");
	put_some(s, "request ", rq->text[RH_RQ_ID]);
	put(s, "  trace ", fmt_hex(s->arena, rq->f.trace_id, 16));
	put_some(s, "  tenant ", rq->text[RH_RQ_TENANT]);
	put_some(s, "  from ", rq->text[RH_RQ_REMOTE]);
	put_some(s, "\nroute ", rq->text[RH_RQ_ROUTE]);
	put_some(s, "\nerror ", rq->text[RH_RQ_ERROR]);
	rh_buf_init(&why, s->arena, 256, 1024);
	rh_past_why(&why, rq);
	put(s, rq->f.kept ? "\nkept: " : "\nnot kept: ", rh_buf_get(&why));
	rh_buf_char(s->to, '\n');
	if (rq->f.kept && !rh_past_server_span(&r->found))
		rh_buf_lit(s->to, "Its spans were overwritten since; a"
		    " collector may have them.\n");
	if (!rh_past_server_span(&r->found) && request_kept_after(r))
		rh_buf_lit(s->to, "What it left was kept, at least in part.\n");
	if (rq->f.what != RH_WORK_REQUEST)
		rh_buf_lit(s->to, "Nothing is remembered of the request that"
		    " left it.\n");
}

/* ---- the waterfall ---- */

static void
put_name(struct screen *s, unsigned depth, struct rh_slice name)
{
	unsigned indent = RH_MIN(depth * 2, s->name / 2);
	size_t room = s->name - indent;

	rh_buf_printf(s->to, "%*s", (int)indent, "");
	put_plain(s, (struct rh_slice){ name.p, RH_MIN(name.n, room) });
	for (size_t i = name.n; i < room; i++)
		rh_buf_char(s->to, ' ');
}

/* In eighths of a column, from the left: U+2588 is all of it, U+258F one. */
static void
put_block(struct screen *s, unsigned eighths)
{
	rh_buf_lit(s->to, "\xe2\x96");
	rh_buf_char(s->to, (char)(0x90 - eighths));
}

static bool
is_folded(const struct timeline *t, double place)
{
	for (unsigned i = 0; i < t->nfolds; i++)
		if (place >= t->folds[i].at &&
		    place < t->folds[i].at + t->folds[i].width)
			return true;
	return false;
}

static void
put_ground(struct screen *s, const struct timeline *t, unsigned column)
{
	rh_buf_char(s->to, is_folded(t, (column + 0.5) / s->lane) ? '~' : ' ');
}

/* A column that it fills from within on is full: there is no block for that. */
static void
put_bar(struct screen *s, const struct timeline *t, double from, double to)
{
	unsigned first = (unsigned)(RH_MIN(from, 1 - 1.0 / s->lane) * s->lane);
	double end = RH_MAX(to * s->lane, first + 0.125);

	for (unsigned done = 0; done < s->lane; done++) {
		double left = end - done;

		if (done < first || left <= 0)
			put_ground(s, t, done);
		else
			put_block(s, left >= 1 ? 8 : (unsigned)ceil(left * 8));
	}
}

static void
put_lane(struct screen *s, const struct timeline *t, uint64_t start_ns,
    uint64_t end_ns, const char *which)
{
	rh_buf_lit(s->to, " |");
	colour(s, which);
	put_bar(s, t, timeline_place(t, start_ns),
	    timeline_place(t, RH_MAX(start_ns, end_ns)));
	colour(s, off);
	rh_buf_char(s->to, '|');
	put_right(s, fmt_ns(s->arena, end_ns > start_ns ? end_ns - start_ns :
	    0), TOOK_COLUMNS);
}

static void
put_span(struct screen *s, const struct rh_past_span *span,
    const struct timeline *t)
{
	put_name(s, span->depth, span->name);
	put_lane(s, t, span->fixed.start_ns, span->fixed.end_ns,
	    span->fixed.error ? red : blue);
	if (span->fixed.error)
		put_some(s, "  failed: ", span->error_text.n ?
		    span->error_text : RH_SLICE("yes"));
	rh_buf_char(s->to, '\n');
}

/* "job in jobs 1, attempt 2: retried, waited 3.01 s, debug.failed" */
static void
put_leg_head(struct screen *s, const struct request_leg *l)
{
	const struct rh_request *note = l->leg->note;

	colour(s, dim);
	put_some(s, "", l->leg->is_other ? RH_SLICE("other") :
	    rh_slice_of(rh_work_names[l->leg->what]));
	put_some(s, " in ", rh_slice_of(l->pool));
	rh_buf_printf(s->to, " %u", l->slot);
	if (l->attempt)
		rh_buf_printf(s->to, ", attempt %u", l->attempt);
	put_some(s, l->attempt ? ": " : ", ", l->outcome);
	if (note && l->leg->what != RH_WORK_REQUEST) {
		put(s, ", waited ", fmt_ns(s->arena, note->f.waited_ns));
		put_some(s, ", ", note->text[RH_RQ_PATH]);
		put_some(s, ", ", note->text[RH_RQ_ERROR]);
	}
	colour(s, off);
	rh_buf_char(s->to, '\n');
}

static void
put_leg(struct screen *s, const struct request *r, const struct request_leg *l,
    const struct timeline *t)
{
	if (r->found.nlegs > 1)
		put_leg_head(s, l);
	if (!l->leg->spans) {
		put_name(s, l->leg->depth, l->name);
		put_lane(s, t, l->leg->start_ns, l->leg->end_ns, dim);
		rh_buf_lit(s->to, "  its spans were not kept\n");
	}
	for (size_t i = 0; i < l->leg->nspans; i++)
		put_span(s, &l->leg->spans[i], t);
}

static void
put_waterfall(struct screen *s, const struct request *r)
{
	const struct rh_past_found *f = &r->found;
	struct timeline t;

	if (f->nspans == 0 && f->nlegs < 2)
		return;
	timeline_of(&t, f);
	rh_buf_char(s->to, '\n');
	for (size_t i = 0; i < f->nlegs; i++)
		put_leg(s, r, &r->legs[i], &t);
	for (unsigned i = 0; i < t.nfolds; i++)
		put(s, i ? ", " : "~ folded, for nothing of it happened"
		    " meanwhile: ", fmt_ns(s->arena, t.folds[i].to_ns -
		    t.folds[i].from_ns));
	if (t.nfolds)
		rh_buf_char(s->to, '\n');
	if (f->spans_dropped)
		rh_buf_printf(s->to, "and %u more that had no room\n",
		    f->spans_dropped);
}

/* ---- where the time went ---- */

static void
put_store(struct screen *s, const char *name, uint64_t ns, unsigned trips)
{
	put(s, name, fmt_ns(s->arena, ns));
	if (trips)
		rh_buf_printf(s->to, " in %u round trip%s", trips,
		    trips == 1 ? "" : "s");
}

static void
put_stores(struct screen *s, const struct rh_request_fixed *f)
{
	uint64_t pg = RH_MIN(f->pg_ns, f->ns);
	uint64_t redis = RH_MIN(f->redis_ns, f->ns - pg);

	rh_buf_char(s->to, '\n');
	put_store(s, "PostgreSQL ", pg, f->pg_trips);
	put_store(s, ", Redis ", redis, f->redis_trips);
	put_store(s, ", the rest ", f->ns - pg - redis, 0);
	rh_buf_char(s->to, '\n');
}

static void
put_compared(struct screen *s, const struct request *r)
{
	if (r->requests == 0)
		return;
	if (r->requests >= REQUEST_COMPARED_MIN) {
		put(s, "longer than ", fmt_share(s->arena, r->slower_than));
		put(s, " of ", fmt_count(s->arena, r->requests));
		rh_buf_slice(s->to, r->rq->f.what == RH_WORK_REQUEST ?
		    RH_SLICE(" of its route") : RH_SLICE(" of its kind"));
	} else {
		put(s, "", fmt_count(s->arena, r->requests));
		rh_buf_lit(s->to, " of its route are too few to compare it"
		    " with");
	}
	put(s, ": p50 ", fmt_ns(s->arena, rh_quantile_ns(r->buckets, 0.5)));
	put(s, ", p95 ", fmt_ns(s->arena, rh_quantile_ns(r->buckets, 0.95)));
	put(s, ", p99 ", fmt_ns(s->arena, rh_quantile_ns(r->buckets, 0.99)));
	rh_buf_char(s->to, '\n');
}

static void
put_often(struct screen *s, const struct request *r)
{
	if (r->looked_at == 0)
		return;
	put(s, "", fmt_count(s->arena, r->alike));
	put(s, " of the last ", fmt_count(s->arena, r->looked_at));
	rh_buf_slice(s->to, r->rq->f.what == RH_WORK_REQUEST ?
	    RH_SLICE(" of its route ended so") :
	    RH_SLICE(" of its kind ended so"));
	put(s, ", which go back to ", fmt_time(s->arena, r->looked_us));
	rh_buf_char(s->to, '\n');
}

static void
put_statements(struct screen *s, const struct request *r)
{
	struct statement statements[STATEMENTS_MAX];
	size_t n = request_statements(r, statements);

	for (size_t i = 0; i < n; i++) {
		rh_buf_char(s->to, '\n');
		colour(s, bold);
		put_plain(s, statements[i].name);
		colour(s, off);
		rh_buf_printf(s->to, "  %u x ", statements[i].calls);
		put(s, "", fmt_ns(s->arena, statements[i].ns));
		rh_buf_lit(s->to, "\n  ");
		colour(s, dim);
		put_plain(s, statements[i].text);
		colour(s, off);
		rh_buf_char(s->to, '\n');
	}
}

void
trace_put_text(struct rh_buf *to, const struct request *r,
    const struct trace_look *look, struct rh_arena *arena)
{
	struct screen s = { .to = to, .arena = arena,
		.colours = look->colours };

	s.name = RH_MAX(look->columns * NAME_SHARE / 100, (unsigned)NAME_MIN);
	s.lane = look->columns - s.name - TOOK_COLUMNS - 4;
	put_head(&s, r);
	put_waterfall(&s, r);
	put_stores(&s, &r->rq->f);
	put_compared(&s, r);
	put_often(&s, r);
	put_statements(&s, r);
}
