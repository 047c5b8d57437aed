#include "config.h"

#include "obs/trace.h"

#include "base/text.h"

#define MEMBERS_MAX	32
#define KEY_MAX		256
#define VALUE_MAX	256
#define LONG_MEMBER	128	/* the first to go where there is no room */
#define OT		RH_SLICE("ot=")
#define DIGITS		14	/* of 56 bits */

static const unsigned char zeros[16];

/*
 * Section 3.2. A version that we do not know has the fields of version 00
 * first, and whatever comes after them behind another dash (3.2.4).
 */
bool
rh_traceparent_get(struct rh_slice text, unsigned char trace_id[16],
    unsigned char parent_id[8], unsigned char *flags)
{
	unsigned char version;

	if (text.n < RH_TRACEPARENT_LEN || text.p[2] != '-' ||
	    text.p[35] != '-' || text.p[52] != '-')
		return false;
	if (!rh_hex_get(&version, 1, (struct rh_slice){ text.p, 2 }, false) ||
	    version == 0xff)
		return false;
	if (text.n > RH_TRACEPARENT_LEN &&
	    (version == 0 || text.p[RH_TRACEPARENT_LEN] != '-'))
		return false;
	if (!rh_hex_get(trace_id, 16, (struct rh_slice){ text.p + 3, 32 },
	    false) ||
	    !rh_hex_get(parent_id, 8, (struct rh_slice){ text.p + 36, 16 },
	    false) ||
	    !rh_hex_get(flags, 1, (struct rh_slice){ text.p + 53, 2 }, false))
		return false;
	*flags &= 3;
	return memcmp(trace_id, zeros, 16) != 0 &&
	    memcmp(parent_id, zeros, 8) != 0;
}

static bool
key_is_valid(struct rh_slice key)
{
	if (key.n == 0 || key.n > KEY_MAX)
		return false;
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			continue;
		if (i == 0 || (c != '_' && c != '-' && c != '*' && c != '/' &&
		    c != '@'))
			return false;
	}
	return true;
}

static bool
value_is_valid(struct rh_slice value)
{
	if (value.n == 0 || value.n > VALUE_MAX ||
	    value.p[value.n - 1] == ' ')
		return false;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < 0x20 || value.p[i] > 0x7e ||
		    value.p[i] == '=')
			return false;
	return true;
}

/*
 * Section 3.3.1.2. Empty members do not count: they come of fields that were
 * joined. A key that is there twice goes on as it came: the grammar allows it,
 * and those who wrote it must see to it.
 */
bool
rh_tracestate_is_valid(struct rh_slice text, unsigned *members)
{
	unsigned n = 0;

	while (text.p) {
		struct rh_slice value = rh_slice_trim(rh_slice_cut(&text, ','));
		struct rh_slice key;

		if (value.n == 0)
			continue;
		key = rh_slice_cut(&value, '=');
		if (!value.p || n++ == MEMBERS_MAX || !key_is_valid(key) ||
		    !value_is_valid(value))
			return false;
	}
	*members = n;
	return true;
}

/* 14 digits of 56 bits, without the zeros at their end; "0" for none. */
static void
put_threshold(struct rh_buf *to, uint64_t threshold)
{
	unsigned shift = 56;

	do {
		shift -= 4;
		rh_buf_char(to, "0123456789abcdef"[threshold >> shift & 15]);
	} while (shift && threshold << (64 - shift));
}

/* 1 to 14 digits, lower case, those at the end that are zeros left out. */
static uint64_t
digits_get(struct rh_slice text)
{
	char padded[DIGITS];
	unsigned char bytes[DIGITS / 2];
	uint64_t n = 0;

	if (text.n == 0 || text.n > DIGITS)
		return RH_THRESHOLD_NONE;
	memset(padded, '0', sizeof(padded));
	memcpy(padded, text.p, text.n);
	if (!rh_hex_get(bytes, sizeof(bytes),
	    (struct rh_slice){ padded, sizeof(padded) }, false))
		return RH_THRESHOLD_NONE;
	for (size_t i = 0; i < sizeof(bytes); i++)
		n = n << 8 | bytes[i];
	return n;
}

/* The newest is the first; a second one is nobody's to use. */
static struct rh_slice
ot_of(struct rh_slice tracestate)
{
	while (tracestate.p) {
		struct rh_slice member =
		    rh_slice_trim(rh_slice_cut(&tracestate, ','));

		if (rh_slice_has_prefix(member, OT))
			return rh_slice_from(member, OT.n);
	}
	return RH_SLICE_NONE;
}

struct rh_ot
rh_tracestate_ot(struct rh_slice tracestate)
{
	struct rh_slice pairs = ot_of(tracestate);
	struct rh_ot ot = { .th = RH_THRESHOLD_NONE };

	while (pairs.p) {
		struct rh_slice pair = rh_slice_cut(&pairs, ';');

		if (!ot.has_th && rh_slice_has_prefix(pair, RH_SLICE("th:"))) {
			ot.has_th = true;
			ot.th = digits_get(rh_slice_from(pair, 3));
		} else if (!ot.has_rv && pair.n == 3 + DIGITS &&
		    rh_slice_has_prefix(pair, RH_SLICE("rv:"))) {
			ot.rv = digits_get(rh_slice_from(pair, 3));
			ot.has_rv = ot.rv != RH_THRESHOLD_NONE;
		}
	}
	return ot;
}

/* Its other pairs stay, as far as a value's length allows. */
static void
put_ot(struct rh_buf *to, struct rh_slice pairs, uint64_t threshold)
{
	size_t start = to->n, value;
	bool some = threshold != RH_THRESHOLD_NONE;

	rh_buf_slice(to, OT);
	value = to->n;
	if (some) {
		rh_buf_lit(to, "th:");
		put_threshold(to, threshold);
	}
	while (pairs.p) {
		struct rh_slice pair = rh_slice_cut(&pairs, ';');

		if (pair.n == 0 || rh_slice_has_prefix(pair, RH_SLICE("th:")) ||
		    to->n - value + 1 + pair.n > VALUE_MAX)
			continue;
		if (some)
			rh_buf_char(to, ';');
		rh_buf_slice(to, pair);
		some = true;
	}
	if (!some)
		to->n = start;
}

static size_t
room(const struct rh_buf *to)
{
	return (to->arena ? to->max : to->cap) - to->n;
}

void
rh_tracestate_put_threshold(struct rh_buf *to, struct rh_slice tracestate,
    uint64_t threshold)
{
	size_t start = to->n;
	bool tight;
	unsigned n;

	put_ot(to, ot_of(tracestate), threshold);
	n = to->n > start;
	tight = tracestate.n + 1 > room(to);
	while (tracestate.p && n < MEMBERS_MAX) {
		struct rh_slice member =
		    rh_slice_trim(rh_slice_cut(&tracestate, ','));

		if (member.n == 0 || rh_slice_has_prefix(member, OT) ||
		    (tight && member.n > LONG_MEMBER))
			continue;
		if (member.n + 1 > room(to))
			break;
		if (n++)
			rh_buf_char(to, ',');
		rh_buf_slice(to, member);
	}
}
