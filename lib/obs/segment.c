#include "config.h"

#include "obs/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "obs/journal.h"
#include "obs/segment_file.h"

/* A killed master leaves the lock to its workers, until they follow. */
#define LOCK_TRIES	40
#define LOCK_PAUSE_NS	50000000

/* What it is to be, and whose slots it shows. */
static void
describe_to(struct rh_segment *s, const struct rh_segment_spec *spec)
{
	unsigned pool;

	s->head = rh_seg_describe(spec);
	rh_assert(rh_seg_pool_find(s->head, spec->pool, &pool));
	rh_seg_show_pool(s, pool);
}

/* Mapping. */

static void *
new_segment(int fd, const char *path, const struct stat *st)
{
	struct rh_segment *s = calloc(1, sizeof(*s));

	rh_assert(s);
	s->base = MAP_FAILED;
	s->fd = fd;
	s->eyes = -1;
	s->path = strdup(path);
	s->device = st->st_dev;
	s->inode = st->st_ino;
	s->bytes = (size_t)st->st_size;
	return s;
}

static bool
map(struct rh_segment *s, int fd, int protection, struct rh_buf *why)
{
	s->base = mmap(NULL, s->bytes, protection, MAP_SHARED, fd, 0);
	if (s->base == MAP_FAILED) {
		rh_buf_printf(why, "cannot map %s: %s\n", s->path,
		    strerror(errno));
		return false;
	}
	/* rings yet to be written: on a disk 10 MiB of zeros were read ahead */
	(void)madvise(s->base, s->bytes, MADV_RANDOM);
	return true;
}

void
rh_segment_close(struct rh_segment **segment)
{
	struct rh_segment *s = *segment;

	if (!s)
		return;
	if (s->base != MAP_FAILED)
		munmap(s->base, s->bytes);
	if (s->fd >= 0)
		close(s->fd);
	if (s->eyes >= 0)
		close(s->eyes);
	free(s->written);
	free((void *)(uintptr_t)s->head);
	free(s->views);
	free(s->path);
	free(s);
	*segment = NULL;
}

static bool
fail(struct rh_buf *why, const char *what, const char *path)
{
	rh_buf_printf(why, "cannot %s %s: %s\n", what, path, strerror(errno));
	return false;
}

/* Read, not looked at: the file may be cut short meanwhile. */
static bool
ring_has_size(int fd, uint64_t at, uint64_t size)
{
	uint64_t says;

	return pread(fd, &says, sizeof(says), (off_t)(at +
	    offsetof(struct rh_ring, size))) == sizeof(says) && says == size;
}

static bool
rings_are_sound(const struct rh_seg_head *h, int fd)
{
	for (unsigned i = 0; i < h->slots; i++) { /* of all pools */
		uint64_t slot = h->slot0 + i * h->slot_bytes;

		if (!ring_has_size(fd, slot + h->log, h->log_bytes) ||
		    !ring_has_size(fd, slot + h->spans, h->span_bytes) ||
		    !ring_has_size(fd, slot + h->requests, h->request_bytes) ||
		    !ring_has_size(fd, slot + h->traces, h->trace_bytes))
			return false;
	}
	return true;
}

static bool
open_fd(struct rh_segment **segment, int fd, const char *path, int protection,
    struct rh_buf *why)
{
	struct rh_segment *s;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(why, "look at", path);
	s = new_segment(-1, path, &st);
	s->head = rh_seg_description_read(fd, (uint64_t)st.st_size, path, why);
	if (s->head && map(s, fd, protection, why)) {
		rh_seg_show_all(s);
		if (rings_are_sound(s->head, fd)) {
			rh_seg_make_views(s);
			*segment = s;
			return true;
		}
		rh_buf_printf(why, "%s is damaged: its rings\n", path);
	}
	rh_segment_close(&s);
	return false;
}

bool
rh_segment_open(struct rh_segment **segment, const char *path,
    struct rh_buf *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return fail(why, "open", path);
	if (!open_fd(segment, fd, path, PROT_READ, why)) {
		close(fd);
		return false;
	}
	(*segment)->eyes = fd;
	return true;
}

