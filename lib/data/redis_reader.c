#include "config.h"

#include "data/redis_session.h"

#include <stdlib.h>

#include <hiredis/read.h>

/* Of one pipeline, as values; far below the arena's cap. */
#define VALUES_MAX	((size_t)64 << 20)

/* What stands for an answer that nobody wants. */
static struct rh_redis_value unwanted;

static struct rh_redis_sink *
sink_of(const redisReadTask *task)
{
	return task->privdata;
}

/* Of an array's item the place is there already. NULL: over the bound. */
static struct rh_redis_value *
value_new(const redisReadTask *task, enum rh_redis_kind kind, size_t bytes)
{
	struct rh_redis_sink *sink = sink_of(task);
	struct rh_redis_value *v;

	if (!sink->arena)
		return &unwanted;
	sink->bytes += bytes + sizeof(*v);
	if (bytes > VALUES_MAX || sink->bytes > VALUES_MAX)
		return NULL;
	if (task->parent) {
		const struct rh_redis_value *array = task->parent->obj;

		v = (struct rh_redis_value *)&array->items[task->idx];
	} else {
		v = rh_arena_alloc(sink->arena, sizeof(*v));
	}
	*v = (struct rh_redis_value){ .kind = kind };
	return v;
}

/* Not done, and not for what it says: another server might have. */
static bool
is_refusal(struct rh_slice text)
{
	static const char *const words[] = { "MOVED", "ASK", "TRYAGAIN",
		"CLUSTERDOWN", "READONLY", "LOADING", "MASTERDOWN", "NOAUTH",
		NULL };
	struct rh_slice word = rh_slice_cut(&text, ' ');

	for (int i = 0; words[i]; i++)
		if (rh_slice_is(word, rh_slice_of(words[i])))
			return true;
	return false;
}

static void *
make_text(const redisReadTask *task, char *bytes, size_t n)
{
	struct rh_redis_sink *sink = sink_of(task);
	struct rh_slice text = { bytes, n };
	struct rh_redis_value *v = value_new(task, task->type ==
	    REDIS_REPLY_ERROR ? RH_REDIS_ERROR : RH_REDIS_TEXT, n);

	if (!sink->arena)
		sink->lost |= task->type == REDIS_REPLY_ERROR &&
		    !task->parent && is_refusal(text);
	else if (v)
		v->text = (struct rh_slice){
			rh_arena_strdup(sink->arena, text), n };
	return v;
}

static void *
make_array(const redisReadTask *task, int n)
{
	const size_t bytes = (size_t)n * sizeof(struct rh_redis_value);
	struct rh_redis_value *v = value_new(task, RH_REDIS_ARRAY, bytes);

	if (v && v != &unwanted) {
		v->n = (size_t)n;
		v->items = rh_arena_zalloc(sink_of(task)->arena, (size_t)n,
		    sizeof(*v->items));
	}
	return v;
}

static void *
make_int(const redisReadTask *task, long long number)
{
	struct rh_redis_value *v = value_new(task, RH_REDIS_INT, 0);

	if (v && v != &unwanted)
		v->number = number;
	return v;
}

static void *
make_nil(const redisReadTask *task)
{
	return value_new(task, RH_REDIS_NIL, 0);
}

static void
leave_to_arena(void *value)
{
	(void)value;
}

static redisReplyObjectFunctions functions = {
	make_text, make_array, make_int, make_nil, leave_to_arena
};

struct redisReader *
rh_redis_reader_new(struct rh_redis_sink *sink)
{
	redisReader *reader = redisReaderCreateWithFunctions(&functions);

	rh_assert(reader != NULL);
	reader->privdata = sink;
	return reader;
}

void
rh_redis_reader_free(struct redisReader *reader)
{
	if (reader)
		redisReaderFree(reader);
}

bool
rh_redis_reader_feed(struct redisReader *reader, const char *bytes, size_t n)
{
	return reader->len - reader->pos <= VALUES_MAX &&
	    redisReaderFeed(reader, bytes, n) == REDIS_OK;
}

bool
rh_redis_reader_take(struct redisReader *reader,
    const struct rh_redis_value **value)
{
	void *reply = NULL;
	bool good = redisReaderGetReply(reader, &reply) == REDIS_OK;

	*value = reply;
	return good;
}

const char *
rh_redis_reader_trouble(const struct redisReader *reader)
{
	return reader->err ? reader->errstr : "an answer over the bound";
}

bool
rh_redis_is_error(const struct rh_redis_value *v, const char *word)
{
	struct rh_slice text = v->text;

	return v->kind == RH_REDIS_ERROR &&
	    rh_slice_is(rh_slice_cut(&text, ' '), rh_slice_of(word));
}

bool
rh_redis_is_again(const struct rh_redis_value *v)
{
	return rh_redis_is_error(v, "NOSCRIPT") ||
	    rh_redis_is_error(v, "TRYAGAIN") ||
	    rh_redis_is_error(v, "MOVED") || rh_redis_is_error(v, "ASK");
}
