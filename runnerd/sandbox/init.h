/*
 * init: process 1 of a sandbox. Root of the sandbox's user namespace with the few capabilities
 * that starting and ending the agent takes; nothing of the host is open in it.
 *
 * 0, 1, 2 are the agent's; the descriptors below are init's own. A plugin's init stays when its
 * program ends, to start it again: 2 is then the plugin's alone, and what it reads and writes comes
 * with each INIT_GO.
 */
#ifndef SCARAB_SANDBOX_INIT_H
#define SCARAB_SANDBOX_INIT_H

#include <sys/types.h>

#include "common/proto.h"

enum {
	INIT_FD_KEEPER = 3,        /* CH_INIT, side B; EOF ends the sandbox */
	INIT_FD_SPEC = 4,          /* sealed memfd: EXEC_SPEC, EXEC_STRINGs */
	INIT_FD_AGENT_PROGRAM = 5, /* sealed memfds: the agent's seccomp program, and init's */
	INIT_FD_OWN_PROGRAM = 6,
	INIT_FD_END,
};

/* EXEC_PART.kind. Files hold secrets; newlines at their end are left out, as by $(...). */
enum part_kind {
	PART_TEXT,
	PART_CREDENTIAL,  /* a file of the program's */
	PART_ENVIRONMENT, /* a file of the sandbox's root, which the program cannot open */
	PART_KINDS,
};

struct exec_part {
	enum part_kind kind;
	char *text, *value; /* value: of a file, in the process that becomes the program */
	struct exec_part *next;
};

struct exec_variable {
	char *name;
	struct exec_part *parts;
};

/* What init runs, decoded. */
struct exec_spec {
	struct msg_exec_spec head;
	char **argv, **envp; /* NULL-terminated; envp has room for the variables behind its own */
	struct exec_variable *variables;
	uint32_t variable_count;
};

/* From the memfd (borrowed). 0 or -errno; nothing is ever freed. */
int init_read_spec(int fd, struct exec_spec *spec);

/* Restricts the calling process, the agent to be: reads and executes what it sees, writes its own
 * places only. 0 (also where the kernel's Landlock is missing or too old) or -errno. */
int init_landlock(void);

/* Starts the program and waits until its exec succeeded. io: its standard input and output, -1:
 * init's own (borrowed). The pid, or -errno with the reason as a sentence in why. */
pid_t init_start(const struct exec_spec *spec, const int io[2], char *why, size_t size);

#endif
