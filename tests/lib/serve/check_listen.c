/* tests/lib/serve/check_listen.c - a socket of ours, and of nobody else's. */
#include "config.h"

#include "serve/listen.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rh_check.h"

static char reason[512];
static char folder[64];

static struct rh_slice
place(const char *name)
{
	if (folder[0] == '\0') {
		strcpy(folder, "/tmp/rh-listen-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(folder));
	}
	return rh_slice_of(rh_arena_printf(rh_check_arena(), "unix:%s/%s",
	    folder, name));
}

static bool
open_at(struct rh_listen *l, struct rh_slice address, const char *mode)
{
	struct rh_listen_spec spec = { .address = address,
		.mode = rh_slice_of(mode), .backlog = 8 };
	struct rh_buf why;

	rh_buf_init_fixed(&why, reason, sizeof(reason) - 1);
	if (rh_listen_open(l, &spec, rh_check_arena(), &why))
		return true;
	reason[why.n] = '\0';
	ck_assert_int_eq(l->fd, -1);
	return false;
}

static void
clean(void)
{
	if (folder[0])
		ck_assert_int_eq(rmdir(folder), 0);
	folder[0] = '\0';
}

START_TEST(mode_is_as_asked_and_close_removes)
{
	struct rh_slice at = place("a");
	struct rh_listen l;
	struct stat st;

	ck_assert_msg(open_at(&l, at, "0604"), "%s", reason);
	ck_assert_int_eq(stat(at.p + 5, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0604);
	rh_listen_close(&l);
	ck_assert_int_ne(stat(at.p + 5, &st), 0);
	clean();
}
END_TEST

START_TEST(a_stale_socket_is_taken_over)
{
	struct rh_slice at = place("a");
	struct rh_listen first, second;

	ck_assert(open_at(&first, at, ""));
	close(first.fd);
	ck_assert_msg(open_at(&second, at, ""), "%s", reason);
	rh_listen_close(&second);
	clean();
}
END_TEST

START_TEST(a_live_socket_is_left_alone)
{
	struct rh_slice at = place("a");
	struct rh_listen first, second;

	ck_assert(open_at(&first, at, ""));
	ck_assert(!open_at(&second, at, ""));
	ck_assert_ptr_nonnull(strstr(reason, "another process listens"));
	ck_assert_int_eq(access(at.p + 5, F_OK), 0);
	rh_listen_close(&first);
	clean();
}
END_TEST

START_TEST(close_leaves_a_successors_socket)
{
	struct rh_slice at = place("a");
	struct rh_listen first, second;

	ck_assert(open_at(&first, at, ""));
	ck_assert_int_eq(unlink(at.p + 5), 0);
	ck_assert(open_at(&second, at, ""));
	rh_listen_close(&first);
	ck_assert_int_eq(access(at.p + 5, F_OK), 0);
	rh_listen_close(&second);
	clean();
}
END_TEST

START_TEST(a_file_is_not_a_socket)
{
	struct rh_slice at = place("a");
	struct rh_listen l;

	close(open(at.p + 5, O_CREAT | O_WRONLY, 0600));
	ck_assert(!open_at(&l, at, ""));
	ck_assert_ptr_nonnull(strstr(reason, "no socket"));
	unlink(at.p + 5);
	clean();
}
END_TEST

START_TEST(an_unknown_owner_is_refused)
{
	struct rh_listen_spec spec = { .address = place("a"),
		.group = RH_SLICE("no-such-group") };
	struct rh_listen l;
	struct rh_buf why;

	rh_buf_init_fixed(&why, reason, sizeof(reason));
	ck_assert(!rh_listen_open(&l, &spec, rh_check_arena(), &why));
	rh_assert_slice_eq(rh_buf_get(&why),
	    RH_SLICE("there is no group \"no-such-group\""));
	clean();
}
END_TEST

static const struct { const char *address; int family; } tcp[] = {
	{ "127.0.0.1:0", AF_INET },
	{ "localhost:0", 0 },
	{ "[::1]:0", AF_INET6 },
};

START_TEST(tcp_addresses_are_bound)
{
	struct sockaddr_storage at = { 0 };
	socklen_t n = sizeof(at);
	struct rh_listen l;

	if (!open_at(&l, rh_slice_of(tcp[_i].address), "") &&
	    tcp[_i].family == AF_INET6)
		return;		/* a host without IPv6 */
	ck_assert_msg(l.fd >= 0, "%s", reason);
	ck_assert_int_eq(getsockname(l.fd, (struct sockaddr *)&at, &n), 0);
	if (tcp[_i].family)
		ck_assert_int_eq(at.ss_family, tcp[_i].family);
	rh_listen_close(&l);
}
END_TEST

#define FIFTY	"01234567890123456789012345678901234567890123456789"

static const char *const nonsense[] = {
	"", "unix:", "nowhere", "127.0.0.1:", "127.0.0.1:123456789",
	"256.1.1.1:9000",
	"unix:/tmp/" FIFTY FIFTY "and-so-on",
	"unix:/nonexistent/folder/socket",
};

START_TEST(nonsense_is_refused_with_a_reason)
{
	struct rh_listen l;

	ck_assert(!open_at(&l, rh_slice_of(nonsense[_i]), ""));
	ck_assert_uint_gt(strlen(reason), 10);
}
END_TEST

START_TEST(a_mode_is_octal)
{
	struct rh_listen l;

	ck_assert(!open_at(&l, place("a"), "0668"));
	ck_assert(!open_at(&l, place("a"), "07777"));
	clean();
}
END_TEST

RH_CHECK_MAIN("serve/listen",
    RH_CASE(mode_is_as_asked_and_close_removes),
    RH_CASE(a_stale_socket_is_taken_over),
    RH_CASE(a_live_socket_is_left_alone),
    RH_CASE(close_leaves_a_successors_socket),
    RH_CASE(a_file_is_not_a_socket),
    RH_CASE(an_unknown_owner_is_refused),
    RH_LOOP(tcp_addresses_are_bound, tcp),
    RH_LOOP(nonsense_is_refused_with_a_reason, nonsense),
    RH_CASE(a_mode_is_octal))
