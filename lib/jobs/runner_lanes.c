#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "jobs/runner_part.h"

/*
 * A look may take one part of so many of the time; of what is idle, the half.
 * While jobs are had without one it comes no sooner than after LOOK_NS: one at a
 * time, with a commit each, it would be every fifth claim, and the dearest.
 */
#define LOOK_SHARE 5
#define LOOK_NS (25 * MS_NS)
#define MEAN_OF 8

/*
 * One at a time the next is thought to be at most so far off: twice as far as the
 * last one was, for others take them too, and a few. Where many lanes' jobs stand
 * between, nothing is thought.
 */
#define GAP_MAX 64
#define GAP_MORE 8

/* So many, and what so many turns take, others of the host may have under way. */
#define FAR 64
#define FAR_TURNS 8

enum { ARRAY_FIRST = 256, ARRAY_MAX = WANT_MAX * (RH_UUID_LEN + 66) };

/* ---- how far all of the host are ---- */

static uint64_t
lane_hash(const struct rh_lane *lane)
{
	struct {
		struct rh_uuid tenant;
		uint64_t kind;
		int64_t priority;
	} of = { lane->tenant,
		rh_hash64(lane->kind->name, strlen(lane->kind->name)),
		lane->priority };

	return rh_hash64(&of, sizeof(of));
}

/* Of a lane that is the only one; of several each has what it has. */
static void
front_take(struct rh_runner *r)
{
	struct rh_lane *lane = &r->lanes[0];

	if (r->nlanes == 1 && r->obs.looks)
		lane->above = rh_front_take(&r->obs.looks->fronts,
		    lane_hash(lane), lane->above, r->want,
		    FAR + (int64_t)r->want * FAR_TURNS);
}

/* was: the only lane it went on in; NULL: it looked, or there were several. */
static void
front_note(const struct rh_runner *r, const struct rh_batch *b,
    const struct rh_lane *was)
{
	struct rh_looks *looks = r->obs.looks;

	if (!looks)
		return;
	if (was && b->n < r->want)
		rh_front_forget(&looks->fronts, lane_hash(was));
	else if (r->nlanes == 1)
		rh_front_raise(&looks->fronts, lane_hash(&r->lanes[0]),
		    r->lanes[0].above);
}

static void
arrays_open(struct rh_buf b[4], struct rh_arena *arena)
{
	for (size_t i = 0; i < 4; i++) {
		rh_buf_init(&b[i], arena, ARRAY_FIRST, ARRAY_MAX);
		rh_buf_char(&b[i], '{');
	}
}

static void
arrays_add(struct rh_buf b[4], const struct rh_lane *lane)
{
	char tenant[RH_UUID_LEN];

	for (size_t i = 0; i < 4 && b[0].n > 1; i++)
		rh_buf_char(&b[i], ',');
	rh_uuid_put(tenant, lane->tenant);
	rh_buf_put(&b[0], tenant, sizeof(tenant));
	rh_buf_i64(&b[1], lane->priority);
	rh_buf_printf(&b[2], "\"%s\"", lane->kind->name);
	rh_buf_i64(&b[3], lane->above);
}

void
rh_lanes_claim(struct rh_runner *r, struct rh_pipe *p, struct rh_arena *arena,
    bool look)
{
	struct rh_slice texts[4] = { { NULL, 0 } };
	struct rh_buf b[4];

	if (!look) {
		front_take(r);
		arrays_open(b, arena);
		for (size_t i = 0; i < r->nlanes; i++)
			arrays_add(b, &r->lanes[i]);
		for (size_t i = 0; i < 4; i++) {
			rh_buf_char(&b[i], '}');
			rh_assert(!b[i].full);
			texts[i] = rh_buf_get(&b[i]);
		}
	}
	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_CLAIM], RH_UUID(r->holder),
	    RH_INT(r->want), RH_INT(LEASE_MS + r->obs.grace_ms),
	    RH_UUID(r->after), RH_TEXT(texts[0]), RH_TEXT(texts[1]),
	    RH_TEXT(texts[2]), RH_TEXT(texts[3]));
}

