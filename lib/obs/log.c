#include "config.h"

#include "obs/log.h"

#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_plain.h"
#include "base/text.h"
#include "obs/segment_file.h"

#define TRUNCATED	",\"truncated\":true"
#define MSG_MAX		2048

/* Kept free behind the fields. */
#define RESERVED	(sizeof(TRUNCATED) - 1)

static const struct rh_slice no_tail = RH_SLICE_INIT("}\n");

#define TIME		"{\"time\":\""
#define LEVEL(level)	RH_SLICE_INIT("\",\"level\":\"" level "\"")

static const struct rh_slice levels[] = {
	[RH_LOG_DEBUG] = LEVEL("debug"),
	[RH_LOG_INFO] = LEVEL("info"),
	[RH_LOG_WARN] = LEVEL("warn"),
	[RH_LOG_ERROR] = LEVEL("error"),
};

void
rh_log_bind(struct rh_log *log, const struct rh_segment *segment,
    unsigned slot, struct rh_arena *arena)
{
	log->ring = segment ? rh_segment_log(segment, slot) : NULL;
	log->bell = segment ? &rh_seg_live_pool(segment)->bell : NULL;
	log->tail = rh_slice_of(rh_arena_printf(arena, ",\"pid\":%ld}\n",
	    (long)getpid()));
	log->request_id = log->tenant = RH_SLICE_NONE;
	log->trace_id = log->span_id = NULL;
}

void
rh_log_name_as(struct rh_log *log, struct rh_arena *arena, const char *service,
    const char *version, pid_t pid)
{
	struct rh_buf b;

	/* a name that long would leave no room for the line */
	rh_buf_init(&b, arena, 256, 1024);
	rh_buf_lit(&b, ",\"service\":");
	rh_buf_json(&b, rh_slice_of(service));
	rh_buf_lit(&b, ",\"version\":");
	rh_buf_json(&b, rh_slice_of(version));
	rh_buf_lit(&b, ",\"pid\":");
	rh_buf_i64(&b, pid);
	rh_buf_lit(&b, "}\n");
	if (!b.full)
		log->tail = rh_buf_get(&b);
}

void
rh_log_name(struct rh_log *log, struct rh_arena *arena, const char *service,
    const char *version)
{
	rh_log_name_as(log, arena, service, version, getpid());
}

static struct rh_slice
tail_of(const struct rh_log *log)
{
	return log->tail.n ? log->tail : no_tail;
}

void
rh_line_open(struct rh_line *line, struct rh_log *log, enum rh_level level,
    const char *msg, int64_t wall_us)
{
	line->log = log;
	line->truncated = false;
	rh_buf_init_fixed(&line->buf, line->bytes,
	    RH_LINE_MAX - RESERVED - tail_of(log).n);
	/* there is room: rh_log_name_as() bounds the tail */
	memcpy(line->bytes, TIME, sizeof(TIME) - 1);
	rh_time_put(line->bytes + sizeof(TIME) - 1, wall_us);
	line->buf.n = sizeof(TIME) - 1 + RH_TIME_LEN;
	rh_buf_slice(&line->buf, levels[level]);
	rh_line_text(line, "msg", rh_slice_of(msg), MSG_MAX);
}

/*
 * The common case of a field, in a few instructions: the key stands there, and
 * behind it is room for n bytes more. NULL: neither is.
 */
static inline char *
put_field(struct rh_line *line, struct rh_slice key, size_t n)
{
	struct rh_buf *b = &line->buf;
	char *to = b->p + b->n;

	if (RH_UNLIKELY(key.n > RH_LINE_KEY_ROOM ||
	    b->cap - b->n < RH_LINE_KEY_ROOM + n))
		return NULL;
	/* a copy of a known length is an instruction or two */
	memcpy(to, key.p, RH_LINE_KEY_ROOM);
	return to + key.n;
}

static inline void
end_field(struct rh_line *line, const char *end)
{
	line->buf.n = (size_t)(end - line->buf.p);
}

/* Takes back a field that had no room. */
static void
settle(struct rh_line *line, size_t before)
{
	if (RH_LIKELY(!line->buf.full))
		return;
	line->buf.n = before;
	line->buf.full = false;
	line->truncated = true;
}

