#include "config.h"

#include "exporter/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Field numbers of stat in proc(5), counted from 1. */
enum { UTIME = 14, STIME, CUTIME, CSTIME, STARTTIME = 22, VSIZE, RSS };
#define AFTER_NAME	3

static bool
read_file(pid_t pid, const char *name, char *to, size_t cap)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, to, cap - 1);
	close(fd);
	if (n <= 0)
		return false;
	to[n] = 0;
	return true;
}

/* The numbers behind the name, which may itself hold spaces and brackets. */
static bool
read_stat(pid_t pid, double fields[RSS + 1])
{
	char text[1024], *at;

	if (!read_file(pid, "stat", text, sizeof(text)) ||
	    !(at = strrchr(text, ')')) || at[1] != ' ')
		return false;
	at += 3;	/* the state is a letter */
	for (int i = AFTER_NAME + 1; i <= RSS; i++)
		fields[i] = strtod(at, &at);
	return true;
}

/* When the machine started, as seconds since 1970. */
static double
boot_s(void)
{
	static double known;
	char line[256];
	FILE *f;

	if (known > 0 || !(f = fopen("/proc/stat", "re")))
		return known;
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "btime ", 6) == 0)
			known = strtod(line + 6, NULL);
	fclose(f);
	return known;
}

static int64_t
count_files(pid_t pid)
{
	char path[64];
	int64_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	if (!(dir = opendir(path)))
		return -1;
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static int64_t
files_max(pid_t pid)
{
	static const char name[] = "Max open files";
	char text[4096], *at;

	if (!read_file(pid, "limits", text, sizeof(text)) ||
	    !(at = strstr(text, name)))
		return -1;
	return strtoll(at + sizeof(name) - 1, NULL, 10);
}

bool
proc_read(struct proc *to, pid_t pid)
{
	double f[RSS + 1], tick = (double)sysconf(_SC_CLK_TCK);

	if (pid <= 0 || !read_stat(pid, f))
		return false;
	*to = (struct proc){ .cpu_s = (f[UTIME] + f[STIME]) / tick,
	    .children_cpu_s = (f[CUTIME] + f[CSTIME]) / tick,
	    .start_s = boot_s() + f[STARTTIME] / tick,
	    .resident_bytes = f[RSS] * (double)sysconf(_SC_PAGESIZE),
	    .virtual_bytes = f[VSIZE],
	    .files = count_files(pid), .files_max = files_max(pid) };
	return true;
}
