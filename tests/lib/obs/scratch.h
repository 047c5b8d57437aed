/*
 * scratch - a folder of the test's own for a segment, on a tmpfs where there
 * is one.
 *
 * Owner    scratch_open() makes it; it goes with the test's arena
 */
#ifndef RH_TESTS_OBS_SCRATCH_H
#define RH_TESTS_OBS_SCRATCH_H

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "obs/segment.h"
#include "rh_check.h"

static inline void
scratch_remove(void *folder)
{
	const char *command = rh_arena_printf(rh_check_arena(),
	    "rm -rf '%s'", (const char *)folder);

	ck_assert_int_eq(system(command), 0);
}

/* A path that nothing stands at yet. */
static inline const char *
scratch_open(void)
{
	struct rh_arena *arena = rh_check_arena();
	char *folder = rh_arena_printf(arena, "%s/rh-obs-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");

	ck_assert_ptr_nonnull(mkdtemp(folder));
	rh_arena_defer(arena, scratch_remove, folder);
	return rh_arena_printf(arena, "%s/segment", folder);
}

static inline struct rh_buf *
scratch_buf(void)
{
	struct rh_buf *b = RH_NEW(rh_check_arena(), struct rh_buf);

	rh_buf_init(b, rh_check_arena(), 4096, 8 << 20);
	return b;
}

static inline const char *
scratch_text(const struct rh_buf *b)
{
	return rh_arena_strdup(rh_check_arena(), rh_buf_get(b));
}

/* The next of a seeded row of numbers: the same in every run (xorshift64*). */
static inline uint64_t
scratch_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static inline void
scratch_reap(pid_t pid, int status_wanted)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, status_wanted);
}

#endif
