/*
 * tests/lib/tenancy/segments.c - requests of many tenants at random over one
 * session: segments [SEGMENTS] [SEED]. Each is authorized or is not, has one to
 * five statements, good ones and bad ones, one of which leaves the tenant to
 * the policy alone. No row may be another tenant's.
 *
 * Reads "tenant-id name token-sha256-hex" a line on stdin; every row of a
 * tenant has its name. Prints one JSON object. Ends with 1 where a row was
 * foreign, or an error is none of those that belong to it.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/id.h"
#include "data/pg.h"
#include "tenancy/authorize.h"

enum {
	TENANTS_MAX = 1000,
	STATEMENTS_MAX = 5,
	PAGE = 20,
	RECONNECTS = 400,
	FIRST_BYTES = 16384
};
/* In a hundred. */
enum { NAKED = 5, WRONG_TOKEN = 10, FAULT = 5 };

enum { MINE, POLICY, ONE, PUT, FAIL };

/* clang-format off */
static struct rh_stmt stmts[] = {
	[MINE] = { .name = "segments.mine", .sql =
	    "select tenant_id, name from projects where tenant_id = $1 order by created_at limit $2" },
	[POLICY] = { .name = "segments.policy", .global = "what the policy lets through, alone", .sql =
	    "select tenant_id, name from projects where $1::uuid is not null order by random() limit $2" },
	[ONE] = { .name = "segments.one", .sql =
	    "select tenant_id, name from projects where tenant_id = $1 and $2::bigint > 0 limit 1" },
	[PUT] = { .name = "segments.put", .sql =
	    "insert into projects (tenant_id, id, name) select $1, gen_random_uuid(), t.slug"
	    " from tenants t where t.id = $1 and $2::bigint > 0 returning tenant_id, name" },
	[FAIL] = { .name = "segments.fail", .sql =
	    "select $1::uuid, (1 / ($2::bigint - $2::bigint))::text" },
	{ 0 }
};
/* clang-format on */

struct tenant {
	struct rh_uuid id;
	char name[64];
	struct rh_token token;
};

struct row {
	struct rh_uuid tenant;
	struct rh_slice name;
};

/* clang-format off */
static const struct rh_field row_columns[] = {
	{ RH_FIELD("tenant_id", UUID, struct row, tenant) },
	{ RH_FIELD("name", TEXT, struct row, name) },
	{ 0 }
};
/* clang-format on */

struct run {
	struct rh_arena *own, *arena;
	struct rh_pg *pg;
	struct rh_pg_obs obs;
	struct rh_pg_conf conf;
	struct tenant tenants[TENANTS_MAX];
	unsigned ntenants;
	uint64_t random;
	/* what came of it */
	uint64_t segments, rows, foreign, refused, faults, broken, strange;
};

/* What one segment is. */
struct plan {
	const struct tenant *tenant, *caller;
	bool naked, fails;
	unsigned statements;
	unsigned kinds[STATEMENTS_MAX];
};

/* xorshift64*: the same run for the same seed. */
static uint64_t
draw(struct run *r, uint64_t below)
{
	r->random ^= r->random >> 12;
	r->random ^= r->random << 25;
	r->random ^= r->random >> 27;
	return (r->random * 0x2545f4914f6cdd1d >> 33) % below;
}

static void
die(const char *what)
{
	fprintf(stderr, "segments: %s\n", what);
	exit(2);
}

static void
tenants_read(struct run *r)
{
	char id[40], hex[2 * RH_SHA256_LEN + 1];

	while (r->ntenants < TENANTS_MAX) {
		struct tenant *t = &r->tenants[r->ntenants];

		if (scanf("%39s %63s %64s", id, t->name, hex) != 3)
			break;
		if (!rh_uuid_get(&t->id, rh_slice_of(id)))
			die("a tenant's id is no UUID");
		t->token.kind = RH_TOKEN_KEY;
		for (size_t i = 0; i < RH_SHA256_LEN; i++) {
			char pair[3] = { hex[2 * i], hex[2 * i + 1], 0 };

			t->token.sha256[i] = (unsigned char)strtoul(pair, NULL,
			    16);
		}
		r->ntenants++;
	}
	if (r->ntenants < 2)
		die("needs two tenants on stdin");
}