bool
rh_segment_attach(struct rh_segment **segment, int fd, const char *path,
    const char *pool, struct rh_buf *why)
{
	unsigned i;

	if (!open_fd(segment, fd, path, PROT_READ | PROT_WRITE, why))
		return false;
	if (!rh_seg_pool_find((*segment)->head, pool, &i)) {
		rh_buf_printf(why, "%s has no pool %s\n", path, pool);
		rh_segment_close(segment);
		return false;
	}
	rh_seg_show_pool(*segment, i);
	(*segment)->fd = fd;
	return true;
}

int
rh_segment_fd(const struct rh_segment *s)
{
	return s->fd;
}

bool
rh_segment_is_replaced(const struct rh_segment *s)
{
	struct stat st;

	return stat(s->path, &st) < 0 || st.st_dev != s->device ||
	    st.st_ino != s->inode || (uint64_t)st.st_size != s->bytes;
}

bool
rh_segment_mend(const struct rh_segment *s, void *at)
{
	uintptr_t page = (uintptr_t)at & ~(uintptr_t)(RH_SEG_PAGE - 1);

	if ((uintptr_t)at < (uintptr_t)s->base ||
	    (uintptr_t)at - (uintptr_t)s->base >= s->bytes)
		return false;
	return mmap((void *)page, RH_SEG_PAGE, PROT_READ, MAP_PRIVATE |
	    MAP_FIXED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

bool
rh_segment_is_held(const struct rh_segment *s)
{
	int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool held;

	if (fd < 0)
		return false;
	/* a pool has it alone, processes without a master together */
	held = rh_seg_is_locked(fd, s->pool, F_WRLCK);
	close(fd);
	return held;
}

/* Making one, or taking one over. */

/* It may be read, for another pool lives there: what is the same is left alone. */
static void
name_build(struct rh_segment *s, const struct rh_segment_spec *spec)
{
	struct rh_seg_live *live = rh_seg_live(s), named = *live;
	const size_t n = sizeof(named) - offsetof(struct rh_seg_live, service);

	memset(named.service, 0, n);
	strncpy(named.service, spec->service, sizeof(named.service) - 1);
	strncpy(named.version, spec->version, sizeof(named.version) - 1);
	strncpy(named.revision, spec->revision, sizeof(named.revision) - 1);
	if (memcmp(live->service, named.service, n) != 0)
		memcpy(live->service, named.service, n);
}

static void
begin_life(struct rh_segment *s, const struct rh_segment_spec *spec)
{
	rh_seg_live_pool(s)->bell = 0;
	name_build(s, spec);
}

static void
ready_ring(struct rh_ring *ring, size_t size, enum rh_ring_mode mode)
{
	if (!rh_ring_is_sound(ring, size, mode))
		rh_ring_init(ring, size, mode);
}

/* Who died with its master, and in what, is told when the next one has a log. */
static void
ready_slot(struct rh_slot *slot)
{
	pid_t pid = atomic_load(&slot->pid);

	memset(slot, 0, offsetof(struct rh_slot, generation));
	atomic_store(&slot->pid, pid);
}

/* Rings are kept where they are whole: their last lines and spans count. */
static void
ready_slots(struct rh_segment *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		/* a killed pool's log writer may yet be at its rings */
		if (i != rh_segment_writer_slot(s))
			ready_slot(rh_segment_slot(s, i));
		rh_journal_settle(s, i);
		ready_ring(rh_segment_log(s, i), s->head->log_bytes,
		    RH_RING_REFUSE);
		ready_ring(rh_segment_spans(s, i), s->head->span_bytes,
		    RH_RING_OVERWRITE);
		ready_ring(rh_segment_requests(s, i), s->head->request_bytes,
		    RH_RING_OVERWRITE);
		ready_ring(rh_segment_traces(s, i), s->head->trace_bytes,
		    RH_RING_OVERWRITE);
	}
}

/* A name that a process claimed and died of may be claimed again. */
static void
ready_names(struct rh_segment *s)
{
	const struct rh_seg_dim *dim;
	struct rh_seg_name *names;

	for (int i = 0; i < (int)s->head->ndims; i++) {
		dim = rh_seg_dim(s->head, i);
		names = rh_seg_names(s, dim);
		for (unsigned j = 0; j < dim->cap; j++)
			if (names[j].n > RH_SEG_NAME_MAX)
				names[j].n = 0;
	}
}

static void
empty_areas(struct rh_segment *s)
{
	const struct rh_seg_area *a = (const struct rh_seg_area *)
	    ((const char *)s->head + s->head->areas);

	for (unsigned i = 0; i < s->head->nareas; i++)
		if (!a[i].kept && a[i].pool == s->pool &&
		    fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)a[i].at,
			(off_t)rh_seg_align(a[i].bytes, RH_SEG_PAGE)) < 0)
			memset(s->base + a[i].at, 0, a[i].bytes);
}

