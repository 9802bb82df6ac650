#include "proof.h"

#include <fcntl.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/limits.h"
#include "fs.h"

/* One answer whether a path is not there, leads through a link or is another one than was opened:
 * root sees more than who asks may know. */
static int
refuse_proof(const char *path, struct error *error)
{
	error_why(error, ERR_PERMISSION, "%s is not what was opened by that name", path);
	return error_hint(error, "name it as the host sees it and without links (realpath prints "
				 "it); ash and agentd must share one mount namespace");
}

/* dir: opened by us, or -errno. */
static int
check_same_dir(const char *path, int dir, int proof, struct stat *st, struct error *error)
{
	struct stat proved;
	int rc;

	rc = fd_check(proof, S_IFDIR, O_RDONLY);
	if (rc < 0)
		return error_why(error, ERR_PERMISSION,
				 "the descriptor that came for %s is no directory opened for "
				 "reading",
				 path);
	if (dir < 0 || fstat(proof, &proved) < 0 || fstat(dir, st) < 0 || !same_file(&proved, st))
		return refuse_proof(path, error);
	return 0;
}

static int
check_path(const char *path, struct error *error)
{
	if (!path_is_normal(path))
		return error_why(error, ERR_INVALID,
				 "%s is no absolute path without . and .. in it", path);
	return 0;
}

/* The directory that the operator opened; its errors tell no more than that it is not. */
static int
prove_dir(const char *path, int proof, struct stat *st, struct error *error)
{
	_cleanup_close_ int dir = -1;

	if (check_path(path, error) < 0)
		return -1;
	dir = open_without_links(path, O_PATH | O_DIRECTORY);
	return check_same_dir(path, dir, proof, st, error);
}

/* One that was proved before: what is wrong with it may be said. */
static int
open_dir(const char *path, struct error *error)
{
	int fd;

	if (check_path(path, error) < 0)
		return -1;
	fd = open_without_links(path, O_PATH | O_DIRECTORY);
	if (fd == -ELOOP) {
		error_why(error, ERR_INVALID, "%s leads through a link", path);
		return error_hint(error, "name the directory itself (realpath prints it)");
	}
	return fd < 0 ? error_errno(error, -fd, "cannot open %s", path) : fd;
}

int
proof_install_dir(const char *path, int proof, struct stat *st, struct error *error)
{
	if (prove_dir(path, proof, st, error) < 0)
		return error_what(error, "install_dir");
	if (st->st_mode & S_IXOTH)
		return 0;
	error_why(error, ERR_INVALID, "%s may not be entered by other users (mode %04o)", path,
		  st->st_mode & 07777);
	error_hint(error, "the agent runs as a user of its own: chmod o+rx %s", path);
	return error_what(error, "install_dir");
}

/* Of what is no directory its parent is proved, and that before anything is said of it. */
static int
prove_entry(const char *source, int fd, int proof, struct error *error)
{
	_cleanup_close_ int dir = -1;
	char parent[PATH_LEN_MAX + 1];
	struct stat st, of_parent;

	path_split(source, parent);
	dir = open_without_links(parent, O_PATH | O_DIRECTORY);
	if (check_same_dir(source, dir, proof, &of_parent, error) < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return 0;
	return error_why(error, ERR_INVALID, "%s is neither a file nor a directory", source);
}

static int
prove_source(const char *source, int proof, const char *key, struct error *error)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int rc;

	if (check_path(source, error) < 0)
		return error_what(error, "%s", key);
	fd = open_without_links(source, O_PATH);
	if (fd < 0 || fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))
		rc = check_same_dir(source, fd, proof, &st, error);
	else
		rc = prove_entry(source, fd, proof, error);
	return rc < 0 ? error_what(error, "%s", key) : 0;
}

int
proof_context(const char *source, int proof, struct error *error)
{
	return prove_source(source, proof, "spec.context source", error);
}

int
proof_watch(const char *path, int proof, struct error *error)
{
	return prove_source(path, proof, "spec.triggers path", error);
}

