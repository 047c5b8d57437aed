/*
 * squeeze - gzip for a scrape: series repeat themselves and shrink to a tenth.
 *
 * Errors   false: send it as it is
 * Owner    to's memory is its arena's
 * Source   RFC 1952; zlib (squeeze.c alone sees it)
 */
#ifndef RH_EXPORTER_SQUEEZE_H
#define RH_EXPORTER_SQUEEZE_H

#include "base/buf.h"

RH_MUST_CHECK bool squeeze(struct rh_buf *to, struct rh_slice plain);

#endif
