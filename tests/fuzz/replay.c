/*
 * replay - a fuzz target over the files of a corpus, every prefix of each, and
 * each with one byte changed: the same on every machine, and in seconds.
 */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "target.h"

#define FILE_MAX	(1 << 17)
#define THOROUGH	2048	/* bytes from which on variants are thinned out */

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

int
main(void)
{
	const char *top = getenv("top_srcdir");
	struct dirent *entry;
	char folder[2048];
	int count = 0;
	DIR *d;

	snprintf(folder, sizeof(folder), "%s/%s", top ? top : ".", CORPUS);
	if (!(d = opendir(folder))) {
		fprintf(stderr, "%s: not there\n", folder);
		return EXIT_FAILURE;
	}
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			count += replay(folder, entry->d_name);
	closedir(d);
	printf("%d files of %s, and their variants\n", count, CORPUS);
	return count ? EXIT_SUCCESS : EXIT_FAILURE;
}
