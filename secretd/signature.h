/*
 * Is a webhook its sender's? HMAC-SHA256 over the body with a secret as the key, as GitHub and
 * others sign; the key never leaves secretd.
 */
#ifndef SCARAB_SECRETD_SIGNATURE_H
#define SCARAB_SECRETD_SIGNATURE_H

#include "secretd.h"

/* signature: "sha256=" and 64 hexadecimal digits. Takes as long for a wrong one as for a right. */
bool signature_valid(const uint8_t *key, size_t key_length, const uint8_t *body, size_t length,
		     const char *signature);

/* schedd's channel, which carries what its listener got; takes fd over. */
void schedd_introduced(struct secretd *s, int fd);

#endif
