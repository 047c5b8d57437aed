/*
 * What a reader without limits and without haste finds in the bytes of a
 * connection, up to where they break a rule of FastCGI 1.0, section by section.
 */
#include "config.h"

#include "exchange.h"

#include "http/fcgx_conn.h"

static struct model found;
static const unsigned char *wire;
static size_t at, wire_n;

/* The next whole record; at is behind it. */
static bool
next(struct rh_record *r, const unsigned char **content)
{
	if (wire_n - at < RH_RECORD_LEN)
		return false;
	*r = rh_record_get(wire + at);
	*content = wire + at + RH_RECORD_LEN;
	if (r->version != 1 || wire_n - at < r->size)
		return false;
	at += r->size;
	return true;
}

static bool
length(const unsigned char **p, size_t *left, size_t *to)
{
	size_t n = *left && **p & 0x80 ? 4 : 1;

	if (*left < n)
		return false;
	*to = n == 1 ? **p : (size_t)(**p & 0x7f) << 24 |
	    (size_t)(*p)[1] << 16 | (size_t)(*p)[2] << 8 | (*p)[3];
	*p += n;
	*left -= n;
	return true;
}

static bool
hash_params(const unsigned char *p, size_t left, uint64_t *to)
{
	size_t name, value;

	*to = HASH_START;
	while (left) {
		if (!length(&p, &left, &name) || !length(&p, &left, &value) ||
		    name > left || value > left - name)
			return false;
		*to = hash_pair(*to, p, name, p + name, value);
		p += name + value;
		left -= name + value;
	}
	return true;
}

/* Section 5.1 and 5.2, of the records with this id. */
static bool
read_head(struct expected *e)
{
	static unsigned char params[WIRE_MAX];
	const unsigned char *content;
	struct rh_record r;
	size_t n = 0;

	e->alone = true;
	while (next(&r, &content)) {
		if (r.id != e->id) {
			e->alone = false;
			continue;
		}
		if (r.type != RH_REC_PARAMS)
			return false;
		if (r.n == 0) {
			e->rubbish = !hash_params(params, n, &e->params);
			return true;
		}
		memcpy(params + n, content, r.n);
		n += r.n;
	}
	return false;
}

/* Section 5.3 */
static void
read_body(struct expected *e)
{
	const unsigned char *content;
	struct rh_record r;

	e->body = HASH_START;
	while (next(&r, &content)) {
		if (r.id != e->id)
			continue;
		if (r.type != RH_REC_STDIN)
			return;
		if (r.n == 0) {
			e->whole = true;
			return;
		}
		e->body = hash_more(e->body, content, r.n);
	}
}

/* False: nothing that comes after it is a request. */
static bool
read_request(void)
{
	const unsigned char *content;
	struct expected e = { .whole = false };
	struct rh_record r;

	do {
		if (!next(&r, &content))
			return false;
	} while (r.id == 0);
	if (r.type != RH_REC_BEGIN || r.n != 8 || content[0] ||
	    content[1] != RH_ROLE_RESPONDER)
		return false;
	e.id = r.id;
	if (!read_head(&e))
		return false;
	read_body(&e);
	found.requests[found.n++] = e;
	return e.whole && content[2] & RH_KEEP_CONN;
}

const struct model *
model_read(const unsigned char *bytes, size_t n)
{
	wire = bytes;
	wire_n = n;
	at = 0;
	found.n = 0;
	while (found.n < REQUESTS_MAX && read_request())
		;
	return &found;
}
