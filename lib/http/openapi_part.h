/*
 * openapi_part - what the files of the API's reference share.
 *
 * Shape    a JSON writer that sets commas by what it wrote last, and the
 *          schemas found so far, named after the routes that use them
 * Owner    inside lib/http
 */
#ifndef RH_HTTP_OPENAPI_PART_H
#define RH_HTTP_OPENAPI_PART_H

#include "base/buf.h"
#include "base/field.h"
#include "http/route.h"

struct rh_api_out {
	struct rh_arena *arena;
	struct rh_buf b;
};

void rh_api_key(struct rh_api_out *o, const char *key);
/* key NULL: an item of an array. */
void rh_api_open(struct rh_api_out *o, const char *key, char bracket);
void rh_api_close(struct rh_api_out *o, char bracket);
void rh_api_text(struct rh_api_out *o, const char *key, const char *value);
void rh_api_int(struct rh_api_out *o, const char *key, int64_t value);
void rh_api_bool(struct rh_api_out *o, const char *key, bool value);
void rh_api_ref(struct rh_api_out *o, const char *kind, const char *name);

/* How a table is used decides what its schema asks for. */
enum rh_api_use { RH_API_ANSWER, RH_API_BODY, RH_API_MERGE };

struct rh_api_schema {
	const struct rh_field *shape;
	enum rh_api_use use;
	const char *name;
	struct rh_api_schema *next;
};

struct rh_api_schemas {
	struct rh_arena *arena;
	struct rh_api_schema *first, **end;
};

/* Finds it, or adds it under a name like wanted, and those inside it. */
const char *rh_api_schema_add(struct rh_api_schemas *all,
    const struct rh_field *shape, enum rh_api_use use, const char *wanted);
const char *rh_api_schema_name(const struct rh_api_schemas *all,
    const struct rh_field *shape, enum rh_api_use use);
/* "Name":{…} for each. */
void rh_api_schemas_put(struct rh_api_out *o, const struct rh_api_schemas *all);
/* The members of a schema for one row: also for parameters. */
void rh_api_field_put(struct rh_api_out *o, const struct rh_api_schemas *all,
    const struct rh_field *f, enum rh_api_use use);

/* A list of names, ended by NULL, as references to components/headers. */
void rh_api_headers_put(struct rh_api_out *o, const char *const *names);
/* schema NULL: any object. */
void rh_api_content_put(struct rh_api_out *o, const char *type,
    const char *schema);
/* All that is referred to from elsewhere. */
void rh_api_components_put(struct rh_api_out *o,
    const struct rh_api_schemas *schemas, const struct rh_router *router);

/* The name in "{name}"; p == NULL: a literal segment. */
struct rh_slice rh_api_argument(struct rh_slice segment);
/* What a route stands under, is called, and what its schemas are called after. */
const char *rh_api_tag(struct rh_arena *arena, const struct rh_route *r);
const char *rh_api_operation(struct rh_arena *arena, const struct rh_route *r);
const char *rh_api_noun(struct rh_arena *arena, const struct rh_route *r);
/* "api-keys" to "ApiKeys". */
char *rh_api_camel(struct rh_arena *arena, struct rh_slice words);

#endif
