/* check_openapi.c - the API's reference is whole: it parses, and all it refers to is there. */
#include "config.h"

#include <json-c/json.h>
#include <stdio.h>

#include "http/openapi.h"
#include "rh_check.h"

static const char *const statuses[] = { "active", "archived", NULL };

struct owner { struct rh_uuid id; struct rh_slice email; };
struct thing {
	struct rh_uuid id;
	struct rh_slice name, secret;
	int status;
	int64_t created_at, version;
	struct owner owner;
	struct rh_list members;
};
struct query { int64_t limit; struct rh_slice cursor; int status; };

static const struct rh_field owner_shape[] = {
	{ RH_FIELD("id", UUID, struct owner, id) },
	{ RH_FIELD("email", TEXT, struct owner, email), .min = 3, .max = 254, .format = "email" },
	{ 0 }
};
static const struct rh_field thing_shape[] = {
	{ RH_FIELD("id", UUID, struct thing, id), .doc = "Made by us, version 7" },
	{ RH_FIELD("name", TEXT, struct thing, name), .flags = RH_F_LINE, .min = 1, .max = 200 },
	{ RH_FIELD("secret", TEXT, struct thing, secret), .flags = RH_F_INTERNAL },
	{ RH_FIELD("status", ENUM, struct thing, status), .flags = RH_F_NULLABLE, .names = statuses },
	{ RH_FIELD("created_at", TIME, struct thing, created_at) },
	{ RH_FIELD("version", INT, struct thing, version) },
	{ RH_FIELD_OBJECT("owner", struct thing, owner, owner_shape) },
	{ RH_NAMED("members"), .type = RH_T_LIST, .at = RH_AT(LIST, struct thing, members),
	    .of = owner_shape, .size = sizeof(struct owner) },
	{ 0 }
};
static const struct rh_field thing_body[] = {
	{ RH_FIELD("name", TEXT, struct thing, name), .flags = RH_F_REQUIRED | RH_F_LINE, .min = 1, .max = 200 },
	{ RH_FIELD("status", ENUM, struct thing, status), .names = statuses },
	{ 0 }
};
static const struct rh_field key_shape[] = {
	{ RH_FIELD("secret", TEXT, struct thing, secret) },
	{ 0 }
};
static const struct rh_field session_body[] = {
	{ RH_FIELD("email", TEXT, struct owner, email), .flags = RH_F_REQUIRED, .min = 3, .max = 254, .format = "email" },
	{ 0 }
};
static const struct rh_field params[] = {
	{ RH_FIELD("limit", INT, struct query, limit), .min = 1, .max = 100, .doc = "20 unless given" },
	{ RH_FIELD("cursor", TEXT, struct query, cursor), .max = 43 },
	{ RH_FIELD("status", ENUM, struct query, status), .names = statuses },
	{ 0 }
};

static struct rh_err *
handler(struct rh_call *c)
{
	(void)c;
	return NULL;
}

#define T "/v1/t/{tenant}"
#define ROW(m, t, a, r, w)	.method = (m), .template = (t), .access = (a), \
	.role = (r), .rate = (w), .handler = handler
