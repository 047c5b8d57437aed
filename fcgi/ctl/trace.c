#include "config.h"

#include "ctl/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/conf.h"

#define TEXT_MAX	(16 << 20)
#define ARENA_MAX	(512 << 20)

enum { COLUMNS_DEFAULT = 100, COLUMNS_MIN = 60, COLUMNS_MAX = 200 };
enum { JSON, OPTIONS };

const struct rh_option trace_options[] = {
	[JSON] = { "--json", NULL, "one JSON object, as the exporter's page has it", NULL },
	{ 0 }
};

/* no-color.org: whoever sets NO_COLOR wants none. */
static struct trace_look
look_of_stdout(void)
{
	const char *plain = getenv("NO_COLOR");
	struct winsize size;
	struct trace_look look = { COLUMNS_DEFAULT, false };

	if (!isatty(STDOUT_FILENO))
		return look;
	look.colours = !plain || !*plain;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		look.columns = RH_MAX(RH_MIN(size.ws_col,
		    (unsigned)COLUMNS_MAX), (unsigned)COLUMNS_MIN);
	return look;
}

static int
fail(const struct rh_program *self, struct rh_slice why)
{
	while (why.n && why.p[why.n - 1] == '\n')
		why.n--;
	return rh_program_fail(self, "%.*s", RH_SLICE_ARG(why));
}

static int
show(const struct rh_program *self, const struct rh_segment *segment,
    struct rh_slice id, bool json, struct rh_arena *arena)
{
	const struct trace_look look = look_of_stdout();
	struct request r;
	struct rh_buf text;

	if (!request_read(&r, segment, id, arena))
		return fail(self, request_unknown(segment, id, arena));
	rh_buf_init(&text, arena, 16384, TEXT_MAX);
	if (json) {
		request_put_json(&text, &r, arena);
		rh_buf_char(&text, '\n');
	} else
		trace_put_text(&text, &r, &look, arena);
	if (text.full || fwrite(text.p, 1, text.n, stdout) != text.n ||
	    fflush(stdout) != 0)
		return rh_program_fail(self, "cannot write: %s",
		    strerror(errno));
	return EXIT_SUCCESS;
}

int
trace_run(struct rh_program *self, int argc, char **argv)
{
	struct rh_segment *segment;
	const char *values[OPTIONS];
	struct rh_arena *arena;
	struct rh_buf why;
	int status;

	if (!rh_program_take_options(self, &argc, argv, values))
		return EXIT_FAILURE;
	if (argc != 2)
		return rh_program_fail(self, "trace takes one id: a request_id"
		    " or a trace_id");
	arena = rh_arena_new(1 << 20, ARENA_MAX);
	rh_buf_init(&why, arena, 256, 4096);
	if (rh_segment_open(&segment, ctl_conf.segment.p, &why)) {
		status = show(self, segment, rh_slice_of(argv[1]),
		    values[JSON] != NULL, arena);
		rh_segment_close(&segment);
	} else
		status = fail(self, rh_buf_get(&why));
	rh_arena_destroy(&arena);
	return status;
}