void
rh_lanes_turn_one(struct rh_runner *r, struct rh_pipe *p,
    const struct rh_claimed *done)
{
	const struct rh_lane *lane = &r->lanes[0];
	bool near = r->gap > 0 && r->gap <= GAP_MAX;

	front_take(r);
	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_TURN], RH_UUID(r->holder),
	    RH_INT(LEASE_MS + r->obs.grace_ms),
	    RH_UUID(done ? done->tenant : RH_UUID_NIL),
	    RH_UUID(done ? done->id : RH_UUID_NIL),
	    RH_INT(done ? done->attempt : 0), RH_UUID(lane->tenant),
	    RH_INT(lane->priority), RH_TEXT(rh_slice_of(lane->kind->name)),
	    RH_INT(lane->above),
	    RH_INT(near ? lane->above + 2 * r->gap + GAP_MORE : INT64_MAX));
}

#define R struct rh_claimed
static const struct rh_field turn_columns[] = { { RH_FIELD("id", UUID, R, id) },
	{ RH_FIELD("args", TEXT, R, args) },
	{ RH_FIELD("attempt", INT, R, attempt) },
	{ RH_FIELD("max_attempts", INT, R, max_attempts) },
	{ RH_FIELD("actor_id", UUID, R, actor) },
	{ RH_FIELD("trace_id", TEXT, R, trace_id) },
	{ RH_FIELD("parent_span_id", TEXT, R, parent_span_id) },
	{ RH_FIELD("trace_flags", INT, R, trace_flags) },
	{ RH_FIELD("request_id", TEXT, R, request_id) },
	{ RH_FIELD("due_at", TIME, R, due_us) },
	{ RH_FIELD("started_at", TIME, R, started_us) },
	{ RH_FIELD("seq", INT, R, seq) }, { 0 } };
#undef R
struct turned {
	struct rh_slice record;
};
static const struct rh_field turned_columns[] = {
	{ RH_FIELD("job_turn_one", TEXT, struct turned, record) }, { 0 }
};

/* What the lane says is not told again. */
void
rh_lanes_turned(const struct rh_runner *r, struct rh_pipe *p,
    struct rh_batch *b)
{
	const struct rh_lane *lane = &r->lanes[0];
	struct rh_claimed *row = RH_NEW(b->arena, struct rh_claimed);
	struct turned turned;

	b->rows = row;
	b->n = 0;
	if (!rh_pipe_row(p, turned_columns, &turned) || !turned.record.p)
		return;
	rh_assert(rh_pg_record_get(turned.record, turn_columns, row));
	row->tenant = lane->tenant;
	row->kind = rh_slice_of(lane->kind->name);
	row->priority = lane->priority;
	row->waited_ms = (row->started_us - row->due_us) / 1000;
	b->n = 1;
}

/*
 * A look begins behind the tenant that was served last and goes round, so one
 * that leads back to its lane says that nobody else's waits: then one worker's
 * look is all workers', until one of them is led elsewhere.
 */
static uint64_t
shared_ns(const struct rh_runner *r)
{
	struct rh_looks *looks = r->obs.looks;

	if (!looks || !r->alone || r->want > 1 ||
	    atomic_load(&looks->moved_ns) > r->looked_ns)
		return 0;
	return atomic_load(&looks->began_ns) + LOOK_NS;
}

int64_t
rh_lanes_look_in(const struct rh_runner *r)
{
	uint64_t now = rh_clock_mono_ns();
	bool had = r->nlanes && !r->woken;
	uint64_t pause = had ? RH_MAX(LOOK_SHARE * r->look_ns, LOOK_NS) :
			       2 * r->lasted_ns;
	uint64_t due = r->looked_ns + pause;

	if (had)
		due = RH_MAX(due, shared_ns(r));
	return due > now ? (int64_t)(due - now) : 0;
}

static uint64_t
mean(uint64_t was, uint64_t ns)
{
	return was ? (was * (MEAN_OF - 1) + ns) / MEAN_OF : ns;
}

/*
 * Where there are jobs without a look it claims a batch as any other does: what
 * is its own is the difference, and that of means, for each of them waits for a
 * disk as well.
 */
void
rh_lanes_took(struct rh_runner *r, bool look, bool had, uint64_t ns)
{
	if (look)
		r->lasted_ns = ns;
	if (!look)
		r->claims_ns = mean(r->claims_ns, ns);
	else if (had && r->claims_ns) {
		r->looks_ns = mean(r->looks_ns, ns);
		r->look_ns = r->looks_ns - RH_MIN(r->looks_ns, r->claims_ns);
	} else
		r->look_ns = ns;
}

