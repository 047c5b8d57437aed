#include "config.h"

#include "base/program.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/program_text.h"

#define TEXT_MAX	(1 << 20)
#define DESCRIBE	256	/* beyond all letters */

enum mode { RUN, TEST, PRINT };

int
rh_program_fail(const struct rh_program *p, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", p->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static bool
print(const struct rh_buf *text, FILE *to)
{
	return fwrite(text->p, 1, text->n, to) == text->n && fflush(to) == 0;
}

/*
 * check() sees the whole configuration and so may complain of a directive
 * that could not be read; one line for each is enough.
 */
static void
add_checked(struct rh_buf *faults, const char *path, struct rh_slice checked)
{
	size_t read = faults->n;

	while (checked.n) {
		struct rh_slice line = rh_slice_cut(&checked, '\n');
		const char *colon = memchr(line.p, ':', line.n);
		size_t name = colon ? (size_t)(colon - line.p) : 0;
		char key[80];

		if (name && name < sizeof(key) - 4) {
			memcpy(key, ": ", 2);
			memcpy(key + 2, line.p, name);
			memcpy(key + 2 + name, ": ", 3);
			if (memmem(faults->p, read, key, strlen(key)))
				continue;
		}
		if (line.n)
			rh_buf_printf(faults, "%s: %.*s\n", path,
			    RH_SLICE_ARG(line));
	}
}

static bool
read_tables(const struct rh_program *p, const struct rh_conf_table *tables,
    struct rh_arena *arena, struct rh_buf *faults)
{
	struct rh_buf checked;
	bool ok;

	rh_buf_init(&checked, arena, 1024, TEXT_MAX);
	ok = rh_conf_read(p->conf_path, tables, p->unknown, arena, faults);
	if (p->check && (ok || access(p->conf_path, R_OK) == 0)) {
		p->check(tables, &checked);
		add_checked(faults, p->conf_path, rh_buf_get(&checked));
	}
	return ok && faults->n == 0 && !faults->full;
}

static bool
read_conf(struct rh_program *p)
{
	struct rh_buf faults;

	rh_buf_init(&faults, p->arena, 1024, TEXT_MAX);
	if (read_tables(p, p->tables, p->arena, &faults))
		return true;
	print(&faults, stderr);
	return false;
}

bool
rh_program_reread(const struct rh_program *p, struct rh_arena *arena,
    struct rh_buf *faults, struct rh_buf *restart)
{
	const struct rh_conf_table *next = rh_conf_tables_like(p->tables, arena);

	if (!read_tables(p, next, arena, faults))
		return false;
	rh_conf_restart_needed(restart, p->tables, next);
	rh_conf_reload(p->tables, next);
	return true;
}

static int
test_conf(const struct rh_program *p)
{
	return printf("configuration %s: ok\n", p->conf_path) > 0 &&
	    fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
print_conf(const struct rh_program *p)
{
	struct rh_buf text;

	rh_buf_init(&text, p->arena, 4096, TEXT_MAX);
	rh_conf_print(&text, p->tables);
	return !text.full && print(&text, stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Answers whether all of it was written. */
static bool
usage(const struct rh_program *p, FILE *to)
{
	struct rh_buf text;

	rh_buf_init(&text, p->arena, 1024, TEXT_MAX);
	rh_program_usage(&text, p);
	return print(&text, to);
}

static int
bad_usage(const struct rh_program *p)
{
	usage(p, stderr);
	return EXIT_FAILURE;
}

static int
describe(const struct rh_program *p, const char *what)
{
	struct rh_buf text;

	rh_buf_init(&text, p->arena, 4096, TEXT_MAX);
	if (!rh_program_describe(&text, p, what))
		return rh_program_fail(p, "--describe takes man, bash or zsh");
	return !text.full && print(&text, stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void
put_letters(struct rh_buf *to, const struct rh_option *options)
{
	for (const struct rh_option *o = options; o && o->name; o++) {
		rh_assert(o->name[0] == '-' && strlen(o->name) == 2);
		rh_buf_char(to, o->name[1]);
		if (o->operand)
			rh_buf_char(to, ':');
	}
}

/* "+": what follows the first operand is that operand's own */
static const char *
letters(const struct rh_program *p)
{
	struct rh_buf b;

	rh_buf_init(&b, p->arena, 64, TEXT_MAX);
	rh_buf_char(&b, '+');
	put_letters(&b, rh_program_options);
	put_letters(&b, p->options);
	rh_buf_char(&b, '\0');
	return b.p;
}

/* Answers whether to go on; *status is the exit status if not. */
static bool
read_options(struct rh_program *p, int argc, char **argv, enum mode *mode,
    int *status)
{
	static const struct option words[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "describe", required_argument, NULL, DESCRIBE },
		{ 0 }
	};
	const char *own = letters(p);
	int letter;

	*status = EXIT_SUCCESS;
	optind = 0;
	while ((letter = getopt_long(argc, argv, own, words, NULL)) != -1)
		switch (letter) {
		case 'c':
			p->conf_path = optarg;
			break;
		case 't':
			*mode = TEST;
			break;
		case 'T':
			*mode = PRINT;
			break;
		case 'V':
			printf("%s %s (%s)\n", p->name, PACKAGE_VERSION,
			    RH_REVISION);
			return false;
		case 'h':
			*status = !usage(p, stdout);
			return false;
		case DESCRIBE:
			*status = describe(p, optarg);
			return false;
		case '?':
			*status = bad_usage(p);
			return false;
		default:
			p->option(p, letter, optarg);
		}
	return true;
}

/* The operand's command, into p->command; false: it is none. */
static bool
find_command(struct rh_program *p, const char *name)
{
	for (const struct rh_command *c = p->commands; c->name; c++)
		if (name && strcmp(c->name, name) == 0)
			p->command = c;
	return p->command;
}

static bool
operands_are_known(struct rh_program *p, const char *first)
{
	if (p->commands)
		return find_command(p, first);
	return !first || p->operands;
}

static int
act(struct rh_program *p, enum mode mode, int argc, char **argv)
{
	if (mode == RUN && !operands_are_known(p, *argv)) {
		if (argc)
			rh_program_fail(p, "does not know what to do with"
			    " \"%s\"", *argv);
		else
			rh_program_fail(p, "what to do?");
		return bad_usage(p);
	}
	if (!read_conf(p))
		return EXIT_FAILURE;
	if (mode == TEST)
		return test_conf(p);
	if (mode == PRINT)
		return print_conf(p);
	return (p->command ? p->command->run : p->run)(p, argc, argv);
}

int
rh_program_main(struct rh_program *p, int argc, char **argv)
{
	enum mode mode = RUN;
	int status;

	p->argv0 = argv;
	p->conf_path = RH_PROGRAM_CONF;
	p->arena = rh_arena_new(65536, 64 << 20);
	if (read_options(p, argc, argv, &mode, &status))
		status = act(p, mode, argc - optind, argv + optind);
	rh_arena_destroy(&p->arena);
	return status;
}

/* Which of the options this is; NULL: none. */
static const struct rh_option *
find_option(const struct rh_option *options, const char *name)
{
	for (; options && options->name; options++)
		if (strcmp(options->name, name) == 0)
			return options;
	return NULL;
}

bool
rh_program_take_options(const struct rh_program *p, int *argc, char **argv,
    const char *values[])
{
	const struct rh_option *options = p->command->options, *found;
	int kept = 1;

	for (int i = 0; options && options[i].name; i++)
		values[i] = NULL;
	for (int i = 1; i < *argc; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			argv[kept++] = argv[i];
			continue;
		}
		if (!(found = find_option(options, argv[i])) ||
		    (found->operand && i + 1 == *argc)) {
			if (found)
				rh_program_fail(p, "%s: %s needs an operand",
				    p->command->name, argv[i]);
			else
				rh_program_fail(p, "%s has no option %s; -h"
				    " names all", p->command->name, argv[i]);
			return false;
		}
		values[found - options] = found->operand ? argv[++i] : "";
	}
	*argc = kept;
	return true;
}