static struct plan
plan_draw(struct run *r)
{
	struct plan p = { .tenant = &r->tenants[draw(r, r->ntenants)] };

	p.naked = draw(r, 100) < NAKED;
	p.caller = draw(r, 100) < WRONG_TOKEN ?
	    &r->tenants[draw(r, r->ntenants)] :
	    p.tenant;
	p.statements = 1 + (unsigned)draw(r, STATEMENTS_MAX);
	for (unsigned i = 0; i < p.statements; i++) {
		p.kinds[i] = (unsigned)draw(r, FAIL);
		if (draw(r, 100) < FAULT)
			p.kinds[i] = FAIL;
		p.fails = p.fails || p.kinds[i] == FAIL;
	}
	return p;
}

static void
rows_judge(struct run *r, const struct plan *p, const struct row *rows,
    size_t n)
{
	for (size_t i = 0; i < n; i++) {
		r->rows++;
		if (p->naked || p->caller != p->tenant ||
		    !rh_uuid_is(rows[i].tenant, p->tenant->id) ||
		    !rh_slice_is(rows[i].name, rh_slice_of(p->tenant->name)))
			r->foreign++;
	}
}

static void
error_judge(struct run *r, const struct plan *p, const struct rh_err *err)
{
	if (!err)
		return;
	if (err->kind == RH_E_UNAVAILABLE || err->kind == RH_E_TIMEOUT)
		r->broken++;
	else if (err->kind == RH_E_MISSING && !p->naked &&
	    p->caller != p->tenant)
		r->refused++;
	else if (p->fails)
		r->faults++;
	else {
		r->strange++;
		fprintf(stderr, "segments: %s: %s\n", err->code,
		    err->cause ? err->cause : err->detail);
	}
}

static void
segment(struct run *r)
{
	struct plan p = plan_draw(r);
	struct rh_pipe *pipe = rh_pg_begin(r->pg, r->arena, NULL);
	struct rh_principal who = { 0 };

	if (!p.naked)
		rh_authorize_tenant(pipe, &p.caller->token, p.tenant->id,
		    RH_VIEWER, &who);
	for (unsigned i = 0; i < p.statements; i++)
		rh_pipe_send(pipe, &stmts[p.kinds[i]], RH_UUID(p.tenant->id),
		    RH_INT(PAGE));
	for (unsigned i = 0; i < p.statements; i++) {
		struct row *rows;
		size_t n = rh_pipe_rows(pipe, row_columns, sizeof(*rows),
		    &rows);

		rows_judge(r, &p, rows, n);
	}
	error_judge(r, &p, rh_pipe_error(pipe));
	rh_pg_end(r->pg);
	rh_arena_reset(r->arena);
	r->segments++;
}

static void
connect_again(struct run *r)
{
	for (int i = 0; i < RECONNECTS; i++) {
		if (rh_pg_ready(r->pg, true))
			return;
	}
	die(rh_pg_trouble(r->pg));
}

int
main(int argc, char **argv)
{
	static struct run run;
	struct run *r = &run;
	uint64_t segments = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;

	r->random = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1) * 2 + 1;
	r->own = rh_arena_new(FIRST_BYTES, (size_t)16 << 20);
	r->arena = rh_arena_new(FIRST_BYTES, (size_t)16 << 20);
	r->conf = (struct rh_pg_conf){ getenv("ROWHOUSE_TEST_URL"), 10000,
		10000, 0, "segments" };
	if (!r->conf.url)
		die("ROWHOUSE_TEST_URL is not set");
	tenants_read(r);
	rh_stmts_register(rh_authorize_stmts);
	rh_stmts_register(stmts);
	r->pg = rh_pg_new(r->own, &r->conf, &r->obs);
	while (r->segments < segments) {
		connect_again(r);
		segment(r);
	}
	rh_pg_close(r->pg);
	printf("{\"segments\":%" PRIu64 ",\"rows\":%" PRIu64
	       ",\"foreign\":%" PRIu64 ",\"refused\":%" PRIu64
	       ",\"faults\":%" PRIu64 ",\"broken\":%" PRIu64
	       ",\"strange\":%" PRIu64 "}\n",
	    r->segments, r->rows, r->foreign, r->refused, r->faults, r->broken,
	    r->strange);
	rh_arena_destroy(&r->arena);
	rh_arena_destroy(&r->own);
	return r->foreign || r->strange;
}
