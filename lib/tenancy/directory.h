/*
 * directory - slug to tenant, for all workers of a host.
 *
 * Shape    an open-addressed table of words in the segment, which number the
 *          entries; those stand side by side, so that what few tenants touch
 *          of a large table is little. Slugs never change and are never given
 *          twice, so an entry is written once and stays. Its limits may
 *          change: a word each, and who reads meanwhile has some of both; so
 *          may its placement, a word
 * Errors   a full table remembers nothing more: such a tenant costs a second
 *          round trip each time
 * Owner    the segment's area "tenants"; a worker killed while it wrote loses
 *          one place and one entry
 */
#ifndef RH_TENANCY_DIRECTORY_H
#define RH_TENANCY_DIRECTORY_H

#include <stdint.h>

#include "base/id.h"

#define RH_SLUG_MAX 40

struct rh_directory;	/* in shared memory, zeros at first */

/* A plan: requests in a window. 0: as configured. */
struct rh_limits {
	uint32_t tenant, token, tenant_write, token_write, window_ms;
};

struct rh_tenant {
	struct rh_uuid id;
	uint32_t label;		/* of the metrics' tenant dimension */
	struct rh_limits limits;
	uint64_t placement;	/* rh_placement_hash of its name; 0: home */
};

size_t rh_directory_bytes(unsigned tenants);
/* False: not known on this host. */
bool rh_directory_find(const struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, struct rh_tenant *tenant);
void rh_directory_put(struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, const struct rh_tenant *tenant);
/* What the database says by now. A tenant that is not known stays so. */
void rh_directory_limit(struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, const struct rh_limits *limits);
/* It lives there from now on. A tenant that is not known stays so. */
void rh_directory_place(struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, uint64_t placement);
/* Never 0, but for no name: the same on every host, whatever its configuration. */
uint64_t rh_placement_hash(struct rh_slice name);
/* As a slug may look: ^[a-z][a-z0-9-]{1,38}[a-z0-9]$ */
bool rh_slug_is(struct rh_slice slug);

#endif
