#include "config.h"

#include "exporter/timeline.h"

/* A pause is folded that is longer than this part of all the work. */
#define FOLD_SHARE	4
#define FOLD_WIDTH	0.08
#define FOLDS_WIDTH	0.4	/* of all of them together, at most */

static uint64_t
end_of(const struct rh_past_leg *leg)
{
	return RH_MAX(leg->start_ns, leg->end_ns);
}

/* What of the time something was going on; legs are in the order of their start. */
static uint64_t
work_ns(const struct rh_past_found *f)
{
	uint64_t sum = 0, done_ns = 0;

	for (size_t i = 0; i < f->nlegs; i++) {
		uint64_t end_ns = end_of(&f->legs[i]);

		if (end_ns <= done_ns)
			continue;
		sum += end_ns - RH_MAX(f->legs[i].start_ns, done_ns);
		done_ns = end_ns;
	}
	return sum;
}

static void
find_folds(struct timeline *t, const struct rh_past_found *f)
{
	uint64_t least_ns = work_ns(f) / FOLD_SHARE;

	t->end_ns = t->start_ns;
	for (size_t i = 0; i < f->nlegs; i++) {
		uint64_t start_ns = f->legs[i].start_ns;

		if (start_ns > t->end_ns && start_ns - t->end_ns > least_ns &&
		    t->nfolds < TIMELINE_FOLDS_MAX)
			t->folds[t->nfolds++] = (struct timeline_fold){
				.from_ns = t->end_ns, .to_ns = start_ns };
		t->end_ns = RH_MAX(t->end_ns, end_of(&f->legs[i]));
	}
}

void
timeline_of(struct timeline *t, const struct rh_past_found *f)
{
	double width, left, folded = 0;

	*t = (struct timeline){ .start_ns = f->nlegs ? f->legs[0].start_ns :
	    0 };
	find_folds(t, f);
	width = RH_MIN(FOLD_WIDTH, FOLDS_WIDTH / RH_MAX(t->nfolds, 1u));
	for (unsigned i = 0; i < t->nfolds; i++)
		folded += (double)(t->folds[i].to_ns - t->folds[i].from_ns);
	left = (double)(t->end_ns - t->start_ns) - folded;
	t->per_ns = (1 - width * t->nfolds) / RH_MAX(left, 1.0);
	for (unsigned i = 0; i < t->nfolds; i++) {
		t->folds[i].at = timeline_place(t, t->folds[i].from_ns);
		t->folds[i].width = width;
	}
}

double
timeline_place(const struct timeline *t, uint64_t ns)
{
	uint64_t from_ns = t->start_ns;
	double place = 0;

	ns = RH_MAX(RH_MIN(ns, t->end_ns), t->start_ns);
	for (unsigned i = 0; i < t->nfolds && ns > t->folds[i].from_ns; i++) {
		const struct timeline_fold *f = &t->folds[i];

		place += (double)(f->from_ns - from_ns) * t->per_ns;
		if (ns < f->to_ns)
			return place + f->width * (double)(ns - f->from_ns) /
			    (double)(f->to_ns - f->from_ns);
		place += f->width;
		from_ns = f->to_ns;
	}
	return RH_MIN(place + (double)(ns - from_ns) * t->per_ns, 1.0);
}

uint64_t
timeline_since(const struct timeline *t, double place)
{
	uint64_t from_ns = t->start_ns;
	double at = 0;

	for (unsigned i = 0; i < t->nfolds && place > t->folds[i].at; i++) {
		const struct timeline_fold *f = &t->folds[i];

		if (place < f->at + f->width)
			return f->from_ns - t->start_ns +
			    (uint64_t)((double)(f->to_ns - f->from_ns) *
			    (place - f->at) / f->width);
		at = f->at + f->width;
		from_ns = f->to_ns;
	}
	return from_ns - t->start_ns +
	    (uint64_t)(RH_MAX(place - at, 0.0) / t->per_ns);
}
