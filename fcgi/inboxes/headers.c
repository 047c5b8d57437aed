#include "config.h"

#include "inboxes/headers.h"

#include "base/buf.h"

enum {
	JSON_FIRST = 2048,
	JSON_MAX = 1 << 20,
	NAME_MAX_BYTES = 256,
	SCHEME_MAX = 32
};

#define MASK "***"

/* ---- what a name says ---- */

static bool
is_one_of(struct rh_slice name, const struct rh_slice *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rh_slice_is_nocase(name, names[i]))
			return true;
	return false;
}

static bool
has(struct rh_slice name, struct rh_slice word)
{
	for (size_t i = 0; i + word.n <= name.n; i++)
		if (rh_slice_is_nocase((struct rh_slice){ name.p + i, word.n },
			word))
			return true;
	return false;
}

static bool
says_scheme(struct rh_slice name)
{
	return rh_slice_is_nocase(name, RH_SLICE("Authorization")) ||
	    rh_slice_is_nocase(name, RH_SLICE("Proxy-Authorization"));
}

bool
header_is_secret(struct rh_slice name)
{
	static const struct rh_slice names[] = {
		RH_SLICE_INIT("Authorization"),
		RH_SLICE_INIT("Proxy-Authorization"),
		RH_SLICE_INIT("Cookie"),
		RH_SLICE_INIT("Cookie2"),
		RH_SLICE_INIT("Set-Cookie"),
	};
	static const struct rh_slice words[] = {
		RH_SLICE_INIT("token"),
		RH_SLICE_INIT("secret"),
		RH_SLICE_INIT("passw"),
		RH_SLICE_INIT("apikey"),
		RH_SLICE_INIT("api-key"),
		RH_SLICE_INIT("access-key"),
		RH_SLICE_INIT("auth-key"),
		RH_SLICE_INIT("credential"),
		RH_SLICE_INIT("session"),
		RH_SLICE_INIT("jwt"),
		RH_SLICE_INIT("x-auth"),
	};

	if (is_one_of(name, names, RH_COUNT(names)))
		return true;
	if (has(name, RH_SLICE("signature")))
		return false;
	for (size_t i = 0; i < RH_COUNT(words); i++)
		if (has(name, words[i]))
			return true;
	return false;
}

bool
header_is_hop(struct rh_slice name)
{
	static const struct rh_slice names[] = {
		RH_SLICE_INIT("Connection"),
		RH_SLICE_INIT("Keep-Alive"),
		RH_SLICE_INIT("Proxy-Connection"),
		RH_SLICE_INIT("Proxy-Authenticate"),
		RH_SLICE_INIT("TE"),
		RH_SLICE_INIT("Trailer"),
		RH_SLICE_INIT("Transfer-Encoding"),
		RH_SLICE_INIT("Upgrade"),
		RH_SLICE_INIT("Expect"),
		RH_SLICE_INIT("Host"),
		RH_SLICE_INIT("Content-Length"),
		RH_SLICE_INIT("Content-Type"), /* the caller's to send */
		RH_SLICE_INIT("Accept-Encoding"),
		RH_SLICE_INIT("Traceparent"),
		RH_SLICE_INIT("Tracestate"),
		RH_SLICE_INIT("X-Request-Id"),
		RH_SLICE_INIT("Rowhouse-Forwarded"),
	};

	return is_one_of(name, names, RH_COUNT(names));
}

/* ---- as they came ---- */

struct header {
	struct rh_slice name, value;
};

struct gather {
	struct rh_arena *arena;
	struct header *all;
	size_t n;
};

/* "X_HUB_SIGNATURE_256" is X-Hub-Signature-256. */
static struct rh_slice
name_of(struct rh_arena *arena, struct rh_slice param)
{
	char *to = rh_arena_alloc(arena, param.n + 1);
	bool first = true;

	for (size_t i = 0; i < param.n; i++) {
		char ch = param.p[i];
		bool letter = ch >= 'A' && ch <= 'Z';

		to[i] = ch == '_'    ? '-' :
		    letter && !first ? (char)(ch | 32) :
				       ch;
		first = ch == '_';
	}
	return (struct rh_slice){ to, param.n };
}

