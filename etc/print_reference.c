/*
 * print_reference - etc/rowhouse.conf and rowhouse.conf.5, out of the table of
 * directives. "make update-reference" writes both; a test compares them.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "serve/conf.h"

#define TEXT_MAX	(256 << 10)

static struct rh_serve_conf conf;
static const struct rh_conf_table tables[] = {
	{ rh_serve_directives, &conf, NULL },
	{ rh_placement_directives, conf.placements, &rh_placement_section },
	{ 0 },
};

static const char *const types[] = {
	[RH_C_INT] = "number",
	[RH_C_MS] = "duration",
	[RH_C_BYTES] = "size",
	[RH_C_REAL] = "number",
	[RH_C_BOOL] = "on|off",
	[RH_C_TEXT] = "text",
	[RH_C_SECRET] = "secret",
	[RH_C_ENUM] = "name",
};

static const char head[] =
".\\\" Printed by etc/print_reference; \"make update-reference\" writes it anew.\n"
".TH ROWHOUSE.CONF 5 \"\" rowhouse \"File formats\"\n"
".SH NAME\n"
"rowhouse.conf \\- configuration of all of Rowhouse's programs\n"
".SH DESCRIPTION\n"
"A list of directives,\n"
".IR name \" = \" value ,\n"
"one a line, in any order; # begins a comment.\n"
"Text stands in double quotes, where ${VAR} is the environment's variable of\n"
"that name and ${VAR:\\-default} has a default for where there is none.\n"
".PP\n"
"A\n"
".I duration\n"
"is a number with ms, s, min, h or d behind it, a\n"
".I size\n"
"one with k, m or g.\n"
"A\n"
".I secret\n"
"may be \"file:/path\": the content of that file, without its last newline.\n"
"No program prints one.\n"
".PP\n"
"All programs take the file by\n"
".B \\-c\n"
"and test it with\n"
".BR \\-t ;\n"
".B \\-T\n"
"prints what is in force.\n"
"A fault is named with its line, all of them at once, and ends the program.\n"
".SH DIRECTIVES\n";

static const char tail[] =
".SH ENVIRONMENT\n"
".TP\n"
".B DATABASE_URL, ADMIN_DATABASE_URL, MOVE_DATABASE_URL, ROWHOUSE_SECRET_KEY\n"
"Defaults of database_url, admin_database_url, move_database_url, secret_key.\n"
".TP\n"
".B OTEL_*\n"
"The variables of the OpenTelemetry specification; lib/obs/README.md lists\n"
"those that are honoured.\n"
".SH FILES\n"
".TP\n"
".I /etc/rowhouse/rowhouse.conf\n"
"Where all programs look for it; a build with another prefix looks there, and\n"
".B \\-h\n"
"names it.\n"
".SH SEE ALSO\n"
".BR rowhouse\\-ctl (8),\n"
".BR rowhouse\\-fcgi (8),\n"
".BR rowhouse\\-exporter (8),\n"
".BR rowhouse\\-migrate (8)\n";

/* roff takes a "-" for a hyphen, a leading "." or "'" for a request. */
static void
put_roff(struct rh_buf *to, const char *text)
{
	if (*text == '.' || *text == '\'')
		rh_buf_lit(to, "\\&");
	for (; *text; text++)
		if (*text == '-')
			rh_buf_lit(to, "\\-");
		else if (*text == '\\')
			rh_buf_lit(to, "\\e");
		else
			rh_buf_char(to, *text);
}

static void
put_named(struct rh_buf *to, const char *name, const char *value)
{
	rh_buf_printf(to, "%s ", name);
	put_roff(to, *value ? value : "empty");
	rh_buf_lit(to, ".\n");
}

static void
put_directive(struct rh_buf *to, const struct rh_directive *d)
{
	rh_buf_printf(to, ".TP\n.BI %s \" = %s\"\n", d->name, types[d->type]);
	put_roff(to, d->meaning);
	rh_buf_lit(to, ".\n");
	for (int i = 0; d->type == RH_C_ENUM && d->names[i]; i++)
		rh_buf_printf(to, "%s%s%s", i ? ", " : "One of ", d->names[i],
		    d->names[i + 1] ? "" : ".\n");
	if (d->min)
		put_named(to, "At least", d->min);
	if (d->max)
		put_named(to, "At most", d->max);
	if (d->dflt)
		put_named(to, "Default:", d->dflt);
	else
		rh_buf_lit(to, "Required.\n");
	if (d->change == RH_RELOAD)
		rh_buf_lit(to, "A reload takes it.\n");
}

static void
print_man(struct rh_buf *to)
{
	rh_buf_slice(to, rh_slice_of(head));
	for (const struct rh_directive *d = rh_serve_directives; d->name; d++)
		put_directive(to, d);
	rh_buf_printf(to, ".SH PLACEMENTS\n.TP\n"
	    ".BI \"%s \" name \" { directives }\"\n",
	    rh_placement_section.name);
	put_roff(to, rh_placement_section.meaning);
	rh_buf_lit(to, "\n");
	for (const struct rh_directive *d = rh_placement_directives; d->name;
	    d++)
		put_directive(to, d);
	rh_buf_slice(to, rh_slice_of(tail));
}

int
main(int argc, char **argv)
{
	static char memory[TEXT_MAX];
	struct rh_buf text;

	rh_buf_init_fixed(&text, memory, sizeof(memory));
	if (argc == 2 && strcmp(argv[1], "conf") == 0)
		rh_conf_print_reference(&text, tables);
	else if (argc == 2 && strcmp(argv[1], "man") == 0)
		print_man(&text);
	else {
		fprintf(stderr, "usage: %s conf|man\n", argv[0]);
		return EXIT_FAILURE;
	}
	return !text.full && fwrite(text.p, 1, text.n, stdout) == text.n &&
	    fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
