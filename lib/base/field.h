/*
 * field - one table describes a struct for all who read or write it: JSON in
 * and out (http/shape), rows of a result (data/pipe), query parameters,
 * directives of the configuration, the API's reference.
 *
 * Shape    rows of { name, type, offset }, ended by { 0 }; RH_AT checks at
 *          compile time that the member has the type's C type
 * Units    min and max: code points for RH_T_TEXT, the value
 *          itself for RH_T_INT, items for RH_T_LIST and RH_T_TEXTS; 0 and 0
 *          is "no bounds"
 * Owner    static tables
 */
#ifndef RH_BASE_FIELD_H
#define RH_BASE_FIELD_H

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"

enum rh_type {
	RH_T_END,	/* no row: the end of a table */
	RH_T_TEXT,
	RH_T_UUID,
	RH_T_TIME,
	RH_T_INT,
	RH_T_BOOL,
	RH_T_ENUM,	/* an index into names; text on the wire and in SQL */
	RH_T_OBJECT,	/* a struct inside the struct, described by of */
	RH_T_LIST,	/* an rh_list of such structs */
	RH_T_JSON,	/* an object, as its text: answered as it is, never read */
	RH_T_TEXTS,	/* an array of strings, as its JSON text */
};

/* The C type behind each. */
#define RH_CTYPE_TEXT	struct rh_slice		/* p == NULL is null */
#define RH_CTYPE_JSON	struct rh_slice		/* p == NULL is null */
#define RH_CTYPE_TEXTS	struct rh_slice		/* p == NULL is null */
#define RH_CTYPE_UUID	struct rh_uuid		/* nil is null */
#define RH_CTYPE_TIME	int64_t			/* RH_TIME_NONE is null */
#define RH_CTYPE_INT	int64_t			/* RH_INT_NONE is null, where it is NULLABLE */
#define RH_INT_NONE	INT64_MIN
#define RH_CTYPE_BOOL	bool
#define RH_CTYPE_ENUM	int			/* -1 is null */

struct rh_list {
	void *items;	/* n structs of the size the field says */
	size_t n;
};
#define RH_CTYPE_LIST	struct rh_list

enum rh_field_flag {
	RH_F_REQUIRED = 1 << 0,	/* a body without it is 422 */
	RH_F_NULLABLE = 1 << 1,	/* null is a value */
	RH_F_INTERNAL = 1 << 2,	/* a column of the row, not a member of the JSON */
	RH_F_LINE = 1 << 3,	/* text without control characters, not blank */
};

/* What ,"name": may take. */
#define RH_KEY_ROOM	32

struct rh_field {
	const char *name;
	char key[RH_KEY_ROOM];		/* ,"name": as it stands in JSON */
	unsigned char key_n;
	enum rh_type type;
	size_t at;
	unsigned flags;
	int64_t min, max;
	const char *const *names;	/* RH_T_ENUM: NULL-terminated; "" is no value of it */
	const struct rh_field *of;	/* RH_T_OBJECT, RH_T_LIST */
	size_t size;			/* RH_T_LIST: of one item; RH_T_TEXTS: its most code points */
	const char *format;		/* OpenAPI: "email", "uri"; or NULL */
	const char *doc;		/* one sentence for the API's reference */
};

/* The index of text among an RH_T_ENUM's names; -1: none of them. */
int rh_field_enum(const struct rh_field *f, struct rh_slice text);

/* offsetof(record, member), once the member is known to be an RH_CTYPE_##kind. */
#define RH_AT(kind, record, member)						\
	(offsetof(record, member) + 0 * sizeof(struct {				\
		_Static_assert(__builtin_types_compatible_p(			\
		    __typeof__(((record *)0)->member), RH_CTYPE_##kind),	\
		    #member " is no RH_CTYPE_" #kind); int unused; }))
/* A row's name, and what the compiler makes of it. */
#define RH_NAMED(json)								\
	.name = (json), .key = ",\"" json "\":", .key_n = sizeof(json) + 3 +	\
	    0 * sizeof(struct { _Static_assert(sizeof(json) + 3 <=		\
	    RH_KEY_ROOM, json " is too long"); int unused; })
/* A row's first fields: RH_FIELD("name", TEXT, struct project, name) */
#define RH_FIELD(json, kind, record, member)					\
	RH_NAMED(json), .type = RH_T_##kind, .at = RH_AT(kind, record, member)
#define RH_FIELD_OBJECT(json, record, member, shape)				\
	RH_NAMED(json), .type = RH_T_OBJECT, .at = offsetof(record, member), .of = (shape)

#endif
