#include "config.h"

#include "data/redis_session.h"

#include "base/crypto.h"
#include "base/text.h"

enum { SCRIPTS_MAX = 64 };

/* Filled before the first fork, read ever after. */
static const struct rh_script *all[SCRIPTS_MAX];
static unsigned count;

void
rh_scripts_register(struct rh_script *scripts)
{
	unsigned char sha1[RH_SHA1_LEN];

	for (struct rh_script *s = scripts; s->name; s++) {
		rh_assert(count < SCRIPTS_MAX);
		rh_sha1(sha1, s->lua, strlen(s->lua));
		rh_hex_put(s->sha1, sha1, sizeof(sha1));
		s->sha1[sizeof(s->sha1) - 1] = '\0';
		all[count++] = s;
	}
}

unsigned
rh_redis_scripts_count(void)
{
	return count;
}

const struct rh_script *
rh_redis_scripts_get(unsigned index)
{
	return all[index];
}
