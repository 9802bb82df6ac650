/* credentials: the directory that CREDENTIALS_DIRECTORY names, one file for each secret. secretd
 * writes them while the other steps go on; the gate waits for the last. Those of plugins are made
 * with their sandboxes, at the step tools. */
#include "runnerd/credentials.h"
#include "runnerd/secrets.h"
#include "steps.h"

int
credentials_build(struct session *s, struct error *error)
{
	return credentials_place(s, &s->recipe, "", AGENT_UID, error);
}

int
credentials_undo(struct session *s)
{
	secrets_forget(s);
	return 0;
}
