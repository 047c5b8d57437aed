/*
 * openapi - the API's reference, made of the tables that run it.
 *
 * Shape    OpenAPI 3.1 as JSON: a path item a template, parameters from its
 *          {names} and params tables, bodies and answers from the shapes,
 *          the problems a route can give from its access, rate and flags
 * Owner    the arena; made once, before the fork
 * Source   OpenAPI 3.1.0, JSON Schema 2020-12
 */
#ifndef RH_HTTP_OPENAPI_H
#define RH_HTTP_OPENAPI_H

#include "http/route.h"

struct rh_api_info { const char *title, *version, *description; };

struct rh_slice rh_openapi_make(struct rh_arena *arena,
    const struct rh_router *router, const struct rh_api_info *info);

#endif
