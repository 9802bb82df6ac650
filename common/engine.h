/*
 * What runs modules of WebAssembly: a table, one row for each engine. A row says where its program
 * is, how old it may be, and what it is given before the module and its arguments. Which one an
 * agent has is chosen at install and kept in its plan. For ash, control and runnerd; nothing here
 * opens a file.
 *
 * A row must keep what agent-manifest(5) promises under Runtimes: WASI preview 1, each of the
 * session's directories under its own name and nothing else, the agent's socket as the descriptor
 * that SCARAB_SOCKET_FD names, the module's exit status as the program's.
 */
#ifndef SCARAB_ENGINE_H
#define SCARAB_ENGINE_H

#include "runtime.h"

/* Where a sandbox of the runtime shows the directory wasm of libexec_dir (libagent/wasm). */
#define WASM_DIR "/run/agentd/wasm"

struct engine {
	const char *name; /* in plans: it stays the same for ever */
	struct interpreter program;
	const char *const *arguments; /* NULL ends */
	const char *dir;              /* before each directory that the module sees */
};

/* In order of preference; NULL after the last. */
const struct engine *engine_at(size_t place);
/* NULL: there is no such engine (any more). */
const struct engine *engine_named(const char *name);
/* By the last component of its program's path; of a name that none has, the first. */
const struct engine *engine_of_program(const char *path);

#endif
