/*
 * What tells an agent, in files that agents look for by themselves, what its sandbox holds:
 * AGENTS.md and CLAUDE.md in its home, mcp.json beside the agent's socket. The text is the same for
 * every agent and names nothing of the host; what differs between sessions is in mission.json.
 */
#ifndef SCARAB_RUNNERD_AGENT_FILES_H
#define SCARAB_RUNNERD_AGENT_FILES_H

#include <stddef.h>
#include <sys/types.h>

#include "common/error.h"

struct agent_file {
	const char *name, *text;
};

/* For a home; every name is one component. */
extern const struct agent_file agent_home_files[];
extern const size_t agent_home_file_count;
/* For /run/agentd: an MCP client's configuration that names the bridge and nothing else. */
extern const struct agent_file agent_mcp_json;

#define AGENT_BRIDGE "/run/agentd/mcp-bridge"

/* The bridge as installed, O_PATH, to be mounted there: opened once, so that an upgrade of a
 * running instance mixes nothing. Descriptor, or -1 with error. */
int agent_bridge_open(const char *libexec_dir, struct error *error);

/* The same of a directory of libexec_dir: what an agent in Python finds at PYTHON_DIR (program.h),
 * and what runs one of WebAssembly at WASM_DIR (engine.h). */
int agent_tree_open(const char *libexec_dir, const char *name, struct error *error);

/* Gives a home that holds nothing yet its files, owned by owner. tree: a readable descriptor of the
 * home, which nothing else writes meanwhile. A home with anything in it is left alone: what its
 * agent changed or removed stays so. 0 or -errno. */
int agent_files_write(int tree, uid_t owner);

#endif
