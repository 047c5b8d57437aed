/*
 * coherent_lua - the cache's verbs, each atomic in Redis.
 *
 * A group whose generation can be read has no writers: a tombstone puts "!" in
 * its place, and only a look that finds none left makes a new one. So the look
 * that hits costs a MGET. The writers stand in a key of their own, so that the
 * eviction of either is seen: without them "!" stays until it ends, without "!"
 * they are still there.
 *
 * Neither of the two: Redis has lost them, or never knew them. Writers of other
 * hosts may have been among what was lost, so the group is as if it were written
 * to until those are over ("?" in the writers' place). A drop therefore leaves a
 * generation behind, not nothing.
 *
 * An entry: 16 bytes of generation, as of when (13 digits), until when (13),
 * how long it took to make (6), then the value.
 */
#include "config.h"

#include "data/coherent_lua.h"

#define NOW								\
	"local t = redis.call('TIME')\n"				\
	"local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
#define DAY_MS	"86400000"
#define WRITTEN_MS	"600000"	/* for a group that is written and not read */

/*
 * g e w l | token, lease ms (0: none is wanted), age below which an entry is
 * trusted, 1 to 65536, quarantine ms
 */
static const char look[] = NOW
    "local v = redis.call('MGET', KEYS[1], KEYS[2])\n"
    "local g, e = v[1], v[2]\n"
    "if not g or g == '!' then\n"
    "	local ended = redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)\n"
    "	if redis.call('ZCARD', KEYS[3]) > 0 or g and ended == 0 then\n"
    "		return 0\n"
    "	end\n"
    "	local doubt = tonumber(ARGV[5])\n"
    "	if ended == 0 and doubt > 0 then\n"
    "		redis.call('ZADD', KEYS[3], now + doubt, '?')\n"
    "		redis.call('PEXPIRE', KEYS[3], doubt + 1000)\n"
    "		redis.call('SET', KEYS[1], '!', 'PX', doubt + 1000)\n"
    "		return 0\n"
    "	end\n"
    "	g = ARGV[1]\n"
    "	redis.call('SET', KEYS[1], g, 'PX', " DAY_MS ")\n"
    "end\n"
    "local hit = e and string.sub(e, 1, 16) == g and\n"
    "    now - tonumber(string.sub(e, 17, 29)) < tonumber(ARGV[3])\n"
    "if hit and now - tonumber(string.sub(e, 43, 48)) *\n"
    "    math.log(tonumber(ARGV[4]) / 65536) <\n"
    "    tonumber(string.sub(e, 30, 42)) then\n"
    "	return e\n"
    "end\n"
    "if ARGV[2] == '0' or not redis.call('SET', KEYS[4], ARGV[1] .. now,\n"
    "    'NX', 'PX', ARGV[2]) then\n"
    "	return hit and e or 0\n"
    "end\n"
    "if hit then\n"
    "	return {e, g}\n"
    "end\n"
    "return {g}\n";

/* g e l | token, generation, ttl ms (0: only gives the lease back), value */
static const char fill[] = NOW
    "local l = redis.call('GET', KEYS[3])\n"
    "if not l or string.sub(l, 1, 16) ~= ARGV[1] then\n"
    "	return 0\n"
    "end\n"
    "redis.call('DEL', KEYS[3])\n"
    "local ttl = tonumber(ARGV[3])\n"
    "if ttl == 0 or redis.call('GET', KEYS[1]) ~= ARGV[2] then\n"
    "	return 0\n"
    "end\n"
    "local since = string.sub(l, 17)\n"
    "local took = math.max(0, math.min(now - tonumber(since), 999999))\n"
    "redis.call('SET', KEYS[2], ARGV[2] .. since ..\n"
    "    string.format('%013d%06d', now + ttl, took) .. ARGV[4], 'PX', ttl)\n"
    "redis.call('PEXPIRE', KEYS[1], " DAY_MS ")\n"
    "return 1\n";

/*
 * g w | token, life ms, quarantine ms. Neither key ends before the last
 * tombstone does. A group of which one of them is missing is in doubt.
 */
static const char tomb[] = NOW
    "local life, doubt = tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local g = redis.call('GET', KEYS[1])\n"
    "local ended = redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)\n"
    "if doubt > 0 and ended == 0 and (not g or g == '!') and\n"
    "    redis.call('ZCARD', KEYS[2]) == 0 then\n"
    "	redis.call('ZADD', KEYS[2], now + doubt, '?')\n"
    "end\n"
    "redis.call('ZADD', KEYS[2], now + life, ARGV[1])\n"
    "life = math.max(life, doubt)\n"
    "if redis.call('PTTL', KEYS[2]) < life + 1000 then\n"
    "	redis.call('PEXPIRE', KEYS[2], life + 1000)\n"
    "end\n"
    "if g ~= '!' or redis.call('PTTL', KEYS[1]) < life then\n"
    "	redis.call('SET', KEYS[1], '!', 'PX', life)\n"
    "end\n"
    "return 1\n";

/*
 * g w | token, which has been no generation yet where it is still there. One
 * whose own is gone does not know who else was there.
 */
static const char drop[] = NOW
    "local had = redis.call('ZREM', KEYS[2], ARGV[1])\n"
    "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)\n"
    "if redis.call('ZCARD', KEYS[2]) > 0 or\n"
    "    had == 0 and redis.call('GET', KEYS[1]) == '!' then\n"
    "	return 0\n"
    "end\n"
    "if had == 1 then\n"
    "	redis.call('SET', KEYS[1], ARGV[1], 'PX', " WRITTEN_MS ")\n"
    "else\n"
    "	redis.call('DEL', KEYS[1])\n"
    "end\n"
    "return 1\n";

struct rh_script rh_coherent_scripts[] = {
	[RH_COHERENT_LOOK] = { .name = "cache.look", .lua = look },
	[RH_COHERENT_FILL] = { .name = "cache.fill", .lua = fill },
	[RH_COHERENT_TOMB] = { .name = "cache.tomb", .lua = tomb },
	[RH_COHERENT_DROP] = { .name = "cache.drop", .lua = drop },
	{ 0 }
};
