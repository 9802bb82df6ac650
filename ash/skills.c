#include "skills.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/skill.h"

enum { FILES_MAX = 10000, DEPTH_MAX = 16 };

/* --- links that lead out ------------------------------------------------------------------------
 */

struct walk {
	int root;
	unsigned files;
	const char *path; /* of the skill, for messages */
	struct error *error;
};

/* The kernel says it: a lexical answer would be wrong behind another link. */
static bool
leads_out(int root, const char *below)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, root, below, &how, sizeof(how));

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EXDEV;
}

static int
refuse_link(const struct walk *walk, const char *below)
{
	error_why(walk->error, ERR_INVALID, "%s/%s is a link that leads out of the skill",
		  walk->path, below);
	return error_hint(walk->error, "inside the sandbox it would lead elsewhere or nowhere: put "
				       "a copy in its place");
}

static int walk_directory(struct walk *walk, const char *below, unsigned depth);

static int
walk_entry(struct walk *walk, const char *dir, const struct dirent *entry, unsigned depth)
{
	_cleanup_free_ char *below = NULL;
	struct stat st;

	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return 0;
	if (asprintf(&below, "%s%s%s", dir, *dir ? "/" : "", entry->d_name) < 0) {
		below = NULL;
		return error_errno(walk->error, ENOMEM, "%s", walk->path);
	}
	if (++walk->files > FILES_MAX)
		return error_why(walk->error, ERR_INVALID, "%s holds more than %d files",
				 walk->path, FILES_MAX);
	if (fstatat(walk->root, below, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISLNK(st.st_mode))
		return leads_out(walk->root, below) ? refuse_link(walk, below) : 0;
	return S_ISDIR(st.st_mode) ? walk_directory(walk, below, depth + 1) : 0;
}

static int
walk_directory(struct walk *walk, const char *below, unsigned depth)
{
	_cleanup_close_ int fd = -1;
	const struct dirent *entry;
	DIR *stream;
	int rc = 0;

	if (depth > DEPTH_MAX)
		return error_why(walk->error, ERR_INVALID, "%s/%s is nested deeper than %d levels",
				 walk->path, below, DEPTH_MAX);
	fd = openat(walk->root, *below ? below : ".",
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* What the operator may not enter, the agent may not either. */
	if (fd < 0)
		return errno == EACCES
			   ? 0
			   : error_errno(walk->error, errno, "%s/%s", walk->path, below);
	stream = fdopendir(fd);
	if (!stream)
		return error_errno(walk->error, errno, "%s", walk->path);
	steal_fd(&fd);
	while (!rc && (entry = readdir(stream)))
		rc = walk_entry(walk, below, entry, depth);
	closedir(stream);
	return rc;
}

static int
check_links(int dir, const char *path, struct error *error)
{
	struct walk walk = {.root = dir, .path = path, .error = error};

	return walk_directory(&walk, "", 0);
}

/* --- one skill
 * ------------------------------------------------------------------------------------ */

struct skill {
	char path[PATH_LEN_MAX + 1];
	char *file; /* its SKILL.md, for messages */
	int dir;    /* -1 */
	struct msg head;
};

static void
skill_close(struct skill *skill)
{
	free(skill->file);
	close_fd(&skill->dir);
}

static int
read_head(struct skill *skill, struct error *error)
{
	_cleanup_close_ int fd =
	    openat(skill->dir, "SKILL.md", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct msg_skill_head *head = &skill->head.skill_head;
	struct stat st;
	ssize_t length;

	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(error, errno, "opening %s", skill->file);
		return error_hint(error, "a skill is a directory that holds a SKILL.md");
	}
	if (!S_ISREG(st.st_mode))
		return error_why(error, ERR_INVALID, "%s is no regular file", skill->file);
	length = read_all(fd, head->text, sizeof(head->text));
	if (length < 0)
		return error_errno(error, (int)-length, "reading %s", skill->file);
	head->text_len = (uint32_t)length;
	return 0;
}

/* Its directory; -1 with error. */
static int
skill_open(const char *entry, const char *install_dir, struct skill *skill, struct error *error)
{
	int rc = skill_path(entry, install_dir, skill->path);

	msg_init(&skill->head, MSG_SKILL_HEAD);
	if (rc < 0)
		return error_errno(error, -rc, "%s", entry);
	if (asprintf(&skill->file, "%s/SKILL.md", skill->path) < 0) {
		skill->file = NULL;
		return error_errno(error, ENOMEM, "%s", entry);
	}
	skill->dir = open(skill->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return skill->dir < 0 ? error_errno(error, errno, "opening %s", skill->path) : 0;
}

/* --- all of them
 * ------------------------------------------------------------------------------------ */

struct proving {
	struct msg *request;    /* NULL: nothing is to be proved */
	struct manifest *index; /* NULL: nobody wants it */
	struct rows *heads;
	document_warn_fn *warn;
	void *arg;
};

static int
prove(struct skill *skill, const char *name, struct proving *proving, struct error *error)
{
	_cleanup_free_ char *warning = NULL, *found_name = NULL, *description = NULL;
	struct manifest_skill found;
	int rc;

	if (read_head(skill, error) < 0 || check_links(skill->dir, skill->path, error) < 0)
		return -1;
	rc = skill_load((const char *)skill->head.skill_head.text, skill->head.skill_head.text_len,
			skill->file, name, &found, &warning);
	found_name = found.name;
	description = found.description;
	if (!rc)
		rc = rows_add(proving->heads, &skill->head);
	if (rc < 0)
		return error_errno(error, -rc, "keeping %s in memory", skill->file);
	if (warning)
		proving->warn(warning, proving->arg);
	if (proving->request)
		msg_add_fd(proving->request, steal_fd(&skill->dir));
	if (proving->index)
		proving->index->skill_index.items[proving->index->skill_index.count++] =
		    (struct manifest_skill){.name = steal_ptr(&found_name),
					    .description = steal_ptr(&description)};
	return 0;
}

static int
prove_all(const struct manifest *manifest, const char *install_dir, struct proving *proving,
	  struct error *error)
{
	for (size_t i = 0; i < manifest->skills.count; i++) {
		const char *entry = manifest->skills.items[i];
		_cleanup_(skill_close) struct skill skill = {.dir = -1};

		if (skill_open(entry, install_dir, &skill, error) < 0 ||
		    prove(&skill, skill_name(entry), proving, error) < 0)
			return error_what(error, "spec.skills[%zu]", i);
	}
	return 0;
}

/* The heads, sealed; -1 with error. */
static int
take_all(const struct manifest *manifest, const char *install_dir, struct proving *proving,
	 struct error *error)
{
	int heads;

	proving->heads = rows_new("skills");
	if (!proving->heads)
		return error_errno(error, errno, "keeping the skills in memory");
	if (prove_all(manifest, install_dir, proving, error) < 0) {
		rows_free(proving->heads);
		return -1;
	}
	heads = rows_seal(proving->heads);
	return heads < 0 ? error_errno(error, -heads, "keeping the skills in memory") : heads;
}

int
skills_prove(const struct manifest *manifest, const char *install_dir, struct msg *request,
	     document_warn_fn *warn, void *arg, struct error *error)
{
	struct proving proving = {.request = request, .warn = warn, .arg = arg};
	int heads;

	if (!manifest->skills.count)
		return 0;
	heads = take_all(manifest, install_dir, &proving, error);
	if (heads < 0)
		return -1;
	msg_add_fd(request, heads);
	return 0;
}

int
skills_load(struct manifest *manifest, const char *install_dir, int *heads, document_warn_fn *warn,
	    void *arg, struct error *error)
{
	struct proving proving = {.index = manifest, .warn = warn, .arg = arg};

	*heads = -1;
	if (!manifest->skills.count)
		return 0;
	manifest->skill_index.items = calloc(manifest->skills.count, sizeof(struct manifest_skill));
	if (!manifest->skill_index.items)
		return error_errno(error, ENOMEM, "reading the skills");
	*heads = take_all(manifest, install_dir, &proving, error);
	return *heads < 0 ? -1 : 0;
}

/* Nothing to be read offline, and nothing wrong with the manifest. */
static bool
is_elsewhere(const struct error *error)
{
	return error->code == ERR_NOT_FOUND;
}

static int
validate(const char *entry, const char *install_dir, bool *there, struct error *error)
{
	_cleanup_(skill_close) struct skill skill = {.dir = -1};

	*there = skill_open(entry, install_dir, &skill, error) == 0;
	if (!*there)
		return is_elsewhere(error) ? 0 : -1;
	if (read_head(&skill, error) < 0)
		return error_as(error, ERR_INVALID);
	if (check_links(skill.dir, skill.path, error) < 0)
		return -1;
	return skill_check((const char *)skill.head.skill_head.text, skill.head.skill_head.text_len,
			   skill.file, skill_name(entry), error);
}

int
skills_validate(const struct document *document, const char *install_dir, document_warn_fn *warn,
		void *arg, struct error *error)
{
	const struct manifest *manifest = document->manifest;

	for (size_t i = 0; i < manifest->skills.count; i++) {
		_cleanup_free_ char *text = NULL;
		bool there;

		if (validate(manifest->skills.items[i], install_dir, &there, error) < 0)
			return -1;
		if (there)
			continue;
		*error = (struct error)ERROR_INIT;
		if (asprintf(&text, "%s: spec.skills[%zu]: %s is not here", document->path, i,
			     manifest->skills.items[i]) < 0)
			text = NULL;
		if (text)
			warn(text, arg);
	}
	return 0;
}
