#include "config.h"

#include "ctl/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/shape.h"

enum { FIRST = 4096, MAX = 64 << 20, SECONDS = 19 };

static int
put(const struct job_ask *a, const struct rh_buf *to)
{
	if (!to->full && fwrite(to->p, 1, to->n, stdout) == to->n &&
	    fflush(stdout) == 0)
		return EXIT_SUCCESS;
	return rh_program_fail(a->self, "cannot write: %s", strerror(errno));
}

static int
put_json(const struct job_ask *a, const char *name,
    const struct rh_field *shape, const void *rows, size_t size, size_t n)
{
	struct rh_buf to;

	rh_buf_init(&to, a->self->arena, FIRST, MAX);
	rh_buf_printf(&to, "{\"%s\":[", name);
	for (size_t i = 0; i < n; i++) {
		if (i)
			rh_buf_char(&to, ',');
		rh_shape_write(&to, shape, (const char *)rows + i * size);
	}
	rh_buf_lit(&to, "]}\n");
	return put(a, &to);
}

/* Left-aligned; what is longer pushes the rest. */
static void
cell(struct rh_buf *to, struct rh_slice text, int width)
{
	rh_buf_printf(to, "%-*.*s ", width, RH_SLICE_ARG(text));
}

static void
cell_time(struct rh_buf *to, int64_t us)
{
	char text[RH_TIME_LEN];

	if (us == RH_TIME_NONE) {
		cell(to, RH_SLICE("-"), SECONDS + 1);
		return;
	}
	rh_time_put(text, us);
	text[SECONDS] = 'Z';
	cell(to, (struct rh_slice){ text, SECONDS + 1 }, SECONDS + 1);
}

static void
cell_id(struct rh_buf *to, struct rh_uuid id)
{
	char text[RH_UUID_LEN];

	rh_uuid_put(text, id);
	cell(to, (struct rh_slice){ text, sizeof(text) }, RH_UUID_LEN);
}

static struct rh_slice
or_dash(struct rh_slice text)
{
	return text.n ? text : RH_SLICE("-");
}

/* Without the blanks that its last cell ends in. */
static void
end_line(struct rh_buf *to)
{
	while (to->n && to->p[to->n - 1] == ' ')
		to->n--;
	rh_buf_char(to, '\n');
}

int
job_print_list(const struct job_ask *a, const struct job_row *rows, size_t n)
{
	struct rh_buf to;

	if (a->json)
		return put_json(a, "jobs", job_row_shape, rows, sizeof(*rows),
		    n);
	rh_buf_init(&to, a->self->arena, FIRST, MAX);
	rh_buf_printf(&to, "%-36s %-16s %-24s %-9s %-7s %-20s %s\n", "ID",
	    "TENANT", "KIND", "STATE", "ATTEMPT", "CREATED", "ERROR");
	for (size_t i = 0; i < n; i++) {
		cell_id(&to, rows[i].id);
		cell(&to, or_dash(rows[i].tenant), 16);
		cell(&to, rows[i].kind, 24);
		cell(&to, rows[i].state, 9);
		rh_buf_printf(&to, "%3lld/%-3lld ", (long long)rows[i].attempt,
		    (long long)rows[i].max_attempts);
		cell_time(&to, rows[i].created_at);
		cell(&to, rows[i].error, 1);
		end_line(&to);
	}
	return put(a, &to);
}

static void
member(struct rh_buf *to, const char *name, struct rh_slice value)
{
	if (value.p)
		rh_buf_printf(to, "%-13s %.*s\n", name, RH_SLICE_ARG(value));
}

static void
member_time(struct rh_buf *to, const char *name, int64_t us)
{
	char text[RH_TIME_LEN];

	if (us == RH_TIME_NONE)
		return;
	rh_time_put(text, us);
	member(to, name, (struct rh_slice){ text, sizeof(text) });
}