/* clang-format off */
static const struct rh_route rows[] = {
	{ ROW(RH_POST, "/v1/sessions", RH_PUBLIC, RH_ROLE_NONE, RH_RATE_CREDENTIALS), .body = session_body, .answer = RH_ANSWER_CREATED, .shape = owner_shape, .flags = RH_ROUTE_CREDENTIALS },
	{ ROW(RH_DELETE, "/v1/sessions/current", RH_USER, RH_ROLE_NONE, RH_RATE_WRITE), .answer = RH_ANSWER_NONE, .summary = "Sign out" },
	{ ROW(RH_GET, T, RH_TENANT, RH_VIEWER, RH_RATE_READ), .answer = RH_ANSWER_ONE, .shape = owner_shape, .flags = RH_ROUTE_ETAG },
	{ ROW(RH_POST, T "/projects", RH_TENANT, RH_MEMBER, RH_RATE_WRITE), .body = thing_body, .answer = RH_ANSWER_CREATED, .shape = thing_shape, .flags = RH_ROUTE_ETAG },
	{ ROW(RH_GET, T "/projects", RH_TENANT, RH_VIEWER, RH_RATE_READ), .params = params, .answer = RH_ANSWER_PAGE, .shape = thing_shape },
	{ ROW(RH_GET, T "/projects/{id}", RH_TENANT, RH_VIEWER, RH_RATE_READ), .answer = RH_ANSWER_ONE, .shape = thing_shape, .flags = RH_ROUTE_ETAG },
	{ ROW(RH_PATCH, T "/projects/{id}", RH_TENANT, RH_MEMBER, RH_RATE_WRITE), .body = thing_body, .answer = RH_ANSWER_ONE, .shape = thing_shape, .flags = RH_ROUTE_ETAG | RH_ROUTE_MERGE },
	{ ROW(RH_DELETE, T "/projects/{id}", RH_TENANT, RH_MEMBER, RH_RATE_WRITE), .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_ETAG },
	{ ROW(RH_POST, T "/api-keys/{id}/rotate", RH_TENANT, RH_ADMIN, RH_RATE_WRITE), .answer = RH_ANSWER_ONE, .shape = key_shape, .flags = RH_ROUTE_CREDENTIALS },
	{ ROW(RH_POST, T "/attachments", RH_TENANT, RH_MEMBER, RH_RATE_WRITE), .answer = RH_ANSWER_CREATED, .shape = key_shape, .flags = RH_ROUTE_RAW },
	{ ROW(RH_GET, "/livez", RH_PUBLIC, RH_ROLE_NONE, RH_RATE_NONE), .answer = RH_ANSWER_ONE },
	{ 0 }
};
/* clang-format on */

static json_object *
document(void)
{
	static const struct rh_route *const tables[] = { rows, NULL };
	struct rh_api_info info = { "Things", "1.0.0", "An API of things" };
	struct rh_slice text;
	struct rh_buf why;
	json_object *doc;
	FILE *f;

	rh_buf_init(&why, rh_check_arena(), 64, 4096);
	text = rh_openapi_make(rh_check_arena(),
	    rh_router_new(rh_check_arena(), tables, &why), &info);
	/* for a linter: RH_OPENAPI=file check_openapi */
	if (getenv("RH_OPENAPI") && (f = fopen(getenv("RH_OPENAPI"), "w"))) {
		fwrite(text.p, 1, text.n, f);
		fclose(f);
	}
	doc = json_tokener_parse(rh_arena_strdup(rh_check_arena(), text));
	ck_assert_ptr_nonnull(doc);
	return doc;
}

/* "#/components/schemas/X" or "/paths/~1v1~1me/get" */
static json_object *
at(json_object *doc, const char *pointer)
{
	json_object *found = NULL;

	if (*pointer == '#')
		pointer++;
	return json_pointer_get(doc, pointer, &found) == 0 ? found : NULL;
}

static const char *
text_at(json_object *doc, const char *pointer)
{
	json_object *found = at(doc, pointer);

	ck_assert_msg(found != NULL, "%s is not there", pointer);
	return json_object_get_string(found);
}

static unsigned
check_refs(json_object *doc, json_object *node)
{
	unsigned n = 0;

	if (json_object_is_type(node, json_type_array))
		for (size_t i = 0; i < json_object_array_length(node); i++)
			n += check_refs(doc, json_object_array_get_idx(node, i));
	if (!json_object_is_type(node, json_type_object))
		return n;
	json_object_object_foreach(node, name, value) {
		if (strcmp(name, "$ref") == 0) {
			ck_assert_msg(at(doc, json_object_get_string(value)) != NULL,
			    "%s leads nowhere", json_object_get_string(value));
			n++;
		}
		n += check_refs(doc, value);
	}
	return n;
}

START_TEST(every_reference_leads_somewhere)
{
	json_object *doc = document();

	ck_assert_uint_gt(check_refs(doc, doc), 50);
	json_object_put(doc);
}
END_TEST

