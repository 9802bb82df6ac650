/*
 * Which secrets a plan asks for, and where in which sandbox each of them will lie. The policy, the
 * hand-over, the replacement of values and what init runs all go by this one list. No process of
 * its own: it reads a plan.
 */
#ifndef SCARAB_RUNNERD_SECRET_USES_H
#define SCARAB_RUNNERD_SECRET_USES_H

#include "common/manifest.h"

enum secret_place {
	PLACE_CREDENTIALS, /* /run/credentials: the program's files */
	PLACE_ENVIRONMENT, /* /run/environment: only init can open them, for an env_template */
	SECRET_PLACES,
	PLACE_EGRESS =
	    SECRET_PLACES, /* in no sandbox: in a memfd of the session's egress process */
};

#define CREDENTIALS_PATH "/run/credentials"
#define ENVIRONMENT_PATH "/run/environment"

struct secret_use {
	/* Name, for_server and env as in the plan; of a template one that stands for it. Borrowed.
	 */
	const struct manifest_credential *credential;
	const char *server; /* empty: the agent */
	const char *file;
	enum secret_place place;
	unsigned rule; /* PLACE_EGRESS: the how manieth of the plan's that are injected */
};

/* Anything but 0 ends the list and is returned. */
typedef int secret_use_fn(const struct secret_use *use, void *arg);
/* Each file once. server NULL: of every sandbox; empty: the agent's. */
int secret_uses(const struct manifest *plan, const char *server, secret_use_fn *fn, void *arg);
size_t secret_uses_count(const struct manifest *plan, const char *server, enum secret_place place);

/* Where init of this server's sandbox finds the secret of a template; PLACE_CREDENTIALS where the
 * program has it as a file besides. file: borrowed from the plan or from secret. */
enum secret_place template_file(const struct manifest *plan, const char *server, const char *secret,
				const char **file);

#endif
