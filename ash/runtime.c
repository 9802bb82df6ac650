#include "runtime.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/engine.h"
#include "common/limits.h"
#include "common/runtime.h"
#include "libraries.h"
#include "wasm_module.h"

/* --- what is there ------------------------------------------------------------------------------
 */

/* What is executed or interpreted, as the manifest names it. */
static const char *
program_name(const struct manifest *manifest)
{
	if (manifest->entrypoint)
		return manifest->entrypoint;
	return manifest->command ? manifest->command : manifest->name;
}

static bool
is_image_layout(int dir, const char *below)
{
	char path[PATH_LEN_MAX + 16];

	snprintf(path, sizeof(path), "%s/oci-layout", below);
	return faccessat(dir, path, F_OK, 0) == 0;
}

/* Below install_dir, or it itself; NULL: there is none. */
static const char *
find_layout(const struct manifest *manifest, int dir, bool beside_program)
{
	if (is_image_layout(dir, manifest->name))
		return manifest->name;
	return !beside_program && is_image_layout(dir, ".") ? "." : NULL;
}

/* An image, and no word of a program or a runtime. */
static bool
says_nothing_else(const struct manifest *manifest)
{
	return manifest_image_proofs(manifest) == 2 && !manifest->command && !manifest->runtime;
}

/* layout: of a container, see find_layout(). */
static enum runtime
look(const struct manifest *manifest, const char *install_dir, const char **layout)
{
	_cleanup_close_ int dir = open(install_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	const char *program = program_name(manifest);
	enum runtime by_name = manifest->entrypoint ? runtime_of_name(program) : RUNTIME_ABSENT;
	enum runtime by_bytes = RUNTIME_ABSENT;
	char head[4];
	struct stat st;

	fd = openat(dir, program, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    pread(fd, head, sizeof(head), 0) == sizeof(head))
		by_bytes = runtime_of_bytes(head, sizeof(head));
	if (manifest->entrypoint)
		return by_bytes ? by_bytes : by_name;
	*layout = find_layout(manifest, dir, by_bytes != RUNTIME_ABSENT);
	if (*layout || (fd < 0 && says_nothing_else(manifest)))
		by_bytes = RUNTIME_CONTAINER;
	return by_bytes ? by_bytes : by_name;
}

/* --- what holds ---------------------------------------------------------------------------------
 */

static int
refuse_mismatch(const char *who, enum runtime wanted, const struct manifest *manifest,
		enum runtime found, struct error *error)
{
	error_why(error, ERR_INVALID, "%s says runtime %s, but %s is a program for the runtime %s",
		  who, runtime_name(wanted), program_name(manifest), runtime_name(found));
	return error_hint(error, "say runtime %s, or nothing: it is told by the program",
			  runtime_name(found));
}

int
runtime_settle(struct manifest *manifest, const char *install_dir, const char *asked,
	       const char **layout, struct error *error)
{
	enum runtime wanted = asked ? runtime_parse(asked) : RUNTIME_ABSENT, found;

	*layout = NULL;
	if (asked && !wanted) {
		error_why(error, ERR_USAGE, "--runtime: there is no runtime '%.40s'", asked);
		return error_hint(error,
				  "runtimes are rust (or native), python, node, wasm, container");
	}
	if (wanted && manifest->runtime && wanted != manifest->runtime) {
		error_why(error, ERR_INVALID, "--runtime says %s, but the manifest says %s", asked,
			  runtime_name(manifest->runtime));
		return error_hint(error, "leave --runtime out, or change spec.runtime");
	}
	found = look(manifest, install_dir, layout);
	if (manifest->runtime)
		wanted = manifest->runtime;
	/* What lies in install_dir is not what a container executes. */
	if (wanted && found && found != wanted && wanted != RUNTIME_CONTAINER)
		return refuse_mismatch(asked ? "--runtime" : "the manifest", wanted, manifest,
				       found, error);
	manifest->runtime = wanted ? wanted : found ? found : RUNTIME_RUST;
	if (manifest->runtime != RUNTIME_CONTAINER || manifest->image)
		*layout = NULL;
	if (*layout && !(manifest->image = runtime_layout(install_dir, *layout)))
		return error_errno(error, ENOMEM, "naming the image");
	return runtime_check(manifest, error);
}

/* --- will it start? ------------------------------------------------------------------------------
 */

static int
check_native(const struct view *view, struct error *error)
{
	const struct manifest *manifest = view->manifest;
	const char *command = manifest->command ? manifest->command : manifest->name;
	char path[2 * PATH_LEN_MAX + 2];

	snprintf(path, sizeof(path), "%s%s%s", command[0] == '/' ? "" : view->install_dir,
		 command[0] == '/' ? "" : "/", command);
	return libraries_check(view, path, error);
}

/* First whether it can start at all: what cannot says nothing of its version. */
static int
check_interpreted(const struct view *view, const struct interpreter *interpreter,
		  struct found_interpreter *found, struct error *error)
{
	if (interpreter_find(view, interpreter, found, error) < 0)
		return -1;
	return found->path[0] ? libraries_check(view, found->path, error) : 0;
}

static int
check_module(const struct view *view, struct error *error)
{
	const char *name = view->manifest->entrypoint;
	_cleanup_close_ int dir = open(view->install_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	/* What is not there, or no file, runnerd refuses. */
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !wasm_module_check(fd, error))
		return 0;
	return error_what(error, "spec.entrypoint: %s", name);
}

/* The first engine that is there and new enough; else what is wrong with the first that is there.
 */
static int
check_engines(const struct view *view, struct found_interpreter *found, struct error *error)
{
	const struct engine *engine;
	int rc = check_module(view, error);

	for (size_t i = 0; rc == 0 && (engine = engine_at(i)); i++) {
		struct error *why = error->code ? NULL : error;

		if (interpreter_find(view, &engine->program, found, why) == 0 && found->path[0])
			return libraries_check(view, found->path, error);
		found->path[0] = found->version[0] = '\0';
	}
	return rc < 0 || error->code ? -1 : 0;
}

int
runtime_will_start(const struct manifest *manifest, const char *install_dir, int image,
		   struct found_interpreter *found, struct error *error)
{
	const struct interpreter *interpreter = runtime_interpreter(manifest->runtime);
	_cleanup_(view_close) struct view view = VIEW_INIT;

	found->path[0] = found->version[0] = '\0';
	if (manifest->runtime == RUNTIME_CONTAINER ||
	    view_init(&view, manifest, install_dir, image) < 0)
		return 0;
	if (manifest->runtime == RUNTIME_WASM)
		return check_engines(&view, found, error);
	return interpreter ? check_interpreted(&view, interpreter, found, error)
			   : check_native(&view, error);
}