int
proof_skill(const char *path, int proof, struct error *error)
{
	struct stat st;

	return prove_dir(path, proof, &st, error) < 0 ? error_what(error, "spec.skills") : 0;
}

int
proof_open_image(const char *path, struct error *error)
{
	int fd = open_dir(path, error);

	return fd < 0 ? error_what(error, "spec.image") : fd;
}

static bool
overlaps(const char *a, const char *b)
{
	return path_within(a, b) || path_within(b, a);
}

static bool
holds_own_files(const char *path, const struct config *config)
{
	const char *own[] = {config->run_dir, config->log_dir, config->state_dir};
	char images[PATH_LEN_MAX + 1];
	size_t i;

	snprintf(images, sizeof(images), "%.4000s/images", config->state_dir);
	if (path_within(path, images) && strcmp(path, images))
		return false;
	for (i = 0; i < ARRAY_LEN(own); i++)
		if (overlaps(path, own[i]))
			return true;
	return false;
}

int
proof_image(const char *path, int proof, const struct config *config, struct error *error)
{
	struct stat st;

	if (prove_dir(path, proof, &st, error) < 0)
		return error_what(error, "spec.image");
	if (holds_own_files(path, config))
		return error_why(error, ERR_INVALID, "spec.image dir:%s holds files of the runtime",
				 path);
	return 0;
}

int
proof_image_source(const char *path, int proof, const struct config *config, struct error *error)
{
	_cleanup_close_ int fd = -1;
	struct stat st, proved;

	if (fd_check(proof, S_IFDIR, O_RDONLY) == 0)
		return proof_image(path, proof, config, error);
	if (fd_check(proof, S_IFREG, O_RDONLY) < 0)
		return error_why(error, ERR_INVALID,
				 "%s is neither a directory nor a file that was opened for reading",
				 path);
	if (check_path(path, error) < 0)
		return -1;
	fd = open_without_links(path, O_PATH);
	if (fd < 0 || fstat(proof, &proved) < 0 || fstat(fd, &st) < 0 || !same_file(&proved, &st))
		return refuse_proof(path, error);
	return 0;
}

/* --- places --------------------------------------------------------------------------------- */

static const char *const reserved_trees[] = {
    "/proc", "/sys", "/dev", "/run", "/etc", "/home/agent", "/context", "/skills",
};
/* The directory itself would hide what the sandbox needs there; what lies beneath may be used. */
static const char *const reserved_dirs[] = {
    "/",    "/usr",   "/usr/bin", "/usr/sbin", "/usr/lib", "/bin", "/sbin",    "/lib",
    "/tmp", "/lib32", "/lib64",   "/libx32",   "/home",    "/var", "/var/tmp",
};
static const char *const image_trees[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
};

static int
refuse_place(const char *path, const char *why, struct error *error)
{
	error_why(error, ERR_INVALID, "install_dir %s is reserved: %s", path, why);
	return error_hint(error, "put the agent into a directory of its own, such as /opt/NAME");
}

int
proof_place(const char *path, const struct config *config, struct error *error)
{
	const char *own[] = {config->run_dir, config->log_dir, config->state_dir};
	char agents[PATH_LEN_MAX + 1];
	size_t i;

	for (i = 0; i < ARRAY_LEN(reserved_trees); i++)
		if (path_within(path, reserved_trees[i]))
			return refuse_place(path, "the sandbox has its own there", error);
	for (i = 0; i < ARRAY_LEN(reserved_dirs); i++)
		if (!strcmp(path, reserved_dirs[i]))
			return refuse_place(path, "it would hide what is there inside", error);
	snprintf(agents, sizeof(agents), "%.4000s/agents", config->state_dir);
	if (path_within(path, agents) && strcmp(path, agents))
		return 0;
	for (i = 0; i < ARRAY_LEN(own); i++)
		if (overlaps(path, own[i]))
			return refuse_place(path, "it holds files of the runtime", error);
	return 0;
}

