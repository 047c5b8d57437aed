/*
 * sealed - arguments of a job that the database, its backups and its replicas
 * do not read.
 *
 * Shape    {"rowhouse.sealed": "base64url"}: AES-256-GCM under a key derived
 *          from the directive secret_key, bound to the tenant and to the row
 *          that holds it. What is sealed is seen by its shape, so it is opened
 *          whatever its kind says today
 * Errors   false: sealed with another key, for another row, or altered since
 * Owner    texts are in the arena given
 */
#ifndef RH_JOBS_SEALED_H
#define RH_JOBS_SEALED_H

#include "base/arena.h"
#include "base/crypto.h"
#include "base/id.h"

/* As much as is RH_JOB_ARGS_MAX once it is sealed. */
#define RH_SEALED_MAX 49000

struct rh_sealer {
	unsigned char key[RH_SEAL_KEY_LEN];
};

void rh_sealer_init(struct rh_sealer *sealer, struct rh_slice secret);
struct rh_slice rh_args_seal(const struct rh_sealer *sealer,
    struct rh_arena *arena, struct rh_uuid tenant, struct rh_uuid row,
    struct rh_slice args);
bool rh_args_are_sealed(struct rh_slice args);
/* *args as they were; those that are not sealed stay as they are. */
RH_MUST_CHECK bool rh_args_open(const struct rh_sealer *sealer,
    struct rh_arena *arena, struct rh_uuid tenant, struct rh_uuid row,
    struct rh_slice *args);

#endif
