/*
 * seal - a webhook's secret as it stands in the database, in hexadecimal: for
 * stories that write their webhooks by SQL.
 *
 *	seal SECRET_KEY TENANT WEBHOOK whsec_...
 */
#include "config.h"

#include <stdio.h>

#include "jobs/sign.h"

int
main(int argc, char **argv)
{
	unsigned char to[RH_HOOK_SEALED_MAX];
	struct rh_hook_secret secret;
	struct rh_uuid tenant, webhook;
	struct rh_hook_key key;
	struct rh_slice sealed;

	if (argc != 5 || !rh_uuid_get(&tenant, rh_slice_of(argv[2])) ||
	    !rh_uuid_get(&webhook, rh_slice_of(argv[3])) ||
	    !rh_hook_secret_get(&secret, rh_slice_of(argv[4])))
		return 2;
	rh_hook_key_init(&key, rh_slice_of(argv[1]));
	sealed = rh_hook_secret_seal(to, &key, tenant, webhook, &secret);
	for (size_t i = 0; i < sealed.n; i++)
		printf("%02x", (unsigned char)sealed.p[i]);
	printf("\n");
	return 0;
}