/* Takes the lock of a file that path still names. 1 yes, 0 gone, -1 fault. */
static int
lock(int fd, unsigned pool, const char *path, struct stat *st,
    struct rh_buf *why)
{
	const struct timespec pause = { 0, LOCK_PAUSE_NS };
	struct stat named;
	int tries = 0;

	while (!rh_seg_lock(fd, pool, F_WRLCK)) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
			fail(why, "lock", path);
			return -1;
		}
		if (++tries == LOCK_TRIES) {
			rh_buf_printf(why, "%s belongs to a pool that is"
			    " running; give this one another segment\n", path);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	if (fstat(fd, st) < 0 || stat(path, &named) < 0)
		return 0;
	return st->st_dev == named.st_dev && st->st_ino == named.st_ino;
}

static bool
same_geometry(int fd, const struct stat *st, const struct rh_seg_head *want)
{
	char *there;
	bool same;

	if ((uint64_t)st->st_size != want->file_bytes)
		return false;
	there = malloc(want->described);
	rh_assert(there);
	same = pread(fd, there, want->described, 0) ==
	    (ssize_t)want->described &&
	    memcmp(there, want, want->described) == 0;
	free(there);
	return same;
}

/* The first pool goes its way; the others follow it. */
static bool
is_anothers(int fd, const struct rh_segment *s, struct rh_buf *why)
{
	for (unsigned i = 0; i < s->pool; i++) {
		if (!rh_seg_is_locked(fd, i, F_WRLCK))
			continue;
		rh_buf_printf(why,
		    "%s belongs to the pool %s, which runs with"
		    " another configuration or version: restart that one, or give"
		    " this one another segment\n",
		    s->path, s->head->pools[i].name);
		return true;
	}
	return false;
}

/* Not what anyone would miss: empty, or begun by one of us. */
static bool
may_be_replaced(int fd, const struct stat *st)
{
	char magic[sizeof(RH_SEG_MAGIC) - 1];

	if (!S_ISREG(st->st_mode))
		return false;
	return st->st_size == 0 ||
	    (pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	    memcmp(magic, RH_SEG_MAGIC, sizeof(magic)) == 0);
}

static bool
fill_new(struct rh_segment *s, const struct rh_segment_spec *spec,
    struct rh_buf *why)
{
	const struct rh_seg_head *h = s->head;
	unsigned pool;

	s->bytes = h->file_bytes;
	if (!rh_seg_lock(s->fd, s->pool, F_WRLCK) ||
	    ftruncate(s->fd, (off_t)h->file_bytes) < 0 ||
	    pwrite(s->fd, h, h->described, 0) != (ssize_t)h->described)
		return fail(why, "write", s->path);
	if (!map(s, s->fd, PROT_READ | PROT_WRITE, why))
		return false;
	rh_random(rh_seg_live(s)->id, sizeof(rh_seg_live(s)->id));
	pool = s->pool;
	rh_seg_show_all(s);
	ready_slots(s);
	rh_seg_show_pool(s, pool);
	begin_life(s, spec);
	return true;
}

/* Under a name that must not be taken yet, unless it is ours to replace. */
static bool
give_name(const char *temporary, const char *path, bool replace)
{
	if (replace)
		return rename(temporary, path) == 0;
	if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path,
	    RENAME_NOREPLACE) == 0)
		return true;
	/* not every file system knows it */
	return errno == EINVAL && link(temporary, path) == 0;
}

/* Named once it is complete. 1 done, 0 name taken, -1 fault. */
static int
make_new(struct rh_segment *s, const struct rh_segment_spec *spec,
    bool replace, struct rh_buf *why)
{
	char *temporary;
	struct stat st;
	int done = -1;

	if (asprintf(&temporary, "%s.%ld", s->path, (long)getpid()) < 0)
		rh_assert(!"memory");
	unlink(temporary);
	s->fd = open(temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0640);
	if (s->fd < 0)
		fail(why, "make", temporary);
	else if (fill_new(s, spec, why) && fstat(s->fd, &st) == 0) {
		s->device = st.st_dev;
		s->inode = st.st_ino;
		if (give_name(temporary, s->path, replace))
			done = 1;
		else if (errno == EEXIST)
			done = 0;
		else
			fail(why, "name", s->path);
	}
	unlink(temporary);
	free(temporary);
	return done;
}

