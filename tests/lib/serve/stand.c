#include "config.h"

#include "stand.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "obs/log.h"
#include "rh_check.h"
#include "serve/listen.h"
#include "serve/worker.h"

static struct rh_metrics *metrics;
static struct rh_family restarts, queue_length;
static bool refuses;	/* this process is the shedder */

/* ---- the worker's side ---- */

static void
answer(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n",
	    refuses ? STAND_REFUSED : (int)getpid());

	if (write(fd, text, (size_t)n) != n)
		_exit(3);
}

static enum rh_served
obey(const struct stand *s, int fd, const char *line)
{
	if (refuses) {
		answer(fd);
		return RH_SERVED_KEEP;
	}
	if (strcmp(line, "die") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(line, "slow") == 0)
		stand_nap(333);
	while (strcmp(line, "gate") == 0 && !atomic_load(s->gate))
		stand_nap(1);
	while (strcmp(line, "hang") == 0)
		pause();
	answer(fd);
	return strcmp(line, "close") == 0 ? RH_SERVED_CLOSE : RH_SERVED_KEEP;
}

static enum rh_served
serve(void *ctx, int fd)
{
	char line[64], *end;
	ssize_t n = recv(fd, line, sizeof(line) - 1, MSG_PEEK | MSG_DONTWAIT);

	if (n == 0)
		return RH_SERVED_GONE;
	if (n < 0)
		return errno == EAGAIN ? RH_SERVED_NOTHING : RH_SERVED_GONE;
	if ((end = memchr(line, '\n', (size_t)n)) == NULL)
		return n == sizeof(line) - 1 ? RH_SERVED_CLOSE :
		    RH_SERVED_NOT_YET;
	*end = '\0';
	if (recv(fd, line, (size_t)(end - line) + 1, 0) != end - line + 1)
		return RH_SERVED_GONE;
	*end = '\0';
	return obey(ctx, fd, line);
}

static bool
start(void *ctx, unsigned slot)
{
	struct stand *s = ctx;

	refuses = slot > s->nworkers;
	if (s->broken_start)
		_exit(1);
	return !s->false_start;
}

/* ---- the pool ---- */

