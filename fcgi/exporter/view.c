#include "config.h"

#include "exporter/view.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "exporter/accept.h"
#include "exporter/fmt.h"
#include "exporter/json.h"
#include "exporter/style_css.h"

#define BODY_FIRST	65536
#define BODY_MAX	(32 << 20)
#define ICON \
	"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' " \
	"viewBox='0 0 16 16'%3E%3Cpath fill='%230b62b0' " \
	"d='M0 8l4-5 4 5 4-5 4 5v7H0z'/%3E%3C/svg%3E"

static const struct rh_slice style = { (const char *)style_css,
	sizeof(style_css) };

/* ---- the reply ---- */

static void
put_base64(struct rh_buf *to, const unsigned char *s, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		uint32_t bits = (uint32_t)s[i] << 16 |
		    (i + 1 < n ? (uint32_t)s[i + 1] << 8 : 0) |
		    (i + 2 < n ? s[i + 2] : 0);

		rh_buf_char(to, digits[bits >> 18]);
		rh_buf_char(to, digits[bits >> 12 & 63]);
		rh_buf_char(to, i + 1 < n ? digits[bits >> 6 & 63] : '=');
		rh_buf_char(to, i + 2 < n ? digits[bits & 63] : '=');
	}
}

/* Nothing but our own style sheet, which its hash names, and our icon. */
static const char *
policy(struct rh_arena *arena)
{
	unsigned char hash[RH_SHA256_LEN];
	char text[64];
	struct rh_buf b;

	rh_sha256(hash, style.p, style.n);
	rh_buf_init_fixed(&b, text, sizeof(text));
	put_base64(&b, hash, sizeof(hash));
	return rh_arena_printf(arena, "default-src 'none'; style-src"
	    " 'sha256-%.*s'; img-src data:; form-action 'self'; base-uri"
	    " 'none'; frame-ancestors 'none'", RH_SLICE_ARG(rh_buf_get(&b)));
}

void
view_reply_status(struct view *v, unsigned status)
{
	struct rh_buf why;

	rh_buf_init(&why, v->arena, 256, 4096);
	if (!v->json)
		html_finish(&v->h);
	if (v->segment && !source_is_whole(v->source, &why)) {
		v->segment = NULL;
		view_fail(v, 503, "There is no segment to read",
		    rh_buf_get(&why));
		return;
	}
	if (v->body.full) {
		*v->reply = (struct page_reply){ .status = 500,
			.type = "text/plain; charset=utf-8",
			.body = RH_SLICE("more than fits into a page\n") };
		return;
	}
	*v->reply = (struct page_reply){ .status = status, .vary = "Accept",
		.body = rh_buf_get(&v->body),
		.policy = v->json ? NULL : policy(v->arena),
		.type = !v->json ? "text/html; charset=utf-8" :
		    status >= 400 ? "application/problem+json" :
		    "application/json" };
}

void
view_reply(struct view *v)
{
	if (v->json)
		rh_buf_char(&v->body, '\n');
	view_reply_status(v, 200);
}

static void
begin_body(struct view *v)
{
	rh_buf_init(&v->body, v->arena, BODY_FIRST, BODY_MAX);
	html_init(&v->h, &v->body);
}

void
view_fail(struct view *v, unsigned status, const char *title,
    struct rh_slice detail)
{
	detail = rh_slice_trim(detail);
	if (detail.n && detail.p[detail.n - 1] == '\n')
		detail.n--;
	begin_body(v);
	if (v->json) {
		json_open(&v->body, NULL, '{');
		json_text(&v->body, "type", RH_SLICE("about:blank"));
		json_text(&v->body, "title", rh_slice_of(title));
		json_int(&v->body, "status", status);
		json_text(&v->body, "detail", detail);
		json_close(&v->body, '}');
		rh_buf_char(&v->body, '\n');
	} else {
		view_begin(v, rh_slice_of(title), NULL);
		html_open(&v->h, "section");
		html_attr(&v->h, "class", "card");
		html_say(&v->h, "h1", "", rh_slice_of(title));
		html_say(&v->h, "p", "", detail);
		html_close(&v->h);
	}
	view_reply_status(v, status);
}