static struct rh_slice
plain(struct rh_arena *arena, struct rh_slice value)
{
	char *to = rh_arena_alloc(arena, value.n + 1);

	for (size_t i = 0; i < value.n; i++) {
		unsigned char ch = (unsigned char)value.p[i];

		to[i] = (ch < 0x20 && ch != '\t') || ch == 0x7f ? ' ' :
								  value.p[i];
	}
	return (struct rh_slice){ to, value.n };
}

/* "Bearer abc" is "Bearer ***": how somebody signs in is no secret. */
static struct rh_slice
masked(struct rh_arena *arena, struct rh_slice name, struct rh_slice value)
{
	const char *blank = memchr(value.p, ' ',
	    RH_MIN(value.n, (size_t)SCHEME_MAX));

	if (value.n == 0)
		return value;
	if (!says_scheme(name) || !blank)
		return RH_SLICE(MASK);
	return rh_slice_of(rh_arena_printf(arena, "%.*s " MASK,
	    (int)(blank - value.p), value.p));
}

static void
add(struct gather *g, struct rh_slice name, struct rh_slice value)
{
	struct header *h;

	for (h = g->all; h < g->all + g->n; h++)
		if (rh_slice_is(h->name, name))
			break;
	if (h < g->all + g->n) {
		if (!header_is_secret(name))
			h->value = rh_slice_of(rh_arena_printf(g->arena,
			    "%.*s, %.*s", RH_SLICE_ARG(h->value),
			    RH_SLICE_ARG(plain(g->arena, value))));
		return;
	}
	if (g->n == HEADERS_MAX)
		return;
	*h = (struct header){ name, plain(g->arena, value) };
	if (header_is_secret(name))
		h->value = masked(g->arena, name, h->value);
	g->n++;
}

static void
take(void *ctx, struct rh_slice param, struct rh_slice value)
{
	static const struct rh_slice prefix = RH_SLICE_INIT("HTTP_");
	static const struct rh_slice skipped[] = {
		RH_SLICE_INIT("HTTP_CONTENT_TYPE"), /* once more */
		RH_SLICE_INIT("HTTP_CONTENT_LENGTH"),
		RH_SLICE_INIT("HTTP_PROXY"),
	};
	struct gather *g = ctx;
	struct rh_slice name = param;

	if (param.n > NAME_MAX_BYTES ||
	    is_one_of(param, skipped, RH_COUNT(skipped)))
		return;
	if (rh_slice_has_prefix(param, prefix))
		name = rh_slice_from(param, prefix.n);
	else if (value.n == 0 ||
	    (!rh_slice_is(param, RH_SLICE("CONTENT_TYPE")) &&
		!rh_slice_is(param, RH_SLICE("CONTENT_LENGTH"))))
		return;
	add(g, name_of(g->arena, name), value);
}

struct rh_slice
headers_json(struct rh_arena *arena, const struct rh_fcgx *fx)
{
	struct gather g = { .arena = arena };
	struct rh_buf b;

	g.all = rh_arena_alloc(arena, HEADERS_MAX * sizeof(*g.all));
	rh_fcgx_params(fx, take, &g);
	rh_buf_init(&b, arena, JSON_FIRST, JSON_MAX);
	rh_buf_char(&b, '{');
	for (size_t i = 0; i < g.n; i++) {
		if (i)
			rh_buf_char(&b, ',');
		rh_buf_json(&b, g.all[i].name);
		rh_buf_char(&b, ':');
		rh_buf_json(&b, g.all[i].value);
	}
	rh_buf_char(&b, '}');
	return b.full ? RH_SLICE("{}") : rh_buf_get(&b);
}
