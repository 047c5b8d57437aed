#include "config.h"

#include <math.h>

#include "exporter/fmt.h"
#include "exporter/request.h"
#include "obs/metric_read.h"

/* ---- stores ---- */

static void
put_part(struct view *v, const char *class, uint64_t *x, uint64_t ns,
    uint64_t all)
{
	double width = all ? 1000.0 * (double)ns / (double)all : 0;
	double at = all ? 1000.0 * (double)*x / (double)all : 0;

	html_open(&v->h, "rect");
	html_attr_text(&v->h, "class", rh_slice_of(class));
	html_attr_printf(&v->h, "x", "%.1f", at);
	html_attr_printf(&v->h, "width", "%.1f", width);
	html_attr(&v->h, "height", "10");
	html_close(&v->h);
	*x += ns;
}

static void
put_share(struct view *v, const char *class, const char *name, uint64_t ns,
    uint64_t all, unsigned trips)
{
	html_open(&v->h, "tr");
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	html_open(&v->h, "span");
	html_attr_printf(&v->h, "class", "key %s", class);
	html_close(&v->h);
	html_text(&v->h, rh_slice_of(name));
	html_close(&v->h);
	view_td(v, "num", fmt_ns(v->arena, ns));
	view_td(v, "num", fmt_share(v->arena, all ? (double)ns / (double)all :
	    0));
	view_td(v, "num", trips ? rh_slice_of(rh_arena_printf(v->arena, "%u",
	    trips)) : RH_SLICE("–"));
	html_close(&v->h);
}

void
shares_put(struct view *v, const struct request *r)
{
	uint64_t all = r->rq->f.ns, x = 0;
	uint64_t pg = RH_MIN(r->rq->f.pg_ns, all);
	uint64_t redis = RH_MIN(r->rq->f.redis_ns, all - pg);

	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Where the time went"));
	html_open(&v->h, "svg");
	html_attr(&v->h, "class", "stack");
	html_attr(&v->h, "viewBox", "0 0 1000 10");
	html_attr(&v->h, "preserveAspectRatio", "none");
	html_attr(&v->h, "aria-hidden", "true");
	put_part(v, "pg", &x, pg, all);
	put_part(v, "redis", &x, redis, all);
	put_part(v, "own", &x, all - pg - redis, all);
	html_close(&v->h);
	html_open(&v->h, "table");
	html_open(&v->h, "thead");
	html_open(&v->h, "tr");
	view_th(v, "", "In");
	view_th(v, "num", "Time");
	view_th(v, "num", "Share");
	view_th(v, "num", "Round trips");
	html_close(&v->h);
	html_close(&v->h);
	html_open(&v->h, "tbody");
	put_share(v, "pg", "PostgreSQL", pg, all, r->rq->f.pg_trips);
	put_share(v, "redis", "Redis", redis, all, r->rq->f.redis_trips);
	put_share(v, "own", r->rq->f.what == RH_WORK_WEBHOOK ? "the receiver" :
	    "the rest", all - pg - redis, all, 0);
	html_close(&v->h);
	html_close(&v->h);
	html_close(&v->h);
}

/* ---- among its like ---- */

static void
put_bars(struct view *v, const struct request *r)
{
	unsigned in = rh_bucket_of(r->rq->f.ns);
	uint64_t most = 1;

	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		most = RH_MAX(most, r->buckets[i]);
	html_open(&v->h, "svg");
	html_attr(&v->h, "class", "bars");
	html_attr_printf(&v->h, "viewBox", "0 0 %d 100", (RH_BUCKETS + 1) * 10);
	html_attr(&v->h, "preserveAspectRatio", "none");
	html_attr(&v->h, "role", "img");
	html_attr(&v->h, "aria-label", "How long requests of its route take");
	for (unsigned i = 0; i <= RH_BUCKETS; i++) {
		/* the square root, so that few among many are still seen */
		double height = r->buckets[i] ? RH_MAX(2.0, 100 *
		    sqrt((double)r->buckets[i] / (double)most)) : 0;

		html_open(&v->h, "rect");
		html_attr_text(&v->h, "class", i == in ? RH_SLICE("here") :
		    RH_SLICE("there"));
		html_attr_printf(&v->h, "x", "%.1f", i * 10 + 0.5);
		html_attr_printf(&v->h, "y", "%.1f", 100 - height);
		html_attr(&v->h, "width", "9");
		html_attr_printf(&v->h, "height", "%.1f", height);
		html_open(&v->h, "title");
		html_text(&v->h, fmt_count(v->arena, r->buckets[i]));
		html_text(&v->h, i == RH_BUCKETS ? RH_SLICE(" over ") :
		    RH_SLICE(" up to "));
		html_text(&v->h, fmt_ns(v->arena, rh_bucket_ns[RH_MIN(i,
		    (unsigned)RH_BUCKETS - 1)]));
		html_close(&v->h);
		html_close(&v->h);
	}
	html_close(&v->h);
	html_open(&v->h, "div");
	html_attr(&v->h, "class", "barlabels");
	html_attr(&v->h, "aria-hidden", "true");
	html_say(&v->h, "span", "", RH_SLICE("0.5 ms"));
	html_say(&v->h, "span", "", RH_SLICE("5 ms"));
	html_say(&v->h, "span", "", RH_SLICE("50 ms"));
	html_say(&v->h, "span", "", RH_SLICE("500 ms"));
	html_say(&v->h, "span", "", RH_SLICE("5 s"));
	html_close(&v->h);
}

void
compared_put(struct view *v, const struct request *r)
{
	static const struct {
		const char *name;
		double q;
	} marks[] = { { "p50", 0.5 }, { "p95", 0.95 }, { "p99", 0.99 } };

	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", r->rq->f.what == RH_WORK_REQUEST ?
	    RH_SLICE("Among requests of its route") :
	    RH_SLICE("Among attempts of its kind"));
	if (r->requests == 0) {
		html_say(&v->h, "p", "empty", RH_SLICE("There are none to"
		    " compare it with."));
		html_close(&v->h);
		return;
	}
	html_open(&v->h, "p");
	html_lit(&v->h, "It took ");
	html_say(&v->h, "strong", "", fmt_ns(v->arena, r->rq->f.ns));
	if (r->requests >= REQUEST_COMPARED_MIN) {
		html_lit(&v->h, ", longer than ");
		html_text(&v->h, fmt_share(v->arena, r->slower_than));
		html_lit(&v->h, " of ");
	} else
		html_lit(&v->h, "; so many are too few to compare it with: ");
	html_text(&v->h, fmt_count(v->arena, r->requests));
	html_lit(&v->h, ".");
	html_close(&v->h);
	put_bars(v, r);
	html_open(&v->h, "dl");
	html_attr(&v->h, "class", "marks");
	for (size_t i = 0; i < RH_COUNT(marks); i++)
		view_pair(v, marks[i].name, fmt_ns(v->arena,
		    rh_quantile_ns(r->buckets, marks[i].q)));
	view_pair(v, "this one", fmt_ns(v->arena, r->rq->f.ns));
	html_close(&v->h);
	html_close(&v->h);
}
