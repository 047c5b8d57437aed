#include "config.h"

#include "ctl/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The text of /proc/PID/name; empty where there is none. */
static void
read_file(pid_t pid, const char *name, char *to, size_t cap)
{
	char path[64];
	ssize_t n;
	int fd;

	to[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	if ((n = read(fd, to, cap - 1)) >= 0)
		to[n] = '\0';
	close(fd);
}

static int64_t
resident(pid_t pid)
{
	char text[256], *second;

	read_file(pid, "statm", text, sizeof(text));
	second = strchr(text, ' ');
	return second ? strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE) : -1;
}

static int64_t
proportional(pid_t pid)
{
	char text[4096], *line;

	read_file(pid, "smaps_rollup", text, sizeof(text));
	line = strstr(text, "\nPss:");
	return line ? strtoll(line + strlen("\nPss:"), NULL, 10) * 1024 : -1;
}

struct memory
memory_of(pid_t pid)
{
	return (struct memory){ resident(pid), proportional(pid) };
}
