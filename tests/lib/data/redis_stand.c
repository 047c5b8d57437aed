#include "config.h"

#include "redis_stand.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rh_check.h"

enum { PATIENCE_MS = 20000, RETRY_MS = 20, WORDS_MAX = 16 };

int
redis_patience_ms(void)
{
	const char *times = getenv("CK_TIMEOUT_MULTIPLIER");

	return (int)(PATIENCE_MS * (times ? strtod(times, NULL) : 1.0));
}

void
redis_pause(int ms)
{
	const struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

/* ---- the server ---- */

/*
 * Ours until this process ends, as tests/e2e/harness/places.py has it: held by a
 * socket that listens to nobody. A server that sets SO_REUSEADDR may have the
 * port beside it, now and after a restart; who looks without may not.
 */
static bool
claim(unsigned port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	bool good = bind(fd, (void *)&at, sizeof(at)) == 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!good)
		close(fd);
	return good;
}

/* Below those that the system gives to clients; a cluster's bus is 10000 above. */
static uint16_t
free_port(void)
{
	static unsigned given;
	const unsigned low = 12000, n = 8000;
	unsigned port;

	for (unsigned i = 0; i < n; i++) {
		port = low + ((unsigned)getpid() * 37 + given++ * 101) % n;
		if (claim(port) && claim(port + 10000))
			return (uint16_t)port;
	}
	ck_abort_msg("no free port");
}

static void
become_server(const struct redis_stand *s, pid_t test)
{
	const char *argv[40] = { "redis-server", "--dir", s->dir, "--unixsocket",
		s->socket, "--save", "", "--appendonly", "no", "--bind",
		"127.0.0.1", "--logfile", "log", "--port" };
	char port[8];
	unsigned n = 14;

	snprintf(port, sizeof(port), "%u", s->port);
	argv[n++] = port;
	for (unsigned i = 0; s->args[i]; i++)
		argv[n++] = s->args[i];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != test)
		_exit(1);
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
	execvp(argv[0], (char **)argv);
	_exit(127);
}

static bool
answers(const struct redis_stand *s)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval time = { 1, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte = 0;
	bool good;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	good = connect(fd, (void *)&at, sizeof(at)) == 0 &&
	    write(fd, "PING\r\n", 6) == 6 && read(fd, &byte, 1) == 1;
	close(fd);
	return good && access(s->socket, F_OK) == 0;
}

void
redis_stand_start(struct redis_stand *s)
{
	const pid_t test = getpid();

	unlink(s->socket);
	s->pid = fork();
	if (s->pid == 0)
		become_server(s, test);
	ck_assert_int_gt(s->pid, 0);
	redis_until(answers(s));
	ck_assert_int_eq(waitpid(s->pid, NULL, WNOHANG), 0);
	s->away = false;
}

void
redis_stand_open(struct redis_stand *s, const char *const *args)
{
	const char *base = getenv("ROWHOUSE_TEST_DIR");

	*s = (struct redis_stand){ .port = free_port() };
	snprintf(s->dir, sizeof(s->dir), "%s/r-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(s->dir));
	snprintf(s->socket, sizeof(s->socket), "%s/s", s->dir);
	snprintf(s->unix_url, sizeof(s->unix_url), "unix://%s", s->socket);
	snprintf(s->tcp_url, sizeof(s->tcp_url), "redis://127.0.0.1:%u", s->port);
	for (unsigned i = 0; args && args[i]; i++)
		s->args[i] = args[i];
	redis_stand_start(s);
}

void
redis_stand_kill(struct redis_stand *s)
{
	kill(s->pid, SIGKILL);
	ck_assert_int_eq(waitpid(s->pid, NULL, 0), s->pid);
	s->away = true;
}

void
redis_stand_freeze(struct redis_stand *s)
{
	int status;

	kill(s->pid, SIGSTOP);
	ck_assert_int_eq(waitpid(s->pid, &status, WUNTRACED), s->pid);
	ck_assert(WIFSTOPPED(status));
	s->away = true;
}

void
redis_stand_thaw(struct redis_stand *s)
{
	kill(s->pid, SIGCONT);
	s->away = false;
}

bool
redis_stand_cli(const struct redis_stand *s, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "redis-cli -e -s %s %s >/dev/null",
	    s->socket, command);
	return system(line) == 0;
}

/* ---- the session ---- */

static void
series_init(struct redis_user *u)
{
	static const char *const stores[] = { "postgresql", "redis" };
	struct rh_metrics *m = rh_metrics_new(u->own);
	int dim = rh_metrics_dim(m, "name", 0);

	for (int i = 0; i < 2; i++)
		rh_metrics_value(m, dim, &stores[i]);
	u->obs.round_trips = rh_metrics_family(m, &(struct rh_family_spec){
	    RH_M_COUNTER, 0, "round_trips_total", "", dim, -1 });
	u->obs.up = rh_metrics_family(m, &(struct rh_family_spec){
	    RH_M_GAUGE, 0, "dependency_up", "", dim, -1 });
	rh_tally_bind(&u->tally, m, NULL, 0);
	u->obs.tally = &u->tally;
}

void
redis_user_open(struct redis_user *u, const char *url, int64_t timeout_ms)
{
	*u = (struct redis_user){ .own = rh_arena_new(65536, 64 << 20),
		.arena = rh_arena_new(4096, 192 << 20),
		.conf = { url, timeout_ms, timeout_ms, RETRY_MS, "check" } };
	series_init(u);
	rh_sampler_init(&u->sampler, RH_SAMPLER_ALWAYS_ON, true, 1);
	u->r = rh_redis_new(u->own, &u->conf, &u->obs);
}

void
redis_user_begin(struct redis_user *u)
{
	rh_trace_begin(&u->trace, &u->sampler, &(struct rh_trace_caller){ 0 });
	u->trace.on = true;
	rh_redis_begin(u->r, u->arena, &u->trace);
}

void
redis_user_end(struct redis_user *u)
{
	rh_redis_end(u->r);
	rh_arena_reset(u->arena);
}

void
redis_user_close(struct redis_user *u)
{
	rh_redis_close(u->r);
	rh_arena_destroy(&u->arena);
	rh_arena_destroy(&u->own);
}

const struct rh_redis_value *
redis_user_ask(struct redis_user *u, const char *command)
{
	struct rh_slice rest = rh_slice_of(command), argv[WORDS_MAX];
	unsigned n = 0;

	redis_user_end(u);
	redis_user_begin(u);
	while (rest.p)
		argv[n++] = rh_slice_cut(&rest, ' ');
	rh_redis_send_args(u->r, n > 1 ? argv[1] : RH_SLICE_NONE, argv, n);
	return rh_redis_read(u->r);
}

uint64_t
redis_user_up(const struct redis_user *u)
{
	const struct rh_family f = u->obs.up;

	return u->tally.cells[f.cell + RH_REDIS_DEPENDENCY * f.stride_a];
}

uint64_t
redis_user_trips(const struct redis_user *u)
{
	const struct rh_family f = u->obs.round_trips;

	return u->tally.cells[f.cell + RH_REDIS_STORE * f.stride_a];
}
