#include "config.h"

#include "jobs/out.h"

#define REST_MS 100

struct asked {
	struct rh_arena *arena;
	struct rh_out_reply *reply;
};

static void
on_answer(void *arg, const struct rh_out_reply *reply)
{
	struct asked *a = arg;

	*a->reply = *reply;
	a->reply->body = rh_arena_slice(a->arena, reply->body);
	a->reply->retry_after = rh_arena_slice(a->arena, reply->retry_after);
}

void
rh_out_ask(const struct rh_out_conf *conf, struct rh_arena *arena,
    const struct rh_out_request *request, struct rh_out_reply *reply)
{
	struct asked asked = { arena, reply };
	struct rh_out *out = rh_out_new(
	    &(struct rh_out_conf){ .allow = conf->allow, .most = 1 });

	*reply = (struct rh_out_reply){ .error = "broken" };
	if (!out)
		return;
	if (rh_out_start(out, request, on_answer, &asked))
		while (rh_out_step(out, REST_MS) > 0)
			;
	rh_out_destroy(&out);
}