int
job_print_one(const struct job_ask *a, const struct job_row *r)
{
	struct rh_buf to;
	char id[RH_UUID_LEN];

	rh_buf_init(&to, a->self->arena, FIRST, MAX);
	if (a->json) {
		rh_shape_write(&to, job_one_shape, r);
		rh_buf_char(&to, '\n');
		return put(a, &to);
	}
	rh_uuid_put(id, r->id);
	member(&to, "id", (struct rh_slice){ id, sizeof(id) });
	member(&to, "tenant", r->tenant);
	member(&to, "kind", r->kind);
	rh_buf_printf(&to, "%-13s %.*s%s\n", "state", RH_SLICE_ARG(r->state),
	    r->cancelling ? ", asked to stop" : "");
	rh_buf_printf(&to, "%-13s %lld of %lld\n", "attempt",
	    (long long)r->attempt, (long long)r->max_attempts);
	rh_buf_printf(&to, "%-13s %lld %%\n", "progress",
	    (long long)r->progress);
	member(&to, "error", r->error);
	member_time(&to, "created", r->created_at);
	member_time(&to, "due", r->run_at);
	member_time(&to, "started", r->started_at);
	member_time(&to, "finished", r->finished_at);
	member(&to, "request_id", r->request_id);
	member(&to, "trace_id", r->trace_id);
	member(&to, "args", r->sealed ? RH_SLICE("sealed") : r->args);
	member(&to, "result", r->result);
	return put(a, &to);
}

int
job_print_controls(const struct job_ask *a, const struct job_control *rows,
    size_t n)
{
	struct rh_buf to;

	if (a->json)
		return put_json(a, "controls", job_control_shape, rows,
		    sizeof(*rows), n);
	rh_buf_init(&to, a->self->arena, FIRST, MAX);
	rh_buf_printf(&to, "%-16s %-24s %-6s %-11s %s\n", "TENANT", "KIND",
	    "PAUSED", "CONCURRENCY", "RATE/S");
	for (size_t i = 0; i < n; i++) {
		const struct job_control *c = &rows[i];

		cell(&to, c->tenant.p ? c->tenant : RH_SLICE("each"), 16);
		cell(&to, c->kind.p ? c->kind : RH_SLICE("each"), 24);
		cell(&to, c->paused ? RH_SLICE("yes") : RH_SLICE("no"), 6);
		if (c->concurrency)
			rh_buf_printf(&to, "%-11lld ",
			    (long long)c->concurrency);
		else
			cell(&to, RH_SLICE("any"), 11);
		cell(&to, c->rate.p ? c->rate : RH_SLICE("any"), 1);
		end_line(&to);
	}
	return put(a, &to);
}

int
job_print_crons(const struct job_ask *a, const struct job_cron *rows, size_t n)
{
	struct rh_buf to;

	if (a->json)
		return put_json(a, "crons", job_cron_shape, rows, sizeof(*rows),
		    n);
	rh_buf_init(&to, a->self->arena, FIRST, MAX);
	rh_buf_printf(&to, "%-16s %-24s %-24s %-16s %-20s %s\n", "TENANT",
	    "NAME", "KIND", "SCHEDULE", "NEXT", "LAST");
	for (size_t i = 0; i < n; i++) {
		cell(&to, or_dash(rows[i].tenant), 16);
		cell(&to, rows[i].name, 24);
		cell(&to, rows[i].kind, 24);
		cell(&to, rows[i].schedule, 16);
		if (rows[i].paused)
			cell(&to, RH_SLICE("paused"), SECONDS + 1);
		else
			cell_time(&to, rows[i].next_at);
		cell_time(&to, rows[i].last_at);
		end_line(&to);
	}
	return put(a, &to);
}

int
job_print_count(const struct job_ask *a, const char *name, int64_t n)
{
	struct rh_buf to;

	rh_buf_init(&to, a->self->arena, FIRST, MAX);
	rh_buf_printf(&to, a->json ? "{\"%s\":%lld}\n" : "%s: %lld\n", name,
	    (long long)n);
	return put(a, &to);
}

int
job_print_left(const struct job_ask *a, const struct job_left *left)
{
	struct rh_buf to;

	rh_buf_init(&to, a->self->arena, FIRST, MAX);
	rh_buf_printf(&to, a->json ? "{\"left\":%lld,\"later\":%lld}\n" :
	    "%lld wait or run, %lld are scheduled for later\n",
	    (long long)left->left, (long long)left->later);
	return put(a, &to);
}
