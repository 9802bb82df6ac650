#include "agent_files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"

static const char agents_md[] =
    "# Where you are\n"
    "\n"
    "You are an agent in a session of Scarab Runtime, in a sandbox of your own. This file was\n"
    "written once, when your home was made. It is yours: change it, or remove it.\n"
    "\n"
    "## What you find\n"
    "\n"
    "| path | what |\n"
    "|---|---|\n"
    "| `/home/agent` | your home; what you leave here is there in your next session |\n"
    "| `/run/agentd/mission.json` | why this session runs: task, trigger, attempt, the session\n"
    "  before, the deadline by which it is ended |\n"
    "| `/run/agentd/tools.json` | the tools that were there when the session started |\n"
    "| `/run/agentd/agentd.sock` | your tools: MCP, one JSON object a line |\n"
    "| `/run/agentd/mcp-bridge` | the same over standard input and output |\n"
    "| `/run/agentd/mcp.json` | an MCP client's configuration that starts the bridge |\n"
    "| `/context` | what you were given to read; read-only, not there when nothing was given |\n"
    "| `/skills/NAME/SKILL.md` | skills; read one before work that its description names |\n"
    "| `/run/credentials` | one file for each credential that you may use; never print, copy or\n"
    "  store what they hold |\n"
    "| `/tmp`, `/run/agent` | private to this session, bounded, gone at its end |\n"
    "\n"
    "The rest of the file system is read-only. The network is what your manifest was granted, "
    "which\n"
    "may be nothing at all: a connection that is not allowed fails at once, and trying again does\n"
    "not help.\n"
    "\n"
    "## Tools\n"
    "\n"
    "Tools of plugins are called `SERVER__TOOL`. A call may wait until a person allows it. These "
    "are\n"
    "the runtime's own:\n"
    "\n"
    "- `agentd__mission`: mission.json, and the state of your plugins\n"
    "- `agentd__observe`: note what you found, for the people who read about this session\n"
    "- `agentd__transition`: say that you now plan, act or observe\n"
    "- `agentd__result`: store the result of this session, as JSON; the last one counts\n"
    "- `agentd__emit_event`: emit an event, which may start other agents\n"
    "\n"
    "## How to end\n"
    "\n"
    "Exit with status 0 when the task is done, with any other when it is not. Standard output and\n"
    "standard error are kept as this session's log. At the deadline, or when the session is\n"
    "cancelled, you get SIGTERM and a short time to finish; then everything is killed.\n";

/* Read by clients that know this name only; `@FILE` is how they include another. */
static const char claude_md[] = "@AGENTS.md\n";

const struct agent_file agent_home_files[] = {
    {.name = "AGENTS.md", .text = agents_md},
    {.name = "CLAUDE.md", .text = claude_md},
};
const size_t agent_home_file_count = ARRAY_LEN(agent_home_files);

const struct agent_file agent_mcp_json = {
    .name = "mcp.json",
    .text = "{\"mcpServers\":{\"agentd\":{\"command\":\"" AGENT_BRIDGE "\"}}}\n",
};

int
agent_bridge_open(const char *libexec_dir, struct error *error)
{
	_cleanup_close_ int dir = open(libexec_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(dir, "mcp-bridge", O_PATH | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? error_errno(error, errno, "cannot open mcp-bridge of libexec_dir") : fd;
}

int
agent_tree_open(const char *libexec_dir, const char *name, struct error *error)
{
	_cleanup_close_ int dir = open(libexec_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? error_errno(error, errno, "cannot open %s of libexec_dir", name) : fd;
}

/* 1, 0 or -errno. */
static int
is_empty(int tree)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;

	if (fd < 0 || !(dir = fdopendir(fd)))
		return -errno;
	steal_fd(&fd);
	errno = 0;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return 0;
	return errno ? -errno : 1;
}

static int
write_file(int tree, const struct agent_file *file, uid_t owner)
{
	_cleanup_close_ int fd =
	    openat(tree, file->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	int rc = fd < 0 ? -errno : write_all(fd, file->text, strlen(file->text));

	if (!rc && fchown(fd, owner, owner) < 0)
		rc = -errno;
	if (rc < 0 && fd >= 0)
		unlinkat(tree, file->name, 0);
	return rc;
}

int
agent_files_write(int tree, uid_t owner)
{
	int rc = is_empty(tree);
	size_t i;

	if (rc <= 0)
		return rc;
	for (i = 0; i < agent_home_file_count; i++) {
		rc = write_file(tree, &agent_home_files[i], owner);
		if (rc < 0)
			break;
	}
	/* All or none, so that the next session finds an empty home again. */
	while (rc < 0 && i-- > 0)
		unlinkat(tree, agent_home_files[i].name, 0);
	return rc;
}
