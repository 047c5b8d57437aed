#include "config.h"

#include "serve/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int
rh_memory_open(void)
{
	return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

uint64_t
rh_memory_bytes(int statm)
{
	char text[128], *at = text;
	ssize_t n = pread(statm, text, sizeof(text) - 1, 0);
	uint64_t resident, shared;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	strtoull(at, &at, 10);	/* the size of its address space */
	resident = strtoull(at, &at, 10);
	shared = strtoull(at, &at, 10);
	if (resident < shared)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}
