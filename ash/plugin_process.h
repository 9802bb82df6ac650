/* The process of a plugin and the lines that it reads and writes; plugin.c knows what they mean. */
#ifndef ASH_PLUGIN_PROCESS_H
#define ASH_PLUGIN_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "plugin.h"

struct plugin_process {
	pid_t pid;   /* its group too */
	int in, out; /* our ends of its standard input and output, not blocking; -1: closed */
	bool reaped;
	int status; /* as waitpid() has it, once reaped */
	char *held; /* what was read and is not yet given out */
	size_t length, size, given, searched;
};

/* 0, or -1 with error. */
int child_start(struct plugin_process *process, const char *const *command, struct error *error);
/* Writes a line, reading meanwhile; up to deadline_ms of child_now_ms(). 0, or -1 with error. */
int child_write(struct plugin_process *process, const char *line, size_t length,
		uint64_t deadline_ms, struct error *error);
/* The next line that is not blank, until the next call. 0, or -1 with error: it ended, it is late,
 * the line is too long. */
int child_read(struct plugin_process *process, uint64_t deadline_ms, const char **line,
	       size_t *length, struct error *error);
/* Ends it and everything that it started; said: what it took to do so, NULL where closing its
 * standard input was enough. */
void child_end(struct plugin_process *process, const char **said);
uint64_t child_now_ms(void);

#endif
