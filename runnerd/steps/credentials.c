/* credentials: the directory that CREDENTIALS_DIRECTORY names. */
#include "steps.h"

int
credentials_build(struct session *s, struct error *error)
{
	(void)error;
	recipe_dir(&s->recipe, "/run/credentials", 0500, AGENT_UID);
	return 0;
}
