#include "config.h"

#include "ctl/webhook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "ctl/database.h"
#include "ctl/tenant.h"

enum { TENANT, SINCE, STATE, JSON, OPTIONS };

/* clang-format off */
const struct rh_option webhook_options[] = {
	[TENANT] = { "--tenant", "SLUG", "of this tenant alone, wherever it is placed; else of home's", NULL },
	[SINCE] = { "--since", "TIME", "replay: what was told since then, as in 2026-01-31T12:00:00Z, to the endpoint ID", NULL },
	[STATE] = { "--state", "STATE", "deliveries: waiting, sending, delivered, failed or cancelled alone", NULL },
	[JSON] = { "--json", NULL, "one JSON object", NULL },
	{ 0 }
};

/* ---- what is asked: $1 is a tenant's slug, or null, $2 an id ---- */

#define ANY "an operator names any tenant"
#define OF "($1::text is null or t.slug = $1)"
#define WAITING "(select count(*) from webhook_deliveries d where d.tenant_id = w.tenant_id"	\
    " and d.webhook_id = w.id and d.state = 'waiting')"
#define ENDPOINT "'id', w.id, 'tenant', t.slug, 'url', w.url, 'event_types', w.event_types,"	\
    " 'description', w.description, 'status', w.status, 'paused_reason', w.paused_reason,"	\
    " 'failing_since', w.failing_since, 'rate_per_s', w.rate_per_s, 'concurrency', w.concurrency,"	\
    " 'created_at', w.created_at, 'updated_at', w.updated_at, 'version', w.version"
#define STATUS "w.status || coalesce(', ' || w.paused_reason, '')"
/* As serve/event.h has it; $3 and $4 are a trace of its own. */
#define EVENT(type, from, payload)								\
	" e as (insert into outbox_events (tenant_id, id, type, subject_id, payload, trace_id,"	\
	"  parent_span_id, request_id) select tenant_id, uuid_v7(), '" type "', id, " payload ","	\
	"  $3::bytea, $4::bytea, 'rowhouse-ctl' from " from ")"
#define DELIVERY "insert into webhook_deliveries (tenant_id, id, webhook_id, event_id, type,"	\
    " subject_id, payload, actor_id, happened_at, trace_id, parent_span_id, trace_flags, request_id)"

