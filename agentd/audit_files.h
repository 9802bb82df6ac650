/*
 * The files of the audit log in log_dir: audit.log, which secretd appends to, and older ones,
 * audit.log.N, with N the number of the entry that was their last when they were found large.
 * Nobody writes these any more and nothing of the runtime removes them. agentd only.
 */
#ifndef SCARAB_AUDIT_FILES_H
#define SCARAB_AUDIT_FILES_H

#include "common/config.h"
#include "common/limits.h"

struct agentd;

/* audit.log for secretd, O_RDWR | O_APPEND; the caller's. A new one in which no entry stands, since
 * secretd died first, gives way to the one before it: the chain goes on where it ends. dir:
 * log_dir. -1 with error. */
int audit_files_open(int dir, const struct config *config, struct error *error);
/* audit.log becomes the older one of this number; the new one, as above. */
int audit_files_next(int dir, const struct config *config, uint64_t seq, struct error *error);
/* For reading: audit.log, then the older ones, newest first, the caller's. How many, or -1 with
 * error; left_out: older ones for which there was no room. */
int audit_files_read(int dir, int fds[AUDIT_FILES_MAX], unsigned *left_out, struct error *error);

#endif
