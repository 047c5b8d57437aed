#include "config.h"

#include "base/conf_statement.h"

#include <confuse.h>
#include <stdio.h>

#include "base/conf_value.h"
#include "base/text.h"

#define FILE_MAX	(256 << 10)

/*
 * libconfuse stops at the first thing it does not like, and tells no more
 * than a line. So it reads the text as often as it takes: an unknown name is
 * declared and judged later, the lines of a broken statement are blanked.
 * All directives are strings to it; types, bounds and repetitions are ours.
 */

/* UNSET name UNSET, in the value of a "${name}" that is not set. */
#define UNSET		'\001'
#define UNSET_OPEN	"${\001:-"

/* libconfuse's callbacks carry no pointer of ours. */
static struct rh_conf_reading *now;

void
rh_conf_fault_add(struct rh_conf_reading *r, unsigned line, const char *text)
{
	struct rh_conf_fault *f = RH_NEW(r->arena, struct rh_conf_fault), **at = &r->faults;

	while (*at && (*at)->line <= line)
		at = &(*at)->next;
	*f = (struct rh_conf_fault){ line, text, *at };
	*at = f;
}

/* --- the text --- */

static bool
read_text(struct rh_conf_reading *r)
{
	char memory[1024];
	struct rh_buf why;
	struct rh_slice text;

	rh_buf_init_fixed(&why, memory, sizeof(memory));
	if (!rh_conf_file_get(&text, r->path, FILE_MAX, r->arena, &why)) {
		rh_conf_fault_add(r, 0, rh_arena_strdup(r->arena, rh_buf_get(&why)));
		return false;
	}
	if (text.n && memchr(text.p, '\0', text.n)) {
		rh_conf_fault_add(r, 0, "is no text: it has a NUL byte");
		return false;
	}
	r->text = rh_arena_strdup(r->arena, text);
	return true;
}

/* Control characters would pass for UNSET; no directive's value has any. */
static void
fault_controls(struct rh_conf_reading *r)
{
	unsigned line = 1;

	for (char *c = r->text; *c; c++) {
		if (*c == '\n')
			line++;
		else if ((unsigned char)*c < ' ' && *c != '\t' && *c != '\r') {
			rh_conf_fault_add(r, line, "a control character");
			*c = ' ';
		}
	}
}

/* Answers what follows a "quoted", 'quoted' or ${VAR} part at p. */
static char *
skip_quoted(char *p)
{
	char end = *p;

	if (end == '$') {
		p += strcspn(p, "}\n");
		return *p == '}' ? p + 1 : p;
	}
	for (p++; *p && *p != end; p++) {
		if (*p != '\\')
			continue;
		if (p[1])
			p++;
		else
			*p = ' ';	/* see blank_comments */
	}
	return *p ? p + 1 : p;
}

/* Where a comment at p ends, or p where there is none. */
static char *
comment_end(char *p, bool token_starts)
{
	char *end;

	if (*p == '#' || (token_starts && p[0] == '/' && p[1] == '/'))
		return p + strcspn(p, "\n");
	if (!token_starts || p[0] != '/' || p[1] != '*')
		return p;
	end = strstr(p + 2, "*/");
	return end ? end + 2 : p;
}

static unsigned
line_at(const char *text, const char *p)
{
	unsigned line = 1;

	while (text < p)
		line += *text++ == '\n';
	return line;
}

/*
 * libconfuse 3.3 counts two lines too many for each comment of one line, and
 * one for each of several; so it sees none. A backslash outside of quotes it
 * prints on stdout.
 */
static void
blank_comments(struct rh_conf_reading *r)
{
	bool token_starts = true;
	char *p = r->text;

	while (*p) {
		char *end = comment_end(p, token_starts);

		if (*p == '"' || *p == '\'' || (p[0] == '$' && p[1] == '{')) {
			p = skip_quoted(p);
			token_starts = true;
			continue;
		}
		if (*p == '\\') {
			rh_conf_fault_add(r, line_at(r->text, p),
			    "a backslash outside of quotes");
			*p = ' ';
		}
		token_starts = end > p || strchr(" \t\r\n={}()+,", *p);
		if (end == p)
			p++;
		for (; p < end; p++)
			if (*p != '\n')
				*p = ' ';
	}
}

/*
 * To libconfuse a variable that is not set is an empty one; here it is a
 * fault. So each of them gets a default that shows itself in the value.
 */
