/*
 * A session's log on its way to people: read through the descriptors that agentd handed over,
 * from a byte offset on, cut into lines, printed as the agent printed it or as it is stored.
 */
#ifndef ASH_LOGS_H
#define ASH_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/proto.h"
#include "logline.h"
#include "progress.h"

struct logs {
	bool json; /* print the lines as they are stored */
	/* Gets the lines instead of standard output; NULL: they are printed. */
	void (*heard)(const struct logline *line, void *arg);
	void *heard_arg;
	struct progress *progress; /* erased before anything is printed; may be NULL */
	uint64_t position;         /* offset of the next byte to read */
	uint64_t missed;           /* bytes that were gone before they could be read */
	uint64_t damaged;          /* lines that were no log lines */
	/* private */
	int fd, older_fd;
	uint64_t start, older_start;
	char *line; /* heap: the beginning of a line */
	size_t used, size;
	bool skipping, out_open, err_open;
};

#define LOGS_INIT                                                                                  \
	{                                                                                          \
		.fd = -1, .older_fd = -1                                                           \
	}

/* Takes the descriptors of a LOG message; reading goes on at position, or where the oldest byte
 * is now. */
void logs_take(struct logs *logs, struct msg *log);
bool logs_open(const struct logs *logs);
/* Prints everything that is there. -1 with error. */
int logs_pump(struct logs *logs, struct error *error);
void logs_free(struct logs *logs);

#endif
