/*
 * tests/lib/data/check_redis_cluster.c - many tenants on a cluster of three
 * masters and three replicas, while slots move and while a master dies.
 * test_redis.py runs it.
 */
#include "config.h"

#include "redis_stand.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/redis_session.h"
#include "rh_check.h"

enum { NODES = 6, TENANTS = 300, AMPLE_MS = 20000 };
/* Nodes that are slow are not away, until a test wants one to be. */
enum { IMPATIENT_MS = 1000, PATIENT_MS = 30000 };

static struct rh_script scripts[] = {
	{ .name = "test.both", .lua =
	    "redis.call('INCR', KEYS[2]) return redis.call('INCR', KEYS[1])" },
	{ 0 }
};

static struct redis_stand nodes[NODES];
static struct redis_user user;

/* ---- the cluster ---- */

static void
shell(const char *fmt, ...) RH_PRINTF(1, 2);

static void
shell(const char *fmt, ...)
{
	char line[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	ck_assert_msg(system(line) == 0, "%s", line);
}

static bool
is_whole(const struct redis_stand *s)
{
	char line[512];

	snprintf(line, sizeof(line), "redis-cli -s %s CLUSTER INFO |"
	    " grep -q cluster_state:ok && test $(redis-cli -s %s CLUSTER SLOTS |"
	    " grep -c '^[0-9a-f]\\{40\\}') -ge 6", s->socket, s->socket);
	return system(line) == 0;
}

/* How long a node may be silent before the others give its slots to another. */
static void
patience_of_nodes(int ms)
{
	for (int i = 0; i < NODES; i++)
		if (!nodes[i].away)
			shell("redis-cli -e -s %s CONFIG SET cluster-node-timeout"
			    " %d >/dev/null", nodes[i].socket, ms);
}

/* To all who are there, no slot is this one's. */
static bool
is_forgotten(const struct redis_stand *gone)
{
	char line[256];

	for (int i = 0; i < NODES; i++) {
		snprintf(line, sizeof(line), "redis-cli -s %s CLUSTER SLOTS |"
		    " grep -qx %u", nodes[i].socket, gone->port);
		if (!nodes[i].away && system(line) == 0)
			return false;
	}
	return true;
}

static void
cluster_open(void)
{
	static const char *const args[] = { "--cluster-enabled", "yes",
		"--cluster-node-timeout", "1000", "--cluster-config-file",
		"nodes.conf", "--cluster-replica-validity-factor", "0",
		"--cluster-require-full-coverage", "no",
		"--repl-diskless-sync-delay", "0", NULL };
	char all[256] = "";
	size_t n = 0;

	rh_scripts_register(scripts);
	for (int i = 0; i < NODES; i++) {
		redis_stand_open(&nodes[i], args);
		n += (size_t)snprintf(all + n, sizeof(all) - n, " 127.0.0.1:%u",
		    nodes[i].port);
	}
	shell("redis-cli --cluster create%s --cluster-replicas 1 --cluster-yes"
	    " >%s/create.log 2>&1", all, nodes[0].dir);
	for (int i = 0; i < NODES; i++)
		redis_until(is_whole(&nodes[i]));
	patience_of_nodes(PATIENT_MS);
}

/* ---- tenants ---- */

static int counted[TENANTS];	/* what each one's counter has to say */

static struct rh_slice
key_of(int tenant, const char *what)
{
	return rh_slice_of(rh_arena_printf(user.arena, "{tenant-%d}:%s", tenant,
	    what));
}

static void
count_send(int tenant)
{
	const struct rh_slice keys[] = { key_of(tenant, "n"), key_of(tenant, "m") };

	rh_redis_run(user.r, &scripts[0], keys, 2, NULL, 0);
	rh_redis_send(user.r, keys[0], RH_SLICE("GET"), keys[0]);
	rh_redis_send(user.r, keys[1], RH_SLICE("GET"), keys[1]);
}

/* Exact: neither lost nor run twice. */
static void
count_read(int tenant)
{
	const struct rh_redis_value *v = rh_redis_read(user.r);

	ck_assert_msg(v->kind == RH_REDIS_INT, "%d: %.*s: %s", tenant,
	    RH_SLICE_ARG(v->text), rh_redis_trouble(user.r));
	ck_assert_int_eq(v->number, ++counted[tenant]);
	/* the script may have been sent once more, after these had run */
	for (int i = 0; i < 2; i++) {
		int n = atoi(rh_redis_read(user.r)->text.p);

		ck_assert_int_le(n, counted[tenant]);
		ck_assert_int_ge(n, counted[tenant] - 1);
	}
}

static unsigned
count_once(int tenant)
{
	unsigned trips;

	redis_user_begin(&user);
	count_send(tenant);
	count_read(tenant);
	trips = rh_redis_round_trips(user.r);
	redis_user_end(&user);
	return trips;
}

static unsigned
open_nodes(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < user.r->nnodes; i++)
		n += user.r->nodes[i]->link == RH_LINK_READY;
	return n;
}

