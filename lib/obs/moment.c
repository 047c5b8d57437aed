#include "config.h"

#include "obs/moment.h"

#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "base/clock.h"
#include "obs/registers.h"
#include "obs/symbol.h"

#define READ_TRIES	64
/* The handler's own, and whatever it was called through. */
#define OWN_FRAMES	16
/* Frames of an overflow that are looked at, and how long a cycle of calls may be. */
#define STEPS_MAX	200000
#define RECURSION	4
/* A chain of frames that leads further up is none. */
#define CHAIN_BYTES	((uintptr_t)1 << 20)

static uint64_t program;

static _Unwind_Reason_Code
no_step(struct _Unwind_Context *context, void *arg)
{
	(void)context;
	(void)arg;
	return _URC_NO_REASON;
}

void
rh_moment_prepare(void)
{
	/* the first walk may allocate, and take the linker's lock */
	_Unwind_Backtrace(no_step, NULL);
	program = rh_code_id();
}

/* ---- writing: as flight.c does, one process and one handler ---- */

static uint32_t
touch(struct rh_moment *m)
{
	uint32_t turn = atomic_load_explicit(&m->turn, memory_order_relaxed) | 1;

	atomic_store_explicit(&m->turn, turn, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	return turn;
}

static void
settle(struct rh_moment *m, uint32_t turn)
{
	atomic_store_explicit(&m->turn, turn + 1, memory_order_release);
}

void
rh_moment_begin(struct rh_moment *m, enum rh_moment_why why,
    const siginfo_t *info, const void *context)
{
	struct rh_registers r = rh_registers_of(context);
	uint32_t turn;

	if (!m)
		return;
	turn = touch(m);
	m->why = why;
	m->pid = getpid();
	m->signal = info ? info->si_signo : 0;
	m->code = info ? info->si_code : 0;
	/* of what the kernel raised itself; else it would be the sender's pid */
	m->address = info && info->si_code > 0 ?
	    (uint64_t)(uintptr_t)info->si_addr : 0;
	m->at_ns = rh_clock_mono_ns();
	m->program = program;
	m->anchor = (uintptr_t)rh_moment_prepare;
	m->answered = m->text_n = 0;
	m->frames[0] = r.pc;
	m->nframes = context != NULL;
	settle(m, turn);
}

struct walk {
	uint64_t *to;
	unsigned n, steps;
	bool begun;		/* the handler's own frames come before */
	uintptr_t from;		/* where execution stood */
};

/* A recursion is shown once, or an overflow would show nothing else. */
static bool
is_repeated(const struct walk *w, uint64_t frame)
{
	for (unsigned i = 0; i < RECURSION && i < w->n; i++)
		if (w->to[w->n - 1 - i] == frame)
			return true;
	return false;
}

static _Unwind_Reason_Code
step(struct _Unwind_Context *context, void *arg)
{
	struct walk *w = arg;
	uintptr_t at = _Unwind_GetIP(context);

	w->begun |= at == w->from;
	if (!w->begun)
		return w->steps++ < OWN_FRAMES ? _URC_NO_REASON :
		    _URC_NORMAL_STOP;
	if (at && !is_repeated(w, at))
		w->to[w->n++] = at;
	return w->n < RH_FRAMES_MAX && w->steps++ < STEPS_MAX ?
	    _URC_NO_REASON : _URC_NORMAL_STOP;
}

static unsigned
unwind(uint64_t *to, const struct rh_registers *r)
{
	struct walk w = { .to = to, .begun = r->sp == 0, .from = r->pc };

	_Unwind_Backtrace(step, &w);
	return w.n;
}

/*
 * The unwinder knows nothing of an address outside of all code, where a call
 * through a bad pointer leads; the frame pointers still tell who called.
 */
__attribute__((no_sanitize_address)) static unsigned
follow_frames(uint64_t *to, unsigned room, const struct rh_registers *r)
{
	uintptr_t fp = r->fp, low = r->sp;
	unsigned n = 0;

	if (r->link && n < room)
		to[n++] = r->link;
	while (n < room && fp >= low && fp - r->sp < CHAIN_BYTES &&
	    fp % sizeof(fp) == 0) {
		const uintptr_t *frame = (const uintptr_t *)fp;

		if (frame[1] == 0)
			break;
		to[n++] = frame[1];
		low = fp + sizeof(fp);
		fp = frame[0];
	}
	return n;
}

void
rh_moment_walk(struct rh_moment *m, const void *context)
{
	struct rh_registers r = rh_registers_of(context);
	uint64_t frames[RH_FRAMES_MAX];
	uint32_t turn, n;

	if (!m)
		return;
	if ((n = unwind(frames, &r)) < 2) {
		frames[0] = r.pc;
		n = 1 + follow_frames(frames + 1, RH_FRAMES_MAX - 1, &r);
	}
	turn = touch(m);
	memcpy(m->frames, frames, n * sizeof(frames[0]));
	m->nframes = n;
	settle(m, turn);
}

void
rh_moment_text(struct rh_moment *m, struct rh_slice text)
{
	uint32_t turn;

	if (!m)
		return;
	turn = touch(m);
	m->text_n = (uint8_t)RH_MIN(text.n, sizeof(m->text));
	if (m->text_n)
		memcpy(m->text, text.p, m->text_n);
	settle(m, turn);
}

void
rh_moment_answered(struct rh_moment *m)
{
	if (m)
		m->answered = 1;
}

void
rh_moment_clear(struct rh_moment *m)
{
	m->why = RH_MOMENT_NONE;
}

/* ---- reading: the segment may hold anything ---- */

static bool
is_sound(struct rh_moment *copy)
{
	copy->nframes = RH_MIN(copy->nframes, (uint32_t)RH_FRAMES_MAX);
	copy->text_n = (uint8_t)RH_MIN(copy->text_n, sizeof(copy->text));
	return copy->why > RH_MOMENT_NONE && copy->why < RH_MOMENT_WHYS;
}

bool
rh_moment_read(const struct rh_moment *m, pid_t pid, bool is_dead,
    struct rh_moment *copy)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t turn = atomic_load_explicit(&m->turn,
		    memory_order_acquire);

		memcpy(copy, m, sizeof(*copy));
		atomic_thread_fence(memory_order_acquire);
		if (is_dead || (!(turn & 1) &&
		    atomic_load_explicit(&m->turn, memory_order_relaxed) == turn))
			return is_sound(copy) && copy->pid == pid;
	}
	return false;
}

void
rh_moment_put(struct rh_buf *to, const struct rh_moment *copy)
{
	uint64_t here = (uintptr_t)rh_moment_prepare;

	rh_symbols_put(to, copy->frames, copy->nframes, here - copy->anchor,
	    copy->program && copy->program == rh_code_id());
}
