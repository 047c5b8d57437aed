#include "config.h"

#include "migrate/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "migrate/apply.h"
#include "migrate/db.h"
#include "migrate/files.h"

struct job {
	struct rh_program *program;
	struct rh_arena *arena;
	struct db *db;
	struct migration *list;
	int64_t n;		/* of "down N" */
	bool json;
};

static const char *
title(const struct job *job, const struct migration *m)
{
	return rh_arena_printf(job->arena, "%04" PRId64 "_%s", m->version,
	    m->name);
}

static bool
is_pending(const struct migration *m)
{
	return m->state != MIGRATION_APPLIED;
}

static bool
is_changed(const struct migration *m)
{
	return m->state == MIGRATION_APPLIED && m->dir &&
	    strcmp(m->checksum, m->applied_checksum) != 0;
}

/* A later one of the same folder is applied, this one is not. */
static bool
is_gap(const struct migration *m)
{
	if (m->state != MIGRATION_PENDING)
		return false;
	for (const struct migration *later = m->next; later; later = later->next)
		if (later->dir == m->dir && later->state != MIGRATION_PENDING)
			return true;
	return false;
}

static size_t
count(const struct migration *m, bool (*is)(const struct migration *))
{
	size_t n = 0;

	for (; m; m = m->next)
		n += is(m);
	return n;
}

static int
fail(const struct job *job, const struct rh_err *err)
{
	return rh_program_fail(job->program, "%s", err->detail);
}

/* --- up --- */

static int
check_up(const struct job *job)
{
	int status = EXIT_SUCCESS;

	for (const struct migration *m = job->list; m; m = m->next) {
		struct rh_err *err;

		if (is_changed(m))
			status = rh_program_fail(job->program, "%s: has changed"
			    " since it was applied; write a new migration instead",
			    m->up.path);
		else if (is_pending(m) && !m->dir)
			status = rh_program_fail(job->program, "%s: was cut off,"
			    " and there is no file to finish it with",
			    title(job, m));
		else if (is_pending(m) &&
		    (err = apply_check(&m->up, job->arena)))
			status = fail(job, err);
	}
	return status;
}

static int
up(struct job *job)
{
	size_t pending = count(job->list, is_pending);

	if (check_up(job))
		return EXIT_FAILURE;
	for (struct migration *m = job->list; m; m = m->next) {
		struct rh_err *err;

		if (!is_pending(m))
			continue;
		if ((err = apply_up(job->db, m, job->arena)))
			return fail(job, err);
		printf("%s: applied in %" PRId64 " ms\n", title(job, m),
		    m->duration_ms);
		fflush(stdout);
	}
	if (!pending)
		puts("nothing to do: all migrations are applied");
	return EXIT_SUCCESS;
}

/* --- down --- */

/* The newest that is not pending, less skip of them. */
static struct migration *
newest(const struct job *job, int64_t skip)
{
	struct migration *found = NULL;
	int64_t n = 0;

	for (struct migration *m = job->list; m; m = m->next)
		n += m->state != MIGRATION_PENDING;
	for (struct migration *m = job->list; m; m = m->next)
		if (m->state != MIGRATION_PENDING && n-- == skip + 1)
			found = m;
	return found;
}

static int
check_down(const struct job *job)
{
	int status = EXIT_SUCCESS;

	for (int64_t i = 0; i < job->n; i++) {
		const struct migration *m = newest(job, i);
		struct rh_err *err;

		if (!m)
			return i ? status : rh_program_fail(job->program,
			    "nothing is applied");
		if (!m->down.path)
			status = rh_program_fail(job->program,
			    "%s: there is no .down.sql of it", title(job, m));
		else if ((err = apply_check(&m->down, job->arena)))
			status = fail(job, err);
	}
	return status;
}

