/* A text with some of its spans exchanged, as pieces to be written: nothing is copied. Pure. */
#ifndef SCARAB_BROKER_SPLICE_H
#define SCARAB_BROKER_SPLICE_H

#include <sys/uio.h>

#include "common/scan.h"

enum { SPLICE_EDITS = 4, SPLICE_PIECES = 2 * SPLICE_EDITS + 2 };

struct splice {
	struct {
		struct span old, new;
	} edits[SPLICE_EDITS]; /* in the order of the text */
	int count;
};

/* In any order; the spans lie beside each other. */
void splice_put(struct splice *splice, struct span old, const char *text, size_t length);
/* The whole with its edits and a newline. How many pieces. */
int splice_pieces(const struct splice *splice, struct span whole,
		  struct iovec pieces[SPLICE_PIECES]);

#endif
