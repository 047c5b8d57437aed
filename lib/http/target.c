#include "config.h"

#include "http/target.h"

#include "base/text.h"

/* Bytes that may stand in a target; 2: an escape's percent sign. */
static const unsigned char target_class[256] = {
	['!' ... '"'] = 1, ['$'] = 1, ['%'] = 2, ['&' ... '~'] = 1,
};

static bool
is_escape(struct rh_slice text, size_t at)
{
	unsigned char byte;

	return text.n - at >= 3 && rh_hex_get(&byte, 1,
	    (struct rh_slice){ text.p + at + 1, 2 }, true) && byte != 0;
}

static bool
is_target(struct rh_slice target)
{
	for (size_t i = 0; i < target.n; i++) {
		unsigned char class = target_class[(unsigned char)target.p[i]];

		if (class == 0 || (class == 2 && !is_escape(target, i)))
			return false;
	}
	return true;
}

/* "http://host/path" is "/path": Apache passes it on as it came. */
static struct rh_slice
without_authority(struct rh_slice target)
{
	static const struct rh_slice schemes[] = {
		RH_SLICE_INIT("http://"), RH_SLICE_INIT("https://"),
	};

	for (size_t i = 0; i < RH_COUNT(schemes); i++) {
		struct rh_slice rest;
		size_t host;

		if (target.n < schemes[i].n || !rh_slice_is_nocase(
		    (struct rh_slice){ target.p, schemes[i].n }, schemes[i]))
			continue;
		rest = rh_slice_from(target, schemes[i].n);
		for (host = 0; host < rest.n && rest.p[host] != '/' &&
		    rest.p[host] != '?'; host++)
			;
		return host ? rh_slice_from(rest, host) : RH_SLICE_NONE;
	}
	return target;
}

bool
rh_target_split(struct rh_slice target, struct rh_slice *path,
    struct rh_slice *query)
{
	*path = *query = RH_SLICE_NONE;
	if (!is_target(target))
		return false;
	if (target.n && target.p[0] != '/')
		target = without_authority(target);
	if (!target.p)
		return false;
	*query = target;
	*path = rh_slice_cut(query, '?');
	return path->n && path->p[0] == '/';
}

bool
rh_percent_decode(struct rh_slice *text, struct rh_arena *arena, bool plus)
{
	size_t n = 0;
	char *to;

	if (!text->n || (!memchr(text->p, '%', text->n) &&
	    !(plus && memchr(text->p, '+', text->n))))
		return true;	/* ASCII without NUL, as rh_target_split left it */
	to = rh_arena_alloc(arena, text->n);
	for (size_t i = 0; i < text->n; i++) {
		to[n] = text->p[i] == '+' && plus ? ' ' : text->p[i];
		if (text->p[i] == '%') {
			if (!is_escape(*text, i) || !rh_hex_get(to + n, 1,
			    (struct rh_slice){ text->p + i + 1, 2 }, true))
				return false;
			i += 2;
		}
		n++;
	}
	*text = (struct rh_slice){ to, n };
	return rh_utf8_is(*text);
}
