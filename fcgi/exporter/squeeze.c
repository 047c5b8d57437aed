#include "config.h"

#include "exporter/squeeze.h"

#include <zlib.h>

#define LEVEL		1	/* 4 times as fast as 6, a tenth larger */
#define GZIP		16	/* added to the window's bits: gzip, not zlib */

bool
squeeze(struct rh_buf *to, struct rh_slice plain)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)plain.p,
	    .avail_in = (uInt)plain.n };
	size_t most;
	char *room;
	int done;

	if (plain.n > UINT32_MAX / 2 || deflateInit2(&z, LEVEL, Z_DEFLATED,
	    MAX_WBITS + GZIP, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	most = deflateBound(&z, (uLong)plain.n);
	if (!(room = rh_buf_room(to, most))) {
		deflateEnd(&z);
		return false;
	}
	z.next_out = (Bytef *)room;
	z.avail_out = (uInt)most;
	done = deflate(&z, Z_FINISH);
	to->n += z.total_out;
	return deflateEnd(&z) == Z_OK && done == Z_STREAM_END;
}
