#include "config.h"

#include "exporter/html.h"

#include <stdio.h>

#include "base/text.h"

#define SHORT_MAX	512	/* of what is printed: numbers, and our own words */

void
html_init(struct html *h, struct rh_buf *to)
{
	*h = (struct html){ .to = to };
}

static void
end_tag(struct html *h)
{
	if (h->in_tag)
		rh_buf_char(h->to, '>');
	h->in_tag = false;
}

void
html_open_named(struct html *h, const char *element)
{
	rh_assert(h->depth < HTML_DEPTH_MAX);
	end_tag(h);
	rh_buf_char(h->to, '<');
	rh_buf_slice(h->to, rh_slice_of(element));
	h->open[h->depth++] = element;
	h->in_tag = true;
}

void
html_void_named(struct html *h, const char *element)
{
	html_open_named(h, element);
}

static bool
is_void(const char *element)
{
	static const char *const names[] = { "meta", "link", "br", "input",
		"hr" };

	for (size_t i = 0; i < RH_COUNT(names); i++)
		if (strcmp(element, names[i]) == 0)
			return true;
	return false;
}

/* Whole lines where it reads well: a table's rows, sections. */
static bool
is_line(const char *element)
{
	static const char *const names[] = { "tr", "section", "p", "h1", "h2",
		"table", "svg", "head", "header", "main", "div", "dl", "dd",
		"title", "style", "figure" };

	for (size_t i = 0; i < RH_COUNT(names); i++)
		if (strcmp(element, names[i]) == 0)
			return true;
	return false;
}

void
html_close(struct html *h)
{
	const char *element;

	rh_assert(h->depth > 0);
	end_tag(h);
	element = h->open[--h->depth];
	if (!is_void(element)) {
		rh_buf_lit(h->to, "</");
		rh_buf_slice(h->to, rh_slice_of(element));
		rh_buf_char(h->to, '>');
	}
	if (is_void(element) || is_line(element))
		rh_buf_char(h->to, '\n');
}

void
html_finish(struct html *h)
{
	while (h->depth)
		html_close(h);
}

/* C0 and DEL, but for what is white space; C1 in UTF-8 is U+0080 to U+009F. */
static bool
is_control(const unsigned char *s, size_t step)
{
	if (step == 1)
		return (*s < ' ' && *s != '\n' && *s != '\t') || *s == 0x7f;
	return step == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

/*
 * Characters that turn the direction of what follows would let a path show
 * itself as another: U+202A to U+202E, U+2066 to U+2069.
 */
static bool
turns_around(const unsigned char *s, size_t step)
{
	return step == 3 && s[0] == 0xe2 &&
	    ((s[1] == 0x80 && s[2] >= 0xaa && s[2] <= 0xae) ||
	    (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9));
}

static void
put_escaped(struct rh_buf *to, struct rh_slice text)
{
	while (text.n) {
		const unsigned char *s = (const unsigned char *)text.p;
		size_t step = rh_utf8_step(s, text.n);

		if (step == 0 || is_control(s, step) || turns_around(s, step))
			rh_buf_lit(to, "\xef\xbf\xbd");
		else if (*s == '<')
			rh_buf_lit(to, "&lt;");
		else if (*s == '>')
			rh_buf_lit(to, "&gt;");
		else if (*s == '&')
			rh_buf_lit(to, "&amp;");
		else if (*s == '"')
			rh_buf_lit(to, "&quot;");
		else if (*s == '\'')
			rh_buf_lit(to, "&#39;");
		else
			rh_buf_put(to, s, step);
		text = rh_slice_from(text, step ? step : 1);
	}
}

void
html_text(struct html *h, struct rh_slice text)
{
	end_tag(h);
	put_escaped(h->to, text);
}

void
html_attr_slice(struct html *h, const char *name, struct rh_slice value)
{
	rh_assert(h->in_tag);
	rh_buf_char(h->to, ' ');
	rh_buf_slice(h->to, rh_slice_of(name));
	rh_buf_lit(h->to, "=\"");
	put_escaped(h->to, value);
	rh_buf_char(h->to, '"');
}

void
html_attr_named(struct html *h, const char *name, const char *value)
{
	html_attr_slice(h, name, rh_slice_of(value));
}

static struct rh_slice formatted(char to[SHORT_MAX], const char *fmt,
    va_list ap) RH_PRINTF(2, 0);

static struct rh_slice
formatted(char to[SHORT_MAX], const char *fmt, va_list ap)
{
	int n = vsnprintf(to, SHORT_MAX, fmt, ap);

	return (struct rh_slice){ to, n < 0 ? 0 :
	    RH_MIN((size_t)n, (size_t)SHORT_MAX - 1) };
}

void
html_attr_formatted(struct html *h, const char *name, const char *fmt, ...)
{
	char text[SHORT_MAX];
	va_list ap;

	va_start(ap, fmt);
	html_attr_slice(h, name, formatted(text, fmt, ap));
	va_end(ap);
}

void
html_printf(struct html *h, const char *fmt, ...)
{
	char text[SHORT_MAX];
	va_list ap;

	va_start(ap, fmt);
	html_text(h, formatted(text, fmt, ap));
	va_end(ap);
}

void
html_say_named(struct html *h, const char *element, const char *class,
    struct rh_slice text)
{
	html_open_named(h, element);
	if (*class)
		html_attr_named(h, "class", class);
	html_text(h, text);
	html_close(h);
}

/* RFC 3986 2.3: what may stand in a segment as it is. */
static void
put_percent(struct rh_buf *to, struct rh_slice text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || (c && strchr("-._~", c))) {
			rh_buf_char(to, (char)c);
			continue;
		}
		rh_buf_char(to, '%');
		rh_buf_char(to, digits[c >> 4]);
		rh_buf_char(to, digits[c & 15]);
	}
}

struct rh_slice
html_path(struct rh_arena *arena, const char *before, struct rh_slice segment,
    const char *after)
{
	struct rh_buf b;

	rh_buf_init(&b, arena, 128, 8192);
	rh_buf_slice(&b, rh_slice_of(before));
	put_percent(&b, segment);
	rh_buf_slice(&b, rh_slice_of(after));
	return rh_buf_get(&b);
}

void
html_query(struct rh_buf *to, const char *name, struct rh_slice value)
{
	const char *mark = to->n ? memchr(to->p, '?', to->n) : NULL;

	rh_buf_char(to, mark ? '&' : '?');
	rh_buf_slice(to, rh_slice_of(name));
	rh_buf_char(to, '=');
	put_percent(to, value);
}
