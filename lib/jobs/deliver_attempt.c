#include "config.h"

#include "base/clock.h"
#include "jobs/deliver_part.h"

enum {
	BODY_MORE = 16 << 10, /* than its data */
	HEADER_MAX = 512,
	HEADERS = 5
};
/* A receiver may ask for so much patience. */
#define PATIENCE_MS (INT64_C(24) * 3600 * 1000)

/* ---- what is sent ---- */

static void
member_uuid(struct rh_buf *b, struct rh_slice name, struct rh_uuid id)
{
	char text[RH_UUID_LEN];

	rh_uuid_put(text, id);
	rh_buf_slice(b, name);
	if (rh_uuid_is_nil(id)) {
		rh_buf_lit(b, "null");
		return;
	}
	rh_buf_char(b, '"');
	rh_buf_put(b, text, sizeof(text));
	rh_buf_char(b, '"');
}

/* Of columns that no attempt changes: so it is the same each time. */
static struct rh_slice
body(struct rh_arena *arena, const struct rh_due *due)
{
	char time[RH_TIME_LEN];
	struct rh_buf b;

	rh_time_put(time, due->happened_us);
	rh_buf_init(&b, arena, due->payload.n + 1024,
	    due->payload.n + BODY_MORE);
	member_uuid(&b, RH_SLICE("{\"id\":"), due->event);
	rh_buf_lit(&b, ",\"type\":");
	rh_buf_json(&b, due->type);
	rh_buf_lit(&b, ",\"timestamp\":\"");
	rh_buf_put(&b, time, sizeof(time));
	member_uuid(&b, RH_SLICE("\",\"tenant\":"), due->tenant);
	member_uuid(&b, RH_SLICE(",\"subject_id\":"), due->subject);
	member_uuid(&b, RH_SLICE(",\"actor_id\":"), due->actor);
	rh_buf_lit(&b, ",\"request_id\":");
	rh_buf_json(&b, due->request_id);
	rh_buf_lit(&b, ",\"data\":");
	rh_buf_slice(&b, due->payload);
	rh_buf_char(&b, '}');
	rh_assert(!b.full);
	return rh_buf_get(&b);
}

/* False: what is sealed was sealed by another key, or for another. */
static bool
secrets_get(const struct rh_deliver *d, const struct rh_due *due,
    struct rh_hook_secret to[RH_HOOK_SECRETS], size_t *n)
{
	*n = 1;
	if (!rh_hook_secret_unseal(&to[0], &d->key, due->tenant, due->webhook,
		due->secret))
		return false;
	if (due->old_secret.p)
		*n += rh_hook_secret_unseal(&to[1], &d->key, due->tenant,
		    due->webhook, due->old_secret);
	return true;
}

static struct rh_slice
header(struct rh_arena *arena, const char *name, struct rh_slice value)
{
	return rh_slice_of(
	    rh_arena_printf(arena, "%s: %.*s", name, RH_SLICE_ARG(value)));
}

static bool
headers(struct rh_sending *s, struct rh_slice to[HEADERS],
    struct rh_slice payload)
{
	char id[RH_UUID_LEN], traceparent[RH_TRACEPARENT_LEN];
	char signature[RH_HOOK_SIGNATURE_MAX];
	struct rh_hook_secret secrets[RH_HOOK_SECRETS];
	struct rh_hook_signed what = { { id, sizeof(id) },
		s->start_us / 1000000, payload };
	bool known;
	size_t n;

	rh_uuid_put(id, s->due.event);
	rh_sending_trace(s, traceparent);
	if ((known = secrets_get(s->d, &s->due, secrets, &n)))
		to[0] = header(s->arena, "webhook-signature",
		    rh_hook_sign(signature, s->arena, secrets, n, &what));
	explicit_bzero(secrets, sizeof(secrets));
	to[1] = header(s->arena, "webhook-id", what.id);
	to[2] = rh_slice_of(rh_arena_printf(s->arena, "webhook-timestamp: %lld",
	    (long long)what.at_s));
	to[3] = RH_SLICE("Content-Type: application/json");
	to[4] = header(s->arena, "traceparent",
	    (struct rh_slice){ traceparent, sizeof(traceparent) });
	return known;
}

