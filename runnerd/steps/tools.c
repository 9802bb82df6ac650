/* tools: the registry as it is at the start, the mission, and the bridge for clients of MCP that
 * speak over standard input and output alone. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/agent_files.h"
#include "runnerd/mission.h"
#include "runnerd/mounts.h"
#include "steps.h"

static int
bridge(struct session *s, struct error *error)
{
	int mount = mount_detached(s->r->bridge, MOUNT_VIEW);

	if (mount < 0)
		return error_errno(error, -mount, "open_tree of mcp-bridge of libexec_dir");
	recipe_mount(&s->recipe, AGENT_BRIDGE, mount, false);
	recipe_file(&s->recipe, "/run/agentd/mcp.json", 0444, agent_mcp_json.text,
		    strlen(agent_mcp_json.text));
	return 0;
}

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
	return bridge(s, error);
}