bool
view_open(struct view *v, struct page_reply *reply,
    const struct page_request *rq, struct source *source,
    struct rh_arena *arena)
{
	struct rh_buf why;

	*v = (struct view){ .reply = reply, .rq = rq, .source = source,
		.arena = arena, .json = accept_json(rq->accept),
		.now_us = rh_clock_wall_us() };
	rh_buf_init(&why, arena, 512, 8192);
	begin_body(v);
	if ((v->segment = source_get(source, &why)))
		return true;
	view_fail(v, 503, "There is no segment to read", rh_buf_get(&why));
	return false;
}

/* ---- the frame ---- */

static void
put_head(struct view *v, struct rh_slice title)
{
	struct html *h = &v->h;

	html_open(h, "head");
	html_void(h, "meta");
	html_attr(h, "charset", "utf-8");
	html_close(h);
	html_open(h, "title");
	html_text(h, title);
	html_lit(h, " · Rowhouse");
	html_close(h);
	html_void(h, "meta");
	html_attr(h, "name", "viewport");
	html_attr(h, "content", "width=device-width, initial-scale=1");
	html_close(h);
	html_void(h, "meta");
	html_attr(h, "name", "color-scheme");
	html_attr(h, "content", "light dark");
	html_close(h);
	html_void(h, "link");
	html_attr(h, "rel", "icon");
	html_attr_text(h, "href", RH_SLICE(ICON));
	html_close(h);
	html_open(h, "style");
	html_lit(h, "");
	rh_buf_slice(h->to, style);	/* our own bytes, as they were hashed */
	html_close(h);
	html_close(h);
}

static void
put_nav(struct view *v, const char *nav)
{
	static const struct {
		const char *name, *path, *text;
	} links[] = {
		{ "overview", "/", "Overview" },
		{ "requests", "/requests", "Requests" },
		{ "metrics", "/metrics", "Metrics" },
	};
	struct html *h = &v->h;

	html_open(h, "nav");
	html_attr(h, "aria-label", "Pages");
	for (size_t i = 0; i < RH_COUNT(links); i++) {
		html_open(h, "a");
		html_attr_text(h, "href", rh_slice_of(links[i].path));
		if (nav && strcmp(nav, links[i].name) == 0)
			html_attr(h, "aria-current", "page");
		html_text(h, rh_slice_of(links[i].text));
		html_close(h);
	}
	html_close(h);
}

static void
put_find(struct view *v)
{
	struct html *h = &v->h;

	html_open(h, "form");
	html_attr(h, "class", "find");
	html_attr(h, "action", "/requests");
	html_attr(h, "role", "search");
	html_void(h, "input");
	html_attr(h, "type", "search");
	html_attr(h, "name", "id");
	html_attr(h, "aria-label", "Find a request by request_id or trace_id");
	html_attr(h, "placeholder", "request_id or trace_id");
	html_attr(h, "autocomplete", "off");
	html_attr(h, "spellcheck", "false");
	html_attr(h, "required", "");
	html_close(h);
	html_open(h, "button");
	html_lit(h, "Find");
	html_close(h);
	html_close(h);
}

static void
put_brand(struct view *v)
{
	struct html *h = &v->h;

	html_open(h, "a");
	html_attr(h, "class", "brand");
	html_attr(h, "href", "/");
	html_open(h, "svg");
	html_attr(h, "viewBox", "0 0 16 16");
	html_attr(h, "aria-hidden", "true");
	html_open(h, "path");
	html_attr(h, "d", "M0 8l4-5 4 5 4-5 4 5v7H0z");
	html_close(h);
	html_close(h);
	html_say(h, "strong", "", RH_SLICE("Rowhouse"));
	if (v->segment)
		html_say(h, "span", "pool",
		    rh_slice_of(rh_segment_pool(v->segment)));
	html_close(h);
}

