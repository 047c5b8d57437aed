#include "config.h"

#include <math.h>

#include "ctl/trace.h"
#include "exporter/fmt.h"
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

	colour(s, rq->f.status >= 500 ? red : bold);
	rh_buf_printf(s->to, "%u ", rq->f.status);
	colour(s, off);
	colour(s, bold);
	put_plain(s, rq->text[RH_RQ_METHOD]);
	rh_buf_char(s->to, ' ');
	put_plain(s, rq->text[RH_RQ_PATH]);
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
}

/* ---- the waterfall ---- */

static void
put_name(struct screen *s, const struct rh_past_span *span)
{
	unsigned indent = RH_MIN(span->depth * 2, s->name / 2);
	size_t room = s->name - indent;

	rh_buf_printf(s->to, "%*s", (int)indent, "");
	put_plain(s, (struct rh_slice){ span->name.p,
	    RH_MIN(span->name.n, room) });
	for (size_t i = span->name.n; i < room; i++)
		rh_buf_char(s->to, ' ');
}

/* In eighths of a column, from the left: U+2588 is all of it, U+258F one. */
static void
put_block(struct screen *s, unsigned eighths)
{
	if (eighths == 0)
		rh_buf_char(s->to, ' ');
	else {
		rh_buf_lit(s->to, "\xe2\x96");
		rh_buf_char(s->to, (char)(0x90 - eighths));
	}
}

/* A column that it fills from within on is full: there is no block for that. */
static void
put_bar(struct screen *s, double from, double to)
{
	unsigned first = (unsigned)(from * s->lane), done = 0;
	double end = RH_MAX(to * s->lane, first + 0.125);

	for (; done < first; done++)
		rh_buf_char(s->to, ' ');
	for (; done < s->lane; done++) {
		double left = end - done;

		put_block(s, left >= 1 ? 8 : left > 0 ?
		    (unsigned)ceil(left * 8) : 0);
	}
}

static void
put_span(struct screen *s, const struct rh_past_span *span, uint64_t start_ns,
    uint64_t ns)
{
	uint64_t end_ns = RH_MAX(span->fixed.end_ns, span->fixed.start_ns);
	double from = (double)(span->fixed.start_ns - start_ns) / (double)ns;
	double to = (double)(end_ns - start_ns) / (double)ns;

	put_name(s, span);
	rh_buf_lit(s->to, " |");
	colour(s, span->fixed.error ? red : blue);
	put_bar(s, RH_MIN(from, 1 - 1.0 / s->lane), RH_MIN(to, 1));
	colour(s, off);
	rh_buf_char(s->to, '|');
	put_right(s, fmt_ns(s->arena, end_ns - span->fixed.start_ns),
	    TOOK_COLUMNS);
	if (span->fixed.error)
		put_some(s, "  failed: ", span->error_text.n ?
		    span->error_text : RH_SLICE("yes"));
	rh_buf_char(s->to, '\n');
}

static void
put_waterfall(struct screen *s, const struct rh_past_found *f)
{
	uint64_t start_ns = UINT64_MAX, end_ns = 0, ns;

	if (f->nspans == 0)
		return;
	for (size_t i = 0; i < f->nspans; i++) {
		start_ns = RH_MIN(start_ns, f->spans[i].fixed.start_ns);
		end_ns = RH_MAX(end_ns, f->spans[i].fixed.end_ns);
	}
	ns = end_ns > start_ns ? end_ns - start_ns : 1;
	rh_buf_char(s->to, '\n');
	for (size_t i = 0; i < f->nspans; i++)
		put_span(s, &f->spans[i], start_ns, ns);
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
		rh_buf_lit(s->to, " of its route");
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
	put_waterfall(&s, &r->found);
	put_stores(&s, &r->rq->f);
	put_compared(&s, r);
	put_statements(&s, r);
}
