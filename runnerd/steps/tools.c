/* tools: the broker, the plugins, the mission, and the bridge for clients of MCP that speak over
 * standard input and output alone; when the plugins have answered, the registry as it is then. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/engine.h"
#include "common/runtime.h"
#include "runnerd/agent_files.h"
#include "runnerd/mission.h"
#include "runnerd/mounts.h"
#include "runnerd/packages.h"
#include "runnerd/program.h"
#include "runnerd/tools.h"
#include "steps.h"

static int
bridge(struct session *s, struct error *error)
{
	char name[PATH_LEN_MAX + 1];
	int rc;

	snprintf(name, sizeof(name), "%.3900s/mcp-bridge", s->r->config->libexec_dir);
	rc = recipe_view(&s->recipe, s->r->bridge, name, AGENT_BRIDGE, MOUNT_VIEW, false);
	if (rc < 0)
		return error_errno(error, -rc, "open_tree of mcp-bridge of libexec_dir");
	recipe_file(&s->recipe, "/run/agentd/mcp.json", 0444, agent_mcp_json.text,
		    strlen(agent_mcp_json.text));
	return 0;
}

/* What the installation made of spec.packages. */
static int
packages(struct session *s, struct error *error)
{
	const struct msg_store_head *head = &s->agent->head;
	_cleanup_close_ int dir = -1;
	char name[PATH_LEN_MAX + 1];
	int rc;

	snprintf(name, sizeof(name), "%.3900s/packages/%s/%llu", s->r->config->state_dir,
		 s->agent_name, (unsigned long long)head->installed_at_ms);
	if (!s->recipe.facts)
		dir = packages_open(s->r, s->agent_name, head->installed_at_ms);
	if (dir < 0 && !s->recipe.facts) {
		error_errno(error, -dir, "cannot open its packages, %s", name);
		return error_hint(error, "install the agent again");
	}
	rc = recipe_view(&s->recipe, dir, name, PACKAGES_DIR, MOUNT_VIEW, true);
	return rc < 0 ? error_errno(error, -rc, "open_tree of its packages") : 0;
}

/* libagent for an agent in Python, and what starts it. */
static int
python(struct session *s, struct error *error)
{
	char name[PATH_LEN_MAX + 1];
	int rc;

	if (runtime_of(s->agent->plan) != RUNTIME_PYTHON)
		return 0;
	snprintf(name, sizeof(name), "%.3900s/python", s->r->config->libexec_dir);
	rc = recipe_view(&s->recipe, s->r->python, name, PYTHON_DIR, MOUNT_VIEW, true);
	if (rc < 0)
		return error_errno(error, -rc, "open_tree of python of libexec_dir");
	return s->agent->plan->packages.count ? packages(s, error) : 0;
}

/* What an engine starts modules with. */
static int
wasm(struct session *s, struct error *error)
{
	char name[PATH_LEN_MAX + 1];
	int rc;

	if (runtime_of(s->agent->plan) != RUNTIME_WASM)
		return 0;
	snprintf(name, sizeof(name), "%.3900s/wasm", s->r->config->libexec_dir);
	rc = recipe_view(&s->recipe, s->r->wasm, name, WASM_DIR, MOUNT_VIEW, true);
	return rc < 0 ? error_errno(error, -rc, "open_tree of wasm of libexec_dir") : 0;
}

/* What there is of it before anything runs. mission: heap text, NULL with error. */
static char *
files(struct session *s, size_t *length, struct error *error)
{
	char *mission = mission_json(s->request, s->event, s->event_length,
				     realtime_ms() + s->timeout_ms, length);

	if (!mission) {
		error_errno(error, ENOMEM, "writing mission.json");
		return NULL;
	}
	recipe_dir(&s->recipe, "/run/agentd", 0755, 0);
	recipe_file(&s->recipe, "/run/agentd/mission.json", 0444, mission, *length);
	if (bridge(s, error) == 0 && python(s, error) == 0 && wasm(s, error) == 0)
		return mission;
	free(mission);
	return NULL;
}

int
tools_explain(struct session *s, struct error *error)
{
	_cleanup_free_ char *mission = NULL;
	char socket[PATH_LEN_MAX + 1];
	size_t length;

	mission = files(s, &length, error);
	if (!mission)
		return -1;
	snprintf(socket, sizeof(socket), "%.3900s/sessions/SESSION/agent.sock",
		 s->r->config->run_dir);
	recipe_explain(&s->recipe, "/run/agentd/agentd.sock", socket, "bind",
		       mount_attributes(MOUNT_VIEW));
	return 0;
}

int
tools_build(struct session *s, struct error *error)
{
	_cleanup_free_ char *mission = NULL;
	size_t length;

	mission = files(s, &length, error);
	if (!mission)
		return -1;
	if (tools_open(s, error) < 0 || keeper_boot(s, error) < 0 ||
	    tools_boot(s, mission, length, error) < 0)
		return -1;
	loop_arm_in(s->timer, STEP_WAIT_MS + tools_start_ms(s));
	return STEP_WAITS;
}

int
tools_resume(struct session *s, struct error *error)
{
	int registry = fcntl(s->tools->registry, F_DUPFD_CLOEXEC, 3);

	if (registry < 0)
		return error_errno(error, errno, "the registry of the session's tools");
	recipe_file_of(&s->recipe, "/run/agentd/tools.json", 0444, registry);
	return 0;
}

int
tools_undo(struct session *s)
{
	if (s->live >= 0) {
		unlinkat(s->live, "agent.sock", 0);
		unlinkat(s->live, "broker.sock", 0);
	}
	return 0;
}
