/* context: files and directories of the host, read-only. Each is opened again at every session,
 * without links, so that a file replaced by rename is found. */
#include <fcntl.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "runnerd/fs.h"
#include "runnerd/mounts.h"
#include "runnerd/proof.h"
#include "steps.h"

static int
open_source(const char *source, struct stat *st, struct error *error)
{
	_cleanup_close_ int fd = -1;

	if (!path_is_normal(source))
		return error_why(error, ERR_INVALID, "it is no absolute path without . and ..");
	fd = open_without_links(source, O_PATH);
	if (fd < 0 || fstat(fd, st) < 0)
		return error_errno(error, fd < 0 ? -fd : errno, "it cannot be opened");
	if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
		return error_why(error, ERR_INVALID, "it is neither a file nor a directory");
	return steal_fd(&fd);
}

static int
context_entry(struct session *s, const struct manifest_context *entry, struct error *error)
{
	_cleanup_close_ int fd = -1;
	struct stat st = {0};
	int rc;

	if (proof_target(entry->target, error) < 0)
		return -1;
	if (!s->recipe.facts)
		fd = open_source(entry->source, &st, error);
	if (fd < 0 && !s->recipe.facts)
		return error_what(error, "context %s", entry->source);
	rc = recipe_view(&s->recipe, fd, entry->source, entry->target, MOUNT_VIEW,
			 S_ISDIR(st.st_mode));
	return rc < 0 ? error_errno(error, -rc, "open_tree of the context %s", entry->source) : 0;
}

int
context_build(struct session *s, struct error *error)
{
	const struct manifest *plan = s->agent->plan;
	size_t i;

	for (i = 0; i < plan->context.count; i++)
		if (context_entry(s, &plan->context.items[i], error) < 0)
			return -1;
	return 0;
}
