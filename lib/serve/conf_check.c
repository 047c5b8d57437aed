#include "config.h"

#include "serve/conf.h"

#include "data/redis_url.h"

/*
 * Apart from conf.c, which programs without a session to anything have, too.
 * The memory is for one URL, and a file has a bound.
 */
static void
check_redis(const char *whose, struct rh_slice text, struct rh_buf *faults)
{
	struct rh_arena *arena;
	struct rh_redis_url url;
	char memory[160];
	struct rh_buf why;

	if (text.n == 0)
		return;
	arena = rh_arena_new(1024, 4 << 20);
	rh_buf_init_fixed(&why, memory, sizeof(memory));
	if (!rh_redis_url_get(&url, text, arena, &why))
		rh_buf_printf(faults, "%sredis_url: %.*s\n", whose,
		    RH_SLICE_ARG(rh_buf_get(&why)));
	rh_arena_destroy(&arena);
}

void
rh_serve_conf_check_urls(const struct rh_serve_conf *conf,
    struct rh_buf *faults)
{
	check_redis("", conf->redis_url, faults);
}

void
rh_serve_conf_check_placement_urls(const struct rh_placement_conf *p,
    struct rh_buf *faults)
{
	for (; p->name.n; p++)
		check_redis("placement: a ", p->redis_url, faults);
}
