/* skills: the place for them. None can be asked for in this build (plan_enforceable). */
#include "steps.h"

int
skills_build(struct session *s, struct error *error)
{
	if (s->agent->plan->skills.count)
		return error_why(error, ERR_INVALID, "this build cannot enforce spec.skills");
	recipe_dir(&s->recipe, "/skills", 0755, 0);
	return 0;
}
