#include "config.h"

#include "obs/span_record.h"

static bool
take(struct rh_slice *rest, void *to, size_t n)
{
	if (rest->n < n)
		return false;
	memcpy(to, rest->p, n);
	*rest = rh_slice_from(*rest, n);
	return true;
}

static bool
take_text(struct rh_slice *rest, struct rh_slice *text, size_t n)
{
	if (rest->n < n)
		return false;
	*text = (struct rh_slice){ rest->p, n };
	*rest = rh_slice_from(*rest, n);
	return true;
}

bool
rh_kept_open(struct rh_kept *kept, const void *record, size_t n)
{
	kept->rest = (struct rh_slice){ record, n };
	if (!take(&kept->rest, &kept->head, sizeof(kept->head)) ||
	    kept->head.version != RH_RECORD_VERSION)
		return false;
	kept->spans_left = kept->head.spans;
	return take_text(&kept->rest, &kept->tracestate,
	    kept->head.tracestate_n) &&
	    take_text(&kept->rest, &kept->request_id,
	    kept->head.request_id_n) &&
	    take_text(&kept->rest, &kept->tenant_id, kept->head.tenant_id_n);
}

static bool
take_attr(struct rh_slice *rest, struct rh_attr *attr)
{
	struct rh_record_attr fixed;
	struct rh_slice key;

	if (!take(rest, &fixed, sizeof(fixed)) ||
	    !take_text(rest, &key, fixed.key_n + 1u) || key.p[fixed.key_n])
		return false;
	attr->key = key.p;
	attr->is_int = fixed.is_int;
	attr->number = 0;
	attr->text = RH_SLICE_NONE;
	if (attr->is_int)
		return take(rest, &attr->number, sizeof(attr->number));
	return take_text(rest, &attr->text, fixed.text_n);
}

bool
rh_kept_span(struct rh_kept *kept, struct rh_kept_span *span)
{
	struct rh_slice rest = kept->rest;
	struct rh_attr attr;

	if (kept->spans_left == 0 ||
	    !take(&rest, &span->fixed, sizeof(span->fixed)) ||
	    !take_text(&rest, &span->name, span->fixed.name_n) ||
	    !take_text(&rest, &span->error_text, span->fixed.error_text_n))
		return false;
	span->rest = rest;
	span->attrs_left = span->fixed.attrs;
	for (unsigned i = 0; i < span->fixed.attrs; i++)
		if (!take_attr(&rest, &attr))
			return false;
	kept->rest = rest;
	kept->spans_left--;
	return true;
}

bool
rh_kept_attr(struct rh_kept_span *span, struct rh_attr *attr)
{
	if (span->attrs_left == 0 || !take_attr(&span->rest, attr))
		return false;
	span->attrs_left--;
	return true;
}
