#include "config.h"

#include "base/slice.h"

static unsigned char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : (unsigned char)c;
}

bool
rh_slice_is_nocase(struct rh_slice s, struct rh_slice other)
{
	if (s.n != other.n)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (lower(s.p[i]) != lower(other.p[i]))
			return false;
	return true;
}

struct rh_slice
rh_slice_trim(struct rh_slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = rh_slice_from(s, 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

struct rh_slice
rh_slice_cut(struct rh_slice *rest, char sep)
{
	struct rh_slice head = *rest;
	const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;

	if (!at) {
		*rest = RH_SLICE_NONE;
		return head;
	}
	head.n = (size_t)(at - rest->p);
	*rest = rh_slice_from(*rest, head.n + 1);
	return head;
}
