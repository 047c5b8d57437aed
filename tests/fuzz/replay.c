/*
 * replay - a fuzz target over the files of a corpus, every prefix of each, and
 * each with one byte changed; then over bytes made from seeds 1 to SEEDS. The
 * same on every machine, and in seconds. replay --seeds COUNT [FIRST]: those
 * seeds alone.
 */
#include "config.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "target.h"

#define FILE_MAX	(1 << 17)
#define THOROUGH	2048	/* bytes from which on variants are thinned out */
#define SEEDED_MAX	256	/* bytes made from a seed */
#define TELL_EVERY	100000
#ifndef SEEDS
#define SEEDS		0	/* for whom any bytes mean something */
#endif

static void
run(const unsigned char *bytes, size_t n)
{
	unsigned char *copy = malloc(n ? n : 1);	/* its end is its end */

	rh_assert(copy != NULL);
	memcpy(copy, bytes, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void
run_variants(unsigned char *bytes, size_t n)
{
	static const unsigned char other[] = { 0, 1, 0x7f, 0x80, 0xff, '"' };
	size_t step = n > THOROUGH ? n / THOROUGH * 8 : 1;

	run(bytes, n);
	for (size_t i = 0; i < n; i += step) {
		unsigned char was = bytes[i];

		run(bytes, i);
		for (size_t k = 0; k < sizeof(other); k++) {
			bytes[i] = other[k];
			run(bytes, n);
		}
		bytes[i] = was;
	}
}

static int
replay(const char *folder, const char *name)
{
	static unsigned char bytes[FILE_MAX];
	char path[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (!(f = fopen(path, "rb")))
		return 0;
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	run_variants(bytes, n);
	return 1;
}

/* ---- bytes made from seeds ---- */

static unsigned long seed;

/* A sanitizer or rh_assert ends us: this is how to come here again. */
static void
tell_seed(int sig)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "replay --seeds 1 %lu\n", seed);

	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(1);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* splitmix64 (Steele, Lea and Flood, 2014) */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void
run_seed(void)
{
	unsigned char bytes[SEEDED_MAX];
	uint64_t state = seed;
	size_t n = 2 + next_random(&state) % (SEEDED_MAX - 2);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)next_random(&state);
	run(bytes, n);
}

static void
run_seeds(unsigned long first, unsigned long count)
{
	signal(SIGABRT, tell_seed);
	for (unsigned long i = 0; i < count; i++) {
		seed = first + i;
		run_seed();
		if ((i + 1) % TELL_EVERY == 0)
			printf("%lu seeds\n", i + 1);
		fflush(stdout);
	}
}

static int
replay_all(const char *folder)
{
	struct dirent *entry;
	int count = 0;
	DIR *d;

	if (!(d = opendir(folder))) {
		fprintf(stderr, "%s: not there\n", folder);
		return 0;
	}
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			count += replay(folder, entry->d_name);
	closedir(d);
	printf("%d files of %s, and their variants\n", count, CORPUS);
	return count;
}

int
main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir");
	char folder[2048];

	if (argc > 2 && strcmp(argv[1], "--seeds") == 0) {
		run_seeds(argc > 3 ? strtoul(argv[3], NULL, 10) : 1,
		    strtoul(argv[2], NULL, 10));
		return EXIT_SUCCESS;
	}
	snprintf(folder, sizeof(folder), "%s/%s", top ? top : ".", CORPUS);
	run_seeds(1, SEEDS);
	return replay_all(folder) ? EXIT_SUCCESS : EXIT_FAILURE;
}
