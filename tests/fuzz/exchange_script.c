/*
 * Every sequence of bytes is a script, so that a fuzzer that knows nothing of
 * FastCGI changes records, not bytes: a step is an opcode and its operands.
 */
#include "config.h"

#include "exchange.h"

#include "base/attr.h"
#include "http/fcgx_conn.h"

#define PAUSE	0x80	/* in an opcode: wait after it */
#define MOSTLY	0x40
#define STEPS_MAX	64

static struct script made;
static const uint8_t *at, *end;

static unsigned
byte(void)
{
	return at < end ? *at++ : 0;
}

static void
put(const void *bytes, size_t n)
{
	n = RH_MIN(n, sizeof(made.wire) - made.n);
	memcpy(made.wire + made.n, bytes, n);
	made.n += n;
}

static void
put_filler(size_t n, unsigned first)
{
	unsigned char block[256];

	for (unsigned i = 0; i < sizeof(block); i++)
		block[i] = (unsigned char)(first + i);
	for (; n > sizeof(block); n -= sizeof(block))
		put(block, sizeof(block));
	put(block, n);
}

/* n of the header is what is said; content comes after it by the caller. */
static void
put_head(unsigned type, unsigned id, size_t n, size_t pad)
{
	unsigned char head[RH_RECORD_LEN];

	rh_record_put(head, (enum rh_record_type)type, id, n, pad);
	put(head, sizeof(head));
}

static void
put_record(unsigned type, unsigned id, const void *content, size_t n, size_t pad)
{
	put_head(type, id, n, pad);
	put(content, n);
	put_filler(pad, 0);
}

/* Mostly the connection's own; sometimes another, or management's. */
static unsigned
an_id(void)
{
	unsigned b = byte();

	return b < 0xf0 ? 1 : b < 0xf6 ? 0 : b < 0xfb ? 2 : b * 256 + b;
}

static size_t
a_pad(void)
{
	unsigned b = byte();

	return b < 0xa0 ? 0 : b < 0xe0 ? b % 8 : b;
}

/* Short, or around what somebody's buffer holds. */
static size_t
a_length(void)
{
	static const unsigned edges[] = { 127, 128, 995, 1000, 1001, 4000, 4095,
		4096, 8000, 8100, 8128, 8144, 8150, 8160, 8184, 8192, 16384,
		30000, 65528, 65535 };
	unsigned b = byte();

	return b < 0xc0 ? b % 64 : edges[(b + byte()) % RH_COUNT(edges)];
}

static size_t
put_length(unsigned char *to, size_t n, bool wide)
{
	if (n < 128 && !wide) {
		to[0] = (unsigned char)n;
		return 1;
	}
	to[0] = (unsigned char)(n >> 24 | 0x80);
	to[1] = (unsigned char)(n >> 16);
	to[2] = (unsigned char)(n >> 8);
	to[3] = (unsigned char)n;
	return 4;
}

/* Up to fifteen pairs; BIG asks for a long answer. */
static size_t
pairs(unsigned char *to, size_t cap)
{
	static const char *const names[] = { "A", "", "REQUEST_URI", "BIG",
		"HTTP_COOKIE", "FCGI_ROLE", "CONTENT_LENGTH", "A=B" };
	unsigned count = byte() % 16;
	size_t n = 0;

	while (count--) {
		unsigned b = byte();
		const char *name = names[b % 8];
		size_t value_n = b & 8 ? a_length() : byte() % 8;

		value_n = RH_MIN(value_n, 3000u);
		if (n + 8 + strlen(name) + value_n > cap)
			break;
		n += put_length(to + n, strlen(name), b & 16);
		n += put_length(to + n, value_n, b & 32);
		memcpy(to + n, name, strlen(name));
		n += strlen(name);
		memset(to + n, (int)(b & 64 ? byte() : 'a' + made.n % 26), value_n);
		n += value_n;
	}
	return n;
}

static void
put_begin(unsigned id, unsigned role, bool keep, size_t pad)
{
	const unsigned char body[8] = { (unsigned char)(role >> 8),
		(unsigned char)role, keep };

	put_record(RH_REC_BEGIN, id, body, sizeof(body), pad);
}

static void
put_body(unsigned id, size_t n, size_t each, size_t pad)
{
	for (; n; n -= RH_MIN(n, each)) {
		size_t now = RH_MIN(n, each);

		put_head(RH_REC_STDIN, id, now, pad);
		put_filler(now, (unsigned)made.n);
		put_filler(pad, 0);
	}
}