/* As many whole characters as make at most cap bytes of JSON. */
static void
put_cut(struct rh_buf *b, struct rh_slice value, size_t cap)
{
	size_t end = RH_MIN(b->n + 1 + RH_MIN(cap, RH_LINE_MAX), b->cap - 1);
	char bytes[16];
	struct rh_buf one;
	size_t step;

	rh_buf_char(b, '"');
	while (value.n) {
		step = rh_utf8_step((const unsigned char *)value.p, value.n);
		step += !step;
		rh_buf_init_fixed(&one, bytes, sizeof(bytes));
		rh_buf_json(&one, (struct rh_slice){ value.p, step });
		if (b->n + one.n - 2 > end)
			break;
		rh_buf_put(b, one.p + 1, one.n - 2);
		value = rh_slice_from(value, step);
	}
	rh_buf_char(b, '"');
}

/* Whether n bytes are so, and those up to the next step: they can be read. */
static inline bool
is_plain(const char *p, size_t n)
{
	size_t at = 0;

	do
		if (RH_UNLIKELY(!rh_json_is_plain_step(p + at)))
			return false;
	while ((at += RH_PLAIN_STEP) < n);
	return true;
}

/* Copied first, and then looked at where it stands: what follows is ours. */
static inline bool
put_plain(struct rh_line *line, struct rh_slice key, struct rh_slice value)
{
	char *to = put_field(line, key, value.n + 2 + RH_PLAIN_STEP);

	if (RH_UNLIKELY(!to))
		return false;
	*to++ = '"';
	memcpy(to, value.p, value.n);
	memset(to + value.n, '"' - 1, RH_PLAIN_STEP);
	if (RH_UNLIKELY(!is_plain(to, value.n)))
		return false;
	to[value.n] = '"';
	end_field(line, to + value.n + 1);
	return true;
}

/* What put_plain() has no room for, or has to be escaped, or to be cut. */
static RH_COLD void
put_text(struct rh_line *line, struct rh_slice key, struct rh_slice value,
    size_t cap)
{
	struct rh_buf *b = &line->buf;
	size_t before = b->n, start;

	rh_buf_slice(b, key);
	start = b->n;
	if (RH_LIKELY(value.n <= cap && !b->full)) {
		rh_buf_json(b, value);
		if (RH_LIKELY(!b->full && b->n - start <= cap + 2))
			return;
		b->n = start;
		b->full = false;
	}
	line->truncated = true;
	if (!b->full)
		put_cut(b, value, cap);
	settle(line, before);
}

void
rh_line_put_text(struct rh_line *line, struct rh_slice key,
    struct rh_slice value, size_t cap)
{
	if (!value.p)
		return;
	if (RH_UNLIKELY(value.n > cap) || !put_plain(line, key, value))
		put_text(line, key, value, cap);
}

/* Of a number, an id in hexadecimal digits, a UUID with its quotes. */
#define SHORT_MAX 40

/* Where a short value goes: into the line, or aside where that has no room. */
static inline char *
short_place(struct rh_line *line, struct rh_slice key, char aside[SHORT_MAX])
{
	char *to = put_field(line, key, SHORT_MAX);

	return RH_LIKELY(to != NULL) ? to : aside;
}

static RH_COLD void
short_take(struct rh_line *line, struct rh_slice key, struct rh_slice aside)
{
	size_t before = line->buf.n;

	rh_buf_slice(&line->buf, key);
	rh_buf_slice(&line->buf, aside);
	settle(line, before);
}

static inline void
short_end(struct rh_line *line, struct rh_slice key, const char *aside,
    const char *from, const char *end)
{
	if (RH_LIKELY(from != aside))
		end_field(line, end);
	else
		short_take(line, key,
		    (struct rh_slice){ from, (size_t)(end - from) });
}

void
rh_line_put_int(struct rh_line *line, struct rh_slice key, int64_t value)
{
	char aside[SHORT_MAX], *from = short_place(line, key, aside);
	char *to = from;

	if (value < 0)
		*to++ = '-';
	to = rh_u64_put(to, value < 0 ? -(uint64_t)value : (uint64_t)value);
	short_end(line, key, aside, from, to);
}

void
rh_line_put_ms(struct rh_line *line, struct rh_slice key, uint64_t ns)
{
	char aside[SHORT_MAX], *from = short_place(line, key, aside), *to;
	uint64_t us = ns / 1000;

	to = rh_u64_put(from, us / 1000);
	*to++ = '.';
	*to++ = (char)('0' + us % 1000 / 100);
	memcpy(to, rh_pairs[us % 100], 2);
	short_end(line, key, aside, from, to + 2);
}

