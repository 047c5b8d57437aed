/*
 * inboxes - URLs that record whatever is sent to them.
 *
 * Shape    struct inbox is a row and a JSON object; its URL holds a token,
 *          which is stored as its SHA-256, to be found by, and sealed, to be
 *          shown to the tenant's admins again: who sets up a sender comes back
 *          for it, and an admin could make another inbox and read it all the same
 * Errors   inbox.missing 404, inbox.too_many 409, inbox.forward_url 422
 */
#ifndef INBOXES_INBOXES_H
#define INBOXES_INBOXES_H

#include "serve/app.h"

struct inbox {
	struct rh_uuid id;
	struct rh_slice name;
	struct rh_slice sealed; /* the token; never shown */
	struct rh_slice url; /* p == NULL: sealed with another key than ours */
	struct rh_slice forward_url; /* p == NULL: nothing is forwarded */
	int64_t answer_status;
	int answer_type;
	struct rh_slice answer_body;
	int64_t quota; /* so many are kept */
	int64_t expires_at;
	int64_t created_at, updated_at;
	int64_t version;
};

extern const char *const inbox_answer_types[];

/* Of a new one, and of a change: what is not given stays, or is the default. */
struct inbox_change {
	struct rh_slice name, forward_url, answer_body;
	int64_t answer_status, quota,
	    ttl_s;	 /* 0: not given; of ttl_s: never, too */
	int answer_type; /* -1: not given */
	bool has_forward_url, has_ttl;
};

struct inboxes_query {
	struct rh_paging paging;
};

struct inboxes_page {
	struct inbox *rows;
	size_t n;
};

extern const struct rh_resource inboxes_resource, receive_resource,
    forward_resource;
extern struct rh_stmt inboxes_stmts[], receive_stmts[];
/* A row of inboxes, as the statements answer it. */
extern const struct rh_field inbox_columns[];

/* What is wrong with a URL to forward to, NULL: nothing; field: its JSON pointer. */
struct rh_err *inbox_url_check(struct rh_call *c, struct rh_slice url,
    const char *field);

void inboxes_repo_page(struct rh_call *c, const struct inboxes_query *q,
    struct inboxes_page *out);
bool inboxes_repo_get(struct rh_call *c, struct rh_uuid id, struct inbox *out);
/* What is to be stored of a new one's token. */
struct inbox_secret {
	struct rh_token token;
	struct rh_slice sealed;
};
/* False: the tenant has as many as it may. */
bool inboxes_repo_create(struct rh_call *c, struct rh_uuid id,
    const struct inbox_change *what, const struct inbox_secret *secret,
    struct inbox *out);
bool inboxes_repo_update(struct rh_call *c, struct rh_uuid id,
    const struct inbox_change *what, struct inbox *out, bool *exists);
bool inboxes_repo_delete(struct rh_call *c, struct rh_uuid id, bool *exists);
/* Queues the question; rh_pipe_int answers 1 or 0. */
void inboxes_repo_exists_send(struct rh_call *c, struct rh_uuid id);

/* forward.c: the jobs that send a recorded request on. */
enum inbox_job { INBOX_FORWARD };
extern struct rh_job_kind inbox_kinds[];
extern struct rh_stmt forward_stmts[];

#endif
