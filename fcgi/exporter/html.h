/*
 * html - HTML and SVG under construction, where nothing from outside can be
 * anything but text.
 *
 * Shape    elements on a stack; what is opened is closed in order. Names of
 *          elements and attributes are literals, the compiler sees to that;
 *          all else is escaped on its way
 * Errors   latched by the buffer. What is not UTF-8, or a control character,
 *          becomes U+FFFD
 * Owner    the buffer's
 * Source   HTML Living Standard 13.1 (writing HTML documents)
 */
#ifndef RH_EXPORTER_HTML_H
#define RH_EXPORTER_HTML_H

#include "base/buf.h"

#define HTML_DEPTH_MAX	32

struct html {
	struct rh_buf *to;
	const char *open[HTML_DEPTH_MAX];
	unsigned depth;
	bool in_tag;		/* attributes may follow */
};

void html_init(struct html *h, struct rh_buf *to);
/* Closes all that is open; asserts that nothing but depth elements was. */
void html_finish(struct html *h);

/* html_open(h, "td"): attributes next, then content, then html_close(h). */
#define html_open(h, element)	html_open_named((h), "" element)
void html_close(struct html *h);
/* html_attr(h, "class", "num"); a value from outside: html_attr_text. */
#define html_attr(h, name, value) html_attr_named((h), "" name, "" value)
#define html_attr_text(h, name, ...) html_attr_slice((h), "" name, __VA_ARGS__)
#define html_attr_printf(h, name, ...) \
	html_attr_formatted((h), "" name, __VA_ARGS__)
void html_text(struct html *h, struct rh_slice text);
#define html_lit(h, text)	html_text((h), RH_SLICE(text))
void html_printf(struct html *h, const char *fmt, ...) RH_PRINTF(2, 3);

/* An element with nothing but a class and a text. */
#define html_say(h, element, class, ...) \
	html_say_named((h), "" element, "" class, __VA_ARGS__)
/* One that has no end tag, or no content: closed at once. */
#define html_void(h, element)	html_void_named((h), "" element)

/* A link's address, percent-encoded where it has to be: /requests/ and an id. */
struct rh_slice html_path(struct rh_arena *arena, const char *before,
    struct rh_slice segment, const char *after);
/* name=value for a query, with "&" in front where there is one before. */
void html_query(struct rh_buf *to, const char *name, struct rh_slice value);

/* Behind the macros. */
void html_open_named(struct html *h, const char *element);
void html_void_named(struct html *h, const char *element);
void html_attr_named(struct html *h, const char *name, const char *value);
void html_attr_slice(struct html *h, const char *name, struct rh_slice value);
void html_attr_formatted(struct html *h, const char *name, const char *fmt, ...)
    RH_PRINTF(3, 4);
void html_say_named(struct html *h, const char *element, const char *class,
    struct rh_slice text);

#endif
