/*
 * source - the segment that is shown, whichever file that is by now.
 *
 * Errors   NULL and a reason while there is none, or none that can be read
 * Owner    one thread; what _get answers is good until the next _get
 */
#ifndef RH_EXPORTER_SOURCE_H
#define RH_EXPORTER_SOURCE_H

#include "base/buf.h"
#include "obs/segment.h"

struct source {
	const char *path;
	struct rh_segment *segment;
};

/* Once, at the start: a file that is cut short while it is read ends nobody. */
void source_guard(void);
const struct rh_segment *source_get(struct source *source, struct rh_buf *why);
/* What was read since source_get was the file's, all of it. */
bool source_is_whole(const struct source *source, struct rh_buf *why);

#endif
