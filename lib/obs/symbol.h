/*
 * symbol - names for addresses of code: "tasks_show+0x1f (rowhouse-fcgi+0x2a31f)".
 *
 * Shape    the functions of our own file come from its symbol table, static
 *          ones too; those of libraries from what the dynamic linker knows. A
 *          stripped file gives "rowhouse-fcgi+0x2a31f", which addr2line takes
 *          with the file that holds its debug information
 * Errors   an address of no known file is printed as it is; no offset of a
 *          file is trusted
 * Owner    rh_elf maps its file until rh_elf_close
 * Source   System V ABI, chapters 4 and 5 (ELF)
 *
 * For a process that has the code at the same addresses: after a fork, its
 * master. One that merely runs the same program knows that program's functions.
 */
#ifndef RH_OBS_SYMBOL_H
#define RH_OBS_SYMBOL_H

#include "base/buf.h"

struct rh_elf {
	const unsigned char *bytes;
	size_t n;
	bool fixed;		/* its addresses are absolute */
	/* of its symbols: offsets in the file, checked against n */
	size_t symbols, nsymbols, names, names_n;
};

/* The symbol table, else the dynamic one. False: no such file, or no ELF of ours. */
RH_MUST_CHECK bool rh_elf_open(struct rh_elf *elf, const char *path);
/* The function that holds address (of the file, not of the process). */
RH_MUST_CHECK bool rh_elf_find(const struct rh_elf *elf, uint64_t address,
    struct rh_slice *name, uint64_t *offset);
void rh_elf_close(struct rh_elf *elf);

/* The file that this process executes, whatever its name leads to by now. 0: unknown. */
uint64_t rh_code_id(void);

/*
 * Whole frames, a line each, as many as fit: the first is where execution
 * stood, the others return behind their call. shift: what is added to an
 * address to find our own program's code here; libraries are anywhere then, and
 * only 0 has names for theirs. is_ours false: of another program, so the
 * addresses alone.
 */
void rh_symbols_put(struct rh_buf *to, const uint64_t *frames, unsigned n,
    uint64_t shift, bool is_ours);

#endif
