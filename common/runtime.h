/*
 * The runtimes: what a program's name and first bytes say of how it is executed, and the
 * interpreters of those that have one. For ash, which looks at what is to be installed, control and
 * runnerd, which judge the plan. Nothing here opens a file.
 */
#ifndef SCARAB_RUNTIME_H
#define SCARAB_RUNTIME_H

#include "manifest.h"

struct interpreter {
	const char *language;      /* "Python" */
	const char *const *places; /* absolute, inside the image, as its PATH has them; NULL ends */
	unsigned major, minor;     /* the oldest that is known to work */
	const char *package;       /* that brings it */
};

/* NULL: what the runtime executes is a program itself. Of wasm that of the first engine
 * (engine.h). */
const struct interpreter *runtime_interpreter(enum runtime runtime);
/* By the end of the name: .py; .js, .mjs, .cjs; .wasm. RUNTIME_ABSENT: it says nothing. */
enum runtime runtime_of_name(const char *name);
/* By what the file begins with: wasm, or rust of an ELF file. RUNTIME_ABSENT: it says nothing. */
enum runtime runtime_of_bytes(const void *head, size_t length);
/* The manifest's own word, else what its entrypoint's name says, else rust. */
enum runtime runtime_of(const struct manifest *manifest);
/* The image that a layout below install_dir is (".": install_dir itself), as in a manifest: heap,
 * NULL when memory ran out. */
char *runtime_layout(const char *install_dir, const char *layout);
/* Do runtime, entrypoint and packages agree? 0, or -1 with error (ERR_INVALID) naming both. */
int runtime_check(const struct manifest *manifest, struct error *error);

#endif