void
view_begin(struct view *v, struct rh_slice title, const char *nav)
{
	struct html *h = &v->h;

	rh_buf_lit(&v->body, "<!doctype html>\n");
	html_open(h, "html");
	html_attr(h, "lang", "en");
	put_head(v, title);
	html_open(h, "body");
	html_open(h, "a");
	html_attr(h, "class", "skip");
	html_attr(h, "href", "#content");
	html_lit(h, "To the content");
	html_close(h);
	html_open(h, "header");
	html_open(h, "div");
	html_attr(h, "class", "bar");
	put_brand(v);
	put_nav(v, nav);
	put_find(v);
	html_close(h);
	html_close(h);
	html_open(h, "main");
	html_attr(h, "id", "content");
}

/* ---- pieces ---- */

void
view_link(struct view *v, struct rh_slice href, struct rh_slice text)
{
	html_open(&v->h, "a");
	html_attr_text(&v->h, "href", href);
	html_text(&v->h, text);
	html_close(&v->h);
}

void
view_th(struct view *v, const char *class, const char *text)
{
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "col");
	if (*class)
		html_attr_text(&v->h, "class", rh_slice_of(class));
	html_text(&v->h, rh_slice_of(text));
	html_close(&v->h);
}

void
view_td(struct view *v, const char *class, struct rh_slice text)
{
	html_open(&v->h, "td");
	if (*class)
		html_attr_text(&v->h, "class", rh_slice_of(class));
	html_text(&v->h, text);
	html_close(&v->h);
}

void
view_cell(struct view *v, const char *class, const char *name,
    struct rh_slice text)
{
	html_open(&v->h, "td");
	html_attr_text(&v->h, "class", rh_slice_of(class));
	html_attr_text(&v->h, "data-name", rh_slice_of(name));
	html_text(&v->h, text);
	html_close(&v->h);
}

void
view_tile(struct view *v, const char *class, const char *name,
    struct rh_slice value, struct rh_slice below)
{
	html_open(&v->h, "div");
	html_attr_printf(&v->h, "class", "tile %s", class);
	html_say(&v->h, "dt", "", rh_slice_of(name));
	html_open(&v->h, "dd");
	html_say(&v->h, "strong", "", value);
	html_say(&v->h, "small", "", below);
	html_close(&v->h);
	html_close(&v->h);
}

void
view_status(struct view *v, unsigned status)
{
	html_open(&v->h, "span");
	html_attr_printf(&v->h, "class", "status s%u", status / 100);
	html_printf(&v->h, "%u", status);
	html_close(&v->h);
}

/* One that is tried again is no success yet, and no failure. */
static unsigned
class_of(const struct rh_request *rq)
{
	struct rh_slice outcome = rq->text[RH_RQ_OUTCOME];

	if (rq->text[RH_RQ_ERROR].n == 0)
		return rh_slice_is(outcome, RH_SLICE("cancelled")) ? 0 : 2;
	return rh_slice_is(outcome, RH_SLICE("retried")) ? 4 : 5;
}

void
view_outcome(struct view *v, const struct rh_request *rq)
{
	if (rq->f.what == RH_WORK_REQUEST) {
		view_status(v, rq->f.status);
		return;
	}
	html_open(&v->h, "span");
	html_attr_printf(&v->h, "class", "status s%u", class_of(rq));
	html_text(&v->h, rq->text[RH_RQ_OUTCOME].n ? rq->text[RH_RQ_OUTCOME] :
	    RH_SLICE("?"));
	html_close(&v->h);
}

void
view_time(struct view *v, int64_t wall_us, struct rh_slice text)
{
	html_open(&v->h, "time");
	html_attr_text(&v->h, "datetime", fmt_rfc3339(v->arena, wall_us));
	html_attr_text(&v->h, "title", fmt_rfc3339(v->arena, wall_us));
	html_text(&v->h, text);
	html_close(&v->h);
}

void
view_pair(struct view *v, const char *name, struct rh_slice value)
{
	if (value.n == 0)
		return;
	html_open(&v->h, "div");
	html_say(&v->h, "dt", "", rh_slice_of(name));
	html_say(&v->h, "dd", "", value);
	html_close(&v->h);
}
