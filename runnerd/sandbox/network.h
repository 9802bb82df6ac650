/*
 * The network namespace of a sandbox without a network: nothing but lo, which is up. For the
 * spawner, which makes the agents' ahead, and a builder's child, which makes its own.
 */
#ifndef SCARAB_SANDBOX_NETWORK_H
#define SCARAB_SANDBOX_NETWORK_H

#include "common/error.h"

/* Takes the calling process into a new one. 0, or -1 with error; on a failure after the unshare
 * the caller is in a namespace that is not furnished. */
int network_unshare(struct error *error);

#endif
