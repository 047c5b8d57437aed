#include "config.h"

#include "ctl/status.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "ctl/conf.h"

#define TEXT_MAX	(4 << 20)
#define HOME_AND_CLEAR	"\033[H\033[2J"

enum { JSON, WATCH, OPTIONS };

const struct rh_option status_options[] = {
	[JSON] = { "--json", NULL, "one JSON object; with --watch, a line for each look", NULL },
	[WATCH] = { "--watch", NULL, "look again every second, until interrupted", NULL },
	{ 0 }
};

const char *const status_states[RH_SLOT_STATES] = {
	[RH_SLOT_EMPTY] = "unknown", [RH_SLOT_STARTING] = "starting",
	[RH_SLOT_IDLE] = "idle", [RH_SLOT_BUSY] = "busy",
	[RH_SLOT_DRAINING] = "draining", [RH_SLOT_BACKOFF] = "backoff",
};

static bool
print(const struct rh_buf *text)
{
	return !text->full && fwrite(text->p, 1, text->n, stdout) == text->n &&
	    fflush(stdout) == 0;
}

/* One look; what it takes of memory ends with it. Answers the exit status. */
static int
look(const struct rh_program *self, bool json, const char *before)
{
	struct rh_arena *arena = rh_arena_new(65536, 64 << 20);
	struct rh_buf text, why;
	struct status status;
	int result;

	rh_buf_init(&text, arena, 16384, TEXT_MAX);
	rh_buf_init(&why, arena, 256, 4096);
	result = status_read(&status, ctl_conf.segment.p, arena, &why);
	if (result == STATUS_FAULT) {
		if (why.n && why.p[why.n - 1] == '\n')
			why.n--;
		rh_program_fail(self, "%.*s", RH_SLICE_ARG(rh_buf_get(&why)));
	} else {
		rh_buf_slice(&text, rh_slice_of(before));
		(json ? status_put_json : status_put_text)(&text, &status);
		if (!print(&text))
			result = rh_program_fail(self, "cannot write: %s",
			    strerror(errno));
	}
	rh_arena_destroy(&arena);
	return result;
}

static int
watch(const struct rh_program *self, bool json)
{
	const struct timespec second = { 1, 0 };
	const char *before = json ? "" :
	    isatty(STDOUT_FILENO) ? HOME_AND_CLEAR : "\n";
	sigset_t ends;
	int result;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	do
		result = look(self, json, before);
	while (result != STATUS_FAULT && sigtimedwait(&ends, NULL, &second) < 0);
	return result;
}

int
status_run(struct rh_program *self, int argc, char **argv)
{
	const char *values[OPTIONS];

	if (!rh_program_take_options(self, &argc, argv, values))
		return STATUS_FAULT;
	if (argc > 1)
		return rh_program_fail(self, "status takes no \"%s\"", argv[1]);
	return values[WATCH] ? watch(self, values[JSON]) :
	    look(self, values[JSON], "");
}