static int
slot_said(const struct redis_stand *s, const char *key)
{
	char line[256], answer[16];
	FILE *f;

	snprintf(line, sizeof(line), "redis-cli -s %s CLUSTER KEYSLOT '%s'",
	    s->socket, key);
	f = popen(line, "r");
	ck_assert_ptr_nonnull(fgets(answer, sizeof(answer), f));
	pclose(f);
	return atoi(answer);
}

/* ---- stories ---- */

static void
tenant_has_one_node_and_one_trip(void)
{
	redis_user_open(&user, nodes[0].tcp_url, AMPLE_MS);
	ck_assert(rh_redis_warm(user.r));
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < TENANTS; i++)
			ck_assert_uint_eq(count_once(i), 1);
	/* the three masters, each when it was first needed, and once */
	ck_assert_uint_eq(open_nodes(), 3);

	/* many tenants in one pipeline: all nodes at the same time */
	redis_user_begin(&user);
	for (int i = 0; i < TENANTS; i++)
		count_send(i);
	for (int i = 0; i < TENANTS; i++)
		count_read(i);
	ck_assert_uint_eq(rh_redis_round_trips(user.r), 3);
	redis_user_end(&user);

	/* posts find their node, too */
	for (int i = 0; i < TENANTS; i++) {
		redis_user_begin(&user);
		count_send(i);
		counted[i]++;
		ck_assert(rh_redis_post(user.r));
		redis_user_end(&user);
		count_once(i);
	}
	for (int i = 0; i < 20; i++) {
		const char *key = rh_arena_printf(user.arena, "a{%d}b{c}", i * i);

		ck_assert_int_eq(rh_redis_slot(rh_slice_of(key)),
		    slot_said(&nodes[1], key));
	}
	redis_user_close(&user);

	/* a replica, or a unix socket, is as good a door */
	redis_user_open(&user, nodes[4].unix_url, AMPLE_MS);
	for (int i = 0; i < TENANTS; i++)
		count_once(i);
	redis_user_close(&user);
}

/* Moves slots from one master to another, again and again, until it is killed. */
static pid_t
reshard(void)
{
	const pid_t test = getpid();
	pid_t pid = fork();
	char line[640];

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != test)
		_exit(1);
	/* each of the three gives what the next one takes */
	for (int i = 0; i < 3; i++) {
		/* the nodes have to agree about what went before */
		snprintf(line, sizeof(line), "cd %s && until redis-cli --cluster"
		    " check 127.0.0.1:%u >check.log; do sleep 0.2; done &&"
		    " redis-cli --cluster reshard"
		    " 127.0.0.1:%u --cluster-from $(redis-cli -p %u CLUSTER MYID)"
		    " --cluster-to $(redis-cli -p %u CLUSTER MYID)"
		    " --cluster-slots 700 --cluster-pipeline 1 --cluster-yes"
		    " >reshard.log 2>&1", nodes[0].dir, nodes[0].port,
		    nodes[0].port, nodes[i].port, nodes[(i + 1) % 3].port);
		if (system(line) != 0)
			_exit(1);
	}
	_exit(0);
}

static void
slots_move_and_nothing_is_lost(void)
{
	unsigned long trips = 0, rounds = 0;
	int status;
	pid_t pid;

	redis_user_open(&user, nodes[0].tcp_url, AMPLE_MS);
	for (int i = 0; i < TENANTS; i++)
		count_once(i);
	pid = reshard();
	while (waitpid(pid, &status, WNOHANG) == 0) {
		for (int i = 0; i < TENANTS; i++, rounds++)
			trips += count_once(i);
	}
	ck_assert_int_eq(status, 0);
	/* some were told to go elsewhere, and went */
	ck_assert_uint_gt(trips, rounds);
	for (int i = 0; i < TENANTS; i++)
		count_once(i);
	/* and now it is known again who has what */
	for (int i = 0; i < TENANTS; i++)
		ck_assert_uint_eq(count_once(i), 1);
	redis_user_close(&user);
}

/* The tenants of a master, by the map that the session has. */
static bool
is_of(int tenant, const struct redis_stand *s)
{
	return rh_redis_node_of(user.r, rh_redis_slot(key_of(tenant, "n")))->port ==
	    s->port;
}

