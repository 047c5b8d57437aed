#include "config.h"

#include "base/conf.h"

#include "base/conf_statement.h"
#include "base/conf_value.h"

static const struct rh_directive *
find_directive(const struct rh_conf_table *t, const struct rh_conf_statement *s)
{
	for (; t->directives; t++)
		for (const struct rh_directive *d = t->directives; d->name; d++)
			if (!s->title == !t->section &&
			    strcmp(d->name, s->name) == 0)
				return d;
	return NULL;
}

static bool
stands_in(const struct rh_conf_statement *s, const char *title)
{
	return s->title && title ? strcmp(s->title, title) == 0 :
	    s->title == title;
}

/* Levenshtein's distance; names are short, and over-long ones are no typo. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[65], n = strlen(b);

	if (n > 64 || strlen(a) > 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			row[j] = RH_MIN(change, RH_MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

static const char *
nearest(const struct rh_conf_reading *r, const char *name)
{
	size_t best = strlen(name) / 3 + 1;
	const char *found = NULL;

	for (const struct rh_conf_table *t = r->tables; t->directives; t++)
		for (const struct rh_directive *d = t->directives; d->name; d++) {
			size_t far = distance(name, d->name);

			if (far < best || (far == best && !found)) {
				best = far;
				found = d->name;
			}
		}
	return found;
}

/* The first of them. */
static const struct rh_conf_statement *
find_statement(const struct rh_conf_reading *r, const char *title, const char *name)
{
	for (const struct rh_conf_statement *s = r->first; s; s = s->next)
		if (stands_in(s, title) && strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

static void
judge_names(struct rh_conf_reading *r, enum rh_conf_unknown unknown)
{
	for (const struct rh_conf_statement *s = r->first; s; s = s->next) {
		const char *like;

		if (find_directive(r->tables, s)) {
			const struct rh_conf_statement *before = find_statement(r,
			    s->title, s->name);

			if (before != s)
				rh_conf_fault_add(r, s->line, rh_arena_printf(r->arena,
				    "%s: given twice, first on line %u",
				    s->name, before->line));
			continue;
		}
		if (unknown == RH_CONF_UNKNOWN_OK)
			continue;
		like = nearest(r, s->name);
		if (like && strcmp(like, s->name) == 0) {
			rh_conf_fault_add(r, s->line, rh_arena_printf(r->arena,
			    "%s: stands %s section", s->name,
			    s->title ? "outside of any" : "inside of a"));
			continue;
		}
		rh_conf_fault_add(r, s->line, rh_arena_printf(r->arena,
		    "%.64s: no such directive%s%s%s", s->name,
		    like ? "; did you mean " : "", like ? like : "",
		    like ? "?" : ""));
	}
}

static void
fault_value(struct rh_conf_reading *r, unsigned line, const struct rh_directive *d,
    const char *why)
{
	rh_conf_fault_add(r, line, rh_arena_printf(r->arena, "%s: %s", d->name, why));
}

static bool
store(struct rh_conf_reading *r, unsigned line, const struct rh_directive *d,
    void *to, const char *text)
{
	char memory[1024];
	struct rh_buf why;

	rh_buf_init_fixed(&why, memory, sizeof(memory) - 1);
	if (rh_conf_value_get(to, d, rh_slice_of(text), r->arena, &why))
		return true;
	memory[why.n] = '\0';
	fault_value(r, line, d, why.n ? memory : "has a wrong value");
	return false;
}

static void
take_default(struct rh_conf_reading *r, const struct rh_directive *d, void *to)
{
	struct rh_slice unset;
	const char *text;

	if (!d->dflt)
		fault_value(r, 0, d, "required, and not given");
	else if (!(text = rh_conf_expand(d->dflt, r->arena, &unset)))
		fault_value(r, 0, d, rh_arena_printf(r->arena, "not given, and"
		    " ${%.*s}, its default, is not set in the environment",
		    RH_SLICE_ARG(unset)));
	else
		(void)store(r, 0, d, to, text);
}

static void
take_value(struct rh_conf_reading *r, const struct rh_conf_statement *s,
    const struct rh_directive *d, void *to)
{
	char *value = rh_arena_strdup(r->arena, rh_slice_of(s->value));
	const char *unset = rh_conf_unset_find(r, value);

	if (unset)
		fault_value(r, s->line, d, rh_arena_printf(r->arena,
		    "${%s} is not set in the environment", unset));
	else
		(void)store(r, s->line, d, to, value);
}

static void
judge_record(struct rh_conf_reading *r, const struct rh_directive *d, void *to,
    const char *title)
{
	for (; d->name; d++) {
		const struct rh_conf_statement *s = find_statement(r, title, d->name);

		if (s)
			take_value(r, s, d, to);
		else
			take_default(r, d, to);
	}
}

static void
judge_sections(struct rh_conf_reading *r, const struct rh_conf_table *t)
{
	const struct rh_conf_section *of = t->section;

	if (!t->directives->name)
		return;		/* a program that has no use for them */
	if (r->n_titles >= of->most) {
		rh_conf_fault_add(r, 0, rh_arena_printf(r->arena,
		    "%s: more than %u of them", of->name, of->most - 1));
		return;
	}
	memset(t->to, 0, of->bytes * of->most);
	for (unsigned i = 0; i < r->n_titles; i++) {
		char *record = (char *)t->to + i * of->bytes;

		*(struct rh_slice *)(void *)record = rh_slice_of(r->titles[i]);
		judge_record(r, t->directives, record, r->titles[i]);
	}
}

static void
judge_values(struct rh_conf_reading *r)
{
	for (const struct rh_conf_table *t = r->tables; t->directives; t++)
		if (t->section)
			judge_sections(r, t);
		else
			judge_record(r, t->directives, t->to, NULL);
}

static void
put_faults(const struct rh_conf_reading *r, struct rh_buf *to)
{
	for (const struct rh_conf_fault *f = r->faults; f; f = f->next)
		if (f->line)
			rh_buf_printf(to, "%s:%u: %s\n", r->path, f->line,
			    f->text);
		else
			rh_buf_printf(to, "%s: %s\n", r->path, f->text);
}

bool
rh_conf_read(const char *path, const struct rh_conf_table *tables,
    enum rh_conf_unknown unknown, struct rh_arena *arena, struct rh_buf *faults)
{
	struct rh_conf_reading r = { .path = path, .tables = tables, .arena = arena };

	for (const struct rh_conf_table *t = tables; t->directives; t++)
		if (t->section)
			r.section = t;
	if (rh_conf_statements_read(&r)) {
		judge_names(&r, unknown);
		judge_values(&r);
	}
	put_faults(&r, faults);
	return !r.faults;
}
