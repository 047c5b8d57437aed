#include "config.h"

#include "migrate/sql.h"

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

static size_t
skip_block_comment(const char *p)
{
	size_t depth = 0, i = 0;

	do {
		if (p[i] == '/' && p[i + 1] == '*') {
			depth++;
			i += 2;
		} else if (p[i] == '*' && p[i + 1] == '/') {
			depth--;
			i += 2;
		} else
			i++;
	} while (depth && p[i]);
	return i;
}

/* A doubled quote ends one string and starts the next: the same in effect. */
static size_t
skip_quotes(const char *p, bool escapes)
{
	size_t i = 1;

	while (p[i] && p[i] != *p)
		i += escapes && p[i] == '\\' && p[i + 1] ? 2 : 1;
	return p[i] ? i + 1 : i;
}

/* $tag$ ... $tag$; 1 where the "$" opens none. */
static size_t
skip_dollars(const char *p)
{
	size_t tag = 1;
	const char *end;

	while (is_word(p[tag]))
		tag++;
	if (p[tag] != '$' || (p[1] >= '0' && p[1] <= '9'))
		return 1;
	tag++;
	for (end = p + tag; (end = strchr(end, '$')); end++)
		if (strncmp(end, p, tag) == 0)
			return (size_t)(end - p) + tag;
	return strlen(p);
}

/* The length of what stands at p: a word, a string, a comment, one character. */
static size_t
skip(const char *p)
{
	size_t n = 0;

	if (p[0] == '-' && p[1] == '-')
		return strcspn(p, "\n");
	if (p[0] == '/' && p[1] == '*')
		return skip_block_comment(p);
	if (p[0] == '\'' || p[0] == '"')
		return skip_quotes(p, false);
	if ((p[0] == 'e' || p[0] == 'E') && p[1] == '\'')
		return 1 + skip_quotes(p + 1, true);
	if (p[0] == '$')
		return skip_dollars(p);
	while (is_word(p[n]) || (n && p[n] == '$'))
		n++;
	return n ? n : 1;
}

static bool
is_blank(const char *p)
{
	return strchr(" \t\r\n\f", *p) || (p[0] == '-' && p[1] == '-') ||
	    (p[0] == '/' && p[1] == '*');
}

/* Texts end in NUL, so the skips above need no length. */
struct rh_slice
sql_next(struct rh_slice *rest)
{
	const char *p = rest->p, *start;

	while (*p && (is_blank(p) || *p == ';'))
		p += skip(p);
	start = p;
	while (*p && *p != ';')
		p += skip(p);
	rest->n -= (size_t)(p - rest->p);
	rest->p = p;
	return p > start ? (struct rh_slice){ start, (size_t)(p - start) } :
	    RH_SLICE_NONE;
}

/* --- the first words of a statement --- */

struct words {
	const char *p, *end;
};

static struct rh_slice
word_peek(struct words *w)
{
	while (w->p < w->end && is_blank(w->p))
		w->p += skip(w->p);
	if (w->p >= w->end)
		return RH_SLICE_NONE;
	return (struct rh_slice){ w->p, skip(w->p) };
}

static bool
word_take(struct words *w, const char *word)
{
	struct rh_slice next = word_peek(w);

	if (!rh_slice_is_nocase(next, rh_slice_of(word)))
		return false;
	w->p += next.n;
	return true;
}

/* a, "a", a.b */
static const char *
name_take(struct words *w, struct rh_arena *arena)
{
	struct rh_slice next = word_peek(w);
	const char *start = next.p;

	if (!start || (!is_word(*start) && *start != '"'))
		return NULL;
	w->p += next.n;
	while (word_take(w, ".")) {
		next = word_peek(w);
		w->p += next.n;
	}
	return rh_arena_strdup(arena,
	    rh_slice_trim((struct rh_slice){ start, (size_t)(w->p - start) }));
}

static bool
if_take(struct words *w)
{
	if (!word_take(w, "if"))
		return false;
	(void)word_take(w, "not");
	return word_take(w, "exists");
}

/* create [unique] index concurrently [if not exists] NAME on [only] TABLE */
static bool
is_create_index(struct words w, struct sql_statement *s, struct rh_arena *arena)
{
	if (!word_take(&w, "create"))
		return false;
	(void)word_take(&w, "unique");
	if (!word_take(&w, "index") || !word_take(&w, "concurrently"))
		return false;
	s->if_exists = if_take(&w);
	if (rh_slice_is_nocase(word_peek(&w), RH_SLICE("on")) ||
	    !(s->index = name_take(&w, arena)) || !word_take(&w, "on"))
		return false;
	(void)word_take(&w, "only");
	s->kind = SQL_CREATE_INDEX;
	return (s->table = name_take(&w, arena)) != NULL;
}

/* drop index concurrently [if exists] NAME */
static bool
is_drop_index(struct words w, struct sql_statement *s, struct rh_arena *arena)
{
	if (!word_take(&w, "drop") || !word_take(&w, "index") ||
	    !word_take(&w, "concurrently"))
		return false;
	s->if_exists = if_take(&w);
	s->kind = SQL_DROP_INDEX;
	return (s->index = name_take(&w, arena)) != NULL;
}

/* vacuum, analyze, set, alter type NAME add value if not exists */
static bool
is_repeatable(struct words w, struct rh_arena *arena)
{
	if (word_take(&w, "vacuum") || word_take(&w, "analyze") ||
	    word_take(&w, "set"))
		return true;
	return word_take(&w, "alter") && word_take(&w, "type") &&
	    name_take(&w, arena) && word_take(&w, "add") &&
	    word_take(&w, "value") && if_take(&w);
}

struct sql_statement
sql_classify(struct rh_slice text, struct rh_arena *arena)
{
	struct words w = { text.p, text.p + text.n };
	struct sql_statement s = { .kind = SQL_OTHER };

	if (is_create_index(w, &s, arena) || is_drop_index(w, &s, arena))
		return s;
	s = (struct sql_statement){ .kind = SQL_OTHER };
	if (is_repeatable(w, arena))
		s.kind = SQL_REPEATABLE;
	return s;
}
