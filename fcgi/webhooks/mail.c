#include "config.h"

#include "webhooks/mail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define MS_NS UINT64_C(1000000)
#define LOOK_NS (20 * MS_NS)

enum { MESSAGE_MAX = 65536, ARGS_MAX = 16, ADDRESS_MAX = 254 };

/* ---- the message ---- */

/* RFC 5322's atext and dots, then a host's name: nothing that a list, a comment
 * or a header's end could be made of. */
bool
mail_address_is(struct rh_slice text)
{
	static const char odd[] = ".!#$%&'*+/=?^_`{|}~-";
	const char *at = memchr(text.p ? text.p : "", '@', text.n);

	if (!at || at == text.p || at == text.p + text.n - 1 ||
	    text.n > ADDRESS_MAX || text.p[0] == '-')
		return false;
	for (const char *p = text.p; p < text.p + text.n; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') ||
		    (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

		if (p != at && !plain &&
		    (p < at ? !*p || !strchr(odd, *p) : *p != '.' && *p != '-'))
			return false;
	}
	return true;
}

static void
date_put(struct rh_buf *b, int64_t now_us)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu",
		"Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t s = (time_t)(now_us / 1000000);
	struct tm tm;

	gmtime_r(&s, &tm);
	rh_buf_printf(b, "Date: %s, %d %s %d %02d:%02d:%02d +0000\n",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
	    tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* One a line: no line gets too long. */
static bool
recipients_put(struct rh_buf *b, const struct mail *mail)
{
	bool any = false;

	for (size_t i = 0; i < mail->nto; i++) {
		if (!mail_address_is(mail->to[i]))
			continue;
		rh_buf_slice(b, any ? RH_SLICE(",\n ") : RH_SLICE("To: "));
		rh_buf_slice(b, mail->to[i]);
		any = true;
	}
	rh_buf_char(b, '\n');
	return any;
}

struct rh_slice
mail_write(struct rh_arena *arena, const struct mail *mail, int64_t now_us)
{
	char id[RH_UUID_LEN];
	struct rh_buf b;

	rh_uuid_put(id, mail->id);
	rh_buf_init(&b, arena, 2048, MESSAGE_MAX);
	rh_buf_printf(&b, "From: %.*s\n", RH_SLICE_ARG(mail->from));
	if (!recipients_put(&b, mail))
		return RH_SLICE_NONE;
	rh_buf_printf(&b, "Subject: %s\n", mail->subject);
	date_put(&b, now_us);
	rh_buf_printf(&b, "Message-ID: <%.*s@rowhouse.invalid>\n", RH_UUID_LEN,
	    id);
	rh_buf_lit(&b,
	    "MIME-Version: 1.0\n"
	    "Content-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: 8bit\n"
	    "Auto-Submitted: auto-generated\n\n");
	rh_buf_slice(&b, mail->text);
	return b.full ? RH_SLICE_NONE : rh_buf_get(&b);
}

/* ---- the program ---- */

static struct rh_err *
failed(struct rh_arena *arena, const char *what, int number)
{
	struct rh_err *err = rh_err_new(arena, RH_E_UNAVAILABLE, "mail.failed",
	    "The mail could not be sent.");

	err->cause = rh_arena_printf(arena, "mail_command: %s %d", what,
	    number);
	return err;
}

/* It holds all of the message before the program starts: nobody waits for the other. */
static int
file_of(struct rh_slice message)
{
	int fd = memfd_create("mail", MFD_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && message.n) {
		n = write(fd, message.p, message.n);
		if (n <= 0) {
			close(fd);
			return -1;
		}
		message = rh_slice_from(message, (size_t)n);
	}
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool
args_of(struct rh_arena *arena, struct rh_slice command,
    char *argv[ARGS_MAX + 1])
{
	struct rh_slice rest = command, word;
	unsigned n = 0;

	while (rest.p) {
		word = rh_slice_cut(&rest, ' ');
		if (word.n == 0)
			continue;
		if (n == ARGS_MAX)
			return false;
		argv[n++] = rh_arena_strdup(arena, word);
	}
	argv[n] = NULL;
	return n > 0;
}

/* Nothing of ours goes with it: what is in our environment are secrets. */
static char **
env_of(struct rh_arena *arena)
{
	char **env = rh_arena_zalloc(arena, 3, sizeof(*env));
	const char *home = getenv("HOME");

	env[0] = rh_arena_printf(arena,
	    "PATH=/usr/local/sbin:/usr/local/bin:"
	    "/usr/sbin:/usr/bin:/sbin:/bin");
	if (home)
		env[1] = rh_arena_printf(arena, "HOME=%s", home);
	return env;
}

/* In a group of its own, to be ended whole; signals as if we had none. */
static int
start(pid_t *pid, char *const argv[], char *const env[], int in)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t set;
	int error;

	if (posix_spawn_file_actions_init(&files) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&how) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return ENOMEM;
	}
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&how, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(&how, &set);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setflags(&how,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
		POSIX_SPAWN_SETPGROUP);
	error = posix_spawn(pid, argv[0], &files, &how, argv, env);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

/* NULL: it ended by 0. */
static struct rh_err *
await(struct rh_arena *arena, pid_t pid, int64_t timeout_ms)
{
	uint64_t until = rh_clock_mono_ns() + (uint64_t)timeout_ms * MS_NS;
	const struct timespec pause = { 0, (long)LOOK_NS };
	pid_t got;
	int status;

	while ((got = waitpid(pid, &status, WNOHANG)) == 0 &&
	    rh_clock_mono_ns() < until)
		nanosleep(&pause, NULL);
	if (got == 0) {
		kill(-pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		return failed(arena, "killed after, in ms,", (int)timeout_ms);
	}
	if (got < 0)
		return failed(arena, "lost, error", errno);
	if (WIFSIGNALED(status))
		return failed(arena, "ended by signal", WTERMSIG(status));
	return WEXITSTATUS(status) == 0 ?
	    NULL :
	    failed(arena, "ended by", WEXITSTATUS(status));
}

struct rh_err *
mail_send(struct rh_arena *arena, const struct mail *mail)
{
	struct rh_slice message = mail_write(arena, mail, rh_clock_wall_us());
	char *argv[ARGS_MAX + 1];
	int fd, error;
	pid_t pid;

	if (!message.p)
		return NULL;
	if (!args_of(arena, mail->command, argv))
		return failed(arena, "too many arguments, more than", ARGS_MAX);
	if ((fd = file_of(message)) < 0)
		return failed(arena, "no memory, error", errno);
	error = start(&pid, argv, env_of(arena), fd);
	close(fd);
	return error ? failed(arena, "cannot be started, error", error) :
		       await(arena, pid, mail->timeout_ms);
}
