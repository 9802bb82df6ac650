/*
 * The key that secretd's data key is wrapped under, as a descriptor: a file that is root's alone,
 * or a credential of systemd. agentd opens it, never reads it. agentd only.
 */
#ifndef SCARAB_KEK_H
#define SCARAB_KEK_H

#include "common/config.h"
#include "common/proto.h"

/* Read-only, the caller's. -1 with error: also for a configuration with a passphrase, which has no
 * source. KEK_CREATE makes a key file that is missing: 32 random bytes, 0400. */
int kek_open(const struct config *config, enum kek_purpose purpose, struct error *error);

#endif
