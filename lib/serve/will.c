#include "config.h"

#include "serve/will.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define TEXT_FIRST	4096
#define TEXT_MAX	(16 << 20)

struct rh_will *
rh_will_new(struct rh_arena *arena, unsigned nworkers, unsigned nseats)
{
	struct rh_will *w = RH_NEW(arena, struct rh_will);

	w->listen = w->segment = -1;
	w->nworkers = nworkers;
	w->workers = rh_arena_zalloc(arena, nworkers, sizeof(*w->workers));
	w->nseats = nseats;
	w->seats = rh_arena_alloc(arena, nseats * sizeof(*w->seats));
	for (unsigned i = 0; i < nseats; i++)
		w->seats[i] = -1;
	return w;
}

/* ---- the lines ---- */

static void
put(const struct rh_will *w, struct rh_buf *to)
{
	rh_buf_printf(to, "will %u %u %u\n", RH_WILL_VERSION, w->nworkers,
	    w->nseats);
	rh_buf_printf(to, "listen %d %ju %ju %s\n", w->listen,
	    (uintmax_t)w->dev, (uintmax_t)w->ino, w->path ? w->path : "");
	rh_buf_printf(to, "segment %d\nwriter %d\nship %d\n", w->segment,
	    (int)w->writer, (int)w->ship);
	for (unsigned i = 0; i < w->nworkers; i++) {
		const struct rh_will_worker *x = &w->workers[i];

		if (x->pid)
			rh_buf_printf(to, "worker %u %d %d %" PRIu64 " %d\n", i,
			    (int)x->pid, x->channel, x->started_ms, x->owes);
	}
	for (unsigned i = 0; i < w->nseats; i++) {
		if (w->seats[i] >= 0)
			rh_buf_printf(to, "seat %u %d\n", i, w->seats[i]);
	}
	rh_buf_lit(to, "end\n");
}

static bool
get_listen(struct rh_will *w, const char *line, struct rh_arena *arena)
{
	uintmax_t dev, ino;
	int at = 0;

	if (sscanf(line, "listen %d %ju %ju %n", &w->listen, &dev, &ino,
	    &at) != 3 || at == 0)
		return false;
	w->dev = (dev_t)dev;
	w->ino = (ino_t)ino;
	if (line[at])
		w->path = rh_arena_strdup(arena, rh_slice_of(line + at));
	return true;
}

static bool
get_worker(struct rh_will *w, const char *line)
{
	struct rh_will_worker x;
	unsigned i;
	int owes;

	if (sscanf(line, "worker %u %d %d %" SCNu64 " %d", &i, &x.pid,
	    &x.channel, &x.started_ms, &owes) != 5 || i >= w->nworkers)
		return false;
	x.owes = owes;
	w->workers[i] = x;
	return true;
}

static bool
get_line(struct rh_will *w, const char *line, struct rh_arena *arena)
{
	unsigned i;
	int fd;

	if (sscanf(line, "seat %u %d", &i, &fd) == 2 && i < w->nseats) {
		w->seats[i] = fd;
		return true;
	}
	return get_worker(w, line) || get_listen(w, line, arena) ||
	    sscanf(line, "segment %d", &w->segment) == 1 ||
	    sscanf(line, "writer %d", &w->writer) == 1 ||
	    sscanf(line, "ship %d", &w->ship) == 1;
}

static struct rh_will *
get(struct rh_slice text, struct rh_arena *arena, struct rh_buf *why)
{
	struct rh_slice line = rh_slice_cut(&text, '\n');
	unsigned version, nworkers, nseats;
	struct rh_will *w;

	if (sscanf(rh_arena_strdup(arena, line), "will %u %u %u", &version,
	    &nworkers, &nseats) != 3 || version != RH_WILL_VERSION) {
		rh_buf_printf(why, "what the program before left is \"%.*s\","
		    " not of version %u", RH_SLICE_ARG(line), RH_WILL_VERSION);
		return NULL;
	}
	w = rh_will_new(arena, nworkers, nseats);
	for (;;) {
		line = rh_slice_cut(&text, '\n');
		if (rh_slice_is(line, RH_SLICE("end")))
			return w;
		if (!get_line(w, rh_arena_strdup(arena, line), arena))
			break;
	}
	rh_buf_printf(why, "what the program before left has a line \"%.*s\"",
	    RH_SLICE_ARG(line));
	return NULL;
}

/* ---- the memfd and the other descriptors ---- */

int
rh_will_write(const struct rh_will *w, struct rh_arena *arena)
{
	int fd = memfd_create("rowhouse-will", MFD_CLOEXEC);
	struct rh_buf text;

	rh_buf_init(&text, arena, TEXT_FIRST, TEXT_MAX);
	put(w, &text);
	if (fd < 0 || (!text.full &&
	    pwrite(fd, text.p, text.n, 0) == (ssize_t)text.n))
		return fd;
	close(fd);
	return -1;
}

static void
keep(int fd, bool over_exec)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, over_exec ? 0 : FD_CLOEXEC);
}

void
rh_will_keep(const struct rh_will *w, bool over_exec)
{
	keep(w->listen, over_exec);
	keep(w->segment, over_exec);
	for (unsigned i = 0; i < w->nworkers; i++) {
		if (w->workers[i].pid)
			keep(w->workers[i].channel, over_exec);
	}
	for (unsigned i = 0; i < w->nseats; i++)
		keep(w->seats[i], over_exec);
}

static bool
number_of(const char *name, uint64_t *value)
{
	const char *text = getenv(name);

	return text && rh_u64_get(value, rh_slice_of(text));
}

bool
rh_will_read(struct rh_will **will, struct rh_arena *arena, struct rh_buf *why)
{
	struct stat st;
	uint64_t fd;
	char *text;

	*will = NULL;
	if (!number_of(RH_WILL_ENV, &fd))
		return true;
	unsetenv(RH_WILL_ENV);
	if (fstat((int)fd, &st) < 0 || st.st_size > TEXT_MAX) {
		rh_buf_printf(why, RH_WILL_ENV " names no descriptor: %s",
		    strerror(errno));
		return false;
	}
	text = rh_arena_alloc(arena, (size_t)st.st_size + 1);
	if (pread((int)fd, text, (size_t)st.st_size, 0) == st.st_size)
		*will = get((struct rh_slice){ text, (size_t)st.st_size },
		    arena, why);
	close((int)fd);
	if (*will)
		rh_will_keep(*will, false);
	return *will != NULL;
}

unsigned
rh_will_trial(void)
{
	uint64_t version;

	return number_of(RH_TRIAL_ENV, &version) ? (unsigned)version : 0;
}
