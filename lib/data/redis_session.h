/*
 * redis_session - what redis.c (a request's pipeline), redis_node.c (a
 * connection), redis_cluster.c (which of them) and redis_reader.c (answers)
 * share; nobody else includes it.
 */
#ifndef RH_DATA_REDIS_SESSION_H
#define RH_DATA_REDIS_SESSION_H

#include <sys/socket.h>

#include "data/redis.h"
#include "data/redis_breaker.h"
#include "data/redis_url.h"

struct redisReader;
struct rh_redis_lookup;

#define RH_REDIS_SLOTS		16384
#define RH_REDIS_NODES		128	/* masters of a cluster that we follow */
#define RH_REDIS_ADDRESSES	4	/* of one name that are tried */

/* ---- redis_reader.c: from bytes to values ---- */

/* Where the values of the answer that is being read go. */
struct rh_redis_sink {
	struct rh_arena *arena;	/* NULL: nobody wants it */
	size_t bytes;		/* so far; a bound holds for one pipeline */
	bool lost;		/* an unwanted answer said that it was not done */
};

struct redisReader *rh_redis_reader_new(struct rh_redis_sink *sink);
void rh_redis_reader_free(struct redisReader *reader);
/* NULL: not all of it is there. False: this is no Redis, or it said too much. */
RH_MUST_CHECK bool rh_redis_reader_feed(struct redisReader *reader,
    const char *bytes, size_t n);
RH_MUST_CHECK bool rh_redis_reader_take(struct redisReader *reader,
    const struct rh_redis_value **value);
const char *rh_redis_reader_trouble(const struct redisReader *reader);
/* The answer is an error that begins with this word. */
bool rh_redis_is_error(const struct rh_redis_value *v, const char *word);
/* It did not run, and for a reason that another try has not. */
bool rh_redis_is_again(const struct rh_redis_value *v);

/* ---- redis_resolve.c: from a name to addresses, without waiting ---- */

struct rh_redis_address {
	struct sockaddr_storage at;
	socklen_t n;
};

/* An address that is a number: at once. Answers how many. */
unsigned rh_redis_resolve_number(struct rh_redis_address *to, const char *host,
    uint16_t port);
/* A thread does it; NULL: it cannot be started. */
struct rh_redis_lookup *rh_redis_lookup_begin(const char *host, uint16_t port);
/* Readable once it is done. */
int rh_redis_lookup_fd(const struct rh_redis_lookup *l);
/* How many; 0: no such name. Ends the lookup. */
unsigned rh_redis_lookup_take(struct rh_redis_lookup **l,
    struct rh_redis_address *to);
void rh_redis_lookup_abandon(struct rh_redis_lookup **l);

/* ---- a command, from its sending to its answer ---- */

struct rh_redis_cmd {
	struct rh_slice wire;		/* of a script: without its head */
	const struct rh_script *script;
	unsigned nargs;			/* of a script: all but its head */
	int slot;			/* -1: any node */
	bool with_text;			/* EVAL */
	bool asking;			/* node was named by ASK, for this once */
	struct rh_redis_node *node;
	struct rh_slice name;		/* of the command, of its span */
	const struct rh_redis_value *value;
};

/* ---- redis_node.c: one connection ---- */

enum rh_redis_link {
	RH_LINK_NONE, RH_LINK_RESOLVING, RH_LINK_CONNECTING, RH_LINK_GREETING,
	RH_LINK_READY
};

struct rh_redis_node {
	struct rh_redis *r;
	char host[254];			/* "" : the unix socket of the URL */
	uint16_t port;
	bool in_map;			/* the cluster says that it has slots */
	int fd;
	enum rh_redis_link link;
	struct rh_breaker breaker;
	struct redisReader *reader;
	struct rh_redis_sink sink;
	uint64_t last_used_ns;
	unsigned unwanted;		/* answers of posts, still to come */

	/* opening */
	uint64_t opening_until_ns;
	struct rh_redis_lookup *lookup;
	struct rh_redis_address addresses[RH_REDIS_ADDRESSES];
	unsigned naddresses, address;
	struct rh_arena *scratch;
	unsigned greeted, greetings;

	/* a pipeline under way */
	struct rh_buf out;
	size_t written;
	struct rh_redis_cmd **sent;	/* NULL among them: an answer to ASKING */
	unsigned nsent, nread;
};

struct rh_redis {
	const struct rh_redis_conf *conf;
	const struct rh_redis_obs *obs;
	struct rh_arena *own;
	struct rh_redis_url url;
	bool configured;
	char trouble[512];
	int64_t since_ms;

	struct rh_redis_node *nodes[RH_REDIS_NODES];	/* the first: the URL's */
	unsigned nnodes;
	uint8_t *slots;			/* index of the node + 1; 0: unknown */
	bool is_cluster;
	bool map_stale;			/* something has moved */
	uint64_t map_asked_ns;

	/* a request's */
	struct rh_arena *arena;
	struct rh_trace *trace;
	struct rh_err *err;
	uint64_t deadline_ns;
	struct rh_redis_cmd *cmds;
	unsigned queued, cap, flushed, read;
	unsigned round_trips;
	uint64_t wait_ns;
};

