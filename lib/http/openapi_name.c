#include "config.h"

#include "http/openapi_part.h"

#define SEGMENTS_MAX	16

/* A template's segments without the version and without /t/{tenant}. */
struct words {
	unsigned n;
	struct rh_slice word[SEGMENTS_MAX];
	bool is_argument[SEGMENTS_MAX];
	bool versioned, of_tenant;
};

struct rh_slice
rh_api_argument(struct rh_slice segment)
{
	if (segment.n < 3 || segment.p[0] != '{')
		return RH_SLICE_NONE;
	return (struct rh_slice){ segment.p + 1, segment.n - 2 };
}

static bool
is_version(struct rh_slice s)
{
	return s.n > 1 && s.p[0] == 'v' && s.p[1] >= '0' && s.p[1] <= '9';
}

static struct words
words_of(const struct rh_route *r)
{
	struct rh_slice rest = rh_slice_from(rh_slice_of(r->template), 1), s;
	struct words w = { .n = 0 };

	while (rest.p && w.n < SEGMENTS_MAX) {
		struct rh_slice argument;

		s = rh_slice_cut(&rest, '/');
		argument = rh_api_argument(s);
		if (w.n == 0 && is_version(s)) {
			w.versioned = true;
			continue;
		}
		if (rh_slice_is(s, RH_SLICE("t")) &&
		    rh_slice_has_prefix(rest, RH_SLICE("{tenant}"))) {
			w.of_tenant = true;
			(void)rh_slice_cut(&rest, '/');
			continue;
		}
		w.is_argument[w.n] = argument.p != NULL;
		w.word[w.n++] = argument.p ? argument : s;
	}
	if (w.n == 0)
		w.word[w.n++] = w.of_tenant ? RH_SLICE("tenant") :
		    RH_SLICE("root");
	return w;
}

/* English plurals of paths, well enough: keys, deliveries, inboxes. */
static struct rh_slice
singular(struct rh_arena *arena, struct rh_slice s)
{
	size_t n = s.n;

	if (n > 3 && memcmp(s.p + n - 3, "ies", 3) == 0)
		return rh_slice_of(rh_arena_printf(arena, "%.*sy",
		    (int)n - 3, s.p));
	if (n > 3 && memcmp(s.p + n - 3, "xes", 3) == 0)
		return (struct rh_slice){ s.p, n - 2 };
	if (n > 2 && s.p[n - 1] == 's' && s.p[n - 2] != 's' &&
	    s.p[n - 2] != 'u')
		return (struct rh_slice){ s.p, n - 1 };
	return s;
}

const char *
rh_api_tag(struct rh_arena *arena, const struct rh_route *r)
{
	struct words w = words_of(r);

	if (!w.versioned)
		return "service";
	return rh_arena_strdup(arena, w.word[0]);
}

/* What a route's schemas are called after: Project, ApiKeyRotate. */
const char *
rh_api_noun(struct rh_arena *arena, const struct rh_route *r)
{
	struct words w = words_of(r);
	const char *noun = "";
	bool action = r->method == RH_POST && r->answer != RH_ANSWER_CREATED;

	for (unsigned i = 0; i < w.n; i++) {
		if (w.is_argument[i])
			continue;
		if (!action)
			noun = "";
		noun = rh_arena_printf(arena, "%s%s", noun,
		    rh_api_camel(arena, singular(arena, w.word[i])));
	}
	return *noun ? noun : rh_api_camel(arena, w.word[0]);
}

static const char *
verb_of(const struct rh_route *r)
{
	if (r->answer == RH_ANSWER_PAGE)
		return "list";
	if (r->answer == RH_ANSWER_CREATED)
		return "create";
	switch (r->method) {
	case RH_GET: return "get";
	case RH_PUT: return "replace";
	case RH_PATCH: return "update";
	case RH_DELETE: return "delete";
	case RH_HEAD: return "head";
	case RH_OPTIONS: return "options";
	default: return "post";
	}
}

const char *
rh_api_operation(struct rh_arena *arena, const struct rh_route *r)
{
	struct words w = words_of(r);
	const char *id = verb_of(r);

	for (unsigned i = 0; i < w.n; i++)
		id = rh_arena_printf(arena, "%s%s%s", id,
		    w.is_argument[i] ? "By" : "",
		    rh_api_camel(arena, w.word[i]));
	return id;
}