static void
mark_unset(struct rh_conf_reading *r)
{
	struct rh_buf out;
	const char *p = r->text, *open, *close;
	struct rh_slice unset;

	rh_buf_init(&out, r->arena, FILE_MAX / 64, FILE_MAX * 4);
	for (; (open = strstr(p, "${")); p = close) {
		close = open + 2 + strcspn(open + 2, "}\n");
		rh_buf_put(&out, p, (size_t)(open - p));
		if (*close == '}' && !rh_conf_expand(rh_arena_strdup(r->arena,
		    (struct rh_slice){ open, (size_t)(close + 1 - open) }),
		    r->arena, &unset))
			rh_buf_printf(&out, UNSET_OPEN "%c%.*s%c", UNSET,
			    RH_SLICE_ARG(unset), UNSET);
		else
			rh_buf_put(&out, open, (size_t)(close - open));
	}
	rh_buf_slice(&out, rh_slice_of(p));
	rh_buf_char(&out, '\0');
	if (out.full)
		rh_conf_fault_add(r, 0, "too many variables that are not set");
	else
		r->text = out.p;
}

const char *
rh_conf_unset_find(struct rh_conf_reading *r, char *value)
{
	const size_t open = sizeof(UNSET_OPEN) - 1;
	char *mark, *end;

	while ((mark = strstr(value, UNSET_OPEN)) &&
	    (end = strchr(mark + open + 1, UNSET))) {
		size_t name = (size_t)(end - mark) - open - 1;

		memmove(mark + 2, mark + open + 1, name);
		memmove(mark + 2 + name, end + 1, strlen(end + 1) + 1);
	}
	if (!(mark = strchr(value, UNSET)) || !(end = strchr(mark + 1, UNSET)))
		return NULL;
	return rh_arena_strdup(r->arena,
	    (struct rh_slice){ mark + 1, (size_t)(end - mark - 1) });
}

/* --- libconfuse --- */

static RH_PRINTF(2, 0) void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	if (now->message[0])
		return;
	now->line = (unsigned)cfg->line;
	vsnprintf(now->message, sizeof(now->message), fmt, ap);
}

static int
on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	struct rh_conf_statement *s = RH_NEW(now->arena, struct rh_conf_statement);

	if (cfg->title)
		s->title = rh_arena_strdup(now->arena, rh_slice_of(cfg->title));
	s->name = rh_arena_strdup(now->arena, rh_slice_of(opt->name));
	s->value = rh_arena_strdup(now->arena,
	    rh_slice_of(cfg_opt_getnstr(opt, 0)));
	s->line = (unsigned)cfg->line;
	*now->last = s;
	now->last = &s->next;
	if (s->line != now->good) {
		now->good_before = now->good;
		now->good = s->line;
	}
	return 0;
}

static void
declare(struct rh_conf_reading *r, const char *name)
{
	cfg_opt_t opt = CFG_STR(name, NULL, CFGF_NODEFAULT);

	opt.validcb = on_value;
	r->opts = rh_arena_grow(r->arena, r->opts,
	    (r->n_opts + 1) * sizeof(opt), (r->n_opts + 2) * sizeof(opt));
	r->opts[r->n_opts + 1] = r->opts[r->n_opts];
	r->opts[r->n_opts++] = opt;
}

static bool
is_declared(const struct rh_conf_reading *r, const char *name)
{
	for (size_t i = 0; i < r->n_opts; i++)
		if (strcmp(r->opts[i].name, name) == 0)
			return true;
	return false;
}

/* What is known at all may stand anywhere; where it belongs is judged later. */
static cfg_opt_t *
opts_and_section(struct rh_conf_reading *r)
{
	size_t n = r->n_opts;
	cfg_opt_t *all = rh_arena_zalloc(r->arena, n + 2, sizeof(*all));
	cfg_opt_t section = CFG_SEC("", r->opts, CFGF_MULTI | CFGF_TITLE);
	cfg_opt_t end = CFG_END();

	memcpy(all, r->opts, n * sizeof(*all));
	if (r->section) {
		section.name = r->section->section->name;
		all[n++] = section;
	}
	all[n] = end;
	return all;
}

static void
take_titles(struct rh_conf_reading *r, cfg_t *cfg)
{
	const char *name = r->section->section->name;

	r->n_titles = cfg_size(cfg, name);
	r->titles = rh_arena_zalloc(r->arena, r->n_titles + 1,
	    sizeof(*r->titles));
	for (unsigned i = 0; i < r->n_titles; i++)
		r->titles[i] = rh_arena_strdup(r->arena,
		    rh_slice_of(cfg_title(cfg_getnsec(cfg, name, i))));
}

