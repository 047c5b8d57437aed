#include "config.h"

#include "base/cidr.h"

#include <arpa/inet.h>

#include "base/text.h"

enum { MAPPED_BITS = 96, ADDRESS_BITS = 128 };

bool
rh_address_get(unsigned char to[16], struct rh_slice text)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	char copy[INET6_ADDRSTRLEN];

	if (text.n == 0 || text.n >= sizeof(copy) ||
	    memchr(text.p, '\0', text.n))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (memchr(text.p, ':', text.n))
		return inet_pton(AF_INET6, copy, to) == 1;
	memcpy(to, mapped, sizeof(mapped));
	return inet_pton(AF_INET, copy, to + sizeof(mapped)) == 1;
}

/* The first bits of both are the same. */
static bool
agree(const unsigned char a[16], const unsigned char b[16], unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool
ends_in_zeros(const struct rh_cidr *c)
{
	for (unsigned bit = c->bits; bit < ADDRESS_BITS; bit++)
		if (c->net[bit / 8] & 0x80u >> bit % 8)
			return false;
	return true;
}

bool
rh_cidr_get(struct rh_cidr *to, struct rh_slice text)
{
	struct rh_slice bits = text, address = rh_slice_cut(&bits, '/');
	bool is_v4 = address.n && !memchr(address.p, ':', address.n);
	uint64_t n = is_v4 ? ADDRESS_BITS - MAPPED_BITS : ADDRESS_BITS;
	uint64_t most = n;

	if (!rh_address_get(to->net, address) ||
	    (bits.p && (!rh_u64_get(&n, bits) || n > most)))
		return false;
	to->bits = (unsigned)n + (is_v4 ? MAPPED_BITS : 0);
	return ends_in_zeros(to);
}

/* Cuts the next off the list; p == NULL at its end. */
static struct rh_slice
next(struct rh_slice *list)
{
	struct rh_slice one;

	while (list->n && strchr(", \t", *list->p))
		*list = rh_slice_from(*list, 1);
	one = (struct rh_slice){ list->n ? list->p : NULL, 0 };
	while (one.n < list->n && !strchr(", \t", list->p[one.n]))
		one.n++;
	if (one.n)
		*list = rh_slice_from(*list, one.n);
	return one;
}

bool
rh_cidrs_get(struct rh_cidrs *to, struct rh_slice text, struct rh_arena *arena,
    struct rh_slice *fault)
{
	struct rh_slice list = text, one;
	size_t n = 0;

	while (next(&list).p)
		n++;
	*to = (struct rh_cidrs){ rh_arena_zalloc(arena, n + 1,
	    sizeof(*to->list)), 0 };
	for (list = text; (one = next(&list)).p; to->n++)
		if (!rh_cidr_get(&to->list[to->n], one)) {
			*fault = one;
			return false;
		}
	return true;
}

bool
rh_cidrs_has(const struct rh_cidrs *cidrs, struct rh_slice address)
{
	unsigned char bytes[16];

	if (cidrs->n == 0 || !rh_address_get(bytes, address))
		return false;
	for (size_t i = 0; i < cidrs->n; i++)
		if (agree(cidrs->list[i].net, bytes, cidrs->list[i].bits))
			return true;
	return false;
}
