/* credentials: the directory that CREDENTIALS_DIRECTORY names, one file for each secret. secretd
 * writes them while the other steps go on; the gate waits for the last. */
#include <string.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "runnerd/credentials.h"
#include "runnerd/secrets.h"
#include "steps.h"

static int
ask(struct session *s, int mount, const struct manifest_credential *credential, struct error *error)
{
	uint64_t max_uses;
	int fd, rc;

	if (policy_secret(s->agent->plan, credential, realtime_ms(), &max_uses, error) < 0)
		return -1;
	fd = credentials_file(mount, credential_name(credential), s->base_uid);
	if (fd < 0)
		return error_errno(error, -fd, "making the file of the credential %s",
				   credential->name);
	rc = secrets_ask(s, credential, max_uses, fd);
	return rc < 0 ? error_errno(error, -rc, "asking for %s", credential->name) : 0;
}

/* The files of a mount that is not attached yet can be made; it goes to the builder whole. */
int
credentials_build(struct session *s, struct error *error)
{
	const struct manifest *plan = s->agent->plan;
	_cleanup_close_ int mount = -1;

	if (!plan->credentials.count) {
		recipe_dir(&s->recipe, "/run/credentials", 0500, AGENT_UID);
		return 0;
	}
	mount = credentials_mount(s->base_uid, plan->credentials.count, error);
	if (mount < 0)
		return -1;
	for (size_t i = 0; i < plan->credentials.count; i++)
		if (ask(s, mount, &plan->credentials.items[i], error) < 0)
			return -1;
	recipe_mount(&s->recipe, "/run/credentials", steal_fd(&mount), true);
	return 0;
}

int
credentials_explain(struct session *s, struct error *error)
{
	(void)error;
	if (s->agent->plan->credentials.count)
		recipe_explain(&s->recipe, "/run/credentials", "tmpfs", "tmpfs",
			       CREDENTIALS_ATTRIBUTES);
	return 0;
}

int
credentials_undo(struct session *s)
{
	secrets_forget(s);
	return 0;
}
