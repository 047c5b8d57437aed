#include "config.h"

#include "base/conf.h"
#include "base/conf_value.h"

static size_t
bytes_of(enum rh_conf_type type)
{
	switch (type) {
	case RH_C_TEXT:
	case RH_C_SECRET:
		return sizeof(struct rh_slice);
	case RH_C_REAL:
		return sizeof(double);
	case RH_C_BOOL:
		return sizeof(bool);
	case RH_C_ENUM:
		return sizeof(int);
	default:
		return sizeof(int64_t);
	}
}

/* As far as its directives reach; what lies behind them is no directive's. */
static size_t
extent(const struct rh_directive *d)
{
	size_t end = 0;

	for (; d->name; d++)
		end = RH_MAX(end, d->at + bytes_of(d->type));
	return end;
}

const struct rh_conf_table *
rh_conf_tables_like(const struct rh_conf_table *tables, struct rh_arena *arena)
{
	struct rh_conf_table *like;
	size_t n = 0;

	while (tables[n].directives)
		n++;
	like = rh_arena_zalloc(arena, n + 1, sizeof(*like));
	for (size_t i = 0; i < n; i++) {
		const struct rh_conf_section *section = tables[i].section;

		like[i].directives = tables[i].directives;
		like[i].section = section;
		like[i].to = section ?
		    rh_arena_zalloc(arena, section->most, section->bytes) :
		    rh_arena_zalloc(arena, 1, extent(tables[i].directives));
	}
	return like;
}

void
rh_conf_reload(const struct rh_conf_table *now,
    const struct rh_conf_table *next)
{
	for (; now->directives; now++, next++) {
		if (now->section) {
			memcpy(now->to, next->to,
			    now->section->bytes * now->section->most);
			continue;
		}
		for (const struct rh_directive *d = now->directives; d->name; d++)
			if (d->change == RH_RELOAD)
				memcpy((char *)now->to + d->at,
				    (const char *)next->to + d->at,
				    bytes_of(d->type));
	}
}

void
rh_conf_restart_needed(struct rh_buf *to, const struct rh_conf_table *now,
    const struct rh_conf_table *next)
{
	bool first = true;

	for (; now->directives; now++, next++)
		for (const struct rh_directive *d = now->directives; d->name; d++) {
			if (now->section || d->change != RH_RESTART ||
			    rh_conf_value_is_same(d, now->to, next->to))
				continue;
			rh_buf_printf(to, "%s%s", first ? "" : ", ", d->name);
			first = false;
		}
}
