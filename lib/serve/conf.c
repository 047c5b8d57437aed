#include "config.h"

#include "serve/conf.h"

#include "base/cidr.h"
#include "base/text.h"

#define C(kind, member)	RH_CONF(kind, struct rh_serve_conf, member)

static const char *const sizing_names[] = { "static", "dynamic", "ondemand", NULL };
static const char *const scheduling_names[] = { "batch", "other", NULL };
static const char *const limiter_names[] = { "auto", "redis", "shm", "postgres", NULL };
static const char *const prepared_names[] = { "auto", "on", "off", NULL };

/* clang-format off */
const struct rh_directive rh_serve_directives[] = {
	/* name                  type and field                     default                          min      max        change      meaning */
	{ "listen",              C(TEXT, listen),                   "unix:/run/rowhouse/fcgi.sock",  NULL,    NULL,      RH_RESTART, "where the web server finds the pool: unix:/path, or address:port", NULL },
	{ "listen_owner",        C(TEXT, listen_owner),             "",                              NULL,    NULL,      RH_RESTART, "user that owns the unix socket; empty: the pool's own", NULL },
	{ "listen_group",        C(TEXT, listen_group),             "",                              NULL,    NULL,      RH_RESTART, "group of the unix socket: the web server's, as a rule", NULL },
	{ "listen_mode",         C(TEXT, listen_mode),              "0660",                          NULL,    NULL,      RH_RESTART, "mode of the unix socket, in octal", NULL },
	{ "listen_backlog",      C(INT, listen_backlog),            "1024",                          "1",     "65535",   RH_RESTART, "connections that may wait to be accepted; bounded by net.core.somaxconn", NULL },
	{ "user",                C(TEXT, user),                     "",                              NULL,    NULL,      RH_RESTART, "user to become when started by root", NULL },
	{ "group",               C(TEXT, group),                    "",                              NULL,    NULL,      RH_RESTART, "group to become when started by root", NULL },
	{ "pool",                C(ENUM, sizing),                   "static",                        NULL,    NULL,      RH_RESTART, "how many workers run: static: workers; dynamic: as many as the load wants, and some spare; ondemand: none until a request comes", sizing_names },
	{ "workers",             C(INT, workers),                   "8",                             "1",     "512",     RH_RESTART, "processes that answer, one request each at a time; the most of them, where pool is not static", NULL },
	{ "workers_min",         C(INT, workers_min),               "1",                             "1",     "512",     RH_RELOAD,  "pool = dynamic: the fewest workers; so many are there from the start", NULL },
	{ "workers_spare_min",   C(INT, workers_spare_min),         "1",                             "0",     "512",     RH_RELOAD,  "pool = dynamic: more are started while fewer than this are idle", NULL },
	{ "workers_spare_max",   C(INT, workers_spare_max),         "3",                             "0",     "512",     RH_RELOAD,  "pool = dynamic: while more than this are idle, the longest idle one is ended after idle_timeout", NULL },
	{ "spawn_rate",          C(INT, spawn_rate),                "32",                            "1",     "512",     RH_RELOAD,  "workers that may be started in a second as the load grows, or for those that crashed", NULL },
	{ "idle_timeout",        C(MS, idle_timeout_ms),            "10s",                           "100ms", "1d",      RH_RELOAD,  "how long a worker that is one too many stays without a request, where pool is not static", NULL },
	{ "worker_scheduling",   C(ENUM, scheduling),               "batch",                         NULL,    NULL,      RH_RELOAD,  "batch: a worker of rowhouse-fcgi that is woken takes no processor away from who runs there (SCHED_BATCH), so that under load it finds more than one request when its turn comes; where a processor is idle it runs at once. other: as its master is scheduled", scheduling_names },
	{ "queue_max",           C(INT, queue_max),                 "0",                             "0",     "65535",   RH_RELOAD,  "requests that may wait for a worker while all are busy; what is over it is 503 at once; 0: no bound but listen_backlog", NULL },
	{ "jobs_workers",        C(INT, jobs_workers),              "3",                             "1",     "64",      RH_RESTART, "processes of rowhouse-jobs: one job each at a time; of two or more the first relays events and runs none. Both programs are to agree on it", NULL },
	{ "jobs_batch",          C(INT, jobs_batch),                "500",                           "1",     "500",     RH_RELOAD,  "jobs that a process of rowhouse-jobs takes at a time, where they are quick; as many as take it 20 ms", NULL },
	{ "jobs_poll",           C(MS, jobs_poll_ms),               "100ms",                         "10ms",  "1h",      RH_RELOAD,  "how often a process of rowhouse-jobs that has nothing to do looks for jobs that nobody called it for: those of other hosts", NULL },
	{ "jobs_keep",           C(MS, jobs_keep_ms),               "7d",                            "1s",    "3650d",   RH_RELOAD,  "how long it is remembered what became of a job", NULL },
	{ "webhook_allow",       C(TEXT, webhook_allow),            "",                              NULL,    NULL,      RH_RELOAD,  "networks that webhooks and forwards may go to although they are private, loopback or the like: those of a receiver of the operator's own. Empty: none", NULL },
	{ "webhook_timeout",     C(MS, webhook_timeout_ms),         "20s",                           "10ms",  "2min",    RH_RELOAD,  "how long a receiver may take, from the first look at its name to its last byte", NULL },
	{ "webhook_connections", C(INT, webhook_connections),       "64",                            "1",     "1024",    RH_RELOAD,  "webhooks on their way at a time, at each database", NULL },
	{ "webhook_concurrency", C(INT, webhook_concurrency),       "4",                             "1",     "100",     RH_RELOAD,  "of these, to one endpoint that does not say otherwise", NULL },
	{ "webhook_rate",        C(INT, webhook_rate),              "50",                            "1",     "1000",    RH_RELOAD,  "webhooks in a second to one endpoint that does not say otherwise", NULL },
	{ "webhook_retry",       C(MS, webhook_retry_ms),           "5s",                            "10ms",  "1min",    RH_RELOAD,  "how long after its first failure a webhook is tried again; the pauses that follow are its multiples: with 5s it is 5min, 30min, 2h, 5h, 10h, 14h, 20h, 24h", NULL },
	{ "webhook_give_up",     C(MS, webhook_give_up_ms),         "5d",                            "1s",    "365d",    RH_RELOAD,  "an endpoint that has failed for so long without a success is paused", NULL },
	{ "webhook_keep",        C(MS, webhook_keep_ms),            "30d",                           "1s",    "3650d",   RH_RELOAD,  "how long it is remembered what became of a webhook; what has waited for so long has failed", NULL },
	{ "webhook_max",         C(INT, webhook_max),               "100",                           "0",     "10000",   RH_RELOAD,  "endpoints of webhooks that a tenant may have; one more is 409", NULL },
	{ "mail_command",        C(TEXT, mail_command),             "",                              NULL,    NULL,      RH_RELOAD,  "program that sends mail: an absolute path, then its arguments, blanks between them, no shell; it gets a message (RFC 5322) on its standard input, as /usr/sbin/sendmail -t -i does; empty: no mail is sent", NULL },
	{ "mail_from",           C(TEXT, mail_from),                "rowhouse@localhost",            NULL,    NULL,      RH_RELOAD,  "the address that mail is from", NULL },
	{ "max_requests",        C(INT, max_requests),              "0",                             "0",     NULL,      RH_RELOAD,  "a worker is replaced after so many requests; 0: never", NULL },
	{ "max_memory",          C(BYTES, max_memory_bytes),        "0",                             "0",     NULL,      RH_RELOAD,  "a worker that has more for itself is replaced after its request; 0: never", NULL },
	{ "max_connections",     C(INT, max_connections),           "1024",                          "1",     "65536",   RH_RESTART, "kept connections that all workers share; past it, one stays with the worker that has it", NULL },
	{ "shutdown_grace",      C(MS, shutdown_grace_ms),          "30s",                           "0",     "10min",   RH_RELOAD,  "how long requests in flight may take to end when the pool stops", NULL },
	{ "header_timeout",      C(MS, header_timeout_ms),          "5s",                            "10ms",  "5min",    RH_RELOAD,  "how long a web server may take to send a request's parameters", NULL },
	{ "body_timeout",        C(MS, body_timeout_ms),            "15s",                           "10ms",  "10min",   RH_RELOAD,  "how long a web server may take to send a request's body, and to take its reply", NULL },
	{ "timeout_read",        C(MS, timeout_read_ms),            "10s",                           "10ms",  "1h",      RH_RELOAD,  "how long a request that reads may take; then its statement is cancelled, and it is answered 504. A route may say otherwise", NULL },
	{ "timeout_write",       C(MS, timeout_write_ms),           "20s",                           "10ms",  "1h",      RH_RELOAD,  "the same for one that writes, its body's coming included", NULL },
	{ "timeout_credentials", C(MS, timeout_credentials_ms),     "20s",                           "10ms",  "1h",      RH_RELOAD,  "the same for sign-ups and sign-ins", NULL },
	{ "timeout_other",       C(MS, timeout_other_ms),           "10s",                           "10ms",  "1h",      RH_RELOAD,  "the same for what is none of these: health, the API's reference", NULL },
	{ "timeout_grace",       C(MS, timeout_grace_ms),           "5s",                            "100ms", "10min",   RH_RELOAD,  "how long past its deadline a request may take to end; then its worker is stuck, and killed", NULL },
	{ "headers_max",         C(BYTES, headers_max_bytes),       "48k",                           "4k",    "60k",     RH_RELOAD,  "most bytes of a request's FastCGI parameters; more is 431", NULL },
	{ "body_max",            C(BYTES, body_max_bytes),          "1m",                            "1k",    "64m",     RH_RELOAD,  "most bytes of a JSON body; more is 413", NULL },

	{ "database_url",        C(SECRET, database_url),           "${DATABASE_URL:-}",             NULL,    NULL,      RH_RELOAD,  "PostgreSQL for the application's role, as libpq reads it", NULL },
	{ "admin_database_url",  C(SECRET, admin_database_url),     "${ADMIN_DATABASE_URL:-}",       NULL,    NULL,      RH_RELOAD,  "PostgreSQL for the role that owns the tables: rowhouse-migrate and rowhouse-ctl only", NULL },
	{ "move_database_url",   C(SECRET, move_database_url),      "${MOVE_DATABASE_URL:-}",        NULL,    NULL,      RH_RELOAD,  "PostgreSQL for a superuser: rowhouse-ctl tenant move only, and the server that a tenant moves to connects by it as well", NULL },
	{ "connect_timeout",     C(MS, connect_timeout_ms),         "3s",                            "100ms", "1min",    RH_RELOAD,  "how long PostgreSQL may take to accept a connection", NULL },
	{ "statement_timeout",   C(MS, statement_timeout_ms),       "10s",                           "10ms",  "10min",   RH_RELOAD,  "how long a statement may run; then 504", NULL },
	{ "prepared_statements", C(ENUM, prepared_statements),      "auto",                          NULL,    NULL,      RH_RELOAD,  "auto: unless a pooler is between, which a new connection shows; on: also then, where the pooler gives each client the server that has them; off: none", prepared_names },

	{ "redis_url",           C(SECRET, redis_url),              "${REDIS_URL:-}",                NULL,    NULL,      RH_RELOAD,  "Redis, or any node of a cluster of it: redis://user:password@host:port/db or unix://user:password@/path?db=n; empty: all works without", NULL },
	{ "redis_connect_timeout", C(MS, redis_connect_timeout_ms), "100ms",                         "1ms",   "10s",     RH_RELOAD,  "how long Redis may take to accept a connection, and to be ready for commands", NULL },
	{ "redis_timeout",       C(MS, redis_timeout_ms),           "50ms",                          "1ms",   "10s",     RH_RELOAD,  "how long Redis may take to answer a request's pipeline; then the request, and all that follow, do without", NULL },
	{ "redis_retry",         C(MS, redis_retry_ms),             "250ms",                         "10ms",  "1min",    RH_RELOAD,  "how long a worker does without before it tries again; doubles to 16 times while that fails", NULL },

	{ "cache_ttl",           C(MS, cache_ttl_ms),               "1min",                          "0ms",   "1d",      RH_RELOAD,  "how long Redis keeps tokens' owners and lists' first pages, at the most: a change ends it; 0ms: not at all", NULL },
	{ "cache_quarantine",    C(MS, cache_quarantine_ms),        "1s",                            "0",     "1min",    RH_RELOAD,  "several hosts on one Redis: how long what Redis does not know, as after a flush, is not cached, for another host's write may be at work on it; a write that takes longer is told to Redis before its reply. The same on all hosts; 0: there is one host, and what nobody reads is written without asking Redis", NULL },

	{ "secret_key",          C(SECRET, secret_key),             "${ROWHOUSE_SECRET_KEY:-}",      NULL,    NULL,      RH_RELOAD,  "signs cursors, seals stored replies; at least 32 characters, the same on every host", NULL },
	{ "session_ttl",         C(MS, session_ttl_ms),             "30d",                           "1min",  "365d",    RH_RELOAD,  "how long a sign-in lasts", NULL },
	{ "idempotency_ttl",     C(MS, idempotency_ttl_ms),         "24h",                           "1s",    "365d",    RH_RELOAD,  "how long a POST with an Idempotency-Key gets its first answer again", NULL },
	{ "idempotency_wait",    C(MS, idempotency_wait_ms),        "2s",                            "1ms",   "1min",    RH_RELOAD,  "how long one waits for another with its key that is at work; then 409. At most half of statement_timeout, and of the time it has", NULL },
	{ "events_keep",         C(MS, events_keep_ms),             "30d",                           "1d",    "3650d",   RH_RELOAD,  "how far back a tenant's events can be read, at least; they go a day at a time", NULL },
	{ "public_url",          C(TEXT, public_url),               "",                              NULL,    NULL,      RH_RELOAD,  "what the URLs of inboxes begin with, https://api.example; empty: as their maker's request was addressed", NULL },
	{ "inboxes_max",         C(INT, inboxes_max),               "100",                           "0",     "100000",  RH_RELOAD,  "inboxes that a tenant may have", NULL },
	{ "inbox_requests_max",  C(INT, inbox_requests_max),        "1000",                          "1",     "100000",  RH_RELOAD,  "requests that an inbox keeps, where its quota is not lower; then the oldest go", NULL },
	{ "inbox_body_max",      C(BYTES, inbox_body_max_bytes),    "1m",                            "1k",    "4m",      RH_RELOAD,  "most bytes of a body that an inbox takes; more is 413", NULL },
	{ "inbox_bytes_max",     C(BYTES, inbox_bytes_max_bytes),   "64m",                           "1m",    NULL,      RH_RELOAD,  "what all of a tenant's inboxes keep together, in bytes; an inbox's oldest make room for its newest, and where they cannot it is 429", NULL },
	{ "inbox_keep",          C(MS, inbox_keep_ms),              "30d",                           "1s",    "3650d",   RH_RELOAD,  "how long what was sent to an inbox is kept, and an inbox that has expired", NULL },
	{ "password_hashers",    C(INT, password_hashers),          "2",                             "1",     "64",      RH_RESTART, "argon2id computations that may run at once, 19 MiB and 30 ms of a core each", NULL },
	{ "limits",              C(BOOL, limits),                   "on",                            NULL,    NULL,      RH_RELOAD,  "rate limits; off lifts them all", NULL },
	{ "limit_window",        C(MS, limit_window_ms),            "1min",                          "1s",    "1h",      RH_RELOAD,  "the window that the limits are counted in", NULL },
	{ "limit_tenant",        C(INT, limit_tenant),              "6000",                          "1",     "1000000000", RH_RELOAD,  "requests of one tenant in a window", NULL },
	{ "limit_token",         C(INT, limit_token),               "3000",                          "1",     "1000000000", RH_RELOAD,  "requests with one token in a window", NULL },
	{ "limit_tenant_write",  C(INT, limit_tenant_write),        "0",                             "0",     "1000000000", RH_RELOAD,  "requests of one tenant that write, in a window; limit_tenant then bounds those that read. 0: it bounds both together", NULL },
	{ "limit_token_write",   C(INT, limit_token_write),         "0",                             "0",     "1000000000", RH_RELOAD,  "the same with one token", NULL },
	{ "limit_inbox",         C(INT, limit_inbox),               "600",                           "1",     "1000000000", RH_RELOAD,  "requests to one inbox in a window", NULL },
	{ "limit_credentials",   C(INT, limit_credentials),         "60",                            "1",     "1000000000", RH_RELOAD,  "sign-ups and sign-ins from one address in a window", NULL },

	{ "limiter",             C(ENUM, limiter),                  "auto",                          NULL,    NULL,      RH_RELOAD,  "who counts for the limits: redis, for all hosts, and shared memory while it is away; shm: each host for itself; postgres: for all hosts, in the request's own round trip, behind a pooler in one before it; auto: redis where one is configured, else shm", limiter_names },
	{ "limiter_share",       C(INT, limiter_share),             "100",                           "1",     "100",     RH_RELOAD,  "of each quota, what this host grants by itself, in percent: while shared memory counts. For one of four equal hosts: 25", NULL },
	{ "limiter_advance",     C(MS, limiter_advance_ms),         "10s",                           "0",     "1min",    RH_RELOAD,  "redis: how long a host may use what it has drawn of a busy budget in advance, so that not each request asks; other hosts may miss a 32nd of the quota for so long. 0: each asks", NULL },

	{ "tenant_concurrency",  C(TEXT, tenant_concurrency),       "100%",                          NULL,    NULL,      RH_RELOAD,  "workers that may be inside one tenant's requests at a time, as a number or in percent of workers; one more is 429. 100%: all", NULL },

	{ "segment",             C(TEXT, segment),                  "/run/rowhouse/segment",         NULL,    NULL,      RH_RESTART, "file of the shared memory: metrics, log and span rings, the last requests; on a tmpfs", NULL },
	{ "log_ring",            C(BYTES, log_ring_bytes),          "128k",                          "16k",   "64m",     RH_RESTART, "log lines a worker may have waiting for the reader of stdout", NULL },
	{ "span_ring",           C(BYTES, span_ring_bytes),         "128k",                          "16k",   "64m",     RH_RESTART, "kept spans a worker may have waiting for the collector", NULL },
	{ "request_ring",        C(BYTES, request_ring_bytes),      "128k",                          "16k",   "64m",     RH_RESTART, "records of its last requests that a worker leaves for the exporter's page, about 400 bytes each", NULL },
	{ "trace_ring",          C(BYTES, trace_ring_bytes),        "512k",                          "16k",   "64m",     RH_RESTART, "kept traces of requests that failed or were slow, which no flood of others washes away, about 3 KiB each", NULL },
	{ "history",             C(BYTES, history_bytes),           "4m",                            "64k",   "256m",    RH_RESTART, "what the pool remembers of its last hour and its last day, for the exporter's charts", NULL },
	{ "tenants_max",         C(INT, tenants_max),               "16384",                         "64",    "4194304", RH_RESTART, "tenants whose ids a host remembers", NULL },
	{ "logs",                C(BOOL, logs),                     "on",                            NULL,    NULL,      RH_RELOAD,  "the line for each request on stdout", NULL },
	{ "metrics",             C(BOOL, metrics),                  "on",                            NULL,    NULL,      RH_RESTART, "counting in the segment", NULL },
	{ "traces",              C(BOOL, traces),                   "on",                            NULL,    NULL,      RH_RELOAD,  "spans", NULL },
	{ "trace_ratio",         C(REAL, trace_ratio),              "0.1",                           "0",     "1",       RH_RELOAD,  "share of unremarkable requests whose trace is kept; OTEL_TRACES_SAMPLER overrides it", NULL },
	{ "trust_traceparent",   C(TEXT, trust_traceparent),        "127.0.0.0/8 ::1 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7", NULL, NULL, RH_RELOAD, "networks whose callers' traces are continued, and their sampling heeded; anybody else's request starts a trace of its own, linked to his. Empty: nobody's", NULL },
	{ "slow",                C(MS, slow_ms),                    "1s",                            "1ms",   "10min",   RH_RELOAD,  "a request that takes longer is slow, and its trace always kept; a route may say otherwise", NULL },
	{ "slow_backtrace",      C(BOOL, slow_backtrace),           "on",                            NULL,    NULL,      RH_RELOAD,  "the line about a slow request says where its worker stands", NULL },
	{ "otlp_endpoint",       C(TEXT, otlp_endpoint),            "",                              NULL,    NULL,      RH_RELOAD,  "base URL of an OTLP/HTTP receiver; empty: OTEL_EXPORTER_OTLP_ENDPOINT, or none", NULL },
	{ "service_name",        C(TEXT, service_name),             "rowhouse",                      NULL,    NULL,      RH_RELOAD,  "service in log lines and service.name of spans; OTEL_SERVICE_NAME overrides it", NULL },
	{ "exporter_listen",     C(TEXT, exporter_listen),          "127.0.0.1:9464",                NULL,    NULL,      RH_RESTART, "where rowhouse-exporter serves /metrics and the operator's page", NULL },
	{ "exporter_token",      C(SECRET, exporter_token),         "${ROWHOUSE_EXPORTER_TOKEN:-}",  NULL,    NULL,      RH_RESTART, "what rowhouse-exporter asks for as a bearer token, or as a password; empty: nothing", NULL },
	{ 0 }
};
/* clang-format on */