/* ---- what became of it ---- */

static enum rh_delivered
result_of(const struct rh_sending *s)
{
	if (!s->error)
		return s->status >= 200 && s->status < 300 ?
		    RH_DELIVERED_OK :
		    RH_DELIVERED_FAILED;
	if (strncmp(s->error, "refused.", 8) == 0)
		return RH_DELIVERED_REFUSED;
	return strcmp(s->error, "timeout") == 0 ? RH_DELIVERED_TIMEOUT :
						  RH_DELIVERED_UNREACHABLE;
}

/* A fifth more or less, so that those that failed together do not come together. */
static int64_t
jitter(int64_t ms)
{
	uint32_t random;

	rh_random(&random, sizeof(random));
	return ms + ms / 5 * ((int64_t)(random % 2001) - 1000) / 1000;
}

static void
settle(struct rh_sending *s, int64_t retry_after_ms)
{
	unsigned multiple = rh_deliver_pause(s->due.attempt);

	s->result = result_of(s);
	s->gone = s->result == RH_DELIVERED_FAILED && s->status == 410;
	if (s->result == RH_DELIVERED_OK) {
		s->settled = RH_SETTLED_DELIVERED;
	} else if (!multiple) {
		s->settled = RH_SETTLED_FAILED;
	} else {
		s->settled = RH_SETTLED_AGAIN;
		s->pause_ms = RH_MAX(jitter((int64_t)multiple *
					 s->d->conf.retry_ms),
		    RH_MIN(retry_after_ms, PATIENCE_MS));
	}
}

static bool
asks_for_patience(int status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

static void
on_reply(void *arg, const struct rh_out_reply *reply)
{
	struct rh_sending *s = arg;
	struct rh_deliver *d = s->d;

	s->status = reply->status;
	s->error = reply->error;
	s->ms = reply->ms;
	s->reply = rh_arena_slice(s->arena, reply->body);
	memcpy(s->address, reply->address, sizeof(s->address));
	settle(s,
	    asks_for_patience(s->status) ?
		rh_deliver_retry_after(reply->retry_after, rh_clock_wall_us()) :
		0);
	s->state = RH_SENDING_OVER;
	d->busy--;
	if (d->over++ == 0)
		d->over_ns = rh_clock_mono_ns();
	d->ended++;
	rh_sending_account(s);
}

/* ---- the attempt ---- */

/* The row lives as long as its result; the attempt longer. */
static void
due_copy(struct rh_sending *s, const struct rh_due *due)
{
	struct rh_slice *const texts[] = { &s->due.type, &s->due.payload,
		&s->due.trace_id, &s->due.parent_span_id, &s->due.request_id,
		&s->due.url, &s->due.secret, &s->due.old_secret };

	s->due = *due;
	for (size_t i = 0; i < RH_COUNT(texts); i++)
		*texts[i] = rh_arena_slice(s->arena, *texts[i]);
}

void
rh_sending_start(struct rh_sending *s, const struct rh_due *due)
{
	struct rh_slice lines[HEADERS], payload;
	bool known;

	due_copy(s, due);
	s->state = RH_SENDING_BUSY;
	s->start_us = rh_clock_wall_us();
	s->start_ns = rh_clock_mono_ns();
	payload = body(s->arena, &s->due);
	known = headers(s, lines, payload);
	if (!known) {
		on_reply(s,
		    &(struct rh_out_reply){ .error = "refused.secret" });
		return;
	}
	if (!rh_out_start(s->d->out,
		&(struct rh_out_request){ .method = RH_SLICE("POST"),
		    .url = s->due.url,
		    .headers = lines,
		    .nheaders = HEADERS,
		    .body = payload,
		    .timeout_ms = s->d->conf.timeout_ms,
		    .reply_max = REPLY_MAX },
		on_reply, s))
		on_reply(s, &(struct rh_out_reply){ .error = "broken" });
}
