/*
 * runnerd at the other end: what is installed, which sessions get which secret, and that they get
 * it. Only secretd.
 */
#ifndef SCARAB_SECRETD_HAND_H
#define SCARAB_SECRETD_HAND_H

#include "secretd.h"

/* Takes fd over. */
void runnerd_introduced(struct secretd *s, int fd);
void plans_free(struct secretd *s);

/* What a secret is for, in the audit log. */
const char *purpose_of(const char *for_server);

/* What a grant to this agent is bound to now. -1 with error: no such agent, or (ERR_UNREACHABLE)
 * runnerd has not said yet. */
int plan_digest_of(const struct secretd *s, const char *agent, uint8_t digest[PLAN_DIGEST_BYTES],
		   struct error *error);
enum grant_state grant_state(const struct secretd *s, const struct grant *grant);

/* May this session have the secret? The grant that says so, or NULL with error, whose hint is the
 * command that would let it. now_ms: since the epoch. */
const struct grant *hand_decide(const struct store *store, const struct msg_secret_hand *hand,
				uint64_t now_ms, struct error *error);

#endif
