#include "config.h"

#include "migrate/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"

#define FILE_MAX	(4 << 20)

struct migration *
files_get(struct migration **list, int64_t version, struct rh_arena *arena)
{
	struct migration *m;

	while (*list && (*list)->version < version)
		list = &(*list)->next;
	if (*list && (*list)->version == version)
		return *list;
	m = RH_NEW(arena, struct migration);
	m->version = version;
	m->next = *list;
	return *list = m;
}

static bool
read_text(struct rh_slice *text, const char *path, struct rh_arena *arena)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct rh_buf out;
	ssize_t got = -1;
	char *to;

	if (fd < 0)
		return false;
	rh_buf_init(&out, arena, 8192, FILE_MAX);
	while ((to = rh_buf_room(&out, 4096)) && (got = read(fd, to, 4096)) > 0)
		out.n += (size_t)got;
	close(fd);
	if (!to)
		errno = EFBIG;
	rh_buf_char(&out, '\0');
	*text = (struct rh_slice){ out.p, out.n - 1 };
	return to && got == 0;
}

/* A line of its own, before the first statement. */
static bool
has_no_transaction(struct rh_slice text)
{
	while (text.n) {
		struct rh_slice line = rh_slice_trim(rh_slice_cut(&text, '\n'));

		if (rh_slice_is(line, RH_SLICE("-- rowhouse: no-transaction")))
			return true;
		if (line.n && !rh_slice_has_prefix(line, RH_SLICE("--")))
			return false;
	}
	return false;
}

static bool
is_name(struct rh_slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name.p[i]))
			return false;
	return name.n > 0;
}

/* NNNN_name.up.sql */
static bool
take_apart(struct rh_slice file, int64_t *version, struct rh_slice *name,
    bool *is_up)
{
	struct rh_slice number = rh_slice_cut(&file, '_');

	*name = rh_slice_cut(&file, '.');
	*is_up = rh_slice_is(file, RH_SLICE("up.sql"));
	if (number.n < 4 || number.n > 9 || !is_name(*name) ||
	    (!*is_up && !rh_slice_is(file, RH_SLICE("down.sql"))))
		return false;
	*version = 0;
	for (size_t i = 0; i < number.n; i++) {
		if (number.p[i] < '0' || number.p[i] > '9')
			return false;
		*version = *version * 10 + (number.p[i] - '0');
	}
	return *version > 0;
}

static void
sum(struct migration *m)
{
	unsigned char digest[RH_SHA256_LEN];

	rh_sha256(digest, m->up.text.p, m->up.text.n);
	rh_hex_put(m->checksum, digest, sizeof(digest));
	m->checksum[2 * RH_SHA256_LEN] = '\0';
}

static void
read_file(struct migration **list, const char *dir, const char *file,
    struct rh_arena *arena, struct rh_buf *faults)
{
	const char *path = rh_arena_printf(arena, "%s/%s", dir, file);
	struct migration *m;
	struct script *script;
	struct rh_slice name;
	int64_t version;
	bool is_up;

	if (!take_apart(rh_slice_of(file), &version, &name, &is_up)) {
		rh_buf_printf(faults, "%s: not named NNNN_name.up.sql or"
		    " NNNN_name.down.sql, a name being a-z, 0-9 and _\n", path);
		return;
	}
	m = files_get(list, version, arena);
	script = is_up ? &m->up : &m->down;
	if (m->dir && (m->dir != dir ||
	    !rh_slice_is(name, rh_slice_of(m->name)))) {
		rh_buf_printf(faults, "%s: version %" PRId64 " is already"
		    " %s/%04" PRId64 "_%s\n", path, version, m->dir, version,
		    m->name);
		return;
	}
	m->dir = dir;
	m->name = rh_arena_strdup(arena, name);
	script->path = path;
	if (!read_text(&script->text, path, arena)) {
		rh_buf_printf(faults, "%s: %s\n", path, strerror(errno));
		return;
	}
	script->transaction = !has_no_transaction(script->text);
	if (is_up)
		sum(m);
}

static void
fault_gaps(const struct migration *m, const char *dir, struct rh_buf *faults)
{
	int64_t before = 0;

	for (; m; m = m->next) {
		if (m->dir != dir)
			continue;
		if (!m->up.path)
			rh_buf_printf(faults, "%s: has no .up.sql\n",
			    m->down.path);
		else if (before && m->version != before + 1)
			rh_buf_printf(faults, "%s: a gap, the one before is %04"
			    PRId64 "\n", m->up.path, before);
		before = m->version;
	}
}

static int
is_sql(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 4 && entry->d_name[0] != '.' &&
	    strcmp(entry->d_name + n - 4, ".sql") == 0;
}

bool
files_read(struct migration **list, const char *dir, struct rh_arena *arena,
    struct rh_buf *faults)
{
	size_t before = faults->n;
	struct dirent **entries;
	int n = scandir(dir, &entries, is_sql, alphasort);

	if (n < 0) {
		rh_buf_printf(faults, "%s: %s\n", dir, strerror(errno));
		return false;
	}
	for (int i = 0; i < n; i++) {
		read_file(list, dir, entries[i]->d_name, arena, faults);
		free(entries[i]);
	}
	free(entries);
	if (n == 0)
		rh_buf_printf(faults, "%s: no migrations in it\n", dir);
	fault_gaps(*list, dir, faults);
	return faults->n == before;
}
