#include "config.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "obs/log.h"
#include "obs/segment_file.h"

#define BATCH_MAX	65536
#define POLL_NS		5000000
#define POLLS_IDLE	20		/* without a line; then it sleeps */
#define SLEEP_NS	250000000	/* a signal just before is seen then */
#define TAKES_MS	100
#define TAKES_IDLE	10		/* of them after *stop, at most */
#define PREDECESSOR_POLLS 1000	/* 5 s: its end takes less */
#define CALM_NS		UINT64_C(1000000000)	/* without a drop: it is over */
#define LONG_NS		UINT64_C(10000000000)	/* where it does not end */
/* Between two looks at what was dropped: they take a line of each worker's. */
#define TELL_NS		UINT64_C(50000000)

/* A ring that lines of the batch are in, and up to where. */
struct held {
	struct rh_ring *ring;
	struct rh_ring_cursor end;
};

struct drain {
	const struct rh_segment *segment;
	int fd;
	const volatile sig_atomic_t *stop;
	struct rh_tally tally;
	struct rh_family lines;
	bool counts;
	size_t limit;		/* of one write */
	size_t n, nlines;	/* of batch: bytes, whole lines */
	bool gave_up;		/* the reader took nothing, after *stop */
	bool torn;		/* fd took a line's start, and not its end */
	bool took;		/* fd took all of the last batch */
	struct rh_log log;	/* of our own slot */
	uint64_t told, dropped;	/* lines dropped: as announced, as last seen */
	uint64_t grown_ns, since_ns;	/* when it last grew, when first untold */
	uint64_t summed_ns;	/* when it was last looked at */
	unsigned nheld;
	struct held held[RH_SEG_SLOTS_MAX];
	char batch[BATCH_MAX + RH_LINE_MAX];
};

static void
count(struct drain *d, unsigned outcome, uint64_t n)
{
	if (d->counts && n)
		rh_count(&d->tally, d->lines, outcome, 0, n);
}

static uint64_t
lines_in(const char *p, size_t n)
{
	const char *end = p + n;
	uint64_t lines = 0;

	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		lines++;
		p++;
	}
	return lines;
}

/* False where fd takes nothing and nobody may wait for it any longer. */
static bool
wait_writable(struct drain *d)
{
	struct pollfd p = { .fd = d->fd, .events = POLLOUT };
	int tries = 0;

	while (!d->gave_up && poll(&p, 1, TAKES_MS) <= 0)
		d->gave_up = *d->stop && ++tries == TAKES_IDLE;
	return !d->gave_up;
}

/* Answers how many bytes fd took. */
static size_t
write_all(struct drain *d, const char *p, size_t n)
{
	size_t done = 0;
	ssize_t step;

	while (done < n && wait_writable(d)) {
		step = write(d->fd, p + done, n - done);
		if (step >= 0)
			done += (size_t)step;
		else if (errno != EINTR && errno != EAGAIN)
			break;
	}
	return done;
}

static void
hold(struct drain *d, struct rh_ring *ring, const struct rh_ring_cursor *end)
{
	if (d->nheld == 0 || d->held[d->nheld - 1].ring != ring)
		d->nheld++;
	d->held[d->nheld - 1] = (struct held){ ring, *end };
}

/* Killed before, a writer leaves its batch to the next one. */
static void
let_go(struct drain *d)
{
	for (unsigned i = 0; i < d->nheld; i++)
		rh_ring_release(d->held[i].ring, &d->held[i].end);
	d->nheld = 0;
}

static void
write_batch(struct drain *d)
{
	size_t done = 0;
	uint64_t written;

	if (d->torn)
		d->torn = write_all(d, "\n", 1) == 0;
	if (!d->torn)
		done = write_all(d, d->batch, d->n);
	d->took = done == d->n;
	written = d->took ? d->nlines : lines_in(d->batch, done);
	count(d, 0, written);
	count(d, 1, d->nlines - written);
	d->torn |= done && done < d->n && d->batch[done - 1] != '\n';
	d->n = d->nlines = 0;
}

static void
flush(struct drain *d)
{
	if (d->n)
		write_batch(d);
	let_go(d);
}

static bool
collect(struct drain *d, struct rh_ring *ring)
{
	struct rh_ring_cursor at;
	bool any = false;
	uint64_t missed;
	unsigned items;
	size_t n;

	if (!rh_ring_has(ring))
		return false;
	rh_ring_begin(ring, &at);
	while ((n = rh_ring_next(ring, &at, d->batch + d->n, RH_LINE_MAX,
	    &items, &missed))) {
		any = true;
		if (d->n + n > d->limit) {
			char *line = d->batch + d->n;

			flush(d);
			memmove(d->batch, line, n);
		}
		d->n += n;
		d->nlines++;
		hold(d, ring, &at);
	}
	/* past what is no line of ours, too */
	hold(d, ring, &at);
	return any;
}

static bool
collect_all(struct drain *d)
{
	bool any = false;

	/* all of them at once: each one's worker has it in its cache */
	for (unsigned i = 0; i < d->segment->count; i++)
		__builtin_prefetch(rh_segment_log(d->segment, i));
	for (unsigned i = 0; i < d->segment->count; i++)
		any |= collect(d, rh_segment_log(d->segment, i));
	flush(d);
	return any;
}

