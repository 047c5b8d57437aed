#include "config.h"

#include "obs/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "obs/journal.h"
#include "obs/segment_file.h"

/* They serve requests: the others of the file's pools have a master. */
#define JOINED 0

/*
 * A pool holds the segment's lock alone; these processes hold it together. Who
 * joins or leaves a slot does so under a lock of its own, "path.lock", so that
 * the first one has made the segment before the next looks at it.
 */

/* why NULL: nobody asks. */
static bool
fail(struct rh_buf *why, const char *what, const char *path)
{
	if (!why)
		return false;
	rh_buf_printf(why, "cannot %s %s: %s\n", what, path, strerror(errno));
	return false;
}

static int
enter(const char *path, struct rh_buf *why)
{
	char *name;
	int fd;

	if (asprintf(&name, "%s.lock", path) < 0)
		rh_assert(!"memory");
	fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0640);
	while (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		fail(why, "lock", name);
	free(name);
	return fd;
}

static void
leave(int fd)
{
	if (fd >= 0)
		close(fd);
}

static bool
is_gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static bool
is_alive(const struct rh_slot *slot)
{
	pid_t pid = atomic_load(&slot->pid);

	return pid > 0 && !is_gone(pid);
}

static bool
has_members(const struct rh_segment *s)
{
	for (unsigned i = 1; i < rh_segment_slots(s); i++) {
		if (is_alive(rh_segment_slot(s, i)))
			return true;
	}
	return false;
}

static bool
share_lock(int fd, const char *path, struct rh_buf *why)
{
	if (rh_seg_lock(fd, JOINED, F_RDLCK))
		return true;
	rh_buf_printf(why, "%s belongs to a pool that is running; give this"
	    " process another segment\n", path);
	return false;
}

/* Whether others are there; what cannot be read is nobody's. */
static bool
is_in_use(const char *path)
{
	struct rh_segment *s = NULL;
	char reason[256];
	struct rh_buf why;
	bool used;

	rh_buf_init_fixed(&why, reason, sizeof(reason));
	if (!rh_segment_open(&s, path, &why))
		return false;
	used = has_members(rh_segment_view(s, JOINED));
	rh_segment_close(&s);
	return used;
}

/* Where others are, nothing is changed but a slot. NULL: none are. */
static bool
join_others(struct rh_segment **segment, int fd, const char *path,
    const struct rh_segment_spec *spec, struct rh_buf *why)
{
	bool same;

	*segment = NULL;
	if (!share_lock(fd, path, why))
		return false;
	if (!is_in_use(path))
		return true;
	if (rh_segment_fits(fd, spec))
		return rh_segment_succeed(segment, fd, path, spec,
		    &same, why);
	rh_buf_printf(why, "%s is in use by processes of another configuration"
	    " or version\n", path);
	return false;
}

/* Of one that is gone it takes what there is to tell as well, so rather another. */
static unsigned
free_slot(const struct rh_segment *s)
{
	unsigned found = 0;

	for (unsigned i = rh_segment_slots(s) - 1; i > 0; i--) {
		struct rh_slot *record = rh_segment_slot(s, i);

		if (!is_alive(record) && (found == 0 ||
		    atomic_load(&record->pid) == 0))
			found = i;
	}
	return found;
}

static bool
take_slot(const struct rh_segment *s, struct rh_joined *joined,
    struct rh_buf *why)
{
	struct rh_slot *record;

	if ((joined->slot = free_slot(s)) != 0) {
		record = rh_segment_slot(s, joined->slot);
		rh_journal_settle(s, joined->slot);
		atomic_store(&record->requests, 0);
		atomic_store(&record->started_us, rh_clock_wall_us());
		atomic_fetch_add(&record->generation, 1);
		atomic_store(&record->state, RH_SLOT_STARTING);
		joined->left = atomic_exchange(&record->pid, getpid());
		return true;
	}
	rh_buf_printf(why, "all %u places of the segment are taken: workers"
	    " is to be as many as processes are started\n",
	    rh_segment_slots(s) - 1);
	return false;
}

bool
rh_segment_join(struct rh_segment **segment, struct rh_joined *joined,
    const char *path, const struct rh_segment_spec *spec, struct rh_buf *why)
{
	int inside = enter(path, why);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	bool done;

	*segment = NULL;
	if (inside < 0) {
		leave(fd);
		return false;
	}
	/* what cannot be opened is for rh_segment_create to judge */
	done = fd < 0 || join_others(segment, fd, path, spec, why);
	if (!*segment)
		leave(fd);	/* and the lock with it */
	if (done && !*segment)
		done = rh_segment_create(segment, path, spec, why) &&
		    share_lock(rh_segment_fd(*segment), path, why);
	done = done && take_slot(*segment, joined, why);
	if (!done)
		rh_segment_close(segment);
	leave(inside);
	return done;
}

static pid_t
gone(const struct rh_segment *s, unsigned i)
{
	pid_t pid = atomic_load(&rh_segment_slot(s, i)->pid);

	return pid > 0 && is_gone(pid) ? pid : 0;
}

static void
bury(const struct rh_segment *s, unsigned i,
    void (*tell)(void *ctx, unsigned slot, pid_t pid), void *ctx)
{
	int inside = enter(s->path, NULL);
	pid_t pid;

	if (inside < 0)
		return;
	/* another one may have been faster */
	if ((pid = gone(s, i)) != 0) {
		rh_journal_settle(s, i);
		tell(ctx, i, pid);
		atomic_store(&rh_segment_slot(s, i)->state, RH_SLOT_EMPTY);
		atomic_store(&rh_segment_slot(s, i)->pid, 0);
	}
	leave(inside);
}

void
rh_segment_bury(const struct rh_segment *s,
    void (*tell)(void *ctx, unsigned slot, pid_t pid), void *ctx)
{
	for (unsigned i = 1; i < rh_segment_slots(s); i++) {
		if (gone(s, i))
			bury(s, i, tell, ctx);
	}
}
