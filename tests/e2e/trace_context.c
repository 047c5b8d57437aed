/*
 * trace_context - the service that the W3C Trace Context suite talks to, on
 * the library as any other application is.
 *
 * POST /test takes [{"url": …, "arguments": […]}, …] and POSTs each arguments
 * to its url, under a span of its own. tests/e2e/trace-context starts it.
 */
#include "config.h"

#include "serve/app.h"

#include <curl/curl.h>
#include <json-c/json.h>

enum { BODY_MAX = 1 << 20, TIMEOUT_S = 10 };

static struct curl_slist *
add(struct curl_slist *headers, struct rh_call *c, const char *name,
    struct rh_slice value)
{
	return curl_slist_append(headers, rh_arena_printf(c->arena, "%s: %.*s",
	    name, RH_SLICE_ARG(value)));
}

static struct curl_slist *
context(struct rh_call *c, const struct rh_span *span)
{
	struct curl_slist *headers =
	    curl_slist_append(NULL, "Content-Type: application/json");
	char parent[RH_TRACEPARENT_LEN];

	rh_traceparent_put(parent, c->trace, span);
	headers = add(headers, c, "traceparent",
	    (struct rh_slice){ parent, sizeof(parent) });
	if (c->trace->tracestate.n)
		headers = add(headers, c, "tracestate", c->trace->tracestate);
	return headers;
}

static size_t
ignore(char *bytes, size_t size, size_t n, void *arg)
{
	(void)bytes;
	(void)arg;
	return size * n;
}

static void
call_out(struct rh_call *c, const char *url, const char *body)
{
	struct rh_span *span = rh_span_open(c->trace, RH_SPAN_CLIENT,
	    RH_SLICE("POST"));
	struct curl_slist *headers = context(c, span);
	CURL *curl = curl_easy_init();
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	code = curl_easy_perform(curl);
	rh_span_text(span, "http.request.method", RH_SLICE("POST"));
	if (code != CURLE_OK)
		rh_span_fail(span, RH_SLICE("connection"),
		    rh_slice_of(curl_easy_strerror(code)));
	rh_span_close(c->trace, span);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
}

static void
call_each(struct rh_call *c, json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *one = json_object_array_get_idx(list, i);
		json_object *url = NULL, *arguments = NULL;

		if (json_object_object_get_ex(one, "url", &url) &&
		    json_object_object_get_ex(one, "arguments", &arguments))
			call_out(c, json_object_get_string(url),
			    json_object_to_json_string(arguments));
	}
}

/* POST /test	200 [] | 400 413 */
static struct rh_err *
test(struct rh_call *c)
{
	struct rh_err *err = rh_req_body(c->rq, BODY_MAX);
	json_object *list;

	if (err)
		return err;
	list = json_tokener_parse(rh_arena_strdup(c->arena, c->rq->body));
	if (!json_object_is_type(list, json_type_array)) {
		json_object_put(list);
		return rh_err_new(c->arena, RH_E_MALFORMED, "body.array",
		    "The body must be a JSON array.");
	}
	call_each(c, list);
	json_object_put(list);
	return rh_reply_bytes(c->rq, 200, "application/json", RH_SLICE("[]"));
}

static const struct rh_route routes[] = {
	{ .method = RH_POST, .template = "/test", .access = RH_PUBLIC,
	    .handler = test, .flags = RH_ROUTE_RAW,
	    .summary = "Calls others under the caller's trace" },
	{ 0 }
};

static const struct rh_resource resource = {
	.name = "trace_context", .routes = routes,
};
static const struct rh_resource *const resources[] = { &resource, NULL };

static const struct rh_app app = {
	.name = "trace_context", .title = "Trace context", .version = "1",
	.description = "Calls others as it is told.", .resources = resources,
};

int
main(int argc, char **argv)
{
	return rh_app_main(&app, argc, argv);
}
