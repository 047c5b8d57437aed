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

/* As many as a segment may have. */
#define POOLS_MAX 8

struct pool_sums {
	const char *name;
	struct sums s;
};

/* What was shown of a pool whose master started then. */
struct most {
	double start_s, cpu_s;
};

struct shown {
	const char *name, *kind;
	double (*of)(const struct sums *s);
	bool is_of_files;
	const char *help;
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
put_states(struct rh_buf *to, const struct rh_segment *pool)
{
	bool has_master = is_alive(rh_segment_slot(pool, 0)->pid);
	unsigned count[RH_SLOT_STATES] = { 0 };
	const struct rh_slot *slot;
	uint32_t state;

	for (unsigned i = 1; i < rh_segment_slots(pool); i++) {
		slot = rh_segment_slot(pool, i);
		state = slot->state;
		if (state < RH_SLOT_STATES && (state == RH_SLOT_BACKOFF ?
		    has_master : is_alive(slot->pid)))
			count[state]++;
	}
	for (unsigned i = RH_SLOT_STARTING; i < RH_SLOT_STATES; i++)
		rh_buf_printf(to,
		    "rowhouse_workers{pool=\"%s\",state=\"%s\"}"
		    " %u\n",
		    rh_segment_pool(pool), states[i], count[i]);
}

/* Who has no pool of jobs is not told that none of its workers is there. */
static bool
has_ever_run(const struct rh_segment *pool)
{
	return rh_segment_slot(pool, 1)->generation;
}

static void
put_workers(struct rh_buf *to, const struct rh_segment *segment)
{
	const struct rh_segment *pool;

	put_head(to, "rowhouse_workers", "gauge",
	    "worker processes, by what"
	    " they are doing; backoff: not there, started after a pause");
	for (unsigned i = 0; (pool = rh_segment_view(segment, i)); i++)
		if (i == 0 || has_ever_run(pool))
			put_states(to, pool);
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
look(struct sums *s, const struct rh_segment *pool, struct most *most)
{
	struct proc p;

	for (unsigned i = rh_segment_writer_slot(pool); i > 0; i--)
		if (proc_read(&p, rh_segment_slot(pool, i)->pid))
			add(s, &p);
	if (!proc_read(&p, rh_segment_slot(pool, 0)->pid))
		return;
	add(s, &p);
	s->any = true;
	s->start_s = p.start_s;
	s->cpu_s += p.children_cpu_s;
	if (most->start_s != p.start_s || most->cpu_s < s->cpu_s) {
		most->start_s = p.start_s;
		most->cpu_s = s->cpu_s;
	}
	s->cpu_s = most->cpu_s;
}

/* One family at a time, of all pools. */
static void
put_family(struct rh_buf *to, const struct shown *shown,
    const struct pool_sums *pools, unsigned n, const char *head)
{
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		if (!pools[i].s.any ||
		    (shown->is_of_files && pools[i].s.fullest.files_max <= 0))
			continue;
		if (!any)
			put_head(to, head, shown->kind, shown->help);
		any = true;
		rh_buf_printf(to, "%s{pool=\"%s\"} ", shown->name,
		    pools[i].name);
		rh_buf_double(to, shown->of(&pools[i].s));
		rh_buf_char(to, '\n');
	}
}

/* clang-format off */
static double cpu_of(const struct sums *s) { return s->cpu_s; }
static double resident_of(const struct sums *s) { return s->resident_bytes; }
static double virtual_of(const struct sums *s) { return s->virtual_bytes; }
static double start_of(const struct sums *s) { return s->start_s; }
static double files_of(const struct sums *s) { return (double)s->fullest.files; }
static double files_max_of(const struct sums *s) { return (double)s->fullest.files_max; }

static const struct shown families[] = {
	{ "process_cpu_seconds_total",     "counter", cpu_of,       false, "CPU time of the pool's processes, those that ended included" },
	{ "process_resident_memory_bytes", "gauge",   resident_of,  false, "resident memory of the pool's processes; what they share counts for each" },
	{ "process_virtual_memory_bytes",  "gauge",   virtual_of,   false, "virtual memory of the pool's processes" },
	{ "process_start_time_seconds",    "gauge",   start_of,     false, "when the pool's master started, in seconds since 1970" },
	{ "process_open_fds",              "gauge",   files_of,     true,  "open files of the process that is nearest to its limit" },
	{ "process_max_fds",               "gauge",   files_max_of, true,  "the limit of that process" },
};
/* clang-format on */

static void
put_processes(struct rh_buf *to, const struct rh_segment *segment,
    enum rh_exposition format)
{
	static struct most most[POOLS_MAX];
	struct pool_sums pools[POOLS_MAX];
	const struct rh_segment *pool;
	unsigned n = 0;

	while (n < POOLS_MAX && (pool = rh_segment_view(segment, n))) {
		pools[n] = (struct pool_sums){ .name = rh_segment_pool(pool) };
		look(&pools[n].s, pool, &most[n]);
		n++;
	}
	for (size_t i = 0; i < RH_COUNT(families); i++)
		put_family(to, &families[i], pools, n,
		    i == 0 && format == RH_EXPO_OPENMETRICS ?
			"process_cpu_seconds" :
			families[i].name);
}

void
pool_expose(struct rh_buf *to, const struct rh_segment *segment,
    enum rh_exposition format)
{
	put_workers(to, segment);
	put_build(to, segment);
	put_processes(to, segment, format);
}
