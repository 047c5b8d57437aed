#include "config.h"

#include "obs/log.h"

#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "obs/segment_file.h"

#define TRUNCATED	",\"truncated\":true"
#define MSG_MAX		2048

/* Kept free behind the fields. */
#define RESERVED	(sizeof(TRUNCATED) - 1)

static const struct rh_slice no_tail = RH_SLICE_INIT("}\n");

static const struct rh_slice levels[] = {
	[RH_LOG_DEBUG] = RH_SLICE_INIT("debug"),
	[RH_LOG_INFO] = RH_SLICE_INIT("info"),
	[RH_LOG_WARN] = RH_SLICE_INIT("warn"),
	[RH_LOG_ERROR] = RH_SLICE_INIT("error"),
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
	char *time;

	line->log = log;
	line->truncated = line->no_object = false;
	rh_buf_init_fixed(&line->buf, line->bytes,
	    RH_LINE_MAX - RESERVED - tail_of(log).n);
	rh_buf_lit(&line->buf, "{\"time\":\"");
	if ((time = rh_buf_room(&line->buf, RH_TIME_LEN))) {
		rh_time_put(time, wall_us);
		line->buf.n += RH_TIME_LEN;
	}
	rh_buf_lit(&line->buf, "\",\"level\":\"");
	rh_buf_slice(&line->buf, levels[level]);
	rh_buf_char(&line->buf, '"');
	rh_line_text(line, "msg", rh_slice_of(msg), MSG_MAX);
}

static void
put_key(struct rh_line *line, struct rh_slice key)
{
	struct rh_buf *b = &line->buf;

	/* the first one of an object has no comma in front */
	if (b->n && b->p[b->n - 1] == '{')
		key = rh_slice_from(key, 1);
	/* a copy of a known length is an instruction or two */
	if (RH_LIKELY(key.n <= RH_LINE_KEY_ROOM &&
	    b->cap - b->n >= RH_LINE_KEY_ROOM && !b->full)) {
		memcpy(b->p + b->n, key.p, RH_LINE_KEY_ROOM);
		b->n += key.n;
	} else
		rh_buf_slice(b, key);
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

void
rh_line_put_text(struct rh_line *line, struct rh_slice key, struct rh_slice value,
    size_t cap)
{
	struct rh_buf *b = &line->buf;
	size_t before = b->n, start;

	if (!value.p)
		return;
	put_key(line, key);
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
rh_line_put_int(struct rh_line *line, struct rh_slice key, int64_t value)
{
	size_t before = line->buf.n;

	put_key(line, key);
	rh_buf_i64(&line->buf, value);
	settle(line, before);
}

void
rh_line_put_ms(struct rh_line *line, struct rh_slice key, uint64_t ns)
{
	size_t before = line->buf.n;

	put_key(line, key);
	rh_buf_fixed(&line->buf, ns / 1000, 3);
	settle(line, before);
}

void
rh_line_put_bool(struct rh_line *line, struct rh_slice key, bool value)
{
	size_t before = line->buf.n;

	put_key(line, key);
	if (value)
		rh_buf_lit(&line->buf, "true");
	else
		rh_buf_lit(&line->buf, "false");
	settle(line, before);
}

void
rh_line_put_hex(struct rh_line *line, struct rh_slice key, const void *bytes, size_t n)
{
	size_t before = line->buf.n;

	if (!bytes)
		return;
	put_key(line, key);
	rh_buf_char(&line->buf, '"');
	rh_buf_hex(&line->buf, bytes, n);
	rh_buf_char(&line->buf, '"');
	settle(line, before);
}

void
rh_line_put_uuid(struct rh_line *line, struct rh_slice key, struct rh_uuid id)
{
	size_t before = line->buf.n;
	char *to;

	if (rh_uuid_is_nil(id))
		return;
	put_key(line, key);
	if ((to = rh_buf_room(&line->buf, RH_UUID_LEN + 2))) {
		to[0] = to[RH_UUID_LEN + 1] = '"';
		rh_uuid_put(to + 1, id);
		line->buf.n += RH_UUID_LEN + 2;
	}
	settle(line, before);
}

/*
 * One byte is held back for its end. Without room for its beginning, all
 * within it finds none either.
 */
void
rh_line_put_object(struct rh_line *line, struct rh_slice key)
{
	struct rh_buf *b = &line->buf;
	size_t before = b->n;

	put_key(line, key);
	if (rh_buf_room(b, 2))
		b->p[b->n++] = '{';
	line->no_object = b->full;
	b->cap = b->full ? before : b->max - 1;
	settle(line, before);
}

void
rh_line_object_end(struct rh_line *line)
{
	line->buf.cap = line->buf.max;
	if (!line->no_object)
		rh_buf_char(&line->buf, '}');
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
