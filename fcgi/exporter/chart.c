#include "config.h"

#include "exporter/chart.h"

#include <math.h>

#include "exporter/fmt.h"

#define WIDTH	1000
#define HEIGHT	200
#define TIMES	5

static double
largest(const struct chart *c)
{
	double most = 0;

	for (unsigned l = 0; l < c->nlines; l++)
		for (unsigned i = 0; i < c->n; i++)
			if (isfinite(c->lines[l].values[i]))
				most = RH_MAX(most, c->lines[l].values[i]);
	return most;
}

/* A round number above all: 1, 2 or 5 times a power of ten, or 4 of them. */
static double
top_of(double most)
{
	static const double steps[] = { 1, 2, 4, 5, 8, 10 };
	double unit;

	if (!(most > 0))
		return 1;
	unit = pow(10, floor(log10(most)));
	for (size_t i = 0; i < RH_COUNT(steps); i++)
		if (steps[i] * unit >= most)
			return steps[i] * unit;
	return 10 * unit;
}

static double
x_of(const struct chart *c, unsigned i)
{
	return c->n > 1 ? (double)i * WIDTH / (c->n - 1) : 0;
}

/* What the lowest and the highest line stand for, and how many parts lie between. */
struct scale {
	double bottom, top;
	unsigned parts;
	bool decades;
};

static double
smallest(const struct chart *c)
{
	double least = INFINITY;

	for (unsigned l = 0; l < c->nlines; l++)
		for (unsigned i = 0; i < c->n; i++)
			if (c->lines[l].values[i] > 0)
				least = RH_MIN(least, c->lines[l].values[i]);
	return least;
}

static struct scale
scale_of(const struct chart *c)
{
	double most = largest(c), low, high;

	if (!c->decades || !(most > 0))
		return (struct scale){ 0, top_of(most), 2, false };
	low = floor(log10(smallest(c)));
	high = RH_MAX(ceil(log10(most)), low + 1);
	return (struct scale){ pow(10, low), pow(10, high),
		(unsigned)(high - low), true };
}

static double
value_at(const struct scale *s, unsigned line)
{
	double share = (double)line / s->parts;

	return s->decades ? s->bottom * pow(10, line) : s->top * share;
}

static double
y_of(double value, const struct scale *s)
{
	if (!s->decades)
		return HEIGHT - value / s->top * HEIGHT;
	value = RH_MAX(value, s->bottom);
	return HEIGHT - log10(value / s->bottom) / s->parts * HEIGHT;
}

/* A gap where nothing is known: "M" starts anew behind it. */
static struct rh_slice
path_of(const struct chart *c, const double *values,
    const struct scale *scale, struct rh_arena *arena)
{
	bool drawing = false;
	struct rh_buf b;

	rh_buf_init(&b, arena, 4096, 65536);
	for (unsigned i = 0; i < c->n; i++) {
		if (!isfinite(values[i])) {
			drawing = false;
			continue;
		}
		rh_buf_printf(&b, "%c%.1f %.1f", drawing ? 'L' : 'M',
		    x_of(c, i), y_of(values[i], scale));
		/* a single point is a short line, or it would not be seen */
		if (!drawing && (i + 1 == c->n || !isfinite(values[i + 1])))
			rh_buf_lit(&b, "h2");
		drawing = true;
	}
	return rh_buf_get(&b);
}

static struct rh_slice
area_of(const struct chart *c, const double *values,
    const struct scale *scale, struct rh_arena *arena)
{
	struct rh_buf b;

	rh_buf_init(&b, arena, 4096, 65536);
	for (unsigned i = 0; i < c->n; i++) {
		bool first = i == 0 || !isfinite(values[i - 1]);

		if (!isfinite(values[i]))
			continue;
		if (first)
			rh_buf_printf(&b, "M%.1f %d", x_of(c, i), HEIGHT);
		rh_buf_printf(&b, "L%.1f %.1f", x_of(c, i),
		    y_of(values[i], scale));
		if (i + 1 == c->n || !isfinite(values[i + 1]))
			rh_buf_printf(&b, "L%.1f %dZ", x_of(c, i), HEIGHT);
	}
	return rh_buf_get(&b);
}

static void
put_path(struct html *h, const char *kind, const char *class,
    struct rh_slice d)
{
	html_open(h, "path");
	html_attr_printf(h, "class", "%s %s", kind, class);
	html_attr_text(h, "d", d);
	html_close(h);
}

static void
put_grid(struct html *h, unsigned parts)
{
	for (unsigned i = 0; i <= parts; i++) {
		html_open(h, "line");
		html_attr(h, "class", "grid");
		html_attr(h, "x1", "0");
		html_attr_printf(h, "x2", "%d", WIDTH);
		html_attr_printf(h, "y1", "%u", i * HEIGHT / parts);
		html_attr_printf(h, "y2", "%u", i * HEIGHT / parts);
		html_close(h);
	}
}