/* The second of a tenant's keys comes after the first, and later than at once. */
static void
keys_on_their_way_are_waited_for(void)
{
	const struct redis_stand *from, *to;
	int slot, status;
	pid_t pid;

	redis_user_open(&user, nodes[0].tcp_url, AMPLE_MS);
	count_once(0);
	from = is_of(0, &nodes[0]) ? &nodes[0] : &nodes[1];
	from = is_of(0, &nodes[2]) ? &nodes[2] : from;
	to = from == &nodes[0] ? &nodes[1] : &nodes[0];
	slot = rh_redis_slot(key_of(0, "n"));
	shell("redis-cli -e -s %s CLUSTER SETSLOT %d IMPORTING $(redis-cli -s %s"
	    " CLUSTER MYID) >/dev/null", to->socket, slot, from->socket);
	shell("redis-cli -e -s %s CLUSTER SETSLOT %d MIGRATING $(redis-cli -s %s"
	    " CLUSTER MYID) >/dev/null", from->socket, slot, to->socket);
	shell("redis-cli -e -s %s MIGRATE 127.0.0.1 %u '{tenant-0}:n' 0 5000"
	    " >/dev/null", from->socket, to->port);
	if ((pid = fork()) == 0) {
		redis_pause(300);
		shell("redis-cli -e -s %s MIGRATE 127.0.0.1 %u '{tenant-0}:m' 0"
		    " 5000 >/dev/null", from->socket, to->port);
		_exit(0);
	}
	count_once(0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	redis_user_close(&user);
}

START_TEST(slots_have_their_nodes_also_while_they_move)
{
	cluster_open();
	tenant_has_one_node_and_one_trip();
	slots_move_and_nothing_is_lost();
	keys_on_their_way_are_waited_for();
}
END_TEST

static char why[700];	/* the last one failed */

static bool
count_try(int tenant)
{
	const struct rh_slice key = key_of(tenant, "f");
	bool good;

	redis_user_begin(&user);
	rh_redis_send(user.r, key, RH_SLICE("INCR"), key);
	good = rh_redis_read(user.r)->kind == RH_REDIS_INT;
	ck_assert(good == !rh_redis_error(user.r));
	if (!good)
		snprintf(why, sizeof(why), "%s: %s: %s",
		    rh_redis_error(user.r)->code, rh_redis_error(user.r)->cause,
		    rh_redis_trouble(user.r));
	redis_user_end(&user);
	return good;
}

static void
master_dies_and_its_replica_takes_over(void)
{
	int hit = -1, spared = -1;

	redis_user_open(&user, nodes[0].tcp_url, AMPLE_MS);
	for (int i = 0; i < TENANTS; i++) {
		count_once(i);
		*(is_of(i, &nodes[1]) ? &hit : &spared) = i;
	}
	ck_assert_int_ge(hit, 0);
	ck_assert_int_ge(spared, 0);
	redis_stand_kill(&nodes[1]);
	ck_assert(!count_try(hit));
	ck_assert_uint_eq(redis_user_up(&user), 0);
	patience_of_nodes(IMPATIENT_MS);
	/* until the replica has it, one does without, the other feels nothing */
	redis_until((ck_assert_msg(count_try(spared), "%s", why), count_try(hit)));
	patience_of_nodes(PATIENT_MS);
	/* whoever is asked for the map has it as it is now */
	redis_until(is_forgotten(&nodes[1]));
	for (int i = 0; i < TENANTS; i++)
		redis_until(count_try(i));
	ck_assert_uint_eq(redis_user_up(&user), 1);
	for (int i = 0; i < TENANTS; i++)
		ck_assert_msg(count_try(i), "%s", why);

	/* the old master comes back as a replica, and nobody asks it */
	redis_stand_start(&nodes[1]);
	redis_until(is_whole(&nodes[1]));
	for (int i = 0; i < TENANTS; i++) {
		ck_assert_msg(count_try(i), "%s", why);
		ck_assert(!is_of(i, &nodes[1]));
	}
	redis_user_close(&user);
}

static void
master_is_frozen_and_its_replica_takes_over(void)
{
	unsigned long failed = 0;
	int hit = -1, spared = -1;

	redis_user_open(&user, nodes[0].tcp_url, AMPLE_MS);
	for (int i = 0; i < TENANTS; i++) {
		ck_assert_msg(count_try(i), "%s", why);
		*(is_of(i, &nodes[2]) ? &hit : &spared) = i;
	}
	user.conf.timeout_ms = 100;
	redis_stand_freeze(&nodes[2]);
	for (int i = 0; i < TENANTS; i++)
		failed += !count_try(i);
	ck_assert_uint_gt(failed, 0);
	/*
	 * The others may have been too slow as well, and have their breakers
	 * open: a worker tries them when it is idle, for nobody asks them here.
	 */
	patience_of_nodes(IMPATIENT_MS);
	redis_until((rh_redis_idle(user.r), count_try(hit)));
	patience_of_nodes(PATIENT_MS);
	redis_stand_thaw(&nodes[2]);
	redis_until((rh_redis_idle(user.r), count_try(spared)));
	redis_until((rh_redis_idle(user.r), count_try(hit)));
	redis_user_close(&user);
}

START_TEST(master_that_goes_is_followed)
{
	cluster_open();
	master_dies_and_its_replica_takes_over();
	master_is_frozen_and_its_replica_takes_over();
}
END_TEST

RH_CHECK_MAIN("data/redis_cluster",
    RH_CASE(slots_have_their_nodes_also_while_they_move),
    RH_CASE(master_that_goes_is_followed))