#define P(member) RH_CONF(SECRET, struct rh_placement_conf, member)
/* clang-format off */
const struct rh_directive rh_placement_directives[] = {
	{ "database_url",       P(database_url),       NULL, NULL, NULL, RH_RELOAD, "PostgreSQL for the application's role, as libpq reads it", NULL },
	{ "admin_database_url", P(admin_database_url), "",   NULL, NULL, RH_RELOAD, "PostgreSQL for the role that owns the tables: rowhouse-migrate -p and rowhouse-ctl only", NULL },
	{ "move_database_url",  P(move_database_url),  "",   NULL, NULL, RH_RELOAD, "PostgreSQL for a superuser: rowhouse-ctl tenant move only", NULL },
	{ "redis_url",          P(redis_url),          "",   NULL, NULL, RH_RELOAD, "Redis, as above; empty: those tenants do without", NULL },
	{ 0 }
};
/* clang-format on */
const struct rh_conf_section rh_placement_section = {
	.name = "placement",
	.meaning = "a database, and a Redis, for the tenants that are placed"
	    " there (rowhouse-ctl tenant move): a database with all of the"
	    " migrations. What is not set here is as above. A reload takes it.",
	.bytes = sizeof(struct rh_placement_conf),
	.most = RH_PLACEMENTS_MAX + 1,
};
const struct rh_directive rh_no_directives[] = { { 0 } };

