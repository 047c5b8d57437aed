/*
 * ship_driver - a shipper and its ring, driven by lines on stdin.
 *
 *	start			the shipper, as OTEL_* say
 *	put TRACES CHILDREN	so many kept traces, each a SERVER span and children
 *	stop MS			the shipper, with that deadline
 *	counts			(each command answers with them anyway)
 *
 * Answers each with a line of JSON: spans ended, exported, dropped, rejected,
 * and those still in the ring. The one argument is the ring's size.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "obs/otlp.h"

static struct rh_trace trace;
static struct rh_otlp_conf conf;
static uint64_t cells[RH_SPANS_OUTCOMES];
static const struct rh_tally tally = { .cells = cells };
static struct rh_ring *ring;
static struct rh_shipper *shipper;
static unsigned long ended;

static void
read_conf(struct rh_arena *arena)
{
	struct rh_otlp_defaults defaults = { .trace_ratio = 1, .traces = true,
	    .service_name = RH_SLICE("driver") };
	struct rh_buf warnings;

	rh_buf_init(&warnings, arena, 256, 65536);
	rh_otlp_conf_read(&conf, &defaults, arena, &warnings);
	fprintf(stderr, "%.*s", (int)warnings.n, warnings.p);
}

static void
put(unsigned traces, unsigned children)
{
	trace.on = true;
	for (unsigned i = 0; i < traces; i++) {
		char name[32];

		rh_trace_begin(&trace, &conf.sampler,
		    &(struct rh_trace_caller){ 0 });
		snprintf(name, sizeof(name), "trace %lu", ended);
		rh_trace_server(&trace)->name = rh_slice_of(name);
		for (unsigned c = 0; c < children; c++)
			rh_span_close(&trace, rh_span_open(&trace,
			    RH_SPAN_CLIENT, RH_SLICE("child")));
		ended += rh_trace_spans(&trace);
		rh_trace_decide(&trace, (struct rh_trace_facts){ 0 });
		rh_trace_end(&trace, ring, true, rh_trace_now(&trace),
		    RH_SLICE("request"), RH_SLICE("tenant"));
	}
}

static void
start(void)
{
	struct rh_shipper_spec spec = { .conf = &conf, .slot = 3,
	    .ring = ring, .tally = &tally, .version = "1.0",
	    .spans = { .stride_a = 1 } };

	shipper = rh_shipper_start(&spec);
}

static unsigned long
counted(enum rh_spans_outcome outcome)
{
	return __atomic_load_n(&cells[outcome], __ATOMIC_RELAXED);
}

static void
answer(void)
{
	printf("{\"ended\":%lu,\"exported\":%lu,\"dropped\":%lu,"
	    "\"rejected\":%lu,\"held\":%lu,\"running\":%s}\n", ended,
	    counted(RH_SPANS_EXPORTED), counted(RH_SPANS_DROPPED),
	    counted(RH_SPANS_REJECTED), (unsigned long)(ring->items_in -
	    ring->items_out), shipper ? "true" : "false");
	fflush(stdout);
}

static void
obey(const char *line)
{
	unsigned a, b;

	if (sscanf(line, "put %u %u", &a, &b) == 2)
		put(a, b);
	else if (sscanf(line, "stop %u", &a) == 1)
		rh_shipper_stop(&shipper, a);
	else if (strcmp(line, "start\n") == 0)
		start();
	answer();
}

int
main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 131072;
	struct rh_arena *arena = rh_arena_new(65536, 1 << 20);
	char line[256];

	ring = aligned_alloc(64, (rh_ring_footprint(size) + 63) & ~(size_t)63);
	rh_ring_init(ring, size, RH_RING_OVERWRITE);
	read_conf(arena);
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	rh_shipper_stop(&shipper, 0);
	free(ring);
	rh_arena_destroy(&arena);
	return 0;
}
