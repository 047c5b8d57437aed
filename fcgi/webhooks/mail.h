/*
 * mail - a message to some people, handed to a program as sendmail has it.
 *
 * Shape    the program, of an absolute path and fixed arguments, gets the
 *          message on its standard input, and nothing else of ours: no shell, no
 *          other descriptor, no environment but PATH and HOME
 * Units    timeout_ms milliseconds; then it is killed, with all it has started
 * Errors   mail.failed where it could not be started, ended otherwise than by 0,
 *          or not in time
 * Owner    the arena has the message
 * Source   RFC 5322; RFC 3834 for Auto-Submitted
 *
 * Whom to write to is what others have typed: an address that is more than
 * plain characters around one @ is left out.
 */
#ifndef WEBHOOKS_MAIL_H
#define WEBHOOKS_MAIL_H

#include "base/err.h"
#include "base/id.h"
#include "base/slice.h"

struct mail {
	struct rh_slice command; /* directive mail_command */
	struct rh_slice from;
	const struct rh_slice *to;
	size_t nto;
	struct rh_uuid id;   /* the same when it is sent again */
	const char *subject; /* one line of ASCII */
	struct rh_slice text;
	int64_t timeout_ms;
};

/* NULL also where none of the addresses is good: there is nobody to tell. */
RH_MUST_CHECK struct rh_err *mail_send(struct rh_arena *arena,
    const struct mail *mail);

/* For the two below, and for tests: an address that can stand in a header. */
bool mail_address_is(struct rh_slice text);
/* The whole message; p NULL: it has no recipient. */
struct rh_slice mail_write(struct rh_arena *arena, const struct mail *mail,
    int64_t now_us);

#endif