enum { LIST, SHOW, DELIVERIES, PAUSE, RESUME, REPLAY, REPLAY_SINCE };
static struct rh_stmt stmts[] = {
	[LIST] = { .name = "webhooks.all", .global = ANY, .sql =
	    "select format('%s  %-24s %-16s %8s  %s', w.id, t.slug, " STATUS ", " WAITING ", w.url),"
	    " json_build_object(" ENDPOINT ", 'waiting', " WAITING ")::text"
	    " from webhooks w join tenants t on t.id = w.tenant_id"
	    " where " OF " and $2::uuid is null order by t.slug, w.created_at, w.id" },
	[SHOW] = { .name = "webhooks.one", .global = ANY, .sql =
	    "select format(E'%s\\n  tenant        %s\\n  url           %s\\n  events        %s\\n  status        %s\\n"
	    "  failing since %s\\n  deliveries    %s', w.id, t.slug, w.url,"
	    "  case when cardinality(w.event_types) = 0 then 'all' else array_to_string(w.event_types, ' ') end,"
	    "  " STATUS ", coalesce(w.failing_since::text, '-'), coalesce(s.line, 'none')),"
	    " json_build_object(" ENDPOINT ", 'deliveries', coalesce(s.counts, '{}'))::text"
	    " from webhooks w join tenants t on t.id = w.tenant_id left join lateral ("
	    "  select string_agg(n || ' ' || state, ', ' order by state) as line,"
	    "   json_object_agg(state, n order by state) as counts from ("
	    "   select d.state, count(*) as n from webhook_deliveries d where d.tenant_id = w.tenant_id"
	    "   and d.webhook_id = w.id group by d.state) g) s on true"
	    " where " OF " and w.id = $2" },
	/* $3: a state, or null */
	[DELIVERIES] = { .name = "webhooks.deliveries", .global = ANY, .sql =
	    "select format('%s  %s  %-9s %2s  %4s %6s  %s%s', d.id,"
	    "  to_char(d.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), d.state,"
	    "  d.attempt, coalesce(d.status::text, '-'), coalesce(d.latency_ms || 'ms', '-'), d.type,"
	    "  coalesce('  ' || d.error, '')),"
	    " json_build_object('id', d.id, 'webhook_id', d.webhook_id, 'event_id', d.event_id, 'type', d.type,"
	    "  'state', d.state, 'attempt', d.attempt, 'status', d.status, 'latency_ms', d.latency_ms,"
	    "  'error', d.error, 'due_at', d.due_at, 'created_at', d.created_at, 'finished_at', d.finished_at,"
	    "  'request_id', d.request_id, 'trace_id', encode(d.trace_id, 'hex'))::text"
	    " from webhooks w join tenants t on t.id = w.tenant_id"
	    " join webhook_deliveries d on d.tenant_id = w.tenant_id and d.webhook_id = w.id"
	    " where " OF " and w.id = $2 and ($3::text is null or d.state = $3)"
	    " order by d.created_at desc, d.id desc limit 100" },
	[PAUSE] = { .name = "webhooks.pause", .global = ANY, .sql =
	    "with w as (update webhooks w set status = 'paused', paused_reason = coalesce(paused_reason, 'asked'),"
	    "  updated_at = now(), version = w.version + 1 from tenants t"
	    "  where t.id = w.tenant_id and " OF " and w.id = $2 returning w.*),"
	    EVENT("webhook.updated", "w", "to_jsonb(w) - '{tenant_id,url,secret,old_secret}'::text[]")
	    " select w.id || ' is paused', json_build_object('id', w.id, 'status', w.status)::text from w" },
	[RESUME] = { .name = "webhooks.resume", .global = ANY, .sql =
	    "with w as (update webhooks w set status = 'active', paused_reason = null, failing_since = null,"
	    "  updated_at = now(), version = w.version + 1 from tenants t"
	    "  where t.id = w.tenant_id and " OF " and w.id = $2 returning w.*),"
	    EVENT("webhook.updated", "w", "to_jsonb(w) - '{tenant_id,url,secret,old_secret}'::text[]")
	    " select w.id || ' is active', json_build_object('id', w.id, 'status', w.status)::text from w" },
	[REPLAY] = { .name = "webhooks.replay_one", .global = ANY, .sql =
	    "with x as (" DELIVERY
	    "  select d.tenant_id, uuid_v7(), d.webhook_id, d.event_id, d.type, d.subject_id, d.payload,"
	    "   d.actor_id, d.happened_at, d.trace_id, d.parent_span_id, d.trace_flags, d.request_id"
	    "  from webhook_deliveries d join tenants t on t.id = d.tenant_id where " OF " and d.id = $2"
	    "  returning *),"
	    " n as (select tenant_id, webhook_id as id, id as delivery_id from x),"
	    EVENT("webhook.replayed", "n",
	    "jsonb_build_object('webhook_id', id, 'delivery_id', delivery_id, 'deliveries', 1)")
	    " select 'delivery ' || delivery_id || ' waits',"
	    "  json_build_object('webhook_id', id, 'delivery_id', delivery_id, 'deliveries', 1)::text from n" },
	/* $5: a position, which is the microsecond in which it was told */
	[REPLAY_SINCE] = { .name = "webhooks.replay_since", .global = ANY, .sql =
	    "with w as (select w.* from webhooks w join tenants t on t.id = w.tenant_id where " OF " and w.id = $2),"
	    " x as (" DELIVERY
	    "  select w.tenant_id, uuid_v7(), w.id, k.id, k.type, k.subject_id, k.payload, k.actor_id,"
	    "   k.created_at, k.trace_id, k.parent_span_id, k.trace_flags, k.request_id from w join lateral ("
	    "   select e.* from events e where e.tenant_id = w.tenant_id and e.pos >= $5::bigint"
	    "   and webhook_wants(w.event_types, e.type) order by e.pos limit 10000) k on true returning 1),"
	    " n as (select w.tenant_id, w.id, (select count(*) from x) as deliveries from w),"
	    " m as (select * from n where deliveries > 0),"
	    EVENT("webhook.replayed", "m", "jsonb_build_object('webhook_id', id, 'deliveries', deliveries)")
	    " select deliveries || ' deliveries wait',"
	    "  json_build_object('webhook_id', id, 'deliveries', deliveries)::text from n" },
	{ 0 }
};

struct line {
	struct rh_slice text, json;
};
static const struct rh_field line_columns[] = {
	{ RH_FIELD("text", TEXT, struct line, text) },
	{ RH_FIELD("json", TEXT, struct line, json) },
	{ 0 }
};

/* What may be asked, and what its rows are called where they are several. */
static const struct command {
	const char *name, *rows;
	int stmt;
	bool changes;
	const char *head;
} commands[] = {
	{ "list", "webhooks", LIST, false, "WEBHOOK                               TENANT                   STATUS            WAITING  URL\n" },
	{ "show", NULL, SHOW, false, "" },
	{ "deliveries", "deliveries", DELIVERIES, false, "DELIVERY                              CREATED               STATE     ATTEMPT STATUS LATENCY  TYPE\n" },
	{ "pause", NULL, PAUSE, true, "" },
	{ "resume", NULL, RESUME, true, "" },
	{ "replay", NULL, REPLAY, true, "" },
};
/* clang-format on */

/* ---- asking ---- */

struct question {
	const struct command *command;
	struct rh_slice tenant; /* p NULL: any */
	struct rh_uuid id;	/* nil: none */
	int64_t since;		/* RH_TIME_NONE: not given */
	struct rh_slice state;
};