static const char *const target_trees[] = {
    "/proc", "/sys", "/dev",  "/run",    "/etc",   "/usr",   "/bin",    "/sbin",
    "/lib",  "/tmp", "/home", "/skills", "/lib32", "/lib64", "/libx32",
};

int
proof_target(const char *target, struct error *error)
{
	size_t i;

	if (!path_is_normal(target) || !target[1])
		return error_why(error, ERR_INVALID,
				 "spec.context target %s is no absolute path without . and ..",
				 target);
	for (i = 0; i < ARRAY_LEN(target_trees); i++) {
		if (!path_within(target, target_trees[i]))
			continue;
		error_why(error, ERR_INVALID,
			  "spec.context target %s lies in %s, which the sandbox makes itself",
			  target, target_trees[i]);
		return error_hint(error, "use a path below /context");
	}
	return 0;
}

/* --- the program ---------------------------------------------------------------------------- */

/* Nobody's: owns no file and is in no group. */
enum { STRANGER = 65534 };

/* With no more rights than any user has. The agent has no more either, and who installs it shall
 * not learn by way of root what lies in directories that are closed. */
static int
open_as_stranger(int dir, const char *path, uint64_t resolve)
{
	int fd;

	if (geteuid() != 0)
		return open_resolved(dir, path, O_PATH, resolve);
	setfsgid(STRANGER);
	setfsuid(STRANGER); /* takes CAP_DAC_OVERRIDE and its like out of effect */
	if (setfsuid((uid_t)-1) == STRANGER && setfsgid((gid_t)-1) == STRANGER)
		fd = open_resolved(dir, path, O_PATH, resolve);
	else
		fd = -EPERM;
	setfsuid(0);
	setfsgid(0);
	return fd;
}

static int
refuse_open(const char *path, const char *where, int errnum, struct error *error)
{
	error_errno(error, errnum, "cannot open %s%s", path, where);
	if (errnum != EACCES)
		return -1;
	return error_hint(error, "the agent runs as a user of its own: every directory on the way "
				 "must let others in (chmod o+x)");
}

static int
check_format(const char *path, int path_fd, const struct stat *st, struct error *error)
{
	_cleanup_close_ int fd = -1;
	char magic[4] = {0};

	fd = reopen_readable(path_fd);
	if (fd < 0)
		return error_errno(error, -fd, "cannot read %s", path);
	if (pread(fd, magic, sizeof(magic), 0) < 0)
		return error_errno(error, errno, "cannot read %s", path);
	if (!memcmp(magic, "\177ELF", sizeof(magic)))
		return 0;
	if (memcmp(magic, "#!", 2))
		return error_why(error, ERR_INVALID,
				 "%s is neither an ELF program nor a script with #!", path);
	if (st->st_mode & S_IROTH)
		return 0;
	error_why(error, ERR_INVALID, "the script %s may not be read by other users", path);
	return error_hint(error, "the agent runs as a user of its own: chmod o+rx %s", path);
}

static int
check_program(const char *path, int path_fd, struct error *error)
{
	struct stat st;

	if (fstat(path_fd, &st) < 0)
		return error_errno(error, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return error_why(error, ERR_INVALID, "%s is no regular file", path);
	if (!(st.st_mode & S_IXOTH)) {
		error_why(error, ERR_INVALID, "%s may not be executed by other users (mode %04o)",
			  path, st.st_mode & 07777);
		return error_hint(error, "the agent runs as a user of its own: chmod o+rx %s",
				  path);
	}
	return check_format(path, path_fd, &st, error);
}

/* A file inside install_dir, O_PATH; path gets its name. */
static int
open_inside(const char *command, const char *install_dir, char *path, struct error *error)
{
	_cleanup_close_ int dir = -1, fd = -1;
	int length;

	if (!path_is_normal_relative(command))
		return error_why(error, ERR_INVALID,
				 "%s is no path beneath install_dir without . and ..", command);
	length = snprintf(path, PATH_LEN_MAX + 1, "%s/%s", install_dir, command);
	if (length > PATH_LEN_MAX)
		return error_errno(error, ENAMETOOLONG, "%s", command);
	dir = open_dir(install_dir, error);
	if (dir < 0)
		return -1;
	fd = open_as_stranger(dir, command, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
	if (fd == -EXDEV)
		return error_why(error, ERR_INVALID, "%s leads out of install_dir", path);
	return fd < 0 ? refuse_open(path, "", -fd, error) : steal_fd(&fd);
}

static int
relative_command(const char *command, const char *install_dir, char *path, struct error *error)
{
	_cleanup_close_ int fd = open_inside(command, install_dir, path, error);

	return fd < 0 ? -1 : check_program(path, fd, error);
}

static bool
visible_inside(const char *command, const char *install_dir)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(image_trees); i++)
		if (path_within(command, image_trees[i]))
			return true;
	return path_within(command, install_dir);
}