void
rh_lanes_look(struct rh_runner *r)
{
	if (r->obs.looks)
		atomic_store(&r->obs.looks->began_ns, rh_clock_mono_ns());
}

/* ---- the order of a batch ---- */

static int
by_id(struct rh_uuid a, struct rh_uuid b)
{
	return memcmp(a.b, b.b, sizeof(a.b));
}

/* As they wait: by tenant, the higher priority first, the earlier first. */
static int
by_place(const void *x, const void *y)
{
	const struct rh_claimed *a = x, *b = y;
	int tenant = by_id(a->tenant, b->tenant);

	if (tenant)
		return tenant;
	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* Each tenant's first, then each one's second … */
static int
by_turn(const void *x, const void *y)
{
	const struct rh_claimed *a = x, *b = y;

	if (a->nth != b->nth)
		return a->nth < b->nth ? -1 : 1;
	if (a->round != b->round)
		return a->round ? 1 : -1;
	return by_id(a->tenant, b->tenant);
}

static void
take_turns(struct rh_runner *r, struct rh_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct rh_claimed *row = &b->rows[i];
		bool same = i > 0 && by_id(row[-1].tenant, row->tenant) == 0;

		row->nth = same ? row[-1].nth + 1 : 0;
		row->round = by_id(row->tenant, r->after) <= 0;
	}
	if (b->n && by_id(b->rows[0].tenant, b->rows[b->n - 1].tenant) != 0)
		qsort(b->rows, b->n, sizeof(*b->rows), by_turn);
}

/* ---- where they are from ---- */

/* Rows come by tenant, so it is among that one's, which are the last. */
static struct rh_lane *
lane_of(struct rh_runner *r, const struct rh_claimed *row,
    const struct rh_job_kind *kind)
{
	for (size_t i = r->nlanes; i-- > 0;) {
		struct rh_lane *lane = &r->lanes[i];

		if (by_id(lane->tenant, row->tenant) != 0)
			break;
		if (lane->kind == kind && lane->priority == row->priority)
			return lane;
	}
	rh_assert(r->nlanes < WANT_MAX);
	r->lanes[r->nlanes] = (struct rh_lane){ .tenant = row->tenant,
		.kind = kind,
		.priority = row->priority };
	return &r->lanes[r->nlanes++];
}

static bool
is_lane(const struct rh_lane *a, const struct rh_lane *b)
{
	return by_id(a->tenant, b->tenant) == 0 && a->kind == b->kind &&
	    a->priority == b->priority;
}

/* was: the only lane it was in; NULL: it was in none, or in several. */
static void
note_look(struct rh_runner *r, const struct rh_lane *was)
{
	r->alone = was && r->nlanes == 1 && is_lane(was, &r->lanes[0]);
	if (!r->alone && r->obs.looks)
		atomic_store(&r->obs.looks->moved_ns, rh_clock_mono_ns());
}

void
rh_lanes_note(struct rh_runner *r, struct rh_batch *b, bool look)
{
	const struct rh_lane was = r->lanes[0];
	size_t n = r->nlanes;

	qsort(b->rows, b->n, sizeof(*b->rows), by_place);
	r->nlanes = 0;
	for (size_t i = 0; i < b->n; i++) {
		const struct rh_claimed *row = &b->rows[i];
		const struct rh_job_kind *kind = rh_job_kinds_find(row->kind);
		struct rh_lane *lane;

		/* of a kind that is not ours there is no name to keep */
		if (!kind)
			continue;
		lane = lane_of(r, row, kind);
		lane->above = RH_MAX(lane->above, row->seq);
	}
	r->gap = n == 1 && r->nlanes == 1 && is_lane(&was, &r->lanes[0]) ?
	    r->lanes[0].above - was.above :
	    0;
	front_note(r, b, n == 1 && !look ? &was : NULL);
	if (look)
		note_look(r, n == 1 ? &was : NULL);
	take_turns(r, b);
}

void
rh_lanes_turn(struct rh_runner *r, const struct rh_batch *b)
{
	struct rh_uuid last = r->after;

	/* where all had one, the last of them; or the one that was begun last */
	for (size_t i = 0; i < b->begun && b->rows[i].nth == 0; i++)
		last = b->rows[i].tenant;
	r->after = last;
}
