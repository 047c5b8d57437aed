#include "config.h"

#include "data/redis_session.h"

#include "base/text.h"

/* ---- a key's slot: CRC-16 of its hash tag (XMODEM, polynomial 1021) ---- */

static uint16_t
crc16(struct rh_slice text)
{
	static uint16_t table[256];
	uint16_t crc = 0;

	if (!table[1])
		for (unsigned i = 0; i < 256; i++) {
			uint16_t c = (uint16_t)(i << 8);

			for (int bit = 0; bit < 8; bit++)
				c = (uint16_t)(c & 0x8000 ? c << 1 ^ 0x1021 :
				    c << 1);
			table[i] = c;
		}
	for (size_t i = 0; i < text.n; i++)
		crc = (uint16_t)(crc << 8 ^
		    table[(crc >> 8 ^ (unsigned char)text.p[i]) & 0xff]);
	return crc;
}

/* What stands between the first "{" and the next "}", if anything does. */
static struct rh_slice
tag_of(struct rh_slice key)
{
	const char *open = memchr(key.p, '{', key.n), *close;

	if (!open)
		return key;
	open++;
	close = memchr(open, '}', key.n - (size_t)(open - key.p));
	return close && close > open ?
	    (struct rh_slice){ open, (size_t)(close - open) } : key;
}

int
rh_redis_slot(struct rh_slice key)
{
	return key.p ? crc16(tag_of(key)) % RH_REDIS_SLOTS : -1;
}

/* ---- nodes ---- */

struct rh_redis_node *
rh_redis_node_other(struct rh_redis *r, const struct rh_redis_node *than)
{
	struct rh_redis_node *found = NULL;

	for (unsigned i = 0; i < r->nnodes; i++) {
		struct rh_redis_node *n = r->nodes[i];

		if (n == than || n->breaker.open)
			continue;
		if (n->link == RH_LINK_READY)
			return n;
		found = found ? found : n;
	}
	return found;
}

struct rh_redis_node *
rh_redis_node_of(struct rh_redis *r, int slot)
{
	struct rh_redis_node *n;

	if (slot >= 0 && r->slots && r->slots[slot])
		return r->nodes[r->slots[slot] - 1];
	n = rh_redis_node_other(r, NULL);
	return n ? n : r->nodes[0];
}

/* One that has no slots and nothing under way makes place for another. */
static unsigned
place_for(struct rh_redis *r)
{
	if (r->nnodes < RH_REDIS_NODES)
		return r->nnodes;
	for (unsigned i = 1; i < r->nnodes; i++)
		if (!r->nodes[i]->in_map && r->nodes[i]->nsent == 0)
			return i;
	return RH_REDIS_NODES;
}

/* Its index; RH_REDIS_NODES: there are too many. */
static unsigned
node_find(struct rh_redis *r, const char *host, uint16_t port)
{
	unsigned i;

	for (i = 0; i < r->nnodes; i++)
		if (r->nodes[i]->port == port &&
		    strcmp(r->nodes[i]->host, host) == 0)
			return i;
	i = place_for(r);
	if (i == r->nnodes && i < RH_REDIS_NODES) {
		r->nodes[r->nnodes++] = rh_redis_node_new(r, host, port);
	} else if (i < RH_REDIS_NODES) {
		struct rh_redis_node *n = r->nodes[i];

		rh_redis_node_close(n);
		n->breaker = (struct rh_breaker){ .open = false };
		n->port = port;
		memcpy(n->host, host, strlen(host) + 1);
	}
	return i;
}

/* A node that does not say its host means the one that we asked. */
static unsigned
node_named(struct rh_redis *r, const struct rh_redis_node *from,
    struct rh_slice host, uint64_t port)
{
	char text[sizeof(from->host)];

	if (port == 0 || port > UINT16_MAX || host.n >= sizeof(text))
		return RH_REDIS_NODES;
	if (host.n == 0 || rh_slice_is(host, RH_SLICE("?")))
		host = rh_slice_of(from->host);
	if (host.n == 0)	/* a unix socket: it is on this machine */
		host = RH_SLICE("127.0.0.1");
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	return node_find(r, text, (uint16_t)port);
}

/* ---- the map ---- */

static void
slots_open(struct rh_redis *r)
{
	r->is_cluster = true;
	if (!r->slots)
		r->slots = rh_arena_zalloc(r->own, RH_REDIS_SLOTS, 1);
}

/* [first, last, [host, port, …] of the master, replicas …] */
static void
range_learn(struct rh_redis *r, const struct rh_redis_node *from,
    const struct rh_redis_value *range)
{
	const struct rh_redis_value *v = range->items, *master;
	unsigned i;

	if (range->kind != RH_REDIS_ARRAY || range->n < 3 ||
	    v[0].kind != RH_REDIS_INT || v[1].kind != RH_REDIS_INT ||
	    v[0].number < 0 || v[1].number >= RH_REDIS_SLOTS ||
	    v[2].kind != RH_REDIS_ARRAY || v[2].n < 2)
		return;
	master = v[2].items;
	if (master[1].kind != RH_REDIS_INT || (i = node_named(r, from,
	    master[0].text, (uint64_t)master[1].number)) == RH_REDIS_NODES)
		return;
	r->nodes[i]->in_map = true;
	for (int64_t slot = v[0].number; slot <= v[1].number; slot++)
		r->slots[slot] = (uint8_t)(i + 1);
}

/* Who has no slots any more is nobody to wait for. */
static void
leavers_close(struct rh_redis *r)
{
	for (unsigned i = 1; i < r->nnodes; i++) {
		struct rh_redis_node *n = r->nodes[i];

		if (n->in_map || n->nsent || n->link == RH_LINK_GREETING)
			continue;
		rh_redis_node_close(n);
		rh_breaker_close(&n->breaker);
	}
}

void
rh_redis_map_learn(struct rh_redis *r, const struct rh_redis_node *from,
    const struct rh_redis_value *slots)
{
	r->map_stale = false;
	/* a cluster that is yet to form, or a server that is none */
	if (slots->kind != RH_REDIS_ARRAY || slots->n == 0)
		return;
	slots_open(r);
	memset(r->slots, 0, RH_REDIS_SLOTS);
	for (unsigned i = 0; i < r->nnodes; i++)
		r->nodes[i]->in_map = false;
	for (size_t i = 0; i < slots->n; i++)
		range_learn(r, from, &slots->items[i]);
	leavers_close(r);
	rh_redis_tell_up(r);
}

struct rh_redis_node *
rh_redis_redirect(struct rh_redis *r, const struct rh_redis_node *from,
    struct rh_slice text, int *slot)
{
	const bool moved = rh_slice_is(rh_slice_cut(&text, ' '),
	    RH_SLICE("MOVED"));
	struct rh_slice number = rh_slice_cut(&text, ' ');
	uint64_t n, port;
	size_t colon = text.n;
	unsigned i;

	while (colon && text.p[colon - 1] != ':')
		colon--;
	if (!colon || !rh_u64_get(&n, number) || n >= RH_REDIS_SLOTS ||
	    !rh_u64_get(&port, rh_slice_from(text, colon)))
		return NULL;
	text.n = colon - 1;
	slots_open(r);
	if ((i = node_named(r, from, text, port)) == RH_REDIS_NODES)
		return NULL;
	*slot = (int)n;
	if (moved) {
		r->slots[n] = (uint8_t)(i + 1);
		r->nodes[i]->in_map = true;
		r->map_stale = true;
	}
	return r->nodes[i];
}
