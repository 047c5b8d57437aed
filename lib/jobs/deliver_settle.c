#include "config.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "jobs/deliver_part.h"

enum { ARRAY_FIRST = 4096, ARRAY_MAX = 16 << 20, LEFT_MAX = 1000 };

/* ---- when again ---- */

/*
 * As Standard Webhooks suggests, where the first pause is 5 s: 5 s, 5 min,
 * 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
 */
static const unsigned pauses[RH_DELIVER_ATTEMPTS - 1] = { 1, 60, 360, 1440,
	3600, 7200, 10080, 14400, 17280 };

unsigned
rh_deliver_pause(int64_t attempt)
{
	return attempt >= 1 && attempt < RH_DELIVER_ATTEMPTS ?
	    pauses[attempt - 1] :
	    0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT"; the forms that are obsolete are nobody's. */
static bool
date_get(int64_t *to_s, struct rh_slice text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char copy[30], month[4];
	const char *at;
	struct tm tm = { .tm_isdst = 0 };
	int n = 0;

	if (text.n != 29)
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (sscanf(copy, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT%n", &tm.tm_mday,
		month, &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec,
		&n) != 6 ||
	    n != 29 || strlen(month) != 3 || !(at = strstr(months, month)) ||
	    (at - months) % 3)
		return false;
	tm.tm_mon = (int)(at - months) / 3;
	tm.tm_year -= 1900;
	*to_s = timegm(&tm);
	return true;
}

int64_t
rh_deliver_retry_after(struct rh_slice value, int64_t now_us)
{
	uint64_t seconds;
	int64_t at_s;

	if (!value.p)
		return 0;
	if (rh_u64_get(&seconds, value))
		return (int64_t)RH_MIN(seconds, INT32_MAX) * 1000;
	if (date_get(&at_s, value))
		return RH_MAX(at_s * 1000 - now_us / 1000, 0);
	return 0;
}

/* ---- arrays of PostgreSQL's, as text ---- */

enum column {
	TENANTS,
	IDS,
	ATTEMPTS,
	STARTED,
	STATUSES,
	LATENCIES,
	ERRORS,
	REPLIES,
	OUTCOMES,
	PAUSES,
	GONE,
	COLUMNS
};

static struct rh_buf *
next(struct rh_buf *b)
{
	rh_buf_char(b, b->n ? ',' : '{');
	return b;
}

static void
put_uuid(struct rh_buf *b, struct rh_uuid id)
{
	char text[RH_UUID_LEN];

	rh_uuid_put(text, id);
	rh_buf_put(next(b), text, sizeof(text));
}

static void
put_int(struct rh_buf *b, int64_t n)
{
	rh_buf_i64(next(b), n);
}

static void
put_sending(struct rh_buf b[COLUMNS], const struct rh_sending *s)
{
	put_uuid(&b[TENANTS], s->due.tenant);
	put_uuid(&b[IDS], s->due.id);
	put_int(&b[ATTEMPTS], s->due.attempt);
	put_int(&b[STARTED], s->start_us);
	if (s->status)
		put_int(&b[STATUSES], s->status);
	else
		rh_buf_lit(next(&b[STATUSES]), "NULL");
	put_int(&b[LATENCIES], s->ms);
	/* codes of ours: nothing to quote */
	rh_buf_slice(next(&b[ERRORS]),
	    rh_slice_of(s->error ? s->error : "NULL"));
	rh_buf_char(next(&b[REPLIES]), '"');
	rh_buf_hex(&b[REPLIES], s->reply.p, s->reply.n);
	rh_buf_char(&b[REPLIES], '"');
	put_int(&b[OUTCOMES], s->settled);
	put_int(&b[PAUSES], s->pause_ms);
	rh_buf_char(next(&b[GONE]), s->gone ? 't' : 'f');
}

void
rh_deliver_settle(struct rh_deliver *d, struct rh_pipe *p)
{
	struct rh_arg args[COLUMNS + 2] = { RH_UUID(d->holder) };
	struct rh_buf b[COLUMNS];

	for (unsigned i = 0; i < COLUMNS; i++)
		rh_buf_init(&b[i], d->arena, ARRAY_FIRST, ARRAY_MAX);
	for (unsigned i = 0; i < d->conf.out.most; i++)
		if (d->sending[i].state == RH_SENDING_OVER)
			put_sending(b, &d->sending[i]);
	for (unsigned i = 0; i < COLUMNS; i++) {
		rh_buf_char(&b[i], '}');
		rh_assert(!b[i].full);
		args[1 + i] = RH_TEXT(rh_buf_get(&b[i]));
	}
	args[COLUMNS + 1] = RH_INT(d->conf.give_up_ms);
	rh_pipe_send_args(p, &rh_deliver_stmts[RH_DELIVER_SETTLE], args,
	    RH_COUNT(args));
}

void
rh_deliver_rescue(struct rh_deliver *d, struct rh_pipe *p, bool mine)
{
	struct rh_buf known;

	rh_buf_init(&known, d->arena, ARRAY_FIRST, ARRAY_MAX);
	for (unsigned i = 0; i < d->conf.out.most; i++)
		if (d->sending[i].state != RH_SENDING_FREE)
			put_uuid(&known, d->sending[i].due.id);
	rh_buf_slice(&known, known.n ? RH_SLICE("}") : RH_SLICE("{}"));
	rh_pipe_send(p, &rh_deliver_stmts[RH_DELIVER_RESCUE],
	    RH_UUID(mine ? d->holder : RH_UUID_NIL),
	    RH_TEXT(rh_buf_get(&known)), RH_BOOL(!mine || d->begun),
	    RH_INT(RH_DELIVER_ATTEMPTS), RH_INT(d->conf.retry_ms),
	    RH_INT(LEFT_MAX));
}
