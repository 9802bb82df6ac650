/*
 * Is a webhook its sender's? The body's HMAC-SHA256 with a secret as the key, or the secret itself
 * as a token; the key never leaves secretd. What signatures look like in headers is schedd's to
 * know: here is no text of senders to parse.
 */
#ifndef SCARAB_SECRETD_SIGNATURE_H
#define SCARAB_SECRETD_SIGNATURE_H

#include "secretd.h"

/* May this agent's webhook be checked with this secret, and is it valid (query as of proto.def,
 * with its body)? 0 and *valid, or -1 with error: ERR_PERMISSION where no operator granted the
 * secret to the agent as it is installed. Takes as long for a wrong signature as for a right one.
 */
int signature_check(struct secretd *s, const struct msg_signature_query *query, const uint8_t *body,
		    size_t length, bool *valid, struct error *error);

/* schedd's channel, which carries what its listener got; takes fd over. */
void schedd_introduced(struct secretd *s, int fd);

#endif