static bool
has_lines(const struct drain *d)
{
	for (unsigned i = 0; i < d->segment->count; i++)
		if (rh_ring_has(rh_segment_log(d->segment, i)))
			return true;
	return false;
}

/* ---- what was dropped, in one line when it is over ---- */

static uint64_t
dropped_by_all(const struct drain *d)
{
	uint64_t sum = 0;

	for (unsigned i = 0; d->counts && i < d->segment->count; i++)
		sum += __atomic_load_n(rh_segment_cells(d->segment, i) +
		    d->lines.cell + d->lines.stride_a, __ATOMIC_RELAXED);
	return sum;
}

static bool
is_over(struct drain *d)
{
	uint64_t now_ns = rh_clock_mono_ns(), dropped;

	if (now_ns - d->summed_ns < TELL_NS && !*d->stop)
		return false;
	d->summed_ns = now_ns;
	dropped = dropped_by_all(d);
	if (d->dropped != dropped) {
		if (d->dropped == d->told)
			d->since_ns = now_ns;
		d->grown_ns = now_ns;
		d->dropped = dropped;
	}
	/* to a reader that is gone there is nothing to tell */
	return dropped != d->told && d->took && (*d->stop ||
	    now_ns - d->grown_ns >= CALM_NS || now_ns - d->since_ns >= LONG_NS);
}

/* Answers whether there was something to tell. */
static bool
announce(struct drain *d)
{
	struct rh_line line;

	if (!is_over(d))
		return false;
	rh_line_open(&line, &d->log, RH_LOG_WARN, "log lines dropped",
	    rh_clock_wall_us());
	rh_line_int(&line, "dropped", (int64_t)(d->dropped - d->told));
	rh_line_close(&line);
	d->told = d->dropped;
	atomic_store(&rh_seg_live_pool(d->segment)->dropped_told, d->told);
	return true;
}

/* What a predecessor, or the pool before, did not come to tell is ours to. */
static void
find_voice(struct drain *d)
{
	struct rh_arena *arena = rh_arena_new(1024, 65536);
	struct rh_segment_build build;

	rh_segment_build(d->segment, &build);
	rh_log_bind(&d->log, d->segment, rh_segment_writer_slot(d->segment),
	    arena);
	rh_log_name(&d->log, arena, build.service, build.version);
	d->told = d->dropped = atomic_load(
	    &rh_seg_live_pool(d->segment)->dropped_told);
}

static void
pause_ns(long ns)
{
	nanosleep(&(struct timespec){ 0, ns }, NULL);
}

/*
 * A writer looks at the bell after its commit without a fence, so it may miss
 * that it was hung up just then. One more poll's time later what it committed
 * is in sight, and from then on it sees the bell.
 */
static void
sleep_on_bell(struct drain *d)
{
	_Atomic uint32_t *bell = &rh_seg_live_pool(d->segment)->bell;
	const struct timespec timeout = { 0, SLEEP_NS };

	atomic_store(bell, 1);
	pause_ns(POLL_NS);
	while (!has_lines(d) && !*d->stop && atomic_load(bell))
		syscall(SYS_futex, bell, FUTEX_WAIT, 1, &timeout, NULL, 0);
	atomic_store(bell, 0);
}

static void
find_counter(struct drain *d)
{
	const struct rh_seg_head *head = d->segment->head;
	const struct rh_seg_family *f;

	for (unsigned i = 0; i < head->nfamilies; i++) {
		f = rh_seg_family(head, i);
		if (rh_slice_is(rh_seg_text(head, f->name),
		    RH_SLICE("log_lines_total")) &&
		    rh_seg_dim_size(head, f->dim_a) >= 2) {
			d->lines = f->at;
			d->counts = true;
		}
	}
	d->tally.cells = rh_segment_cells(d->segment,
	    rh_segment_writer_slot(d->segment));
}

/* Two readers at once, as after a kill of the master, would lose lines. */
static void
wait_for_predecessor(const struct rh_slot *slot,
    const volatile sig_atomic_t *stop)
{
	pid_t pid = slot->pid;

	for (int i = 0; i < PREDECESSOR_POLLS && !*stop; i++) {
		if (pid <= 0 || slot->pid != pid || kill(pid, 0) < 0)
			return;
		pause_ns(POLL_NS);
	}
}

void
rh_log_drain(const struct rh_segment *segment, int fd,
    const volatile sig_atomic_t *stop)
{
	static struct drain d;
	struct rh_slot *slot = rh_segment_slot(segment,
	    rh_segment_writer_slot(segment));
	struct stat st;
	int32_t self;
	int idle = 0;
	bool any;

	memset(&d, 0, offsetof(struct drain, held));
	d.segment = segment;
	d.fd = fd;
	d.stop = stop;
	d.limit = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? PIPE_BUF :
	    BATCH_MAX;
	find_counter(&d);
	find_voice(&d);
	signal(SIGPIPE, SIG_IGN);
	wait_for_predecessor(slot, stop);
	slot->pid = getpid();
	for (;;) {
		if (*stop == RH_DRAIN_LEAVE)
			break;
		any = collect_all(&d);
		any |= announce(&d);
		if (any)
			idle = 0;
		else if (*stop)
			break;
		else if (++idle > POLLS_IDLE && d.dropped == d.told)
			sleep_on_bell(&d);
		else
			pause_ns(POLL_NS);
	}
	self = getpid();
	atomic_compare_exchange_strong(&slot->pid, &self, 0);
}
