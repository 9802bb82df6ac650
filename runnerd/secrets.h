/*
 * runnerd's side of secretd: it says what is installed, asks for the secrets of a session by the
 * write end of an empty file, and puts new values into live sessions. It never holds a value.
 * secretd may go away at any time: what it has not answered is asked again of the next one.
 */
#ifndef SCARAB_RUNNERD_SECRETS_H
#define SCARAB_RUNNERD_SECRETS_H

#include "secret_uses.h"
#include "session.h"

struct secrets;

struct secrets *secrets_new(struct runnerd *r);
void secrets_free(struct secrets *secrets); /* NULL is allowed */
/* Takes fd over. */
void secrets_introduced(struct secrets *secrets, int fd);

/* What a grant is bound to: BLAKE2b-256 over install_dir, a NUL, and the encoded plan. */
void plan_digest(const struct agent *agent, uint8_t digest[PLAN_DIGEST_BYTES]);
/* An agent was installed, or removed. */
void secrets_tell_plan(struct secrets *secrets, const struct agent *agent);
void secrets_tell_gone(struct secrets *secrets, const char *agent);

/* Asks for one credential of the session, to be written to fd (taken over); s->hands counts it
 * until it is there, and then session_progress() is called. A refusal ends the session. 0 or
 * -ENOMEM. */
int secrets_ask(struct session *s, const struct secret_use *use, uint64_t max_uses, int fd);
/* Its keeper or its broker filters by newer fingerprints, or is gone: values that waited for that
 * take their places. */
void secrets_redacted(struct session *s);
/* The session ends: nothing more is wanted for it. */
void secrets_forget(struct session *s);
/* The first process of this sandbox (server empty: the agent's) is known now: it gets what changed
 * while it was built. */
void secrets_built(struct session *s, const char *server);

#endif
