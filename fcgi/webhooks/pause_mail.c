/*
 * pause_mail - who looks after a tenant is told that one of its webhooks was
 * paused by itself.
 *
 * A job that the relay leaves, so that neither the engine nor any request waits
 * for a mail; without mail_command it does nothing.
 */
#include "config.h"

#include "webhooks/webhooks.h"

#include "base/clock.h"
#include "webhooks/mail.h"

enum { TIMEOUT_MS = 10000 };
enum { TOLD, KEEPERS, FAN_OUT };

/* clang-format off */
static struct rh_stmt stmts[] = {
	[TOLD] = { .name = "webhooks.told", .sql =
	    "select t.slug, w.url, w.paused_reason, w.failing_since"
	    " from webhooks w join tenants t on t.id = w.tenant_id"
	    " where w.tenant_id = $1 and w.id = $2 and w.paused_reason in ('failing', 'gone')" },
	[KEEPERS] = { .name = "webhooks.keepers", .sql =
	    "select u.email from memberships m join users u on u.id = m.user_id"
	    " where m.tenant_id = $1 and m.role >= 'admin'"
	    " order by m.role desc, m.created_at, m.user_id limit 100" },
	[FAN_OUT] = { .name = "webhooks.tell_pauses", .global = "hangs off the relay: of all tenants", .sql =
	    "select webhooks_tell_pauses()" },
	{ 0 }
};

struct asked {
	struct rh_uuid webhook_id, event_id;
};
static const struct rh_field asked_shape[] = {
	{ RH_FIELD("webhook_id", UUID, struct asked, webhook_id), .flags = RH_F_REQUIRED },
	{ RH_FIELD("event_id", UUID, struct asked, event_id), .flags = RH_F_REQUIRED },
	{ 0 }
};

static const char *const reasons[] = { "failing", "gone", NULL };
struct told {
	struct rh_slice slug, url;
	int reason;
	int64_t failing_since;
};
static const struct rh_field told_columns[] = {
	{ RH_FIELD("slug", TEXT, struct told, slug) },
	{ RH_FIELD("url", TEXT, struct told, url) },
	{ RH_FIELD("paused_reason", ENUM, struct told, reason), .names = reasons },
	{ RH_FIELD("failing_since", TIME, struct told, failing_since) },
	{ 0 }
};

struct keeper {
	struct rh_slice email;
};
static const struct rh_field keeper_columns[] = {
	{ RH_FIELD("email", TEXT, struct keeper, email) },
	{ 0 }
};
/* clang-format on */

/* What stands behind "?" may be a secret, and mail is read by others. */
static void
url_put(struct rh_buf *b, struct rh_slice url)
{
	const char *end = memchr(url.p, '?', url.n);
	size_t n = end ? (size_t)(end - url.p) : url.n;

	rh_buf_put(b, url.p, n);
	if (n < url.n)
		rh_buf_lit(b, "?...");
	rh_buf_char(b, '\n');
}

static void
text_put(struct rh_buf *b, const struct told *told, struct rh_uuid webhook)
{
	char since[RH_TIME_LEN], id[RH_UUID_LEN];

	rh_uuid_put(id, webhook);
	rh_buf_lit(b, "A webhook is paused: nothing is delivered to it.\n\n  ");
	url_put(b, told->url);
	rh_buf_printf(b, "  webhook %.*s of tenant %.*s\n\n", RH_UUID_LEN, id,
	    RH_SLICE_ARG(told->slug));
	if (told->reason == 1)
		rh_buf_lit(b, "It answered 410 (Gone).\n");
	else if (told->failing_since != RH_TIME_NONE) {
		rh_time_put(since, told->failing_since);
		rh_buf_printf(b, "It has failed since %.*s.\n", RH_TIME_LEN,
		    since);
	} else
		rh_buf_lit(b, "It has failed for too long.\n");
	rh_buf_printf(b,
	    "\nTo resume it, send {\"status\":\"active\"} by PATCH"
	    " to\n/v1/t/%.*s/webhooks/%.*s; what was missed can be delivered"
	    "\nby POST .../replay.\n",
	    RH_SLICE_ARG(told->slug), RH_UUID_LEN, id);
}

static struct rh_err *
send(struct rh_job *job, const struct asked *asked, const struct told *told,
    const struct keeper *keepers, size_t n)
{
	struct rh_slice *to = rh_arena_zalloc(job->arena, n + 1, sizeof(*to));
	struct rh_buf text;

	for (size_t i = 0; i < n; i++)
		to[i] = keepers[i].email;
	rh_buf_init(&text, job->arena, 1024, 16384);
	text_put(&text, told, asked->webhook_id);
	return mail_send(job->arena,
	    &(struct mail){ .command = job->conf->mail_command,
		.from = job->conf->mail_from,
		.to = to,
		.nto = n,
		.id = asked->event_id,
		.subject = rh_arena_printf(job->arena,
		    "[%.*s] A webhook was paused", RH_SLICE_ARG(told->slug)),
		.text = rh_buf_get(&text),
		.timeout_ms = TIMEOUT_MS });
}

static struct rh_err *
tell_pause(struct rh_job *job)
{
	struct rh_pipe *p;
	struct keeper *keepers;
	struct rh_given given;
	struct asked asked;
	struct told told;
	struct rh_err *err;
	bool paused;
	size_t n;

	if (job->conf->mail_command.n == 0)
		return NULL;
	job->final = true; /* what cannot be read now never can */
	if ((err = rh_shape_read(job->arena, asked_shape, job->args, false,
		 &asked, &given)))
		return err;
	job->final = false;
	p = rh_job_pipe(job);
	rh_pipe_send(p, &stmts[TOLD], RH_UUID(job->tenant),
	    RH_UUID(asked.webhook_id));
	rh_pipe_send(p, &stmts[KEEPERS], RH_UUID(job->tenant));
	paused = rh_pipe_row(p, told_columns, &told);
	n = rh_pipe_rows(p, keeper_columns, sizeof(*keepers), &keepers);
	if ((err = rh_pipe_error(p)) || !paused)
		return err;
	return send(job, &asked, &told, keepers, n);
}

static struct rh_job_kind kinds[] = {
	{ .name = "webhooks.tell_pause", .handler = tell_pause }, { 0 }
};

const struct rh_resource webhook_pauses_resource = {
	.name = "webhook_pauses",
	.stmts = stmts,
	.kinds = kinds,
	.fan_out = &stmts[FAN_OUT],
};