static void
put_title(struct html *h, const struct chart *c, unsigned i,
    struct rh_arena *arena)
{
	html_open(h, "title");
	html_text(h, fmt_clock(arena, c->start_us + i * c->step_us));
	for (unsigned l = 0; l < c->nlines; l++) {
		double value = c->lines[l].values[i];

		html_printf(h, "\n%s ", c->lines[l].name);
		html_text(h, isfinite(value) ? c->label(arena, value) :
		    RH_SLICE("–"));
	}
	html_close(h);
}

/* What a pointer finds: a column for each point, with its values. */
static void
put_hits(struct html *h, const struct chart *c, struct rh_arena *arena)
{
	double step = c->n > 1 ? (double)WIDTH / (c->n - 1) : WIDTH;

	for (unsigned i = 0; i < c->n; i++) {
		html_open(h, "rect");
		html_attr(h, "class", "hit");
		html_attr_printf(h, "x", "%.1f", x_of(c, i) - step / 2);
		html_attr(h, "y", "0");
		html_attr_printf(h, "width", "%.1f", step);
		html_attr_printf(h, "height", "%d", HEIGHT);
		put_title(h, c, i, arena);
		html_close(h);
	}
}

static void
put_drawing(struct html *h, const struct chart *c,
    const struct scale *scale, struct rh_arena *arena)
{
	html_open(h, "svg");
	html_attr_printf(h, "viewBox", "0 0 %d %d", WIDTH, HEIGHT);
	html_attr(h, "preserveAspectRatio", "none");
	html_attr(h, "role", "img");
	html_attr_text(h, "aria-label", rh_slice_of(c->title));
	put_grid(h, scale->decades ? scale->parts : 2 * scale->parts);
	for (unsigned l = 0; l < c->nlines; l++)
		if (c->lines[l].filled)
			put_path(h, "area", c->lines[l].class,
			    area_of(c, c->lines[l].values, scale, arena));
	for (unsigned l = 0; l < c->nlines; l++)
		put_path(h, "line", c->lines[l].class,
		    path_of(c, c->lines[l].values, scale, arena));
	put_hits(h, c, arena);
	html_close(h);
}

static void
put_legend(struct html *h, const struct chart *c)
{
	html_open(h, "figcaption");
	html_open(h, "h2");
	html_text(h, rh_slice_of(c->title));
	if (c->unit)
		html_say(h, "span", "unit", rh_slice_of(c->unit));
	html_close(h);
	html_open(h, "ul");
	html_attr(h, "class", "legend");
	for (unsigned l = 0; l < c->nlines; l++) {
		html_open(h, "li");
		html_open(h, "svg");
		html_attr(h, "viewBox", "0 0 24 8");
		html_attr(h, "aria-hidden", "true");
		put_path(h, "line", c->lines[l].class, RH_SLICE("M0 4H24"));
		html_close(h);
		html_text(h, rh_slice_of(c->lines[l].name));
		html_close(h);
	}
	html_close(h);
	html_close(h);
}

void
chart_put(struct html *h, const struct chart *c, struct rh_arena *arena)
{
	const struct scale scale = scale_of(c);
	int64_t width_us = c->step_us * (int64_t)RH_MAX(c->n - 1, 1u);

	html_open(h, "figure");
	html_attr(h, "class", "chart");
	put_legend(h, c);
	html_open(h, "div");
	html_attr(h, "class", "plot");
	html_open(h, "div");
	html_attr(h, "class", "ylabels");
	html_attr(h, "aria-hidden", "true");
	for (unsigned i = 0; i <= scale.parts; i++)
		html_say(h, "span", "", c->label(arena,
		    value_at(&scale, scale.parts - i)));
	html_close(h);
	put_drawing(h, c, &scale, arena);
	html_open(h, "div");
	html_attr(h, "class", "xlabels");
	for (int i = 0; i < TIMES; i++) {
		struct rh_slice clock = fmt_clock(arena, c->start_us +
		    width_us * i / (TIMES - 1));

		clock.n = RH_MIN(clock.n, 5u);
		html_say(h, "span", "", clock);
	}
	html_close(h);
	html_close(h);
	html_close(h);
}

void
chart_spark(struct html *h, const uint64_t *values, unsigned n)
{
	char text[2048];
	uint64_t most = 1;
	struct rh_buf b;

	for (unsigned i = 0; i < n; i++)
		most = RH_MAX(most, values[i]);
	rh_buf_init_fixed(&b, text, sizeof(text));
	for (unsigned i = 0; i < n; i++)
		rh_buf_printf(&b, "%c%.1f %.1f", i ? 'L' : 'M', 100.0 * i /
		    RH_MAX(n - 1, 1u), 19 - 18.0 * (double)values[i] /
		    (double)most);
	html_open(h, "svg");
	html_attr(h, "class", "spark");
	html_attr(h, "viewBox", "0 0 100 20");
	html_attr(h, "preserveAspectRatio", "none");
	html_attr(h, "aria-hidden", "true");
	put_path(h, "line", "a", rh_buf_get(&b));
	html_close(h);
}