static int
down(struct job *job)
{
	struct migration *m;
	struct rh_err *err;

	if (check_down(job))
		return EXIT_FAILURE;
	while (job->n-- && (m = newest(job, 0))) {
		if ((err = apply_down(job->db, m, job->arena)))
			return fail(job, err);
		printf("%s: reverted in %" PRId64 " ms\n", title(job, m),
		    m->duration_ms);
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}

/* --- status --- */

static const char *
status_of(const struct migration *m)
{
	static const char *const names[] = {
		[MIGRATION_PENDING] = "pending",
		[MIGRATION_APPLIED] = "applied",
		[MIGRATION_RUNNING] = "running",
		[MIGRATION_REVERTING] = "reverting",
	};

	if (m->state == MIGRATION_APPLIED && !m->dir)
		return "no file";
	return is_changed(m) ? "changed" : names[m->state];
}

static void
put_json(struct rh_buf *out, const struct migration *m)
{
	rh_buf_lit(out, "{\"version\":");
	rh_buf_i64(out, m->version);
	rh_buf_lit(out, ",\"name\":");
	rh_buf_json(out, rh_slice_of(m->name));
	rh_buf_lit(out, ",\"state\":");
	rh_buf_json(out, rh_slice_of(status_of(m)));
	if (m->applied_at) {
		rh_buf_lit(out, ",\"applied_at\":");
		rh_buf_json(out, rh_slice_of(m->applied_at));
		rh_buf_lit(out, ",\"duration_ms\":");
		rh_buf_i64(out, m->duration_ms);
		rh_buf_lit(out, ",\"checksum\":");
		rh_buf_json(out, rh_slice_of(m->applied_checksum));
	}
	rh_buf_char(out, '}');
}

static int
status_json(const struct job *job)
{
	struct rh_buf out;

	rh_buf_init(&out, job->arena, 4096, 4 << 20);
	rh_buf_lit(&out, "{\"migrations\":[");
	for (const struct migration *m = job->list; m; m = m->next) {
		if (m != job->list)
			rh_buf_char(&out, ',');
		put_json(&out, m);
	}
	rh_buf_lit(&out, "]}\n");
	return !out.full && fwrite(out.p, 1, out.n, stdout) == out.n ?
	    EXIT_SUCCESS : EXIT_FAILURE;
}

static int
status(struct job *job)
{
	if (job->json)
		return status_json(job);
	printf("%-40s %-10s %-27s %s\n", "migration", "state", "applied at",
	    "took");
	for (const struct migration *m = job->list; m; m = m->next)
		if (m->applied_at)
			printf("%-40s %-10s %s %" PRId64 " ms\n", title(job, m),
			    status_of(m), m->applied_at, m->duration_ms);
		else
			printf("%-40s %s\n", title(job, m), status_of(m));
	return EXIT_SUCCESS;
}

/* --- verify --- */

static const char *
difference(const struct migration *m)
{
	if (m->state == MIGRATION_RUNNING)
		return "was cut off on its way up; \"up\" finishes it";
	if (m->state == MIGRATION_REVERTING)
		return "was cut off on its way down; \"up\" or \"down 1\""
		    " finishes it";
	if (m->state == MIGRATION_APPLIED && !m->dir)
		return "is applied, but there is no file of it";
	if (is_changed(m))
		return "has changed since it was applied";
	if (m->state == MIGRATION_APPLIED &&
	    strcmp(m->name, m->applied_name) != 0)
		return "was applied under another name";
	if (is_gap(m))
		return "is not applied, but a later one is";
	return NULL;
}

static int
verify(struct job *job)
{
	size_t pending = count(job->list, is_pending), n = 0;
	int result = EXIT_SUCCESS;

	for (const struct migration *m = job->list; m; m = m->next, n++)
		if (difference(m))
			result = rh_program_fail(job->program, "%s: %s",
			    title(job, m), difference(m));
	if (result == EXIT_SUCCESS)
		printf("verified: %zu applied, %zu pending\n", n - pending,
		    pending);
	return result;
}

/* --- operands, folders, database --- */

static const struct rh_option status_options[] = {
	{ "--json", NULL, "as one JSON object", NULL },
	{ 0 }
};

static int run_command(struct rh_program *program, int argc, char **argv);

enum { UP, DOWN, STATUS, VERIFY };

/* clang-format off */
const struct rh_command migrate_commands[] = {
	[UP] =     { "up",     NULL, "apply all that are pending, in the order of their numbers", NULL,           run_command },
	[DOWN] =   { "down",   "N",  "revert the last N",                                         NULL,           run_command },
	[STATUS] = { "status", NULL, "list all, with their state",                                status_options, run_command },
	[VERIFY] = { "verify", NULL, "compare the files with what was applied, and name each difference", NULL,   run_command },
	{ 0 }
};
/* clang-format on */

static const struct work {
	bool writes;
	int (*run)(struct job *job);
} works[] = {
	[UP] = { true, up },
	[DOWN] = { true, down },
	[STATUS] = { false, status },
	[VERIFY] = { false, verify },
};

void
migrate_options_add_dir(struct migrate_options *o, const char *dir)
{
	if (o->n_dirs <= MIGRATE_DIRS_MAX)
		o->dirs[o->n_dirs++] = dir;
}

/* What is left of argv are the operands; they and options may be mixed. */
static bool
take_options(struct migrate_options *o, int *argc, char **argv)
{
	int kept = 0;

	for (int i = 0; i < *argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			o->json = true;
		else if (strcmp(argv[i], "-d") == 0 && i + 1 < *argc)
			migrate_options_add_dir(o, argv[++i]);
		else if (argv[i][0] == '-')
			return false;
		else
			argv[kept++] = argv[i];
	*argc = kept;
	return o->n_dirs <= MIGRATE_DIRS_MAX;
}

/* No more and no fewer than the command has. */
static bool
take_operands(struct job *job, const struct rh_command *c, int argc,
    char **argv)
{
	uint64_t n = 0;

	if (argc != (c->operands ? 2 : 1) || (c->operands &&
	    (!rh_u64_get(&n, rh_slice_of(argv[1])) || n < 1 || n > 9999)))
		return false;
	job->n = (int64_t)n;
	return true;
}

static int
read_files(struct job *job, struct migrate_options *o)
{
	const char *dflt = getenv("ROWHOUSE_MIGRATIONS");
	struct rh_buf faults;
	bool ok = true;

	if (o->n_dirs == 0)
		migrate_options_add_dir(o, dflt && *dflt ? dflt : RH_MIGRATIONS);
	rh_buf_init(&faults, job->arena, 1024, 1 << 20);
	for (size_t i = 0; i < o->n_dirs; i++)
		ok &= files_read(&job->list, o->dirs[i], job->arena, &faults);
	fwrite(faults.p, 1, faults.n, stderr);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* NULL: nobody has said where it is. */
static const char *
url_of(const struct rh_serve_conf *conf, const struct rh_placement_conf *p)
{
	if (p)
		return p->admin_database_url.n ? p->admin_database_url.p :
		    p->database_url.p;
	return conf->admin_database_url.n ? conf->admin_database_url.p :
	    conf->database_url.p;
}

static int
open_db(struct job *job, const struct rh_serve_conf *conf,
    const char *placement, bool writes)
{
	const struct rh_placement_conf *p = placement ?
	    rh_serve_conf_placement(conf, rh_slice_of(placement)) : NULL;
	const char *url = url_of(conf, p);
	struct rh_err *err;

	if (placement && !p)
		return rh_program_fail(job->program, "%s has no placement"
		    " \"%s\"", job->program->conf_path, placement);
	if (!url)
		return rh_program_fail(job->program, "no database: set"
		    " admin_database_url in %s, or ADMIN_DATABASE_URL in the"
		    " environment", job->program->conf_path);
	if ((err = db_open(&job->db, url,
	    (unsigned)(conf->connect_timeout_ms / 1000), job->arena)) ||
	    (writes && ((err = db_lock(job->db)) ||
	    (err = db_create_book(job->db)))) ||
	    (err = db_read_book(job->db, &job->list)))
		return fail(job, err);
	return EXIT_SUCCESS;
}

/* The operands, the folders and the book; then what the command's row says. */
static int
run_command(struct rh_program *program, int argc, char **argv)
{
	struct migrate_options *o = program->own;
	struct job job = { .program = program, .arena = program->arena };
	const struct work *work = &works[program->command - migrate_commands];

	if (!take_options(o, &argc, argv) ||
	    !take_operands(&job, program->command, argc, argv))
		return rh_program_fail(program, "what to do? -h says what"
		    " \"%s\" takes", program->command->name);
	job.json = o->json;
	if (read_files(&job, o) || open_db(&job, o->conf, o->placement, work->writes))
		return EXIT_FAILURE;
	return work->run(&job);
}