struct rh_redis_node *rh_redis_node_new(struct rh_redis *r, const char *host,
    uint16_t port);
/* Nothing tripped, nothing told. */
void rh_redis_node_close(struct rh_redis_node *n);
/* The same after a failure: the breaker opens, the trouble is kept. */
void rh_redis_node_fail(struct rh_redis_node *n, const char *fmt, ...)
    RH_PRINTF(2, 3);
/* "redis.example:6379", "unix:/path" */
const char *rh_redis_node_name(const struct rh_redis_node *n, char to[280]);
/* As far as it goes without waiting; starts where the breaker lets it. */
bool rh_redis_node_try(struct rh_redis_node *n);
/*
 * Open, and nothing between us and the next answer but those of posts. Waits
 * only where the breaker is closed, for connect_timeout_ms at most.
 */
bool rh_redis_node_ready(struct rh_redis_node *n, uint64_t until_ns);
/* Not in use: reads answers of posts off, closes what has ended. */
void rh_redis_node_look(struct rh_redis_node *n);
void rh_redis_tell_up(const struct rh_redis *r);
/* False: failed, and closed. */
bool rh_redis_node_write(struct rh_redis_node *n);
bool rh_redis_node_read(struct rh_redis_node *n);
/* The next wanted answer; *value NULL: none is there yet. False: as above. */
bool rh_redis_node_take(struct rh_redis_node *n, struct rh_arena *arena,
    const struct rh_redis_value **value);

/* ---- redis_cluster.c: which node ---- */

/* The slot of a key, by its {tag}; -1: it has none. */
int rh_redis_slot(struct rh_slice key);
struct rh_redis_node *rh_redis_node_of(struct rh_redis *r, int slot);
/* The answer to CLUSTER SLOTS, from that node. */
void rh_redis_map_learn(struct rh_redis *r, const struct rh_redis_node *from,
    const struct rh_redis_value *slots);
/* "MOVED 3999 host:port", "ASK …"; *slot. NULL: it cannot be understood. */
struct rh_redis_node *rh_redis_redirect(struct rh_redis *r,
    const struct rh_redis_node *from, struct rh_slice text, int *slot);
/* Some other node that is worth asking, NULL: none. */
struct rh_redis_node *rh_redis_node_other(struct rh_redis *r,
    const struct rh_redis_node *than);

/* ---- redis_pipe.c: commands on their way ---- */

/* Appends a command's bytes; argv[0] is its name. */
void rh_redis_put_command(struct rh_buf *to, const struct rh_slice *argv,
    unsigned n);
void rh_redis_put_args(struct rh_buf *to, const struct rh_slice *args,
    unsigned n);
void rh_redis_put_number(struct rh_buf *to, unsigned number);
/* One command more for that node. */
void rh_redis_node_queue(struct rh_redis_node *n, struct rh_redis_cmd *cmd,
    unsigned most);
enum rh_redis_end { RH_END_ANSWERED, RH_END_LATE, RH_END_LOST };
/*
 * All that their nodes were given goes out and is answered. Who is late has its
 * connection closed, and with is_slow its breaker opened.
 */
enum rh_redis_end rh_redis_exchange(struct rh_redis *r, uint64_t until_ns, bool is_slow);

/* What was queued and not sent yet is not. */
void rh_redis_unqueue(struct rh_redis *r);
/* The same without waiting for answers. */
bool rh_redis_post_out(struct rh_redis *r, uint64_t until_ns);
/* What can be read are answers to posts. False: failed, or it is something else. */
bool rh_redis_read_off(struct rh_redis_node *n);

/* ---- redis_round.c: the rounds of a pipeline ---- */

/* The first one is kept. */
void rh_redis_fail(struct rh_redis *r, const char *code, const char *why);
/* So long from now, and not past the request's deadline. */
uint64_t rh_redis_until(const struct rh_redis *r, int64_t ms);
bool rh_redis_is_time_to_ask(const struct rh_redis *r);
/* Those of all commands that are queued. False: the error is told. */
bool rh_redis_nodes_open(struct rh_redis *r);
/*
 * What is still without an answer goes to its node's queue, and with map != NULL
 * the question for the map where it is time. False: the error is told.
 */
bool rh_redis_round_queue(struct rh_redis *r, struct rh_redis_cmd *map);
/* Until all that is queued is answered, or the error told. */
void rh_redis_rounds(struct rh_redis *r);

/* ---- redis_span.c ---- */

/* Of those that were sent in this round: they still have their node. */
void rh_redis_span_add(struct rh_redis *r, uint64_t start_ns, bool answered);

/* ---- redis_script.c ---- */

unsigned rh_redis_scripts_count(void);
const struct rh_script *rh_redis_scripts_get(unsigned index);

/* ---- waiting ---- */

#define RH_MS_NS	UINT64_C(1000000)

/* poll that signals do not end, to the nanosecond. */
struct pollfd;
int rh_redis_poll(struct pollfd *fds, unsigned n, uint64_t until_ns);

#endif
