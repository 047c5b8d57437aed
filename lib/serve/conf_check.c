#include "config.h"

#include "serve/conf.h"

#include "data/redis_url.h"

/*
 * Apart from conf.c, which programs without a session to anything have, too.
 * The memory is for one URL, and a file has a bound.
 */
void
rh_serve_conf_check_urls(const struct rh_serve_conf *conf,
    struct rh_buf *faults)
{
	struct rh_arena *arena;
	struct rh_redis_url url;
	char memory[160];
	struct rh_buf why;

	if (conf->redis_url.n == 0)
		return;
	arena = rh_arena_new(1024, 4 << 20);
	rh_buf_init_fixed(&why, memory, sizeof(memory));
	if (!rh_redis_url_get(&url, conf->redis_url, arena, &why))
		rh_buf_printf(faults, "redis_url: %.*s\n",
		    RH_SLICE_ARG(rh_buf_get(&why)));
	rh_arena_destroy(&arena);
}
