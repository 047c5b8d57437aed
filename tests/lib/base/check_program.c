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
	{ directives, &conf, NULL }, { 0 },
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

static const struct rh_option options[] = {
	{ "-d", "DIR", "a folder", NULL },
	{ "-j", NULL, "alone", NULL },
	{ 0 }
};

static int
count(struct rh_program *self, int argc, char **argv)
{
	const char *values[2];

	if (!rh_program_take_options(self, &argc, argv, values))
		return EXIT_FAILURE;
	printf("%s %s %s", self->command->name, values[0] ? values[0] : "none",
	    values[1] ? "json" : "text");
	for (int i = 0; i < argc; i++)
		printf(" %s", argv[i]);
	putchar('\n');
	return EXIT_SUCCESS;
}

static const struct rh_option count_options[] = {
	{ "--by", "KEY", "what to count by", NULL },
	{ "--json", NULL, "as JSON", NULL },
	{ 0 }
};
static const struct rh_command commands[] = {
	{ "count", "WHAT", "count them", count_options, count },
	{ "run", NULL, "run it", NULL, run },
	{ 0 }
};

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
		.options = options, .option = option,
	};
	int argc = 0, status;

	if (operands && strcmp(operands, "COMMAND") == 0)
		p.commands = commands;
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
	{ GOOD, NULL, { "p", "--version" }, 0, "rowhouse-test " PACKAGE_VERSION " (" RH_REVISION ")\n", "" },
	{ GOOD, "COMMAND", { "p", "-c", "x.conf", "run", "-x" }, 2, "run 3 p run -x\n", "" },
	{ GOOD, "COMMAND", { "p", "-c", "x.conf", "count" }, 0, "count none text count\n", "" },
	{ GOOD, "COMMAND", { "p", "-c", "x.conf", "count", "--by", "-", "sheep", "--json" }, 0, "count - json count sheep\n", "" },
	{ GOOD, "COMMAND", { "p", "-c", "x.conf", "count", "-j" }, 1, "", "rowhouse-test: count has no option -j; -h names all\n" },
	{ GOOD, "COMMAND", { "p", "-c", "x.conf", "count", "--by" }, 1, "", "rowhouse-test: count: --by needs an operand\n" },
	{ GOOD, NULL, { "p", "--describe", "dance" }, 1, "", "rowhouse-test: --describe takes man, bash or zsh\n" },
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
	{ { "p", "--help" }, 0 },
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

static const struct { const char *argv[4]; const char *says; } strangers[] = {
	{ { "p" }, "what to do?\n" },
	{ { "p", "dance" }, "does not know what to do with \"dance\"\n" },
	{ { "p", "coun" }, "does not know what to do with \"coun\"\n" },
};

START_TEST(the_usage_names_the_commands)
{
	struct said said = say(GOOD, "COMMAND", strangers[_i].argv);

	ck_assert_int_eq(said.status, 1);
	ck_assert_str_eq(said.out, "");
	ck_assert_ptr_nonnull(strstr(said.err, strangers[_i].says));
	ck_assert_ptr_nonnull(strstr(said.err, "[options] COMMAND\n"));
	ck_assert_ptr_nonnull(strstr(said.err, "  count WHAT\n"));
	ck_assert_ptr_nonnull(strstr(said.err, "--by KEY"));
}
END_TEST

static const struct { const char *what; const char *says[6]; } descriptions[] = {
	{ "man", { ".It Fl d Ar dir\nA folder.\n", ".It Cm count Ar what Oo Fl -by Ar key Oc Oo Fl -json Oc\nCount them.\n", ".It Fl -json\nAs JSON.\n" } },
	{ "bash", { "complete -F _rowhouse_test rowhouse-test\n", "count) words='--by --json '", "words='-c -t -T -V -h -d -j '" } },
	{ "zsh", { "#compdef rowhouse-test\n", "'-d[a folder]:DIR:_files -/'\n", "'count:count them'\n", "'--by[what to count by]:KEY:'\n" } },
};

START_TEST(the_tables_describe_themselves)
{
	const char *argv[] = { "p", "--describe", descriptions[_i].what, NULL };
	struct said said = say(GOOD, "COMMAND", argv);

	ck_assert_str_eq(said.err, "");
	ck_assert_int_eq(said.status, 0);
	for (const char *const *s = descriptions[_i].says; *s; s++)
		ck_assert_msg(strstr(said.out, *s), "%s: not in\n%s", *s,
		    said.out);
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
    RH_LOOP(the_usage_names_the_commands, strangers),
    RH_LOOP(the_tables_describe_themselves, descriptions),
    RH_CASE(the_default_file_is_in_sysconfdir))
