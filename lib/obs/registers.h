/*
 * registers - of a signal's context, by processor: for moment.c alone.
 *
 * Shape    the instruction, the stack, the frame pointer, and where a call
 *          that has not set up its frame yet returns to
 * Errors   zeros on a processor that is not listed: frames then come from the
 *          unwinder alone
 */
#ifndef RH_OBS_REGISTERS_H
#define RH_OBS_REGISTERS_H

#include <stdint.h>
#include <ucontext.h>

struct rh_registers {
	uintptr_t pc, sp, fp, link;
};

static inline struct rh_registers
rh_registers_of(const void *context)
{
	const ucontext_t *uc = (const ucontext_t *)context;
	struct rh_registers r = { .pc = 0 };

	if (!uc)
		return r;
#if defined(__x86_64__)
	r.pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	r.sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
	r.fp = (uintptr_t)uc->uc_mcontext.gregs[REG_RBP];
	/* a call to nowhere has pushed it; anywhere else sp may be anything */
	if (r.pc == 0)
		r.link = *(const uintptr_t *)r.sp;
#elif defined(__aarch64__)
	r.pc = (uintptr_t)uc->uc_mcontext.pc;
	r.sp = (uintptr_t)uc->uc_mcontext.sp;
	r.fp = (uintptr_t)uc->uc_mcontext.regs[29];
	r.link = (uintptr_t)uc->uc_mcontext.regs[30];
#endif
	return r;
}

#endif
