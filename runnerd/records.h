/*
 * Files of records: messages of CH_RECORD one after the other, each behind its length (u32,
 * little-endian). Used for session journals and the table of id ranges. A torn last record, left
 * by a crash in the middle of an append, reads as the end.
 */
#ifndef SCARAB_RUNNERD_RECORDS_H
#define SCARAB_RUNNERD_RECORDS_H

#include "common/proto.h"

enum { RECORD_FILE_MAX = 4 << 20 };

/* Appends (the descriptor must be O_APPEND); durable: also fdatasync. 0 or -errno. */
int record_append(int fd, const struct msg *record, bool durable);

struct records {
	char *bytes;
	size_t length, at;
};

/* The whole file beneath dir_fd. 0 or -errno (-ENOENT: none). */
int records_open(struct records *records, int dir_fd, const char *name);
/* 1 and the next record, 0 at the end, -EBADMSG for bytes that are no record. */
int records_next(struct records *records, struct msg *record);
void records_close(struct records *records);

#endif
