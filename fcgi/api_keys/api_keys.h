/*
 * api_keys - credentials of a tenant's own, for programs.
 *
 * Shape    struct api_key is a row and a JSON object; the key itself is shown
 *          once, when it is made or rotated, and only its SHA-256 is stored
 * Errors   api_key.missing 404, role.above_own 403
 */
#ifndef API_KEYS_API_KEYS_H
#define API_KEYS_API_KEYS_H

#include "serve/app.h"

struct api_key {
	struct rh_uuid id;
	struct rh_slice name;
	int role;
	struct rh_uuid created_by;
	int64_t expires_at;
	int64_t created_at, updated_at;
	int64_t version;
};

/* With the key: the answer to its making alone. */
struct api_key_made {
	struct api_key row;
	struct rh_slice key;
};

struct api_key_new {
	struct rh_slice name;
	int role;
	int64_t expires_at;
};

struct api_keys_query {
	struct rh_paging paging;
};

struct api_keys_page {
	struct api_key *rows;
	size_t n;
};

extern const struct rh_field api_key_shape[];
extern const struct rh_resource api_keys_resource;
extern struct rh_stmt api_keys_stmts[];

void api_keys_repo_page(struct rh_call *c, const struct api_keys_query *q,
    struct api_keys_page *out);
bool api_keys_repo_get(struct rh_call *c, struct rh_uuid id, struct api_key *out);
/* False: the role is above the caller's. */
bool api_keys_repo_create(struct rh_call *c, const struct api_key_new *what,
    const struct rh_token *token, struct api_key *out);
/* Why a change touched no row. */
struct api_key_state {
	bool exists;
	bool above;	/* its role is above the caller's */
};
bool api_keys_repo_rotate(struct rh_call *c, struct rh_uuid id,
    const struct rh_token *token, struct api_key *out,
    struct api_key_state *state);
bool api_keys_repo_revoke(struct rh_call *c, struct rh_uuid id,
    struct api_key_state *state);

#endif