bool
rh_serve_conf_concurrency(const struct rh_serve_conf *conf, unsigned *most)
{
	struct rh_slice text = conf->tenant_concurrency;
	uint64_t workers = (uint64_t)conf->workers, n;
	bool percent = text.n && text.p[text.n - 1] == '%';

	if (!rh_u64_get(&n, (struct rh_slice){ text.p, text.n - percent }) ||
	    n > (percent ? 100 : UINT32_MAX))
		return false;
	if (percent && n)
		n = RH_MAX(workers * n / 100, 1u);
	*most = n < workers ? (unsigned)n : 0;
	return true;
}

static void
check_sizing(const struct rh_serve_conf *conf, struct rh_buf *faults)
{
	if (conf->sizing != RH_SIZING_DYNAMIC)
		return;
	if (conf->workers_min > conf->workers)
		rh_buf_lit(faults, "workers_min: more than workers\n");
	if (conf->workers_spare_min > conf->workers)
		rh_buf_lit(faults, "workers_spare_min: more than workers\n");
	if (conf->workers_spare_min > conf->workers_spare_max)
		rh_buf_lit(faults,
		    "workers_spare_min: more than workers_spare_max\n");
}

/* Both go into a command line and a header, as they are. */
static void
check_mail(const struct rh_serve_conf *conf, struct rh_buf *faults)
{
	const struct rh_slice *texts[] = { &conf->mail_command,
		&conf->mail_from };

	if (conf->mail_command.n && conf->mail_command.p[0] != '/')
		rh_buf_lit(faults, "mail_command: not an absolute path\n");
	for (size_t i = 0; i < RH_COUNT(texts); i++)
		for (size_t j = 0; j < texts[i]->n; j++)
			if ((unsigned char)texts[i]->p[j] < ' ' ||
			    (unsigned char)texts[i]->p[j] > '~') {
				rh_buf_printf(faults, "%s: has characters that"
				    " are not printable ASCII\n",
				    i ? "mail_from" : "mail_command");
				break;
			}
	if (!memchr(conf->mail_from.p, '@', conf->mail_from.n))
		rh_buf_lit(faults, "mail_from: no address\n");
}

