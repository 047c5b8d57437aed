#include "config.h"

#include "base/field.h"

int
rh_field_enum(const struct rh_field *f, struct rh_slice text)
{
	for (int i = 0; text.n && f->names[i]; i++)
		if (rh_slice_is(text, rh_slice_of(f->names[i])))
			return i;
	return -1;
}
