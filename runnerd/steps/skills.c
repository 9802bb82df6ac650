/* skills: nothing can be asked for in this build (plan_enforceable), so nothing is there. */
#include "steps.h"

bool
skills_needed(const struct session *s)
{
	return s->agent->plan->skills.count > 0;
}

int
skills_build(struct session *s, struct error *error)
{
	(void)s;
	return error_why(error, ERR_INVALID, "this build cannot enforce spec.skills");
}