static void
check_networks(const char *name, struct rh_slice text, struct rh_buf *faults)
{
	struct rh_arena *arena = rh_arena_new(4096, 1 << 20);
	struct rh_cidrs list;
	struct rh_slice fault;

	if (!rh_cidrs_get(&list, text, arena, &fault))
		rh_buf_printf(faults, "%s: \"%.*s\" is no network"
		    " like 10.0.0.0/8 or fd00::/8\n", name, RH_SLICE_ARG(fault));
	rh_arena_destroy(&arena);
}

/* As it stands in the database, on a command line, in a log. */
static bool
is_placement_name(struct rh_slice name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && (i == 0 || (c != '-' &&
		    c != '_' && !(c >= '0' && c <= '9'))))
			return false;
	}
	return name.n <= RH_PLACEMENT_NAME_MAX &&
	    !rh_slice_is(name, RH_SLICE(RH_PLACEMENT_HOME));
}

void
rh_serve_conf_check_placements(const struct rh_placement_conf *p,
    struct rh_buf *faults)
{
	for (; p->name.n; p++) {
		if (!is_placement_name(p->name))
			rh_buf_printf(faults, "placement: \"%.*s\" is no name:"
			    " up to %d of a-z, 0-9, - and _, a letter first,"
			    " and not " RH_PLACEMENT_HOME "\n",
			    RH_SLICE_ARG(p->name), RH_PLACEMENT_NAME_MAX);
		if (p->database_url.n == 0)
			rh_buf_printf(faults, "placement: %.*s has no"
			    " database_url\n", RH_SLICE_ARG(p->name));
	}
}

