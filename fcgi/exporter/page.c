#include "config.h"

#include "exporter/page.h"

#include "exporter/accept.h"
#include "exporter/pool.h"
#include "exporter/squeeze.h"

#define TEXT		"text/plain; charset=utf-8"
#define METRICS_MAX	(64 << 20)
#define SQUEEZE_FROM	1024
#define PROTOBUF	"application/vnd.google.protobuf;" \
    " proto=io.prometheus.client.MetricFamily; encoding=delimited"

typedef void answer_fn(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena);

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

static void
put_html(struct rh_buf *to, struct rh_slice text)
{
	for (size_t i = 0; i < text.n; i++)
		switch (text.p[i]) {
		case '<': rh_buf_lit(to, "&lt;"); break;
		case '&': rh_buf_lit(to, "&amp;"); break;
		default: rh_buf_char(to, text.p[i]);
		}
}

static void
answer_index(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	const struct rh_segment *segment;
	struct rh_buf b, why;

	(void)rq;
	rh_buf_init(&b, arena, 4096, 65536);
	rh_buf_init(&why, arena, 512, 8192);
	rh_buf_lit(&b, "<!doctype html>\n<html lang=\"en\">\n"
	    "<meta charset=\"utf-8\">\n<title>rowhouse-exporter</title>\n"
	    "<h1>rowhouse-exporter</h1>\n<p>");
	if ((segment = source_get(source, &why))) {
		rh_buf_lit(&b, "Pool ");
		put_html(&b, rh_slice_of(rh_segment_pool(segment)));
		rh_buf_printf(&b, ", room for %u workers, in ",
		    rh_segment_slots(segment) - 1);
		put_html(&b, rh_slice_of(source->path));
	} else
		put_html(&b, rh_slice_trim(rh_buf_get(&why)));
	rh_buf_lit(&b, "</p>\n<ul>\n"
	    "<li><a href=\"/metrics\">/metrics</a>: for Prometheus, as text"
	    " 0.0.4 or OpenMetrics 1.0</li>\n"
	    "<li><a href=\"/livez\">/livez</a>: 200 while this program"
	    " runs</li>\n</ul>\n</html>\n");
	*reply = (struct page_reply){ .status = 200,
	    .type = "text/html; charset=utf-8", .body = rh_buf_get(&b) };
}

static const struct {
	struct rh_slice path;
	answer_fn *answer;
} pages[] = {
	{ RH_SLICE_INIT("/"), answer_index },
	{ RH_SLICE_INIT("/livez"), answer_livez },
	{ RH_SLICE_INIT("/metrics"), answer_metrics },
};

void
page_answer(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	size_t i;

	for (i = 0; i < RH_COUNT(pages); i++)
		if (rh_slice_is(rq->path, pages[i].path))
			break;
	if (i == RH_COUNT(pages))
		fail(reply, 404, RH_SLICE("there is /, /livez and /metrics\n"));
	else if (rh_slice_is(rq->method, RH_SLICE("GET")) ||
	    rh_slice_is(rq->method, RH_SLICE("HEAD")))
		pages[i].answer(reply, rq, source, arena);
	else {
		fail(reply, 405, RH_SLICE("GET and HEAD only\n"));
		reply->allow = "GET, HEAD";
	}
}
