#include "config.h"

#include "data/pg_session.h"

#include <endian.h>

#include <libpq-fe.h>

#include "base/clock.h"

int64_t
rh_pg_int_get(const char *at, int length)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (length) {
	case 8:
		memcpy(&v8, at, sizeof(v8));
		return (int64_t)be64toh(v8);
	case 4:
		memcpy(&v4, at, sizeof(v4));
		return (int32_t)be32toh(v4);
	case 2:
		memcpy(&v2, at, sizeof(v2));
		return (int16_t)be16toh(v2);
	default:
		return length == 1 && *at;
	}
}

static void
value_get(const struct rh_field *f, char *to, struct rh_slice text, bool null)
{
	int64_t number;

	switch (f->type) {
	case RH_T_TEXT:
	case RH_T_JSON:
	case RH_T_TEXTS:
		*(struct rh_slice *)(void *)to = null ? RH_SLICE_NONE : text;
		break;
	case RH_T_UUID:
		memset(to, 0, sizeof(struct rh_uuid));
		if (!null && text.n == sizeof(struct rh_uuid))
			memcpy(to, text.p, text.n);
		break;
	case RH_T_TIME:
		number = null ? RH_TIME_NONE : rh_pg_int_get(text.p, (int)text.n);
		if (number != RH_TIME_NONE && number != RH_TIME_INFINITY)
			number += RH_PG_EPOCH_US;
		*(int64_t *)(void *)to = number;
		break;
	case RH_T_INT:
		*(int64_t *)(void *)to = !null ?
		    rh_pg_int_get(text.p, (int)text.n) :
		    f->flags & RH_F_NULLABLE ? RH_INT_NONE : 0;
		break;
	case RH_T_BOOL:
		*(bool *)to = !null && text.n && *text.p;
		break;
	case RH_T_ENUM:
		*(int *)(void *)to = null ? -1 : rh_field_enum(f, text);
		break;
	case RH_T_OBJECT:
	case RH_T_LIST:
	case RH_T_END:
		rh_assert(!"a column of a plain type");
	}
}

static void
field_get(const struct rh_field *f, char *to, const PGresult *r, int row,
    int column)
{
	struct rh_slice text = { PQgetvalue(r, row, column),
		(size_t)PQgetlength(r, row, column) };

	value_get(f, to, text, text.n == 0 && PQgetisnull(r, row, column));
}

int
rh_pg_row_get(const struct rh_field *columns, char *to, const PGresult *r, int row,
    int column)
{
	for (const struct rh_field *f = columns; f->type != RH_T_END; f++) {
		if (f->type == RH_T_OBJECT)
			column = rh_pg_row_get(f->of, to + f->at, r, row, column);
		else
			field_get(f, to + f->at, r, row, column++);
	}
	return column;
}

/* As PostgreSQL sends a composite value: how many; of each its type, its length (-1: null), its bytes. */
static bool
int_take(struct rh_slice *from, int32_t *n)
{
	if (from->n < sizeof(*n))
		return false;
	*n = (int32_t)rh_pg_int_get(from->p, sizeof(*n));
	*from = (struct rh_slice){ from->p + sizeof(*n), from->n - sizeof(*n) };
	return true;
}

bool
rh_pg_record_get(struct rh_slice record, const struct rh_field *columns,
    void *row)
{
	const struct rh_field *f = columns;
	int32_t n, type, length;

	if (!int_take(&record, &n))
		return false;
	for (; n > 0 && f->type != RH_T_END; n--, f++) {
		struct rh_slice text;

		if (!int_take(&record, &type) || !int_take(&record, &length) ||
		    (length > 0 && (size_t)length > record.n))
			return false;
		text = (struct rh_slice){ record.p, (size_t)RH_MAX(length, 0) };
		value_get(f, (char *)row + f->at, text, length < 0);
		record = (struct rh_slice){ record.p + text.n, record.n - text.n };
	}
	return n == 0 && f->type == RH_T_END && record.n == 0;
}