const struct rh_placement_conf *
rh_serve_conf_placement(const struct rh_serve_conf *conf, struct rh_slice name)
{
	for (const struct rh_placement_conf *p = conf->placements; p->name.n; p++)
		if (rh_slice_is(p->name, name))
			return p;
	return NULL;
}

void
rh_serve_conf_pick(struct rh_directive *to, const char *const names[],
    size_t n)
{
	const struct rh_directive *d;

	for (size_t i = 0; i < n; i++) {
		for (d = rh_serve_directives;
		    d->name && strcmp(d->name, names[i]) != 0; d++)
			;
		rh_assert(d->name);
		to[i] = *d;
	}
	to[n] = (struct rh_directive){ 0 };
}

void
rh_serve_conf_check(const struct rh_serve_conf *conf, struct rh_buf *faults)
{
	unsigned most;

	check_sizing(conf, faults);
	if (conf->queue_max >= conf->listen_backlog)
		rh_buf_lit(faults, "queue_max: not below listen_backlog, where"
		    " the kernel refuses connections\n");
	if (conf->database_url.n == 0)
		rh_buf_lit(faults, "database_url: required; set it, or"
		    " DATABASE_URL in the environment\n");
	if (conf->limiter == RH_LIMITS_REDIS && conf->redis_url.n == 0)
		rh_buf_lit(faults, "limiter: redis needs a redis_url\n");
	if (!rh_serve_conf_concurrency(conf, &most))
		rh_buf_lit(faults, "tenant_concurrency: a number of workers, or"
		    " a share of them like 50%\n");
	check_networks("trust_traceparent", conf->trust_traceparent, faults);
	check_networks("webhook_allow", conf->webhook_allow, faults);
	check_mail(conf, faults);
	if (conf->secret_key.n < 32)
		rh_buf_lit(faults, "secret_key: required, at least 32"
		    " characters; set it, or ROWHOUSE_SECRET_KEY in the"
		    " environment\n");
}
