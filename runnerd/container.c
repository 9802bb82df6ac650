#include "container.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "common/cleanup.h"
#include "common/runtime.h"
#include "program.h"

/* --- its words ------------------------------------------------------------------------------- */

static void
add_all(struct arguments *arguments, const struct strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		arguments->items[arguments->count++] = list->items[i];
}

bool
container_arguments(const struct manifest *plan, const struct image *image,
		    struct arguments *arguments)
{
	size_t most = 1 + plan->args.count + image->entrypoint.count + image->cmd.count;

	*arguments = (struct arguments){.items = calloc(most, sizeof(*arguments->items))};
	if (!arguments->items)
		return false;
	if (plan->command)
		arguments->items[arguments->count++] = plan->command;
	else
		add_all(arguments, &image->entrypoint);
	if (plan->args.count)
		add_all(arguments, &plan->args);
	else if (!plan->command)
		add_all(arguments, &image->cmd);
	return true;
}

const char *
container_directory(const struct image *image)
{
	return image->head.working_dir[0] ? image->head.working_dir : "/";
}

/* --- at install ------------------------------------------------------------------------------ */

/* As images and as uname(2) call them. */
static const struct {
	const char *image, *machine;
} machines[] = {
    {"amd64", "x86_64"},    {"arm64", "aarch64"},       {"riscv64", "riscv64"}, {"s390x", "s390x"},
    {"ppc64le", "ppc64le"}, {"loong64", "loongarch64"}, {"mips64le", "mips64"},
};

static bool
for_this_machine(const char *architecture, struct utsname *host)
{
	if (uname(host) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(machines); i++)
		if (strcmp(machines[i].machine, host->machine) == 0)
			return strcmp(machines[i].image, architecture) == 0;
	return true;
}

int
container_check_image(const struct image *image, struct error *error)
{
	const struct msg_image_head *head = &image->head;
	struct utsname host;

	if (head->os[0] && strcmp(head->os, "linux"))
		return error_why(error, ERR_INVALID, "it is an image for %s", head->os);
	if (head->architecture[0] && !for_this_machine(head->architecture, &host)) {
		error_why(error, ERR_INVALID, "it is an image for %s, and this host is %s",
			  head->architecture, host.machine);
		return error_hint(error, "take the one for this host's architecture");
	}
	if (head->uid < ID_RANGE && head->gid < ID_RANGE)
		return 0;
	error_why(error, ERR_INVALID, "its user is %u:%u, and a sandbox has the ids 0 to %d",
		  head->uid, head->gid, ID_RANGE - 1);
	return error_hint(error, "build it with another USER");
}

/* 1: it is there, or nobody can tell; 0: it is not. */
static int
is_there(const struct runnerd *r, const struct image *image, const char *path, struct error *error)
{
	_cleanup_close_ int fd = image_open_path(r, image, path);
	struct stat st;

	if (fd < 0)
		return fd != -ENOENT && fd != -ENOTDIR;
	if (fstat(fd, &st) < 0)
		return 1;
	if (S_ISLNK(st.st_mode))
		return 1;
	if (S_ISREG(st.st_mode) && st.st_mode & 0111)
		return 1;
	return error_why(error, ERR_INVALID, "%s in the image is no program that can be executed",
			 path);
}

static const char *
path_of(const struct manifest *plan, const struct image *image)
{
	const char *path = DEFAULT_PATH;

	for (size_t i = 0; i < image->env.count; i++)
		if (strncmp(image->env.items[i], "PATH=", strlen("PATH=")) == 0)
			path = image->env.items[i] + strlen("PATH=");
	for (size_t i = 0; i < plan->env.count; i++)
		if (strcmp(plan->env.items[i].key, "PATH") == 0)
			path = plan->env.items[i].value;
	return path;
}

static int
is_in_path(const struct runnerd *r, const struct manifest *plan, const struct image *image,
	   const char *name, struct error *error)
{
	const char *dirs = path_of(plan, image);
	char path[PATH_LEN_MAX + 1];
	int rc = 0;

	while (*dirs && rc == 0) {
		size_t length = strcspn(dirs, ":");

		if (*dirs == '/' && length + strlen(name) + 2 <= sizeof(path)) {
			snprintf(path, sizeof(path), "%.*s/%s", (int)length, dirs, name);
			rc = is_there(r, image, path, error);
		}
		dirs += length + (dirs[length] == ':');
	}
	return rc;
}

static int
refuse_program(const char *name, struct error *error)
{
	error_why(error, ERR_INVALID, "%s is not there in the image", name);
	return error_hint(error, strchr(name, '/')
				     ? "name another program with spec.command"
				     : "name another program with spec.command, or where it is "
				       "looked for with PATH in spec.env");
}

static int
check_program(const struct runnerd *r, const struct manifest *plan, const struct image *image,
	      const char *name, struct error *error)
{
	int rc = 1;

	if (name[0] == '/')
		rc = is_there(r, image, name, error);
	else if (!strchr(name, '/'))
		rc = is_in_path(r, plan, image, name, error);
	return rc == 0 ? refuse_program(name, error) : rc < 0 ? -1 : 0;
}

int
container_check(const struct runnerd *r, const struct manifest *plan, const struct image *image,
		struct error *error)
{
	struct arguments arguments;
	int rc;

	if (!container_arguments(plan, image, &arguments))
		return error_errno(error, ENOMEM, "looking for its program");
	if (arguments.count) {
		rc = check_program(r, plan, image, arguments.items[0], error);
	} else {
		error_why(error, ERR_INVALID,
			  "neither the image nor the manifest says what to execute");
		rc = error_hint(error, "name it with spec.command");
	}
	free(arguments.items);
	return rc;
}

int
image_find_interpreter(const struct runnerd *r, struct manifest *plan, const struct image *image,
		       struct error *error)
{
	const struct interpreter *interpreter = runtime_interpreter(runtime_of(plan));
	struct error ignored = ERROR_INIT;

	if (!interpreter || plan->command || plan->interpreter)
		return 0;
	for (size_t i = 0; interpreter->places[i]; i++) {
		if (is_there(r, image, interpreter->places[i], &ignored) != 1)
			continue;
		plan->interpreter = strdup(interpreter->places[i]);
		return plan->interpreter ? 0
					 : error_errno(error, ENOMEM, "keeping the interpreter");
	}
	error_why(error, ERR_INVALID, "there is no %s in the image", interpreter->language);
	return error_hint(error, "take an image that has it as %s, or name it with spec.command",
			  interpreter->places[0]);
}