static void
whole(bool has_body)
{
	unsigned char content[16384];
	unsigned id = made.tame ? 1 + byte() : an_id();
	size_t pad = a_pad(), n;

	put_begin(id, RH_ROLE_RESPONDER, made.tame || byte() < 0xe0, pad);
	n = pairs(content, made.tame ? 1000 : sizeof(content));
	if (n)
		put_record(RH_REC_PARAMS, id, content, n, pad);
	put_record(RH_REC_PARAMS, id, "", 0, pad);
	if (has_body) {
		n = a_length();
		put_body(id, made.tame ? n % 6000 : n, 1 + a_length(), pad);
	}
	put_record(RH_REC_STDIN, id, "", 0, pad);
}

/* The names that libfcgi answers, as often as its stack does not hold. */
static void
values(void)
{
	static const char *const names[] = { "FCGI_MAX_CONNS", "FCGI_MAX_REQS",
		"FCGI_MPXS_CONNS", "NONE" };
	unsigned char content[4096];
	unsigned count = byte() % 64, b = byte();
	size_t n = 0, name_n;

	while (count--) {
		const char *name = names[(b + count * (b >> 4)) % 4];

		name_n = strlen(name);
		content[n++] = (unsigned char)name_n;
		content[n++] = 0;
		memcpy(content + n, name, name_n);
		n += name_n;
	}
	if (b & 1 && n && !made.tame)
		content[byte() % n] = (unsigned char)byte();
	put_record(RH_REC_GET_VALUES, 0, content, n, a_pad());
}

static void
crumbs(void)
{
	unsigned char content[2048];
	unsigned id = an_id();
	size_t n = pairs(content, sizeof(content)), each = 1 + byte() % 16;

	for (size_t i = 0; i < n; i += each)
		put_record(RH_REC_PARAMS, id, content + i, RH_MIN(each, n - i),
		    a_pad());
}

static void
raw(void)
{
	unsigned n = byte() % 64;

	while (n-- && at < end)
		put(at++, 1);
}

static void
cut(void)
{
	size_t n = byte();

	made.n -= RH_MIN(made.n, n);
	while (made.npauses && made.pauses[made.npauses - 1] > made.n)
		made.npauses--;
}

static void
params(void)
{
	unsigned char content[16384];
	unsigned id = an_id();
	size_t n = pairs(content, sizeof(content));

	put_record(RH_REC_PARAMS, id, content, n, a_pad());
}

static void
lengths_that_lie(void)
{
	unsigned char content[64];
	size_t n = 1 + byte() % sizeof(content);

	for (size_t i = 0; i < n; i++)
		content[i] = (unsigned char)byte();
	put_record(RH_REC_PARAMS, an_id(), content, n, 0);
}

static void
any_record(void)
{
	unsigned type = byte() % 14, id = an_id(), b = byte();
	size_t n = a_length();

	put_head(type, id, b & 1 ? (n * 7) % 65536 : n, a_pad());
	put_filler(n, b);
}

static void
begin(void)
{
	unsigned id = an_id(), b = byte();

	put_begin(id, b & 0xe0 ? RH_ROLE_RESPONDER : b, b & 1, a_pad());
}

static void
step(unsigned op)
{
	/* the half of them whole requests, or few scripts got past their first */
	if (!made.tame && op & MOSTLY)
		op %= 2;
	switch (made.tame ? op % 4 : op % 16) {
	case 0: whole(false); break;
	case 1: whole(true); break;
	case 2: values(); break;
	case 3: put_record(12 + byte() % 200, 0, "what", 4, a_pad()); break;
	case 4: begin(); break;
	case 5: params(); break;
	case 6: put_record(RH_REC_PARAMS, an_id(), "", 0, a_pad()); break;
	case 7: put_body(an_id(), a_length(), 60000, a_pad()); break;
	case 8: put_record(RH_REC_STDIN, an_id(), "", 0, a_pad()); break;
	case 9: put_record(RH_REC_ABORT, an_id(), "", 0, a_pad()); break;
	case 10: any_record(); break;
	case 11: raw(); break;
	case 12: cut(); break;
	case 13: lengths_that_lie(); break;
	case 14: crumbs(); break;
	default: break;		/* with PAUSE: two looks at the same */
	}
}

const struct script *
script_read(const uint8_t *bytes, size_t n)
{
	unsigned flags;

	at = bytes;
	end = bytes + n;
	made.n = made.npauses = 0;
	flags = byte();
	made.tame = flags & 1;
	made.narrow = flags & 2;
	made.silent = flags & 4 && !made.tame;
	made.deaf = flags & 8 && !made.tame;
	made.random = hash_more(HASH_START, bytes, n);
	for (unsigned i = 0; i < STEPS_MAX && at < end; i++) {
		unsigned op = byte();

		step(op);
		if ((op & PAUSE || made.tame) && made.npauses < PAUSES_MAX)
			made.pauses[made.npauses++] = made.n;
	}
	return &made;
}
