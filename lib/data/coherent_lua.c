/*
 * coherent_lua - the cache's verbs, each atomic in Redis.
 *
 * A group's key has its generation, or "!" and who is at work on it: 16 bytes of
 * token and 13 digits of when that tombstone ends, each. So a look that hits is
 * one MGET, and a write costs Redis a GET and a SET, twice. Only a look that
 * finds none of them left, or the drop of the last, makes a new generation.
 *
 * No such key: Redis has lost it, or never knew it. Writers of other hosts may
 * have stood in it, so it is as if one were at work until those are over ("?"). A
 * drop therefore leaves a generation behind, not nothing, where there are others.
 * A write that finds no such key leaves it so: nobody can fill before those that
 * were at work when the first look came are over, and it is one of them.
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

/* Of now: who is at work, but for one; when the last ends; whether that one was there. */
#define WRITERS								\
	"local function writers(g, but)\n"				\
	"	local left, last, was = '', now, false\n"		\
	"	for t, ends in string.gmatch(string.sub(g, 2),\n"	\
	"	    '(................)(.............)') do\n"		\
	"		if t == but then\n"				\
	"			was = true\n"				\
	"		elseif tonumber(ends) > now then\n"		\
	"			left = left .. t .. ends\n"		\
	"			last = math.max(last, tonumber(ends))\n" \
	"		end\n"						\
	"	end\n"							\
	"	return left, last, was\n"				\
	"end\n"							\
	"local function doubt(ms)\n"					\
	"	return string.rep('?', 16) ..\n"			\
	"	    string.format('%013d', now + ms), now + ms\n"	\
	"end\n"							\
	"local function say(left, last)\n"				\
	"	redis.call('SET', KEYS[1], '!' .. left, 'PX',\n"	\
	"	    string.format('%d', last - now + 60000))\n"	\
	"end\n"

/*
 * g e l | token, lease ms (0: none is wanted), age below which an entry is
 * trusted, 1 to 65536, quarantine ms
 */
static const char look[] = NOW WRITERS
    "local v = redis.call('MGET', KEYS[1], KEYS[2])\n"
    "local g, e = v[1], v[2]\n"
    "if not g and ARGV[5] ~= '0' then\n"
    "	say(doubt(tonumber(ARGV[5])))\n"
    "	return 0\n"
    "end\n"
    "if not g or string.byte(g) == 33 then\n"
    "	if g and writers(g) ~= '' then\n"
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
    "if ARGV[2] == '0' or not redis.call('SET', KEYS[3], ARGV[1] .. now,\n"
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
 * g | token, life ms, quarantine ms, or nothing: then none is laid where Redis
 * knows no such group. The key outlives the last tombstone.
 */
static const char tomb[] =
    "local g = redis.call('GET', KEYS[1])\n"
    "if not g and ARGV[3] == '' then\n"
    "	return 0\n"
    "end\n" NOW WRITERS
    "local left, last, ends = '', now, now + tonumber(ARGV[2])\n"
    "if g and string.byte(g) == 33 then\n"
    "	left, last = writers(g)\n"
    "elseif not g and ARGV[3] ~= '0' then\n"
    "	left, last = doubt(tonumber(ARGV[3]))\n"
    "end\n"
    "say(left .. ARGV[1] .. string.format('%013d', ends),\n"
    "    math.max(last, ends))\n"
    "return 1\n";

/*
 * g | token, which has been no generation yet where it is still there, and how
 * many ms it is to be one, 0: not at all. One whose own is gone does not know
 * who else was there.
 */
static const char drop[] = NOW WRITERS
    "local g = redis.call('GET', KEYS[1])\n"
    "if not g then\n"
    "	return 0\n"
    "elseif string.byte(g) ~= 33 then\n"
    "	return redis.call('DEL', KEYS[1])\n"
    "end\n"
    "local left, last, was = writers(g, ARGV[1])\n"
    "if was and left == '' and ARGV[2] == '0' then\n"
    "	redis.call('DEL', KEYS[1])\n"
    "elseif was and left == '' then\n"
    "	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
    "elseif was then\n"
    "	say(left, last)\n"
    "end\n"
    "return 1\n";

struct rh_script rh_coherent_scripts[] = {
	[RH_COHERENT_LOOK] = { .name = "cache.look", .lua = look },
	[RH_COHERENT_FILL] = { .name = "cache.fill", .lua = fill },
	[RH_COHERENT_TOMB] = { .name = "cache.tomb", .lua = tomb },
	[RH_COHERENT_DROP] = { .name = "cache.drop", .lua = drop },
	{ 0 }
};