void
rh_line_put_bool(struct rh_line *line, struct rh_slice key, bool value)
{
	char aside[SHORT_MAX], *from = short_place(line, key, aside);

	memcpy(from, value ? "true " : "false", 5);
	short_end(line, key, aside, from, from + (value ? 4 : 5));
}

void
rh_line_put_hex(struct rh_line *line, struct rh_slice key, const void *bytes,
    size_t n)
{
	char aside[SHORT_MAX], *to;

	if (!bytes)
		return;
	rh_assert(n * 2 + 2 <= SHORT_MAX);
	to = short_place(line, key, aside);
	to[0] = to[n * 2 + 1] = '"';
	rh_hex_put(to + 1, bytes, n);
	short_end(line, key, aside, to, to + n * 2 + 2);
}

void
rh_line_put_uuid(struct rh_line *line, struct rh_slice key, struct rh_uuid id)
{
	char aside[SHORT_MAX], *to;

	if (rh_uuid_is_nil(id))
		return;
	to = short_place(line, key, aside);
	to[0] = to[RH_UUID_LEN + 1] = '"';
	rh_uuid_put(to + 1, id);
	short_end(line, key, aside, to, to + RH_UUID_LEN + 2);
}

/*
 * The brace stands where its first member has a comma, so it is written last.
 * One byte is held back for its end. Without room for its beginning, all
 * within it finds none either.
 */
void
rh_line_put_object(struct rh_line *line, struct rh_slice key)
{
	struct rh_buf *b = &line->buf;
	size_t before = b->n;

	rh_buf_slice(b, key);
	line->object = rh_buf_room(b, 2) ? b->n : 0;
	b->cap = b->full ? before : b->max - 1;
	settle(line, before);
}

void
rh_line_object_end(struct rh_line *line)
{
	struct rh_buf *b = &line->buf;

	b->cap = b->max;
	if (!line->object)
		return;
	if (b->n == line->object)
		rh_buf_char(b, '{');
	else
		b->p[line->object] = '{';
	rh_buf_char(b, '}');
}

static void
count(const struct rh_log *log, unsigned outcome)
{
	if (log->tally)
		rh_count(log->tally, log->lines, outcome, 0, 1);
}

static void
to_stderr(const struct rh_log *log, struct rh_slice line)
{
	ssize_t n = write(STDERR_FILENO, line.p, line.n);

	count(log, n != (ssize_t)line.n);
}

void
rh_log_ring_bell(const struct rh_log *log)
{
	_Atomic uint32_t *bell = log->bell;
	uint32_t asleep = 1;

	if (bell && atomic_load_explicit(bell, memory_order_relaxed) &&
	    atomic_compare_exchange_strong(bell, &asleep, 0))
		syscall(SYS_futex, bell, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void
to_ring(struct rh_log *log, struct rh_slice line)
{
	char *to = rh_ring_reserve(log->ring, line.n);

	if (!to) {
		count(log, 1);
		return;
	}
	memcpy(to, line.p, line.n);
	rh_ring_commit(log->ring, line.n, 1);
	rh_log_ring_bell(log);
}

static struct rh_slice
finish(struct rh_line *line)
{
	struct rh_buf *b = &line->buf;

	b->cap = RH_LINE_MAX;
	if (line->truncated)
		rh_buf_lit(b, TRUNCATED);
	rh_buf_slice(b, tail_of(line->log));
	return rh_buf_get(b);
}

void
rh_line_close(struct rh_line *line)
{
	if (line->log->ring)
		to_ring(line->log, finish(line));
	else
		to_stderr(line->log, finish(line));
}

bool
rh_line_put(struct rh_line *line, uint64_t *items_in, uint64_t *head)
{
	struct rh_slice text = finish(line);
	char *to = rh_ring_reserve(line->log->ring, text.n);

	if (!to)
		return false;
	memcpy(to, text.p, text.n);
	rh_ring_prepare(line->log->ring, text.n, 1, items_in, head);
	return true;
}

void
rh_log_say(struct rh_log *log, enum rh_level level, const char *fmt, ...)
{
	struct rh_line line;
	char msg[MSG_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	rh_line_open(&line, log, level, n < 0 ? fmt : msg,
	    rh_clock_wall_us());
	line.truncated |= n >= (int)sizeof(msg);
	rh_line_text(&line, "request_id", log->request_id, 128);
	rh_line_hex(&line, "trace_id", log->trace_id, 16);
	rh_line_hex(&line, "span_id", log->span_id, 8);
	rh_line_text(&line, "tenant", log->tenant, 128);
	rh_line_close(&line);
}
