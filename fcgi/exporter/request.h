/*
 * request - the pieces of a request's page.
 *
 * Shape    sections of HTML
 * Errors   what is not there is left out
 * Owner    the view's
 */
#ifndef RH_EXPORTER_REQUEST_H
#define RH_EXPORTER_REQUEST_H

#include "exporter/request_read.h"
#include "exporter/view.h"

/* waterfall.c */
void waterfall_put(struct view *v, const struct request *r);
void statements_put(struct view *v, const struct request *r);
/* request_work.c: what it left; what its log line says */
void work_put(struct view *v, const struct request *r);
void line_put(struct view *v, const struct request *r);
/* shares.c */
void shares_put(struct view *v, const struct request *r);
void compared_put(struct view *v, const struct request *r);
/* Where those of its route, or kind, are listed: more may be asked of the list. */
void request_route_put(struct rh_buf *b, const struct request *r);

/* often.c */
void often_put(struct view *v, const struct request *r);

#endif
