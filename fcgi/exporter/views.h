/*
 * views - the operator's pages, a function for each path; page.c has the table.
 *
 * Shape    HTML or JSON of the same
 * Errors   400 for a query that makes no sense, 404, 503; answered
 */
#ifndef RH_EXPORTER_VIEWS_H
#define RH_EXPORTER_VIEWS_H

#include "exporter/page.h"

typedef void answer_fn(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena);

answer_fn overview_answer;	/* / */
answer_fn requests_answer;	/* /requests */
answer_fn request_answer;	/* /requests/{id} */
answer_fn otlp_answer;		/* /traces/{id}/otlp.json */

#endif
