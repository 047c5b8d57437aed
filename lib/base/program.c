#include "config.h"

#include "base/program.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_CONF	RH_SYSCONFDIR "/rowhouse/rowhouse.conf"
#define TEXT_MAX	(1 << 20)

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

static void
usage(FILE *to, const struct rh_program *p)
{
	fprintf(to, "usage: %s [options]%s%s\n%s\n"
	    "  -c FILE  configuration, instead of " DEFAULT_CONF "\n"
	    "  -t       test the configuration\n"
	    "  -T       print the configuration in force, secrets masked\n"
	    "  -V       print the version\n"
	    "  -h       print this\n%s",
	    p->name, p->operands ? " " : "", p->operands ? p->operands : "",
	    p->summary, p->options_usage ? p->options_usage : "");
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

static int
bad_usage(const struct rh_program *p)
{
	usage(stderr, p);
	return EXIT_FAILURE;
}

/* Answers whether to go on; *status is the exit status if not. */
static bool
read_options(struct rh_program *p, int argc, char **argv, enum mode *mode,
    int *status)
{
	char letters[64];
	int letter;

	*status = EXIT_SUCCESS;
	/* "+": what follows the first operand is that operand's own */
	snprintf(letters, sizeof(letters), "+c:tTVh%s",
	    p->options ? p->options : "");
	optind = 0;
	while ((letter = getopt(argc, argv, letters)) != -1)
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
			usage(stdout, p);
			return false;
		case '?':
			*status = bad_usage(p);
			return false;
		default:
			p->option(p, letter, optarg);
		}
	return true;
}

static int
act(struct rh_program *p, enum mode mode, int argc, char **argv)
{
	if (mode == RUN && argc && !p->operands) {
		rh_program_fail(p, "does not know what to do with \"%s\"", *argv);
		return bad_usage(p);
	}
	if (!read_conf(p))
		return EXIT_FAILURE;
	if (mode == TEST)
		return test_conf(p);
	if (mode == PRINT)
		return print_conf(p);
	return p->run(p, argc, argv);
}

int
rh_program_main(struct rh_program *p, int argc, char **argv)
{
	enum mode mode = RUN;
	int status;

	p->argv0 = argv;
	p->conf_path = DEFAULT_CONF;
	p->arena = rh_arena_new(65536, 64 << 20);
	if (read_options(p, argc, argv, &mode, &status))
		status = act(p, mode, argc - optind, argv + optind);
	rh_arena_destroy(&p->arena);
	return status;
}
