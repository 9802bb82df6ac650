/*
 * The audit log as ash gets it: files for reading, through agentd, and entries of them.
 */
#ifndef ASH_AUDIT_LOG_H
#define ASH_AUDIT_LOG_H

#include "ash.h"
#include "common/limits.h"

/* Oldest first; the last one is audit.log. */
struct audit_log {
	int fds[AUDIT_FILES_MAX];
	unsigned count, left_out; /* left_out: older ones that are not among them */
};

/* The descriptors are the caller's: audit_log_close. -1 with error. */
int audit_log_open(struct ash *ash, struct audit_log *log, struct error *error);
void audit_log_close(struct audit_log *log);

#endif
