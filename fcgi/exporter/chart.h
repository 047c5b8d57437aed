/*
 * chart - lines over time, as inline SVG with its labels in HTML.
 *
 * Shape    points from left to right, one scale for all lines. The drawing is
 *          stretched to whatever room there is; labels are not, so that they
 *          stay legible on a phone. Each point has its values as a title
 * Units    whatever the caller's labels say
 * Owner    the arena's
 */
#ifndef RH_EXPORTER_CHART_H
#define RH_EXPORTER_CHART_H

#include "exporter/html.h"

enum { CHART_LINES_MAX = 4 };

struct chart_line {
	const char *name;	/* "p95" */
	const char *class;	/* a, b, c, e: colour and dashes of style.css */
	bool filled;
	const double *values;	/* NAN: nothing is known there */
};

struct chart {
	const char *title;
	const char *unit;	/* after the title; NULL: labels have it */
	struct chart_line lines[CHART_LINES_MAX];
	unsigned nlines;
	unsigned n;		/* points */
	int64_t start_us, step_us;
	bool decades;		/* a scale where each line is ten times the one below */
	struct rh_slice (*label)(struct rh_arena *arena, double value);
};

void chart_put(struct html *h, const struct chart *chart,
    struct rh_arena *arena);

/* A line without labels, for a table's cell. */
void chart_spark(struct html *h, const uint64_t *values, unsigned n);

#endif
