/*
 * No two instances of a host use the same user ids: each claims its range in a registry of root's,
 * one file FIRST-RANGES holding run_dir, locked as long as agentd lives. agentd only.
 */
#ifndef SCARAB_CLAIM_H
#define SCARAB_CLAIM_H

#include "common/config.h"

struct claim;

/* NULL with error: ERR_CONFLICT names the other instance's run_dir. The generation lock must be
 * held: a claim with the same run_dir is an earlier one of ours. */
struct claim *claim_take(const struct config *config, struct error *error);
/* Gives the range back, unless sessions live on with its ids. NULL is allowed. */
void claim_release(struct claim *claim);

#endif
