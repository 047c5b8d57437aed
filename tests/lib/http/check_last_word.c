/* tests/lib/http/check_last_word.c - what a process that dies in a request may still say of it. */
#include "config.h"

#include <sys/wait.h>

#include "records.h"

#define HEAD	RH_SLICE("Status: 500 Internal error\r\n\r\n")
#define SAID	RH_SLICE("Status: 500 Internal error\r\n\r\nsorry")

enum when { IN_WORK, REPLIED, FINISHED };
enum sent { WHOLE, NO_END };

static const struct row {
	enum when when;
	bool keep;
	enum sent sent;
	bool can_read;
	enum rh_fcgx_last told;
} rows[] = {
	{ IN_WORK, true, WHOLE, true, RH_FCGX_TOLD_KEEP },
	{ IN_WORK, false, WHOLE, true, RH_FCGX_TOLD_CLOSED },
	/* a body that is not all there stands before the next request */
	{ IN_WORK, true, NO_END, true, RH_FCGX_TOLD_CLOSED },
	/* another thread may be reading it */
	{ IN_WORK, true, WHOLE, false, RH_FCGX_TOLD_CLOSED },
	/* END_REQUEST behind what is out would bless it */
	{ REPLIED, true, WHOLE, true, RH_FCGX_NOT_TOLD },
};

static void
begin(struct peer *p, const struct row *row)
{
	struct wire *w = wire_new();

	wire_begin(w, 1, RH_ROLE_RESPONDER, row->keep);
	wire_params(w, 1, get_params);
	if (row->sent == WHOLE)
		wire_stdin(w, 1, RH_SLICE("{}"));
	else
		wire_record(w, RH_REC_STDIN, 1, RH_SLICE("{"));
	peer_send(p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p->fx, p->theirs), RH_FCGX_READY);
	ck_assert(rh_fcgx_accept(p->fx, p->theirs));
}

static void
reply(struct peer *p)
{
	ck_assert(rh_fcgx_reply(p->fx, RH_SLICE("Status: 200 OK\r\n\r\n"),
	    RH_SLICE("fine")));
	rh_assert_slice_eq(peer_reply(p, 1),
	    RH_SLICE("Status: 200 OK\r\n\r\nfine"));
}

/* Like a worker, it leaves what libfcgi has allocated. */
static void
die(struct peer *p, const struct row *row)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		begin(p, row);
		if (row->when == REPLIED)
			reply(p);
		_exit((int)rh_fcgx_last_word(p->fx, HEAD, RH_SLICE("sorry"),
		    row->can_read));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), row->told);
}

/* As the web server sees it now: 0 shut down, -1 open and silent. */
static ssize_t
more(const struct peer *p)
{
	char byte;

	return recv(p->ours, &byte, 1, MSG_DONTWAIT);
}

START_TEST(it_depends_on_what_is_out_and_what_is_unread)
{
	const struct row *row = &rows[_i];
	struct peer p = peer_open();

	die(&p, row);
	if (row->told != RH_FCGX_NOT_TOLD)
		rh_assert_slice_eq(peer_reply(&p, 1), SAID);
	ck_assert_int_eq(more(&p), row->told == RH_FCGX_TOLD_KEEP ? -1 : 0);
	peer_close(&p);
}
END_TEST

START_TEST(without_a_request_there_is_nothing_to_say)
{
	static const struct row row = { FINISHED, true, WHOLE, true, 0 };
	struct peer p = peer_open();

	ck_assert_int_eq(rh_fcgx_last_word(p.fx, HEAD, RH_SLICE("sorry"), true),
	    RH_FCGX_NOT_TOLD);
	begin(&p, &row);
	reply(&p);
	ck_assert(rh_fcgx_finish(p.fx));
	ck_assert_int_eq(rh_fcgx_last_word(p.fx, HEAD, RH_SLICE("sorry"), true),
	    RH_FCGX_NOT_TOLD);
	/* the next request is another process' to answer */
	ck_assert_int_eq(more(&p), -1);
	peer_close(&p);
}
END_TEST

/* Another process has the connection then, and reads where this one stopped. */
START_TEST(a_kept_connection_goes_on)
{
	struct peer p = peer_open();

	die(&p, &rows[0]);
	rh_assert_slice_eq(peer_reply(&p, 1), SAID);
	begin(&p, &rows[0]);
	reply(&p);
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

RH_CHECK_MAIN("http/last_word",
    RH_LOOP(it_depends_on_what_is_out_and_what_is_unread, rows),
    RH_CASE(without_a_request_there_is_nothing_to_say),
    RH_CASE(a_kept_connection_goes_on))