static struct rh_err *
ask(struct database *db, const struct question *q, struct line **lines,
    size_t *n)
{
	unsigned char trace[16], span[8];
	const int stmt = q->since != RH_TIME_NONE ? REPLAY_SINCE :
						    q->command->stmt;
	struct rh_arg args[5] = { RH_TEXT(q->tenant), RH_UUID(q->id) };
	unsigned nargs = 2;

	rh_random(trace, sizeof(trace));
	rh_random(span, sizeof(span));
	if (stmt == DELIVERIES)
		args[nargs++] = RH_TEXT(q->state);
	if (q->command->changes) {
		args[nargs++] = RH_BYTES(
		    ((struct rh_slice){ (const char *)trace, sizeof(trace) }));
		args[nargs++] = RH_BYTES(
		    ((struct rh_slice){ (const char *)span, sizeof(span) }));
	}
	if (stmt == REPLAY_SINCE)
		args[nargs++] = RH_INT(RH_MAX(q->since, 0));
	rh_pipe_send_args(db->pipe, &stmts[stmt], args, nargs);
	*n = rh_pipe_rows(db->pipe, line_columns, sizeof(**lines), lines);
	return rh_pipe_error(db->pipe);
}

/* ---- answering ---- */

static void
put_json(struct rh_buf *to, const char *rows, const struct line *lines,
    size_t n)
{
	if (rows)
		rh_buf_printf(to, "{\"%s\":[", rows);
	for (size_t i = 0; i < n; i++) {
		if (i)
			rh_buf_char(to, ',');
		rh_buf_slice(to, lines[i].json);
	}
	rh_buf_slice(to, rows ? RH_SLICE("]}\n") : RH_SLICE("\n"));
}

static int
print(const struct rh_program *self, const struct command *command,
    const struct line *lines, size_t n, bool json)
{
	struct rh_buf text;

	rh_buf_init(&text, self->arena, 4096, 64 << 20);
	if (json)
		put_json(&text, command->rows, lines, n);
	else if (n)
		rh_buf_slice(&text, rh_slice_of(command->head));
	for (size_t i = 0; !json && i < n; i++) {
		rh_buf_slice(&text, lines[i].text);
		rh_buf_char(&text, '\n');
	}
	if (!text.full && fwrite(text.p, 1, text.n, stdout) == text.n &&
	    fflush(stdout) == 0)
		return EXIT_SUCCESS;
	return rh_program_fail(self, "cannot write: %s", strerror(errno));
}

/* ---- what was given ---- */

static bool
read_question(const struct rh_program *self, int argc, char **argv,
    const char *const values[], struct question *q)
{
	const bool list = argc >= 2 && strcmp(argv[1], "list") == 0;

	*q = (struct question){ .tenant = rh_slice_of(values[TENANT]),
		.since = RH_TIME_NONE,
		.state = rh_slice_of(values[STATE]) };
	for (size_t i = 0; argc >= 2 && i < RH_COUNT(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			q->command = &commands[i];
	if (!q->command || argc != (list ? 2 : 3)) {
		rh_program_fail(self,
		    "webhook: wants \"list\", \"show ID\","
		    " \"deliveries ID\", \"pause ID\", \"resume ID\","
		    " \"replay DELIVERY_ID\" or \"replay ID --since TIME\"");
		return false;
	}
	if (!list &&
	    (!rh_uuid_get(&q->id, rh_slice_of(argv[2])) ||
		rh_uuid_is_nil(q->id))) {
		rh_program_fail(self, "\"%s\" is no id", argv[2]);
		return false;
	}
	if ((values[SINCE] && q->command->stmt != REPLAY) ||
	    (values[STATE] && q->command->stmt != DELIVERIES)) {
		rh_program_fail(self, "webhook %s: has no such option",
		    argv[1]);
		return false;
	}
	if (values[SINCE] &&
	    !rh_time_get(&q->since, rh_slice_of(values[SINCE]))) {
		rh_program_fail(self,
		    "--since: \"%s\" is no time like"
		    " 2026-01-31T12:00:00Z",
		    values[SINCE]);
		return false;
	}
	return true;
}

static struct database *
database_of(const struct rh_program *self, const struct question *q)
{
	const char *redis_url;

	rh_stmts_register(stmts);
	return q->tenant.p ?
	    tenant_open(self, q->tenant, q->command->changes, &redis_url) :
	    database_open(self, NULL);
}

int
webhook_run(struct rh_program *self, int argc, char **argv)
{
	const char *values[OPTIONS];
	struct line *lines = NULL;
	struct database *db;
	struct question q;
	struct rh_err *err;
	int status = EXIT_FAILURE;
	size_t n = 0;

	if (!rh_program_take_options(self, &argc, argv, values) ||
	    !read_question(self, argc, argv, values, &q) ||
	    !(db = database_of(self, &q)))
		return EXIT_FAILURE;
	if ((err = ask(db, &q, &lines, &n)))
		rh_program_fail(self, "%s",
		    err->cause ? err->cause : err->detail);
	else if (n == 0 && !q.command->rows)
		rh_program_fail(self, "there is no %s %s",
		    q.command->stmt == REPLAY && q.since == RH_TIME_NONE ?
			"delivery" :
			"webhook",
		    argv[2]);
	else
		status = print(self, q.command, lines, n, values[JSON]);
	database_close(&db);
	return status;
}
