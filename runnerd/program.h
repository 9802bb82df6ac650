/*
 * What a session executes: the command itself, or the interpreter of the agent's runtime with its
 * entrypoint. Found in the agent's image and install_dir, by root, which reads no more of a program
 * than what it begins with.
 */
#ifndef SCARAB_RUNNERD_PROGRAM_H
#define SCARAB_RUNNERD_PROGRAM_H

#include "common/engine.h"
#include "common/limits.h"
#include "common/manifest.h"

/* An engine has two of its own and two for each directory, of which install_dir is one. */
enum { PROGRAM_ARGUMENTS = 5 + 2 * (CONTEXT_MAX + 1) };

/* Where an agent in Python has libagent, and what starts it (libagent/python/start.py). */
#define PYTHON_DIR "/run/agentd/python"
#define PYTHON_START PYTHON_DIR "/start.py"

/* Where a program without a path is looked for, unless somebody says otherwise. */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct program {
	char path[PATH_LEN_MAX + 1];       /* inside */
	char entrypoint[PATH_LEN_MAX + 1]; /* "": none */
	const struct engine *engine;       /* NULL: the runtime is not wasm */
	/* What stands between path and the manifest's args; NULL ends. Borrowed from here, the
	 * plan and install_dir, or static. */
	const char *arguments[PROGRAM_ARGUMENTS + 1];
};

/* 0, or -1 with error (ERR_INVALID). At install what interprets the entrypoint is looked for; the
 * plan of an installed agent names it. */
int program_find(const struct manifest *plan, const char *install_dir, struct program *program,
		 struct error *error);
/* The same from the plan alone, nothing of which is opened. */
void program_told(const struct manifest *plan, const char *install_dir, struct program *program);

#endif
