#include "config.h"

#include "exporter/pool.h"

#include <errno.h>
#include <signal.h>

#include "exporter/proc.h"

/* All of a pool's processes together. */
struct sums {
	bool any;
	double cpu_s, start_s, resident_bytes, virtual_bytes;
	struct proc fullest;	/* the one nearest to its limit of open files */
};

static const char *const states[RH_SLOT_STATES] = {
	[RH_SLOT_STARTING] = "starting", [RH_SLOT_IDLE] = "idle",
	[RH_SLOT_BUSY] = "busy", [RH_SLOT_DRAINING] = "draining",
	[RH_SLOT_BACKOFF] = "backoff",
};

static void
put_head(struct rh_buf *to, const char *name, const char *kind,
    const char *help)
{
	rh_buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
	    kind);
}

/* A pool killed as a whole leaves its slots as they were. */
static bool
is_alive(pid_t pid)
{
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

static void
put_workers(struct rh_buf *to, const struct rh_segment *segment)
{
	bool has_master = is_alive(rh_segment_slot(segment, 0)->pid);
	unsigned count[RH_SLOT_STATES] = { 0 };
	const struct rh_slot *slot;
	uint32_t state;

	for (unsigned i = 1; i < rh_segment_slots(segment); i++) {
		slot = rh_segment_slot(segment, i);
		state = slot->state;
		if (state < RH_SLOT_STATES && (state == RH_SLOT_BACKOFF ?
		    has_master : is_alive(slot->pid)))
			count[state]++;
	}
	put_head(to, "rowhouse_workers", "gauge", "worker processes, by what"
	    " they are doing; backoff: not there, started after a pause");
	for (unsigned i = RH_SLOT_STARTING; i < RH_SLOT_STATES; i++)
		rh_buf_printf(to, "rowhouse_workers{pool=\"%s\",state=\"%s\"}"
		    " %u\n", rh_segment_pool(segment), states[i], count[i]);
}

static void
put_quoted(struct rh_buf *to, const char *text)
{
	rh_buf_char(to, '"');
	for (; *text; text++)
		if (*text == '"' || *text == '\\' || *text < ' ')
			rh_buf_char(to, '_');
		else
			rh_buf_char(to, *text);
	rh_buf_char(to, '"');
}

static void
put_build(struct rh_buf *to, const struct rh_segment *segment)
{
	struct rh_segment_build build;

	rh_segment_build(segment, &build);
	put_head(to, "rowhouse_build_info", "gauge", "what the pool was built"
	    " from; always 1");
	rh_buf_lit(to, "rowhouse_build_info{version=");
	put_quoted(to, build.version);
	rh_buf_lit(to, ",revision=");
	put_quoted(to, build.revision);
	rh_buf_lit(to, "} 1\n");
}

static void
add(struct sums *s, const struct proc *p)
{
	s->cpu_s += p->cpu_s;
	s->resident_bytes += p->resident_bytes;
	s->virtual_bytes += p->virtual_bytes;
	if (p->files_max > 0 && p->files >= 0 && (s->fullest.files_max <= 0 ||
	    (double)p->files / (double)p->files_max >
	    (double)s->fullest.files / (double)s->fullest.files_max))
		s->fullest = *p;
}

/*
 * The master comes last: a child that it reaps meanwhile is then counted
 * twice for one look, and the largest sum so far stands until it is passed.
 */
static void
look(struct sums *s, const struct rh_segment *segment)
{
	static struct { double start_s, cpu_s; } most;
	struct proc p;

	for (unsigned i = rh_segment_writer_slot(segment); i > 0; i--)
		if (proc_read(&p, rh_segment_slot(segment, i)->pid))
			add(s, &p);
	if (!proc_read(&p, rh_segment_slot(segment, 0)->pid))
		return;
	add(s, &p);
	s->any = true;
	s->start_s = p.start_s;
	s->cpu_s += p.children_cpu_s;
	if (most.start_s != p.start_s || most.cpu_s < s->cpu_s) {
		most.start_s = p.start_s;
		most.cpu_s = s->cpu_s;
	}
	s->cpu_s = most.cpu_s;
}

static void
put_process(struct rh_buf *to, const char *pool, double value,
    const char *name, const char *help)
{
	put_head(to, name, "gauge", help);
	rh_buf_printf(to, "%s{pool=\"%s\"} ", name, pool);
	rh_buf_double(to, value);
	rh_buf_char(to, '\n');
}

static void
put_cpu(struct rh_buf *to, const char *pool, double cpu_s,
    enum rh_exposition format)
{
	put_head(to, format == RH_EXPO_OPENMETRICS ? "process_cpu_seconds" :
	    "process_cpu_seconds_total", "counter", "CPU time of the pool's"
	    " processes, those that ended included");
	rh_buf_printf(to, "process_cpu_seconds_total{pool=\"%s\"} ", pool);
	rh_buf_double(to, cpu_s);
	rh_buf_char(to, '\n');
}

static void
put_processes(struct rh_buf *to, const struct rh_segment *segment,
    enum rh_exposition format)
{
	const char *pool = rh_segment_pool(segment);
	struct sums s = { .any = false };

	look(&s, segment);
	if (!s.any)
		return;
	put_cpu(to, pool, s.cpu_s, format);
	put_process(to, pool, s.resident_bytes, "process_resident_memory_bytes",
	    "resident memory of the pool's processes; what they share counts"
	    " for each");
	put_process(to, pool, s.virtual_bytes, "process_virtual_memory_bytes",
	    "virtual memory of the pool's processes");
	put_process(to, pool, s.start_s, "process_start_time_seconds",
	    "when the pool's master started, in seconds since 1970");
	if (s.fullest.files_max <= 0)
		return;
	put_process(to, pool, (double)s.fullest.files, "process_open_fds",
	    "open files of the process that is nearest to its limit");
	put_process(to, pool, (double)s.fullest.files_max, "process_max_fds",
	    "the limit of that process");
}

void
pool_expose(struct rh_buf *to, const struct rh_segment *segment,
    enum rh_exposition format)
{
	put_workers(to, segment);
	put_build(to, segment);
	put_processes(to, segment, format);
}
