/*
 * view - what all of the operator's pages have in common: the segment, the
 * frame around the content, HTML or JSON as the client asks.
 *
 * Shape    view_open, then the content, then view_reply
 * Errors   view_open answers 503 itself where there is no segment; view_fail
 *          answers in the client's language
 * Owner    the arena's, until the reply is sent
 */
#ifndef RH_EXPORTER_VIEW_H
#define RH_EXPORTER_VIEW_H

#include "exporter/html.h"
#include "exporter/page.h"
#include "obs/request_record.h"

struct view {
	struct page_reply *reply;
	const struct page_request *rq;
	struct source *source;
	struct rh_arena *arena;
	const struct rh_segment *segment;
	bool json;
	int64_t now_us;
	struct rh_buf body;
	struct html h;
};

/* False: it was answered. */
RH_MUST_CHECK bool view_open(struct view *v, struct page_reply *reply,
    const struct page_request *rq, struct source *source,
    struct rh_arena *arena);
/* The frame up to the content; nav: "overview", "requests" or NULL. */
void view_begin(struct view *v, struct rh_slice title, const char *nav);
/* 200 with what is in the body; 503 where the segment was cut short meanwhile. */
void view_reply(struct view *v);
void view_reply_status(struct view *v, unsigned status);
/* An error: title and one sentence. */
void view_fail(struct view *v, unsigned status, const char *title,
    struct rh_slice detail);

/* ---- pieces ---- */

/* <a href>text</a> */
void view_link(struct view *v, struct rh_slice href, struct rh_slice text);
/* <th scope="col" class>text</th>: class "num" for numbers. */
void view_th(struct view *v, const char *class, const char *text);
void view_td(struct view *v, const char *class, struct rh_slice text);
/* With its column's name, for where the table has no room for a head. */
void view_cell(struct view *v, const char *class, const char *name,
    struct rh_slice text);
/* One number of a list of tiles, and what is to be said of it. */
void view_tile(struct view *v, const char *class, const char *name,
    struct rh_slice value, struct rh_slice below);
/* A status as a badge: the number, and a class of its own for each hundred. */
void view_status(struct view *v, unsigned status);
/* The same for whatever it is: a job's says what became of it. */
void view_outcome(struct view *v, const struct rh_request *rq);
/* <time datetime=… title=…>text</time> */
void view_time(struct view *v, int64_t wall_us, struct rh_slice text);
/* <dt>name</dt><dd>value</dd>, left out where there is nothing to say. */
void view_pair(struct view *v, const char *name, struct rh_slice value);

#endif