START_TEST(operation_ids_are_unique_and_parameters_complete)
{
	json_object *doc = document(), *ids = json_object_new_object();
	unsigned n = 0;

	json_object_object_foreach(at(doc, "/paths"), path, item) {
		json_object_object_foreach(item, method, op) {
			const char *id = text_at(op, "/operationId");
			unsigned in_path = 0, named = 0;
			json_object *list = at(op, "/parameters");

			(void)method;
			ck_assert_msg(!json_object_object_get_ex(ids, id, NULL),
			    "%s stands twice", id);
			json_object_object_add(ids, id, NULL);
			for (const char *c = path; *c; c++)
				in_path += *c == '{';
			for (size_t i = 0; i < json_object_array_length(list); i++) {
				json_object *in = at(json_object_array_get_idx(list, i), "/in");

				named += in && strcmp(json_object_get_string(in), "path") == 0;
			}
			ck_assert_uint_eq(in_path, named);
			ck_assert_ptr_nonnull(at(op, "/responses/500"));
			n++;
		}
	}
	ck_assert_uint_eq(n, RH_COUNT(rows) - 1);
	json_object_put(ids);
	json_object_put(doc);
}
END_TEST

#define PROJECT	"/paths/~1v1~1t~1{tenant}~1projects~1{id}"
#define LIST	"/paths/~1v1~1t~1{tenant}~1projects"
static const struct { const char *pointer, *value; } facts[] = {
	{ "/openapi", "3.1.0" },
	{ "/info/title", "Things" },
	{ LIST "/get/operationId", "listProjects" },
	{ LIST "/get/tags/0", "projects" },
	{ LIST "/get/parameters/0/schema/pattern", "^[a-z][a-z0-9-]{1,38}[a-z0-9]$" },
	{ LIST "/get/parameters/1/schema/maximum", "100" },
	{ LIST "/get/parameters/1/description", "20 unless given" },
	{ LIST "/get/responses/200/content/application~1json/schema/$ref", "#/components/schemas/ProjectPage" },
	{ LIST "/get/responses/200/headers/Link/$ref", "#/components/headers/Link" },
	{ LIST "/post/responses/201/headers/Location/$ref", "#/components/headers/Location" },
	{ LIST "/post/requestBody/content/application~1json/schema/$ref", "#/components/schemas/ProjectCreate" },
	{ LIST "/post/description", "Needs a token of the tenant with the role member or higher." },
	{ PROJECT "/get/parameters/1/schema/format", "uuid" },
	{ PROJECT "/patch/requestBody/content/application~1merge-patch+json/schema/$ref", "#/components/schemas/ProjectUpdate" },
	{ PROJECT "/patch/responses/412/$ref", "#/components/responses/Problem412" },
	{ PROJECT "/get/responses/304/description", "The client has it already" },
	{ "/paths/~1v1~1t~1{tenant}/get/operationId", "getTenant" },
	{ "/paths/~1v1~1sessions~1current/delete/summary", "Sign out" },
	{ "/paths/~1livez/get/tags/0", "service" },
	{ "/components/schemas/ProjectPage/properties/data/maxItems", "100" },
	{ "/components/schemas/ProjectPage/properties/data/items/$ref", "#/components/schemas/Project" },
	{ "/components/schemas/Project/properties/status/enum/0", "active" },
	{ "/components/schemas/Project/properties/status/type/1", "null" },
	{ "/components/schemas/Project/properties/name/maxLength", "200" },
	{ "/components/schemas/ProjectCreate/required/0", "name" },
	{ "/components/schemas/ProjectCreate/additionalProperties", "false" },
	{ "/components/schemas/ApiKeyRotate/type", "object" },
};

START_TEST(the_tables_are_all_there)
{
	json_object *doc = document();

	ck_assert_str_eq(text_at(doc, facts[_i].pointer), facts[_i].value);
	json_object_put(doc);
}
END_TEST

static const char *const absent[] = {
	"/components/schemas/Project/properties/secret",	/* a column, no member */
	"/components/schemas/ProjectUpdate/required",
	"/paths/~1livez/get/security/0",
	"/paths/~1livez/get/responses/401",
	PROJECT "/get/responses/403",
	PROJECT "/get/requestBody",
};

START_TEST(and_nothing_besides)
{
	json_object *doc = document();

	ck_assert_ptr_null(at(doc, absent[_i]));
	json_object_put(doc);
}
END_TEST

RH_CHECK_MAIN("http/openapi",
    RH_CASE(every_reference_leads_somewhere),
    RH_CASE(operation_ids_are_unique_and_parameters_complete),
    RH_LOOP(the_tables_are_all_there, facts),
    RH_LOOP(and_nothing_besides, absent))
