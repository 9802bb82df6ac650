#include "document.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/limits.h"

/* A FIFO may be a shell's <(…), so it is read; opening one that nobody writes must not wait. */
static int
open_document(const char *path, struct error *error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0) {
		error_errno(error, errno, "opening the manifest");
		return error_what(error, "%s", path);
	}
	if (S_ISDIR(status.st_mode)) {
		error_why(error, ERR_INVALID, "this is a directory, not a manifest");
		return error_what(error, "%s", path);
	}
	fd_set_nonblock(fd, false);
	return steal_fd(&fd);
}

int
document_read(const char *path, struct document *document, struct error *error)
{
	_cleanup_close_ int fd = -1;
	int r;

	*document = (struct document){.path = path};
	fd = open_document(path, error);
	if (fd < 0)
		return -1;
	r = read_file(fd, MANIFEST_BYTES_MAX, &document->text, &document->length);
	if (r == -EFBIG)
		error_why(error, ERR_INVALID, "the manifest is larger than %d KiB",
			  MANIFEST_BYTES_MAX >> 10);
	else if (r < 0)
		error_errno(error, -r, "reading the manifest");
	if (r < 0)
		return error_what(error, "%s", path);
	document->manifest =
	    manifest_read(document->text, document->length, path, &document->warnings, error);
	if (document->manifest)
		return 0;
	document_free(document);
	return -1;
}

void
document_free(struct document *document)
{
	if (document->manifest)
		manifest_free(document->manifest);
	free(document->text);
	free(document->warnings);
	*document = (struct document){.path = document->path};
}

/* --- paths inside ------------------------------------------------------------------------------
 */

/* What every sandbox has of its own. */
static const char *const inside[] = {
    "/dev",
    "/proc",
    "/tmp",
    "/home/agent",
    "/run/agent",
    "/run/agentd",
    "/run/credentials",
    "/skills",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/machine-id",
    "/etc/hostname",
};

/* What it shows of the host, where the host has it. */
static const char *const from_host[] = {
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/localtime",
};

static bool
is_beneath(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool
is_beneath_any(const char *path, const char *const *folders, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_beneath(path, folders[i]))
			return true;
	return false;
}

/* A context entry shows its source at its target. */
static bool
in_context(const struct manifest *manifest, const char *path)
{
	for (size_t i = 0; i < manifest->context.count; i++) {
		const struct manifest_context *context = &manifest->context.items[i];
		_cleanup_free_ char *source = NULL;

		if (!context->target || !is_beneath(path, context->target))
			continue;
		if (asprintf(&source, "%s%s", context->source, path + strlen(context->target)) < 0)
			return true;
		if (access(source, F_OK) == 0)
			return true;
	}
	return false;
}

/* A link in it that is absolute leads elsewhere here than inside: it is not judged. */
static bool
in_image(const struct manifest *manifest, const char *path)
{
	const char *dir = manifest_image_dir(manifest);
	_cleanup_free_ char *source = NULL;
	struct stat st;

	if (!dir && manifest_image_is_tree(manifest))
		return true;
	if (!dir)
		return is_beneath_any(path, from_host, ARRAY_LEN(from_host)) &&
		       access(path, F_OK) == 0;
	return asprintf(&source, "%s%s", dir, path) < 0 || lstat(source, &st) == 0 ||
	       errno == ELOOP || errno == EACCES;
}

static bool
exists_inside(const struct manifest *manifest, const char *install_dir, const char *path)
{
	char own[AGENT_NAME_MAX + 8];

	snprintf(own, sizeof(own), "/etc/%s", manifest->name);
	if (strcmp(path, "/") == 0 || strcmp(path, "/etc") == 0 || strcmp(path, "/run") == 0 ||
	    strcmp(path, "/home") == 0 || is_beneath_any(path, inside, ARRAY_LEN(inside)) ||
	    in_context(manifest, path))
		return true;
	if (is_beneath(path, own) || is_beneath(path, install_dir))
		return access(path, F_OK) == 0;
	return in_image(manifest, path);
}

/* "/x" and "--option=/x". */
static const char *
path_of(const char *argument)
{
	const char *value = argument[0] == '-' ? strchr(argument, '=') : NULL;

	if (value)
		argument = value + 1;
	return argument[0] == '/' ? argument : NULL;
}

void
document_check_paths(const struct document *document, const char *install_dir,
		     document_warn_fn *warn, void *arg)
{
	const struct manifest *manifest = document->manifest;

	for (size_t i = 0; i < manifest->args.count; i++) {
		const char *path = path_of(manifest->args.items[i]);
		_cleanup_free_ char *text = NULL;

		if (!path || exists_inside(manifest, install_dir, path))
			continue;
		if (asprintf(&text, "%s: spec.args[%zu]: %s will not exist inside the sandbox",
			     document->path, i, path) < 0) {
			text = NULL;
			continue;
		}
		warn(text, arg);
	}
}

void
document_each_warning(const struct document *document, document_warn_fn *warn, void *arg)
{
	_cleanup_free_ char *lines = document->warnings ? strdup(document->warnings) : NULL;
	char *rest = lines, *line;

	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			warn(line, arg);
}
