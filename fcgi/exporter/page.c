#include "config.h"

#include "exporter/page.h"

#include "exporter/accept.h"
#include "exporter/auth.h"
#include "exporter/pool.h"
#include "exporter/squeeze.h"
#include "exporter/views.h"

#define TEXT		"text/plain; charset=utf-8"
#define METRICS_MAX	(64 << 20)
#define SQUEEZE_FROM	1024
#define PROTOBUF	"application/vnd.google.protobuf;" \
    " proto=io.prometheus.client.MetricFamily; encoding=delimited"

static void
fail(struct page_reply *reply, unsigned status, struct rh_slice text)
{
	*reply = (struct page_reply){ .status = status, .type = TEXT,
	    .body = text };
}

static const char *const types[] = {
	[RH_EXPO_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
	[RH_EXPO_OPENMETRICS] =
	    "application/openmetrics-text; version=1.0.0; charset=utf-8",
	[RH_EXPO_PROTOBUF] = PROTOBUF,
};

/* Text by way of room, which is empty again afterwards. */
static void
expose_pool(struct rh_buf *to, struct rh_buf *room,
    const struct rh_segment *segment, enum rh_exposition format)
{
	if (format != RH_EXPO_PROTOBUF) {
		pool_expose(to, segment, format);
		return;
	}
	pool_expose(room, segment, RH_EXPO_PROMETHEUS);
	rh_metrics_text_to_protobuf(to, rh_buf_get(room));
	room->n = 0;
}

static void
answer_metrics(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	enum rh_exposition format = accept_exposition(rq->accept);
	const struct rh_segment *segment;
	struct rh_buf b, small;

	rh_buf_init(&b, arena, 65536, METRICS_MAX);
	if (!(segment = source_get(source, &b))) {
		fail(reply, 503, rh_buf_get(&b));
		return;
	}
	rh_metrics_expose(&b, segment, format);
	rh_buf_init(&small, arena, 65536, METRICS_MAX);
	expose_pool(&b, &small, segment, format);
	if (!source_is_whole(source, &small)) {
		fail(reply, 503, rh_buf_get(&small));
		return;
	}
	if (format == RH_EXPO_OPENMETRICS)
		rh_buf_lit(&b, "# EOF\n");
	if (b.full) {
		fail(reply, 500, RH_SLICE("more series than fit\n"));
		return;
	}
	*reply = (struct page_reply){ .status = 200, .body = rh_buf_get(&b),
	    .vary = "Accept, Accept-Encoding",
	    .type = types[format] };
	if (b.n >= SQUEEZE_FROM && accept_gzip(rq->accept_encoding) &&
	    squeeze(&small, reply->body)) {
		reply->body = rh_buf_get(&small);
		reply->encoding = "gzip";
	}
}

static void
answer_livez(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	(void)rq;
	(void)source;
	(void)arena;
	*reply = (struct page_reply){ .status = 200, .type = TEXT,
	    .body = RH_SLICE("ok\n") };
}

struct rh_slice
page_arg(const struct page_request *rq, const char *name)
{
	for (unsigned i = 0; i < rq->nargs; i++)
		if (rh_slice_is(rq->args[i].name, rh_slice_of(name)))
			return rq->args[i].value;
	return RH_SLICE_NONE;
}

/* "*": one segment, whatever it is. */
static const struct {
	struct rh_slice path;
	answer_fn *answer;
	bool is_open;		/* no token is asked for */
} pages[] = {
	{ RH_SLICE_INIT("/"), overview_answer, false },
	{ RH_SLICE_INIT("/livez"), answer_livez, true },
	{ RH_SLICE_INIT("/metrics"), answer_metrics, false },
	{ RH_SLICE_INIT("/requests"), requests_answer, false },
	{ RH_SLICE_INIT("/requests/*"), request_answer, false },
	{ RH_SLICE_INIT("/traces/*/otlp.json"), otlp_answer, false },
};

static bool
matches(struct rh_slice pattern, struct rh_slice path)
{
	while (pattern.p && path.p) {
		struct rh_slice want = rh_slice_cut(&pattern, '/');
		struct rh_slice has = rh_slice_cut(&path, '/');

		if (!rh_slice_is(want, has) &&
		    (has.n == 0 || !rh_slice_is(want, RH_SLICE("*"))))
			return false;
	}
	return !pattern.p && !path.p;
}

static void
refuse(struct page_reply *reply)
{
	fail(reply, 401, RH_SLICE("exporter_token is asked for, as a bearer"
	    " token or as a password\n"));
	reply->challenge = true;
}

void
page_answer(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	size_t i;

	for (i = 0; i < RH_COUNT(pages); i++)
		if (matches(pages[i].path, rq->path))
			break;
	if (!(i < RH_COUNT(pages) && pages[i].is_open) &&
	    !auth_is_granted(rq->authorization, rq->token))
		refuse(reply);
	else if (i == RH_COUNT(pages))
		fail(reply, 404, RH_SLICE("there is /, /requests, /requests/ID,"
		    " /traces/ID/otlp.json, /livez and /metrics\n"));
	else if (rh_slice_is(rq->method, RH_SLICE("GET")) ||
	    rh_slice_is(rq->method, RH_SLICE("HEAD")))
		pages[i].answer(reply, rq, source, arena);
	else {
		fail(reply, 405, RH_SLICE("GET and HEAD only\n"));
		reply->allow = "GET, HEAD";
	}
}
