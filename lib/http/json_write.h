/*
 * json_write - many structs of one shape as a JSON array.
 *
 * Shape    what rh_shape_write does for each, with commas between them
 * Owner    inside lib/http; shape.h is for everybody else
 */
#ifndef RH_HTTP_JSON_WRITE_H
#define RH_HTTP_JSON_WRITE_H

#include "http/shape.h"

void rh_shape_write_list(struct rh_buf *to, const struct rh_field *shape,
    const void *items, size_t n, size_t item_bytes);

#endif
