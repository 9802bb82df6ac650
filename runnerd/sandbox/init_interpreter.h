/*
 * Which program a program needs to be started, for the words of an exec that failed: an image may
 * lack its shell or its loader. Reads what the agent can read, in the sandbox, bounded.
 */
#ifndef SCARAB_SANDBOX_INIT_INTERPRETER_H
#define SCARAB_SANDBOX_INIT_INTERPRETER_H

#include <stdbool.h>
#include <stddef.h>

/* The interpreter that the script or the ELF program (64 bits, of this machine's order) names.
 * False: it names none that can be told. */
bool init_interpreter(const char *program, char *name, size_t size);

#endif
