/*
 * moment - where a process stood, and why somebody wanted to know: the frames
 * of a crash, or of a request that takes too long.
 *
 * Shape    one record a slot, beside its request in flight. turn is odd while
 *          it is being written; why RH_MOMENT_NONE: there is none
 * Units    _ns of the monotonic clock; frames are addresses, the first of the
 *          instruction that was executed, the others where calls return to;
 *          of a recursion one round
 * Errors   rh_moment_read tells a record that never stood still, and trusts no
 *          count in it
 * Owner    the slot's process; once it is dead, its master, or whoever else
 *          finds it (obs/symbol.h gives its frames names)
 *
 * The writer's side is fit for a signal handler once rh_moment_prepare() was
 * called; the next moment replaces the last.
 */
#ifndef RH_OBS_MOMENT_H
#define RH_OBS_MOMENT_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

#define RH_FRAMES_MAX	48

enum rh_moment_why {
	RH_MOMENT_NONE,
	RH_MOMENT_CRASH,	/* a fatal signal: .signal, .code, .address */
	RH_MOMENT_SLOW,		/* asked for; the process goes on */
	RH_MOMENT_WHYS
};

struct rh_moment {
	_Atomic uint32_t turn;
	uint32_t why;
	int32_t pid;
	int32_t signal, code;		/* code: si_code */
	uint32_t nframes;
	uint64_t address;		/* si_addr */
	uint64_t at_ns;
	uint64_t program;		/* rh_code_id() of its process */
	uint64_t anchor;		/* where its code is: one function's address */
	uint64_t frames[RH_FRAMES_MAX];
	uint8_t answered;		/* the client was told, with a 500 */
	uint8_t text_n;
	char text[150];			/* of a failed assertion */
};

/* Loads what unwinding needs: not a thing to do in a handler. */
void rh_moment_prepare(void);

/*
 * From a handler's arguments (info and context may be NULL): all but the
 * frames, of which only the first is set. A stack that cannot be walked may
 * end the process in rh_moment_walk, so what matters more comes in between.
 * m == NULL: nobody listens.
 */
void rh_moment_begin(struct rh_moment *m, enum rh_moment_why why,
    const siginfo_t *info, const void *context);
void rh_moment_walk(struct rh_moment *m, const void *context);
void rh_moment_text(struct rh_moment *m, struct rh_slice text);
void rh_moment_answered(struct rh_moment *m);
void rh_moment_clear(struct rh_moment *m);

/*
 * A copy whose counts are within bounds. False: there is none of that process,
 * or it did not stand still. is_dead: of a process that may have died writing.
 */
RH_MUST_CHECK bool rh_moment_read(const struct rh_moment *m, pid_t pid,
    bool is_dead, struct rh_moment *copy);
/*
 * The frames of a copy, by name: a forked process has all of them where ours
 * are, another of the same program only those of its own file. Of another
 * program they are addresses.
 */
void rh_moment_put(struct rh_buf *to, const struct rh_moment *copy);

#endif