void
stand_init(struct stand *s, struct rh_pool_spec *spec, unsigned nworkers)
{
	*s = (struct stand){ .nworkers = nworkers };
	s->gate = mmap(NULL, sizeof(*s->gate), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(s->gate, MAP_FAILED);
	strcpy(s->folder, "/tmp/rh-pool-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(s->folder));
	snprintf(s->address, sizeof(s->address), "unix:%s/socket", s->folder);
	snprintf(s->segment_path, sizeof(s->segment_path), "%s/segment",
	    s->folder);
	*spec = (struct rh_pool_spec){ .name = "test", .nworkers = nworkers,
		.max_connections = 512, .shutdown_grace_ms = 10000,
		.header_timeout_ms = 10000, .log_fd = -1, .ctx = s,
		.size = { .spawn_rate = 32, .idle_timeout_ms = 200 },
		.hooks = { .start = start, .serve = serve } };
}

static void
register_restarts(void)
{
	int dim;

	metrics = rh_metrics_new(rh_check_arena());
	dim = rh_metrics_dim(metrics, "pool,reason", 0);
	for (unsigned i = 0; i < RH_ENDS; i++) {
		const char *const values[] = { "test", rh_end_names[i] };

		rh_metrics_value(metrics, dim, values);
	}
	restarts = rh_metrics_family(metrics, &(struct rh_family_spec){
		.kind = RH_M_COUNTER, .name = "worker_restarts_total",
		.help = "workers replaced", .dim_a = dim, .dim_b = -1 });
	queue_length = rh_metrics_family(metrics, &(struct rh_family_spec){
		.kind = RH_M_GAUGE, .name = "listen_queue_length",
		.help = "connections", .dim_a = -1, .dim_b = -1 });
}

static void
open_segment(struct stand *s, const struct rh_pool_spec *spec)
{
	struct rh_area areas[] = {
		{ RH_POOL_AREA, rh_pool_area_bytes(spec->max_connections),
		    false, 0 },
		{ NULL, 0, false, 0 }
	};
	struct rh_segment_spec layout = { .pool = "test", .service = "test",
		.version = "1", .revision = "1",
		.slots = rh_pool_slots(spec->nworkers),
		.log_ring_bytes = 65536, .span_ring_bytes = 4096,
		.areas = areas, .metrics = metrics };
	char reason[256];
	struct rh_buf why;

	rh_buf_init_fixed(&why, reason, sizeof(reason));
	ck_assert_msg(rh_segment_create(&s->segment, s->segment_path, &layout,
	    &why), "%.*s", (int)why.n, why.p);
}

static void
open_socket(struct stand *s, struct rh_pool_spec *spec)
{
	struct rh_listen_spec at = { .address = rh_slice_of(s->address),
		.backlog = 1024 };
	struct sockaddr_in in = { 0 };
	socklen_t n = sizeof(in);
	char reason[256];
	struct rh_buf why;

	spec->listen = RH_NEW(rh_check_arena(), struct rh_listen);
	rh_buf_init_fixed(&why, reason, sizeof(reason));
	ck_assert_msg(rh_listen_open(spec->listen, &at, rh_check_arena(),
	    &why), "%.*s", (int)why.n, why.p);
	getsockname(spec->listen->fd, (struct sockaddr *)&in, &n);
	s->port = in.sin_family == AF_INET ? ntohs(in.sin_port) : 0;
}

static RH_NORETURN void
be_the_master(struct rh_pool_spec *spec)
{
	struct rh_log log;
	struct rh_tally tally;

	rh_log_bind(&log, spec->segment, 0, rh_check_arena());
	rh_log_name(&log, rh_check_arena(), "test", "1");
	rh_tally_bind(&tally, metrics, spec->segment, 0);
	spec->log = &log;
	spec->tally = &tally;
	spec->restarts = restarts;
	spec->queue_length = queue_length;
	_exit(rh_pool_run(spec, rh_check_arena()));
}

void
stand_open(struct stand *s, struct rh_pool_spec *spec)
{
	register_restarts();
	open_segment(s, spec);
	spec->segment = s->segment;
	open_socket(s, spec);
	if ((s->master = fork()) == 0)
		be_the_master(spec);
	ck_assert_int_gt(s->master, 0);
	close(spec->listen->fd);
}

int
stand_wait(struct stand *s)
{
	int status = -1;

	for (int ms = 0; ms < STAND_WAIT_MS; ms += 5) {
		if (waitpid(s->master, &status, WNOHANG) == s->master) {
			s->master = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		stand_nap(5);
	}
	ck_abort_msg("the master does not end");
}

void
stand_clean(struct stand *s)
{
	rh_segment_close(&s->segment);
	munmap(s->gate, sizeof(*s->gate));
	unlink(s->segment_path);
	if (s->port == 0)
		unlink(s->address + 5);
	ck_assert_int_eq(rmdir(s->folder), 0);
}

int
stand_close(struct stand *s)
{
	int status;

	kill(s->master, SIGTERM);
	status = stand_wait(s);
	stand_clean(s);
	return status;
}

unsigned
stand_count(struct stand *s)
{
	unsigned n = 0;

	for (unsigned i = 1; i <= s->nworkers; i++)
		n += rh_segment_slot(s->segment, i)->pid != 0;
	return n;
}

void
stand_await_count(struct stand *s, unsigned min, unsigned max)
{
	for (int ms = 0; ms < STAND_WAIT_MS; ms++) {
		unsigned n = stand_count(s);

		if (n >= min && n <= max)
			return;
		stand_nap(1);
	}
	ck_abort_msg("%u workers, not %u to %u", stand_count(s), min, max);
}

void
stand_settle(struct stand *s, unsigned nworkers)
{
	unsigned ready = 0;

	for (int ms = 0; ready < nworkers && ms < STAND_WAIT_MS; ms++) {
		ready = 0;
		for (unsigned i = 1; i <= nworkers; i++) {
			struct rh_slot *slot = rh_segment_slot(s->segment, i);

			ready += slot->pid && (slot->state == RH_SLOT_IDLE ||
			    slot->state == RH_SLOT_BUSY);
		}
		stand_nap(1);
	}
	ck_assert_uint_eq(ready, nworkers);
}

static unsigned
busy(const struct stand *s)
{
	unsigned n = 0;

	for (unsigned i = 1; i <= s->nworkers; i++)
		n += rh_segment_slot(s->segment, i)->state == RH_SLOT_BUSY;
	return n;
}

void
stand_await_busy(const struct stand *s, unsigned nworkers)
{
	for (int ms = 0; busy(s) < nworkers; ms++) {
		ck_assert_int_lt(ms, STAND_WAIT_MS);
		stand_nap(1);
	}
}

void
stand_open_gate(struct stand *s)
{
	atomic_store(s->gate, 1);
}

static unsigned
kept(const struct rh_share *share)
{
	unsigned n = 0;

	for (unsigned i = 0; i < share->limit; i++)
		n += rh_seat_is_free(&share->seats[i]);
	return n;
}

void
stand_await_kept(const struct stand *s, unsigned n)
{
	const struct rh_share *share = rh_segment_area(s->segment, RH_POOL_AREA);

	for (int ms = 0; share->open != n || kept(share) != n; ms++) {
		ck_assert_int_lt(ms, STAND_WAIT_MS);
		stand_nap(1);
	}
}

void
stand_await_draining(const struct stand *s)
{
	const struct rh_share *share = rh_segment_area(s->segment, RH_POOL_AREA);

	for (int ms = 0; !share->draining; ms++) {
		ck_assert_int_lt(ms, STAND_WAIT_MS);
		stand_nap(1);
	}
}

unsigned
stand_restarts(struct stand *s, enum rh_end reason)
{
	const uint64_t *cells = rh_segment_cells(s->segment, 0);

	return (unsigned)cells[restarts.cell + reason * restarts.stride_a];
}

void
stand_await_restarts(struct stand *s, enum rh_end reason, unsigned n)
{
	for (int ms = 0; ms < STAND_WAIT_MS; ms++) {
		if (stand_restarts(s, reason) >= n)
			return;
		stand_nap(1);
	}
	ck_abort_msg("no worker was replaced");
}

/* ---- the client's side ---- */

int
stand_connect(const struct stand *s)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(s->port ? AF_INET : AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	strcpy(un.sun_path, s->address + 5);
	ck_assert_int_eq(connect(fd, s->port ? (void *)&in : (void *)&un,
	    s->port ? sizeof(in) : sizeof(un)), 0);
	return fd;
}

void
stand_say(int fd, const char *text)
{
	size_t n = strlen(text);

	ck_assert_int_eq(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

pid_t
stand_hear(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char text[16] = "";
	ssize_t n;

	ck_assert_msg(poll(&wait, 1, STAND_WAIT_MS) == 1, "nobody answers");
	n = recv(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	ck_assert_int_eq(text[n - 1], '\n');
	return (pid_t)atoi(text);
}

pid_t
stand_ask(int fd, const char *line)
{
	char text[64];

	/* in one piece: what comes in two is told of twice */
	snprintf(text, sizeof(text), "%s\n", line);
	stand_say(fd, text);
	return stand_hear(fd);
}

void
stand_nap(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}
