/*
 * What an ELF file says that it needs to start: its machine, its loader, its libraries and where it
 * has them looked for. Read strictly and within bounds, from files that anybody may have written,
 * by ash alone, which has the rights of who calls it: nothing with privileges of the runtime's
 * parses a program.
 */
#ifndef ASH_ELF_NEEDS_H
#define ASH_ELF_NEEDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/limits.h"

enum {
	ELF_NEEDED_MAX = 256, /* libraries of one file; the largest of Debian 12 have about 200 */
	ELF_NAME_MAX = 255,
};

struct elf {
	bool native;                   /* what this host runs: class, byte order and machine */
	char machine[32];              /* "aarch64" */
	char loader[PATH_LEN_MAX + 1]; /* "": none is asked for */
	char *needed[ELF_NEEDED_MAX];  /* heap */
	size_t count;
	char *rpath, *runpath; /* heap; NULL: none */
};

/* Does the file begin as one? */
bool elf_is(int fd);
/* 0, or -1 with error (ERR_INVALID) that says what is wrong with it; of a file for another machine
 * only native and machine are told. elf is empty before and must be freed in either case. */
int elf_read(int fd, struct elf *elf, struct error *error);
void elf_free(struct elf *elf);

#endif
