#include "config.h"

#include "exporter/source.h"

const struct rh_segment *
source_get(struct source *source, struct rh_buf *why)
{
	if (source->segment && rh_segment_is_replaced(source->segment))
		rh_segment_close(&source->segment);
	if (!source->segment &&
	    !rh_segment_open(&source->segment, source->path, why))
		return NULL;
	return source->segment;
}
