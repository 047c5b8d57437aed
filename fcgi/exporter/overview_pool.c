#include "config.h"

#include "exporter/overview.h"

#include <errno.h>
#include <signal.h>

#include "exporter/fmt.h"
#include "exporter/json.h"
#include "exporter/proc.h"

static const char *const states[RH_SLOT_STATES] = {
	[RH_SLOT_STARTING] = "starting",
	[RH_SLOT_IDLE] = "idle", [RH_SLOT_BUSY] = "busy",
	[RH_SLOT_DRAINING] = "draining", [RH_SLOT_BACKOFF] = "backoff",
};

struct worker {
	const char *pool;
	unsigned slot;
	pid_t pid;
	unsigned state;
	int64_t up_us, since_us;
	uint64_t requests;
	unsigned generation;
	int64_t memory;		/* bytes; -1: not for us to know */
	bool is_busy;
	struct rh_flight flight;
};

static bool
is_alive(pid_t pid)
{
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/* Anyone may have written the segment: no time before 1970, none to come. */
static int64_t
since(int64_t now_us, int64_t then_us)
{
	return then_us > 0 && then_us < now_us ? now_us - then_us : 0;
}

/* False: nobody has the slot. */
static bool
read_worker(struct worker *w, const struct view *v,
    const struct rh_segment *pool, unsigned i)
{
	struct rh_slot *slot = rh_segment_slot(pool, i);
	struct proc proc;

	*w = (struct worker){ .pool = rh_segment_pool(pool), .slot = i, .pid = atomic_load(&slot->pid),
		.state = atomic_load(&slot->state),
		.up_us = since(v->now_us, atomic_load(&slot->started_us)),
		.requests = atomic_load(&slot->requests),
		.generation = atomic_load(&slot->generation), .memory = -1 };
	if (w->state >= RH_SLOT_STATES || w->state == RH_SLOT_EMPTY ||
	    (w->state != RH_SLOT_BACKOFF && !is_alive(w->pid)))
		return false;
	if (proc_read(&proc, w->pid))
		w->memory = (int64_t)proc.resident_bytes;
	w->is_busy = rh_flight_read(rh_segment_flight(pool, i), false,
	    &w->flight);
	w->since_us = since(v->now_us, w->flight.start_us);
	return true;
}

/* ---- HTML ---- */

static void
put_flight(struct view *v, const struct worker *w)
{
	const struct rh_flight *f = &w->flight;
	struct rh_slice id = rh_flight_text(f, request_id);

	html_open(&v->h, "td");
	html_attr(&v->h, "class", "wide");
	if (w->is_busy) {
		html_say(&v->h, "span", "method", rh_flight_text(f, method));
		html_lit(&v->h, " ");
		html_say(&v->h, "code", "", f->route_n ?
		    rh_flight_text(f, route) : rh_flight_text(f, path));
		html_open(&v->h, "span");
		html_attr(&v->h, "class", "quiet");
		html_printf(&v->h, " · %s ", rh_phase_names[f->phase]);
		html_text(&v->h, rh_flight_text(f, waits_for));
		html_lit(&v->h, " for ");
		html_text(&v->h, fmt_ns(v->arena,
		    (uint64_t)w->since_us * 1000));
		html_lit(&v->h, " · ");
		html_text(&v->h, rh_flight_text(f, tenant));
		html_lit(&v->h, " ");
		html_text(&v->h, id);
		html_close(&v->h);
	} else
		html_say(&v->h, "span", "quiet", RH_SLICE("–"));
	html_close(&v->h);
}

static void
put_worker(struct view *v, const struct worker *w)
{
	html_open(&v->h, "tr");
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	html_printf(&v->h, "%s %u", w->pool, w->slot);
	html_close(&v->h);
	html_open(&v->h, "td");
	html_open(&v->h, "span");
	html_attr_printf(&v->h, "class", "state %s", states[w->state]);
	html_text(&v->h, rh_slice_of(states[w->state]));
	html_close(&v->h);
	html_close(&v->h);
	view_td(v, "num", rh_slice_of(rh_arena_printf(v->arena, "%d",
	    (int)w->pid)));
	view_td(v, "num", fmt_span(v->arena, w->up_us));
	view_td(v, "num", fmt_count(v->arena, w->requests));
	view_td(v, "num less", w->memory < 0 ? RH_SLICE("–") :
	    fmt_bytes(v->arena, (uint64_t)w->memory));
	put_flight(v, w);
	html_close(&v->h);
}

/* All workers of all pools, by put; answers how many there are. */
static unsigned
each_worker(struct view *v, void (*put)(struct view *v, const struct worker *w))
{
	const struct rh_segment *pool;
	struct worker w;
	unsigned n = 0;

	for (unsigned p = 0; (pool = rh_segment_view(v->segment, p)); p++)
		for (unsigned i = 1; i < rh_segment_slots(pool); i++)
			if (read_worker(&w, v, pool, i)) {
				put(v, &w);
				n++;
			}
	return n;
}

void
overview_pool_put(struct view *v)
{
	unsigned n;

	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Workers now"));
	html_open(&v->h, "div");
	html_attr(&v->h, "class", "scroll");
	html_attr(&v->h, "tabindex", "0");
	html_open(&v->h, "table");
	html_open(&v->h, "thead");
	html_open(&v->h, "tr");
	view_th(v, "", "Pool, slot");
	view_th(v, "", "State");
	view_th(v, "num", "PID");
	view_th(v, "num", "Up");
	view_th(v, "num", "Done");
	view_th(v, "num less", "Memory");
	view_th(v, "wide", "In work");
	html_close(&v->h);
	html_close(&v->h);
	html_open(&v->h, "tbody");
	n = each_worker(v, put_worker);
	html_close(&v->h);
	html_close(&v->h);
	html_close(&v->h);
	if (n == 0)
		html_say(&v->h, "p", "empty", RH_SLICE("No worker is there: the"
		    " pool does not run, or is not to be seen from here."));
	html_close(&v->h);
}

/* ---- JSON ---- */

static void
put_flight_json(struct rh_buf *to, const struct worker *w)
{
	const struct rh_flight *f = &w->flight;

	json_open(to, "request", '{');
	json_text(to, "phase", rh_slice_of(rh_phase_names[f->phase]));
	json_some(to, "statement", rh_flight_text(f, waits_for));
	json_some(to, "method", rh_flight_text(f, method));
	json_some(to, "route", rh_flight_text(f, route));
	json_some(to, "path", rh_flight_text(f, path));
	json_some(to, "tenant", rh_flight_text(f, tenant));
	json_some(to, "request_id", rh_flight_text(f, request_id));
	json_ms(to, "duration_ms", (uint64_t)RH_MAX(w->since_us, 0) * 1000);
	json_close(to, '}');
}

static void
put_worker_json(struct view *v, const struct worker *w)
{
	struct rh_buf *to = &v->body;

	json_open(to, NULL, '{');
	json_text(to, "pool", rh_slice_of(w->pool));
	json_int(to, "slot", w->slot);
	json_int(to, "pid", w->pid);
	json_text(to, "state", rh_slice_of(states[w->state]));
	json_ms(to, "up_ms", (uint64_t)RH_MAX(w->up_us, 0) * 1000);
	json_int(to, "requests", (int64_t)w->requests);
	json_int(to, "generation", w->generation);
	if (w->memory >= 0)
		json_int(to, "resident_bytes", w->memory);
	if (w->is_busy)
		put_flight_json(to, w);
	json_close(to, '}');
}

void
overview_pool_json(struct view *v)
{
	const struct rh_segment *pool;

	json_open(&v->body, "pools", '[');
	for (unsigned p = 0; (pool = rh_segment_view(v->segment, p)); p++) {
		json_open(&v->body, NULL, '{');
		json_text(&v->body, "pool", rh_slice_of(rh_segment_pool(pool)));
		json_bool(&v->body, "running", rh_segment_is_held(pool));
		json_close(&v->body, '}');
	}
	json_close(&v->body, ']');
	json_open(&v->body, "workers", '[');
	(void)each_worker(v, put_worker_json);
	json_close(&v->body, ']');
}