static bool
take_over(struct rh_segment *s, const struct rh_segment_spec *spec,
    struct rh_buf *why)
{
	if (!map(s, s->fd, PROT_READ | PROT_WRITE, why))
		return false;
	ready_slots(s);
	ready_names(s);
	empty_areas(s);
	begin_life(s, spec);
	return true;
}

/* One try: 1 done, 0 the name changed hands meanwhile, -1 fault. */
static int
create(struct rh_segment *s, const struct rh_segment_spec *spec,
    struct rh_buf *why)
{
	int fd = open(s->path, O_RDWR | O_CLOEXEC | O_NONBLOCK), done;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return make_new(s, spec, false, why);
	if (fd < 0) {
		fail(why, "open", s->path);
		return -1;
	}
	if ((done = lock(fd, s->pool, s->path, &st, why)) == 1) {
		if (same_geometry(fd, &st, s->head)) {
			s->fd = fd;
			s->bytes = (size_t)st.st_size;
			s->device = st.st_dev;
			s->inode = st.st_ino;
			return take_over(s, spec, why) ? 1 : -1;
		}
		if (is_anothers(fd, s, why))
			done = -1;
		else if (may_be_replaced(fd, &st))
			done = make_new(s, spec, true, why);
		else {
			rh_buf_printf(why, "%s is no segment of Rowhouse;"
			    " remove it, or name another file\n", s->path);
			done = -1;
		}
	}
	close(fd);
	return done;
}

bool
rh_segment_create(struct rh_segment **segment, const char *path,
    const struct rh_segment_spec *spec, struct rh_buf *why)
{
	const struct stat none = { .st_size = 0 };
	struct rh_segment *s;
	int done;

	do {
		s = new_segment(-1, path, &none);
		describe_to(s, spec);
		if ((done = create(s, spec, why)) != 1)
			rh_segment_close(&s);
	} while (done == 0);
	if (done < 0)
		return false;
	rh_metrics_attach(spec->metrics, s);
	*segment = s;
	return true;
}

bool
rh_segment_is_anothers(const char *path, const struct rh_segment_spec *spec,
    struct rh_buf *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st = { .st_size = 0 };
	struct rh_segment *s;
	bool anothers;

	if (fd < 0)
		return false;
	s = new_segment(-1, path, &st);
	describe_to(s, spec);
	anothers = fstat(fd, &st) == 0 && !same_geometry(fd, &st, s->head) &&
	    is_anothers(fd, s, why);
	rh_segment_close(&s);
	close(fd);
	return anothers;
}

bool
rh_segment_fits(int fd, const struct rh_segment_spec *spec)
{
	struct rh_seg_head *want = rh_seg_describe(spec);
	struct stat st;
	bool fits = fstat(fd, &st) == 0 && same_geometry(fd, &st, want);

	free(want);
	return fits;
}

/* The living pool's segment goes on, or another file takes its name. */
static bool
succeed(struct rh_segment *s, const struct rh_segment_spec *spec,
    const struct stat *st, bool same, struct rh_buf *why)
{
	if (!same)
		return make_new(s, spec, true, why) == 1;
	s->bytes = (size_t)st->st_size;
	if (!map(s, s->fd, PROT_READ | PROT_WRITE, why))
		return false;
	name_build(s, spec);
	return true;
}

bool
rh_segment_succeed(struct rh_segment **segment, int fd, const char *path,
    const struct rh_segment_spec *spec, bool *same, struct rh_buf *why)
{
	struct stat st, named;
	struct rh_segment *s;

	*same = false;
	if (fstat(fd, &st) < 0 || stat(path, &named) < 0 ||
	    st.st_dev != named.st_dev || st.st_ino != named.st_ino)
		return rh_segment_create(segment, path, spec, why);
	s = new_segment(-1, path, &st);
	describe_to(s, spec);
	*same = same_geometry(fd, &st, s->head);
	if (*same)
		s->fd = fd;
	if (!succeed(s, spec, &st, *same, why)) {
		if (*same)
			s->fd = -1;	/* the caller's */
		rh_segment_close(&s);
		return false;
	}
	rh_metrics_attach(spec->metrics, s);
	*segment = s;
	return true;
}
