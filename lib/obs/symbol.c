#include "config.h"

#include "obs/symbol.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a file's functions ---- */

static bool
get(const struct rh_elf *e, size_t at, void *to, size_t n)
{
	if (at > e->n || n > e->n - at)
		return false;
	memcpy(to, e->bytes + at, n);
	return true;
}

static bool
section(const struct rh_elf *e, const ElfW(Ehdr) *head, unsigned i,
    ElfW(Shdr) *to)
{
	return i < head->e_shnum && get(e, head->e_shoff +
	    (size_t)i * sizeof(*to), to, sizeof(*to));
}

static bool
lies_within(const struct rh_elf *e, const ElfW(Shdr) *s)
{
	return s->sh_offset <= e->n && s->sh_size <= e->n - s->sh_offset;
}

static bool
take_table(struct rh_elf *e, const ElfW(Ehdr) *head, unsigned type)
{
	ElfW(Shdr) s, names;

	for (unsigned i = 0; section(e, head, i, &s); i++) {
		if (s.sh_type != type || !lies_within(e, &s) ||
		    !section(e, head, s.sh_link, &names) ||
		    !lies_within(e, &names))
			continue;
		e->symbols = s.sh_offset;
		e->nsymbols = s.sh_size / sizeof(ElfW(Sym));
		e->names = names.sh_offset;
		e->names_n = names.sh_size;
		return true;
	}
	return false;
}

static bool
map(struct rh_elf *e, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *bytes = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
		bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
		    fd, 0);
	if (fd >= 0)
		close(fd);
	if (bytes == MAP_FAILED)
		return false;
	e->bytes = bytes;
	e->n = (size_t)st.st_size;
	return true;
}

bool
rh_elf_open(struct rh_elf *e, const char *path)
{
	static const unsigned char magic[SELFMAG] = ELFMAG;
	ElfW(Ehdr) head;

	*e = (struct rh_elf){ .bytes = NULL };
	if (!map(e, path))
		return false;
	if (get(e, 0, &head, sizeof(head)) &&
	    memcmp(head.e_ident, magic, sizeof(magic)) == 0 &&
	    head.e_ident[EI_CLASS] ==
	    (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
	    head.e_shentsize == sizeof(ElfW(Shdr)) &&
	    (take_table(e, &head, SHT_SYMTAB) ||
	    take_table(e, &head, SHT_DYNSYM))) {
		e->fixed = head.e_type == ET_EXEC;
		return true;
	}
	rh_elf_close(e);
	return false;
}

void
rh_elf_close(struct rh_elf *e)
{
	if (e->bytes)
		munmap((void *)(uintptr_t)e->bytes, e->n);
	e->bytes = NULL;
}

static struct rh_slice
name_at(const struct rh_elf *e, size_t at)
{
	const char *names = (const char *)e->bytes + e->names;
	size_t n = 0;

	if (at >= e->names_n)
		return RH_SLICE_NONE;
	while (at + n < e->names_n && names[at + n])
		n++;
	return (struct rh_slice){ names + at, n };
}

bool
rh_elf_find(const struct rh_elf *e, uint64_t address, struct rh_slice *name,
    uint64_t *offset)
{
	ElfW(Sym) s;

	for (size_t i = 0; i < e->nsymbols && get(e, e->symbols +
	    i * sizeof(s), &s, sizeof(s)); i++) {
		if ((s.st_info & 0xf) != STT_FUNC || s.st_shndx == SHN_UNDEF ||
		    address < s.st_value || address - s.st_value >= s.st_size)
			continue;
		*offset = address - s.st_value;
		*name = name_at(e, s.st_name);
		if (name->n)
			return true;
	}
	return false;
}

/* ---- a process' frames ---- */

static struct rh_slice
base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return rh_slice_of(slash ? slash + 1 : path ? path : "?");
}

static void
put_hex(struct rh_buf *to, uint64_t n)
{
	char text[16], *at = text + sizeof(text);

	do
		*--at = "0123456789abcdef"[n & 15];
	while (n >>= 4);
	rh_buf_lit(to, "0x");
	rh_buf_put(to, at, (size_t)(text + sizeof(text) - at));
}

static void
put_place(struct rh_buf *to, struct rh_slice in, uint64_t offset)
{
	rh_buf_slice(to, in);
	rh_buf_char(to, '+');
	put_hex(to, offset);
}

/* Of our own file, or of a library: whether it has a name for code there. */
static bool
find(const struct rh_elf *own, const Dl_info *lib, bool is_own, uint64_t code,
    struct rh_slice *name, uint64_t *offset)
{
	uint64_t base = (uintptr_t)lib->dli_fbase;

	if (is_own && own->bytes &&
	    rh_elf_find(own, own->fixed ? code : code - base, name, offset))
		return true;
	if (!lib->dli_sname)
		return false;
	*name = rh_slice_of(lib->dli_sname);
	*offset = code - (uintptr_t)lib->dli_saddr;
	return true;
}

static void
put_frame(struct rh_buf *to, const struct rh_elf *own, const void *own_base,
    uint64_t address, unsigned back)
{
	uint64_t code = address - back, offset;
	struct rh_slice name;
	Dl_info lib;
	bool is_own, named;

	if (!dladdr((void *)(uintptr_t)code, &lib)) {
		put_hex(to, address);
		return;
	}
	is_own = lib.dli_fbase == own_base;
	named = find(own, &lib, is_own, code, &name, &offset);
	if (named) {
		put_place(to, name, offset + back);
		rh_buf_lit(to, " (");
	}
	put_place(to, base_name(lib.dli_fname), is_own && own->fixed ?
	    address : address - (uintptr_t)lib.dli_fbase);
	if (named)
		rh_buf_char(to, ')');
}

uint64_t
rh_code_id(void)
{
	struct stat st;

	if (stat("/proc/self/exe", &st) < 0)
		return 0;
	return (uint64_t)st.st_ino ^ (uint64_t)st.st_dev << 32 ^
	    (uint64_t)st.st_ctim.tv_sec << 20 ^ (uint64_t)st.st_ctim.tv_nsec;
}

static bool
is_at(uint64_t address, const void *base)
{
	Dl_info lib;

	return dladdr((void *)(uintptr_t)address, &lib) &&
	    lib.dli_fbase == base;
}

void
rh_symbols_put(struct rh_buf *to, const uint64_t *frames, unsigned n,
    uint64_t shift, bool is_ours)
{
	struct rh_elf own;
	Dl_info self = { .dli_fbase = NULL };

	(void)!rh_elf_open(&own, "/proc/self/exe");
	dladdr((void *)(uintptr_t)rh_symbols_put, &self);
	for (unsigned i = 0; i < n; i++) {
		size_t before = to->n;

		if (i)
			rh_buf_char(to, '\n');
		if (is_ours && (shift == 0 ||
		    is_at(frames[i] + shift, self.dli_fbase)))
			put_frame(to, &own, self.dli_fbase, frames[i] + shift,
			    i > 0);
		else
			put_hex(to, frames[i]);
		if (to->full) {
			to->n = before;
			to->full = false;
			break;
		}
	}
	rh_elf_close(&own);
}
