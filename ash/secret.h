/*
 * Secrets, straight to secretd: agentd's control process sees neither a value nor a key.
 */
#ifndef ASH_SECRET_H
#define ASH_SECRET_H

#include "ash.h"

/* ash->secrets, its path beside the operator socket. -1 with error. */
int secrets_begin(struct ash *ash, struct error *error);

/* The read end of a pipe that holds these bytes whole, with no writer; the caller's. -1 with
 * error. */
int filled_pipe(const void *bytes, size_t length, struct error *error);

/* After an install: warns of the grants of this agent that were for another definition of it.
 * Silent where secretd cannot be asked. */
void secrets_warn_lapsed(struct ash *ash, const struct msg_digest_row *installed,
			 void (*warn)(const char *text, void *arg), void *arg);

#endif
