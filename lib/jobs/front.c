#include "config.h"

#include "jobs/front.h"

#define SEQ_BITS 48
#define SEQ_MAX ((INT64_C(1) << SEQ_BITS) - 1)

static _Atomic uint64_t *
word(struct rh_fronts *f, uint64_t lane)
{
	return &f->at[lane % RH_FRONTS];
}

/* Zero is nobody's: a seq begins at 1. */
static uint64_t
pack(uint64_t lane, int64_t seq)
{
	return seq < 0 || seq > SEQ_MAX ?
	    0 :
	    (lane >> SEQ_BITS << SEQ_BITS) | (uint64_t)seq;
}

/* -1: of another lane, or not known. */
static int64_t
unpack(uint64_t lane, uint64_t w)
{
	return w && w >> SEQ_BITS == lane >> SEQ_BITS ?
	    (int64_t)(w & (uint64_t)SEQ_MAX) :
	    -1;
}

int64_t
rh_front_take(struct rh_fronts *f, uint64_t lane, int64_t above, int64_t n,
    int64_t far)
{
	_Atomic uint64_t *at = word(f, lane);
	uint64_t was = atomic_load(at);
	int64_t from;

	do {
		from = unpack(lane, was);
		if (from > above + far)
			return above;
		from = from > above ? from : above;
	} while (!atomic_compare_exchange_weak(at, &was, pack(lane, from + n)));
	return from;
}

void
rh_front_raise(struct rh_fronts *f, uint64_t lane, int64_t seq)
{
	_Atomic uint64_t *at = word(f, lane);
	uint64_t was = atomic_load(at);

	while (unpack(lane, was) < seq &&
	    !atomic_compare_exchange_weak(at, &was, pack(lane, seq)))
		;
}

void
rh_front_forget(struct rh_fronts *f, uint64_t lane)
{
	_Atomic uint64_t *at = word(f, lane);
	uint64_t was = atomic_load(at);

	if (unpack(lane, was) >= 0)
		(void)atomic_compare_exchange_strong(at, &was, 0);
}
