/*
 * How far the log holds what each daemon said: an entry that is sent again because secretd was
 * killed before it could say that it is durable is written once. Only secretd.
 */
#ifndef SCARAB_SECRETD_SOURCES_H
#define SCARAB_SECRETD_SOURCES_H

#include "common/proto.h"

struct source {
	uint64_t generation, sequence; /* of its newest entry */
};

struct sources {
	struct source by_role[ROLE_COUNT];
};

enum {
	/* What all daemons together may have unacknowledged lies in this much of the log's end. */
	SOURCES_TAIL_BYTES = 24 << 20,
};

/* What the end of the log (borrowed) tells. 0 or -errno. */
int sources_read(struct sources *sources, int fd);
/* The words that the first entry of a file says it with, so that no older file is needed. */
void sources_tell(const struct sources *sources, char *text, size_t size);
/* False: this entry was written already. Entries without a generation are always new. */
bool sources_note(struct sources *sources, enum role role, const struct msg_audit *entry);

#endif
