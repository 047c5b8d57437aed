#include "config.h"

#include "data/redis_url.h"

#include "base/text.h"

enum { DEFAULT_PORT = 6379, DB_MAX = 65535 };

/* With a NUL behind; NULL where a "%" is no byte's, or that of a NUL. */
static const char *
decode(struct rh_slice text, struct rh_arena *arena)
{
	char *to = rh_arena_strdup(arena, text);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++, n++) {
		to[n] = text.p[i];
		if (text.p[i] != '%')
			continue;
		if (text.n - i < 3 || !rh_hex_get(&to[n], 1,
		    (struct rh_slice){ text.p + i + 1, 2 }, true) || !to[n])
			return NULL;
		i += 2;
	}
	to[n] = '\0';
	return to;
}

static bool
user_get(struct rh_redis_url *to, struct rh_slice who, struct rh_arena *arena,
    struct rh_buf *why)
{
	struct rh_slice user;

	if (!who.p)
		return true;
	user = rh_slice_cut(&who, ':');
	if ((user.n && !(to->user = decode(user, arena))) ||
	    (who.p && !(to->password = decode(who, arena)))) {
		rh_buf_lit(why, "user or password: \"%\" is not followed by"
		    " two hexadecimal digits");
		return false;
	}
	if (to->user && !to->password) {
		rh_buf_lit(why, "a user without a password; a password alone"
		    " is \":password@\"");
		return false;
	}
	return true;
}

static bool
db_get(struct rh_redis_url *to, struct rh_slice text, struct rh_buf *why)
{
	uint64_t db = 0;

	if (text.n && (!rh_u64_get(&db, text) || db > DB_MAX)) {
		rh_buf_lit(why, "the database is not a number");
		return false;
	}
	to->db = (unsigned)db;
	return true;
}

/* What stands before the last "@", p == NULL: there is none. */
static struct rh_slice
cut_who(struct rh_slice *rest, size_t authority)
{
	struct rh_slice who = RH_SLICE_NONE;

	for (size_t i = authority; i-- > 0;)
		if (rest->p[i] == '@') {
			who = (struct rh_slice){ rest->p, i };
			*rest = rh_slice_from(*rest, i + 1);
			break;
		}
	return who;
}

static size_t
find(struct rh_slice text, const char *any)
{
	size_t i;

	for (i = 0; i < text.n && !strchr(any, text.p[i]); i++)
		;
	return i;
}

static bool
address_get(struct rh_redis_url *to, struct rh_slice address,
    struct rh_arena *arena, struct rh_buf *why)
{
	uint64_t port = DEFAULT_PORT;
	struct rh_slice host = address;
	size_t end;

	if (address.n && address.p[0] == '[') {
		end = find(address, "]");
		host = end < address.n ?
		    (struct rh_slice){ address.p + 1, end - 1 } : RH_SLICE_NONE;
		end = RH_MIN(end + 1, address.n);
	} else {
		end = find(address, ":");
		host.n = end;
	}
	address = rh_slice_from(address, end);
	if (address.n && (address.p[0] != ':' ||
	    !rh_u64_get(&port, rh_slice_from(address, 1)) ||
	    port == 0 || port > UINT16_MAX)) {
		rh_buf_lit(why, "the port is not a number from 1 to 65535");
		return false;
	}
	if (host.n == 0 || host.n > 253) {
		rh_buf_lit(why, "no host, or none that can be");
		return false;
	}
	to->host = rh_arena_strdup(arena, host);
	to->port = (uint16_t)port;
	return true;
}

static bool
tcp_get(struct rh_redis_url *to, struct rh_slice rest, struct rh_arena *arena,
    struct rh_buf *why)
{
	struct rh_slice who = cut_who(&rest, find(rest, "/?#"));
	struct rh_slice address = { rest.p, find(rest, "/?#") };
	struct rh_slice path = rh_slice_from(rest, address.n);

	if (path.n && path.p[0] != '/') {
		rh_buf_lit(why, "nothing but \"/database\" may follow the"
		    " address");
		return false;
	}
	return user_get(to, who, arena, why) &&
	    address_get(to, address, arena, why) &&
	    db_get(to, path.n ? rh_slice_from(path, 1) : path, why);
}

static bool
unix_get(struct rh_redis_url *to, struct rh_slice rest, struct rh_arena *arena,
    struct rh_buf *why)
{
	struct rh_slice who = cut_who(&rest, find(rest, "/?#"));
	struct rh_slice path = { rest.p, find(rest, "?#") };
	struct rh_slice query = rh_slice_from(rest, path.n);

	if (path.n < 2 || path.p[0] != '/' || path.n > 107) {
		rh_buf_lit(why, "the path of a socket begins with \"/\" and"
		    " has at most 107 bytes");
		return false;
	}
	if (query.n && !rh_slice_has_prefix(query, RH_SLICE("?db="))) {
		rh_buf_lit(why, "nothing but \"?db=number\" may follow the"
		    " path");
		return false;
	}
	to->path = rh_arena_strdup(arena, path);
	return user_get(to, who, arena, why) &&
	    db_get(to, query.n ? rh_slice_from(query, 4) : query, why);
}

bool
rh_redis_url_get(struct rh_redis_url *to, struct rh_slice url,
    struct rh_arena *arena, struct rh_buf *why)
{
	static const struct rh_slice tcp = RH_SLICE_INIT("redis://"),
	    tls = RH_SLICE_INIT("rediss://"), sock = RH_SLICE_INIT("unix://");

	*to = (struct rh_redis_url){ 0 };
	if (rh_slice_has_prefix(url, tcp))
		return tcp_get(to, rh_slice_from(url, tcp.n), arena, why);
	if (rh_slice_has_prefix(url, sock))
		return unix_get(to, rh_slice_from(url, sock.n), arena, why);
	if (rh_slice_has_prefix(url, tls))
		rh_buf_lit(why, "no TLS of our own: let stunnel speak it"
		    " (etc/stunnel/rowhouse-redis.conf) and name its socket"
		    " here");
	else
		rh_buf_lit(why, "begins with neither redis:// nor unix://");
	return false;
}