/* As the agent would find it: links lead where they lead inside. */
static int
image_command(const char *command, const char *image, char *path, struct error *error)
{
	_cleanup_close_ int dir = open_dir(image, error), fd = -1;

	if (dir < 0)
		return -1;
	fd = open_as_stranger(dir, command, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		return refuse_open(command, " in the image", -fd, error);
	snprintf(path, PATH_LEN_MAX + 1, "%s", command);
	return check_program(command, fd, error);
}

static int
absolute_command(const char *command, const struct manifest *plan, const char *install_dir,
		 char *path, struct error *error)
{
	const char *image = manifest_image_dir(plan);
	bool of_store = !image && manifest_image_is_tree(plan);
	_cleanup_close_ int fd = -1;

	if (!path_is_normal(command))
		return error_why(error, ERR_INVALID, "%s is no absolute path without . and ..",
				 command);
	if (path_within(command, install_dir) && strcmp(command, install_dir))
		return relative_command(command + strlen(install_dir) + 1, install_dir, path,
					error);
	if (image)
		return image_command(command, image, path, error);
	if (of_store) { /* what its layers come to is seen when it starts */
		snprintf(path, PATH_LEN_MAX + 1, "%s", command);
		return 0;
	}
	if (!visible_inside(command, install_dir)) {
		error_why(error, ERR_INVALID, "%s will not be there inside the sandbox", command);
		return error_hint(error, "name a program below /usr or install_dir");
	}
	fd = open_as_stranger(AT_FDCWD, command, RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		return refuse_open(command, "", -fd, error);
	snprintf(path, PATH_LEN_MAX + 1, "%s", command);
	return check_program(command, fd, error);
}

int
proof_program(const char *command, const struct manifest *plan, const char *install_dir, char *path,
	      struct error *error)
{
	if (command[0] == '/')
		return absolute_command(command, plan, install_dir, path, error);
	return relative_command(command, install_dir, path, error);
}

int
proof_command(const struct manifest *plan, const char *install_dir, char *path, struct error *error)
{
	const char *command = plan->command ? plan->command : plan->name;
	int rc = proof_program(command, plan, install_dir, path, error);

	if (rc < 0)
		error_as(error, ERR_INVALID);
	return rc < 0 ? error_what(error, "spec.command") : 0;
}

static int
check_script(const char *path, int fd, struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return error_why(error, ERR_INVALID, "%s is no regular file", path);
	if (st.st_mode & S_IROTH)
		return 0;
	error_why(error, ERR_INVALID, "%s may not be read by other users (mode %04o)", path,
		  st.st_mode & 07777);
	return error_hint(error, "the agent runs as a user of its own: chmod o+r %s", path);
}

int
proof_entrypoint(const char *entrypoint, const char *install_dir, char *path, struct error *error)
{
	_cleanup_close_ int fd = open_inside(entrypoint, install_dir, path, error);

	if (fd >= 0 && check_script(path, fd, error) == 0)
		return 0;
	error_as(error, ERR_INVALID);
	return error_what(error, "spec.entrypoint");
}
