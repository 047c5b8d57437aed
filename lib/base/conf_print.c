#include "config.h"

#include "base/conf.h"
#include "base/conf_value.h"

#define WIDTH	78

/*
 * A secret that is set stands in a comment: read back, the mask would pass
 * for the secret itself.
 */
static void
print_row(struct rh_buf *to, const struct rh_directive *d, const void *record,
    const char *indent)
{
	const struct rh_slice *text =
	    (const void *)((const char *)record + d->at);
	bool masked = d->type == RH_C_SECRET && text->n;

	rh_buf_printf(to, "%s%s%s = ", indent, masked ? "# " : "", d->name);
	if (masked)
		rh_buf_lit(to, "\"********\"");
	else
		rh_conf_value_put(to, d, record);
	rh_buf_char(to, '\n');
}

static void
print_section(struct rh_buf *to, const struct rh_conf_table *t)
{
	const char *record = t->to;

	for (;; record += t->section->bytes) {
		const struct rh_slice *title = (const void *)record;

		if (!title->n)
			return;
		rh_buf_printf(to, "%s %.*s {\n", t->section->name,
		    RH_SLICE_ARG(*title));
		for (const struct rh_directive *d = t->directives; d->name; d++)
			print_row(to, d, record, "\t");
		rh_buf_lit(to, "}\n");
	}
}

void
rh_conf_print(struct rh_buf *to, const struct rh_conf_table *tables)
{
	for (; tables->directives; tables++) {
		if (tables->section && tables->directives->name)
			print_section(to, tables);
		for (const struct rh_directive *d = tables->directives;
		    !tables->section && d->name; d++)
			print_row(to, d, tables->to, "");
	}
}

static bool
is_text(const struct rh_directive *d)
{
	return d->type == RH_C_TEXT || d->type == RH_C_SECRET;
}

/* "# " before each line, broken between words. */
static void
print_comment(struct rh_buf *to, struct rh_slice text)
{
	size_t column = 0;

	while (text.p) {
		struct rh_slice word = rh_slice_cut(&text, ' ');

		if (column && column + 1 + word.n > WIDTH) {
			rh_buf_char(to, '\n');
			column = 0;
		}
		rh_buf_slice(to, column ? RH_SLICE(" ") : RH_SLICE("# "));
		rh_buf_slice(to, word);
		column += word.n + (column ? 1 : 2);
	}
	rh_buf_char(to, '\n');
}

static void
put_bounds(struct rh_buf *to, const struct rh_directive *d)
{
	if (d->min && d->max)
		rh_buf_printf(to, " %s to %s.", d->min, d->max);
	else if (d->min)
		rh_buf_printf(to, " %s or more.", d->min);
	else if (d->max)
		rh_buf_printf(to, " %s or less.", d->max);
	for (int i = 0; d->type == RH_C_ENUM && d->names[i]; i++)
		rh_buf_printf(to, "%s%s%s", i ? ", " : " One of ", d->names[i],
		    d->names[i + 1] ? "" : ".");
}

static void
print_reference_row(struct rh_buf *to, const struct rh_directive *d,
    const char *indent)
{
	char memory[1024];
	struct rh_buf text;

	rh_buf_init_fixed(&text, memory, sizeof(memory));
	rh_buf_printf(&text, "%s.", d->meaning);
	put_bounds(&text, d);
	if (d->change == RH_RELOAD)
		rh_buf_lit(&text, " A reload takes it.");
	if (!d->dflt)
		rh_buf_lit(&text, " Required.");
	print_comment(to, rh_buf_get(&text));
	if (!d->dflt)
		rh_buf_printf(to, "#%s%s =\n\n", indent, d->name);
	else if (is_text(d))
		rh_buf_printf(to, "#%s%s = \"%s\"\n\n", indent, d->name,
		    d->dflt);
	else
		rh_buf_printf(to, "#%s%s = %s\n\n", indent, d->name, d->dflt);
}

static void
print_reference_section(struct rh_buf *to, const struct rh_conf_table *t)
{
	print_comment(to, rh_slice_of(t->section->meaning));
	rh_buf_printf(to, "#%s NAME {\n\n", t->section->name);
	for (const struct rh_directive *d = t->directives; d->name; d++)
		print_reference_row(to, d, "\t");
	rh_buf_lit(to, "#}\n\n");
}

void
rh_conf_print_reference(struct rh_buf *to, const struct rh_conf_table *tables)
{
	rh_buf_lit(to,
	    "# All directives, each with its default. Durations: ms, s, min, h, d;"
	    " sizes:\n"
	    "# k, m, g. \"${VAR}\" and \"${VAR:-default}\" in double quotes take the"
	    "\n# environment's; a secret may also be \"file:/path\".\n\n");
	for (; tables->directives; tables++) {
		if (tables->section)
			print_reference_section(to, tables);
		for (const struct rh_directive *d = tables->directives;
		    !tables->section && d->name; d++)
			print_reference_row(to, d, "");
	}
	if (!to->full)
		to->n--;	/* the blank line after the last one */
}