static bool
parse_once(struct rh_conf_reading *r)
{
	cfg_t *cfg = cfg_init(opts_and_section(r), CFGF_NONE);
	bool ok;

	rh_assert(cfg != NULL);
	now = r;
	r->first = NULL;
	r->last = &r->first;
	r->message[0] = '\0';
	r->line = r->good = r->good_before = 0;
	cfg_set_error_function(cfg, on_error);
	ok = cfg_parse_buf(cfg, r->text) == CFG_SUCCESS;
	if (ok && r->section)
		take_titles(r, cfg);
	cfg_free(cfg);
	now = NULL;
	return ok;
}

/* --- going on after what libconfuse stopped at --- */

/* "no such option 'x'": answers x unless it is declared already. */
static const char *
unknown_name(struct rh_conf_reading *r)
{
	static const struct rh_slice before = RH_SLICE_INIT("no such option '");
	struct rh_slice rest = rh_slice_of(r->message);
	const char *name;

	if (!rh_slice_has_prefix(rest, before))
		return NULL;
	rest = rh_slice_from(rest, before.n);
	name = rh_arena_strdup(r->arena, rh_slice_cut(&rest, '\''));
	return is_declared(r, name) ? NULL : name;
}

static char *
line_start(char *text, unsigned line)
{
	while (--line && (text = strchr(text, '\n')))
		text++;
	return text;
}

/*
 * The broken statement starts behind the last good one. Blanks it, and
 * answers its first line; 0 if there was nothing left to blank.
 */
static unsigned
blank(char *text, unsigned from, unsigned to)
{
	unsigned first = 0;

	for (; from <= to; from++) {
		char *p = line_start(text, from);
		size_t n = p ? strcspn(p, "\n") : 0;

		if (n && strspn(p, " \t\r") < n && !first)
			first = from;
		if (n)
			memset(p, ' ', n);
	}
	return first;
}

/* "missing equal sign after option 'x'": the last line up to here with x. */
static unsigned
line_of_option(const struct rh_conf_reading *r)
{
	static const struct rh_slice before =
	    RH_SLICE_INIT("missing equal sign after option '");
	struct rh_slice rest = rh_slice_of(r->message);
	struct rh_slice name;

	if (!rh_slice_has_prefix(rest, before))
		return 0;
	rest = rh_slice_from(rest, before.n);
	name = rh_slice_cut(&rest, '\'');
	for (unsigned line = r->line; line; line--) {
		const char *p = line_start(r->text, line);

		if (p && memmem(p, strcspn(p, "\n"), name.p, name.n))
			return line;
	}
	return 0;
}

/*
 * libconfuse notices a missing "=" or value only at the next line's token,
 * so a line between the last good statement and its complaint is to blame
 * before the line of the complaint; at the end of the file, the last line.
 */
static unsigned
blank_broken(struct rh_conf_reading *r)
{
	unsigned good = r->good < r->line ? r->good : r->good_before;
	unsigned line = line_of_option(r);

	if (line)
		return blank(r->text, line, line);
	if (r->line > 1)
		line = blank(r->text, good + 1, r->line - 1);
	for (unsigned last = r->line; !line && last; last--)
		line = blank(r->text, last, last);
	return line;
}

static bool
skip_broken(struct rh_conf_reading *r)
{
	const char *hint = "";
	unsigned line = blank_broken(r);

	if (strstr(r->message, "'{'"))
		hint = "; a value with {, =, # or spaces goes in double quotes";
	else if (strcmp(r->message, "unexpected token '='") == 0)
		hint = "; either a value is missing, or it needs double quotes";
	rh_conf_fault_add(r, line ? line : r->line, rh_arena_printf(r->arena,
	    "syntax error: %s%s", r->message, hint));
	return line != 0;
}

static void
parse(struct rh_conf_reading *r)
{
	cfg_opt_t end = CFG_END();
	const char *name;

	r->opts = memcpy(rh_arena_alloc(r->arena, sizeof(end)), &end,
	    sizeof(end));
	for (const struct rh_conf_table *t = r->tables; t->directives; t++)
		for (const struct rh_directive *d = t->directives; d->name; d++)
			if (!is_declared(r, d->name))
				declare(r, d->name);
	while (!parse_once(r)) {
		if ((name = unknown_name(r)))
			declare(r, name);
		else if (!skip_broken(r))
			return;
	}
}

bool
rh_conf_statements_read(struct rh_conf_reading *r)
{
	if (!read_text(r))
		return false;
	fault_controls(r);
	blank_comments(r);
	mark_unset(r);
	parse(r);
	return true;
}
