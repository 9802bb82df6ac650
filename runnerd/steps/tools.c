/* tools: the registry as it is at the start, and the mission. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/mission.h"
#include "steps.h"

int
tools_build(struct session *s, struct error *error)
{
	static const char registry[] = "[]\n";
	_cleanup_free_ char *mission = NULL;
	size_t length;

	mission = mission_json(s->request, realtime_ms() + s->timeout_ms, &length);
	if (!mission)
		return error_errno(error, ENOMEM, "writing mission.json");
	recipe_dir(&s->recipe, "/run/agentd", 0755, 0);
	recipe_file(&s->recipe, "/run/agentd/mission.json", 0444, mission, length);
	recipe_file(&s->recipe, "/run/agentd/tools.json", 0444, registry, strlen(registry));
	return 0;
}
