/* tests/lib/base/check_program.c - what each option prints, and the exit status. */
#include "config.h"

#include "base/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rh_check.h"

struct conf {
	int64_t workers;
	struct rh_slice key;
};

static const struct rh_directive directives[] = {
	{ "workers", RH_CONF(INT, struct conf, workers), "8", "1", "512",
	    RH_RESTART, "processes", NULL },
	{ "key", RH_CONF(SECRET, struct conf, key), "", NULL, NULL, RH_RESTART,
	    "signs", NULL },
	{ 0 }
};
static struct conf conf;
static const struct rh_conf_table tables[] = {
	{ directives, &conf }, { NULL, NULL },
};

static void
check(const struct rh_conf_table *read, struct rh_buf *faults)
{
	const struct conf *c = read->to;

	if (c->key.n < 4)
		rh_buf_lit(faults, "key: required, at least 4 characters\n");
	if (c->workers == 13)
		rh_buf_lit(faults, "workers: not today\n");
}

static void
option(struct rh_program *self, int letter, const char *value)
{
	printf("%s -%c %s\n", self->name, letter, value ? value : "alone");
}

static int
run(struct rh_program *self, int argc, char **argv)
{
	printf("run %d %s", (int)conf.workers, self->argv0[0]);
	for (int i = 0; i < argc; i++)
		printf(" %s", argv[i]);
	putchar('\n');
	return argc;
}

struct said {
	int status;
	char *out, *err;
};

static char dir[64];

static char *
slurp(const char *name)
{
	char *text = rh_arena_alloc(rh_check_arena(), 65536);
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, text, 65535);

	ck_assert_int_ge(n, 0);
	close(fd);
	unlink(name);
	text[n] = '\0';
	return text;
}

static void
redirect(int fd, const char *name)
{
	int to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_eq(dup2(to, fd), fd);
	close(to);
}

static void
child(const char *operands, const char *const *args)
{
	char *argv[9] = { NULL };
	struct rh_program p = {
		.name = "rowhouse-test", .summary = "Tests.",
		.operands = operands, .tables = tables, .check = check, .run = run,
		.options = "d:j", .option = option,
		.options_usage = "  -d DIR   a folder\n",
	};
	int argc = 0, status;

	for (; args[argc]; argc++)
		argv[argc] = rh_arena_strdup(rh_check_arena(),
		    rh_slice_of(args[argc]));
	redirect(1, "out");
	redirect(2, "err");
	status = rh_program_main(&p, argc, argv);
	fflush(stdout);
	_exit(status);
}

static struct said
say(const char *conf_text, const char *operands, const char *const *argv)
{
	struct said said;
	FILE *f;
	pid_t pid;
	int status;

	snprintf(dir, sizeof(dir), "/tmp/rh-program-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	f = fopen("x.conf", "w");
	fputs(conf_text, f);
	fclose(f);
	fflush(NULL);
	if ((pid = fork()) == 0)
		child(operands, argv);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	said = (struct said){ WEXITSTATUS(status), slurp("out"), slurp("err") };
	unlink("x.conf");
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	return said;
}

#define GOOD	"workers = 3\nkey = hush\n"
#define ALL	"x.conf:1: workers: 0 is below the least, 1\n" \
    "x.conf:2: wrkers: no such directive; did you mean workers?\n" \
    "x.conf: key: required, at least 4 characters\n"

/* clang-format off */
static const struct {
	const char *conf, *operands;
	const char *argv[8];
	int status;
	const char *out, *err;
} rows[] = {
	{ GOOD, NULL, { "p", "-c", "x.conf" }, 0, "run 3 p\n", "" },
	{ GOOD, NULL, { "p", "-tc", "x.conf" }, 0, "configuration x.conf: ok\n", "" },
	{ GOOD, NULL, { "p", "-T", "-c", "x.conf" }, 0, "workers = 3\n# key = \"********\"\n", "" },
	{ GOOD, "up|down", { "p", "-c", "x.conf", "up", "-d", "2" }, 3, "run 3 p up -d 2\n", "" },
	{ GOOD, NULL, { "p", "-j", "-d", "x", "-c", "x.conf" }, 0, "rowhouse-test -j alone\nrowhouse-test -d x\nrun 3 p\n", "" },
	{ "workers = 0\nwrkers = 1", NULL, { "p", "-c", "x.conf" }, 1, "", ALL },
	{ "workers = 0\nwrkers = 1", NULL, { "p", "-tc", "x.conf" }, 1, "", ALL },
	{ "workers = 0\nwrkers = 1", NULL, { "p", "-Tc", "x.conf" }, 1, "", ALL },
	{ "key = \"${RH_T_NOT}\"", NULL, { "p", "-c", "x.conf" }, 1, "", "x.conf:1: key: ${RH_T_NOT} is not set in the environment\n" },
	{ "workers = 13\nkey = hush", NULL, { "p", "-c", "x.conf" }, 1, "", "x.conf: workers: not today\n" },
	{ GOOD, NULL, { "p", "-c", "y.conf" }, 1, "", "y.conf: cannot be read: No such file or directory\n" },
	{ GOOD, NULL, { "p", "-V" }, 0, "rowhouse-test " PACKAGE_VERSION " (" RH_REVISION ")\n", "" },
};
/* clang-format on */

START_TEST(each_option_does_its_work)
{
	struct said said = say(rows[_i].conf, rows[_i].operands,
	    rows[_i].argv);

	ck_assert_str_eq(said.err, rows[_i].err);
	ck_assert_str_eq(said.out, rows[_i].out);
	ck_assert_int_eq(said.status, rows[_i].status);
}
END_TEST

static const struct { const char *argv[4]; int status; } usages[] = {
	{ { "p", "-h" }, 0 },
	{ { "p", "-x" }, 1 },
	{ { "p", "-c" }, 1 },
	{ { "p", "extra" }, 1 },
};

START_TEST(the_usage_names_the_options)
{
	struct said said = say(GOOD, NULL, usages[_i].argv);
	const char *text = usages[_i].status ? said.err : said.out;

	ck_assert_int_eq(said.status, usages[_i].status);
	ck_assert_ptr_nonnull(strstr(text, "usage: rowhouse-test"));
	ck_assert_ptr_nonnull(strstr(text, "-t "));
	ck_assert_ptr_nonnull(strstr(text, "-d DIR"));
}
END_TEST

START_TEST(the_default_file_is_in_sysconfdir)
{
	const char *argv[] = { "p", NULL };
	struct said said;

	if (access(RH_SYSCONFDIR "/rowhouse/rowhouse.conf", F_OK) == 0)
		return;
	said = say(GOOD, NULL, argv);
	ck_assert_int_eq(said.status, 1);
	ck_assert_ptr_nonnull(strstr(said.err,
	    RH_SYSCONFDIR "/rowhouse/rowhouse.conf: cannot be read"));
}
END_TEST

RH_CHECK_MAIN("base/program",
    RH_LOOP(each_option_does_its_work, rows),
    RH_LOOP(the_usage_names_the_options, usages),
    RH_CASE(the_default_file_is_in_sysconfdir))
